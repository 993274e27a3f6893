//! Deliveries as people read them.

use openclaw_client::v1::{Delivery, Poll, ReplyTarget};
use openclaw_proto::from_duration;

use crate::{json, length, screen, table};

/// Characters of a poll at most: all of any.
const MAX_POLL: usize = 2_000;

/// Returns what has become of a delivery, as a word.
pub(super) fn state(delivery: &Delivery) -> String {
    json::word(delivery.state().as_str_name(), "STATE_")
}

/// Returns where something goes, as it is written for `--target`, with the thread behind.
fn place(to: &ReplyTarget) -> String {
    let peer = &to.peer_id;
    let peer = match (to.channel.as_str(), to.peer_kind.as_str()) {
        ("discord", "direct") => format!("user:{peer}"),
        ("discord", _) => format!("channel:{peer}"),
        _ => peer.clone(),
    };
    match (to.channel.as_str(), to.thread_id.as_str()) {
        (_, "") => peer,
        ("telegram", topic) => format!("{peer}:topic:{topic}"),
        (_, thread) => format!("{peer} thread {thread}"),
    }
}

/// Returns the rows of a list of deliveries.
pub(super) fn rows(deliveries: &[Delivery]) -> String {
    let now = jiff::Timestamp::now();
    let rows = deliveries.iter().map(|delivery| {
        let to = delivery.to.clone().unwrap_or_default();
        vec![
            delivery.id.clone(),
            to.channel.clone(),
            screen::shortened(&place(&to), 40),
            state(delivery),
            delivery.attempts.to_string(),
            table::ago(delivery.created_at.as_ref(), now),
            screen::shortened(&delivery.error, 40),
            screen::shortened(&delivery.text, 40),
        ]
    });
    table::columns(&["ID", "CHANNEL", "TO", "STATE", "TRIED", "WRITTEN", "ERROR", "TEXT"], rows)
}

/// Returns how people vote in a poll.
fn manner(poll: &Poll) -> String {
    let choice =
        if poll.max_selections() == 1 { "one option each" } else { "any number of options" };
    let votes = if poll.is_anonymous() { "anonymous" } else { "public" };
    let open = poll.duration.as_ref().and_then(from_duration);
    let open = open.map(|open| format!(", open for {}", length::show(open))).unwrap_or_default();
    let noise = if poll.silent { ", silent" } else { "" };
    format!("{choice}, {votes}{open}{noise}")
}

/// Returns all about a delivery.
pub(super) fn facts(delivery: &Delivery) -> String {
    let now = jiff::Timestamp::now();
    let to = delivery.to.clone().unwrap_or_default();
    let poll = delivery.poll.as_ref();
    let parts = match (delivery.parts, delivery.receipts.len()) {
        (0, _) => String::new(),
        (parts, arrived) => format!("{arrived} of {parts} arrived"),
    };
    table::facts(&[
        ("id", delivery.id.clone()),
        ("state", state(delivery)),
        ("error", delivery.error.clone()),
        ("channel", to.channel.clone()),
        ("account", to.account_id.clone()),
        ("to", place(&to)),
        ("text", screen::shortened(&delivery.text, if poll.is_some() { MAX_POLL } else { 200 })),
        ("poll", poll.map(manner).unwrap_or_default()),
        ("media", delivery.media_url.clone()),
        ("of", delivery.source.clone()),
        ("session", delivery.session_key.clone()),
        ("on behalf of", delivery.on_behalf_of.clone()),
        ("parts", parts),
        ("receipts", delivery.receipts.join(" ")),
        ("tried", delivery.attempts.to_string()),
        ("next", table::ago(delivery.next_at.as_ref(), now)),
        ("written", table::ago(delivery.created_at.as_ref(), now)),
        ("settled", table::ago(delivery.settled_at.as_ref(), now)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn places_as_they_are_written() {
        for (channel, kind, peer, thread, expected) in [
            ("discord",  "channel", "123",       "",  "channel:123"),
            ("discord",  "channel", "123",       "7", "channel:123 thread 7"),
            ("discord",  "direct",  "9",         "",  "user:9"),
            ("telegram", "direct",  "42",        "",  "42"),
            ("telegram", "group",   "-100123",   "7", "-100123:topic:7"),
            ("webhook",  "direct",  "https://x", "",  "https://x"),
        ] {
            let to = ReplyTarget {
                channel: channel.into(),
                peer_kind: kind.into(),
                peer_id: peer.into(),
                thread_id: thread.into(),
                ..ReplyTarget::default()
            };
            assert_eq!(place(&to), expected);
        }
    }
}
