//! Polls that leave the gateway: only what the platform takes, written first, sent once, with a receipt.

use openclaw_platforms::{Answer, Discord, Telegram};
use openclaw_proto::v1;
use openclaw_proto::v1::delivery::State;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Refusal, Setup, TestGateway};
use serde_json::{Value, json};
use tonic::Code;

use super::delivery::{delivered, on_discord, on_telegram};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn poll(question: &str, options: &[&str]) -> v1::Poll {
    v1::Poll {
        question: question.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..v1::Poll::default()
    }
}

fn lunch() -> v1::Poll {
    poll("Lunch?", &["Pizza", "Soup"])
}

fn open(seconds: i64) -> v1::Poll {
    v1::Poll { duration: Some(prost_types::Duration { seconds, nanos: 0 }), ..lunch() }
}

fn most(max_selections: u32) -> v1::Poll {
    v1::Poll { max_selections: Some(max_selections), ..poll("Lunch?", &["Pizza", "Soup", "Salad"]) }
}

fn request(key: &str, channel: &str, to: &str, poll: v1::Poll) -> v1::PollRequest {
    v1::PollRequest {
        idempotency_key: key.into(),
        channel: channel.into(),
        to: to.into(),
        poll: Some(poll),
        ..v1::PollRequest::default()
    }
}

async fn ask(client: &Client, request: v1::PollRequest) -> Result<v1::Delivery, Refusal> {
    Ok(client.messages().poll(request).await?.into_inner())
}

async fn listed(client: &Client) -> Vec<v1::Delivery> {
    let request = v1::ListDeliveriesRequest::default();
    client.messages().list(request).await.unwrap().into_inner().deliveries
}

/// A gateway that speaks on both.
async fn on_both(discord: &Discord, telegram: &Telegram) -> TestGateway {
    on_telegram(on_discord(discord), telegram).start().await
}

/// Whoever may not write is told so, whatever they ask; and nothing is written.
#[tokio::test]
async fn without_write_nothing_is_asked() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let wrong = poll("", &[]);
    for (channel, to, poll) in [
        ("telegram", "1", lunch()),
        ("telegram", "1", wrong.clone()),
        ("telegram", "nobody", lunch()),
        ("discord", "channel:1", lunch()),
        ("webhook", "https://a.example", wrong),
    ] {
        let refusal = ask(&reader, request("a", channel, to, poll)).await.unwrap_err();
        let told = (refusal.reason.as_str(), refusal.message.as_str());
        assert_eq!(told, ("MISSING_SCOPE", "missing scope: operator.write"), "{channel} {to}");
    }
    assert_eq!(listed(&gateway.owner().await).await, []);
    let writer = gateway.narrowed(&[Scope::Write]).await;
    let asked = ask(&writer, request("a", "telegram", "1", lunch())).await.unwrap();
    assert_eq!(delivered(&writer, &asked.id).await.state(), State::Sent);
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_poll_on_telegram_arrives_once() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let owner = gateway.owner().await;
    let asked = v1::Poll {
        max_selections: Some(2),
        is_anonymous: Some(false),
        silent: true,
        ..open(7 * DAY)
    };
    let asked = v1::PollRequest {
        reply_to_id: "77".into(),
        ..request("a", "telegram", "-100123:topic:7", asked)
    };
    let first = ask(&owner, asked.clone()).await.unwrap();
    let again = ask(&owner, asked.clone()).await.unwrap();
    assert_eq!(first.id, again.id, "a retry is the same poll");
    let sent = delivered(&owner, &first.id).await;
    assert_eq!((sent.state(), sent.attempts, sent.parts), (State::Sent, 1, 1), "{sent:?}");
    assert_eq!(sent.source, "send:owner:a");
    assert_eq!(sent.text, "Lunch? (Pizza / Soup)");
    assert_eq!(sent.poll, asked.poll, "what was asked is shown");
    let [post] = telegram.sent().try_into().unwrap();
    assert_eq!((&*post.method, &*post.chat), ("sendPoll", "-100123"));
    assert_eq!(sent.receipts, std::slice::from_ref(&post.id));
    let field = |name: &str| post.fields.get(name).map(String::as_str);
    let json = |name: &str| serde_json::from_str::<Value>(field(name).unwrap()).unwrap();
    assert_eq!(field("question"), Some("Lunch?"));
    assert_eq!(json("options"), json!([{ "text": "Pizza" }, { "text": "Soup" }]));
    for (name, expected) in [
        ("allows_multiple_answers", "true"),
        ("disable_notification", "true"),
        ("is_anonymous", "false"),
        ("message_thread_id", "7"),
        ("open_period", "604800"),
    ] {
        assert_eq!(field(name), Some(expected), "{name}");
    }
    assert_eq!(json("reply_parameters")["message_id"], 77);
    // What nobody said is what Telegram does.
    let plain = ask(&owner, request("b", "telegram", "1", lunch())).await.unwrap();
    delivered(&owner, &plain.id).await;
    let post = telegram.sent().remove(1);
    assert_eq!(post.fields["is_anonymous"], "true");
    assert_eq!(post.fields["allows_multiple_answers"], "false");
    assert!(!post.fields.contains_key("open_period"));
}

#[tokio::test]
async fn a_poll_on_discord_arrives_once() {
    let discord = Discord::start().await;
    let gateway = on_discord(&discord).start().await;
    let owner = gateway.owner().await;
    let asked = v1::Poll { max_selections: Some(2), ..open(32 * DAY) };
    let asked = v1::PollRequest {
        reply_to_id: "77".into(),
        thread_id: "6".into(),
        ..request("a", "discord", "channel:42", asked)
    };
    let first = ask(&owner, asked.clone()).await.unwrap();
    let sent = delivered(&owner, &first.id).await;
    assert_eq!((sent.state(), sent.parts), (State::Sent, 1), "{sent:?}");
    assert_eq!(ask(&owner, asked).await.unwrap().receipts, sent.receipts);
    let [post] = discord.sent().try_into().unwrap();
    assert_eq!((&*post.channel, post.reply_to.as_deref()), ("6", Some("77")));
    assert_eq!(sent.receipts, [post.id]);
    let expected = json!({
        "question": { "text": "Lunch?" },
        "answers": [{ "poll_media": { "text": "Pizza" } }, { "poll_media": { "text": "Soup" } }],
        "allow_multiselect": true,
        "duration": 768,
        "layout_type": 1,
    });
    assert_eq!(post.body["poll"], expected);
    assert_eq!(post.body["content"], Value::Null);
    let shown = sent.poll.unwrap();
    assert_eq!(shown.is_anonymous, Some(false), "Discord shows who voted for what");
}

#[tokio::test]
async fn one_key_is_one_poll_and_no_message() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let owner = gateway.owner().await;
    let first = ask(&owner, request("a", "telegram", "1", lunch())).await.unwrap();
    // The same in other words is the same.
    let same = v1::Poll { max_selections: Some(1), is_anonymous: Some(true), ..lunch() };
    let same = ask(&owner, request("a", "telegram", "1", same)).await.unwrap();
    assert_eq!(same.id, first.id);
    for (to, poll) in [
        ("2", lunch()),
        ("1", poll("Dinner?", &["Pizza", "Soup"])),
        ("1", poll("Lunch?", &["Soup", "Pizza"])),
        ("1", open(HOUR)),
        ("1", v1::Poll { silent: true, ..lunch() }),
    ] {
        let refusal = ask(&owner, request("a", "telegram", to, poll)).await.unwrap_err();
        assert_eq!(refusal.reason, "IDEMPOTENCY_CONFLICT");
    }
    let message = v1::SendMessageRequest {
        idempotency_key: "a".into(),
        channel: "telegram".into(),
        to: "1".into(),
        text: first.text,
        ..v1::SendMessageRequest::default()
    };
    let refusal = Refusal::from(owner.messages().send(message).await.unwrap_err());
    assert_eq!(refusal.reason, "IDEMPOTENCY_CONFLICT");
    delivered(&owner, &first.id).await;
    assert_eq!(telegram.sent().len(), 1);
}

/// What the platform would refuse is refused before it is written, with what the platform takes.
#[tokio::test]
#[rustfmt::skip]
async fn what_no_platform_takes_is_not_written() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    let gateway = on_both(&discord, &telegram).await;
    let owner = gateway.owner().await;
    let names: Vec<_> = (1..=13).map(|number| number.to_string()).collect();
    let numbered = |count: usize| poll("Which?", &names.iter().map(String::as_str).take(count).collect::<Vec<_>>());
    let long = |length: usize| poll("Which?", &["a", &"x".repeat(length)]);
    let question = |length: usize| poll(&"x".repeat(length), &["a", "b"]);
    let nanos = v1::Poll { duration: Some(prost_types::Duration { seconds: 5, nanos: 1 }), ..lunch() };
    let anonymous = v1::Poll { is_anonymous: Some(true), ..lunch() };
    let (t, d) = (("telegram", "1"), ("discord", "channel:1"));
    for ((channel, to), poll, says) in [
        (t, numbered(0),               "a poll on Telegram has 2 to 12 options, and this one has 0"),
        (t, numbered(1),               "a poll on Telegram has 2 to 12 options, and this one has 1"),
        (t, numbered(13),              "a poll on Telegram has 2 to 12 options, and this one has 13"),
        (d, numbered(11),              "a poll on Discord has 2 to 10 options, and this one has 11"),
        (t, poll(" ", &["a", "b"]),    "the question of the poll is empty"),
        (t, poll("Q?", &["a", " "]),   "option 2 of the poll is empty"),
        (t, poll("Q?", &["a", "b\nc"]), "the question and each option of a poll are one line of text"),
        (t, poll("Q?", &["a", "b", " a"]), "option 3 of the poll is the same as option 1"),
        (t, question(301),             "the question of a poll on Telegram has 300 characters at most, and this one has 301"),
        (d, question(301),             "the question of a poll on Discord has 300 characters at most, and this one has 301"),
        (t, long(101),                 "an option on Telegram has 100 characters at most, and option 2 has 101"),
        (d, long(56),                  "an option on Discord has 55 characters at most, and option 2 has 56"),
        (t, most(0),                   "on Telegram one may choose 1 option or any of the 3, and not at most 0"),
        (t, most(2),                   "on Telegram one may choose 1 option or any of the 3, and not at most 2"),
        (d, most(4),                   "on Discord one may choose 1 option or any of the 3, and not at most 4"),
        (t, open(-1),                  "duration is negative"),
        (t, open(0),                   "a poll on Telegram is open for 5 seconds to 7 days"),
        (t, open(4),                   "a poll on Telegram is open for 5 seconds to 7 days"),
        (t, open(8 * DAY),             "a poll on Telegram is open for 5 seconds to 7 days"),
        (t, nanos,                     "a poll on Telegram is open for 5 seconds to 7 days"),
        (d, open(0),                   "a poll on Discord is open for 1 hour to 32 days, in whole hours"),
        (d, open(HOUR + 1),            "a poll on Discord is open for 1 hour to 32 days, in whole hours"),
        (d, open(33 * DAY),            "a poll on Discord is open for 1 hour to 32 days, in whole hours"),
        (d, anonymous,                 "polls on Discord show who voted for what"),
        (("webhook", "https://a.example"), lunch(), "channel `webhook` has no polls"),
        (("webchat", "main"), lunch(), "`webchat` is nowhere to send to: it is whoever asks over a connection of their own, as `openclaw chat` does, and is answered there"),
        (("telegram", "@news"), lunch(), "`@news` names nobody on telegram: use the id of a chat, with `:topic:ID` for a topic"),
    ] {
        let refusal = ask(&owner, request("a", channel, to, poll)).await.unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_str()), (Code::InvalidArgument, says));
        assert!(!refusal.next.is_empty() || says.contains("negative"), "{says}");
    }
    let empty = v1::PollRequest { poll: None, ..request("a", "telegram", "1", lunch()) };
    assert_eq!(ask(&owner, empty).await.unwrap_err().message, "the question of the poll is empty");
    assert_eq!(listed(&owner).await, []);
    // The largest that each takes arrives.
    for ((channel, to), poll) in [
        (t, numbered(12)), (t, question(300)), (t, long(100)), (t, open(5)), (t, open(7 * DAY)),
        (d, numbered(10)), (d, question(300)), (d, long(55)), (d, open(HOUR)), (d, open(32 * DAY)),
    ] {
        let key = format!("{channel}-{}", listed(&owner).await.len());
        let asked = ask(&owner, request(&key, channel, to, poll)).await.unwrap();
        let sent = delivered(&owner, &asked.id).await;
        assert_eq!(sent.state(), State::Sent, "{sent:?}");
    }
}

#[tokio::test]
async fn a_poll_that_waits_survives_a_restart() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let owner = gateway.owner().await;
    let stop = v1::StopChannelRequest { channel: "telegram".into() };
    owner.channels().stop(stop).await.unwrap();
    let waits = ask(&owner, request("a", "telegram", "1", open(HOUR))).await.unwrap();
    assert_eq!(waits.state(), State::Waiting);
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let sent = delivered(&owner, &waits.id).await;
    assert_eq!((sent.state(), sent.poll), (State::Sent, waits.poll));
    let [post] = telegram.sent().try_into().unwrap();
    assert_eq!((&*post.text, &*post.fields["open_period"]), ("Lunch?", "3600"));
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_poll_whose_fate_is_unknown_is_sent_again_by_hand_or_given_up() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new(), &telegram).start().await;
    let owner = gateway.owner().await;
    let text = "Bad Request: not enough rights to send polls to the chat".to_owned();
    let refused = Answer::Refused { status: 400, text };
    telegram.script("sendPoll", [Answer::AcceptThenClose, refused]);
    let lost = ask(&owner, request("a", "telegram", "1", lunch())).await.unwrap();
    let lost = delivered(&owner, &lost.id).await;
    assert_eq!((lost.state(), lost.attempts), (State::Unknown, 1), "never blindly sent again");
    let dead = ask(&owner, request("b", "telegram", "2", lunch())).await.unwrap();
    let dead = delivered(&owner, &dead.id).await;
    assert_eq!((dead.state(), dead.attempts), (State::Dead, 1), "{dead:?}");
    let retry = v1::RetryDeliveryRequest { id: lost.id.clone() };
    owner.messages().retry(retry).await.unwrap();
    assert_eq!(delivered(&owner, &lost.id).await.state(), State::Sent);
    let discard = v1::DiscardDeliveryRequest { id: dead.id };
    let gone = owner.messages().discard(discard).await.unwrap().into_inner();
    assert_eq!((gone.state(), &*gone.text), (State::Discarded, "Lunch? (Pizza / Soup)"));
}
