//! What becomes of messages that come in while their conversation is busy: what was said is answered once, and
//! nobody is answered for another.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::{QueueMode, RunStatus};
use openclaw_scopes::Scope;
use openclaw_tests::{
    Behavior, Client, Device, Events, Provider, Setup, TestGateway, ask, background, request, soon,
    start,
};
use serde_json::{Value, json};
use tonic::Code;

use super::delivery::on_telegram;
use super::providers::check_conversation;
use super::runs::wait;

const QUIET: &str = "messages.queue.debounceMs = 0";

fn queued(mode: QueueMode, key: &str, message: &str) -> v1::StartRunRequest {
    v1::StartRunRequest { queue_mode: mode.into(), ..request(key, "main", message) }
}

/// Starts a run, and waits until it is durable.
async fn accepted(client: &Client, request: v1::StartRunRequest) -> Events {
    let mut events = start(client, request).await.unwrap();
    events.expect().await;
    events
}

fn messages(provider: &Provider, at: usize) -> Vec<Value> {
    provider.received()[at].body["messages"].as_array().unwrap().clone()
}

fn looks() -> Behavior {
    let look = || ("list_dir".to_owned(), json!({ "path": "." }));
    Behavior::Held(Box::new(Behavior::Calls(vec![look(), look()])))
}

async fn begin(
    behaviors: impl IntoIterator<Item = Behavior>,
    config: &str,
) -> (Provider, TestGateway) {
    let provider = Provider::openai(behaviors).await;
    let gateway = Setup::new().provider(&provider).config(config).network().start().await;
    (provider, gateway)
}

/// In a chat each message is another, and all are of one conversation.
#[tokio::test]
async fn a_run_of_a_chat_takes_in_what_is_said_there() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([looks(), Behavior::text("Red it is.")]).await;
    // It is not waited for more of it.
    let config = "channels.telegram.allowFrom = [\"42\"]\nmessages.inbound.debounceMs = 0";
    let setup = Setup::new().provider(&provider).config(config);
    let gateway = on_telegram(setup, &telegram).start().await;
    let owner = gateway.owner().await;
    let first = telegram.say(&Tell::direct(42, "Paint it blue."));
    provider.requests(1).await;
    telegram.say(&Tell::direct(42, "No, red."));
    // It is accepted before the turn goes on.
    soon(async {
        loop {
            let list = v1::ListRunsRequest::default();
            let runs = owner.runs().list(list).await.unwrap().into_inner().runs;
            if runs.len() == 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    provider.release(1);
    telegram.wait_for(1).await;
    assert_eq!(telegram.sent()[0].text, "Red it is.");
    let answers: Value =
        serde_json::from_str(&telegram.sent()[0].fields["reply_parameters"]).unwrap();
    assert_eq!(answers["message_id"].to_string(), first);
    assert_eq!(provider.received().len(), 2, "one turn answers both");
    let shown = messages(&provider, 1);
    assert!(shown[shown.len() - 1]["content"].as_str().unwrap().contains("No, red."), "{shown:?}");
}

#[tokio::test]
async fn a_run_at_work_takes_in_what_is_said() {
    let (provider, gateway) = begin([looks(), Behavior::text("Red it is.")], "").await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r1", "main", "Paint it blue.")).await;
    provider.requests(1).await;
    let second = accepted(&owner, queued(QueueMode::Steer, "r2", "No, red.")).await;
    let third = accepted(&owner, queued(QueueMode::Steer, "r3", "Dark red.")).await;
    provider.release(1);
    let first = first.rest().await.unwrap();
    assert_eq!((first.status(), first.text.as_str()), (RunStatus::Ok, "Red it is."));
    assert_eq!(first.tools, [], "a call that was not begun is not told of");
    for (events, key) in [(second, "r2"), (third, "r3")] {
        let ended = events.rest().await.unwrap();
        assert_eq!(
            (ended.status(), ended.run().text.as_str()),
            (RunStatus::Ok, "Red it is."),
            "{key}"
        );
        assert_eq!(ended.run().merged_into, "r1");
        assert_eq!(ended.text, "Red it is.", "who watches sees the answer come");
    }
    assert_eq!(provider.received().len(), 2, "one turn answers all");
    let shown = messages(&provider, 1);
    let tail: Vec<_> = shown.iter().rev().take(4).rev().map(|it| it["role"].clone()).collect();
    assert_eq!(tail, ["tool", "tool", "assistant", "user"]);
    assert!(shown[shown.len() - 3]["content"].as_str().unwrap().starts_with("[Not run:"));
    assert_eq!(shown[shown.len() - 1]["content"], "No, red.\n\nDark red.");
    // Asked again it is the same run, and the next turn reads the same history.
    let again = ask(&owner, queued(QueueMode::Steer, "r2", "No, red.")).await.unwrap();
    assert_eq!((again.accepted.unwrap().existing, provider.received().len()), (true, 2));
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    assert_eq!(wait(&owner, "r3").await.text, "Red it is.");
    ask(&owner, request("r4", "main", "Thanks.")).await.unwrap();
    let later = messages(&provider, 2);
    assert_eq!(later[..shown.len()], shown);
    provider.received().iter().for_each(check_conversation);
}

/// When nothing is to be done before the answer, it is a turn of its own.
#[tokio::test]
async fn what_comes_too_late_has_a_turn_of_its_own() {
    let (provider, gateway) = begin([Behavior::held("Blue."), Behavior::text("Red.")], "").await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r1", "main", "Paint it blue.")).await;
    provider.requests(1).await;
    let second = accepted(&owner, queued(QueueMode::Steer, "r2", "No, red.")).await;
    provider.release(1);
    assert_eq!(first.rest().await.unwrap().text, "Blue.");
    let second = second.rest().await.unwrap();
    assert_eq!((second.text.as_str(), second.run().merged_into.as_str()), ("Red.", ""));
}

//= docs/threat-model.md#T36
#[tokio::test]
async fn what_another_says_is_never_taken_in() {
    let (provider, gateway) = begin([looks(), Behavior::text("Done.")], "").await;
    let (owner, device) = (gateway.owner().await, Device::new(1));
    let other = device.paired(&gateway, &[Scope::Write]).await.client;
    let first = accepted(&owner, request("r1", "main", "Paint it blue.")).await;
    provider.requests(1).await;
    let steers = accepted(&other, queued(QueueMode::Steer, "r2", "canary-of-another")).await;
    // Of the owner, with less authority: what it asks for must not be done with more.
    let less = gateway.narrowed(&[Scope::Write]).await;
    let narrow = accepted(&less, queued(QueueMode::Steer, "r3", "canary-of-less")).await;
    provider.release(1);
    let first = first.rest().await.unwrap();
    assert_eq!(first.status(), RunStatus::Ok);
    assert!(!messages(&provider, 1).iter().any(|it| it.to_string().contains("canary")));
    for events in [steers, narrow] {
        let ended = events.rest().await.unwrap();
        assert_eq!((ended.status(), ended.run().merged_into.as_str()), (RunStatus::Ok, ""));
    }
}

#[tokio::test]
async fn what_is_collected_is_answered_at_once() {
    let behaviors = [Behavior::held("One."), Behavior::text("Both.")];
    let (provider, gateway) = begin(behaviors, QUIET).await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r1", "main", "First.")).await;
    provider.requests(1).await;
    let second = accepted(&owner, queued(QueueMode::Collect, "r2", "Second.")).await;
    let third = accepted(&owner, queued(QueueMode::Collect, "r3", "Third.")).await;
    let other = accepted(&owner, request("r4", "main", "By itself.")).await;
    provider.release(1);
    first.rest().await.unwrap();
    let (second, third) = (second.rest().await.unwrap(), third.rest().await.unwrap());
    assert_eq!((second.text.as_str(), third.run().text.as_str()), ("Both.", "Both."));
    assert_eq!(third.run().merged_into, "r2");
    assert_eq!(other.rest().await.unwrap().run().merged_into, "");
    let shown = messages(&provider, 1);
    assert_eq!(shown[shown.len() - 1]["content"], "Second.\n\nThird.");
    assert_eq!(provider.received().len(), 3);
}

#[tokio::test]
async fn an_interruption_ends_what_is_at_work() {
    let behaviors = [Behavior::Hang, Behavior::text("New."), Behavior::text("Later.")];
    let (provider, gateway) = begin(behaviors, "").await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r1", "main", "Old.")).await;
    provider.requests(1).await;
    let waits = accepted(&owner, request("r2", "main", "Waits.")).await;
    let newest = accepted(&owner, queued(QueueMode::Interrupt, "r3", "New.")).await;
    assert_eq!(first.rest().await.unwrap().status(), RunStatus::Aborted);
    assert_eq!(newest.rest().await.unwrap().text, "New.");
    // What waits in order to be answered is, all the same.
    assert_eq!(waits.rest().await.unwrap().text, "Later.");
}

#[tokio::test]
async fn too_many_give_way_as_configured() {
    for drop in ["new", "old", "summarize"] {
        let config = format!("messages.queue = {{ cap = 2, drop = \"{drop}\" }}");
        let (provider, gateway) = begin([Behavior::held("Done.")], &config).await;
        let (owner, device) = (gateway.owner().await, Device::new(1));
        let other = device.paired(&gateway, &[Scope::Write]).await.client;
        let first = accepted(&owner, request("r1", "main", "At work.")).await;
        provider.requests(1).await;
        let second = accepted(&owner, request("r2", "main", "The second,\nwith two lines.")).await;
        let third = accepted(&owner, request("r3", "main", "The third.")).await;
        let refused = start(&other, request("o1", "main", "Of another.")).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            (Code::ResourceExhausted, "SESSION_BUSY"),
            "nobody else gives way"
        );
        let fourth = start(&owner, request("r4", "main", "The fourth.")).await;
        provider.release(9);
        assert_eq!(first.rest().await.unwrap().status(), RunStatus::Ok);
        let second = second.rest().await.unwrap();
        assert_eq!(third.rest().await.unwrap().status(), RunStatus::Ok);
        if drop == "new" {
            assert_eq!(fourth.unwrap_err().code, Code::ResourceExhausted);
            assert_eq!(second.status(), RunStatus::Ok);
            continue;
        }
        assert_eq!(second.status(), RunStatus::Aborted);
        assert_eq!(second.run().error, "it gave way to a newer message: too many waited");
        assert_eq!(fourth.unwrap().rest().await.unwrap().status(), RunStatus::Ok);
        let last = messages(&provider, 2).pop().unwrap()["content"].to_string();
        let is_told = last.contains("- The second, with two lines.");
        assert_eq!(is_told, drop == "summarize", "{last}");
        assert!(last.contains("The fourth."), "{last}");
    }
}

/// Messages of channels go as the configuration says, and threads are kept apart.
#[tokio::test]
async fn channels_have_their_own_way() {
    let config = "session.dmScope = \"main\"\n\
                  messages.queue = { mode = \"followup\", byChannel = { IRC = \"steer\" } }";
    let (provider, gateway) = begin([looks(), Behavior::text("Done.")], config).await;
    let owner = gateway.owner().await;
    let say = |key: &str, channel: &str, peer: &str| v1::StartRunRequest {
        origin: Some(v1::MessageOrigin {
            channel: channel.into(),
            peer_id: peer.into(),
            ..v1::MessageOrigin::default()
        }),
        ..request(key, "", &format!("said-{key}."))
    };
    let first = accepted(&owner, say("r1", "irc", "al")).await;
    provider.requests(1).await;
    let same = accepted(&owner, say("r2", "irc", "al")).await;
    let place = accepted(&owner, say("r3", "irc", "bo")).await;
    let mode = accepted(&owner, say("r4", "telegram", "al")).await;
    provider.release(1);
    first.rest().await.unwrap();
    assert_eq!(same.rest().await.unwrap().run().merged_into, "r1");
    for events in [place, mode] {
        let ended = events.rest().await.unwrap();
        assert_eq!((ended.status(), ended.run().merged_into.as_str()), (RunStatus::Ok, ""));
    }
    let shown = messages(&provider, 1);
    assert_eq!(shown[shown.len() - 1]["content"], "said-r2.");
}

/// A stop interrupts both, and both go on after the start; who withdraws a message that was taken in ends
/// nobody else.
#[tokio::test]
async fn what_was_taken_in_goes_on_after_a_start() {
    let behaviors = [looks(), Behavior::Hang, Behavior::text("After.")];
    let (provider, gateway) = begin(behaviors, "gateway.drainSeconds = 0").await;
    let owner = gateway.owner().await;
    accepted(&owner, request("r1", "main", "Paint it blue.")).await;
    provider.requests(1).await;
    for (key, text) in [("r2", "No, red."), ("r3", "No, green.")] {
        accepted(&owner, queued(QueueMode::Steer, key, text)).await;
    }
    provider.release(1);
    provider.requests(2).await;
    let abort = v1::AbortRunRequest { run_id: "r3".into() };
    let aborted = owner.runs().abort(abort).await.unwrap().into_inner();
    assert_eq!(aborted.status(), RunStatus::Aborted);
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let (first, second) = (wait(&owner, "r1").await, wait(&owner, "r2").await);
    assert_eq!((first.text.as_str(), second.text.as_str()), ("After.", "After."));
    assert_eq!((second.merged_into.as_str(), second.status()), ("r1", RunStatus::Ok));
    assert_eq!(wait(&owner, "r3").await.status(), RunStatus::Aborted);
    assert_eq!(provider.received().len(), 3);
}

/// Who waits for silence holds up nobody, and no stop.
#[tokio::test]
async fn what_is_collected_holds_no_place() {
    let config = "agents.defaults.maxConcurrent = 1\nmessages.queue.debounceMs = 60000";
    let behaviors = [Behavior::held("One."), Behavior::text("Other."), Behavior::text("Late.")];
    let (provider, gateway) = begin(behaviors, config).await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r1", "main", "First.")).await;
    provider.requests(1).await;
    let late = accepted(&owner, queued(QueueMode::Collect, "r2", "Second.")).await;
    provider.release(1);
    first.rest().await.unwrap();
    let other = ask(&owner, request("r3", "explicit:other", "Hello.")).await.unwrap();
    assert_eq!(other.text, "Other.");
    // It has not begun, so it is neither waited for nor interrupted.
    let gateway = gateway.restart().await;
    drop(late);
    let owner = gateway.owner().await;
    let run = v1::WaitRunRequest { run_id: "r2".into(), timeout: Some(Default::default()) };
    let run = owner.runs().wait(run).await.unwrap().into_inner();
    assert_eq!((run.status(), provider.received().len()), (RunStatus::Queued, 2));
}

/// However many come at once: of those who give way to each other, none is refused.
#[tokio::test]
async fn many_at_once_give_way_to_each_other() {
    let config = "messages.queue = { cap = 3, drop = \"old\" }";
    let (provider, gateway) = begin([Behavior::held("Done.")], config).await;
    let owner = gateway.owner().await;
    let first = accepted(&owner, request("r", "main", "At work.")).await;
    provider.requests(1).await;
    let all = (0..20).map(|number| {
        let asked = request(&format!("r{number}"), "main", &format!("m{number}"));
        let owner = owner.clone();
        background(async move { start(&owner, asked).await.unwrap() })
    });
    let mut events = Vec::new();
    for started in all.collect::<Vec<_>>() {
        events.push(started.await.unwrap());
    }
    provider.release(9);
    assert_eq!(first.rest().await.unwrap().status(), RunStatus::Ok);
    let mut ok = 0;
    for events in events {
        match events.rest().await.unwrap().status() {
            RunStatus::Ok => ok += 1,
            status => assert_eq!(status, RunStatus::Aborted),
        }
    }
    assert!((1..=3).contains(&ok), "{ok}");
}
