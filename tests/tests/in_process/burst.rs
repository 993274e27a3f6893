//! What somebody writes in a chat one after the other: it is one turn, and nobody else's words are in it.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_tests::{Behavior, Client, Provider, Setup, TestGateway, soon};
use serde_json::Value;

use super::chats::said;
use super::delivery::on_telegram;

const PEOPLE: &str = "channels.telegram.allowFrom = [\"7\", \"8\"]\n\
    channels.telegram.groups = { \"-1\" = { requireMention = false } }";

async fn begin(config: &str) -> (Telegram, Provider, TestGateway) {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([Behavior::text("Heard.")]).await;
    let setup = Setup::new().provider(&provider).config(PEOPLE).config(config);
    let gateway = on_telegram(setup, &telegram).start().await;
    (telegram, provider, gateway)
}

async fn runs(owner: &Client) -> Vec<v1::Run> {
    let list = v1::ListRunsRequest::default();
    let mut runs = owner.runs().list(list).await.unwrap().into_inner().runs;
    runs.reverse();
    runs
}

async fn accepted(owner: &Client, count: usize) {
    soon(async {
        while runs(owner).await.len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The last message that a model was shown.
fn asked(provider: &Provider, at: usize) -> String {
    let shown = provider.received()[at].body["messages"].as_array().unwrap().clone();
    shown.last().unwrap()["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_burst_is_one_turn_and_the_answer_is_one_to_its_last_message() {
    let (telegram, provider, gateway) = begin("").await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(7, "One."));
    telegram.say(&Tell::direct(7, "Two."));
    let last = telegram.say(&Tell::direct(7, "Three."));
    assert_eq!(said(&telegram, 1).await, "Heard.");
    assert_eq!(asked(&provider, 0), "One.\n\nTwo.\n\nThree.");
    let answers: Value =
        serde_json::from_str(&telegram.sent()[0].fields["reply_parameters"]).unwrap();
    assert_eq!(answers["message_id"].to_string(), last);
    let runs = runs(&owner).await;
    let merged: Vec<_> = runs.iter().map(|run| run.merged_into.as_str()).collect();
    assert_eq!(merged, ["", runs[0].run_id.as_str(), runs[0].run_id.as_str()]);
    // The platform tells of them again, and they are in no other turn.
    telegram.all_confirmed().await;
    telegram.repeat();
    telegram.say(&Tell::direct(7, "Four."));
    said(&telegram, 2).await;
    assert_eq!((asked(&provider, 1).as_str(), provider.received().len()), ("Four.", 2));
}

#[tokio::test]
//= docs/threat-model.md#T36
async fn what_others_write_meanwhile_is_a_turn_of_theirs() {
    let (telegram, provider, gateway) = begin("messages.queue.mode = \"followup\"").await;
    telegram.say(&Tell::in_group(-1, 7, "One."));
    telegram.say(&Tell::in_group(-1, 8, "Mine."));
    telegram.say(&Tell::in_group(-1, 7, "Two."));
    said(&telegram, 2).await;
    assert_eq!(
        (asked(&provider, 0).as_str(), asked(&provider, 1).as_str()),
        ("One.\n\nTwo.", "Mine.")
    );
    drop(gateway);
}

#[tokio::test]
async fn a_burst_while_the_conversation_is_busy_is_one_turn_in_every_queue_mode() {
    for (mode, turns) in [("steer", 2), ("followup", 2), ("collect", 2), ("interrupt", 2)] {
        let telegram = Telegram::start().await;
        let provider =
            Provider::openai([Behavior::held("First."), Behavior::text("Second.")]).await;
        let config = format!("messages.queue = {{ mode = \"{mode}\", debounceMs = 0 }}");
        let setup = Setup::new().provider(&provider).config(PEOPLE).config(&config);
        let gateway = on_telegram(setup, &telegram).start().await;
        let owner = gateway.owner().await;
        telegram.say(&Tell::direct(7, "Begin."));
        provider.requests(1).await;
        telegram.say(&Tell::direct(7, "One."));
        telegram.say(&Tell::direct(7, "Two."));
        accepted(&owner, 3).await;
        provider.release(1);
        provider.requests(turns).await;
        provider.idle().await;
        assert!(asked(&provider, turns - 1).ends_with("One.\n\nTwo."), "{mode}");
        assert_eq!(provider.received().len(), turns, "{mode}");
        drop(gateway);
    }
}

#[tokio::test]
async fn a_command_comes_after_what_was_written_before_it() {
    let (telegram, provider, gateway) = begin("messages.inbound.debounceMs = 10000").await;
    telegram.say(&Tell::direct(7, "One."));
    telegram.say(&Tell::direct(7, "/usage"));
    said(&telegram, 2).await;
    let texts: Vec<_> = telegram.sent().into_iter().map(|sent| sent.text).collect();
    assert!(texts.contains(&"Heard.".to_owned()), "it did not wait: {texts:?}");
    assert_eq!(asked(&provider, 0), "One.");
    drop(gateway);
}

#[tokio::test]
async fn a_picture_is_not_held_back_and_comes_after_what_was_written_before_it() {
    let config = "messages.inbound.debounceMs = 10000\nmessages.queue.mode = \"followup\"";
    let (telegram, provider, gateway) = begin(config).await;
    telegram.say(&Tell::direct(7, "One."));
    telegram.say(&Tell::direct(7, "Look.").with_picture("none"));
    said(&telegram, 2).await;
    assert_eq!(asked(&provider, 0), "One.");
    assert!(asked(&provider, 1).starts_with("Look.\n[image "));
    drop(gateway);
}

#[tokio::test]
async fn what_waits_for_more_survives_a_stop() {
    let (telegram, provider, gateway) =
        begin("messages.inbound.byChannel = { telegram = 10000 }").await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(7, "One."));
    telegram.say(&Tell::direct(7, "Two."));
    accepted(&owner, 2).await;
    telegram.all_confirmed().await;
    let gateway = gateway.restart().await;
    said(&telegram, 1).await;
    assert_eq!((asked(&provider, 0).as_str(), provider.received().len()), ("One.\n\nTwo.", 1));
    let owner = gateway.owner().await;
    assert!(runs(&owner).await.iter().all(|run| run.text == "Heard."));
}

#[tokio::test]
async fn a_long_text_that_the_platform_cut_is_one_turn_even_without_a_wait() {
    let (telegram, provider, gateway) = begin("messages.inbound.debounceMs = 0").await;
    let long = "word ".repeat(800);
    telegram.say(&Tell::direct(7, &long));
    telegram.say(&Tell::direct(7, "and the end."));
    said(&telegram, 1).await;
    assert!(asked(&provider, 0).ends_with("word\n\nand the end."));
    telegram.say(&Tell::direct(7, "Short."));
    said(&telegram, 2).await;
    assert_eq!(asked(&provider, 1), "Short.");
    drop(gateway);
}
