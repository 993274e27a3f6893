//! Sub-agents of sub-agents, and what becomes of those whose parent changes under them.

use openclaw_proto::v1;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Device, Refusal, Setup, TestGateway, ask, request, soon};
use tonic::Code;

use super::{child, history, run, settled, spawn, spawned};

/// `top` delegates `middle`, which delegates `leaf`; both wait for what comes of it, each in its way.
fn script(middle: &str) -> String {
    format!(
        r#"
[[reply]]
match = "Tried"
text = "Heard: {{message}}"

[[reply]]
match = "It is blue"
toolCalls = [{{ name = "exec", arguments = {{ command = "echo hi" }} }}]

[[reply]]
afterTool = "exec"
text = "Tried: {{result}}"

[[reply]]
match = "top"
toolCalls = [
    {{ name = "sessions_spawn", arguments = {{ task = "middle", toolsAllow = ["sessions_spawn", "subagents", "sessions_yield"] }} }},
    {{ name = "sessions_yield", arguments = {{ message = "Later." }} }},
]

[[reply]]
match = "middle"
toolCalls = [{{ name = "sessions_spawn", arguments = {{ task = "leaf" }} }}, {middle}]

[[reply]]
afterTool = "subagents"
text = "Tried: {{result}}"

[[reply]]
match = "leaf"
text = "It is blue."
"#
    )
}

const YIELD: &str = r#"{ name = "sessions_yield", arguments = { message = "Soon." } }"#;
const WAIT: &str =
    r#"{ name = "subagents", arguments = { action = "wait", timeoutSeconds = 60 } }"#;

/// Returns what `top` was told, once it was.
async fn told(owner: &Client) -> String {
    ask(owner, request("r", "main", "top")).await.unwrap();
    let answer = spawned(owner, "main", "r").await;
    let middle = settled(owner, answer["runId"].as_str().unwrap()).await;
    assert_eq!(middle.delivery(), Delivery::Told, "{middle:?}");
    let entries = history(owner, "main").await;
    let told = entries.iter().filter(|it| it.kind() != v1::history_entry::Kind::Assistant);
    let heard = told.filter(|it| it.text.contains("not a message of the user"));
    assert_eq!(heard.count(), 1, "once, and not before all of it has ended: {entries:?}");
    run(owner, &middle.told_in_run_id).await.text
}

/// A sub-agent that goes on with what it delegated has the tools that it was given, and not its agent's. Its
/// parent is told what came of it all, and not that it waits.
#[tokio::test]
//= docs/threat-model.md#T16
async fn every_turn_of_a_sub_agent_has_what_it_was_given() {
    let gateway = Setup::new().script(&script(YIELD)).start().await;
    let told = told(&gateway.owner().await).await;
    assert!(told.contains("there is no tool `exec`"), "{told}");
    assert!(told.starts_with("Heard:") && !told.contains("Soon."), "{told}");
}

/// Who waits for others leaves its place to them.
#[tokio::test]
async fn waiting_takes_no_place_from_those_waited_for() {
    let limits = "agents.defaults.subagents.maxConcurrent = 1";
    let gateway = Setup::new().script(&script(WAIT)).config(limits).start().await;
    let told = told(&gateway.owner().await).await;
    assert!(told.contains("\\\"status\\\":\\\"ended\\\"") || told.contains("\"ended\""), "{told}");
    assert!(told.contains("It is blue."), "{told}");
}

const SLOW: &str = "[[reply]]\nmatch = \"wait\"\ntext = \"a b\"\nchunks = 2\ndelayMs = 60000\n";

async fn working_below(session: &str) -> (TestGateway, Client) {
    let gateway = Setup::new().script(SLOW).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", session, "Hello.")).await.unwrap();
    owner.subagents().spawn(spawn("s", session, "wait")).await.unwrap();
    (gateway, owner)
}

async fn delete(owner: &Client, key: &str) -> v1::DeleteSessionResponse {
    let delete = v1::DeleteSessionRequest { key: key.into(), ..Default::default() };
    owner.sessions().delete(delete).await.unwrap().into_inner()
}

async fn is_gone(owner: &Client, key: &str) {
    let gone = async {
        let get = v1::GetSessionRequest { key: key.into(), ..Default::default() };
        while owner.sessions().get(get.clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
}

/// Somebody deletes the conversation of a sub-agent: who waits for it is told, and waits no longer.
#[tokio::test]
async fn a_deleted_sub_agent_strands_nobody() {
    let (_gateway, owner) = working_below("main").await;
    let key = child(&owner, "s").await.run.unwrap().session_key;
    assert_eq!(delete(&owner, &key).await.ended_run_ids, ["s"]);
    let told = async {
        loop {
            let entries = history(&owner, "main").await;
            if let Some(entry) = entries.into_iter().find(|it| it.text.contains("run s, ")) {
                return entry.text;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = soon(told).await;
    assert!(told.contains("aborted") && told.contains("deleted"), "{told}");
}

/// A conversation is its creator's with all that comes from it, on whose behalf ever that works; and nobody else's.
#[tokio::test]
//= docs/threat-model.md#T31
async fn who_owns_a_conversation_deletes_what_comes_from_it() {
    let gateway = Setup::new().network().script(SLOW).start().await;
    let (creator, other) = (Device::new(1), Device::new(2));
    let creator = creator.paired(&gateway, &[Scope::Write]).await.client;
    let other = other.paired(&gateway, &[Scope::Write]).await.client;
    let owner = gateway.owner().await;
    ask(&creator, request("r", "explicit:p", "Hello.")).await.unwrap();
    owner.subagents().spawn(spawn("s", "explicit:p", "wait")).await.unwrap();
    let key = child(&owner, "s").await.run.unwrap().session_key;
    owner.subagents().spawn(spawn("t", &key, "wait")).await.unwrap();
    let below = child(&owner, "t").await.run.unwrap().session_key;
    for key in [&key, &below] {
        let delete = v1::DeleteSessionRequest { key: key.clone(), ..Default::default() };
        let refused = Refusal::from(other.sessions().delete(delete).await.unwrap_err());
        assert_eq!(refused.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
        assert_eq!(refused.fact("missingScopes"), "operator.admin");
        let reset = v1::ResetSessionRequest { key: key.clone(), ..Default::default() };
        let refused = Refusal::from(creator.sessions().reset(reset).await.unwrap_err());
        assert_eq!(refused.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    }
    assert_eq!(delete(&creator, &below).await.ended_run_ids, ["t"]);
    assert_eq!(delete(&creator, &key).await.ended_run_ids, ["s"]);
}

/// With a conversation go those of its sub-agents: nobody could be told of them.
#[tokio::test]
async fn sub_agents_go_with_their_parent() {
    let (_gateway, owner) = working_below("explicit:p").await;
    let key = child(&owner, "s").await.run.unwrap().session_key;
    assert_eq!(delete(&owner, "explicit:p").await.ended_run_ids, ["s"]);
    is_gone(&owner, &key).await;
}

async fn archive(owner: &Client, key: &str, archived: bool) {
    let patch = v1::PatchSessionRequest {
        key: key.into(),
        archived: Some(archived),
        ..v1::PatchSessionRequest::default()
    };
    owner.sessions().patch(patch).await.unwrap();
}

/// No turn starts in an archived conversation, not even to tell it something: that waits.
#[tokio::test]
async fn an_archived_conversation_is_told_when_it_is_back() {
    let (_gateway, owner) = working_below("explicit:p").await;
    archive(&owner, "explicit:p", true).await;
    let refused = owner.subagents().spawn(spawn("t", "explicit:p", "wait")).await.unwrap_err();
    let refused = Refusal::from(refused);
    assert_eq!(refused.code, Code::FailedPrecondition);
    assert!(refused.next.starts_with("openclaw sessions unarchive"), "{refused:?}");
    let cancel = v1::CancelSubagentRequest { run_id: "s".into() };
    owner.subagents().cancel(cancel).await.unwrap();
    assert_eq!(child(&owner, "s").await.delivery(), Delivery::Waiting);
    archive(&owner, "explicit:p", false).await;
    assert_eq!(settled(&owner, "s").await.delivery(), Delivery::Told);
}

/// The tools of delegation are tools like others: a policy takes them away.
#[tokio::test]
async fn delegation_can_be_taken_away() {
    let deny = "agents.entries.main.tools.deny = [\"sessions_*\"]";
    let gateway = Setup::new().script(&script(YIELD)).config(deny).start().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "top")).await.unwrap();
    let refused = ("sessions_spawn".to_owned(), "error".to_owned());
    assert!(asked.tools.contains(&refused), "{asked:?}");
    let list = owner.subagents().list(v1::ListSubagentsRequest::default()).await.unwrap();
    assert_eq!(list.into_inner().subagents, []);
}
