//! A full disk: said as such, nothing half-written, reads still served, and no model blamed.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::run_event::Event;
use openclaw_tests::{
    Behavior, Client, Provider, Refusal, Setup, TestGateway, ask, request, start,
};
use serde_json::json;
use tonic::Code;

use super::runs::wait;

/// Pages that a gateway needs to start, and some to work with.
const PAGES: u32 = 160;

async fn verify(client: &Client) -> v1::VerifyAuditResponse {
    client.audit().verify(v1::VerifyAuditRequest::default()).await.unwrap().into_inner()
}

/// Runs turns until the disk is full; returns how many were answered, and the refusal.
async fn fill(owner: &Client) -> (usize, Refusal) {
    let filler = "x".repeat(20_000);
    for number in 0..1000 {
        let request = request(&format!("fill{number}"), &format!("explicit:{number}"), &filler);
        match start(owner, request).await {
            Ok(events) => drop(events.rest().await),
            Err(refusal) => return (number, refusal),
        }
    }
    panic!("the disk was never full");
}

async fn bounded() -> TestGateway {
    Setup::new().max_pages(PAGES).script("[[reply]]\ntext = \"Yes.\"").start().await
}

//= docs/threat-model.md#T22
#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_half_written() {
    let gateway = bounded().await;
    let owner = gateway.owner().await;
    let (answered, refusal) = fill(&owner).await;
    assert!(answered > 3, "{answered} {refusal:?}");
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "STORAGE_FULL"));
    assert!(refusal.retry.is_some() && !refusal.next.is_empty(), "{refusal:?}");

    // What was refused is not there, and what was there is read.
    let id = format!("fill{answered}");
    let gone = v1::WaitRunRequest { run_id: id.clone(), timeout: None };
    assert_eq!(owner.runs().wait(gone).await.unwrap_err().code(), Code::NotFound);
    let key = format!("explicit:{answered}");
    let get = v1::GetSessionRequest { key: key.clone(), ..Default::default() };
    assert_eq!(owner.sessions().get(get).await.unwrap_err().code(), Code::NotFound);
    let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs.len(), answered);
    let first = v1::SessionHistoryRequest { key: "explicit:0".into(), ..Default::default() };
    let entries = owner.sessions().history(first).await.unwrap().into_inner().entries;
    assert_eq!((entries.len(), entries[0].text.len()), (3, 20_000));
    let verified = verify(&owner).await;
    assert!(verified.ok, "{verified:?}");

    // With room again, the same request is accepted as if nothing had been.
    let gateway = gateway.stop().await.with_max_pages(None).start().await;
    let owner = gateway.owner().await;
    let again = ask(&owner, request(&id, &key, "Hello.")).await.unwrap();
    assert_eq!(again.status(), RunStatus::Ok);
    assert!(!again.accepted.unwrap().existing);
    assert!(verify(&owner).await.ok);
}

/// The model's answer does not fit: the run ends as failed by the storage, not by the model, and
/// the model is not asked again.
#[tokio::test]
async fn a_full_disk_is_no_fault_of_the_model() {
    let calls = json!({ "path": "big.txt", "content": "y".repeat(800_000) });
    let provider = Provider::openai([Behavior::call("write_file", calls)]).await;
    let gateway = Setup::new().provider(&provider).max_pages(PAGES).start().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Write.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Error, "{asked:?}");
    assert!(asked.retries.is_empty() && asked.tools.is_empty(), "{asked:?}");
    let error = &asked.run().error;
    assert!(error.contains("journal") && error.contains("no space"), "{error}");
    for name in ["network", "overloaded", "protocol", "timeout", "rate-limited"] {
        assert!(!error.contains(name), "{error}");
    }
    assert_eq!(provider.received().len(), 1);
    assert!(!gateway.workspace("main").join("big.txt").exists(), "unrecorded calls are not made");
    assert!(verify(&owner).await.ok);
}

/// Even the end of a run does not fit: it stays the session's run, and the gateway stops in order.
#[tokio::test]
async fn an_answer_that_does_not_fit_waits_for_room() {
    let answer = format!("{} ", "z".repeat(60_000)).repeat(20);
    let provider = Provider::openai([Behavior::Text(answer)]).await;
    let gateway = Setup::new().provider(&provider).max_pages(PAGES).start().await;
    let owner = gateway.owner().await;
    let mut events = start(&owner, request("r", "main", "Say much.")).await.unwrap();
    while !matches!(events.expect().await, Event::Text(_)) {}
    provider.idle().await;
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.running_runs, status.sessions), (1, 1));
    let stopped = gateway.stop().await;
    let gateway = stopped.with_max_pages(None).start().await;
    let run = wait(&gateway.owner().await, "r").await;
    assert!(run.error.contains("longer than a turn may keep"), "it goes on, to the same end");
    assert_eq!(provider.received().len(), 2, "what the answer was nobody knows any more");
}
