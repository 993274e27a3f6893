//! The scheduler's view of the jobs: those that are due, never all; and what it has decided about them.

use openclaw_scheduler::{
    Busy, Decision, DisableReason, DueJob, LedgerRow, Next, TickLimits, tick,
};
use openclaw_scopes::{Grant, JobId, ScopeSet, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::notice::{Notice, note};
use super::rewind::make_way;
use super::work::{finish_if_over, leave_out};
use super::{Asked, Disabled, JobSpec, spec};
use crate::act::ActError;
use crate::error::{StoreError, damaged};
use crate::grants;
use crate::handle::Store;

/// A job of the due page, and how it was when it was read: a decision about it counts only if it is so still.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueRow {
    row: i64,
    revision: u64,
    due: Timestamp,
    id: String,
}

impl AsRef<str> for DueRow {
    fn as_ref(&self) -> &str {
        &self.id
    }
}

/// A due instant that may begin now.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Its row.
    pub occurrence: i64,
    /// How often it was begun before.
    pub attempts: u32,
    /// When it was due.
    pub scheduled_at: Timestamp,
    /// The job.
    pub job: JobId,
    /// Its revision.
    pub revision: u64,
    /// What that is; else why it cannot be read any more.
    pub spec: Result<JobSpec, String>,
    /// The grant of its owner, as it is now and never more than it was; `None` when it has ended.
    pub grant: Option<Grant>,
    /// The conversation in which it was added.
    pub created_in: Option<SessionKey>,
    /// Where that one's answers go; empty when nobody delivers them.
    pub reply_to: String,
    /// Whether somebody asked for it.
    pub requested: Asked,
}

/// Of two instants of one job, the second waits for the first.
const STARTABLE: &str =
    "SELECT o.id, o.attempts, o.scheduled_at, j.job, j.name, j.agent, j.spec, j.owner, j.scopes,
        j.created_in, j.reply_to, o.requested, j.revision
    FROM cron_occurrences o JOIN cron_jobs j ON j.id = o.job
    WHERE o.state = 'claimed' AND o.started_at IS NULL AND o.start_at <= ?1 AND j.deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM cron_occurrences b WHERE b.job = o.job AND b.state = 'claimed'
            AND (b.started_at IS NOT NULL
                OR (b.start_at <= ?1 AND (b.start_at, b.id) < (o.start_at, o.id))))
    ORDER BY o.start_at, o.id LIMIT ?2";

impl Store {
    /// Returns the jobs that are due, the longest due first. One that cannot be read is not among them: it is
    /// disabled by [`Store::settle_due`] of nothing.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn due_jobs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<DueJob<DueRow>>, Vec<DueRow>), StoreError> {
        self.snapshot(|connection| {
            let sql =
                "SELECT j.id, j.job, j.revision, j.next_at, j.not_before, j.name, j.agent, j.spec,
                           EXISTS (SELECT 1 FROM cron_occurrences o
                               WHERE o.job = j.id AND o.state = 'claimed')
                       FROM cron_jobs j WHERE j.next_at IS NOT NULL AND j.next_at <= ?1
                       ORDER BY j.next_at LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![now.as_millis(), limit])?;
            let (mut due, mut unreadable) = (Vec::new(), Vec::new());
            while let Some(row) = rows.next()? {
                let instant = Timestamp::from_millis(row.get(3)?);
                let job = DueRow {
                    row: row.get(0)?,
                    revision: row.get(2)?,
                    due: instant,
                    id: row.get(1)?,
                };
                let text: String = row.get(7)?;
                let spec =
                    parsed(row, 6).and_then(|agent| spec::from_text(row.get(5)?, agent, &text));
                let Ok(spec) = spec else {
                    unreadable.push(job);
                    continue;
                };
                due.push(DueJob {
                    job,
                    rules: spec.rules,
                    due: instant,
                    not_before: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
                    is_busy: if row.get(8)? { Busy::Busy } else { Busy::Free },
                });
            }
            Ok((due, unreadable))
        })
    }

    /// Writes what was decided about due jobs: the rows of their instants, and when they are due next. What was
    /// decided about a job that has changed since is dropped: it is due again. Returns how many rows are new.
    ///
    /// # Errors
    /// When the storage fails; then nothing is written.
    pub async fn settle_due(
        &self,
        decisions: Vec<Decision<DueRow>>,
        unreadable: Vec<DueRow>,
        now: Timestamp,
    ) -> Result<u64, ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let mut rows = 0_u64;
            for decision in &decisions {
                rows = rows.saturating_add(settle(connection, decision, now)?);
            }
            for job in &unreadable {
                let problem = "what the job is cannot be read any more";
                rows = rows.saturating_add(give_up(connection, job, problem, now)?);
            }
            Ok(rows)
        })
        .await
    }

    /// Returns due instants that may begin now, in the order in which they may.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn startable_jobs(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        self.snapshot(|connection| {
            let mut statement = connection.prepare_cached(STARTABLE)?;
            let rows = statement
                .query_map(params![now.as_millis(), limit], |row| claimed(connection, row))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Has what cannot begin yet begin later, so that it does not stand before what can. Its job's other instants
    /// stay behind it.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn put_off(
        &self,
        occurrences: Vec<i64>,
        until: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let sql = "UPDATE cron_occurrences SET start_at = max(start_at, ?2)
                       WHERE state = 'claimed' AND started_at IS NULL
                           AND job = (SELECT job FROM cron_occurrences WHERE id = ?1)";
            let mut statement = connection.prepare_cached(sql)?;
            for occurrence in &occurrences {
                statement.execute(params![occurrence, until.as_millis()])?;
            }
            Ok(())
        })
        .await
    }

    /// Returns when the scheduler has something to do next: when a job is due, or an instant may begin that
    /// waits for nothing else. `None` when nothing ever is.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn next_job_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT min(at) FROM (
                           SELECT min(next_at) AS at FROM cron_jobs WHERE next_at IS NOT NULL
                           UNION ALL
                           SELECT min(o.start_at) FROM cron_occurrences o
                           WHERE o.state = 'claimed' AND o.started_at IS NULL
                               AND NOT EXISTS (SELECT 1 FROM cron_occurrences b
                                   WHERE b.job = o.job AND b.state = 'claimed'
                                       AND b.started_at IS NOT NULL))";
            let at: Option<i64> =
                connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(at.map(Timestamp::from_millis))
        })
    }
}

/// Gives every instant of one job that is due its row, before the job becomes another.
pub(super) fn settle_one(
    connection: &Connection,
    row: i64,
    spec: &JobSpec,
    now: Timestamp,
) -> rusqlite::Result<()> {
    loop {
        let sql =
            "SELECT job, revision, next_at, not_before, EXISTS (SELECT 1 FROM cron_occurrences o
                       WHERE o.job = j.id AND o.state = 'claimed')
                   FROM cron_jobs j WHERE id = ?1 AND next_at <= ?2";
        let due = connection
            .prepare_cached(sql)?
            .query_row(params![row, now.as_millis()], |found| {
                let due = Timestamp::from_millis(found.get(2)?);
                let id = found.get(0)?;
                Ok(DueJob {
                    job: DueRow { row, revision: found.get(1)?, due, id },
                    rules: spec.rules.clone(),
                    due,
                    not_before: found.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
                    is_busy: if found.get(4)? { Busy::Busy } else { Busy::Free },
                })
            })
            .optional()?;
        let Some(due) = due else { return Ok(()) };
        for decision in tick(&[due], &TickLimits::default(), now) {
            settle(connection, &decision, now)?;
        }
    }
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(|error| damaged(column, error))
}

fn claimed(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<ClaimedJob> {
    let text: String = row.get(6)?;
    let spec = parsed(row, 5).and_then(|agent| spec::from_text(row.get(4)?, agent, &text));
    // One that cannot be read holds up no other: it rests on nothing.
    let scopes = ScopeSet::parse(&row.get::<_, String>(8)?).ok();
    let grant = match parsed(row, 7).ok().zip(scopes) {
        // What it was added with and is still held, never more than either.
        //= docs/threat-model.md#T16
        Some((holder, scopes)) => grants::live(connection, &holder)?
            .map(|(epoch, held)| Grant::recorded(holder, epoch, held, scopes)),
        None => None,
    };
    let created_in: String = row.get(9)?;
    Ok(ClaimedJob {
        occurrence: row.get(0)?,
        attempts: row.get(1)?,
        scheduled_at: Timestamp::from_millis(row.get(2)?),
        job: parsed(row, 3)?,
        spec: spec.map_err(|error| error.to_string()),
        grant,
        created_in: created_in.parse().ok(),
        reply_to: row.get(10)?,
        revision: row.get(12)?,
        requested: if row.get::<_, String>(11)?.is_empty() {
            Asked::BySchedule
        } else {
            Asked::ByRequest
        },
    })
}

fn settle(
    connection: &Connection,
    decision: &Decision<DueRow>,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let DueRow { row, revision, due, .. } = &decision.job;
    let next = match &decision.next {
        Next::At(at) => Some(*at),
        Next::Never => None,
        // The same schedule leads nowhere the next time, too.
        Next::Fault(error) => return give_up(connection, &decision.job, &error.to_string(), now),
    };
    // Two that look at once decide the same; the first one's word counts.
    let sql = "UPDATE cron_jobs SET next_at = ?4 WHERE id = ?1 AND revision = ?2 AND next_at = ?3";
    let values = params![row, revision, due.as_millis(), next.map(Timestamp::as_millis)];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(0);
    }
    let mut rows = 0_u64;
    for ledger_row in &decision.rows {
        let at = now.as_millis();
        if let LedgerRow::Miss { from, to, .. } | LedgerRow::Skip { at: from, to, .. } = ledger_row
        {
            make_way(connection, *row, *from, *to)?;
        }
        let (from, to, count, state, reason, start_at, ended_at) = match ledger_row {
            LedgerRow::Claim { at: due, start_at } => {
                (*due, *due, 1, "claimed", "", start_at.as_millis(), None)
            }
            LedgerRow::Miss { from, to, count } => {
                (*from, *to, *count, "missed", "catch-up", from.as_millis(), Some(at))
            }
            LedgerRow::Skip { at: from, to, count, reason } => {
                (*from, *to, *count, "skipped", reason.name(), from.as_millis(), Some(at))
            }
        };
        let sql = "INSERT INTO cron_occurrences (job, scheduled_at, until, count, state, reason, start_at,
                       ended_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (job, scheduled_at) DO NOTHING";
        let values = params![
            row,
            from.as_millis(),
            to.as_millis(),
            count,
            state,
            reason,
            start_at,
            ended_at
        ];
        let added = connection.prepare_cached(sql)?.execute(values)?;
        rows = rows.saturating_add(u64::try_from(added).unwrap_or(0));
    }
    // A one-shot that was left out has nothing ahead of it, and nothing at work.
    finish_if_over(connection, *row, now)?;
    Ok(rows)
}

/// Gives up a job whose instants nobody can tell: the one that is due has failed.
fn give_up(
    connection: &Connection,
    job: &DueRow,
    problem: &str,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let reason = DisableReason::ScheduleErrors;
    let sql = "UPDATE cron_jobs SET next_at = NULL, disabled = ?4, updated_at = ?5
               WHERE id = ?1 AND revision = ?2 AND next_at = ?3";
    let disabled = Disabled::By(reason).name();
    let values = params![job.row, job.revision, job.due.as_millis(), disabled, now.as_millis()];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(0);
    }
    leave_out(connection, job.row, reason.name(), now)?;
    note(connection, job.row, Notice::Disabled, now)?;
    let sql = "INSERT INTO cron_occurrences (job, scheduled_at, until, count, state, reason, text, start_at,
                   ended_at)
               VALUES (?1, ?2, ?2, 1, 'failed', ?3, ?4, ?2, ?5)
               ON CONFLICT (job, scheduled_at) DO NOTHING";
    let values = params![job.row, job.due.as_millis(), reason.name(), problem, now.as_millis()];
    let added = connection.prepare_cached(sql)?.execute(values)?;
    Ok(u64::try_from(added).unwrap_or(0))
}
