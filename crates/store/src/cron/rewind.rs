//! A clock that was ahead and was set back: what the ledger says of instants that have not come is taken back.
//!
//! While the clock was ahead, instants were missed or left out that now lie in the future, and jobs were moved
//! behind them. Without this a job would not be due until the clock is there once more.

use std::convert::Infallible;
use std::time::Duration;

use openclaw_scheduler::{BACK_OFF, DisableReason, passed};
use openclaw_scopes::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Disabled, JobSpec, spec};
use crate::act::ActError;
use crate::error::{StoreError, damaged};
use crate::handle::Store;

/// A clock that is set back by less is set right: what was noted meanwhile will soon be so.
const SLACK: Duration = Duration::from_secs(60);
/// Jobs of one step: the writer's time is everybody's.
const AT_ONCE: u32 = 64;

/// Jobs with rows that ended, or are to begin, when the clock has not been yet.
const AHEAD: &str = "SELECT job FROM cron_occurrences WHERE ended_at > ?1
    UNION
    SELECT job FROM cron_occurrences
    WHERE state = 'claimed' AND started_at IS NULL AND start_at > ?1 AND scheduled_at > ?1";

impl Store {
    /// Whether the ledger says what became of instants that have not come yet.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn is_ahead(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.snapshot(|connection| {
            let sql = format!("SELECT EXISTS ({AHEAD})");
            let limit = now.saturating_add(SLACK).as_millis();
            Ok(connection.prepare_cached(&sql)?.query_row([limit], |row| row.get(0))?)
        })
    }

    /// Takes back what the ledger says of instants that have not come yet, for some of the jobs of which it says
    /// such: they are due again by the clock as it is. What has begun has run, and does not run again. Returns how many
    /// jobs there were.
    ///
    /// # Errors
    /// When the storage fails; then nothing is taken back.
    pub async fn rewind_jobs(&self, now: Timestamp) -> Result<usize, ActError<Infallible>> {
        self.step(move |connection| {
            let sql = format!("SELECT job FROM ({AHEAD}) LIMIT ?2");
            let limit = now.saturating_add(SLACK).as_millis();
            let jobs = connection
                .prepare_cached(&sql)?
                .query_map(params![limit, AT_ONCE], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            for job in &jobs {
                let sql = "SELECT name, agent, spec FROM cron_jobs WHERE id = ?1";
                let (name, agent, text): (String, String, String) = connection
                    .prepare_cached(sql)?
                    .query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                let agent = agent.parse().map_err(|error| damaged(1, error))?;
                match spec::from_text(name, agent, &text) {
                    Ok(spec) => rewind_one(connection, *job, &spec, now)?,
                    // It is disabled when it is due: here it only is not found again.
                    Err(_unreadable) => settle_times(connection, *job, now)?,
                }
            }
            Ok(jobs.len())
        })
        .await
    }
}

/// The same for one job.
pub(super) fn rewind_one(
    connection: &Connection,
    job: i64,
    spec: &JobSpec,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let limit = now.saturating_add(SLACK).as_millis();
    let sql = format!("SELECT EXISTS (SELECT 1 FROM ({AHEAD}) WHERE job = ?2)");
    let is_ahead: bool =
        connection.prepare_cached(&sql)?.query_row(params![limit, job], |row| row.get(0))?;
    if !is_ahead {
        return Ok(());
    }
    let removed = remove_future(connection, job, now)?;
    let next = first_left(connection, job, spec, now)?;
    // What is off stays off, but for one whose only instant was left out and is still to come.
    let sql = "UPDATE cron_jobs SET
                   next_at = CASE WHEN next_at <= ?3 THEN next_at ELSE coalesce(?2, next_at) END,
                   disabled = '', not_before = CASE WHEN not_before <= ?4 THEN not_before END
               WHERE id = ?1 AND deleted_at IS NULL AND (disabled = '' OR (disabled = ?5 AND ?6))";
    let longest = BACK_OFF.last().copied().unwrap_or_default();
    let values = params![
        job,
        next.map(Timestamp::as_millis),
        now.as_millis(),
        now.saturating_add(longest).as_millis(),
        Disabled::By(DisableReason::Finished).name(),
        removed > 0 && next.is_some() && !spec.rules.schedule.is_recurring(),
    ];
    connection.prepare_cached(sql)?.execute(values)?;
    settle_times(connection, job, now)
}

/// Removes the rows of instants that have not come and did not begin; returns how many there were.
fn remove_future(connection: &Connection, job: i64, now: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM cron_occurrences WHERE job = ?1 AND requested = '' AND scheduled_at > ?2
                   AND (state IN ('missed', 'skipped') OR (state = 'claimed' AND started_at IS NULL))";
    connection.prepare_cached(sql)?.execute(params![job, now.as_millis()])
}

/// Cuts a row of instants of which only some have come; returns the first instant that has no row then.
fn first_left(
    connection: &Connection,
    job: i64,
    spec: &JobSpec,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT id, scheduled_at FROM cron_occurrences
               WHERE job = ?1 AND requested = '' AND scheduled_at <= ?2 AND until > ?2";
    let straddles: Option<(i64, i64)> = connection
        .prepare_cached(sql)?
        .query_row(params![job, now.as_millis()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((row, from)) = straddles
        && let Ok(Some(passed)) = passed(&spec.rules, Timestamp::from_millis(from), now)
    {
        let sql = "UPDATE cron_occurrences SET until = ?2, count = ?3 WHERE id = ?1";
        let values = params![row, passed.newest.as_millis(), passed.count];
        connection.prepare_cached(sql)?.execute(values)?;
        return Ok(passed.next);
    }
    // What cannot be told now could be when the job was added; it is given up when it is due.
    Ok(spec.rules.next_after(now).ok().flatten())
}

/// Has nothing of a job have happened later than now. What has begun keeps its instant: that has its row when it
/// comes.
fn settle_times(connection: &Connection, job: i64, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE cron_occurrences SET start_at = min(start_at, ?2),
                   started_at = min(started_at, ?2), ended_at = min(ended_at, ?2)
               WHERE job = ?1 AND (ended_at > ?2 OR started_at > ?2
                   OR (state = 'claimed' AND started_at IS NULL AND start_at > ?2 AND requested <> ''))";
    connection.prepare_cached(sql)?.execute(params![job, now.as_millis()]).map(|_| ())
}

/// Has rows that are in the way of a row of several instants count as asked for: that one says what became of
/// their instants, too. They began while the clock was ahead.
pub(super) fn make_way(
    connection: &Connection,
    job: i64,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT id, scheduled_at FROM cron_occurrences
               WHERE job = ?1 AND requested = '' AND scheduled_at BETWEEN ?2 AND ?3";
    let rows = connection
        .prepare_cached(sql)?
        .query_map(params![job, from.as_millis(), to.as_millis()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
    for (row, at) in rows {
        // Beside its instant, which has one row. No idempotency key has a space.
        let sql = "UPDATE cron_occurrences SET requested = 'the clock', scheduled_at = free.at, until = free.at
                   FROM (WITH RECURSIVE free (at) AS (VALUES (?2 + 1) UNION SELECT at + 1 FROM free
                             WHERE EXISTS (SELECT 1 FROM cron_occurrences
                                 WHERE job = ?3 AND scheduled_at = free.at))
                         SELECT max(at) AS at FROM free) AS free
                   WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![row, at, job])?;
    }
    Ok(())
}
