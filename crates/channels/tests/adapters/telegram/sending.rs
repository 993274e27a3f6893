//! What becomes of a message to Telegram.

use std::time::Duration;

use openclaw_channels::{
    Button, Channel as _, Identity, Part, PermanentKind, SendOutcome, Telegram, TelegramOptions,
    poll_limits,
};
use openclaw_config::Secret;
use openclaw_platforms::{Answer, Telegram as Platform, soon};
use openclaw_sessions::{Poll, PollDraft};
use serde_json::{Value, json};

use super::{PATIENT, adapter, adapter_with, hasty, part, to};

fn refused(text: &str) -> Answer {
    Answer::Refused { status: 400, text: text.to_owned() }
}

#[tokio::test]
async fn a_message_arrives_with_a_receipt() {
    let platform = Platform::start().await;
    let mut part = part("<b>hello</b>");
    part.reply_to = Some("77".to_owned());
    part.silent = true;
    part.buttons = vec![Button { data: "yes:1".to_owned(), label: "Yes".to_owned() }];
    let mut to = to("-1005");
    to.thread = Some("6".to_owned());
    let outcome = adapter(&platform).send(&to, &part, "key-1").await;
    let sent = platform.sent().remove(0);
    assert_eq!(outcome, SendOutcome::Sent { receipt: sent.id.clone() });
    assert_eq!((sent.chat.as_str(), sent.text.as_str()), ("-1005", "<b>hello</b>"));
    let field = |name: &str| sent.fields.get(name).map(String::as_str);
    let json = |name: &str| serde_json::from_str::<Value>(field(name).unwrap()).unwrap();
    assert_eq!(field("parse_mode"), Some("HTML"));
    assert_eq!(field("message_thread_id"), Some("6"));
    assert_eq!(field("disable_notification"), Some("true"));
    assert_eq!(
        json("reply_parameters"),
        json!({ "message_id": 77, "allow_sending_without_reply": true })
    );
    let button = json!({ "text": "Yes", "callback_data": "yes:1" });
    assert_eq!(json("reply_markup"), json!({ "inline_keyboard": [[button]] }));
}

#[tokio::test]
async fn the_general_topic_is_not_named() {
    let platform = Platform::start().await;
    let adapter = adapter(&platform);
    let mut to = to("-1005");
    to.thread = Some("1".to_owned());
    let outcome = adapter.send(&to, &part("x"), "k").await;
    assert!(matches!(outcome, SendOutcome::Sent { .. }));
    assert_eq!(platform.sent()[0].fields.get("message_thread_id"), None);
    // But where something is being written, it is.
    adapter.typing(&to).await;
    assert_eq!(platform.received("sendChatAction")[0].json()["message_thread_id"], 1);
}

#[tokio::test]
async fn media_is_sent_by_its_address() {
    let platform = Platform::start().await;
    let adapter = adapter(&platform);
    let media = |url: &str, text: &str| Part { media: Some(url.to_owned()), ..part(text) };
    let picture = "https://x.y/z.png";
    for part in [
        media(picture, "caption"),
        media("https://x.y/z.pdf", ""),
        media(picture, &"x".repeat(2000)),
    ] {
        let outcome = adapter.send(&to("42"), &part, "k").await;
        assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
    }
    let sent = platform.sent();
    let methods: Vec<&str> = sent.iter().map(|sent| sent.method.as_str()).collect();
    assert_eq!(methods, ["sendPhoto", "sendDocument", "sendMessage"]);
    assert_eq!(sent[0].fields.get("photo").map(String::as_str), Some(picture));
    assert_eq!(sent[0].text, "caption");
    // What is too long for a caption is a message with a link.
    assert!(sent[2].text.ends_with(picture));
    // And so is what Telegram does not want to show.
    platform.script("sendPhoto", [refused("Bad Request: failed to get HTTP URL content")]);
    let outcome = adapter.send(&to("42"), &media(picture, "caption"), "k").await;
    assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
    assert_eq!(platform.sent()[3].text, format!("caption\n{picture}"));
}

#[tokio::test]
async fn markup_that_is_not_taken_is_left_out() {
    let platform = Platform::start().await;
    let bad = refused("Bad Request: can't parse entities: Unsupported start tag \"x\" at byte 0");
    platform.script("sendMessage", [bad.clone()]);
    let part = Part { text: "<x>a".to_owned(), plain: "plain a".to_owned(), ..Part::default() };
    let adapter = adapter(&platform);
    let outcome = adapter.send(&to("42"), &part, "k").await;
    assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
    let sent = platform.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].text, "plain a");
    assert_eq!(sent[0].fields.get("parse_mode"), None);
    // If that is refused too, it is over.
    platform.script("sendMessage", [bad.clone(), bad]);
    let outcome = adapter.send(&to("42"), &part, "k").await;
    assert!(matches!(outcome, SendOutcome::Permanent { kind: PermanentKind::Invalid, .. }));
}

#[tokio::test]
async fn what_telegram_says_decides() {
    let platform = Platform::start().await;
    let adapter = adapter(&platform);
    let conflict = Answer::Status(409);
    let after = Duration::from_secs(7);
    #[rustfmt::skip]
    let table = [
        (Answer::Status(400),             "NotFound",       0),
        (Answer::Status(401),             "Auth",           0),
        (Answer::Status(403),             "Forbidden",      0),
        (refused("Bad Request: not enough rights to send text messages to the chat"),
                                          "Forbidden",      0),
        (refused("Bad Request: message thread not found"),
                                          "NotFound",       0),
        (refused("Bad Request: something new"), "Invalid",  0),
        (conflict,                        "retry None",     0),
        (Answer::RateLimited { after },   "retry Some(7s)", 0),
        (refused("what nobody has said before"), "unknown", 0),
        (Answer::AcceptThenClose,         "unknown",        1),
        (Answer::Malformed,               "unknown",        1),
        (Answer::Big(2 << 20),            "unknown",        1),
    ];
    for (answer, expected, sent) in table {
        platform.script("sendMessage", [answer.clone()]);
        let before = platform.sent().len();
        let outcome = soon(adapter.send(&to("42"), &part("x"), "k")).await;
        let said = match outcome {
            SendOutcome::Permanent { kind, .. } => format!("{kind:?}"),
            SendOutcome::Retry { after, .. } => format!("retry {after:?}"),
            SendOutcome::Sent { .. } => "sent".to_owned(),
            SendOutcome::Unknown { .. } => "unknown".to_owned(),
        };
        assert_eq!(said, expected, "{answer:?}");
        assert_eq!(platform.sent().len() - before, sent, "{answer:?}");
    }
    assert_eq!(adapter.replay_window(), None);
}

#[tokio::test]
async fn what_is_never_answered_is_unknown_in_time() {
    let platform = Platform::start().await;
    for answer in [Answer::HangAfterAccept, Answer::Status(502)] {
        platform.script("sendMessage", [answer]);
        let outcome = soon(hasty(&platform).send(&to("42"), &part("x"), "k")).await;
        assert!(matches!(outcome, SendOutcome::Unknown { .. }), "{outcome:?}");
    }
    platform.wait_for(1).await;
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let platform = Platform::start().await;
    let adapter = adapter(&platform);
    let url = platform.url();
    drop(platform);
    while tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_ok() {}
    let outcome = adapter.send(&to("42"), &part("x"), "k").await;
    let SendOutcome::Retry { after: None, error } = outcome else { panic!("{outcome:?}") };
    assert!(!error.contains(Platform::TOKEN), "{error}");
}

#[tokio::test]
//= docs/threat-model.md#T14
async fn the_token_is_checked_and_never_shown() {
    let platform = Platform::start().await;
    let me = adapter(&platform).check().await.unwrap();
    assert_eq!(me, Identity { id: "100".to_owned(), name: "test_bot".to_owned() });
    let adapter = adapter_with(&platform, "1:very-secret", PATIENT);
    let outcome = adapter.check().await.unwrap_err();
    assert!(
        matches!(outcome, SendOutcome::Permanent { kind: PermanentKind::Auth, .. }),
        "{outcome:?}"
    );
    // The token is part of every address that the library asks.
    platform.script("getMe", [Answer::AcceptThenClose]);
    let broken = adapter.check().await.unwrap_err();
    assert!(!format!("{outcome:?} {broken:?} {adapter:?}").contains("very-secret"));
    let bad = TelegramOptions::new("main", Secret::new("1:a/../b".to_owned()));
    assert!(Telegram::new(bad).is_err());
}

#[tokio::test]
async fn a_poll_is_refused_for_good_or_for_now_as_a_message_is() {
    let platform = Platform::start().await;
    let draft = PollDraft {
        question: "Lunch?".to_owned(),
        options: vec!["Pizza".to_owned(), "Soup".to_owned()],
        ..PollDraft::default()
    };
    let poll = Poll::parse(&draft, poll_limits(openclaw_config::Platform::Telegram)).unwrap();
    let part = Part { poll: Some(poll), ..Part::default() };
    platform.script(
        "sendPoll",
        [
            refused("Bad Request: not enough rights to send polls to the chat"),
            refused("Bad Request: poll can't be sent"),
            Answer::RateLimited { after: Duration::from_secs(3) },
            Answer::Status(500),
        ],
    );
    let adapter = adapter(&platform);
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        outcomes.push(adapter.send(&to("1"), &part, "k").await);
    }
    let [forbidden, invalid, limited, unknown, sent] = outcomes.try_into().unwrap();
    for (outcome, kind) in
        [(forbidden, PermanentKind::Forbidden), (invalid, PermanentKind::Invalid)]
    {
        let SendOutcome::Permanent { kind: told, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(told, kind);
    }
    assert!(matches!(limited, SendOutcome::Retry { after: Some(_), .. }), "{limited:?}");
    assert!(matches!(unknown, SendOutcome::Unknown { .. }), "{unknown:?}");
    assert_eq!(sent, SendOutcome::Sent { receipt: platform.sent()[0].id.clone() });
}
