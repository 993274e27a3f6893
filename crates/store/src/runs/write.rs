//! What a run writes while it holds its session's fence.

use openclaw_scopes::Timestamp;
use openclaw_sessions::{AssistantMessage, RESUMED, Record, RunStatus, SendRules, Terminal, Usage};
use rusqlite::{Connection, params};

use super::start::written;
use super::{RunFence, queue};
use crate::act::ActError;
use crate::approvals;
use crate::children;
use crate::cron;
use crate::error::{Fault, damaged};
use crate::handle::Store;
use crate::outbox;
use crate::usage::{self, MAX_TOKENS, Used};

/// The run no longer writes its session: it has ended, or another has taken its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the run does not hold its session any more")]
pub struct FenceError;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The state it ends in.
    pub terminal: Terminal,
    /// The answer, when there is one.
    pub answer: Option<AssistantMessage>,
    /// What went wrong; empty after success.
    pub error: String,
    /// Tokens of all its answers.
    pub usage: Usage,
    /// What the configuration says about what leaves.
    pub send_rules: SendRules,
}

impl Store {
    /// Appends records to the journal, as the run that holds the fence.
    ///
    /// # Errors
    /// When the run holds it no longer, or the storage fails; then nothing is written.
    pub async fn append(
        &self,
        fence: &RunFence,
        records: Vec<Record>,
        now: Timestamp,
    ) -> Result<u64, ActError<FenceError>> {
        let written = records.iter().map(Written::of).collect::<Result<Vec<_>, _>>();
        let written = written.map_err(|error| ActError::Store(error.into()))?;
        let fence = RunFence { ..*fence };
        self.step(move |connection| append(connection, &fence, &written, now)).await
    }

    /// Ends a run: its answer, its end and the release of its session are one change.
    ///
    /// Returns the journal's last entry.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nothing is written.
    pub async fn end_run(
        &self,
        fence: &RunFence,
        ending: Ending,
        now: Timestamp,
    ) -> Result<u64, ActError<FenceError>> {
        let closing = Closing::of(ending).map_err(|error| ActError::Store(error.into()))?;
        let fence = RunFence { ..*fence };
        self.step(move |connection| end(connection, &fence, &closing, now)).await
    }
}

/// Returns a record as it is stored. Done before the writer's turn where possible: its time is
/// everybody's.
pub(crate) fn as_text(record: &Record) -> rusqlite::Result<String> {
    serde_json::to_string(record).map_err(|error| damaged(0, error))
}

/// A record as it is stored, and what it cost.
#[derive(Debug)]
struct Written {
    text: String,
    cost: Option<Used>,
}

impl Written {
    fn of(record: &Record) -> rusqlite::Result<Self> {
        // What no model said costs nothing and is no answer of one.
        let used = |model: &String, usage: Usage, worked_millis| {
            let is_own = model.is_empty() && usage == Usage::default();
            (!is_own).then(|| Used { model: model.clone(), usage, worked_millis })
        };
        let cost = match record {
            Record::AssistantMessage(AssistantMessage { model, usage, worked_millis, .. }) => {
                used(model, *usage, *worked_millis)
            }
            Record::Summary { model, usage, .. } => used(model, *usage, 0),
            Record::Final { .. }
            | Record::Notices { .. }
            | Record::Steered { .. }
            | Record::ToolResult(_)
            | Record::UserMessage { .. } => None,
        };
        Ok(Self { text: as_text(record)?, cost })
    }
}

/// Appends records as part of a larger change.
pub(crate) fn append_records(
    connection: &Connection,
    fence: &RunFence,
    records: &[Record],
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let written = records.iter().map(Written::of).collect::<rusqlite::Result<Vec<_>>>()?;
    append(connection, fence, &written, now)
}

/// Ends a run that works, for a reason that came from outside: whoever drives it finds its fence gone.
pub(crate) fn end_from_outside(
    connection: &Connection,
    fence: &RunFence,
    ending: Ending,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let closing = Closing::of(ending)?;
    match end(connection, fence, &closing, now) {
        Ok(_) => Ok(()),
        Err(Fault::Store(error)) => Err(error),
        // A session that does not know its writer is a damaged row, and not a run to skip.
        Err(Fault::Domain(error)) => Err(damaged(0, error)),
    }
}

fn append(
    connection: &Connection,
    fence: &RunFence,
    records: &[Written],
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let sql = "UPDATE sessions SET entries = entries + ?4
               WHERE id = ?1 AND active_run = ?2 AND fence = ?3";
    let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
    let values = params![fence.session, fence.run, fence.fence.as_number(), count];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Err(Fault::Domain(FenceError));
    }
    let (_, last) = written(connection, fence.session)?;
    for (record, entry) in records.iter().zip(last.saturating_sub(count).saturating_add(1)..) {
        append_text(connection, fence, entry, &record.text, now)?;
        if let Some(used) = &record.cost {
            usage::count(connection, fence.session, used, now)?;
        }
    }
    Ok(last)
}

pub(super) fn append_text(
    connection: &Connection,
    fence: &RunFence,
    entry: u64,
    record: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![fence.session, entry, fence.run, now.as_millis(), record];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// An [`Ending`] as it is stored.
#[derive(Debug)]
pub(super) struct Closing {
    answer: Option<Written>,
    error: String,
    last: String,
    send_rules: SendRules,
    status: RunStatus,
    /// What whoever delegated the run is told.
    told: String,
    usage: Usage,
}

impl Closing {
    pub(super) fn of(ending: Ending) -> rusqlite::Result<Self> {
        let Ending { terminal, answer, error, usage, send_rules } = ending;
        let status = terminal.status();
        let shown = (!error.is_empty()).then(|| error.clone());
        let told = match (&answer, status) {
            (Some(answer), RunStatus::Ok) => answer.text.clone(),
            (None | Some(_), _) => error.clone(),
        };
        Ok(Self {
            told,
            answer: answer
                .map(|answer| Written::of(&Record::AssistantMessage(answer)))
                .transpose()?,
            error,
            last: as_text(&Record::Final { status, error: shown })?,
            send_rules,
            status,
            usage: usage::capped(usage),
        })
    }
}

/// Writes what a run says last, and lets go of its session; returns the last entry.
fn release(
    connection: &Connection,
    fence: &RunFence,
    closing: &Closing,
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let sql = "UPDATE sessions SET entries = entries + ?4, active_run = NULL,
                   updated_at = max(updated_at, ?5),
                   input_tokens = min(input_tokens + ?6, ?9),
                   output_tokens = min(output_tokens + ?7, ?9),
                   cached_tokens = min(cached_tokens + ?8, ?9)
               WHERE id = ?1 AND active_run = ?2 AND fence = ?3";
    let tokens = closing.usage;
    let values = params![
        fence.session,
        fence.run,
        fence.fence.as_number(),
        if closing.answer.is_some() { 2 } else { 1 },
        now.as_millis(),
        tokens.input_tokens,
        tokens.output_tokens,
        tokens.cached_tokens,
        MAX_TOKENS,
    ];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Err(Fault::Domain(FenceError));
    }
    let (_, last) = written(connection, fence.session)?;
    if let Some(answer) = &closing.answer {
        append_text(connection, fence, last.saturating_sub(1), &answer.text, now)?;
        if let Some(used) = &answer.cost {
            usage::count(connection, fence.session, used, now)?;
        }
    }
    append_text(connection, fence, last, &closing.last, now)?;
    Ok(last)
}

/// Puts a run back among those that wait, to go on with what it was asked after the next start; that counts,
/// or not.
pub(super) fn suspend(
    connection: &Connection,
    fence: &RunFence,
    closing: &Closing,
    counts: bool,
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let last = release(connection, fence, closing, now)?;
    let sql = "UPDATE runs SET status = 'queued', message = ?2, fence = NULL, lease_until = NULL,
                   resumed = resumed + ?7, queue_mode = 'followup', input_tokens = min(input_tokens + ?3, ?6),
                   output_tokens = min(output_tokens + ?4, ?6),
                   cached_tokens = min(cached_tokens + ?5, ?6)
               WHERE id = ?1";
    let usage = closing.usage;
    connection.prepare_cached(sql)?.execute(params![
        fence.run,
        RESUMED,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        MAX_TOKENS,
        u8::from(counts),
    ])?;
    Ok(last)
}

pub(super) fn end(
    connection: &Connection,
    fence: &RunFence,
    closing: &Closing,
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let usage = closing.usage;
    let last = release(connection, fence, closing, now)?;
    let answer_entry = last.saturating_sub(1);
    let sql = "UPDATE runs SET status = ?2, lease_until = NULL, ended_at = ?3, error = ?4,
                   answer_entry = ?5, input_tokens = min(input_tokens + ?6, ?9),
                   output_tokens = min(output_tokens + ?7, ?9),
                   cached_tokens = min(cached_tokens + ?8, ?9)
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        fence.run,
        closing.status.name(),
        now.as_millis(),
        closing.error,
        closing.answer.as_ref().map(|_| answer_entry),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        MAX_TOKENS,
    ])?;
    let answer = outbox::Answer {
        run: fence.run,
        status: closing.status,
        text: &closing.told,
        rules: &closing.send_rules,
    };
    outbox::answer(connection, answer, now)?;
    queue::end_merged(connection, fence.run)?;
    approvals::withdraw_of(connection, fence.run)?;
    children::child_ended(connection, fence.session, closing.status, &closing.told, now)?;
    cron::run_ended(connection, fence.run, closing.status, &closing.told, now)?;
    Ok(last)
}
