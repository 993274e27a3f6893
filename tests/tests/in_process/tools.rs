//! Tools in a turn: called in their order, recorded, confined, and only those that are allowed.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::history_entry::Kind;
use openclaw_scopes::Scope;
use openclaw_tests::{Behavior, Client, Provider, Setup, ask, background, request, start};
use serde_json::json;

use super::providers::check_conversation;
use super::runs::wait;

const SCRIPT: &str = r#"
[[reply]]
match = "tools"
text = "First I write."
toolCalls = [{ name = "write_file", arguments = { path = "notes/a.txt", content = "one two" } }]

[[reply]]
afterTool = "write_file"
toolCalls = [
    { name = "read_file", arguments = { path = "notes/a.txt" } },
    { name = "list_dir", arguments = { path = "notes" } },
]

[[reply]]
afterTool = "list_dir"
toolCalls = [{ name = "edit_file", arguments = { path = "notes/a.txt", oldText = "two", newText = "three" } }]

[[reply]]
afterTool = "edit_file"
toolCalls = [{ name = "session_status", arguments = {} }]

[[reply]]
afterTool = "session_status"
text = "All done."
"#;

async fn history(client: &Client, key: &str) -> Vec<v1::HistoryEntry> {
    let request = v1::SessionHistoryRequest { key: key.into(), ..Default::default() };
    client.sessions().history(request).await.unwrap().into_inner().entries
}

#[tokio::test]
async fn tools_are_called_in_order_and_recorded() {
    let gateway = Setup::new().script(SCRIPT).start().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Use your tools.")).await.unwrap();
    assert_eq!((asked.status(), asked.run().text.as_str()), (RunStatus::Ok, "All done."));
    let tools: Vec<_> =
        asked.tools.iter().map(|(name, outcome)| (name.as_str(), outcome.as_str())).collect();
    let names = ["write_file", "read_file", "list_dir", "edit_file", "session_status"];
    assert_eq!(tools, names.map(|name| (name, "ok")));
    let file = gateway.workspace("main").join("notes/a.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "one three");

    let entries = history(&owner, "main").await;
    let kinds: Vec<_> = entries.iter().map(v1::HistoryEntry::kind).collect();
    use Kind::{Assistant, Final, ToolResult, User};
    assert_eq!(
        kinds,
        [
            User, Assistant, ToolResult, Assistant, ToolResult, ToolResult, Assistant, ToolResult,
            Assistant, ToolResult, Assistant, Final
        ]
    );
    // Every call has its result, right after it.
    let mut open = Vec::new();
    for entry in &entries {
        match entry.kind() {
            Assistant => open = entry.tool_calls.iter().map(|call| call.id.clone()).collect(),
            ToolResult => {
                assert_eq!(entry.call_id, open.remove(0));
                assert_eq!(entry.outcome, "ok", "{entry:?}");
            }
            User | Final | Kind::Notice | Kind::Summary | Kind::Unspecified => {
                assert!(open.is_empty());
            }
        }
    }
    assert!(entries[4].text.contains("one two") && entries[5].text.contains("a.txt"));
    assert!(entries[9].text.contains("agent:main:main"), "{:?}", entries[9]);
    // The status tells what the answers before it have cost.
    assert!(!entries[9].text.contains("usage: 0 tokens in"), "{:?}", entries[9]);

    // What changes something is in the audit log, as the run's doing on the owner's behalf.
    let request =
        v1::ListAuditRequest { all: true, method: "tools.invoke".into(), ..Default::default() };
    let records = owner.audit().list(request).await.unwrap().into_inner().records;
    assert_eq!(records.len(), 2, "one write, one edit: {records:?}");
    for record in records {
        assert_eq!((record.principal.as_str(), record.on_behalf_of.as_str()), ("run:r", "owner"));
        assert_eq!(record.cause, "run:r");
    }
}

#[tokio::test]
async fn a_denied_tool_is_neither_offered_nor_called() {
    let call = Behavior::call("write_file", json!({ "path": "a.txt", "content": "x" }));
    let provider = Provider::openai([call, Behavior::text("I cannot.")]).await;
    let gateway = Setup::new()
        .provider(&provider)
        .config("agents.defaults.tools.deny = [\"write_file\", \"web_*\"]")
        .start()
        .await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Write.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Ok);
    assert_eq!(asked.tools, [("write_file".into(), "error".into())]);
    assert!(!gateway.workspace("main").join("a.txt").exists());
    let offered = provider.received()[0].body["tools"].clone();
    let offered: Vec<_> =
        offered.as_array().unwrap().iter().map(|tool| tool["function"]["name"].clone()).collect();
    let left = [
        "read_file",
        "edit_file",
        "list_dir",
        "exec",
        "process",
        "cron",
        "session_status",
        "sessions_spawn",
        "sessions_send",
        "subagents",
        "sessions_yield",
        "sessions_list",
        "sessions_history",
    ];
    assert_eq!(offered, left);
    let agent = v1::GetAgentRequest { id: "main".into(), include_prompt: false };
    let agent = owner.agents().get(agent).await.unwrap().into_inner();
    assert_eq!(agent.tools, left);
}

//= docs/threat-model.md#T9
#[tokio::test]
async fn file_tools_stay_in_the_workspace() {
    let paths = ["../../../openclaw.toml", "/etc/hostname", "out/secret", "../main2/x", "a\u{0}b"];
    let calls = paths.map(|path| ("read_file".to_owned(), json!({ "path": path })));
    let writes = ["../x", "/tmp/openclaw-escape", "out/x"];
    let writes =
        writes.map(|path| ("write_file".to_owned(), json!({ "path": path, "content": "escaped" })));
    let behavior = Behavior::Calls(calls.into_iter().chain(writes).collect());
    let provider = Provider::openai([behavior, Behavior::text("No.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let outside = gateway.dir().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "the secret").unwrap();
    std::os::unix::fs::symlink(&outside, gateway.workspace("main").join("out")).unwrap();
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Escape.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Ok);
    assert_eq!(asked.tools.len(), 8);
    assert!(asked.tools.iter().all(|(_, outcome)| outcome == "error"), "{:?}", asked.tools);
    let said = format!("{:?}", history(&owner, "main").await);
    assert!(!said.contains("the secret") && !said.contains("models.providers"), "{said}");
    assert!(!outside.join("x").exists());
    provider.received().iter().for_each(check_conversation);
}

//= docs/threat-model.md#T10
#[tokio::test]
async fn the_network_is_asked_for_only_where_it_may() {
    let inside = Provider::openai([Behavior::Html]).await;
    let url = inside.url();
    let calls = [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://169.254.169.254/",
        &url,
        "file:///etc/passwd",
    ]
    .map(|url| ("web_fetch".to_owned(), json!({ "url": url })));
    let provider = Provider::openai([Behavior::Calls(calls.into()), Behavior::text("No.")]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let asked = ask(&gateway.owner().await, request("r", "main", "Look.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Ok);
    assert!(asked.tools.iter().all(|(_, outcome)| outcome == "error"), "{:?}", asked.tools);
    assert!(inside.received().is_empty(), "nothing was sent");
}

/// A run has the authority of whoever asked for it, and no more: unconfined commands need an
/// administrator.
//= docs/threat-model.md#T16
#[tokio::test]
async fn a_run_acts_for_its_caller() {
    let exec = Behavior::call("exec", json!({ "command": "true" }));
    let provider = Provider::openai([exec, Behavior::text("I may not.")]).await;
    let gateway =
        Setup::new().provider(&provider).config("tools.exec.sandbox = \"off\"").start().await;
    let writer = gateway.narrowed(&[Scope::Write]).await;
    let asked = ask(&writer, request("now", "main", "Do.")).await.unwrap();
    assert_eq!((asked.tools.as_slice(), asked.text.as_str()), (&refused()[..], "I may not."));
    assert_eq!(refusals(&gateway.owner().await).await, ["run:now missing scope: operator.admin"]);
}

fn refused() -> [(String, String); 1] {
    [("exec".to_owned(), "error".to_owned())]
}

/// The refused tool calls of the audit log, the newest first.
async fn refusals(owner: &Client) -> Vec<String> {
    let decision = v1::audit_record::Decision::Denied.into();
    let method = "tools.invoke".to_owned();
    let request = v1::ListAuditRequest { all: true, decision, method, ..Default::default() };
    let records = owner.audit().list(request).await.unwrap().into_inner().records;
    records.iter().map(|row| format!("{} {}", row.principal, row.reason)).collect()
}

/// So it is after the run waited, and after a restart: time does not add authority.
#[tokio::test]
async fn a_run_that_waited_acts_for_its_caller() {
    let exec = || Behavior::call("exec", json!({ "command": "true" }));
    let (busy, text) = (|| Behavior::held("Busy."), || Behavior::text("I may not."));
    let provider = Provider::openai([busy(), exec(), text(), busy(), exec(), text()]).await;
    let gateway =
        Setup::new().provider(&provider).config("tools.exec.sandbox = \"off\"").start().await;
    let (owner, writer) = (gateway.owner().await, gateway.narrowed(&[Scope::Write]).await);
    let busy = start(&owner, request("busy", "main", "Hello.")).await.unwrap();
    provider.requests(1).await;
    let later = start(&writer, request("later", "main", "Do.")).await.unwrap();
    provider.release(1);
    busy.rest().await.unwrap();
    let asked = later.rest().await.unwrap();
    assert_eq!((asked.tools.as_slice(), asked.text.as_str()), (&refused()[..], "I may not."));

    let busy = start(&owner, request("busy2", "main", "Hello.")).await.unwrap();
    provider.requests(4).await;
    let last = start(&writer, request("last", "main", "Do.")).await.unwrap();
    let stopping = background(gateway.stop());
    last.rest().await.unwrap_err();
    provider.release(1);
    busy.rest().await.unwrap();
    let gateway = stopping.await.unwrap().start().await;
    let owner = gateway.owner().await;
    assert_eq!(wait(&owner, "last").await.text, "I may not.");
    let reason = "missing scope: operator.admin";
    assert_eq!(
        refusals(&owner).await,
        [format!("run:last {reason}"), format!("run:later {reason}")]
    );
}
