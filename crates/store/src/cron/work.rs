//! What comes of a due instant that was begun: the ledger's row, and what the job learns of it.

use openclaw_scheduler::{After, DisableReason, Failure, after_failure, should_alert};
use openclaw_scopes::{GrantHolder, Timestamp};
use openclaw_sessions::RunStatus;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::change::remove;
use super::ledger::settle_one;
use super::notice::{Notice, note};
use super::{AfterRun, Disabled, JobContext, JobSpec, JobTools, MAX_TEXT, Outcome, Payload, spec};
use crate::children::cut;

/// What a job gives to its turns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobGiven {
    /// The model that answers, as `provider/model`; empty for the conversation's.
    pub model: String,
    /// The tools that they may use.
    pub tools: JobTools,
    /// How many tokens one of them may use; zero for as many as its agent's.
    pub max_tokens: u64,
    /// How much of the conversation they are shown.
    pub context: JobContext,
}

/// Returns what a run is given that is for a due instant. One whose job cannot be read any more has no tools.
pub(crate) fn given(connection: &Connection, occurrence: i64) -> rusqlite::Result<JobGiven> {
    let (_, spec) = job_of(connection, occurrence)?;
    Ok(match spec {
        Some(spec) => {
            let context = match spec.payload {
                Payload::Heartbeat { context, .. } => context,
                Payload::AgentTurn { .. }
                | Payload::Command { .. }
                | Payload::SystemEvent { .. }
                | Payload::Webhook { .. } => JobContext::Full,
            };
            let JobSpec { model, tools, max_tokens, .. } = spec;
            JobGiven { model, tools, max_tokens, context }
        }
        None => {
            let tools = JobTools::Only(Vec::new());
            JobGiven { model: String::new(), tools, max_tokens: 0, context: JobContext::Full }
        }
    })
}

/// Returns the row of a due instant's job, and what that is, if it can be read.
fn job_of(connection: &Connection, occurrence: i64) -> rusqlite::Result<(i64, Option<JobSpec>)> {
    let sql = "SELECT job FROM cron_occurrences WHERE id = ?1";
    let row = connection.prepare_cached(sql)?.query_row([occurrence], |row| row.get(0))?;
    Ok((row, spec_of(connection, row)?))
}

/// Returns what a job is, if it can be read.
pub(super) fn spec_of(connection: &Connection, row: i64) -> rusqlite::Result<Option<JobSpec>> {
    let sql = "SELECT name, agent, spec FROM cron_jobs WHERE id = ?1";
    let (name, agent, text): (String, String, String) = connection
        .prepare_cached(sql)?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let Ok(agent) = agent.parse() else { return Ok(None) };
    Ok(spec::from_text(name, agent, &text).ok())
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
    (outcome, attempts): (Outcome, u32),
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<After> {
    let schedule = &spec.rules.schedule;
    let failure = match (&spec.payload, outcome) {
        // What a command has done by then nobody knows, and doing it again is for people to decide.
        (Payload::Command { .. }, Outcome::Failed) => Failure::Permanent,
        _ => failure_of(text),
    };
    if failure == Failure::Permanent && matches!(spec.payload, Payload::Heartbeat { .. }) {
        // Nobody asked for it, and it would fail and cost again each time.
        return Ok(After::Disable(DisableReason::ConsecutiveFailures));
    }
    // Each attempt of a one-shot counts, and each instant of what comes again.
    let count = if schedule.is_recurring() {
        let sql = "SELECT failures FROM cron_jobs WHERE id = ?1";
        let failures: u32 = connection.prepare_cached(sql)?.query_row([job], |row| row.get(0))?;
        failures.saturating_add(1)
    } else {
        attempts
    };
    Ok(after_failure(schedule, failure, count, now))
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
    let sql = "SELECT deleted_at IS NULL FROM cron_jobs WHERE id = ?1";
    let is_there: bool = connection.prepare_cached(sql)?.query_row([job], |row| row.get(0))?;
    let is_scheduled = requested.is_empty();
    let failed = matches!(outcome, Outcome::Failed | Outcome::Lost);
    let after = match &spec {
        Some(spec) if failed && is_scheduled && is_there => {
            Some(after_attempt(connection, job, spec, (outcome, attempts), text, now)?)
        }
        Some(_) | None => None,
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
    let Some(spec) = spec.filter(|_| is_scheduled && is_there) else {
        return finish_if_over(connection, job, now);
    };
    match after {
        Some(After::Wait { not_before }) => {
            let sql = "UPDATE cron_jobs SET failures = failures + 1, not_before = ?2 WHERE id = ?1
                       RETURNING failures, told_at";
            let (failures, told): (u32, Option<i64>) = connection
                .prepare_cached(sql)?
                .query_row(params![job, not_before.as_millis()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if should_alert(failures, told.map(Timestamp::from_millis), now) {
                note(connection, job, Notice::Failing, now)?;
            }
        }
        Some(After::Disable(reason)) => {
            let sql = "UPDATE cron_jobs SET failures = failures + 1 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([job])?;
            disable(connection, job, reason, now)?;
        }
        None if outcome == Outcome::Ran && spec.after_run == AfterRun::Delete => {
            remove(connection, job, now)?;
        }
        Some(After::Retry { .. }) | None => {
            if outcome == Outcome::Ran {
                let sql = "UPDATE cron_jobs SET failures = 0, not_before = NULL
                           WHERE id = ?1 AND (failures > 0 OR not_before IS NOT NULL)";
                connection.prepare_cached(sql)?.execute([job])?;
            }
        }
    }
    finish_if_over(connection, job, now)
}

/// Has a job be due no more that has nothing ahead of it, and nothing at work.
pub(super) fn finish_if_over(
    connection: &Connection,
    job: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE cron_jobs SET disabled = ?2, updated_at = ?3
               WHERE id = ?1 AND disabled = '' AND next_at IS NULL AND deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM cron_occurrences o
                       WHERE o.job = cron_jobs.id AND o.state = 'claimed' AND o.requested = '')";
    let values = params![job, Disabled::By(DisableReason::Finished).name(), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// Leaves out what of a job waits to begin.
pub(super) fn leave_out(
    connection: &Connection,
    job: i64,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE cron_occurrences SET state = 'skipped', reason = ?2, ended_at = ?3
               WHERE job = ?1 AND state = 'claimed' AND started_at IS NULL AND requested = ''";
    connection.prepare_cached(sql)?.execute(params![job, reason, now.as_millis()]).map(|_| ())
}

/// Has the jobs of somebody be due no more whose grant has ended: a new grant is another, and wakes nothing that
/// was added under the old one.
//= docs/threat-model.md#T17
pub(crate) fn suspend(
    connection: &Connection,
    owner: &GrantHolder,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM cron_jobs WHERE owner = ?1 AND disabled = '' AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let jobs = statement.query_map([owner.to_string()], |row| row.get(0))?;
    let jobs = jobs.collect::<rusqlite::Result<Vec<i64>>>()?;
    jobs.into_iter()
        .try_for_each(|job| disable(connection, job, DisableReason::CreatorRevoked, now))
}

/// Has a job be due no more: what was due until now has its row, and what waits to begin is left out. One that was
/// switched off before stays as it is.
pub(super) fn disable(
    connection: &Connection,
    job: i64,
    reason: DisableReason,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if let Some(spec) = spec_of(connection, job)? {
        settle_one(connection, job, &spec, now)?;
    }
    let sql = "UPDATE cron_jobs SET disabled = ?2, next_at = NULL, updated_at = ?3
               WHERE id = ?1 AND disabled = '' AND deleted_at IS NULL";
    let values = params![job, Disabled::By(reason).name(), now.as_millis()];
    if connection.prepare_cached(sql)?.execute(values)? > 0 {
        leave_out(connection, job, reason.name(), now)?;
        note(connection, job, Notice::Disabled, now)?;
    }
    Ok(())
}
