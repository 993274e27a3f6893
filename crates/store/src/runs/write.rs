//! What a run writes while it holds its session's fence.

use openclaw_scopes::Timestamp;
use openclaw_sessions::{AssistantMessage, Record, Terminal, Usage};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::RunFence;
use crate::act::ActError;
use crate::error::{Fault, damaged};
use crate::handle::Store;

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
        let fence = RunFence { ..*fence };
        self.step(move |connection| append(connection, &fence, &records, now)).await
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
        let fence = RunFence { ..*fence };
        self.step(move |connection| end(connection, &fence, &ending, now)).await
    }
}

fn append(
    connection: &Connection,
    fence: &RunFence,
    records: &[Record],
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let sql = "UPDATE sessions SET entries = entries + ?4
               WHERE id = ?1 AND active_run = ?2 AND fence = ?3 RETURNING entries";
    let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
    let last: Option<u64> = connection
        .prepare_cached(sql)?
        .query_row(params![fence.session, fence.run, fence.fence.as_number(), count], |row| {
            row.get(0)
        })
        .optional()?;
    let last = last.ok_or(Fault::Domain(FenceError))?;
    for (record, entry) in records.iter().zip(last.saturating_sub(count).saturating_add(1)..) {
        append_record(connection, fence, entry, record, now)?;
    }
    Ok(last)
}

pub(crate) fn append_record(
    connection: &Connection,
    fence: &RunFence,
    entry: u64,
    record: &Record,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let text = serde_json::to_string(record).map_err(|error| damaged(0, error))?;
    let sql = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![fence.session, entry, fence.run, now.as_millis(), text];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

pub(crate) fn end(
    connection: &Connection,
    fence: &RunFence,
    ending: &Ending,
    now: Timestamp,
) -> Result<u64, Fault<FenceError>> {
    let error = (!ending.error.is_empty()).then(|| ending.error.clone());
    let status = ending.terminal.status();
    let last_record = Record::Final { status, error };
    let sql = "UPDATE sessions SET entries = entries + ?4, active_run = NULL,
                   updated_at = max(updated_at, ?5), input_tokens = input_tokens + ?6,
                   output_tokens = output_tokens + ?7, cached_tokens = cached_tokens + ?8
               WHERE id = ?1 AND active_run = ?2 AND fence = ?3 RETURNING entries";
    let usage = ending.usage;
    let values = params![
        fence.session,
        fence.run,
        fence.fence.as_number(),
        if ending.answer.is_some() { 2 } else { 1 },
        now.as_millis(),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
    ];
    let last: Option<u64> =
        connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    let last = last.ok_or(Fault::Domain(FenceError))?;
    let answer_entry = last.saturating_sub(1);
    if let Some(answer) = &ending.answer {
        let record = Record::AssistantMessage(answer.clone());
        append_record(connection, fence, answer_entry, &record, now)?;
    }
    append_record(connection, fence, last, &last_record, now)?;
    let sql = "UPDATE runs SET status = ?2, lease_until = NULL, ended_at = ?3, error = ?4,
                   answer_entry = ?5, input_tokens = ?6, output_tokens = ?7, cached_tokens = ?8
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        fence.run,
        status.name(),
        now.as_millis(),
        ending.error,
        ending.answer.as_ref().map(|_| answer_entry),
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
    ])?;
    Ok(last)
}
