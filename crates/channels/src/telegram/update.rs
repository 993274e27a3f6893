//! What Telegram tells of, as far as it matters here.
//!
//! Only the fields that are needed are read: a message with a part that nobody knows yet is still
//! a message.

use serde::Deserialize;
use serde_json::Value;

use openclaw_scopes::Timestamp;
use openclaw_sessions::ChatType;

use crate::inbound::{ButtonPress, Inbound, Media, MediaKind};

use super::NAME;
use super::api::Me;

/// Something that happened.
#[derive(Debug, Deserialize)]
pub(super) struct Update {
    pub(super) callback_query: Option<Callback>,
    pub(super) message: Option<Message>,
}

/// Returns the number of an update, whatever else it is.
pub(super) fn number(update: &Value) -> Option<i64> {
    update.get("update_id").and_then(Value::as_i64)
}

#[derive(Debug, Deserialize)]
struct User {
    first_name: String,
    id: i64,
    is_bot: bool,
    last_name: Option<String>,
}

impl User {
    fn name(&self) -> String {
        match &self.last_name {
            Some(last) => format!("{} {last}", self.first_name),
            None => self.first_name.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Chat {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
}

impl Chat {
    fn kind(&self) -> ChatType {
        match self.kind.as_str() {
            "private" => ChatType::Direct,
            "channel" => ChatType::Channel,
            _ => ChatType::Group,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Entity {
    length: usize,
    offset: usize,
    #[serde(rename = "type")]
    kind: String,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct File {
    file_id: String,
    file_name: Option<String>,
    file_size: Option<u64>,
    mime_type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Replied {
    from: Option<User>,
    message_id: i64,
}

/// A message.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    animation: Option<File>,
    audio: Option<File>,
    caption: Option<String>,
    #[serde(default)]
    caption_entities: Vec<Entity>,
    chat: Chat,
    date: i64,
    document: Option<File>,
    #[serde(default)]
    entities: Vec<Entity>,
    from: Option<User>,
    #[serde(default)]
    is_topic_message: bool,
    message_id: i64,
    message_thread_id: Option<i64>,
    #[serde(default)]
    photo: Vec<File>,
    reply_to_message: Option<Replied>,
    text: Option<String>,
    video: Option<File>,
    video_note: Option<File>,
    voice: Option<File>,
}

impl Message {
    /// Returns the message as every platform tells of one, if a person says something in it.
    pub(super) fn inbound(&self, account: &str, me: &Me) -> Option<Inbound> {
        let from = self.from.as_ref().filter(|from| !from.is_bot)?;
        let (text, entities) = match (&self.text, &self.caption) {
            (Some(text), _) => (text.as_str(), &self.entities),
            (None, Some(caption)) => (caption.as_str(), &self.caption_entities),
            (None, None) => ("", &self.entities),
        };
        let media = self.media();
        if text.is_empty() && media.is_empty() {
            return None;
        }
        let reply = self.reply();
        let replied = reply.and_then(|reply| reply.from.as_ref());
        Some(Inbound {
            account: account.to_owned(),
            at: Timestamp::from_millis(self.date.saturating_mul(1000)),
            channel: NAME.to_owned(),
            guild: None,
            is_bot: false,
            is_mention: entities.iter().any(|entity| names(entity, text, me)),
            kind: self.chat.kind(),
            media,
            message_id: self.message_id.to_string(),
            parent: None,
            peer: self.chat.id.to_string(),
            reply_to: reply.map(|reply| reply.message_id.to_string()),
            reply_to_bot: replied.is_some_and(|user| user.id == me.id),
            roles: Vec::new(),
            sender_id: from.id.to_string(),
            sender_name: from.name(),
            text: addressed(entities, text, me).to_owned(),
            thread: self.topic().map(|topic| topic.to_string()),
        })
    }

    fn topic(&self) -> Option<i64> {
        self.message_thread_id.filter(|_| self.is_topic_message)
    }

    /// Returns the message that is answered. In a topic, that is its first one if there is none.
    fn reply(&self) -> Option<&Replied> {
        let reply = self.reply_to_message.as_ref()?;
        (self.topic() != Some(reply.message_id)).then_some(reply)
    }

    fn media(&self) -> Vec<Media> {
        // The last size of a picture is the largest one, and an animation is also a document.
        let document = self.document.as_ref().filter(|_| self.animation.is_none());
        let files = [
            (self.photo.last(), MediaKind::Image),
            (self.animation.as_ref(), MediaKind::Video),
            (self.video.as_ref(), MediaKind::Video),
            (self.video_note.as_ref(), MediaKind::Video),
            (self.audio.as_ref(), MediaKind::Audio),
            (self.voice.as_ref(), MediaKind::Audio),
            (document, MediaKind::File),
        ];
        let media = |(file, kind): (Option<&File>, MediaKind)| {
            file.map(|file| Media {
                id: file.file_id.clone(),
                kind: if kind == MediaKind::File {
                    MediaKind::of(file.mime_type.as_deref())
                } else {
                    kind
                },
                mime: file.mime_type.clone(),
                name: file.file_name.clone(),
                size: file.file_size,
            })
        };
        files.into_iter().filter_map(media).collect()
    }
}

/// Whether an entity of a text names the bot.
fn names(entity: &Entity, text: &str, me: &Me) -> bool {
    let is_me = entity.user.as_ref().is_some_and(|user| user.id == me.id);
    if entity.kind == "text_mention" {
        return is_me;
    }
    let Some(name) = me.username.as_deref().filter(|name| !name.is_empty()) else { return false };
    // A command may be for one bot of several: `/start@that_bot`.
    if !matches!(entity.kind.as_str(), "mention" | "bot_command") {
        return false;
    }
    // Telegram counts in UTF-16.
    let units = text.encode_utf16().skip(entity.offset).take(entity.length).collect::<Vec<_>>();
    let words = String::from_utf16_lossy(&units);
    words.split_once('@').is_some_and(|(_, called)| called.eq_ignore_ascii_case(name))
}

/// Returns what a text says to the bot that it names at its beginning, so that a command can follow the name.
fn addressed<'a>(entities: &[Entity], text: &'a str, me: &Me) -> &'a str {
    let is_call = |entity: &&Entity| {
        entity.offset == 0 && entity.kind != "bot_command" && names(entity, text, me)
    };
    let Some(call) = entities.iter().find(is_call) else { return text };
    // Telegram counts in UTF-16.
    let mut units = 0_usize;
    let rest = text.trim_start_matches(|c: char| {
        units = units.saturating_add(c.len_utf16());
        units <= call.length
    });
    let said = rest.trim_start();
    // A name alone is what is said, and so is one that goes on, as in `@bot's`.
    if said.is_empty() || said.len() == rest.len() { text } else { said }
}

#[derive(Debug, Deserialize)]
struct Below {
    chat: Chat,
    #[serde(default)]
    is_topic_message: bool,
    message_id: i64,
    message_thread_id: Option<i64>,
}

/// The press of a button.
#[derive(Debug, Deserialize)]
pub(super) struct Callback {
    data: Option<String>,
    from: User,
    pub(super) id: String,
    message: Option<Below>,
}

impl Callback {
    /// Returns the press as every platform tells of one, if it says enough.
    pub(super) fn press(&self, account: &str) -> Option<ButtonPress> {
        let message = self.message.as_ref()?;
        let topic = message.message_thread_id.filter(|_| message.is_topic_message);
        Some(ButtonPress {
            account: account.to_owned(),
            channel: NAME.to_owned(),
            data: self.data.clone()?,
            kind: message.chat.kind(),
            message_id: Some(message.message_id.to_string()),
            parent: None,
            peer: message.chat.id.to_string(),
            press_id: self.id.clone(),
            sender_id: self.from.id.to_string(),
            sender_name: self.from.name(),
            thread: topic.map(|topic| topic.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_at_the_beginning_is_no_part_of_what_is_said() {
        let me = Me { first_name: "Bot".into(), id: 100, username: Some("the_bot".into()) };
        let mention = |length: usize| json!({ "type": "mention", "offset": 0, "length": length });
        let user = json!({ "id": 100, "first_name": "B\u{1f916}t", "is_bot": true });
        let named = json!({ "type": "text_mention", "offset": 0, "length": 4, "user": user });
        let command = json!({ "type": "bot_command", "offset": 0, "length": 15 });
        let later = json!({ "type": "mention", "offset": 3, "length": 8 });
        for (text, entity, said) in [
            ("@the_bot /status", mention(8), "/status"),
            ("@THE_BOT  hello", mention(8), "hello"),
            ("B\u{1f916}t /status", named, "/status"),
            ("@the_bot", mention(8), "@the_bot"),
            ("@the_bot's day", mention(8), "@the_bot's day"),
            ("@other /status", mention(6), "@other /status"),
            ("/status@the_bot now", command, "/status@the_bot now"),
            ("<3 @the_bot", later, "<3 @the_bot"),
        ] {
            let entities: Vec<Entity> = serde_json::from_value(json!([entity])).unwrap();
            assert_eq!(addressed(&entities, text, &me), said, "{text}");
        }
    }
}
