//! The same for what is delegated: wherever the gateway was killed, each sub-agent comes to one end, and its parent
//! is told of it once.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_platforms::WebSink;
use openclaw_proto::v1;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_proto::v1::{RunStatus, history_entry};
use openclaw_tests::{Client, alone, ask, request, soon};

use super::{FILES, World, commits, furnish};

/// The first delegates two, of which one delegates a third; both wait, each in its way.
const SCRIPT: &str = r#"
[[reply]]
match = "Sub-agents of this conversation have ended"
text = "I know now."

[[reply]]
match = "Ask both"
toolCalls = [
    { name = "sessions_spawn", arguments = { task = "Look: it is blue." } },
    { name = "sessions_spawn", arguments = { task = "Ask another one." } },
    { name = "sessions_yield", arguments = { message = "I wait for both." } },
]

[[reply]]
match = "Ask another one"
toolCalls = [{ name = "sessions_spawn", arguments = { task = "Look: it is red." } }]

[[reply]]
match = "Look"
text = "It has a colour."

[[reply]]
afterTool = "*"
text = "I wait."
"#;

async fn children(client: &Client) -> BTreeMap<String, v1::Subagent> {
    let list = client.subagents().list(v1::ListSubagentsRequest::default()).await.unwrap();
    let all = list.into_inner().subagents.into_iter();
    all.map(|child| (child.run.as_ref().unwrap().run_id.clone(), child)).collect()
}

async fn runs(client: &Client) -> Vec<v1::Run> {
    let list = v1::ListRunsRequest { page_size: 1000, ..Default::default() };
    client.runs().list(list).await.unwrap().into_inner().runs
}

/// Waits until nothing is at work, and everybody has been told.
async fn at_rest(client: &Client) -> BTreeMap<String, v1::Subagent> {
    soon(async {
        loop {
            let children = children(client).await;
            let is_open = |child: &v1::Subagent| {
                matches!(child.delivery(), Delivery::Unspecified | Delivery::Waiting)
            };
            let is_quiet = runs(client).await.iter().all(|run| run.ended_at.is_some());
            if is_quiet && !children.values().any(is_open) {
                return children;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn work(world: &World) -> (Vec<u8>, Vec<u8>, usize) {
    let (gateway, _owner) = world.start().await;
    gateway.drain().await;
    std::fs::copy(world.file("audit.head"), world.file("audit.kept")).unwrap();
    let (gateway, owner) = world.start().await;
    let before = std::fs::read(world.file(FILES[1])).unwrap().len();
    ask(&owner, request("r", "main", "Ask both.")).await.unwrap();
    let all = at_rest(&owner).await;
    assert_eq!(all.len(), 3, "{all:?}");
    for child in all.values() {
        let run = child.run.clone().unwrap();
        assert_eq!((child.delivery(), run.status()), (Delivery::Told, RunStatus::Ok), "{child:?}");
    }
    let [database, log] = FILES.map(|name| std::fs::read(world.file(name)).unwrap());
    gateway.drain().await;
    (database, log, before)
}

/// What stands in a conversation of what came of a sub-agent.
async fn told(client: &Client, session: &str, run: &str) -> usize {
    let request =
        v1::SessionHistoryRequest { key: session.into(), page_size: 1000, ..Default::default() };
    let entries = client.sessions().history(request).await.unwrap().into_inner().entries;
    let of_others = |entry: &&v1::HistoryEntry| entry.kind() != history_entry::Kind::Assistant;
    let words = format!("run {run}, session ");
    entries.iter().filter(of_others).map(|entry| entry.text.matches(&words).count()).sum()
}

/// Goes on from one state; returns how many sub-agents there are, and how many of them did what they were asked.
async fn goes_on(world: &World, database: &[u8], log: &[u8]) -> (usize, usize) {
    std::fs::write(world.file(FILES[0]), database).unwrap();
    std::fs::write(world.file(FILES[1]), log).unwrap();
    let (gateway, owner) = world.start().await;
    let all = at_rest(&owner).await;
    let mut done = 0;
    for (id, child) in &all {
        assert_eq!(child.delivery(), Delivery::Told, "{child:?}");
        let run = child.run.clone().unwrap();
        let session = &child.parent_session_key;
        assert_eq!(told(&owner, session, id).await, 1, "{id} is told once in {session}");
        match run.status() {
            RunStatus::Ok => done += 1,
            RunStatus::Interrupted => {}
            other => panic!("{id}: {other:?}"),
        }
    }
    // A turn that went on, and one for each end at most: nothing is asked again and again.
    let told = runs(&owner).await.iter().filter(|run| run.run_id.starts_with("told-")).count();
    assert!(told <= all.len(), "{told}");
    let verified = owner.audit().verify(v1::VerifyAuditRequest::default()).await.unwrap();
    assert!(verified.into_inner().ok);
    gateway.drain().await;
    // Nor after another start.
    let (gateway, owner) = world.start().await;
    assert_eq!(at_rest(&owner).await, all);
    gateway.drain().await;
    (all.len(), done)
}

async fn goes_on_from_everywhere() {
    let world = World::with(Arc::new(WebSink::start().await), SCRIPT).await;
    let (database, log, before) = work(&world).await;
    let ends: Vec<_> = commits(&log).into_iter().filter(|end| *end >= before).collect();
    assert!(ends.len() > 8, "{ends:?}");
    let mut seen = Vec::new();
    for (number, end) in ends.iter().enumerate() {
        let next = World::with(Arc::clone(&world.sink), SCRIPT).await;
        furnish(&next, &world);
        let came = goes_on(&next, &database, &log[..*end]).await;
        println!("{number}: {came:?}");
        seen.push(came);
    }
    assert_eq!(seen.last(), Some(&(3, 3)));
    assert!(seen.contains(&(0, 0)) || seen.first().is_some_and(|(all, _)| *all < 3), "{seen:?}");
    assert!(seen.iter().any(|(all, done)| done < all), "some were killed at work: {seen:?}");
}

#[test]
//= docs/threat-model.md#T24
fn a_kill_at_any_instant_loses_no_sub_agent_and_tells_of_none_twice() {
    let name = "in_process::crash_states::delegation::\
                a_kill_at_any_instant_loses_no_sub_agent_and_tells_of_none_twice";
    if alone(name) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(goes_on_from_everywhere());
    }
}
