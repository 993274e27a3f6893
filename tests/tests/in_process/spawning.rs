//! What holds of a turn that delegates, whoever it works for: the payload of report #77807, to the letter.

use std::os::unix::net::UnixListener;

use openclaw_proto::v1;
use openclaw_proto::v1::history_entry::Kind;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_tests::{Client, TestGateway, soon};
use serde_json::Value;

/// An agent that delegates as the report does. Its sub-agent uses a tool, so that it is seen for whom.
pub(super) const SCRIPT: &str = r#"
[[reply]]
match = "Sub-agents of this conversation have ended"
text = "I know now."

[[reply]]
match = "Delegate"
[[reply.toolCalls]]
name = "sessions_spawn"
arguments = { runtime = "subagent", mode = "run", label = "subagent-smoke-test", task = "Smoke test. Reply briefly. Do not use tools.", timeoutSeconds = 120, runTimeoutSeconds = 120 }

[[reply]]
afterTool = "sessions_spawn"
text = "I go on."

[[reply]]
match = "Smoke test"
toolCalls = [{ name = "write_file", arguments = { path = "smoke.txt", content = "It works." } }]

[[reply]]
afterTool = "write_file"
text = "It works."
"#;

/// What a turn was that delegates.
pub(super) struct Turn<'a> {
    /// The run.
    pub(super) run: &'a str,
    /// On whose behalf.
    pub(super) holder: &'a str,
    /// The tools that it has.
    pub(super) tools: &'a [&'a str],
}

/// Whoever dialed the gateway would stand in this queue.
pub(super) struct Decoy(UnixListener);

impl Decoy {
    /// Takes the place of the gateway's socket.
    pub(super) fn of(gateway: &TestGateway) -> Self {
        let socket = gateway.gateway().socket();
        std::fs::rename(&socket, gateway.dir().join("aside")).unwrap();
        let decoy = UnixListener::bind(&socket).unwrap();
        decoy.set_nonblocking(true).unwrap();
        Self(decoy)
    }

    fn was_left_alone(&self) {
        let dialed = self.0.accept().expect_err("nobody dialed the gateway");
        assert_eq!(dialed.kind(), std::io::ErrorKind::WouldBlock);
    }
}

async fn devices(owner: &Client) -> (Vec<String>, usize) {
    let list = owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap();
    let list = list.into_inner();
    (list.devices.into_iter().map(|device| format!("{device:?}")).collect(), list.pending.len())
}

async fn run(client: &Client, id: &str) -> v1::Run {
    let wait = v1::WaitRunRequest { run_id: id.into(), timeout: None };
    soon(client.runs().wait(wait)).await.unwrap().into_inner()
}

async fn session(client: &Client, key: &str) -> v1::Session {
    let get = v1::GetSessionRequest { key: key.into(), ..Default::default() };
    client.sessions().get(get).await.unwrap().into_inner()
}

async fn history(client: &Client, key: &str) -> Vec<v1::HistoryEntry> {
    let get = v1::SessionHistoryRequest { key: key.into(), page_size: 1000, ..Default::default() };
    client.sessions().history(get).await.unwrap().into_inner().entries
}

async fn records(client: &Client, actor: &str) -> Vec<v1::AuditRecord> {
    let list = v1::ListAuditRequest { all: true, page_size: 1000, ..Default::default() };
    let records = client.audit().list(list).await.unwrap().into_inner().records;
    records.into_iter().filter(|record| record.principal == actor).collect()
}

/// How often a conversation was told what its sub-agent said.
fn told(entries: &[v1::HistoryEntry], child: &str) -> usize {
    let heard = entries.iter().filter(|entry| entry.kind() != Kind::Assistant);
    let said = format!("run {child}, session ");
    heard.filter(|entry| entry.text.contains(&said) && entry.text.contains("\n> It works.")).count()
}

async fn child(client: &Client, id: &str) -> v1::Subagent {
    let get = v1::GetSubagentRequest { run_id: id.into() };
    client.subagents().get(get).await.unwrap().into_inner()
}

/// Nobody has to be paired, asked or dialed for it; what the sub-agent says is told once; and it has no more than
/// whoever delegated, and is nobody else.
pub(super) async fn is_delegated(
    gateway: TestGateway,
    decoy: Decoy,
    turn: Turn<'_>,
) -> TestGateway {
    let owner = gateway.owner().await;
    let before = devices(&owner).await;
    let Turn { run: id, holder, tools } = turn;
    let parent = run(&owner, id).await;
    assert_eq!((parent.status(), parent.on_behalf_of.as_str()), (v1::RunStatus::Ok, holder));
    let key = parent.session_key.clone();
    let entries = history(&owner, &key).await;
    let answer = entries.iter().find(|it| it.run_id == id && it.tool == "sessions_spawn").unwrap();
    // What the run was told meanwhile stands after it.
    let answer: Value = serde_json::from_str(answer.text.split("\n\n").next().unwrap()).unwrap();
    assert_eq!((&answer["status"], &answer["context"]), (&"accepted".into(), &"isolated".into()));
    assert_eq!(answer.get("error"), None);
    let name = |field: &str| answer[field].as_str().unwrap().to_owned();
    let (child_run, child_key) = (name("runId"), name("childSessionKey"));

    let ended = run(&owner, &child_run).await;
    assert_eq!((ended.status(), ended.text.as_str()), (v1::RunStatus::Ok, "It works."));
    assert_eq!((&ended.session_key, ended.on_behalf_of.as_str()), (&child_key, holder));
    let of = soon(async {
        loop {
            let of = child(&owner, &child_run).await;
            if of.delivery() == Delivery::Told {
                return of;
            }
            tokio::task::yield_now().await;
        }
    });
    let of = of.await;
    assert_eq!((of.label.as_str(), of.parent_session_key.as_str()), ("subagent-smoke-test", &*key));
    let telling = run(&owner, &of.told_in_run_id).await;
    assert_eq!((telling.status(), telling.on_behalf_of.as_str()), (v1::RunStatus::Ok, holder));
    assert_eq!(told(&history(&owner, &key).await, &child_run), 1);

    // Its authority.
    assert!(of.tools.iter().any(|tool| tool == "write_file"), "{:?}", of.tools);
    assert!(of.tools.iter().all(|tool| tools.contains(&tool.as_str())), "{:?}", of.tools);
    let [parent_of, child_of] = [&key, &child_key].map(|key| session(&owner, key));
    let (parent_of, child_of) = (parent_of.await, child_of.await);
    assert_eq!((child_of.owner.as_str(), child_of.depth), (holder, 1));
    let by_child = records(&owner, &format!("run:{child_run}")).await;
    let by_parent = records(&owner, &format!("run:{id}")).await;
    let did = |records: &[v1::AuditRecord], method: &str| {
        records.iter().any(|record| {
            record.method == method && record.on_behalf_of == holder && record.reason.is_empty()
        })
    };
    assert!(did(&by_parent, "sessions.spawn"), "{by_parent:?}");
    assert!(did(&by_child, "tools.invoke"), "{by_child:?}");
    assert!(by_child.iter().all(|record| record.on_behalf_of == holder), "{by_child:?}");
    for method in ["device.pair.approve", "agents.create", "sessions.delete", "config.set"] {
        let principal = format!("run:{child_run}");
        let explain = v1::ExplainRequest { method: method.into(), principal, ..Default::default() };
        let Ok(told) = owner.access().explain(explain).await else { continue };
        let told = told.into_inner();
        assert!(told.verdicts.iter().all(|verdict| !verdict.allowed), "{method}: {told:?}");
        assert!(told.never_delegated.contains(&"exec:unsandboxed".to_owned()), "{told:?}");
    }

    // Nobody was paired for it, and nothing of it was said over a socket.
    assert_eq!(devices(&owner).await, before);
    decoy.was_left_alone();
    drop(decoy);
    std::fs::remove_file(gateway.gateway().socket()).unwrap();
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    assert_eq!(child(&owner, &child_run).await, of, "nothing more after a start");
    assert_eq!(told(&history(&owner, &key).await, &child_run), 1);
    assert_eq!(session(&owner, &key).await.owner, parent_of.owner, "whose it is never changes");
    gateway
}
