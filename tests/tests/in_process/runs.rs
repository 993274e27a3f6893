//! Runs: accepted, streamed, kept; the same key is the same run.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::run_event::Event;
use openclaw_tests::{
    Behavior, Client, Provider, Refusal, Setup, TestGateway, ask, background, request, soon, start,
};
use tonic::Code;

pub(super) async fn wait(client: &Client, run: &str) -> v1::Run {
    let timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = v1::WaitRunRequest { run_id: run.into(), timeout };
    soon(client.runs().wait(request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn the_answer_comes_in_two_steps() {
    let provider = Provider::openai([Behavior::held("one two three")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let mut events = start(&owner, request("r", "explicit:a", "Count.")).await.unwrap();
    let Event::Accepted(accepted) = events.expect().await else { panic!("first the acceptance") };
    let run = accepted.run.unwrap();
    assert_eq!((run.run_id.as_str(), run.session_key.as_str()), ("r", "agent:main:explicit:a"));
    assert_eq!((run.status(), accepted.existing), (RunStatus::Running, false));
    assert_eq!(run.on_behalf_of, "owner");
    provider.requests(1).await;
    // It is durable before anything was answered.
    let listed = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.runs, [run]);
    for (agent, count) in [("main", 1), ("nobody", 0)] {
        let request = v1::ListRunsRequest { agent_id: agent.into(), ..Default::default() };
        let listed = owner.runs().list(request).await.unwrap().into_inner();
        assert_eq!(listed.runs.len(), count, "{agent}");
    }
    provider.release(1);
    for word in ["one ", "two ", "three"] {
        assert_eq!(events.expect().await, Event::Text(v1::TextDelta { text: word.into() }));
    }
    let Event::Final(end) = events.expect().await else { panic!("last the end") };
    assert_eq!((end.status(), end.text.as_str()), (RunStatus::Ok, "one two three"));
    assert!(end.accepted_at.is_some() && end.started_at.is_some() && end.ended_at.is_some());
    assert_eq!(events.next().await.unwrap(), None);
    assert_eq!(wait(&owner, "r").await, end, "what is read later is what was told");
}

//= docs/threat-model.md#T18
#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let provider = Provider::openai([Behavior::text("First."), Behavior::text("Second.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let first = ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let again = ask(&owner, request("r", "agent:main:MAIN", "Hello.")).await.unwrap();
    assert_eq!(again.end, first.end);
    assert!(again.accepted.unwrap().existing);
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let again = ask(&owner, request("r", "", "Hello.")).await.unwrap();
    assert_eq!(again.end, first.end, "also after a restart");
    assert_eq!(provider.received().len(), 1, "the model was asked once");

    let mut limited = request("r", "main", "Hello.");
    limited.timeout = Some(prost_types::Duration { seconds: 9, nanos: 0 });
    for other in [request("r", "main", "Goodbye."), request("r", "explicit:b", "Hello."), limited] {
        let refusal = ask(&owner, other.clone()).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::AlreadyExists, "IDEMPOTENCY_CONFLICT"), "{other:?}");
    }
    assert_eq!(provider.received().len(), 1);
}

#[tokio::test]
async fn equal_requests_at_once_are_one_run() {
    let provider = Provider::openai([Behavior::held("Once.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let owner = gateway.owner().await;
        askers.spawn(async move {
            let events = start(&owner, request("r", "main", "Hello.")).await.unwrap();
            events.rest().await.unwrap()
        });
    }
    provider.requests(1).await;
    let owner = gateway.owner().await;
    let other = start(&owner, request("r", "main", "Something else.")).await.unwrap_err();
    assert_eq!(other.kind().1, "IDEMPOTENCY_CONFLICT", "also while it runs");
    provider.release(1);
    let answers = soon(askers.join_all()).await;
    let new = answers.iter().filter(|asked| !asked.accepted.as_ref().unwrap().existing).count();
    assert_eq!(new, 1);
    assert!(answers.iter().all(|asked| asked.end == answers[0].end && asked.text == "Once."));
    assert_eq!(provider.received().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_the_run() {
    let provider = Provider::openai([Behavior::held("Still here.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let client = gateway.owner().await;
    let mut events = start(&client, request("r", "main", "Hello.")).await.unwrap();
    assert!(matches!(events.expect().await, Event::Accepted(_)));
    drop((events, client));
    provider.requests(1).await;
    provider.release(1);
    let run = wait(&gateway.owner().await, "r").await;
    assert_eq!((run.status(), run.text.as_str()), (RunStatus::Ok, "Still here."));
}

/// The client may be gone before the acceptance is on disk: the conversation must not stand still.
#[tokio::test]
async fn a_client_that_goes_away_at_once_leaves_no_conversation_stuck() {
    let gateway = Setup::new().start().await;
    let owner = gateway.owner().await;
    for round in 0..40 {
        let client = gateway.owner().await;
        let asking = background(async move {
            drop(ask(&client, request(&format!("gone-{round}"), "main", "Hello.")).await);
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        asking.abort();
        drop(asking.await);
        let asked = soon(ask(&owner, request(&format!("here-{round}"), "main", "Hello."))).await;
        assert_eq!(asked.unwrap().status(), RunStatus::Ok, "round {round}");
    }
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.queued_runs, status.running_runs), (0, 0));
}

/// A run that waits over a restart is still the same run to whoever asks again.
#[tokio::test]
async fn a_retry_after_a_restart_finds_the_run_that_waits() {
    let provider = Provider::openai([
        Behavior::held("First."),
        Behavior::held("Second."),
        Behavior::text("Third."),
    ])
    .await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let first = start(&owner, request("one", "main", "1")).await.unwrap();
    provider.requests(1).await;
    let second = start(&owner, request("two", "main", "2")).await.unwrap();
    let third = start(&owner, request("three", "main", "3")).await.unwrap();
    let stopping = background(gateway.stop());
    second.rest().await.unwrap_err();
    third.rest().await.unwrap_err();
    provider.release(1);
    first.rest().await.unwrap();
    let gateway = stopping.await.unwrap().start().await;
    let owner = gateway.owner().await;
    provider.requests(2).await;
    let mut again = start(&owner, request("three", "main", "3")).await.unwrap();
    let Event::Accepted(accepted) = again.expect().await else { panic!("first the acceptance") };
    assert!(accepted.existing);
    let other = ask(&owner, request("three", "main", "another question")).await.unwrap_err();
    assert_eq!(other.reason, "IDEMPOTENCY_CONFLICT");
    provider.release(1);
    assert_eq!(again.rest().await.unwrap().text, "Third.");
}

#[tokio::test]
async fn whoever_comes_later_gets_the_text_so_far() {
    let provider = Provider::openai([Behavior::HangAfter("one two three ".into())]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let mut events = start(&owner, request("r", "main", "Count.")).await.unwrap();
    let mut said = String::new();
    while said != "one two three " {
        if let Event::Text(delta) = events.expect().await {
            said.push_str(&delta.text);
        }
    }
    let later = gateway.owner().await;
    let mut late = start(&later, request("r", "main", "Count.")).await.unwrap();
    let Event::Accepted(accepted) = late.expect().await else { panic!("first the acceptance") };
    assert!(accepted.existing);
    assert_eq!(late.expect().await, Event::Text(v1::TextDelta { text: said.clone() }));
    owner.runs().abort(v1::AbortRunRequest { run_id: "r".into() }).await.unwrap();
    for rest in [events.rest().await.unwrap(), late.rest().await.unwrap()] {
        assert_eq!(rest.status(), RunStatus::Aborted);
        assert_eq!(rest.run().text, said, "what was said stays");
    }
}

#[tokio::test]
async fn waiting_does_not_touch_the_run() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let events = start(&owner, request("r", "main", "Hello.")).await.unwrap();
    provider.requests(1).await;
    for nanos in [0, 1_000_000] {
        let timeout = Some(prost_types::Duration { seconds: 0, nanos });
        let wait = v1::WaitRunRequest { run_id: "r".into(), timeout };
        let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
        assert_eq!(run.status(), RunStatus::Running);
    }
    let waiter = gateway.owner().await;
    let waits = background(async move { wait(&waiter, "r").await });
    provider.release(1);
    let asked = events.rest().await.unwrap();
    assert_eq!(&waits.await.unwrap(), asked.run());
    let unknown = v1::WaitRunRequest { run_id: "nope".into(), timeout: None };
    assert_eq!(owner.runs().wait(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_run_out_of_time_says_so() {
    let provider = Provider::openai([Behavior::HangAfter("So far ".into())]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let mut short = request("r", "main", "Hello.");
    short.timeout = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    let asked = ask(&owner, short).await.unwrap();
    assert_eq!((asked.status(), asked.run().text.as_str()), (RunStatus::Timeout, "So far "));
    assert!(asked.run().error.contains("time"), "{:?}", asked.run());
    provider.idle().await;
}

#[tokio::test]
async fn lists_of_runs_are_filtered_and_paged() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for number in 0..12 {
        let session = if number % 3 == 0 { "explicit:a" } else { "explicit:b" };
        ask(&owner, request(&format!("r{number}"), session, "Hello.")).await.unwrap();
    }
    let mut request = v1::ListRunsRequest { page_size: 5, ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = owner.runs().list(request.clone()).await.unwrap().into_inner();
        ids.extend(page.runs.into_iter().map(|run| run.run_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(ids, (0..12).rev().map(|number| format!("r{number}")).collect::<Vec<_>>());
    let of = |session: &str, statuses: &[RunStatus]| v1::ListRunsRequest {
        session_key: session.into(),
        statuses: statuses.iter().map(|status| i32::from(*status)).collect(),
        ..Default::default()
    };
    for (request, count) in [
        (of("explicit:a", &[]), 4),
        (of("explicit:a", &[RunStatus::Ok]), 4),
        (of("", &[RunStatus::Ok, RunStatus::Error]), 12),
        (of("", &[RunStatus::Error]), 0),
        (of("explicit:none", &[]), 0),
    ] {
        let page = owner.runs().list(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.runs.len(), count, "{request:?}");
    }
    let unknown = v1::ListRunsRequest { statuses: vec![99], ..Default::default() };
    let refusal = Refusal::from(owner.runs().list(unknown).await.unwrap_err());
    assert_eq!(refusal.code, Code::InvalidArgument);
}
