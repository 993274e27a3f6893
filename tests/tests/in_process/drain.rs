//! Stopping in order: what runs may finish, what waits stays accepted, nothing new is taken.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::history_entry::Kind;
use openclaw_tests::{Behavior, Provider, Setup, ask, background, request, soon, start};
use tonic::Code;

use super::runs::wait;

#[tokio::test]
async fn what_runs_finishes_and_what_waits_is_kept() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let mut health = owner.health();
    let watched = health.watch(openclaw_client::health::HealthCheckRequest::default()).await;
    let mut watched = watched.unwrap().into_inner();
    let serving = openclaw_client::health::health_check_response::ServingStatus::Serving;
    assert_eq!(soon(watched.message()).await.unwrap().unwrap().status(), serving);

    let works = start(&owner, request("works", "main", "One.")).await.unwrap();
    let waits = start(&owner, request("waits", "main", "Two.")).await.unwrap();
    provider.requests(1).await;
    let stopping = background(gateway.stop());
    // The health says so before anything is refused.
    assert_ne!(soon(watched.message()).await.unwrap().unwrap().status(), serving);
    let left = waits.rest().await.unwrap_err();
    assert_eq!(left.code(), Code::Unavailable, "its stream ends, it does not: {left:?}");
    let refusal = start(&owner, request("new", "explicit:b", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unavailable, "DRAINING"));
    assert!(refusal.retry.is_some());
    let create = v1::CreateSessionRequest {
        idempotency_key: "k".into(),
        key: "explicit:b".into(),
        ..Default::default()
    };
    let refusal = openclaw_tests::Refusal::from(owner.sessions().create(create).await.unwrap_err());
    assert_eq!(refusal.kind(), (Code::Unavailable, "DRAINING"));
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.phase(), v1::status_response::Phase::Draining);
    provider.release(1);
    assert_eq!(works.rest().await.unwrap().status(), RunStatus::Ok);
    let stopped = soon(stopping).await.unwrap();
    assert_eq!(stopped.drained().interrupted, 0);

    let gateway = stopped.start().await;
    provider.release(1);
    let owner = gateway.owner().await;
    let run = wait(&owner, "waits").await;
    assert_eq!((run.status(), run.text.as_str()), (RunStatus::Ok, "Done."), "it runs at last");
    assert_eq!(provider.received().len(), 2);
}

/// A turn that the stop interrupts goes on after the next start, with what it did before in its history, and
/// under the name that its client knows.
#[tokio::test]
async fn what_runs_too_long_goes_on_after_the_start() {
    let behaviors = [Behavior::HangAfter("So far ".into()), Behavior::text("Again.")];
    let provider = Provider::openai(behaviors).await;
    let gateway = Setup::new().provider(&provider).config("gateway.drainSeconds = 0").start().await;
    let owner = gateway.owner().await;
    let mut events = start(&owner, request("r", "main", "One.")).await.unwrap();
    while !matches!(events.expect().await, v1::run_event::Event::Text(_)) {}
    let stopped = soon(gateway.stop()).await;
    assert_eq!(stopped.drained().interrupted, 1);
    let left = events.rest().await.unwrap_err();
    let left = openclaw_tests::Refusal::from(left);
    assert_eq!((left.reason.as_str(), left.next.as_str()), ("DRAINING", "openclaw runs wait r"));
    let gateway = stopped.start().await;
    let owner = gateway.owner().await;
    let run = wait(&owner, "r").await;
    assert_eq!((run.status(), run.text.as_str()), (RunStatus::Ok, "Again."), "{run:?}");
    let shown = provider.received().last().unwrap().body["messages"].to_string();
    assert!(shown.contains("One.") && shown.contains("The gateway stopped"), "{shown}");
    assert_eq!(ask(&owner, request("r", "main", "One.")).await.unwrap().run(), &run);
    let next = ask(&owner, request("next", "main", "Two.")).await.unwrap();
    assert_eq!(next.status(), RunStatus::Ok, "the session is not stuck");
    let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
    let entries = owner.sessions().history(history).await.unwrap().into_inner().entries;
    let ends: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind() == Kind::Final)
        .map(|entry| entry.outcome.as_str())
        .collect();
    assert_eq!(ends, ["interrupted", "ok", "ok"]);
}
