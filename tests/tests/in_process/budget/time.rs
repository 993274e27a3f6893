//! How long work may take, added up: of one run, of what it delegates, and of a day.

use std::time::Duration;

use openclaw_proto::{from_duration, v1};
use openclaw_tests::{Behavior, Client, Provider, Setup, ask, background, request, soon, start};
use serde_json::json;

use super::super::runs::wait;
use super::fails;

/// Lets time pass while the only thing that goes on is that a provider thinks.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn worked(client: &Client) -> Duration {
    let used = client.gateway().usage(v1::UsageRequest::default()).await.unwrap().into_inner();
    from_duration(&used.total.unwrap().worked.unwrap()).unwrap()
}

fn slow(behavior: Behavior) -> Behavior {
    Behavior::Held(Box::new(behavior))
}

#[tokio::test]
async fn a_run_works_no_longer_than_it_may() {
    let look = || Behavior::call("list_dir", json!({ "path": "." }));
    let provider = Provider::openai([look(), slow(look()), Behavior::text("Done.")]).await;
    let config = "agents.defaults.budget.run.seconds = 5";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    let events = start(&owner, request("a", "main", "Look.")).await.unwrap();
    provider.requests(2).await;
    pass(Duration::from_secs(6)).await;
    provider.release(1);
    let ended = events.rest().await.unwrap();
    let error = &ended.run().error;
    assert_eq!(error, "budget: the budget of one run is 5 seconds, and 6 were worked");
    // It was asked twice, and what it did is there; the next has a budget of its own.
    assert_eq!(provider.received().len(), 2);
    assert_eq!(ended.tools.len(), 2);
    let asked = ask(&owner, request("b", "main", "And now?")).await.unwrap();
    assert_eq!(asked.status(), v1::RunStatus::Ok, "{asked:?}");
    let worked = worked(&owner).await;
    assert!(worked >= Duration::from_secs(6) && worked < Duration::from_secs(60), "{worked:?}");
}

#[tokio::test]
async fn a_day_of_work_survives_a_start() {
    let provider = Provider::openai([slow(Behavior::text("Done."))]).await;
    let config = "agents.defaults.budget.day.seconds = 100";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    let (a, b) = (request("a", "explicit:a", "Hello."), request("b", "explicit:b", "Hello."));
    let both = [start(&owner, a).await.unwrap(), start(&owner, b).await.unwrap()];
    provider.requests(2).await;
    pass(Duration::from_secs(60)).await;
    // Both are at work, and what each has worked counts already.
    let third = background({
        let owner = owner.clone();
        async move { fails(&owner, "c", "explicit:c", "Hello.").await }
    });
    provider.requests(3).await;
    provider.release(3);
    for events in both {
        assert_eq!(events.rest().await.unwrap().status(), v1::RunStatus::Ok);
    }
    drop(third);
    assert!(worked(&owner).await >= Duration::from_secs(120));
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let error = fails(&owner, "d", "explicit:d", "Hello.").await;
    let told = "budget: the budget of agent `main` for today is 100 seconds, and ";
    assert!(error.starts_with(told), "{error}");
}

/// The time of a sub-agent is time of the tree.
#[tokio::test]
async fn what_is_delegated_works_for_who_delegates() {
    let spawn = Behavior::call("sessions_spawn", json!({ "task": "Look." }));
    let look = Behavior::call("list_dir", json!({ "path": "." }));
    let provider = Provider::openai([slow(spawn), slow(look)]).await;
    let config = "agents.defaults.budget.tree.seconds = 5";
    let gateway = Setup::new().provider(&provider).config(config).start().await;
    let owner = gateway.owner().await;
    let events = start(&owner, request("a", "main", "Delegate.")).await.unwrap();
    provider.requests(1).await;
    pass(Duration::from_secs(3)).await;
    provider.release(1);
    // The parent and the sub-agent, each three seconds more.
    provider.requests(3).await;
    pass(Duration::from_secs(3)).await;
    provider.release(2);
    let ended = events.rest().await.unwrap();
    let told = "budget: the budget of a run and what it delegates is 5 seconds, and ";
    assert!(ended.run().error.starts_with(told), "{ended:?}");
    let listed = owner.subagents().list(v1::ListSubagentsRequest::default()).await.unwrap();
    let child = listed.into_inner().subagents[0].run.clone().unwrap();
    let child = soon(wait(&owner, &child.run_id)).await;
    assert!(child.error.starts_with(told), "{child:?}");
    assert_eq!(provider.received().len(), 3);
}
