//! One part of a message as Telegram wants it.

use openclaw_sessions::{Ballot, Choice, Poll};
use serde_json::{Value, json};

use crate::port::{Button, Destination, Part, PermanentKind, SendOutcome};
use crate::text::{Dialect, units};

use super::api::Body;

/// What separates a group from its topic.
const TOPIC: &str = ":topic:";

/// The topic that every forum has; a message to it may not name it.
const GENERAL: i64 = 1;

/// Buttons in a row.
const ROW: usize = 3;

/// Buttons below a message.
const MAX_BUTTONS: usize = 100;

/// The most bytes that come back when a button is pressed.
const MAX_DATA: usize = 64;

/// A chat, and the topic in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chat {
    id: Value,
    topic: Option<i64>,
}

impl Chat {
    /// Reads a destination: the id of a chat or `@name` of a public one, and a topic.
    pub(super) fn parse(to: &Destination) -> Result<Self, SendOutcome> {
        let (chat, topic) = match to.peer.split_once(TOPIC) {
            Some((chat, topic)) => (chat, Some(topic)),
            None => (to.peer.as_str(), None),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let id = match (chat.parse::<i64>(), chat.strip_prefix('@')) {
            (Ok(id), _) => id.into(),
            (Err(_), Some(name)) if is_name(name) => chat.into(),
            (Err(_), _) => return Err(invalid("the destination is not a chat on Telegram")),
        };
        let topic = match to.thread.as_deref().or(topic) {
            None => None,
            Some(text) => {
                let topic = text.parse::<i64>();
                Some(topic.map_err(|_bad| invalid("the thread is not a topic on Telegram"))?)
            }
        };
        Ok(Self { id, topic })
    }

    /// Returns the same chat under another id.
    pub(super) fn moved(self, id: i64) -> Self {
        Self { id: id.into(), ..self }
    }
}

/// In which form a part is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As text with markup; media is a link in it.
    Link,
    /// As media with a caption.
    Media,
    /// As text without markup; media is a link in it.
    Plain,
    /// As text with markup.
    Text,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Animation,
    Document,
    Message,
    Photo,
    Poll,
}

/// Composes a message.
pub(super) fn message(chat: &Chat, part: &Part, form: Form) -> Result<(Method, Body), SendOutcome> {
    let mut body = addressed(chat, part)?;
    if let Some(poll) = &part.poll {
        ask(&mut body, poll);
        return Ok((Method::Poll, body));
    }
    let mut text = if form == Form::Plain { part.plain.clone() } else { part.text.clone() };
    let media = part.media.as_deref();
    if media.is_some_and(|url| !url.starts_with("https://")) {
        return Err(invalid("media is not an https address"));
    }
    if let Some(url) = media.filter(|_| form != Form::Media) {
        let separator = if text.is_empty() { "" } else { "\n" };
        text.extend([separator, &if form == Form::Plain { url.to_owned() } else { escape(url) }]);
    }
    let (method, field, limit) = match media.filter(|_| form == Form::Media) {
        None => (Method::Message, "text", Dialect::TelegramHtml.limit()),
        Some(url) => {
            let (method, name) = method(url);
            body.insert(name.to_owned(), url.into());
            (method, "caption", Dialect::TelegramHtml.caption_limit())
        }
    };
    if text.is_empty() && method == Method::Message {
        return Err(invalid("the message is empty"));
    }
    if units(&text) > limit {
        return Err(invalid("the text is longer than a message"));
    }
    if !text.is_empty() {
        body.insert(field.to_owned(), text.into());
        if form != Form::Plain {
            body.insert("parse_mode".to_owned(), "HTML".into());
        }
    }
    if !part.buttons.is_empty() {
        body.insert("reply_markup".to_owned(), keyboard(&part.buttons)?);
    }
    Ok((method, body))
}

/// Composes what a message has whatever it says: where it goes, what it answers, and whether it is heard.
fn addressed(chat: &Chat, part: &Part) -> Result<Body, SendOutcome> {
    let mut body = Body::new();
    body.insert("chat_id".to_owned(), chat.id.clone());
    if let Some(topic) = chat.topic.filter(|topic| *topic != GENERAL) {
        body.insert("message_thread_id".to_owned(), topic.into());
    }
    if let Some(id) = &part.reply_to {
        let id = id.parse::<i64>().map_err(|_bad| invalid("the message answers no message"))?;
        // What is answered may be gone by now; the answer is wanted all the same.
        let reply = json!({ "message_id": id, "allow_sending_without_reply": true });
        body.insert("reply_parameters".to_owned(), reply);
    }
    if part.silent {
        body.insert("disable_notification".to_owned(), true.into());
    }
    Ok(body)
}

/// Puts a poll into a message.
fn ask(body: &mut Body, poll: &Poll) {
    let options = poll.options().iter().map(|text| json!({ "text": text }));
    body.insert("question".to_owned(), poll.question().into());
    body.insert("options".to_owned(), options.collect());
    body.insert("is_anonymous".to_owned(), (poll.ballot() == Ballot::Anonymous).into());
    body.insert("allows_multiple_answers".to_owned(), (poll.choice() == Choice::Any).into());
    if let Some(open) = poll.open() {
        body.insert("open_period".to_owned(), open.as_secs().into());
    }
}

/// Composes the sign that something is being written.
pub(super) fn typing(chat: &Chat) -> Body {
    let mut body = Body::new();
    body.insert("action".to_owned(), "typing".into());
    body.insert("chat_id".to_owned(), chat.id.clone());
    if let Some(topic) = chat.topic {
        body.insert("message_thread_id".to_owned(), topic.into());
    }
    body
}

/// Returns how a URL is sent, by what its path ends in: Telegram wants to be told.
fn method(url: &str) -> (Method, &'static str) {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    if ends(&[".jpg", ".jpeg", ".png", ".webp"]) {
        (Method::Photo, "photo")
    } else if ends(&[".gif"]) {
        (Method::Animation, "animation")
    } else {
        (Method::Document, "document")
    }
}

fn keyboard(buttons: &[Button]) -> Result<Value, SendOutcome> {
    let is_fit = |button: &Button| {
        !button.label.trim().is_empty() && !button.data.is_empty() && button.data.len() <= MAX_DATA
    };
    if buttons.len() > MAX_BUTTONS || !buttons.iter().all(is_fit) {
        return Err(invalid("the buttons are too many, empty or hold too much"));
    }
    let button = |button: &Button| json!({ "text": button.label, "callback_data": button.data });
    let row = |row: &[Button]| row.iter().map(button).collect::<Vec<_>>();
    Ok(json!({ "inline_keyboard": buttons.chunks(ROW).map(row).collect::<Vec<_>>() }))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn invalid(error: &str) -> SendOutcome {
    SendOutcome::Permanent { error: error.to_owned(), kind: PermanentKind::Invalid }
}

#[cfg(test)]
mod tests {
    use openclaw_sessions::ChatType;

    use super::*;

    #[test]
    fn destinations_are_chats_and_topics() {
        #[rustfmt::skip]
        let table = [
            ("42",             None,      Some((json!(42),        None))),
            ("-100123",        Some("7"), Some((json!(-100_123),  Some(7)))),
            ("-100123:topic:8", None,     Some((json!(-100_123),  Some(8)))),
            ("@news_1",        None,      Some((json!("@news_1"), None))),
            ("@",              None,      None),
            ("@a/b",           None,      None),
            ("news",           None,      None),
            ("42",             Some("x"), None),
        ];
        for (peer, thread, expected) in table {
            let to = Destination {
                account: String::new(),
                channel: "telegram".to_owned(),
                kind: ChatType::Group,
                peer: peer.to_owned(),
                thread: thread.map(str::to_owned),
            };
            let chat = Chat::parse(&to).ok().map(|chat| (chat.id, chat.topic));
            assert_eq!(chat, expected, "{peer}");
        }
    }

    #[test]
    fn media_is_sent_as_what_it_is() {
        for (url, expected) in [
            ("https://x.y/a.PNG?b=c", Method::Photo),
            ("https://x.y/a.gif", Method::Animation),
            ("https://x.y/a.pdf", Method::Document),
            ("https://x.y/a.pdf?b=.png", Method::Document),
        ] {
            assert_eq!(method(url).0, expected, "{url}");
        }
    }
}
