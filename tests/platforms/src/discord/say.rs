//! What people write and press on Discord, as its gateway tells of it.

use serde_json::{Value, json};

use super::BOT;

/// A message of somebody.
#[derive(Clone, Debug)]
pub struct Say {
    attachments: Vec<Value>,
    author: String,
    channel: String,
    guild: Option<String>,
    is_bot: bool,
    mentions: Vec<Value>,
    reply: Option<(String, String)>,
    roles: Vec<String>,
    text: String,
}

impl Say {
    /// A direct message of a person; `channel` is that of their conversation with the bot.
    pub fn direct(channel: &str, author: &str, text: &str) -> Self {
        Self {
            attachments: Vec::new(),
            author: author.to_owned(),
            channel: channel.to_owned(),
            guild: None,
            is_bot: false,
            mentions: Vec::new(),
            reply: None,
            roles: Vec::new(),
            text: text.to_owned(),
        }
    }

    /// A message of a person in a channel of a guild.
    pub fn in_guild(guild: &str, channel: &str, author: &str, text: &str) -> Self {
        Self { guild: Some(guild.to_owned()), ..Self::direct(channel, author, text) }
    }

    /// It comes with a file.
    #[must_use]
    pub fn with_file(mut self, url: &str, name: &str, mime: &str, size: u64) -> Self {
        self.attachments.push(json!({
            "id": "7001", "filename": name, "content_type": mime, "size": size, "url": url,
            "proxy_url": url,
        }));
        self
    }

    /// It is written by the bot itself.
    #[must_use]
    pub fn by_itself(mut self) -> Self {
        BOT.clone_into(&mut self.author);
        self.by_a_bot()
    }

    /// It is written by a bot.
    #[must_use]
    pub fn by_a_bot(mut self) -> Self {
        self.is_bot = true;
        self
    }

    /// It names the bot.
    #[must_use]
    pub fn mentioning_the_bot(mut self) -> Self {
        self.mentions.push(user(BOT, true));
        self
    }

    /// It answers a message of somebody.
    #[must_use]
    pub fn answering(mut self, message: &str, author: &str) -> Self {
        self.reply = Some((message.to_owned(), author.to_owned()));
        self
    }

    /// Its author has a role.
    #[must_use]
    pub fn with_role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    pub(super) fn message(&self, id: &str) -> Value {
        let mut message = message(id, &self.channel, &self.author, &self.text, self.is_bot);
        message["attachments"] = json!(self.attachments);
        message["mentions"] = json!(self.mentions);
        if let Some(guild) = &self.guild {
            message["guild_id"] = json!(guild);
            message["member"] = json!({
                "deaf": false, "flags": 0, "joined_at": "2020-01-01T00:00:00.000000+00:00",
                "mute": false, "roles": self.roles,
            });
        }
        if let Some((reply, author)) = &self.reply {
            message["type"] = json!(19);
            message["message_reference"] =
                json!({ "message_id": reply, "channel_id": self.channel });
            message["referenced_message"] =
                self::message(reply, &self.channel, author, "before", author == BOT);
        }
        message
    }
}

/// Returns the press of a button below a message.
pub(super) fn press(id: &str, channel: &str, by: &str, message_id: &str, data: &str) -> Value {
    json!({
        "application_id": "99", "authorizing_integration_owners": {}, "attachment_size_limit": 1000,
        "channel_id": channel, "data": { "component_type": 2, "custom_id": data },
        "entitlements": [], "id": id, "token": "press-token", "type": 3, "user": user(by, false),
        "message": message(message_id, channel, BOT, "choose", true), "version": 1,
    })
}

fn message(id: &str, channel: &str, author: &str, text: &str, is_bot: bool) -> Value {
    json!({
        "attachments": [], "author": user(author, is_bot), "channel_id": channel, "components": [],
        "content": text, "edited_timestamp": null, "embeds": [], "id": id,
        "mention_everyone": false, "mention_roles": [], "mentions": [], "pinned": false,
        "timestamp": "2026-01-02T03:04:05.678000+00:00", "tts": false, "type": 0,
    })
}

/// Returns a person or bot.
pub(super) fn user(id: &str, is_bot: bool) -> Value {
    json!({
        "avatar": null, "bot": is_bot, "discriminator": "0", "global_name": format!("Name {id}"),
        "id": id, "username": format!("user{id}"), "public_flags": 0,
    })
}
