//! What is heard from Telegram.

use std::sync::Arc;
use std::time::Duration;

use openclaw_channels::{ListenEnd, MediaKind};
use openclaw_platforms::{Answer, Telegram, Tell};
use openclaw_scopes::Timestamp;
use openclaw_sessions::ChatType;
use serde_json::json;

use super::{PATIENT, adapter, adapter_with};
use crate::ears::{Ears, Listening};

async fn listening(platform: &Telegram) -> Listening {
    let listening = Listening::to(adapter(platform));
    listening.ears.connected(1).await;
    listening
}

#[tokio::test]
async fn a_message_is_heard_with_all_that_matters() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    platform.say(&Tell::direct(42, "look").with_picture("large"));
    let answer = Tell::in_group(-1005, 43, "héllo 👋").answering(77, 100).mentioning_the_bot();
    let id = platform.say(&answer);
    platform.say(&Tell::in_group(-1005, 43, "in a topic").in_topic(9));
    let messages = listening.ears.messages(3).await;

    let first = &messages[0];
    assert_eq!((first.kind, first.peer.as_str()), (ChatType::Direct, "42"));
    assert_eq!((first.sender_id.as_str(), first.sender_name.as_str()), ("42", "Name 42"));
    assert_eq!((first.text.as_str(), first.media[0].kind), ("look", MediaKind::Image));
    assert_eq!((first.media[0].id.as_str(), first.media[0].size), ("large", Some(12)));
    assert_eq!((first.is_mention, first.reply_to_bot), (false, false));
    assert_eq!(first.at, Timestamp::from_millis(1_700_000_000_000));

    let second = &messages[1];
    assert_eq!((second.kind, second.peer.as_str()), (ChatType::Group, "-1005"));
    assert_eq!((second.message_id.clone(), second.account.as_str()), (id, "main"));
    assert_eq!((second.is_mention, second.reply_to_bot), (true, true));
    assert_eq!((second.reply_to.as_deref(), second.thread.as_deref()), (Some("77"), None));

    let third = &messages[2];
    assert_eq!((third.thread.as_deref(), third.reply_to.as_deref()), (Some("9"), None));
    platform.all_confirmed().await;
    listening.stop().await;
}

#[tokio::test]
async fn only_what_is_taken_is_confirmed() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    listening.ears.refuse(3);
    for text in ["one", "two", "three"] {
        platform.say(&Tell::direct(42, text));
    }
    assert_eq!(listening.ears.texts(3).await, ["one", "two", "three"]);
    listening.ears.offers(6).await;
    platform.all_confirmed().await;
    listening.stop().await;
}

#[tokio::test]
async fn what_was_not_taken_before_a_crash_comes_again() {
    let platform = Telegram::start().await;
    let ears = Arc::new(Ears::default());
    ears.refuse(usize::MAX / 2);
    let listening = Listening::with(adapter(&platform), Arc::clone(&ears));
    ears.connected(1).await;
    platform.say(&Tell::direct(42, "one"));
    ears.offers(2).await;
    listening.crash().await;
    assert_eq!(platform.unconfirmed(), 1);
    let listening = self::listening(&platform).await;
    assert_eq!(listening.ears.texts(1).await, ["one"]);
    platform.all_confirmed().await;
}

#[tokio::test]
async fn what_comes_twice_is_offered_twice() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    let id = platform.say(&Tell::direct(42, "one"));
    listening.ears.texts(1).await;
    platform.all_confirmed().await;
    platform.repeat();
    let messages = listening.ears.messages(2).await;
    assert!(messages.iter().all(|message| message.message_id == id));
    platform.say(&Tell::direct(42, "two"));
    assert_eq!(listening.ears.texts(3).await, ["one", "one", "two"]);
}

#[tokio::test]
async fn numbers_that_begin_anew_hide_nothing() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    platform.say(&Tell::direct(42, "one"));
    listening.ears.texts(1).await;
    platform.all_confirmed().await;
    // The question that confirmed it is answered with nothing, and the next one names no number.
    let asked = platform.received("getUpdates").len();
    platform.wait_for_call("getUpdates", asked + 1).await;
    platform.count_from(3);
    platform.say(&Tell::direct(42, "two"));
    assert_eq!(listening.ears.texts(2).await, ["one", "two"]);
    platform.all_confirmed().await;
}

#[tokio::test]
async fn what_nobody_says_is_not_heard() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    platform.say(&Tell::direct(44, "of a bot").by_a_bot());
    platform.happen(&json!({ "edited_message": {} }));
    platform.say(&Tell::direct(42, "").with("new_chat_title", json!("title")));
    platform.say(&Tell::direct(42, "of a person"));
    assert_eq!(listening.ears.texts(1).await, ["of a person"]);
    platform.all_confirmed().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_skipped() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    platform.happen(&json!({ "message": { "some": "fields are missing" } }));
    platform.happen(&json!({ "what": "nobody knows" }));
    platform.happen(&json!({ "callback_query": 7 }));
    platform.script("getUpdates", [Answer::Malformed]);
    platform.say(&Tell::direct(42, "still here").with(
        "entities",
        json!([{ "type": "new",
        "offset": 0, "length": 999 }]),
    ));
    assert_eq!(listening.ears.texts(1).await, ["still here"]);
    platform.all_confirmed().await;
}

#[tokio::test]
async fn a_platform_that_is_away_is_asked_again() {
    let platform = Telegram::start().await;
    let after = Duration::ZERO;
    platform.script("getMe", [Answer::AcceptThenClose, Answer::RateLimited { after }]);
    platform.script(
        "getUpdates",
        [
            Answer::Status(409),
            Answer::AcceptThenClose,
            Answer::RateLimited { after },
            Answer::Status(403),
        ],
    );
    let listening = Listening::to(adapter(&platform));
    listening.ears.lost(6).await;
    platform.say(&Tell::direct(42, "one"));
    assert_eq!(listening.ears.texts(1).await, ["one"]);
    listening.ears.connected(2).await;
    listening.stop().await;
}

#[tokio::test]
async fn a_bad_token_ends_it() {
    let platform = Telegram::start().await;
    let listening = Listening::to(adapter_with(&platform, "1:wrong", PATIENT));
    assert!(matches!(listening.end().await, ListenEnd::Fatal { .. }));
    // A token that is revoked later ends it too.
    platform.script("getUpdates", [Answer::Status(401)]);
    let listening = Listening::to(adapter(&platform));
    assert!(matches!(listening.end().await, ListenEnd::Fatal { .. }));
}

#[tokio::test]
async fn a_press_is_heard_before_it_is_answered() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    listening.ears.refuse(1);
    let id = platform.press(-1005, 42, 77, "yes:1");
    let press = listening.ears.presses(1).await.remove(0);
    assert_eq!((press.press_id.as_str(), press.data.as_str()), (id.as_str(), "yes:1"));
    assert_eq!((press.sender_id.as_str(), press.peer.as_str()), ("42", "-1005"));
    assert_eq!(press.message_id.as_deref(), Some("77"));
    platform.wait_for_call("answerCallbackQuery", 1).await;
    let answered = platform.received("answerCallbackQuery")[0].json();
    assert_eq!(answered, json!({ "callback_query_id": id }));
    platform.all_confirmed().await;
}

#[tokio::test]
async fn it_asks_only_for_what_it_reads() {
    let platform = Telegram::start().await;
    let listening = listening(&platform).await;
    platform.wait_for_call("getUpdates", 1).await;
    let asked = platform.received("getUpdates")[0].json();
    assert_eq!(asked["allowed_updates"], json!(["message", "callback_query"]));
    assert_eq!(asked["timeout"], 1);
    listening.stop().await;
}
