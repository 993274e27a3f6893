//! What becomes of a message to Discord.

use std::time::Duration;

use openclaw_channels::{
    Button, Channel as _, Identity, Part, PermanentKind, SendOutcome, poll_limits,
};
use openclaw_platforms::{Answer, Discord, soon};
use openclaw_sessions::{ChatType, Poll, PollDraft};
use serde_json::{Value, json};

use super::{PATIENT, adapter, adapter_with, hasty, part, to};

#[tokio::test]
async fn a_message_arrives_with_a_receipt() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let mut part = part("hello @everyone");
    part.reply_to = Some("77".to_owned());
    part.silent = true;
    part.buttons = vec![Button { data: "yes:1".to_owned(), label: "Yes".to_owned() }];
    let outcome = adapter.send(&to("5", ChatType::Channel), &part, "key-1").await;
    let sent = platform.sent().remove(0);
    assert_eq!(outcome, SendOutcome::Sent { receipt: sent.id });
    assert_eq!((sent.channel.as_str(), sent.text.as_str()), ("5", "hello @everyone"));
    assert_eq!(sent.reply_to.as_deref(), Some("77"));
    assert_eq!(sent.body["allowed_mentions"], json!({ "parse": [], "replied_user": false }));
    assert_eq!(sent.body["enforce_nonce"], true);
    assert_eq!(sent.body["flags"], 4096);
    assert_eq!(sent.body["components"][0]["components"][0]["custom_id"], "yes:1");
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_poll_is_sent_once_under_its_key() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let draft = PollDraft {
        question: "Lunch?".to_owned(),
        options: vec!["Pizza".to_owned(), "Soup".to_owned()],
        ..PollDraft::default()
    };
    let poll = Poll::parse(&draft, poll_limits(openclaw_config::Platform::Discord)).unwrap();
    let part = Part { poll: Some(poll), ..Part::default() };
    platform.script("create_message", [Answer::AcceptThenClose]);
    let to = to("5", ChatType::Channel);
    let first = adapter.send(&to, &part, "key-1").await;
    assert!(matches!(first, SendOutcome::Unknown { .. }), "{first:?}");
    let again = adapter.send(&to, &part, "key-1").await;
    let [sent] = platform.sent().try_into().unwrap();
    assert_eq!(again, SendOutcome::Sent { receipt: sent.id });
    assert_eq!(sent.body["poll"]["question"], json!({ "text": "Lunch?" }));
    assert_eq!(sent.body["poll"]["duration"], Value::Null, "Discord has its own");
}

#[tokio::test]
async fn a_destination_is_a_channel_a_thread_or_a_person() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let mut thread = to("5", ChatType::Channel);
    thread.thread = Some("6".to_owned());
    for to in [
        to("5", ChatType::Channel),
        thread,
        to("42", ChatType::Direct),
        to("user:42", ChatType::Channel),
        to("channel:7", ChatType::Direct),
    ] {
        let outcome = adapter.send(&to, &part("x"), &format!("{to:?}")).await;
        assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
    }
    let channels: Vec<String> = platform.sent().into_iter().map(|sent| sent.channel).collect();
    assert_eq!(channels, ["5", "6", "942", "942", "7"]);
    // The conversation with a person is looked up once.
    assert_eq!(platform.received("create_dm").len(), 1);
    for peer in ["", "0", "general", "../users/@me", "user:x"] {
        let outcome = adapter.send(&to(peer, ChatType::Channel), &part("x"), "k").await;
        assert!(matches!(outcome, SendOutcome::Permanent { .. }), "{peer}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_discord_says_decides() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let refused = |status| Answer::Refused { status, text: "no".to_owned() };
    #[rustfmt::skip]
    let table = [
        (Answer::Status(400),      "Invalid",   0),
        (Answer::Status(403),      "Forbidden", 0),
        (Answer::Status(404),      "NotFound",  0),
        (refused(409),             "Invalid",   0),
        (Answer::Redirect { to: platform.url() }, "Invalid", 0),
        (Answer::Status(500),      "unknown",   0),
        (Answer::Status(502),      "unknown",   0),
        (Answer::Status(504),      "unknown",   0),
        (Answer::AcceptThenClose,  "unknown",   1),
        (Answer::Malformed,        "unknown",   1),
        (Answer::Big(2 << 20),     "unknown",   1),
    ];
    for (index, (answer, expected, sent)) in table.into_iter().enumerate() {
        platform.script("create_message", [answer.clone()]);
        let before = platform.sent().len();
        let key = format!("key-{index}");
        let outcome = soon(adapter.send(&to("5", ChatType::Channel), &part("x"), &key)).await;
        let said = match outcome {
            SendOutcome::Permanent { kind, .. } => format!("{kind:?}"),
            SendOutcome::Retry { .. } => "retry".to_owned(),
            SendOutcome::Sent { .. } => "sent".to_owned(),
            SendOutcome::Unknown { .. } => "unknown".to_owned(),
        };
        assert_eq!(said, expected, "{answer:?}");
        assert_eq!(platform.sent().len() - before, sent, "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_never_answered_is_unknown_in_time() {
    let platform = Discord::start().await;
    platform.script("create_message", [Answer::HangAfterAccept]);
    let to = to("5", ChatType::Channel);
    let outcome = soon(hasty(&platform).send(&to, &part("x"), "k")).await;
    assert!(matches!(outcome, SendOutcome::Unknown { .. }), "{outcome:?}");
    platform.wait_for(1).await;
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn an_unknown_outcome_is_sent_again_without_a_second_message() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    platform.script("create_message", [Answer::AcceptThenClose]);
    let to = to("5", ChatType::Channel);
    let first = adapter.send(&to, &part("x"), "key").await;
    assert!(matches!(first, SendOutcome::Unknown { .. }), "{first:?}");
    let second = adapter.send(&to, &part("x"), "key").await;
    let sent = platform.sent();
    assert_eq!(second, SendOutcome::Sent { receipt: sent[0].id.clone() });
    assert_eq!(sent.len(), 1);
    assert!(adapter.replay_window().is_some());
}

#[tokio::test]
async fn a_rate_limit_is_told_and_kept() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let after = Duration::from_millis(300);
    platform.script("create_message", [Answer::RateLimited { after }]);
    let limited = to("5", ChatType::Channel);
    let outcome = adapter.send(&limited, &part("x"), "k").await;
    let SendOutcome::Retry { after: Some(told), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(told, after);
    // Until then Discord is not asked for this channel, but for another one.
    let outcome = adapter.send(&limited, &part("x"), "k").await;
    let SendOutcome::Retry { after: Some(told), .. } = outcome else { panic!("{outcome:?}") };
    assert!(told <= after);
    let other = adapter.send(&to("6", ChatType::Channel), &part("x"), "k2").await;
    assert!(matches!(other, SendOutcome::Sent { .. }));
    assert_eq!(platform.received("create_message").len(), 2);
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let url = platform.url();
    drop(platform);
    let address = url.strip_prefix("http://").unwrap();
    while tokio::net::TcpStream::connect(address).await.is_ok() {}
    let outcome = adapter.send(&to("5", ChatType::Channel), &part("x"), "k").await;
    assert!(matches!(outcome, SendOutcome::Retry { after: None, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_conversation_that_cannot_be_opened_is_no_unknown_message() {
    let platform = Discord::start().await;
    let adapter = hasty(&platform);
    platform.script("create_dm", [Answer::HangAfterAccept, Answer::Malformed]);
    for _ in 0..2 {
        let outcome = soon(adapter.send(&to("42", ChatType::Direct), &part("x"), "k")).await;
        assert!(matches!(outcome, SendOutcome::Retry { .. }), "{outcome:?}");
    }
    assert!(platform.sent().is_empty());
}

#[tokio::test]
//= docs/threat-model.md#T14
async fn the_token_is_checked_and_never_shown() {
    let platform = Discord::start().await;
    let me = adapter(&platform).check().await.unwrap();
    assert_eq!(me, Identity { id: "100".to_owned(), name: "user100".to_owned() });
    let adapter = adapter_with(&platform, "Bot very-secret", PATIENT);
    let outcome = adapter.check().await.unwrap_err();
    assert!(
        matches!(outcome, SendOutcome::Permanent { kind: PermanentKind::Auth, .. }),
        "{outcome:?}"
    );
    assert!(!format!("{outcome:?} {adapter:?}").contains("very-secret"));
}

#[tokio::test]
async fn typing_is_shown_and_harms_nobody() {
    let platform = Discord::start().await;
    let adapter = hasty(&platform);
    platform.script("typing", [Answer::Normal, Answer::Status(500), Answer::HangAfterAccept]);
    for _ in 0..3 {
        soon(adapter.typing(&to("5", ChatType::Channel))).await;
    }
    assert_eq!(platform.received("typing").len(), 3);
}
