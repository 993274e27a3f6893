//! One part of a message as Discord wants it.

use data_encoding::HEXLOWER;
use openclaw_sessions::{Choice, Poll};
use ring::digest;
use serde_json::{Map, Value, json};
use twilight_model::poll::PollLayoutType;

use crate::poll::HOUR;
use crate::port::{Button, Part, PermanentKind, SendOutcome};
use crate::text::{Dialect, units};

/// The longest nonce that Discord takes.
const MAX_NONCE: usize = 25;

/// Buttons in a row, and rows below a message.
const ROW: usize = 5;

/// The longest text on a button, in characters.
const MAX_LABEL: usize = 80;

/// The most bytes that come back when a button is pressed. Reason: it is the least of all platforms.
const MAX_DATA: usize = 64;

/// The message makes no noise.
const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;

/// Composes a message. Nobody is pinged by it, whatever its text says.
pub(super) fn message(part: &Part, key: &str) -> Result<Value, SendOutcome> {
    let mut body = Map::new();
    let mut content = part.text.clone();
    if let Some(url) = &part.media {
        if !url.starts_with("https://") {
            return Err(invalid("media is not an https address"));
        }
        // Discord shows what a link points to, as long as there is room for the link.
        let separator = if content.is_empty() { "" } else { "\n" };
        if units(&content).saturating_add(units(url)) < Dialect::Discord.limit() {
            content.extend([separator, url]);
        } else {
            body.insert("embeds".to_owned(), json!([{ "image": { "url": url } }]));
        }
    }
    if let Some(poll) = &part.poll {
        body.insert("poll".to_owned(), asked(poll));
    } else if content.is_empty() {
        return Err(invalid("the message is empty"));
    }
    if units(&content) > Dialect::Discord.limit() {
        return Err(invalid("the text is longer than a message"));
    }
    if !content.is_empty() {
        body.insert("content".to_owned(), content.into());
    }
    body.insert("allowed_mentions".to_owned(), json!({ "parse": [], "replied_user": false }));
    body.insert("nonce".to_owned(), nonce(key).into());
    body.insert("enforce_nonce".to_owned(), true.into());
    if let Some(id) = &part.reply_to {
        // What is answered may be gone by now; the answer is wanted all the same.
        let reference = json!({ "message_id": id, "fail_if_not_exists": false });
        body.insert("message_reference".to_owned(), reference);
    }
    if part.silent {
        body.insert("flags".to_owned(), SUPPRESS_NOTIFICATIONS.into());
    }
    if !part.buttons.is_empty() {
        body.insert("components".to_owned(), rows(&part.buttons)?);
    }
    Ok(body.into())
}

/// A poll, as one that is to be made: with a length instead of an end.
fn asked(poll: &Poll) -> Value {
    let answer = |text: &String| json!({ "poll_media": { "text": text } });
    let mut asked = json!({
        "question": { "text": poll.question() },
        "answers": poll.options().iter().map(answer).collect::<Vec<_>>(),
        "allow_multiselect": poll.choice() == Choice::Any,
        "layout_type": u8::from(PollLayoutType::Default),
    });
    if let (Some(open), Value::Object(fields)) = (poll.open(), &mut asked) {
        let hours = open.as_secs().checked_div(HOUR.as_secs());
        fields.insert("duration".to_owned(), hours.into());
    }
    asked
}

fn rows(buttons: &[Button]) -> Result<Value, SendOutcome> {
    let is_fit = |button: &Button| {
        !button.label.trim().is_empty() && !button.data.is_empty() && button.data.len() <= MAX_DATA
    };
    if buttons.len() > ROW.saturating_mul(ROW) || !buttons.iter().all(is_fit) {
        return Err(invalid("the buttons are too many, empty or hold too much"));
    }
    let button = |button: &Button| {
        let label: String = button.label.chars().take(MAX_LABEL).collect();
        json!({ "type": 2, "style": 2, "label": label, "custom_id": button.data })
    };
    let row = |row: &[Button]| json!({ "type": 1, "components": row.iter().map(button).collect::<Vec<_>>() });
    Ok(buttons.chunks(ROW).map(row).collect())
}

/// Returns the nonce of a key: the same for the same key, and of a length that Discord takes.
fn nonce(key: &str) -> String {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    HEXLOWER.encode(digest.as_ref()).chars().take(MAX_NONCE).collect()
}

fn invalid(error: &str) -> SendOutcome {
    SendOutcome::Permanent { error: error.to_owned(), kind: PermanentKind::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_is_a_link_or_else_an_embed() {
        let media = Some("https://x.y/z.png".to_owned());
        let part =
            |text: &str| Part { text: text.to_owned(), media: media.clone(), ..Part::default() };
        let content = |text: &str| message(&part(text), "k").unwrap()["content"].clone();
        assert_eq!(content(""), "https://x.y/z.png");
        assert_eq!(content("a"), "a\nhttps://x.y/z.png");
        let long = "x".repeat(2000);
        let body = message(&part(&long), "k").unwrap();
        assert_eq!(body["content"], long);
        assert_eq!(body["embeds"][0]["image"]["url"], "https://x.y/z.png");
        assert!(message(&part(&"x".repeat(2001)), "k").is_err());
        assert!(message(&Part::default(), "k").is_err());
        let file = Part { media: Some("file:///etc/passwd".to_owned()), ..part("a") };
        assert!(message(&file, "k").is_err());
    }

    #[test]
    fn the_nonce_is_that_of_the_key() {
        let nonces = ["a", "a", "b"].map(|key| {
            let part = Part { text: "x".to_owned(), ..Part::default() };
            message(&part, key).unwrap()["nonce"].as_str().unwrap().to_owned()
        });
        assert_eq!(nonces[0], nonces[1]);
        assert_ne!(nonces[0], nonces[2]);
        assert_eq!(nonces[0].len(), MAX_NONCE);
    }

    #[test]
    fn buttons_stand_in_rows() {
        let button = |data: &str| Button { data: data.to_owned(), label: "x".repeat(100) };
        let part = |buttons| Part { text: "x".to_owned(), buttons, ..Part::default() };
        let body = message(&part(vec![button("d"); 7]), "k").unwrap();
        assert_eq!(body["components"][0]["components"].as_array().unwrap().len(), 5);
        assert_eq!(body["components"][1]["components"].as_array().unwrap().len(), 2);
        assert!(message(&part(vec![button("d"); 26]), "k").is_err());
        assert!(message(&part(vec![button(&"d".repeat(65))]), "k").is_err());
    }
}
