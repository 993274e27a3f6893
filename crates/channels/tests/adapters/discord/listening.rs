//! What is heard from Discord.

use std::time::Duration;

use openclaw_channels::{ListenEnd, MediaKind};
use openclaw_platforms::{Answer, Discord, Resumable, Say};
use openclaw_scopes::Timestamp;
use openclaw_sessions::ChatType;
use serde_json::json;

use super::{PATIENT, adapter, adapter_with};
use crate::ears::Listening;

fn direct(text: &str) -> Say {
    Say::direct("942", "42", text)
}

async fn listening(platform: &Discord) -> Listening {
    let listening = Listening::to(adapter(platform));
    listening.ears.connected(1).await;
    listening
}

#[tokio::test]
async fn a_message_is_heard_with_all_that_matters() {
    let platform = Discord::start().await;
    platform.add_thread("6", "5");
    let listening = listening(&platform).await;
    platform.say(&direct("hello").with_file("https://x.y/z.png", "z.png", "image/png", 12));
    let answer = Say::in_guild("1", "6", "43", "hi <@100>")
        .mentioning_the_bot()
        .answering("77", platform.bot_id())
        .with_role("8");
    let id = platform.say(&answer);
    let messages = listening.ears.messages(2).await;

    let first = &messages[0];
    assert_eq!((first.kind, first.peer.as_str()), (ChatType::Direct, "42"));
    assert_eq!((first.sender_id.as_str(), first.sender_name.as_str()), ("42", "Name 42"));
    assert_eq!((first.guild.as_ref(), first.parent.as_ref()), (None, None));
    assert_eq!((first.is_mention, first.reply_to_bot, first.is_bot), (false, false, false));
    assert_eq!(first.at, Timestamp::from_millis(1_767_323_045_678));
    assert_eq!(first.media[0].kind, MediaKind::Image);
    assert_eq!(first.media[0].id, "https://x.y/z.png");
    assert_eq!(first.media[0].size, Some(12));

    let second = &messages[1];
    assert_eq!((second.kind, second.peer.as_str()), (ChatType::Channel, "6"));
    assert_eq!((second.message_id.clone(), second.account.as_str()), (id, "main"));
    assert_eq!((second.guild.as_deref(), second.parent.as_deref()), (Some("1"), Some("5")));
    assert_eq!((second.is_mention, second.reply_to_bot), (true, true));
    assert_eq!(second.reply_to.as_deref(), Some("77"));
    assert_eq!(second.roles, ["8"]);
    listening.stop().await;
}

#[tokio::test]
async fn threads_that_the_gateway_tells_of_are_not_asked_for() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    let channel = json!({ "id": "5", "type": 0, "parent_id": "3" });
    let thread = json!({ "id": "6", "type": 11, "parent_id": "5" });
    platform.dispatch("GUILD_CREATE", &json!({ "id": "1", "channels": [channel], "threads": [] }));
    platform.dispatch("THREAD_CREATE", &thread);
    platform.say(&Say::in_guild("1", "5", "42", "in the channel"));
    platform.say(&Say::in_guild("1", "6", "42", "in the thread"));
    let messages = listening.ears.messages(2).await;
    let parents: Vec<_> = messages.iter().map(|message| message.parent.as_deref()).collect();
    assert_eq!(parents, [None, Some("5")]);
    assert!(platform.received("channel").is_empty());
}

#[tokio::test]
//= docs/threat-model.md#T35
async fn what_is_not_said_by_others_is_not_heard() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    platform.say(&direct("mine").by_itself());
    platform.say(&direct(""));
    platform.dispatch("MESSAGE_UPDATE", &json!({ "id": "1", "channel_id": "2" }));
    platform.say(&direct("of a bot").by_a_bot());
    let messages = listening.ears.messages(1).await;
    assert_eq!((messages[0].text.as_str(), messages[0].is_bot), ("of a bot", true));
}

#[tokio::test]
async fn what_cannot_be_read_is_skipped() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    platform.dispatch("MESSAGE_CREATE", &json!({ "id": "not a number" }));
    platform.dispatch("GUILD_CREATE", &json!([]));
    platform.send_raw("no json at all");
    platform.send_raw("{\"op\":0}");
    platform.send_raw("{\"op\":77,\"d\":null}");
    platform.say(&direct("still here"));
    assert_eq!(listening.ears.texts(1).await, ["still here"]);
    assert_eq!(platform.identifies_and_resumes(), (1, 0));
}

#[tokio::test]
async fn a_new_connection_loses_and_repeats_nothing() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    let mut expected = Vec::new();
    let mut say = |text: &str| {
        platform.say(&direct(text));
        expected.push(text.to_owned());
    };
    say("one");
    say("two");
    platform.ask_to_reconnect();
    say("three");
    platform.wait_for_resume(1).await;
    listening.ears.texts(3).await;
    platform.cut();
    say("four");
    say("five");
    platform.wait_for_resume(2).await;
    listening.ears.texts(5).await;
    platform.invalidate(Resumable::Yes);
    say("six");
    platform.wait_for_resume(3).await;
    platform.close(4000);
    say("seven");
    platform.wait_for_resume(4).await;
    assert_eq!(listening.ears.texts(7).await, expected);
    assert_eq!(platform.identifies_and_resumes(), (1, 4));
    listening.stop().await;
}

#[tokio::test]
async fn an_invalid_session_is_replaced() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    platform.say(&direct("one"));
    listening.ears.texts(1).await;
    platform.invalidate(Resumable::No);
    platform.wait_for_identify(2).await;
    listening.ears.connected(2).await;
    platform.say(&direct("two"));
    assert_eq!(listening.ears.texts(2).await, ["one", "two"]);
    assert_eq!(platform.identifies_and_resumes(), (2, 0));
}

#[tokio::test]
async fn it_shows_that_it_lives() {
    let platform = Discord::start().await;
    platform.set_heartbeat(Duration::from_millis(20));
    let listening = listening(&platform).await;
    platform.wait_for_heartbeat(3).await;
    platform.say(&direct("one"));
    assert_eq!(listening.ears.texts(1).await, ["one"]);
    assert_eq!(platform.identifies_and_resumes(), (1, 0));
}

#[tokio::test]
async fn a_bad_token_ends_it() {
    let platform = Discord::start().await;
    let listening = Listening::to(adapter_with(&platform, "wrong", PATIENT));
    let ListenEnd::Fatal { error } = listening.end().await else { panic!("it went on") };
    assert!(error.contains("4004"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_tried_again() {
    let platform = Discord::start().await;
    let adapter = adapter(&platform);
    let url = platform.gateway_url();
    drop(platform);
    while tokio::net::TcpStream::connect(url.strip_prefix("ws://").unwrap()).await.is_ok() {}
    let listening = Listening::to(adapter);
    listening.ears.lost(3).await;
    listening.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_offered_again_and_nothing_is_lost() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    listening.ears.refuse(3);
    platform.say(&direct("one"));
    platform.say(&direct("two"));
    assert_eq!(listening.ears.texts(2).await, ["one", "two"]);
    listening.ears.offers(5).await;
    listening.stop().await;
}

#[tokio::test]
async fn a_press_is_heard_before_it_is_answered() {
    let platform = Discord::start().await;
    let listening = listening(&platform).await;
    listening.ears.refuse(1);
    let id = platform.press("942", "42", "77", "yes:1");
    let press = listening.ears.presses(1).await.remove(0);
    assert_eq!((press.press_id, press.data.as_str()), (id, "yes:1"));
    assert_eq!((press.sender_id.as_str(), press.peer.as_str()), ("42", "42"));
    assert_eq!(press.message_id.as_deref(), Some("77"));
    platform.wait_for_route("callback", 1).await;
    assert_eq!(platform.received("callback")[0].json(), json!({ "type": 6 }));
    // An answer that fails stops nothing.
    platform.script("callback", [Answer::Status(404)]);
    platform.press("942", "42", "77", "no:1");
    platform.say(&direct("go on"));
    assert_eq!(listening.ears.texts(1).await, ["go on"]);
}
