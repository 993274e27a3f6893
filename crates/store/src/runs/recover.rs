//! Ending runs from outside: somebody asks for it, or a crash left them behind.

use std::time::Duration;

use openclaw_scopes::method::{AbortRun as AbortMethod, RecoverRuns as RecoverMethod};
use openclaw_scopes::target::{RunTarget, Whole};
use openclaw_scopes::{Authorized, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Fence, Queued, Record, RunStatus, SendRules, Terminal, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::write::{Closing, Ending, FenceError, end, suspend};
use super::{RunError, RunFence, RunView, Ticket, queue, view};
use crate::act::{ActError, Applied, Ask, Transaction};
use crate::approvals;
use crate::children;
use crate::cron;
use crate::error::{Fault, damaged};
use crate::handle::Store;
use crate::processes;

/// Ends a run that waits; tells that one that works must be stopped by its worker.
#[derive(Clone, Debug)]
pub struct AbortRun(pub RunId);

/// What came of asking for a run's end.
#[derive(Clone, Debug)]
pub enum AbortedRun {
    /// It has ended, now or before.
    Ended(RunView),
    /// It works: whoever drives it ends it.
    Works(RunView),
}

impl Ask for AbortRun {
    type Method = AbortMethod;
    type Output = AbortedRun;
    type Error = RunError;

    fn target(&self, tx: &Transaction<'_>) -> Result<RunTarget, Fault<RunError>> {
        Ok(view::target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<AbortMethod>,
        now: Timestamp,
    ) -> Result<Applied<AbortedRun>, Fault<RunError>> {
        let (_, target) = authorized.into_parts();
        let unknown = || Fault::Domain(RunError::Unknown(target.run.clone()));
        let run = view::find(tx, &target.run)?.ok_or_else(unknown)?;
        match run.status {
            RunStatus::Running => Ok(Applied::Changed(AbortedRun::Works(run))),
            RunStatus::Queued => {
                end_waiting(tx, &target.run, Queued.abort(), "", now)?;
                let run = view::find(tx, &target.run)?.ok_or_else(unknown)?;
                Ok(Applied::Changed(AbortedRun::Ended(run)))
            }
            RunStatus::Aborted
            | RunStatus::Error
            | RunStatus::Interrupted
            | RunStatus::Ok
            | RunStatus::Timeout => {
                // What it left in the background is ended, too.
                let sql = "SELECT EXISTS (SELECT 1 FROM processes WHERE run = ?1)";
                let left =
                    tx.prepare_cached(sql)?.query_row([run.run.as_str()], |row| row.get(0))?;
                let ended = AbortedRun::Ended(run);
                Ok(if left { Applied::Changed(ended) } else { Applied::Unchanged(ended) })
            }
        }
    }
}

/// Ends a run that waits; whoever delegated it is told, and what it was to be told was not read.
pub(crate) fn end_waiting(
    connection: &Connection,
    run: &RunId,
    terminal: Terminal,
    error: &str,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let status = terminal.status();
    let sql = "UPDATE runs SET status = ?2, message = '', error = ?3, ended_at = ?4
               WHERE run_id = ?1 AND status = 'queued'";
    let values = params![run.as_str(), status.name(), error, now.as_millis()];
    let ended = connection.prepare_cached(sql)?.execute(values)?;
    if ended > 0 {
        let sql = "SELECT id FROM runs WHERE run_id = ?1";
        let row = connection.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0))?;
        queue::end_merged(connection, row)?;
        approvals::withdraw(connection, run)?;
        children::unread(connection, run, now)?;
        children::child_ended_waiting(connection, run, status, error, now)?;
        cron::run_ended(connection, row, status, error, now)?;
    }
    Ok(ended)
}

impl Store {
    /// Ends a run that waits, for a reason that came up while it did: its grant has ended.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn end_waiting_run(
        &self,
        run: RunId,
        error: String,
        now: Timestamp,
    ) -> Result<(), ActError<RunError>> {
        self.step(move |connection| {
            end_waiting(connection, &run, Queued.abort(), &error, now)?;
            Ok(())
        })
        .await
    }
}

// The index of live runs is only used where the query says that it wants those.
pub(crate) const RUNNING: &str = "SELECT id, session, fence FROM runs
    WHERE status IN ('queued', 'running') AND status = 'running' ORDER BY id";
pub(crate) const WAITING: &str = "SELECT r.id, r.run_id, s.key FROM runs r
    JOIN sessions s ON s.id = r.session
    WHERE r.status IN ('queued', 'running') AND r.status = 'queued' AND r.merged_into = ''
    ORDER BY r.resumed = 0, r.id";

/// How often a run is begun again. One that twice took the gateway down with it would do so for ever.
const RESUMES: u32 = 1;
/// How long ago a run may have begun that is begun again by itself. After a night without power, whoever
/// asked has gone on without the answer.
const RESUMED_WITHIN: Duration = Duration::from_hours(1);

/// What becomes of a run that the gateway's stop interrupted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interrupted {
    /// It has ended; this is the journal's last entry.
    Ended(u64),
    /// It goes on after the next start.
    Suspended,
}

/// What the gateway's stop found a run at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FoundAt {
    /// It waited for a person's answer, and the stop was in order: no fault of the run, and nothing was cut off.
    Approval,
    /// It worked.
    Work,
}

/// Ends a run that the gateway's stop interrupts, or puts it back among those that wait. A sub-agent's is
/// ended: its parent decides.
fn interrupt(
    connection: &Connection,
    fence: &RunFence,
    usage: Usage,
    found_at: FoundAt,
    now: Timestamp,
) -> Result<Interrupted, Fault<FenceError>> {
    // The row of a run that was deleted may be another's by now.
    let sql =
        "SELECT r.resumed, r.started_at, s.depth FROM runs r JOIN sessions s ON s.id = r.session
               WHERE r.id = ?1 AND r.session = ?2 AND r.status = 'running'";
    let found: Option<(u32, i64, u32)> = connection
        .prepare_cached(sql)?
        .query_row([fence.run, fence.session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (resumed, started_at, depth) = found.ok_or(Fault::Domain(FenceError))?;
    let is_recent = now.since(Timestamp::from_millis(started_at)) <= RESUMED_WITHIN;
    let stopped = "the gateway stopped while the run was at work";
    let error = match (depth, found_at, resumed, is_recent) {
        (0, FoundAt::Approval, ..) | (0, FoundAt::Work, ..RESUMES, true) => {
            let closing = Closing::of(interrupted(stopped.to_owned(), usage))?;
            suspend(connection, fence, &closing, found_at == FoundAt::Work, now)?;
            return Ok(Interrupted::Suspended);
        }
        (0, FoundAt::Work, ..RESUMES, false) => {
            format!("{stopped}, and too long ago to go on by itself")
        }
        (0, FoundAt::Work, RESUMES.., _) => {
            format!("{stopped} again, and it is not begun once more")
        }
        (1.., ..) => stopped.to_owned(),
    };
    let closing = Closing::of(interrupted(error, usage))?;
    Ok(Interrupted::Ended(end(connection, fence, &closing, now)?))
}

fn interrupted(error: String, usage: Usage) -> Ending {
    let send_rules = SendRules::default();
    Ending { terminal: Queued.interrupt(), answer: None, error, usage, send_rules }
}

impl Store {
    /// Ends a run that the gateway's stop interrupts, or puts it back among those that wait.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nothing is written.
    pub async fn interrupt_run(
        &self,
        fence: &RunFence,
        usage: Usage,
        found_at: FoundAt,
        now: Timestamp,
    ) -> Result<Interrupted, ActError<FenceError>> {
        let fence = RunFence { ..*fence };
        self.step(move |connection| interrupt(connection, &fence, usage, found_at, now)).await
    }
}

/// After a start: of the runs that worked when the gateway stopped, puts back those that go on and ends the
/// others; and finds those that wait.
///
/// The caller holds the state directory's lock, so nobody else can be driving a run.
#[derive(Clone, Copy, Debug)]
pub struct RecoverRuns;

/// What a start found.
#[derive(Debug)]
pub struct Recovered {
    /// Runs that were ended as interrupted.
    pub interrupted: u64,
    /// Runs that were interrupted and go on.
    pub resumed: u64,
    /// Runs that wait, the oldest first: those that go on, and those that never started.
    pub waiting: Vec<Ticket>,
    /// Runs that another has taken in that goes on, and which that is.
    pub merged: Vec<(Ticket, RunId)>,
}

impl Ask for RecoverRuns {
    type Method = RecoverMethod;
    type Output = Recovered;
    type Error = RunError;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<RunError>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RecoverMethod>,
        now: Timestamp,
    ) -> Result<Applied<Recovered>, Fault<RunError>> {
        let (_, Whole) = authorized.into_parts();
        let before = tx.total_changes();
        let running = tx
            .prepare(RUNNING)?
            .query_map([], |row| {
                let fence = Fence::from_number(row.get(2)?);
                Ok(RunFence { run: row.get(0)?, session: row.get(1)?, fence })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let (mut interrupted, mut resumed) = (0_u64, 0_u64);
        for fence in &running {
            // A session that no longer knows its writer is a damaged row, not a run to skip.
            let done = interrupt(tx, fence, answered(tx, fence)?, FoundAt::Work, now).map_err(
                |fault| match fault {
                    Fault::Store(error) => Fault::Store(error),
                    Fault::Domain(error) => Fault::Store(damaged(2, error)),
                },
            )?;
            let count = match done {
                Interrupted::Ended(_) => &mut interrupted,
                Interrupted::Suspended => &mut resumed,
            };
            *count = count.saturating_add(1);
        }
        processes::lost(tx, now)?;
        cron::interrupted(tx, now)?;
        children::settle_all(tx, now)?;
        let (waiting, merged) = (waiting(tx)?, merged(tx)?);
        let recovered = Recovered { interrupted, resumed, waiting, merged };
        let is_same = tx.total_changes() == before;
        Ok(if is_same { Applied::Unchanged(recovered) } else { Applied::Changed(recovered) })
    }
}

/// Returns what the answers used that a run gave before it was cut off, without what was counted at an earlier
/// interruption: nobody else knows any more.
fn answered(connection: &Connection, fence: &RunFence) -> rusqlite::Result<Usage> {
    let sql = "SELECT record FROM journal WHERE session = ?1 AND run = ?2 ORDER BY entry";
    let mut statement = connection.prepare(sql)?;
    let records = statement.query_map([fence.session, fence.run], |row| row.get::<_, String>(0))?;
    let mut all = Usage::default();
    for record in records {
        let record = serde_json::from_str(&record?).map_err(|error| damaged(0, error))?;
        if let Record::AssistantMessage(message) = record {
            all = all.plus(message.usage);
        }
    }
    let sql = "SELECT input_tokens, output_tokens, cached_tokens FROM runs WHERE id = ?1";
    let counted: [u64; 3] = connection
        .prepare(sql)?
        .query_row([fence.run], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    let [input, output, cached] = counted;
    Ok(Usage {
        input_tokens: all.input_tokens.saturating_sub(input),
        output_tokens: all.output_tokens.saturating_sub(output),
        cached_tokens: all.cached_tokens.saturating_sub(cached),
    })
}

fn waiting(connection: &Connection) -> rusqlite::Result<Vec<Ticket>> {
    let mut statement = connection.prepare(WAITING)?;
    let rows = statement.query_map([], ticket)?;
    rows.collect()
}

fn merged(connection: &Connection) -> rusqlite::Result<Vec<(Ticket, RunId)>> {
    let sql = "SELECT r.id, r.run_id, s.key, r.merged_into FROM runs r JOIN sessions s ON s.id = r.session
               WHERE r.merged_into <> '' AND r.status = 'queued' ORDER BY r.id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let into: String = row.get(3)?;
        Ok((ticket(row)?, into.parse().map_err(|error| damaged(3, error))?))
    })?;
    rows.collect()
}

fn ticket(row: &Row<'_>) -> rusqlite::Result<Ticket> {
    let (run, session): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(Ticket {
        row: row.get(0)?,
        run: RunId::parse(&run).map_err(|error| damaged(1, error))?,
        session: SessionKey::parse(&session).map_err(|error| damaged(2, error))?,
    })
}
