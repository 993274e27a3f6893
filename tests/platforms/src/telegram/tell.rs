//! What people write and press on Telegram, as it tells of it.

use openclaw_scopes::Timestamp;
use serde_json::{Value, json};

use super::{BOT, NAME};

/// A message of somebody.
#[derive(Clone, Debug)]
pub struct Tell {
    at: Timestamp,
    author: i64,
    chat: i64,
    extra: Vec<(&'static str, Value)>,
    is_bot: bool,
    kind: &'static str,
    text: Option<String>,
}

impl Tell {
    /// A direct message of a person.
    pub fn direct(author: i64, text: &str) -> Self {
        let text = Some(text.to_owned());
        Self {
            at: Timestamp::from_millis(1_700_000_000_000),
            author,
            chat: author,
            extra: Vec::new(),
            is_bot: false,
            kind: "private",
            text,
        }
    }

    /// A message of a person in a group.
    pub fn in_group(chat: i64, author: i64, text: &str) -> Self {
        Self { chat, kind: "supergroup", ..Self::direct(author, text) }
    }

    /// It is written at a time; Telegram tells of whole seconds.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// It is written by a bot.
    #[must_use]
    pub fn by_a_bot(mut self) -> Self {
        self.is_bot = true;
        self
    }

    /// It stands in a topic, and as Telegram does it, answers the topic's first message.
    #[must_use]
    pub fn in_topic(self, topic: i64) -> Self {
        self.with("message_thread_id", json!(topic))
            .with("is_topic_message", json!(true))
            .with("reply_to_message", json!({ "message_id": topic, "chat": {}, "date": 1 }))
    }

    /// It answers a message of somebody.
    #[must_use]
    pub fn answering(self, message: i64, author: i64) -> Self {
        let from = user(author, author == BOT);
        self.with("reply_to_message", json!({ "message_id": message, "from": from, "date": 1 }))
    }

    /// It names the bot at the end of its text.
    #[must_use]
    pub fn mentioning_the_bot(mut self) -> Self {
        let text = self.text.take().unwrap_or_default();
        let offset = text.encode_utf16().count() + 1;
        self.text = Some(format!("{text} @{NAME}"));
        let entity = json!({ "type": "mention", "offset": offset, "length": NAME.len() + 1 });
        self.with("entities", json!([entity]))
    }

    /// It is a picture with the text below it.
    #[must_use]
    pub fn with_picture(mut self, id: &str) -> Self {
        let caption = self.text.take().unwrap_or_default();
        let size = |id: &str, width: u32| {
            json!({
                "file_id": id, "file_unique_id": id, "file_size": 12, "height": 1, "width": width,
            })
        };
        self.with("caption", json!(caption)).with("photo", json!([size("small", 1), size(id, 2)]))
    }

    /// It has a field that is set as said.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.extra.push((name, value));
        self
    }

    pub(super) fn message(&self, id: i64) -> Value {
        let mut message = json!({
            "chat": chat(self.chat, self.kind), "date": self.at.as_millis().div_euclid(1000),
            "from": user(self.author, self.is_bot), "message_id": id,
        });
        if let Some(text) = &self.text {
            message["text"] = json!(text);
        }
        for (name, value) in &self.extra {
            message[*name] = value.clone();
        }
        message
    }
}

/// Returns the press of a button below a message.
pub(super) fn press(id: &str, chat_id: i64, by: i64, message: i64, data: &str) -> Value {
    let kind = if chat_id == by { "private" } else { "supergroup" };
    json!({
        "chat_instance": "1", "data": data, "from": user(by, false), "id": id,
        "message": {
            "chat": chat(chat_id, kind), "date": 1, "from": user(BOT, true),
            "message_id": message, "text": "choose",
        },
    })
}

/// Returns a message that the bot sent.
pub(super) fn sent(id: i64, chat_id: &str, text: &str) -> Value {
    let chat_id = chat_id.parse().unwrap_or(1);
    json!({
        "chat": chat(chat_id, "private"), "date": 1_700_000_000, "from": user(BOT, true),
        "message_id": id, "text": text,
    })
}

fn chat(id: i64, kind: &str) -> Value {
    json!({ "first_name": "Name", "id": id, "title": "Title", "type": kind })
}

fn user(id: i64, is_bot: bool) -> Value {
    json!({ "first_name": "Name", "id": id, "is_bot": is_bot, "last_name": id.to_string() })
}
