//! Agents that look around by themselves: bounded, quiet when all is well, and heard when not.

use openclaw_platforms::Telegram;
use openclaw_proto::v1;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_tests::{Behavior, Client, Provider, Setup, TestGateway, soon};
use tonic::Code;

use super::cron::{job, settled};
use super::delivery::on_telegram;

const KEY: &str = "heartbeat:main";

/// A gateway whose owner reads on Telegram, and whose agent looks around.
async fn gateway(telegram: &Telegram, provider: &Provider, more: &str) -> TestGateway {
    let setup = Setup::new().provider(provider).config(&format!(
        "commands.ownerAllowFrom = [\"telegram:42\"]\nagents.defaults.heartbeat.every = \"1h\"\n{more}"
    ));
    on_telegram(setup, telegram).start().await
}

/// Has the agent look around; returns what came of it.
async fn look(client: &Client, key: &str) -> v1::Occurrence {
    let request = v1::RunJobRequest { job: KEY.into(), idempotency_key: key.into() };
    client.cron().run(request).await.unwrap();
    settled(client, KEY).await
}

async fn wait_for(telegram: &Telegram, count: usize) -> Vec<String> {
    soon(async {
        loop {
            let sent: Vec<_> = telegram.sent().into_iter().map(|message| message.text).collect();
            if sent.len() >= count {
                return sent;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn only_what_needs_attention_is_told_and_once() {
    let telegram = Telegram::start().await;
    let answers = ["HEARTBEAT_OK", "All is well.\nHEARTBEAT_OK", "NO_REPLY", "The disk is full."];
    let answers = answers.into_iter().chain(["The disk is full.", "The door is open."]);
    let provider = Provider::openai(answers.map(Behavior::text)).await;
    let gateway = gateway(&telegram, &provider, "").await;
    let owner = gateway.owner().await;
    for number in 0..6 {
        let ran = look(&owner, &format!("look-{number}")).await;
        assert_eq!(ran.outcome(), Outcome::Ran, "{ran:?}");
        assert_eq!(ran.session_key, "agent:main:main");
        assert!(ran.run_id.starts_with("heartbeat-main-"), "{ran:?}");
    }
    assert_eq!(wait_for(&telegram, 2).await, ["The disk is full.", "The door is open."]);
    // It has the tools that look, and no other.
    let asked = provider.received();
    let tools: Vec<_> = asked[0].body["tools"].as_array().unwrap().iter().collect();
    let names: Vec<_> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
    assert!(names.iter().any(|name| *name == "read_file"), "{names:?}");
    for name in ["exec", "write_file", "sessions_spawn", "cron", "web_fetch"] {
        assert!(!names.iter().any(|it| *it == name), "{names:?}");
    }
}

#[tokio::test]
async fn the_configuration_says_what_it_is() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([]).await;
    let gateway = gateway(&telegram, &provider, "").await;
    let owner = gateway.owner().await;
    let shown = job(&owner, KEY).await;
    assert_eq!((&*shown.id, shown.enabled, &*shown.owner), ("heartbeat-main", true, "owner"));
    assert_eq!(shown.scopes, ["operator.write"]);
    let removed = v1::RemoveJobRequest { job: KEY.into() };
    let removed = owner.cron().remove(removed).await.unwrap_err();
    assert_eq!(removed.code(), Code::FailedPrecondition);
    assert!(removed.message().contains("configuration file"), "{removed:?}");
    let spec =
        |spec| v1::UpdateJobRequest { job: KEY.into(), spec: Some(spec), ..Default::default() };
    let renamed = spec(v1::JobSpec { name: Some("mine".into()), ..Default::default() });
    let renamed = owner.cron().update(renamed).await.unwrap_err();
    assert_eq!(renamed.code(), Code::FailedPrecondition, "{renamed:?}");
    let off = spec(v1::JobSpec { enabled: Some(false), ..Default::default() });
    let off = owner.cron().update(off).await.unwrap().into_inner();
    assert_eq!((off.enabled, off.next_at), (false, None));
    // Nobody else's job has such a key.
    let mine = v1::AddJobRequest {
        idempotency_key: "mine".into(),
        key: "heartbeat:other".into(),
        spec: Some(super::cron::turn("mine", "Hello.")),
    };
    assert_eq!(owner.cron().add(mine).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn nothing_to_look_at_costs_nothing() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([]).await;
    let often =
        "agents.entries.main.heartbeat.every = \"1s\"\nagents.entries.main.tools.deny = [\"exec\"]";
    let gateway = gateway(&telegram, &provider, often).await;
    let file = gateway.workspace("main").join("HEARTBEAT.md");
    std::fs::write(file, "# What to look at\n\n- \n<!-- nothing yet -->\n").unwrap();
    let owner = gateway.owner().await;
    let skipped = settled(&owner, KEY).await;
    assert_eq!((skipped.outcome(), &*skipped.reason), (Outcome::Skipped, "empty-heartbeat-file"));
    assert_eq!(provider.received().len(), 0);
}

#[tokio::test]
async fn a_key_that_is_refused_stops_it_after_one_and_its_owner_hears_of_it() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([Behavior::refuse(401, "no such key")]).await;
    let often = "agents.entries.main.heartbeat.every = \"1s\"";
    let gateway = gateway(&telegram, &provider, often).await;
    let owner = gateway.owner().await;
    let told = wait_for(&telegram, 1).await;
    let said = "<code>Heartbeat of main</code> is due no more: consecutive-failures";
    assert!(told[0].contains(said), "{told:?}");
    assert!(told[0].contains("openclaw cron enable heartbeat-main"), "{told:?}");
    let stopped = job(&owner, KEY).await;
    assert_eq!((stopped.enabled, &*stopped.disabled_reason), (false, "consecutive-failures"));
    assert_eq!(provider.received().len(), 1, "each attempt costs");
    assert_eq!(telegram.sent().len(), 1);
}

#[tokio::test]
async fn the_conversation_is_its_own_and_empty_where_that_is_said() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai(["HEARTBEAT_OK"; 2].map(Behavior::text)).await;
    let own = "agents.defaults.heartbeat.isolatedSession = true\n\
               agents.defaults.heartbeat.lightContext = true\n\
               agents.defaults.heartbeat.prompt = \"What is new?\"";
    let gateway = gateway(&telegram, &provider, own).await;
    let owner = gateway.owner().await;
    for number in 0..2 {
        let ran = look(&owner, &format!("look-{number}")).await;
        assert_eq!(ran.session_key, "agent:main:main:heartbeat");
    }
    let asked = provider.received();
    let messages = asked[1].body["messages"].as_array().unwrap();
    let said: Vec<_> = messages.iter().filter(|message| message["role"] != "system").collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["content"], "What is new?");
}

#[tokio::test]
async fn events_are_answered_by_the_model_that_looks() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([Behavior::text("Noted.")]).await;
    let model = "agents.defaults.heartbeat.model = \"offline/offline\"";
    let gateway = gateway(&telegram, &provider, model).await;
    let owner = gateway.owner().await;
    let happened = v1::SystemEventRequest {
        idempotency_key: "happened".into(),
        session_key: "main".into(),
        text: "The door is open.".into(),
        ..v1::SystemEventRequest::default()
    };
    owner.system().event(happened).await.unwrap();
    let runs = || async {
        let list = v1::ListRunsRequest::default();
        owner.runs().list(list).await.unwrap().into_inner().runs
    };
    let ended = soon(async {
        loop {
            if let Some(run) = runs().await.into_iter().find(|run| run.ended_at.is_some()) {
                return run;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(ended.run_id.starts_with("event-"), "{ended:?}");
    assert_eq!(provider.received().len(), 0, "the other model was not asked");
    // Whoever writes is answered by the agent's own.
    let asked = openclaw_tests::request("mine", "main", "And you?");
    assert_eq!(openclaw_tests::ask(&owner, asked).await.unwrap().text, "Noted.");
}

#[tokio::test]
async fn a_look_that_does_not_end_ends_with_its_budget() {
    let again = r#"toolCalls = [{ name = "exec", arguments = { command = "echo again" } }]"#;
    let script = format!(
        "[[reply]]\nmatch = \"Look around.\"\n{again}\n[[reply]]\nafterTool = \"*\"\n{again}\n"
    );
    let setup = Setup::new().script(&script).config(
        "tools.exec.sandbox = \"off\"\ntools.exec.ask = \"off\"\n\
         [agents.defaults.heartbeat]\nevery = \"24h\"\nprompt = \"Look around.\"\n\
         tools = [\"exec\"]\nbudget = 3000",
    );
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    let looked = look(&owner, "look").await;
    assert_eq!(looked.outcome(), Outcome::Failed, "{looked:?}");
    let listed = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner();
    let [run] = listed.runs.as_slice() else { panic!("{listed:?}") };
    assert!(run.error.contains("budget"), "{run:?}");
    let usage = run.usage.unwrap();
    let used = usage.input_tokens + usage.output_tokens;
    // It ends before the next answer, so at most one is beyond.
    assert!((1..6_000).contains(&used), "{used}");
}
