//! Whose turn it is: first come, first served in a session; a bounded number over all of them.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Behavior, Client, Events, Provider, Setup, ask, request, start};
use tonic::Code;

use super::runs::wait;

async fn list(client: &Client, status: RunStatus) -> Vec<String> {
    let request = v1::ListRunsRequest { statuses: vec![status.into()], ..Default::default() };
    let listed = client.runs().list(request).await.unwrap().into_inner();
    listed.runs.into_iter().rev().map(|run| run.run_id).collect()
}

async fn abort(client: &Client, run: &str) -> v1::Run {
    let request = v1::AbortRunRequest { run_id: run.into() };
    client.runs().abort(request).await.unwrap().into_inner()
}

//= docs/threat-model.md#T26
#[tokio::test]
async fn a_session_works_through_its_queue_in_order() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let mut streams: Vec<Events> = Vec::new();
    for number in 0..=20 {
        let asked = request(&format!("r{number:02}"), "main", &format!("m{number:02}"));
        streams.push(start(&owner, asked).await.unwrap());
    }
    provider.requests(1).await;
    assert_eq!(list(&owner, RunStatus::Running).await, ["r00"]);
    assert_eq!(list(&owner, RunStatus::Queued).await.len(), 20);
    let refusal = start(&owner, request("r21", "main", "Too many.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "SESSION_BUSY"));
    assert!(refusal.retry.is_some() && !refusal.next.is_empty(), "{refusal:?}");
    // Another session is not concerned.
    let other = start(&owner, request("other", "explicit:b", "Hello.")).await.unwrap();
    provider.requests(2).await;
    provider.release(22);
    assert_eq!(other.rest().await.unwrap().status(), RunStatus::Ok);
    for events in streams {
        assert_eq!(events.rest().await.unwrap().status(), RunStatus::Ok);
    }
    let said: Vec<String> = provider
        .received()
        .iter()
        .map(|received| {
            let messages = received.body["messages"].as_array().unwrap();
            messages.last().unwrap()["content"].as_str().unwrap().to_owned()
        })
        .filter(|said| said.starts_with('m'))
        .collect();
    assert_eq!(said, (0..=20).map(|number| format!("m{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn sessions_work_at_once_up_to_the_bound() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway =
        Setup::new().provider(&provider).config("agents.defaults.maxConcurrent = 3").start().await;
    let owner = gateway.owner().await;
    let mut streams = Vec::new();
    for number in 0..8 {
        let asked = request(&format!("r{number}"), &format!("explicit:{number}"), "Hello.");
        streams.push(start(&owner, asked).await.unwrap());
    }
    provider.requests(3).await;
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.running_runs, status.queued_runs, status.max_concurrent), (3, 5, 3));
    provider.release(8);
    for events in streams {
        assert_eq!(events.rest().await.unwrap().status(), RunStatus::Ok);
    }
    assert_eq!((provider.most_at_once(), provider.received().len()), (3, 8));
}

#[tokio::test]
async fn waiting_and_working_runs_can_be_aborted() {
    let provider = Provider::openai([Behavior::Hang, Behavior::text("Third.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let works = start(&owner, request("works", "main", "One.")).await.unwrap();
    let waits = start(&owner, request("waits", "main", "Two.")).await.unwrap();
    let third = start(&owner, request("third", "main", "Three.")).await.unwrap();
    provider.requests(1).await;
    assert_eq!(abort(&owner, "waits").await.status(), RunStatus::Aborted);
    let waits = waits.rest().await.unwrap();
    assert_eq!(waits.status(), RunStatus::Aborted);
    assert!(waits.run().started_at.is_none(), "it never began: {:?}", waits.run());
    assert_eq!(abort(&owner, "works").await.status(), RunStatus::Aborted);
    assert_eq!(works.rest().await.unwrap().status(), RunStatus::Aborted);
    assert_eq!(third.rest().await.unwrap().status(), RunStatus::Ok, "the next has its turn");
    let again = abort(&owner, "works").await;
    assert_eq!(again.status(), RunStatus::Aborted, "aborting twice changes nothing");
    assert_eq!(
        abort(&owner, "third").await.status(),
        RunStatus::Ok,
        "what ended stays as it ended"
    );
    assert_eq!(wait(&owner, "third").await.text, "Third.");
    let unknown = v1::AbortRunRequest { run_id: "nope".into() };
    assert_eq!(owner.runs().abort(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_full_session_still_answers_for_what_it_knows() {
    let provider = Provider::openai([Behavior::text("Kept."), Behavior::held("Done.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let kept = ask(&owner, request("kept", "main", "Hello.")).await.unwrap();
    let mut streams = Vec::new();
    for number in 0..=20 {
        streams
            .push(start(&owner, request(&format!("r{number}"), "main", "Hello.")).await.unwrap());
    }
    let again = ask(&owner, request("kept", "main", "Hello.")).await.unwrap();
    assert_eq!(again.end, kept.end, "a replay needs no place in the queue");
    let nobody = gateway.narrowed(&[]).await;
    let refusal = start(&nobody, request("x", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "may it, comes first");
    provider.release(30);
    for events in streams {
        assert_eq!(events.rest().await.unwrap().status(), RunStatus::Ok);
    }
}
