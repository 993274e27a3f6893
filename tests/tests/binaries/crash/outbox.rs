//! Kills at random points while messages leave: none is lost, and what may have been told twice is told of.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_client::Client;
use openclaw_client::v1::delivery::State;
use openclaw_client::v1::{Delivery, ListDeliveriesRequest, SendMessageRequest};
use openclaw_platforms::{Telegram, WebSink};
use tokio::task::JoinSet;

use super::super::harness::{Home, Signal, eventually};
use super::load::Dice;
use super::seed;

/// How often the gateway is killed.
const ROUNDS: u64 = 20;
/// Messages that are asked for in one round, on each of the two channels.
const MESSAGES: u64 = 12;
/// Chats that they go to.
const CHATS: u64 = 4;

/// Asks for messages until the gateway is gone; returns the texts of those that were acknowledged.
async fn load(client: Client, sink: String, round: u64) -> Vec<String> {
    let mut asked = JoinSet::new();
    for number in 0..MESSAGES {
        for (channel, to) in
            [("telegram", (number % CHATS + 1).to_string()), ("webhook", sink.clone())]
        {
            let text = format!("{channel} {round} {number}.");
            let request = SendMessageRequest {
                idempotency_key: format!("{channel}-{round}-{number}"),
                channel: channel.into(),
                to,
                text: text.clone(),
                ..SendMessageRequest::default()
            };
            let mut messages = client.messages();
            asked.spawn(async move { messages.send(request).await.is_ok().then_some(text) });
        }
    }
    asked.join_all().await.into_iter().flatten().collect()
}

async fn deliveries(client: &Client) -> BTreeMap<String, Delivery> {
    let request = ListDeliveriesRequest { page_size: 1_000, ..Default::default() };
    let listed = client.messages().list(request).await.unwrap().into_inner().deliveries;
    listed.into_iter().map(|delivery| (delivery.text.clone(), delivery)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
//= docs/threat-model.md#T18
async fn what_is_to_leave_survives_every_kill_and_arrives_once_or_is_told_of() {
    let seed = seed();
    println!("OPENCLAW_TEST_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (telegram, sink) = (Telegram::start().await, WebSink::start().await);
    let mut home = Home::new();
    home.variable("TELEGRAM_TOKEN", Telegram::TOKEN);
    home.configure(&format!(
        "channels.telegram.token.env = \"TELEGRAM_TOKEN\"\n\
         channels.telegram.apiUrl = \"{}\"\n\
         channels.webhook.allowAddresses = [\"{}\"]\n",
        telegram.url(),
        sink.address(),
    ));
    let mut promised = Vec::new();
    for round in 0..ROUNDS {
        let mut daemon = home.spawn();
        let client = daemon.connect().await;
        let asked = openclaw_tests::background(load(client, sink.url(), round));
        // The span is not waited out for anything to happen: it is how long the load lasts.
        tokio::time::sleep(Duration::from_millis(1 + dice.below(60))).await;
        daemon.kill().await;
        promised.extend(asked.await.unwrap());
    }
    let mut daemon = home.spawn();
    let client = daemon.connect().await;
    let settled = eventually("all that is to leave has", async || {
        let all = deliveries(&client).await;
        all.values().all(|delivery| delivery.settled_at.is_some()).then_some(all)
    })
    .await;
    // What was acknowledged is there, whatever was killed when.
    for text in &promised {
        assert!(settled.contains_key(text), "{text} was acknowledged and is gone");
    }
    let told = telegram.sent();
    let posts: Vec<_> = sink.received().into_iter().map(|post| (post.json(), post)).collect();
    let mut fates = BTreeMap::<_, u32>::new();
    for (text, delivery) in &settled {
        let channel = delivery.to.as_ref().unwrap().channel.as_str();
        *fates.entry((channel, delivery.state().as_str_name())).or_default() += 1;
        if channel == "webhook" {
            // Whoever is posted to tells a repetition by its id, so it is repeated until it has arrived.
            assert_eq!(delivery.state(), State::Sent, "{delivery:?}");
            let posts = posts.iter().filter(|(body, _)| body["text"] == text.as_str());
            let ids: Vec<_> = posts.map(|(_, post)| &post.headers["webhook-id"]).collect();
            assert!(ids.iter().all(|id| **id == delivery.id) && !ids.is_empty(), "{ids:?}");
        } else {
            // A chat cannot: nothing is said twice, and what may not have been said is told of.
            let count = told.iter().filter(|message| message.text == *text).count();
            match delivery.state() {
                State::Sent => assert_eq!(count, 1, "{delivery:?}"),
                State::Unknown => assert!(count <= 1, "{delivery:?} {count} times"),
                other => panic!("{other:?}: {delivery:?}"),
            }
        }
    }
    println!("{} promised, {fates:?}", promised.len());
    assert!(promised.len() > 20, "the load is no load: {}", promised.len());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
