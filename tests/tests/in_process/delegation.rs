//! Delegation: sub-agents work unattended, and what they say reaches their parent once.

mod agents;
mod below;
mod hostile;
mod limits;
mod send;

use openclaw_proto::v1;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Device, Refusal, Setup, TestGateway, ask, request, soon};
use tonic::Code;

/// An agent that delegates when it is told to, and says what came of it.
const SCRIPT: &str = r#"
[[reply]]
match = "Sub-agents of this conversation have ended"
text = "The sub-agent said: {message}"

[[reply]]
match = "delegate"
toolCalls = [{ name = "sessions_spawn", arguments = { task = "Look: it is blue.", label = "look" } }]

[[reply]]
afterTool = "sessions_spawn"
text = "Delegated: {result}"

[[reply]]
match = "Look"
text = "It is blue."
"#;

/// What the tool `sessions_spawn` answered in a run.
async fn spawned(client: &Client, session: &str, run: &str) -> serde_json::Value {
    let results = history(client, session).await;
    let result = results
        .into_iter()
        .find(|entry| entry.run_id == run && entry.tool == "sessions_spawn")
        .unwrap();
    // What the run was told meanwhile stands after it.
    let text = result.text.split("\n\n").next().unwrap().to_owned();
    serde_json::from_str(&text).unwrap()
}

async fn history(client: &Client, session: &str) -> Vec<v1::HistoryEntry> {
    let request = v1::SessionHistoryRequest {
        key: session.into(),
        page_size: 1000,
        ..v1::SessionHistoryRequest::default()
    };
    client.sessions().history(request).await.unwrap().into_inner().entries
}

async fn child(client: &Client, run: &str) -> v1::Subagent {
    let request = v1::GetSubagentRequest { run_id: run.into() };
    client.subagents().get(request).await.unwrap().into_inner()
}

/// Waits until the parent of a delegated run was told, or could not be.
async fn settled(client: &Client, run: &str) -> v1::Subagent {
    let settled = async {
        loop {
            let child = child(client, run).await;
            match child.delivery() {
                Delivery::Unspecified | Delivery::Waiting => tokio::task::yield_now().await,
                Delivery::Dead | Delivery::Discarded | Delivery::Told => return child,
            }
        }
    };
    soon(settled).await
}

async fn run(client: &Client, id: &str) -> v1::Run {
    let request = v1::WaitRunRequest { run_id: id.into(), timeout: None };
    soon(client.runs().wait(request)).await.unwrap().into_inner()
}

fn spawn(key: &str, session: &str, task: &str) -> v1::SpawnRequest {
    v1::SpawnRequest {
        idempotency_key: key.into(),
        session_key: session.into(),
        task: task.into(),
        ..v1::SpawnRequest::default()
    }
}

async fn sessions_of(client: &Client) -> usize {
    let listed = client.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    listed.into_inner().sessions.len()
}

async fn gateway() -> TestGateway {
    Setup::new().script(SCRIPT).start().await
}

#[tokio::test]
async fn what_a_sub_agent_says_reaches_its_parent_once() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Please delegate.")).await.unwrap();
    assert_eq!(asked.status(), v1::RunStatus::Ok, "{}", asked.text);
    let answer = spawned(&owner, "main", "r").await;
    assert_eq!((&answer["status"], &answer["context"]), (&"accepted".into(), &"isolated".into()));
    let child_run = answer["runId"].as_str().unwrap();
    let key = answer["childSessionKey"].as_str().unwrap();
    assert!(key.starts_with("agent:main:subagent:"), "{key}");

    assert_eq!(run(&owner, child_run).await.text, "It is blue.");
    let child = settled(&owner, child_run).await;
    assert_eq!(child.delivery(), Delivery::Told, "{child:?}");
    assert_eq!((child.label.as_str(), child.depth), ("look", 1));
    assert_eq!(child.parent_session_key, "agent:main:main");
    // In the turn that delegated, if that went on still, or else in one of its own.
    let told = run(&owner, &child.told_in_run_id).await;
    assert_eq!(told.status(), v1::RunStatus::Ok, "{told:?}");
    let turns = if told.run_id == "r" { 2 } else { 3 };
    let entries = history(&owner, "main").await;
    let heard = entries
        .iter()
        .filter(|it| it.kind() != v1::history_entry::Kind::Assistant)
        .filter(|it| it.text.contains("It is blue."))
        .filter(|it| it.text.contains("not a message of the user"));
    assert_eq!(heard.count(), 1, "once: {entries:?}");
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs.len(), turns, "nothing more after a restart: {runs:?}");
}

/// A turn that waits is told in that turn; one that yields is told once, when all have ended.
#[tokio::test]
async fn a_turn_waits_or_yields() {
    let call = |task: &str| {
        format!("{{ name = \"sessions_spawn\", arguments = {{ task = \"{task}\" }} }}")
    };
    let script = format!(
        r#"
[[reply]]
match = "Sub-agents of this conversation have ended"
text = "Heard: {{message}}"

[[reply]]
match = "both"
toolCalls = [{one}, {two}, {{ name = "sessions_yield", arguments = {{ message = "Later." }} }}]

[[reply]]
match = "wait for it"
toolCalls = [{one}, {{ name = "subagents", arguments = {{ action = "wait" }} }}]

[[reply]]
afterTool = "subagents"
text = "Waited: {{result}}"

[[reply]]
match = "first"
text = "It is blue."

[[reply]]
match = "second"
text = "It is round."
"#,
        one = call("the first"),
        two = call("the second"),
    );
    let gateway = Setup::new().script(&script).start().await;
    let owner = gateway.owner().await;
    let waited = ask(&owner, request("w", "explicit:w", "Please wait for it.")).await.unwrap();
    assert!(waited.text.contains("\"status\":\"ended\""), "{}", waited.text);
    assert_eq!(waited.text.matches("It is blue.").count(), 1, "{}", waited.text);

    let yielded = ask(&owner, request("y", "explicit:y", "Look at both.")).await.unwrap();
    assert_eq!(yielded.text, "Later.");
    let list = v1::ListSubagentsRequest {
        session_key: "explicit:y".into(),
        ..v1::ListSubagentsRequest::default()
    };
    let children = owner.subagents().list(list).await.unwrap().into_inner().subagents;
    assert_eq!(children.len(), 2);
    let mut told = Vec::new();
    for child in children {
        told.push(settled(&owner, &child.run.unwrap().run_id).await.told_in_run_id);
    }
    assert!(told[0] == told[1] && told[0] != "y", "both in one turn of its own: {told:?}");
    let heard = run(&owner, &told[0]).await.text;
    let (first, second) = (heard.find("It is blue."), heard.find("It is round."));
    assert!(first.is_some() && second.is_some(), "{heard}");
}

/// The tool's answer, the final answer of the child, and whose authority it had: for the owner without one
/// paired device, and for a device that holds nothing but `operator.write`.
#[tokio::test]
async fn the_child_acts_for_whoever_asked_and_never_for_more() {
    let gateway = Setup::new().network().script(SCRIPT).start().await;
    let owner = gateway.owner().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Write]).await;
    for (client, run_id, session, holder) in [
        (&owner, "r1", "explicit:a", "owner".to_owned()),
        (&connected.client, "r2", "explicit:b", format!("device:{}", device.id())),
    ] {
        ask(client, request(run_id, session, "Please delegate.")).await.unwrap();
        let answer = spawned(&owner, session, run_id).await;
        assert_eq!(answer["status"], "accepted", "{answer}");
        let ended = run(&owner, answer["runId"].as_str().unwrap()).await;
        assert_eq!((ended.text.as_str(), ended.on_behalf_of), ("It is blue.", holder));
        settled(&owner, &ended.run_id).await;
        // The control of the report: the same credential asks directly.
        let control = ask(client, request(&format!("c{run_id}"), "explicit:c", "Look")).await;
        assert_eq!(control.unwrap().text, "It is blue.");
    }
    let log = v1::ListAuditRequest {
        all: true,
        method: "sessions.spawn".into(),
        page_size: 100,
        ..v1::ListAuditRequest::default()
    };
    let log = owner.audit().list(log).await.unwrap().into_inner().records;
    let told: Vec<_> =
        log.iter().map(|it| (it.principal.as_str(), it.on_behalf_of.as_str())).collect();
    let device = format!("device:{}", device.id());
    assert_eq!(told, [("run:r2", device.as_str()), ("run:r1", "owner")]);
    // Nothing of it was asked for over a socket, and nobody had to be paired for it.
    let connects = v1::ListAuditRequest {
        all: true,
        method: "device.connect".into(),
        ..v1::ListAuditRequest::default()
    };
    let connects = owner.audit().list(connects).await.unwrap().into_inner().records;
    assert!(connects.iter().all(|it| it.target.contains("device:")), "{connects:?}");
    assert_eq!(connects.iter().map(|it| it.count).sum::<u64>(), 1, "its own one: {connects:?}");
}

#[tokio::test]
async fn a_task_is_delegated_over_the_wire() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let unknown = owner.subagents().spawn(spawn("s", "main", "Look")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "there is no conversation yet: {unknown:?}");
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let accepted = owner.subagents().spawn(spawn("s", "main", "Look")).await.unwrap().into_inner();
    assert_eq!((accepted.status.as_str(), accepted.run_id.as_str()), ("accepted", "s"));
    let again = owner.subagents().spawn(spawn("s", "main", "Look")).await.unwrap().into_inner();
    assert_eq!(again, accepted, "a retry is the same run");
    let other = owner.subagents().spawn(spawn("s", "main", "Look again")).await.unwrap_err();
    assert_eq!(Refusal::from(other).reason, "IDEMPOTENCY_CONFLICT");
    let child = settled(&owner, "s").await;
    assert_eq!(child.delivery(), Delivery::Told);
    assert_eq!(child.run.unwrap().text, "It is blue.");

    let reader = gateway.narrowed(&[Scope::Read]).await;
    let refused = reader.subagents().spawn(spawn("t", "main", "Look")).await.unwrap_err();
    assert_eq!(Refusal::from(refused).fact("missingScopes"), "operator.write");
    let list = v1::ListSubagentsRequest::default();
    assert_eq!(reader.subagents().list(list).await.unwrap().into_inner().subagents.len(), 1);
    for (change, message) in [
        (v1::SpawnRequest { task: " ".into(), ..spawn("u", "main", "") }, "the task is empty"),
        (
            v1::SpawnRequest { model: "x/y".into(), ..spawn("u", "main", "Look") },
            "no model `x/y` is configured",
        ),
        (
            v1::SpawnRequest { tools: vec!["gateway".into()], ..spawn("u", "main", "Look") },
            "a sub-agent of this conversation cannot have the tool `gateway`",
        ),
        (
            v1::SpawnRequest { cleanup: "burn".into(), ..spawn("u", "main", "Look") },
            "cleanup is `keep` or `delete`",
        ),
        (
            v1::SpawnRequest { target_agent_id: "other".into(), ..spawn("u", "main", "Look") },
            "no agent `other` is configured",
        ),
    ] {
        let refused = owner.subagents().spawn(change).await.unwrap_err();
        assert_eq!(refused.message(), message);
        assert!(!Refusal::from(refused).next.is_empty(), "{message}");
    }
    let sessions = v1::ListSessionsRequest::default();
    let sessions = owner.sessions().list(sessions).await.unwrap().into_inner().sessions;
    assert_eq!(sessions.len(), 2, "what is refused leaves nothing: {sessions:?}");
}

/// What is not to be kept goes when it was told, and its answer stays where it was told.
#[tokio::test]
async fn a_conversation_that_nobody_keeps_is_removed() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let request = v1::SpawnRequest { cleanup: "delete".into(), ..spawn("s", "main", "Look") };
    let accepted = owner.subagents().spawn(request).await.unwrap().into_inner();
    let gone = async {
        loop {
            let key = accepted.child_session_key.clone();
            let get = v1::GetSessionRequest { key, ..v1::GetSessionRequest::default() };
            match owner.sessions().get(get).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(status) => return status,
            }
        }
    };
    assert_eq!(soon(gone).await.code(), Code::NotFound);
    let entries = history(&owner, "main").await;
    assert!(entries.iter().any(|it| it.text.contains("It is blue.")), "{entries:?}");
    let log = v1::ListAuditRequest {
        all: true,
        method: "sessions.delete".into(),
        ..v1::ListAuditRequest::default()
    };
    let log = owner.audit().list(log).await.unwrap().into_inner().records;
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(
        (log[0].principal.as_str(), log[0].on_behalf_of.as_str()),
        ("system:reaper", "gateway")
    );
}

/// Whoever's grant ended is told nothing more; that something was to be told is not lost, and is seen.
#[tokio::test]
//= docs/threat-model.md#T32
async fn what_cannot_be_handed_over_is_seen() {
    let slow = format!(
        "{SCRIPT}\n[[reply]]\nmatch = \"wait\"\ntext = \"a b\"\nchunks = 2\ndelayMs = 60000\n"
    );
    let gateway = Setup::new().network().script(&slow).start().await;
    let owner = gateway.owner().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Write]).await;
    ask(&connected.client, request("r", "explicit:d", "Hello.")).await.unwrap();
    connected.client.subagents().spawn(spawn("s", "explicit:d", "wait")).await.unwrap();
    let revoke = v1::RevokeDeviceRequest { device: device.id().to_string(), role: String::new() };
    owner.devices().revoke(revoke).await.unwrap();
    assert_eq!(run(&owner, "s").await.status(), v1::RunStatus::Aborted);
    let child = settled(&owner, "s").await;
    assert_eq!(child.delivery(), Delivery::Dead, "{child:?}");
    assert!(child.delivery_reason.contains("grant"), "{child:?}");
    let open = v1::ListSubagentsRequest { open_only: true, ..v1::ListSubagentsRequest::default() };
    let open = owner.subagents().list(open).await.unwrap().into_inner().subagents;
    assert_eq!(open.len(), 1);
    // Trying again does not help as long as the reason stands, and giving up is a decision of its own.
    let retry = v1::RetrySubagentRequest { run_id: "s".into() };
    owner.subagents().retry(retry).await.unwrap();
    assert_eq!(settled(&owner, "s").await.delivery(), Delivery::Dead);
    let discard = v1::DiscardSubagentRequest { run_id: "s".into() };
    let gone = owner.subagents().discard(discard.clone()).await.unwrap().into_inner();
    assert_eq!(gone.delivery(), Delivery::Discarded);
    let twice = owner.subagents().discard(discard).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
}
