//! Models that ask for too much, for what is not theirs, or for nothing that makes sense: each has a defined end,
//! and nothing is left of what was refused.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::history_entry::Kind;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_tests::{Behavior, Client, Provider, Setup, ask, request, soon};
use serde_json::{Value, json};

use super::{child, history, run, sessions_of, settled, spawn};

const WAITS: &str = "\n[[reply]]\nmatch = \"wait\"\ntext = \"a b\"\nchunks = 2\ndelayMs = 60000\n";

/// What the calls of one tool answered in a run, in their order.
async fn answers(client: &Client, session: &str, run: &str, tool: &str) -> Vec<String> {
    let entries = history(client, session).await.into_iter();
    let of = entries.filter(|entry| entry.run_id == run && entry.tool == tool);
    of.map(|entry| entry.text.split("\n\n").next().unwrap().to_owned()).collect()
}

async fn runs(client: &Client) -> usize {
    let list = v1::ListRunsRequest { page_size: 1000, ..Default::default() };
    client.runs().list(list).await.unwrap().into_inner().runs.len()
}

async fn subagents(client: &Client) -> Vec<v1::Subagent> {
    let list = v1::ListSubagentsRequest { page_size: 1000, ..Default::default() };
    client.subagents().list(list).await.unwrap().into_inner().subagents
}

/// Hundreds at once, and again after each answer: as many as may are there, and the turn has its end.
#[tokio::test]
//= docs/threat-model.md#T26
async fn a_model_that_delegates_without_end_reaches_its_limits() {
    let call = "{ name = \"sessions_spawn\", arguments = { task = \"wait\" } }";
    let many = vec![call; 900].join(", ");
    for (script, most) in [
        (
            format!(
                "[[reply]]\nmatch = \"Delegate\"\ntoolCalls = [{many}]\n[[reply]]\nafterTool = \"*\"\ntext = \"Done.\"\n"
            ),
            900,
        ),
        (
            format!(
                "[[reply]]\nmatch = \"Delegate\"\ntoolCalls = [{call}]\n[[reply]]\nafterTool = \"*\"\ntoolCalls = [{call}]\n"
            ),
            64,
        ),
    ] {
        let gateway = Setup::new().script(&format!("{script}{WAITS}")).start().await;
        let owner = gateway.owner().await;
        let asked = ask(&owner, request("r", "main", "Delegate.")).await.unwrap();
        let answers = answers(&owner, "main", "r", "sessions_spawn").await;
        assert_eq!(answers.len(), most);
        let (mut accepted, mut forbidden) = (0, 0);
        for answer in answers {
            let Ok(answer) = serde_json::from_str::<Value>(&answer) else {
                assert_eq!(answer, "not run: a message may have at most 32 tool calls");
                continue;
            };
            if answer["status"] == "accepted" {
                accepted += 1;
                continue;
            }
            let told = "session `agent:main:main` has 5 sub-agents at work, as many as it may";
            assert_eq!(answer, json!({ "status": "forbidden", "error": told }));
            forbidden += 1;
        }
        assert_eq!(accepted, 5);
        assert_eq!(forbidden, most.min(if most == 64 { 64 } else { 32 }) - 5);
        assert_eq!((sessions_of(&owner).await, runs(&owner).await), (6, 6), "nothing else is left");
        assert_eq!(subagents(&owner).await.len(), 5);
        let expected = if most == 64 { RunStatus::Error } else { RunStatus::Ok };
        assert_eq!(asked.status(), expected, "{:?}", asked.run().error);
    }
}

/// In whose name, for which conversation and with what: it is the run that asks, and nothing that a model writes
/// changes that. What does not make sense is named.
#[tokio::test]
//= docs/threat-model.md#T16
async fn nothing_is_forged_and_nothing_is_misread() {
    let long = "x".repeat(50 * 1024 * 1024);
    let forged = [
        (
            json!({ "task": "wait", "parentSessionKey": "agent:main:explicit:other" }),
            "parentSessionKey",
        ),
        (json!({ "task": "wait", "parent": "agent:main:explicit:other" }), "parent"),
        (json!({ "task": "wait", "sessionKey": "agent:main:main" }), "sessionKey"),
        (json!({ "task": "wait", "onBehalfOf": "owner" }), "onBehalfOf"),
        (json!({ "task": "wait", "scopes": ["operator.admin"] }), "scopes"),
        (json!({ "task": "wait", "model": "nowhere/none" }), "no model `nowhere/none`"),
        (json!({ "task": "wait", "model": "..//" }), "provider id `..`"),
        (json!({ "task": "wait", "agentId": "nobody" }), "nobody"),
        (json!({ "task": "wait", "runtime": "acp" }), "runtime"),
        (json!({ "task": "wait", "mode": "session" }), "mode"),
        (json!({ "task": "wait", "context": "everything" }), "context"),
        (json!({ "task": "wait", "cleanup": "burn" }), "cleanup"),
        (json!({ "task": "wait", "budget": -1 }), "budget"),
        (json!({ "task": "wait", "toolsAllow": ["gateway"] }), "`gateway`"),
        (json!({ "task": "wait", "toolsAllow": "all" }), "toolsAllow"),
        (json!({ "task": ["wait"] }), "task"),
        (json!({ "task": " \n" }), "the task is empty"),
        (json!({ "task": long }), "bytes"),
        (json!({}), "task"),
    ];
    for (arguments, named) in forged {
        let call = Behavior::call("sessions_spawn", arguments);
        let provider = Provider::openai([call, Behavior::text("I see.")]).await;
        let gateway = Setup::new().provider(&provider).start().await;
        let owner = gateway.owner().await;
        let asked = ask(&owner, request("r", "main", "Delegate.")).await.unwrap();
        // An answer that no turn may keep ends it; all else is told to the model.
        if asked.status() == RunStatus::Ok {
            let answers = answers(&owner, "main", "r", "sessions_spawn").await;
            let [answer] = answers.as_slice() else { panic!("{named}: {answers:?}") };
            assert!(answer.contains(named), "{named}: {answer}");
            assert!(!answer.contains("accepted") && !answer.contains("runId"), "{answer}");
        } else {
            assert!(asked.run().error.starts_with("protocol: "), "{named}: {:?}", asked.run());
        }
        assert_eq!((sessions_of(&owner).await, runs(&owner).await), (1, 1), "{named}");
        assert_eq!(subagents(&owner).await, []);
    }
}

/// One that has nothing to say is told as that, once; and nobody is told nothing in a loop.
#[tokio::test]
async fn a_sub_agent_that_says_nothing_is_told_once() {
    for said in ["NO_REPLY", " ", "[silent]"] {
        let provider = Provider::openai([
            Behavior::text("Hello."),
            Behavior::text(said),
            Behavior::text("NO_REPLY"),
        ]);
        let provider = provider.await;
        let gateway = Setup::new().provider(&provider).start().await;
        let owner = gateway.owner().await;
        ask(&owner, request("r", "main", "Hello.")).await.unwrap();
        owner.subagents().spawn(spawn("s", "main", "Look.")).await.unwrap();
        let settled = settled(&owner, "s").await;
        assert_eq!(settled.delivery(), Delivery::Told, "{said}: {settled:?}");
        let told = run(&owner, &settled.told_in_run_id).await;
        assert_eq!((told.status(), told.text.as_str()), (RunStatus::Ok, "NO_REPLY"));
        let entries = history(&owner, "main").await;
        let heard = entries.iter().filter(|entry| entry.kind() != Kind::Assistant);
        assert_eq!(heard.filter(|entry| entry.text.contains("run s, session ")).count(), 1);
        provider.idle().await;
        assert_eq!((provider.received().len(), runs(&owner).await), (3, 3), "{said}");
    }
}

/// What was said before the task gives way to a summary while the task is worked on: the result comes after it, once.
#[tokio::test]
async fn a_parent_that_is_compacted_meanwhile_is_told_once() {
    let talk = std::iter::repeat_n(Behavior::text("Noted."), 6);
    let provider = Provider::openai(talk.chain([
        Behavior::held("It is blue."),
        Behavior::text("Much was said of colours."),
        Behavior::text("So it is blue."),
    ]));
    let provider = provider.await;
    let config = "agents.defaults.contextTokens = 16384";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    for number in 0..6 {
        let text = format!("question-{number}. {}", "word ".repeat(700));
        ask(&owner, request(&format!("r{number}"), "main", &text)).await.unwrap();
    }
    owner.subagents().spawn(spawn("s", "main", "Look.")).await.unwrap();
    provider.requests(7).await;
    let compact = v1::CompactSessionRequest { key: "main".into(), ..Default::default() };
    assert!(owner.sessions().compact(compact).await.unwrap().into_inner().done);
    assert_eq!(child(&owner, "s").await.delivery(), Delivery::Unspecified, "it is at work");
    provider.release(1);
    let settled = settled(&owner, "s").await;
    let told = run(&owner, &settled.told_in_run_id).await;
    assert_eq!((told.status(), told.text.as_str()), (RunStatus::Ok, "So it is blue."));
    let shown = provider.received().last().unwrap().body["messages"].to_string();
    assert!(shown.contains("Much was said of colours.") && !shown.contains("question-0."));
    assert_eq!(shown.matches("> It is blue.").count(), 1, "{shown}");
    soon(provider.idle()).await;
    assert_eq!(provider.received().len(), 9);
}
