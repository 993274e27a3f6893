//! Whether a session's journal is one that its next run can build upon.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_client::Client;
use openclaw_client::v1::history_entry::Kind;
use openclaw_client::v1::{HistoryEntry, Run, SessionHistoryRequest};
use openclaw_sessions::{
    AssistantMessage, Message, Record, RunStatus, ToolCall, ToolOutcome, ToolResult, Usage, project,
};

/// Reads a session's journal and checks its form; adds the runs that ended in it to `seen`.
pub(super) async fn check(
    client: &Client,
    key: &str,
    runs: &BTreeMap<String, Run>,
    seen: &mut BTreeSet<String>,
) {
    let entries = read(client, key).await;
    let sequences = entries.iter().map(|entry| entry.sequence);
    assert!(sequences.eq(1..=u64::try_from(entries.len()).unwrap()), "{key}: a record is gone");
    // A run's records stand together, from its question to its end.
    for part in entries.chunk_by(|a, b| a.run_id == b.run_id) {
        let id = &part[0].run_id;
        let run = runs.get(id).unwrap_or_else(|| panic!("{key}: no run {id}"));
        assert!(seen.insert(id.clone()), "{key}: run {id} was begun twice");
        assert_eq!(run.session_key, key);
        let kinds: Vec<_> = part.iter().map(HistoryEntry::kind).collect();
        let (first, last) = (&part[0], &part[part.len() - 1]);
        assert_eq!((kinds[0], last.kind()), (Kind::User, Kind::Final), "{id}: {kinds:?}");
        let ends: Vec<_> = part.iter().filter(|it| it.kind() == Kind::Final).collect();
        // A run that a kill interrupted is begun again, once.
        assert!(ends.len() <= 2, "{id}: {kinds:?}");
        assert!(ends.len() == 1 || ends[0].outcome == "interrupted", "{id}: {kinds:?}");
        let again = part.iter().position(|it| it.kind() == Kind::Final).unwrap() + 1;
        let part = if again < part.len() { &part[again..] } else { part };
        assert!(first.text.replacen(' ', "-", 1) == *id || id.starts_with("check-"), "{first:?}");
        let ended = run.status().as_str_name().trim_start_matches("RUN_STATUS_").to_lowercase();
        assert_eq!(last.outcome, ended, "{id}");
        if ended == "ok" {
            check_calls(part);
            assert_eq!(part[part.len() - 2].text, run.text, "{id}");
        }
    }
    check_projection(key, &entries);
}

/// In a run that ended well every call has its result, directly behind it.
fn check_calls(part: &[HistoryEntry]) {
    let mut open: Vec<&str> = Vec::new();
    for entry in part {
        match entry.kind() {
            Kind::ToolResult => {
                let at = open.iter().position(|id| *id == entry.call_id);
                open.remove(at.unwrap_or_else(|| panic!("nobody called {entry:?}")));
            }
            _ => {
                assert!(open.is_empty(), "{entry:?} stands before the results of {open:?}");
                open = entry.tool_calls.iter().map(|call| call.id.as_str()).collect();
            }
        }
    }
    assert!(open.is_empty(), "{open:?} were never answered");
}

/// What a model is shown of it: user and assistant alternate, and every call has its result.
fn check_projection(key: &str, entries: &[HistoryEntry]) {
    let records: Vec<_> = entries.iter().map(record).collect();
    let messages = project(&records);
    let mut asked = false;
    let mut calls: Vec<String> = Vec::new();
    for message in &messages {
        match &**message {
            Message::User { text } => {
                assert!(
                    !asked && calls.is_empty() && !text.trim().is_empty(),
                    "{key}: {message:?}"
                );
                asked = true;
            }
            Message::Assistant { text, tool_calls } => {
                assert!(asked && calls.is_empty(), "{key}: {message:?}");
                assert!(!text.trim().is_empty() || !tool_calls.is_empty(), "{key}: {message:?}");
                calls = tool_calls.iter().map(|call| call.id.clone()).collect();
                asked = false;
            }
            Message::Tool { results } => {
                let answered: Vec<_> =
                    results.iter().map(|result| result.call_id.clone()).collect();
                assert_eq!(answered, calls, "{key}");
                calls.clear();
                asked = true;
            }
        }
    }
    assert!(!asked && calls.is_empty(), "{key}: the history ends in the middle");
}

async fn read(client: &Client, key: &str) -> Vec<HistoryEntry> {
    let mut entries: Vec<HistoryEntry> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = SessionHistoryRequest {
            key: key.to_owned(),
            agent_id: String::new(),
            page_size: 1000,
            page_token,
        };
        let page = client.sessions().history(request).await.unwrap().into_inner();
        drop(entries.splice(0..0, page.entries));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return entries;
        }
    }
}

fn record(entry: &HistoryEntry) -> Record {
    let text = entry.text.clone();
    match entry.kind() {
        Kind::User => Record::UserMessage { text },
        Kind::Assistant => Record::AssistantMessage(AssistantMessage {
            text,
            tool_calls: entry
                .tool_calls
                .iter()
                .map(|call| ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                })
                .collect(),
            usage: Usage::default(),
            model: entry.model.clone(),
            worked_millis: 0,
        }),
        Kind::ToolResult => Record::ToolResult(ToolResult {
            call_id: entry.call_id.clone(),
            name: entry.tool.clone(),
            outcome: match entry.outcome.as_str() {
                "ok" => ToolOutcome::Ok,
                "error" => ToolOutcome::Error,
                "interrupted" => ToolOutcome::Interrupted,
                other => panic!("outcome {other}"),
            },
            content: text,
        }),
        Kind::Final => {
            let status = RunStatus::parse(&entry.outcome).unwrap();
            Record::Final { status, error: (!text.is_empty()).then_some(text) }
        }
        Kind::Notice | Kind::Summary | Kind::Unspecified => panic!("{entry:?}"),
    }
}
