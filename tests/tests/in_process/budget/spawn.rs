//! What cannot be paid for is not delegated: nothing of it is left, whoever delegates at the same moment.

use openclaw_proto::v1;
use openclaw_tests::{Behavior, Client, Provider, Refusal, Setup, ask, background, request, soon};
use serde_json::{Value, json};
use tonic::Code;

async fn sessions(client: &Client) -> usize {
    let list = v1::ListSessionsRequest { page_size: 1000, ..Default::default() };
    client.sessions().list(list).await.unwrap().into_inner().sessions.len()
}

async fn runs(client: &Client) -> usize {
    let list = v1::ListRunsRequest { page_size: 1000, ..Default::default() };
    client.runs().list(list).await.unwrap().into_inner().runs.len()
}

fn spawn(key: String) -> v1::SpawnRequest {
    v1::SpawnRequest {
        idempotency_key: key,
        session_key: "main".into(),
        task: "Look.".into(),
        ..Default::default()
    }
}

/// Five at once where there is enough for some: who gets a place can pay for it.
#[tokio::test]
async fn those_that_delegate_at_once_share_what_is_left() {
    let provider = Provider::openai([Behavior::text("Hello."), Behavior::held("Blue.")]).await;
    let config = "agents.defaults.budget.day.tokens = 10000";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let before = (sessions(&owner).await, runs(&owner).await);
    let all = (0..5).map(|number| {
        let owner = owner.clone();
        background(async move {
            let answer = owner.subagents().spawn(spawn(format!("s{number}"))).await;
            answer.map(tonic::Response::into_inner).map_err(Refusal::from)
        })
    });
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for answer in all.collect::<Vec<_>>() {
        match soon(answer).await.unwrap() {
            Ok(answer) => accepted.push(answer),
            Err(refusal) => {
                assert_eq!(refusal.kind(), (Code::ResourceExhausted, "BUDGET_EXHAUSTED"));
                let told =
                    "nothing was delegated: the budget of agent `main` for today is 10000 tokens, ";
                assert!(refusal.message.starts_with(told), "{refusal:?}");
                assert_eq!(refusal.next, "openclaw usage");
                refused += 1;
            }
        }
    }
    assert!(!accepted.is_empty() && refused > 0, "{accepted:?}");
    let made = accepted.len();
    assert_eq!((sessions(&owner).await, runs(&owner).await), (before.0 + made, before.1 + made));
    // The same request finds what it has begun, whatever is left.
    let key = accepted[0].run_id.clone();
    let again = owner.subagents().spawn(spawn(key.clone())).await.unwrap().into_inner();
    assert_eq!(again, accepted[0]);
    provider.release(made);
    for answer in &accepted {
        let request = v1::WaitRunRequest { run_id: answer.run_id.clone(), timeout: None };
        let ended = soon(owner.runs().wait(request)).await.unwrap().into_inner();
        assert_eq!((ended.text.as_str(), ended.error.as_str()), ("Blue.", ""));
    }
}

/// A model is told as of any other limit, and goes on.
#[tokio::test]
async fn a_model_is_told_that_nothing_was_delegated() {
    for part in ["run", "tree", "day"] {
        let call = Behavior::call("sessions_spawn", json!({ "task": "x ".repeat(30_000) }));
        let provider = Provider::openai([call, Behavior::text("I do it myself.")]).await;
        let config = format!("agents.defaults.budget.{part}.tokens = 15000");
        let gateway = Setup::new().provider(&provider).config(&config).start().await;
        let owner = gateway.owner().await;
        let asked = ask(&owner, request("r", "main", "Delegate.")).await.unwrap();
        assert_eq!(asked.tools.len(), 1, "{part}: {asked:?}");
        let history =
            v1::SessionHistoryRequest { key: "main".into(), page_size: 100, ..Default::default() };
        let entries = owner.sessions().history(history).await.unwrap().into_inner().entries;
        let result = entries.iter().find(|entry| entry.tool == "sessions_spawn").unwrap();
        let answer: Value = serde_json::from_str(&result.text).unwrap();
        assert_eq!(answer["status"], "forbidden", "{part}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(" is 15000 tokens, and "), "{answer}");
        assert_eq!((answer.get("runId"), answer.get("childSessionKey")), (None, None));
        assert_eq!((sessions(&owner).await, runs(&owner).await), (1, 1), "nothing is left");
    }
}
