//! What work may cost: a model is not asked any more when there is not enough left, and whoever asked is told
//! which budget that was.

mod spawn;
mod time;

use openclaw_platforms::Telegram;
use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Behavior, Client, Provider, Setup, TestGateway, ask, request, start};

use super::delivery::on_telegram;
use super::runs::wait;

fn long(mark: &str) -> String {
    format!("{mark} {}", "word ".repeat(400))
}

async fn fails(client: &Client, key: &str, session: &str, text: &str) -> String {
    let asked = ask(client, request(key, session, text)).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Error, "{asked:?}");
    asked.run().error.clone()
}

/// Reads a file that is more than the rest of the budget.
const READS: &str = "[[reply]]\nmatch = \"Read\"\ntoolCalls = [{ name = \"read_file\", \
                     arguments = { path = \"big\" } }]\n[[reply]]\nafterTool = \"read_file\"\n\
                     text = \"It is long.\"\n";

fn write_big(gateway: &TestGateway) {
    std::fs::write(gateway.workspace("main").join("big"), "word ".repeat(8_000)).unwrap();
}

#[tokio::test]
async fn a_run_asks_no_more_than_it_may() {
    let config = "agents.defaults.budget.run.tokens = 6000";
    let gateway = Setup::new().script(READS).config(config).start().await;
    write_big(&gateway);
    let owner = gateway.owner().await;
    let error = fails(&owner, "a", "main", "Read it.").await;
    assert!(error.starts_with("budget: the budget of one run is 6000 tokens, and "), "{error}");
    // What was done until then is told in the history, and the next run has a budget of its own.
    let used = v1::UsageRequest::default();
    let used = owner.gateway().usage(used).await.unwrap().into_inner().total.unwrap();
    assert_eq!(used.answers, 1);
    // What is too much from the beginning is not asked at all.
    let error = fails(&owner, "b", "explicit:b", &"word ".repeat(8_000)).await;
    assert!(error.contains("one run"), "{error}");
    ask(&owner, request("c", "explicit:c", "Hello.")).await.unwrap();
}

#[tokio::test]
async fn a_day_is_one_for_all_runs_and_survives_a_start() {
    let provider = Provider::openai([Behavior::text("Done.")]).await;
    let setup = Setup::new().provider(&provider);
    let gateway = setup.config("agents.entries.main.budget.day.tokens = 5000").start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("a", "main", "Hello.")).await.unwrap();
    let used = v1::UsageRequest::default();
    let used = owner.gateway().usage(used).await.unwrap().into_inner().total.unwrap();
    assert!(used.input_tokens + used.output_tokens > 0);
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let mut answered = 1;
    let error = loop {
        let key = format!("r{answered}");
        let asked = ask(&owner, request(&key, &format!("explicit:{key}"), &long("Hello."))).await;
        let asked = asked.unwrap();
        if asked.status() == RunStatus::Error {
            break asked.run().error.clone();
        }
        answered += 1;
        assert!(answered < 400, "nothing is ever used up");
    };
    assert!(error.contains("the budget of agent `main` for today is 5000 tokens"), "{error}");
    assert_eq!(provider.received().len(), answered, "who has nothing left asks nobody");
}

/// Whoever pays is told, once a day.
#[tokio::test]
async fn an_owner_is_told_once_that_a_budget_is_used_up() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([]).await;
    let config =
        "commands.ownerAllowFrom = [\"telegram:42\"]\nagents.defaults.budget.day.tokens = 1";
    let setup = on_telegram(Setup::new(), &telegram).provider(&provider).config(config);
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    for number in 0..3 {
        let key = format!("r{number}");
        let asked = ask(&owner, request(&key, &format!("explicit:{key}"), "Hello.")).await.unwrap();
        assert_eq!(asked.status(), RunStatus::Error);
    }
    telegram.wait_for(1).await;
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    ask(&owner, request("again", "explicit:again", "Hello.")).await.unwrap();
    // What is asked for after it arrives after it.
    let last = v1::SendMessageRequest {
        idempotency_key: "last".into(),
        channel: "telegram".into(),
        to: "42".into(),
        text: "That is all.".into(),
        ..Default::default()
    };
    owner.messages().send(last).await.unwrap();
    telegram.wait_for(2).await;
    let told: Vec<_> = telegram.sent().into_iter().map(|message| message.text).collect();
    assert!(told[0].contains("for today is 1 tokens"), "{told:?}");
    assert_eq!(told[1..], ["That is all."]);
    assert_eq!(provider.received().len(), 0);
}

/// Many at once have no more together than one after the other.
#[tokio::test]
async fn runs_at_once_share_what_there_is() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let config = "agents.defaults.budget.day.tokens = 6000\nagents.defaults.maxConcurrent = 16";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    let mut runs = Vec::new();
    for number in 0..12 {
        let asked = request(&format!("r{number}"), &format!("explicit:s{number}"), &long("Hello."));
        runs.push(start(&owner, asked).await.unwrap());
    }
    provider.requests(1).await;
    provider.release(12);
    let (mut ok, mut refused) = (0, 0);
    for events in runs {
        match events.rest().await.unwrap().status() {
            RunStatus::Ok => ok += 1,
            RunStatus::Error => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(ok >= 1 && refused >= 1, "{ok} {refused}");
    assert_eq!(provider.received().len(), ok);
}

/// A run and what it delegates have one budget; a task may be given less.
#[tokio::test]
async fn what_is_delegated_counts_for_who_delegates() {
    for (given, config) in [
        ("{ task = \"Read it.\" }", "agents.defaults.budget.tree.tokens = 9000"),
        ("{ task = \"Read it.\", budget = 5000 }", ""),
    ] {
        let spawn = format!(
            "[[reply]]\nmatch = \"Delegate\"\ntoolCalls = [{{ name = \"sessions_spawn\", \
             arguments = {given} }}]\n[[reply]]\nafterTool = \"sessions_spawn\"\ntext = \"I wait.\"\n"
        );
        let script = format!("{spawn}{READS}");
        let gateway = Setup::new().script(&script).config(config).start().await;
        write_big(&gateway);
        let owner = gateway.owner().await;
        let asked = ask(&owner, request("a", "main", "Delegate.")).await.unwrap();
        assert_eq!(asked.status(), RunStatus::Ok, "{asked:?}");
        let listed = v1::ListSubagentsRequest::default();
        let listed = owner.subagents().list(listed).await.unwrap().into_inner().subagents;
        let child = listed[0].run.clone().unwrap();
        let ended = wait(&owner, &child.run_id).await;
        assert_eq!(ended.status(), RunStatus::Error, "{given}: {ended:?}");
        let whose = if config.is_empty() {
            "one run is 5000"
        } else {
            "a run and what it delegates is 9000"
        };
        assert!(ended.error.contains(whose), "{given}: {}", ended.error);
    }
}

#[tokio::test]
async fn money_needs_prices() {
    let config = "models.prices.'offline/offline' = { input = 1000, output = 1000 }\n\
                  agents.defaults.budget.run.cost = 0.000001";
    let gateway = Setup::new().config(config).start().await;
    let owner = gateway.owner().await;
    let error = fails(&owner, "a", "main", "Hello.").await;
    assert!(error.starts_with("budget: the budget of one run is $0.000001, and $"), "{error}");
    let refused = openclaw_config::parse("agents.defaults.budget.day.cost = 5").unwrap_err();
    assert!(refused.to_string().contains("add `models.prices.\"offline/offline\"`"), "{refused}");
}
