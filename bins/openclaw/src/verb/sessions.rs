//! `sessions`: conversations.

mod change;

use openclaw_client::fresh_key;
use openclaw_client::v1::history_entry::Kind;
use openclaw_client::v1::list_sessions_request::Archived;
use openclaw_client::v1::{
    CreateSessionRequest, GetSessionRequest, HistoryEntry, ListSessionsRequest, Session,
    SessionHistoryRequest,
};

use super::text;
use crate::cli::SessionsVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{pages, screen, table};

pub(super) async fn run(
    verb: SessionsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let methods: &[&str] = match &verb {
        SessionsVerb::History { .. } => &["sessions.history"],
        SessionsVerb::List { .. } => &["sessions.list"],
        SessionsVerb::New { .. } => &["sessions.create"],
        SessionsVerb::Show { .. } => &["sessions.get"],
        SessionsVerb::Archive { .. }
        | SessionsVerb::Categorize { .. }
        | SessionsVerb::Cleanup { .. }
        | SessionsVerb::Compact { .. }
        | SessionsVerb::Delete { .. }
        | SessionsVerb::Model { .. }
        | SessionsVerb::Pin { .. }
        | SessionsVerb::Rename { .. }
        | SessionsVerb::Reset { .. }
        | SessionsVerb::SendPolicy { .. }
        | SessionsVerb::Unarchive { .. }
        | SessionsVerb::UndoReset { .. }
        | SessionsVerb::Unpin { .. } => return change::run(verb, place, output).await,
    };
    let mut sessions = place.connect_for(methods).await?.sessions();
    match verb {
        SessionsVerb::List { agent, search, active, archived, all, rows } => {
            let archived = match (archived, all) {
                (true, _) => Archived::Only,
                (false, true) => Archived::All,
                (false, false) => Archived::Unspecified,
            };
            let request = ListSessionsRequest {
                agent_id: text(agent),
                search: text(search),
                active_only: active,
                archived: archived.into(),
                ..ListSessionsRequest::default()
            };
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListSessionsRequest { page_size, page_token, ..request.clone() };
                Ok(sessions.list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.sessions.is_empty() => output.note("no sessions")?,
                Format::Human => output.block(&show_rows(&list.sessions))?,
                Format::Json => output.message(&list)?,
            }
        }
        SessionsVerb::Show { key, agent } => {
            let request = GetSessionRequest { key, agent_id: text(agent) };
            show(&sessions.get(request).await?.into_inner(), output)?;
        }
        SessionsVerb::New { key, agent, label } => {
            let request = CreateSessionRequest {
                idempotency_key: fresh_key()?.to_string(),
                key,
                agent_id: text(agent),
                label: text(label),
            };
            show(&sessions.create(request).await?.into_inner(), output)?;
        }
        SessionsVerb::History { key, agent, rows } => {
            let request =
                SessionHistoryRequest { key, agent_id: text(agent), ..Default::default() };
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = SessionHistoryRequest { page_size, page_token, ..request.clone() };
                Ok(sessions.history(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.entries.is_empty() => output.note("nothing was said")?,
                Format::Human => {
                    for entry in &list.entries {
                        output.block(&said(entry))?;
                    }
                }
                Format::Json => output.message(&list)?,
            }
        }
        // Handled by `change`.
        SessionsVerb::Archive { .. }
        | SessionsVerb::Categorize { .. }
        | SessionsVerb::Cleanup { .. }
        | SessionsVerb::Compact { .. }
        | SessionsVerb::Delete { .. }
        | SessionsVerb::Model { .. }
        | SessionsVerb::Pin { .. }
        | SessionsVerb::Rename { .. }
        | SessionsVerb::Reset { .. }
        | SessionsVerb::SendPolicy { .. }
        | SessionsVerb::Unarchive { .. }
        | SessionsVerb::UndoReset { .. }
        | SessionsVerb::Unpin { .. } => {}
    }
    Ok(Exit::Ok)
}

fn show(session: &Session, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => Ok(output.block(&facts(session))?),
        Format::Json => output.message(session),
    }
}

fn show_rows(sessions: &[Session]) -> String {
    let now = jiff::Timestamp::now();
    let rows = sessions.iter().map(|session| {
        vec![
            session.key.clone(),
            screen::shortened(&session.label, 40),
            session.total_runs.to_string(),
            state(session),
            table::ago(session.updated_at.as_ref(), now),
        ]
    });
    table::columns(&["KEY", "LABEL", "RUNS", "NOW", "USED"], rows)
}

fn state(session: &Session) -> String {
    match (session.active_run_id.is_empty(), session.queued_runs) {
        (true, 0) => "idle".to_owned(),
        (true, queued) => format!("{queued} queued"),
        (false, 0) => "running".to_owned(),
        (false, queued) => format!("running, {queued} queued"),
    }
}

fn facts(session: &Session) -> String {
    let now = jiff::Timestamp::now();
    let usage = session.usage.unwrap_or_default();
    let tokens = format!(
        "{} in ({} cached), {} out",
        usage.input_tokens, usage.cached_tokens, usage.output_tokens
    );
    table::facts(&[
        ("key", session.key.clone()),
        ("label", session.label.clone()),
        ("agent", session.agent_id.clone()),
        ("owner", session.owner.clone()),
        ("created", table::ago(session.created_at.as_ref(), now)),
        ("used", table::ago(session.updated_at.as_ref(), now)),
        ("now", state(session)),
        ("active run", session.active_run_id.clone()),
        ("runs", session.total_runs.to_string()),
        ("tokens", tokens),
        ("category", session.category.clone()),
        ("model", session.model.clone()),
        ("send policy", session.send_policy.clone()),
        ("kept", kept(session)),
        ("begun anew", begun_anew(session, now)),
        ("depth", if session.depth == 0 { String::new() } else { session.depth.to_string() }),
    ])
}

fn begun_anew(session: &Session, now: jiff::Timestamp) -> String {
    let Some(reset) = &session.last_reset else { return String::new() };
    let undone = if reset.undone { ", taken back" } else { "" };
    let why = if reset.reason.is_empty() { "" } else { ": " };
    format!("{} by {}{undone}{why}{}", table::ago(reset.at.as_ref(), now), reset.by, reset.reason)
}

fn kept(session: &Session) -> String {
    let words = [("pinned", session.pinned), ("archived", session.archived)];
    words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// Returns an entry with who said it in front.
fn said(entry: &HistoryEntry) -> String {
    let text = entry.text.trim_end();
    match entry.kind() {
        Kind::User => format!("> {text}"),
        Kind::Assistant => {
            let calls = entry.tool_calls.iter().map(|call| {
                format!("  {} {}", screen::line(&call.name), screen::shortened(&call.arguments, 90))
            });
            let text = Some(text.to_owned()).filter(|text| !text.is_empty());
            text.into_iter().chain(calls).collect::<Vec<_>>().join("\n")
        }
        Kind::ToolResult => {
            let (tool, outcome) = (screen::line(&entry.tool), screen::line(&entry.outcome));
            format!("  {tool}: {outcome}: {}", screen::shortened(text, 90))
        }
        Kind::Final => format!("  run {}: {}\n", screen::line(&entry.run_id), entry.outcome),
        Kind::Summary => format!("  summary of what was before: {text}"),
        Kind::Notice | Kind::Unspecified => format!("  {text}"),
    }
}
