//! What comes of a due instant that was begun: the ledger's row, and what the job learns of it.

use openclaw_scheduler::{After, DisableReason, Failure, after_failure};
use openclaw_scopes::Timestamp;
use openclaw_sessions::RunStatus;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::change::remove;
use super::{AfterRun, Disabled, JobSpec, JobTools, MAX_TEXT, Outcome, spec};
use crate::children::cut;
use crate::error::damaged;

/// What a job gives to its turns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobGiven {
    /// The model that answers, as `provider/model`; empty for the conversation's.
    pub model: String,
    /// The tools that they may use.
    pub tools: JobTools,
    /// How many tokens one of them may use; zero for as many as its agent's.
    pub max_tokens: u64,
}

/// Returns what a run is given that is for a due instant.
pub(crate) fn given(connection: &Connection, occurrence: i64) -> rusqlite::Result<JobGiven> {
    let (_, spec) = job_of(connection, occurrence)?;
    Ok(JobGiven { model: spec.model, tools: spec.tools, max_tokens: spec.max_tokens })
}

/// Reads the job of a due instant, and its row.
fn job_of(connection: &Connection, occurrence: i64) -> rusqlite::Result<(i64, JobSpec)> {
    let sql = "SELECT j.id, j.name, j.agent, j.spec FROM cron_occurrences o
               JOIN cron_jobs j ON j.id = o.job WHERE o.id = ?1";
    let (row, name, agent, text): (i64, String, String, String) =
        connection.prepare_cached(sql)?.query_row([occurrence], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let agent = agent.parse().map_err(|error| damaged(2, error))?;
    Ok((row, spec::from_text(name, agent, &text)?))
}

/// Notes what came of the run of a due instant. Nothing for a run that is for none.
pub(crate) fn run_ended(
    connection: &Connection,
    run: i64,
    status: RunStatus,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT occurrence FROM runs WHERE id = ?1";
    let occurrence: Option<i64> =
        connection.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional()?.flatten();
    let Some(occurrence) = occurrence else { return Ok(()) };
    let outcome = match status {
        RunStatus::Ok => Outcome::Ran,
        RunStatus::Aborted => Outcome::Cancelled,
        RunStatus::Interrupted => Outcome::Lost,
        RunStatus::Error | RunStatus::Queued | RunStatus::Running | RunStatus::Timeout => {
            Outcome::Failed
        }
    };
    ended(connection, occurrence, outcome, status.name(), text, now)
}

/// Whether a failure is one that another attempt could not mend.
fn failure_of(text: &str) -> Failure {
    let word = text.split_once(':').map_or(text, |(word, _)| word);
    match word {
        "auth" | "billing" | "budget" | "invalid-request" | "model-not-found" => Failure::Permanent,
        _ => Failure::Transient,
    }
}

/// Decides what follows an attempt that failed.
fn after_attempt(
    connection: &Connection,
    job: i64,
    spec: &JobSpec,
    attempts: u32,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<After> {
    let schedule = &spec.rules.schedule;
    // Each attempt of a one-shot counts, and each instant of what comes again.
    let count = if schedule.is_recurring() {
        let sql = "SELECT failures FROM cron_jobs WHERE id = ?1";
        let failures: u32 = connection.prepare_cached(sql)?.query_row([job], |row| row.get(0))?;
        failures.saturating_add(1)
    } else {
        attempts
    };
    Ok(after_failure(schedule, failure_of(text), count, now))
}

/// Writes the end of a due instant that was begun, and what its job learns of it. One that has an end keeps it.
pub(super) fn ended(
    connection: &Connection,
    occurrence: i64,
    outcome: Outcome,
    reason: &str,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql =
        "SELECT requested, attempts FROM cron_occurrences WHERE id = ?1 AND state = 'claimed'";
    let found: Option<(String, u32)> = connection
        .prepare_cached(sql)?
        .query_row([occurrence], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((requested, attempts)) = found else { return Ok(()) };
    let reason = if outcome == Outcome::Ran { "" } else { reason };
    let (job, spec) = job_of(connection, occurrence)?;
    let is_scheduled = requested.is_empty();
    let failed = matches!(outcome, Outcome::Failed | Outcome::Lost);
    let after = match failed && is_scheduled {
        true => Some(after_attempt(connection, job, &spec, attempts, text, now)?),
        false => None,
    };
    if let Some(After::Retry { at }) = after {
        let sql =
            "UPDATE cron_occurrences SET started_at = NULL, start_at = ?2, run = '', session = '',
                       reason = ?3, text = ?4 WHERE id = ?1";
        let values = params![occurrence, at.as_millis(), reason, cut(text, MAX_TEXT)];
        return connection.prepare_cached(sql)?.execute(values).map(|_| ());
    }
    let sql = "UPDATE cron_occurrences SET state = ?2, reason = ?3, text = ?4, ended_at = ?5
               WHERE id = ?1";
    let values = params![occurrence, outcome.name(), reason, cut(text, MAX_TEXT), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values)?;
    if !is_scheduled {
        return Ok(());
    }
    match after {
        Some(After::Wait { not_before }) => {
            let sql = "UPDATE cron_jobs SET failures = failures + 1, not_before = ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![job, not_before.as_millis()])?;
        }
        Some(After::Disable(reason)) => {
            let sql = "UPDATE cron_jobs SET failures = failures + 1 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([job])?;
            disable(connection, job, reason, now)?;
        }
        Some(After::Retry { .. }) => {}
        None if outcome == Outcome::Ran && spec.after_run == AfterRun::Delete => {
            remove(connection, job, now)?;
        }
        None => {
            if outcome == Outcome::Ran {
                let sql = "UPDATE cron_jobs SET failures = 0, not_before = NULL
                           WHERE id = ?1 AND (failures > 0 OR not_before IS NOT NULL)";
                connection.prepare_cached(sql)?.execute([job])?;
            }
            if !spec.rules.schedule.is_recurring() {
                disable(connection, job, DisableReason::Finished, now)?;
            }
        }
    }
    Ok(())
}

/// Has a job be due no more. One that was switched off before, or given another time, stays as it is.
pub(super) fn disable(
    connection: &Connection,
    job: i64,
    reason: DisableReason,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let is_done = reason == DisableReason::Finished;
    let sql = "UPDATE cron_jobs SET disabled = ?2, next_at = NULL, updated_at = ?3
               WHERE id = ?1 AND disabled = '' AND (NOT ?4 OR next_at IS NULL)";
    let values = params![job, Disabled::By(reason).name(), now.as_millis(), is_done];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}
