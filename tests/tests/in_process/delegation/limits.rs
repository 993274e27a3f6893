//! How far delegation goes, and what ends with what.

use openclaw_proto::v1;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, ask, request, soon};
use tonic::Code;

use super::{child, history, run, settled, spawn};

/// Answers slowly when it is told to wait, and echoes otherwise.
const SLOW: &str = "[[reply]]\nmatch = \"wait\"\ntext = \"a b\"\nchunks = 2\ndelayMs = 60000\n";

async fn slow() -> TestGateway {
    Setup::new().script(SLOW).start().await
}

async fn open(client: &Client) -> Vec<v1::Subagent> {
    let list = v1::ListSubagentsRequest { open_only: true, ..v1::ListSubagentsRequest::default() };
    client.subagents().list(list).await.unwrap().into_inner().subagents
}

async fn sessions(client: &Client) -> usize {
    let list = v1::ListSessionsRequest { page_size: 1000, ..v1::ListSessionsRequest::default() };
    client.sessions().list(list).await.unwrap().into_inner().sessions.len()
}

/// Fifty at once, of which five may: counted and made in one step. What is refused leaves nothing.
#[tokio::test]
//= docs/threat-model.md#T26
async fn a_conversation_has_so_many_at_work() {
    let gateway = slow().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let all = (0..50).map(|number| {
        let owner = owner.clone();
        openclaw_tests::background(async move {
            let request = spawn(&format!("s{number}"), "main", "wait");
            owner.subagents().spawn(request).await.map(tonic::Response::into_inner)
        })
    });
    let mut accepted = Vec::new();
    for answer in all.collect::<Vec<_>>() {
        match soon(answer).await.unwrap() {
            Ok(answer) => accepted.push(answer),
            Err(status) => {
                let refusal = Refusal::from(status);
                assert_eq!(refusal.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"));
                assert!(refusal.retry.is_some() && refusal.next.contains("subagents list"));
            }
        }
    }
    assert_eq!((accepted.len(), open(&owner).await.len(), sessions(&owner).await), (5, 5, 6));
    // Room comes back when one has ended, and its parent is told that it was cancelled.
    let cancel = v1::CancelSubagentRequest { run_id: accepted[0].run_id.clone() };
    let cancelled = owner.subagents().cancel(cancel).await.unwrap().into_inner();
    assert_eq!(cancelled.run.unwrap().status(), v1::RunStatus::Aborted);
    let told = settled(&owner, &accepted[0].run_id).await;
    assert_eq!(told.delivery(), Delivery::Told);
    owner.subagents().spawn(spawn("more", "main", "wait")).await.unwrap();
}

/// What the configuration takes from all sub-agents none has, whatever it is asked for.
#[tokio::test]
async fn the_configuration_narrows_the_tools_of_sub_agents() {
    let config = "tools.subagents.tools = { allow = [\"*_file\", \"exec\"], deny = [\"exec\"] }";
    let gateway = Setup::new().script(SLOW).config(config).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    owner.subagents().spawn(spawn("s", "main", "Look.")).await.unwrap();
    let tools = child(&owner, "s").await.tools;
    assert!(tools.iter().any(|tool| tool == "read_file"), "{tools:?}");
    assert!(tools.iter().all(|tool| tool.ends_with("_file")), "{tools:?}");
    for tool in ["exec", "list_dir"] {
        let wants = v1::SpawnRequest { tools: vec![tool.into()], ..spawn(tool, "main", "Look.") };
        let refused = Refusal::from(owner.subagents().spawn(wants).await.unwrap_err());
        assert!(refused.message.contains(&format!("cannot have the tool `{tool}`")), "{refused:?}");
    }
}

/// A task that delegates a task that delegates a task, and so on: it ends at the fifth.
#[tokio::test]
//= docs/threat-model.md#T26
async fn delegation_is_so_deep() {
    let script = r#"
[[reply]]
match = "deeper"
toolCalls = [{ name = "sessions_spawn", arguments = { task = "deeper" } }]

[[reply]]
afterTool = "*"
text = "{result}"
"#;
    let gateway = Setup::new().script(script).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Go deeper.")).await.unwrap();
    let all = async {
        loop {
            let list = v1::ListSubagentsRequest::default();
            let children = owner.subagents().list(list).await.unwrap().into_inner().subagents;
            let is_settled = |it: &v1::Subagent| {
                !matches!(it.delivery(), Delivery::Unspecified | Delivery::Waiting)
            };
            if children.iter().any(|it| it.depth == 5) && children.iter().all(is_settled) {
                return children;
            }
            tokio::task::yield_now().await;
        }
    };
    let children = soon(all).await;
    let depths: Vec<_> = children.iter().map(|it| it.depth).collect();
    assert_eq!(depths, [5, 4, 3, 2, 1]);
    let leaf = &children[0];
    assert!(!leaf.tools.iter().any(|tool| tool.starts_with("session")), "{:?}", leaf.tools);
    assert!(children[1].tools.iter().any(|tool| tool == "sessions_spawn"));
    let said = leaf.run.clone().unwrap().text;
    assert!(said.contains("there is no tool `sessions_spawn`"), "{said}");
}

/// Deleting a conversation ends all below it, and nothing of it comes back.
#[tokio::test]
async fn what_a_deleted_conversation_delegated_ends_with_it() {
    let gateway = slow().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "explicit:a", "Hello.")).await.unwrap();
    let below = owner.subagents().spawn(spawn("s", "explicit:a", "wait")).await.unwrap();
    let below = below.into_inner().child_session_key;
    owner.subagents().spawn(spawn("t", &below, "wait")).await.unwrap();
    let delete = v1::DeleteSessionRequest { key: "explicit:a".into(), ..Default::default() };
    let deleted = owner.sessions().delete(delete.clone()).await.unwrap().into_inner();
    assert_eq!(deleted.key, "agent:main:explicit:a");
    let mut ended = deleted.ended_run_ids.clone();
    ended.sort();
    assert_eq!(ended, ["s", "t"]);
    assert!(deleted.purged && deleted.entries > 0, "{deleted:?}");
    let kept = std::fs::read(&deleted.archive_path).unwrap();
    assert_eq!(kept.get(..2), Some(&[0x1f, 0x8b][..]), "a gzip file");
    let again = owner.sessions().delete(delete).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    // What it delegated goes with it, however far below.
    let all_gone = async {
        loop {
            let list = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            if list.into_inner().runs.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(all_gone).await;
    assert_eq!(sessions(&owner).await, 0);
    // Under the same key another conversation begins, which knows nothing of the old one.
    ask(&owner, request("n", "explicit:a", "Hello again.")).await.unwrap();
    let entries = history(&owner, "explicit:a").await;
    assert!(entries.iter().all(|entry| entry.run_id == "n" && entry.sequence <= 3), "{entries:?}");
}

/// Beginning anew ends what was delegated before, and takes nothing from what is kept.
#[tokio::test]
async fn a_reset_ends_what_was_delegated_and_can_be_taken_back() {
    let script = format!("{SLOW}[[reply]]\ntext = \"{{message}}\"\n");
    let gateway = Setup::new().script(&script).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r1", "explicit:a", "The code is 4711.")).await.unwrap();
    owner.subagents().spawn(spawn("s", "explicit:a", "wait")).await.unwrap();
    let reset = v1::ResetSessionRequest {
        key: "explicit:a".into(),
        reason: "another subject".into(),
        ..v1::ResetSessionRequest::default()
    };
    let done = owner.sessions().reset(reset.clone()).await.unwrap().into_inner();
    assert_eq!(
        (done.number, done.context_from, &done.ended_run_ids[..]),
        (1, 4, &["s".to_owned()][..])
    );
    assert_eq!(child(&owner, "s").await.delivery(), Delivery::Discarded);
    ask(&owner, request("r2", "explicit:a", "Hello.")).await.unwrap();
    let said = history(&owner, "explicit:a").await;
    assert!(said.iter().any(|entry| entry.text.contains("4711")), "it stays");
    let usage = async |id: &str| run(&owner, id).await.usage.unwrap().input_tokens;
    ask(&owner, request("r3", "explicit:a", "Hello.")).await.unwrap();
    let undo = v1::UndoResetRequest { key: "explicit:a".into(), ..Default::default() };
    let undone = owner.sessions().undo_reset(undo.clone()).await.unwrap().into_inner();
    assert_eq!((undone.number, undone.context_from), (1, 1));
    let get = v1::GetSessionRequest { key: "explicit:a".into(), ..Default::default() };
    let shown = owner.sessions().get(get).await.unwrap().into_inner().last_reset.unwrap();
    assert!(shown.undone && shown.number == 1 && shown.by.starts_with("owner"), "{shown:?}");
    ask(&owner, request("r4", "explicit:a", "Hello.")).await.unwrap();
    let (before, after) = (usage("r3").await, usage("r4").await);
    assert!(after > before, "the model is shown more again: {before} {after}");
    let twice = owner.sessions().undo_reset(undo).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
}

/// Whatever was at work when the gateway stopped is told as interrupted, once.
#[tokio::test]
async fn interrupted_sub_agents_are_told_after_a_restart() {
    let gateway = Setup::new().script(SLOW).config("[gateway]\ndrainSeconds = 0").start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    for id in ["s1", "s2", "s3"] {
        owner.subagents().spawn(spawn(id, "main", "wait")).await.unwrap();
    }
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let mut told = std::collections::BTreeSet::new();
    for id in ["s1", "s2", "s3"] {
        assert_eq!(run(&owner, id).await.status(), v1::RunStatus::Interrupted);
        let child = settled(&owner, id).await;
        assert_eq!(child.delivery(), Delivery::Told, "{child:?}");
        told.insert(child.told_in_run_id);
    }
    assert!(told.len() <= 3, "one turn for each at most: {told:?}");
    for id in told {
        assert_eq!(run(&owner, &id).await.status(), v1::RunStatus::Ok);
    }
    let entries = history(&owner, "main").await;
    for id in ["s1", "s2", "s3"] {
        let mark = format!("run {id}, ");
        let heard =
            entries.iter().filter(|entry| entry.kind() != v1::history_entry::Kind::Assistant);
        assert_eq!(heard.filter(|entry| entry.text.contains(&mark)).count(), 1, "{id}");
    }
    let gateway = gateway.restart().await;
    let again = history(&gateway.owner().await, "main").await;
    assert_eq!(again.len(), entries.len(), "nothing is told twice");
}
