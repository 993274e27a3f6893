//! Between the wire and the domain: nothing passes unparsed.

use openclaw_proto::v1;
use openclaw_proto::{from_duration, to_timestamp};
use openclaw_scopes::{
    AgentId, DeviceRole, IdempotencyKey, RunId, Scope, ScopeSet, SessionKey, Timestamp,
    UnknownScope,
};
use openclaw_sessions::{
    Notice, Record, RunStatus, SendPolicy, ToolOutcome, Usage, agent_of, resolve_key,
};
use openclaw_store::{
    AuditHead, AuditRecord, Child, Decision, HandOver, JournalEntry, ResetNote, RunView, Session,
};

use crate::respond::Reply;
use crate::route;

/// Rows of a page when nobody says how many.
const DEFAULT_PAGE: u32 = 100;
/// Rows of a page at most.
const MAX_PAGE: u32 = 1000;
/// The agent that is meant when none is named.
const DEFAULT_AGENT: &str = "main";

pub(crate) fn page_size(size: u32) -> Result<u32, Reply> {
    match size {
        0 => Ok(DEFAULT_PAGE),
        1..=MAX_PAGE => Ok(size),
        _ => Err(Reply::invalid(format!("page_size is at most {MAX_PAGE}"))),
    }
}

pub(crate) fn bad_token() -> Reply {
    Reply::invalid("page_token is not one that this method gave out").next("ask for the first page")
}

pub(crate) fn agent_id(text: &str) -> Result<AgentId, Reply> {
    let text = if text.is_empty() { DEFAULT_AGENT } else { text };
    AgentId::parse(text).map_err(|error| Reply::invalid(error.to_string()))
}

/// Returns the conversation that a key means, and the agent that it belongs to.
pub(crate) fn session_key(key: &str, agent: &str) -> Result<(SessionKey, AgentId), Reply> {
    let chosen = agent_id(agent)?;
    let key = if key.is_empty() { "main" } else { key };
    let resolved = resolve_key(key, Some(&chosen)).map_err(|error| Reply::malformed_key(&error))?;
    let owner = agent_of(&resolved).map_err(|error| Reply::malformed_key(&error))?;
    if !agent.is_empty() && owner != chosen {
        let message = format!("session `{resolved}` belongs to agent `{owner}`, not `{chosen}`");
        return Err(Reply::new(tonic::Code::InvalidArgument, "MALFORMED_KEY", message));
    }
    Ok((resolved, owner))
}

/// The same where something is changed or ended: there nothing is meant that is not named.
pub(crate) fn named_session(key: &str, agent: &str) -> Result<SessionKey, Reply> {
    if key.is_empty() {
        let reply =
            Reply::new(tonic::Code::InvalidArgument, "MALFORMED_KEY", "no session is named");
        return Err(reply.next("openclaw sessions list"));
    }
    session_key(key, agent).map(|(key, _agent)| key)
}

pub(crate) fn run_id(text: &str) -> Result<RunId, Reply> {
    RunId::parse(text).map_err(|error| Reply::invalid(error.to_string()))
}

/// How the ids of runs begin that nobody asks for over the network: by these they are known.
const OWN_RUNS: [&str; 5] = ["cron-", "event-", "heartbeat-", "hook.", "told-"];

/// Returns the id of a run that is asked for: that of the request.
pub(crate) fn new_run(key: &str) -> Result<RunId, Reply> {
    let key = idempotency_key(key)?;
    if OWN_RUNS.iter().any(|own| key.as_str().starts_with(own)) {
        let text = format!("keys that begin with {} are the gateway's own", OWN_RUNS.join(", "));
        return Err(Reply::invalid(text).next("send a new random key, and the same one on a retry"));
    }
    Ok(RunId::from(key))
}

pub(crate) fn idempotency_key(text: &str) -> Result<IdempotencyKey, Reply> {
    IdempotencyKey::parse(text).map_err(|error| {
        Reply::invalid(error.to_string()).next("send a new random key, and the same one on a retry")
    })
}

/// Returns the scopes of these names, each of which is known. Twice is no mistake.
pub(crate) fn scopes(names: &[String]) -> Result<ScopeSet, Reply> {
    let add = |set: ScopeSet, name: &String| Ok(set.with(Scope::parse(name)?));
    names.iter().try_fold(ScopeSet::EMPTY, add).map_err(|error: UnknownScope| {
        Reply::invalid(error.to_string()).next("docs/policy.md lists the scopes")
    })
}

/// Returns at least one scope: absence is no wish for all.
pub(crate) fn some_scopes(names: &[String]) -> Result<ScopeSet, Reply> {
    let scopes = scopes(names)?;
    if scopes.is_empty() {
        return Err(Reply::invalid("name at least one scope").next("name scopes with --scopes"));
    }
    Ok(scopes)
}

/// Returns a role; without a name, an operator.
pub(crate) fn role(name: &str) -> Result<DeviceRole, Reply> {
    match name {
        "" => Ok(DeviceRole::Operator),
        name => {
            DeviceRole::parse(name).ok_or_else(|| Reply::invalid("a role is `operator` or `node`"))
        }
    }
}

/// Returns a length of time; absent and negative ones are told apart.
pub(crate) fn duration(
    length: Option<&prost_types::Duration>,
    name: &str,
) -> Result<Option<std::time::Duration>, Reply> {
    let Some(length) = length else { return Ok(None) };
    let parsed = from_duration(length);
    parsed.map(Some).ok_or_else(|| Reply::invalid(format!("{name} is negative")))
}

fn instant(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(to_timestamp(at))
}

fn usage(usage: Usage) -> v1::Usage {
    v1::Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: usage.cached_tokens,
    }
}

pub(crate) fn reset(reset: ResetNote) -> v1::SessionReset {
    let ResetNote { number, at, by, reason, is_undone: undone } = reset;
    v1::SessionReset { number, at: instant(at), by, reason, undone }
}

pub(crate) fn session(session: Session) -> v1::Session {
    v1::Session {
        key: session.key.to_string(),
        agent_id: session.agent.to_string(),
        owner: session.owner.to_string(),
        created_at: instant(session.created_at),
        updated_at: instant(session.updated_at),
        label: session.label,
        active_run_id: session.active_run.map(|run| run.to_string()).unwrap_or_default(),
        queued_runs: session.queued_runs,
        total_runs: session.total_runs,
        usage: Some(usage(session.usage)),
        category: session.category,
        pinned: session.pinned_at.is_some(),
        archived: session.archived_at.is_some(),
        model: session.model,
        depth: session.depth,
        last_reset: None,
        send_policy: session.send_policy.map(SendPolicy::name).unwrap_or_default().to_owned(),
    }
}

/// Returns a delegated run as the wire writes it.
pub(crate) fn subagent(child: Child) -> v1::Subagent {
    use v1::subagent::Delivery;
    let (delivery, told_in, reason, settled) = match child.hand_over {
        HandOver::Ahead => (Delivery::Unspecified, None, String::new(), None),
        HandOver::Waiting => (Delivery::Waiting, None, String::new(), None),
        HandOver::Told(run, at) => (Delivery::Told, Some(run), String::new(), Some(at)),
        HandOver::Dead(reason, at) => (Delivery::Dead, None, reason, Some(at)),
        HandOver::Discarded(reason, at) => (Delivery::Discarded, None, reason, Some(at)),
    };
    v1::Subagent {
        run: Some(run(child.run)),
        parent_session_key: child.parent.to_string(),
        label: child.label,
        task: child.task,
        model: child.model,
        cleanup: child.cleanup.name().into(),
        tools: child.tools,
        depth: child.depth,
        delivery: delivery.into(),
        delivery_reason: reason,
        told_in_run_id: told_in.map(|run| run.to_string()).unwrap_or_default(),
        settled_at: settled.and_then(instant),
    }
}

pub(crate) fn run_status(status: RunStatus) -> v1::RunStatus {
    match status {
        RunStatus::Aborted => v1::RunStatus::Aborted,
        RunStatus::Error => v1::RunStatus::Error,
        RunStatus::Interrupted => v1::RunStatus::Interrupted,
        RunStatus::Ok => v1::RunStatus::Ok,
        RunStatus::Queued => v1::RunStatus::Queued,
        RunStatus::Running => v1::RunStatus::Running,
        RunStatus::Timeout => v1::RunStatus::Timeout,
    }
}

pub(crate) fn parse_run_status(status: i32) -> Result<RunStatus, Reply> {
    RunStatus::ALL
        .into_iter()
        .find(|known| i32::from(run_status(*known)) == status)
        .ok_or_else(|| Reply::invalid(format!("unknown run status {status}")))
}

pub(crate) fn run(run: RunView) -> v1::Run {
    let agent_id = agent_of(&run.session).map(|agent| agent.to_string()).unwrap_or_default();
    v1::Run {
        run_id: run.run.to_string(),
        session_key: run.session.to_string(),
        agent_id,
        status: run_status(run.status).into(),
        text: run.text,
        error: run.error,
        usage: Some(usage(run.usage)),
        accepted_at: instant(run.accepted_at),
        started_at: run.started_at.and_then(instant),
        ended_at: run.ended_at.and_then(instant),
        on_behalf_of: run.on_behalf_of.to_string(),
        reply_to: route::told(&run.reply_to),
        merged_into: run.merged_into.map(|run| run.to_string()).unwrap_or_default(),
        withheld: run.withheld,
    }
}

pub(crate) const fn outcome(outcome: ToolOutcome) -> &'static str {
    match outcome {
        ToolOutcome::Error => "error",
        ToolOutcome::Interrupted => "interrupted",
        ToolOutcome::Ok => "ok",
        ToolOutcome::Skipped => "skipped",
    }
}

pub(crate) fn history_entry(entry: JournalEntry) -> v1::HistoryEntry {
    use v1::history_entry::Kind;
    let blank = v1::HistoryEntry {
        sequence: entry.entry,
        run_id: entry.run.to_string(),
        at: instant(entry.at),
        ..v1::HistoryEntry::default()
    };
    match entry.record {
        Record::Steered { run: _, text } | Record::UserMessage { text } => {
            v1::HistoryEntry { kind: Kind::User.into(), text, ..blank }
        }
        Record::AssistantMessage(message) => v1::HistoryEntry {
            kind: Kind::Assistant.into(),
            text: message.text,
            tool_calls: message
                .tool_calls
                .into_iter()
                .map(|call| v1::ToolCall {
                    id: call.id,
                    name: call.name,
                    arguments: call.arguments,
                })
                .collect(),
            usage: Some(usage(message.usage)),
            model: message.model,
            ..blank
        },
        Record::Notices { notices } => {
            v1::HistoryEntry { kind: Kind::Notice.into(), text: Notice::told(&notices), ..blank }
        }
        Record::Summary { text, .. } => {
            v1::HistoryEntry { kind: Kind::Summary.into(), text, ..blank }
        }
        Record::ToolResult(result) => v1::HistoryEntry {
            kind: Kind::ToolResult.into(),
            text: result.content,
            call_id: result.call_id,
            tool: result.name,
            outcome: outcome(result.outcome).into(),
            ..blank
        },
        Record::Final { status, error } => v1::HistoryEntry {
            kind: Kind::Final.into(),
            text: error.unwrap_or_default(),
            outcome: status.name().into(),
            ..blank
        },
    }
}

/// Returns an entry as an archive keeps it.
pub(crate) fn archived(entry: &JournalEntry) -> serde_json::Value {
    let at = entry.at.as_millis();
    let JournalEntry { entry, run, record, .. } = entry;
    serde_json::json!({ "entry": entry, "run": run.as_str(), "atMs": at, "record": record })
}

pub(crate) fn audit_head(head: AuditHead) -> v1::AuditHead {
    v1::AuditHead { sequence: head.seq, digest: head.digest.to_string() }
}

pub(crate) fn decision(decision: Decision) -> v1::audit_record::Decision {
    match decision {
        Decision::Allowed => v1::audit_record::Decision::Allowed,
        Decision::Denied => v1::audit_record::Decision::Denied,
        Decision::Failed => v1::audit_record::Decision::Failed,
    }
}

pub(crate) fn parse_decision(text: i32) -> Result<Option<Decision>, Reply> {
    if text == 0 {
        return Ok(None);
    }
    [Decision::Allowed, Decision::Denied, Decision::Failed]
        .into_iter()
        .find(|known| i32::from(decision(*known)) == text)
        .map(Some)
        .ok_or_else(|| Reply::invalid(format!("unknown decision {text}")))
}

pub(crate) fn audit_record(record: AuditRecord) -> v1::AuditRecord {
    v1::AuditRecord {
        sequence: record.seq,
        at: instant(record.at),
        principal: record.principal,
        on_behalf_of: record.on_behalf_of,
        method: record.method,
        target: record.target,
        decision: decision(record.decision).into(),
        reason: record.reason,
        cause: record.cause,
        count: record.count,
        digest: record.digest.to_string(),
    }
}
