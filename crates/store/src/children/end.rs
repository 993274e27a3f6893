//! The end of delegated runs: what their parents are told, and who is ended with whom.

use openclaw_scopes::method::CancelChild as CancelMethod;
use openclaw_scopes::target::RunTarget;
use openclaw_scopes::{Authorized, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Fence, Queued, RunStatus};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ChildError, MAX_RESULT, cut};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, damaged};
use crate::runs::{self, Ending, RunFence, RunView};

/// A run that was ended from outside, for whoever drives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedRun {
    /// The run.
    pub run: RunId,
    /// Its conversation.
    pub session: SessionKey,
}

/// Ends a delegated run and everything below it; its parent is told.
#[derive(Clone, Debug)]
pub struct CancelChild(pub RunId);

/// What was ended.
#[derive(Clone, Debug)]
pub struct Cancelled {
    /// The delegated run as it stands.
    pub view: RunView,
    /// All that were ended, this one included.
    pub ended: Vec<EndedRun>,
    /// The conversation that is told.
    pub parent: SessionKey,
}

impl Ask for CancelChild {
    type Method = CancelMethod;
    type Output = Cancelled;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<RunTarget, Fault<ChildError>> {
        Ok(runs::target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<CancelMethod>,
        now: Timestamp,
    ) -> Result<Applied<Cancelled>, Fault<ChildError>> {
        let (_, target) = authorized.into_parts();
        let unknown = || Fault::Domain(ChildError::Unknown(target.run.to_string()));
        let sql = "SELECT r.session, p.key FROM children c JOIN runs r ON r.id = c.run
                   JOIN sessions p ON p.id = c.parent
                   WHERE r.run_id = ?1 AND p.deleted_at IS NULL";
        let found: Option<(i64, String)> = tx
            .prepare_cached(sql)?
            .query_row([target.run.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (session, parent) = found.ok_or_else(unknown)?;
        let parent = parent.parse().map_err(|error| damaged(1, error))?;
        let reason = "it was cancelled";
        let mut ended = end_below(tx, session, reason, now)?;
        ended.extend(end_runs(tx, session, reason, now)?);
        let view = runs::find(tx, &target.run)?.ok_or_else(unknown)?;
        let cancelled = Cancelled { view, ended, parent };
        let is_same = cancelled.ended.is_empty();
        Ok(if is_same { Applied::Unchanged(cancelled) } else { Applied::Changed(cancelled) })
    }
}

/// Tells the parent of a delegated run what came of it: one row, whatever happens afterwards. Nothing
/// for a run that nobody delegated.
pub(crate) fn child_ended(
    connection: &Connection,
    run: i64,
    status: RunStatus,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO inbox (session, source, child, label, status, text, at, state)
               SELECT c.parent, r.run_id,
                      CASE WHEN s.deleted_at IS NULL THEN s.key ELSE s.former_key END,
                      c.label, ?2, ?3, ?4, 'waiting'
               FROM children c JOIN runs r ON r.id = c.run JOIN sessions s ON s.id = r.session
                   JOIN sessions p ON p.id = c.parent
               WHERE c.run = ?1 AND p.deleted_at IS NULL
               ON CONFLICT (source) DO NOTHING";
    let values = params![run, status.name(), cut(text, MAX_RESULT), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// The same for a run that ended before it began.
pub(crate) fn child_ended_waiting(
    connection: &Connection,
    run: &RunId,
    status: RunStatus,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM runs WHERE run_id = ?1";
    let row: Option<i64> =
        connection.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0)).optional()?;
    row.map_or(Ok(()), |row| child_ended(connection, row, status, text, now))
}

/// What a run was to be told, and was not: it ended before it began.
pub(crate) fn unread(connection: &Connection, run: &RunId, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE inbox SET state = 'dead', consumed_by = '', settled_at = ?2,
                   reason = 'the turn that was to read it ended before it began'
               WHERE consumed_by = ?1 AND consumed_by <> ''";
    connection.prepare_cached(sql)?.execute(params![run.as_str(), now.as_millis()]).map(|_| ())
}

/// Gives up what a conversation was to be told.
pub(crate) fn discard_waiting(
    connection: &Connection,
    session: i64,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE inbox SET state = 'discarded', reason = ?2, settled_at = ?3
               WHERE session = ?1 AND state = 'waiting'";
    connection.prepare_cached(sql)?.execute(params![session, reason, now.as_millis()]).map(|_| ())
}

/// Ends every run of a conversation that works or waits.
pub(crate) fn end_runs(
    connection: &Connection,
    session: i64,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<Vec<EndedRun>> {
    let sql =
        "SELECT r.id, r.run_id, r.fence, s.key FROM runs r JOIN sessions s ON s.id = r.session
               WHERE r.status IN ('queued', 'running') AND r.session = ?1 ORDER BY r.id";
    type Live = (i64, String, Option<u64>, String);
    let live: Vec<Live> = connection
        .prepare_cached(sql)?
        .query_map([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = Vec::with_capacity(live.len());
    for (row, run, fence, key) in live {
        let run: RunId = run.parse().map_err(|error| damaged(1, error))?;
        let key = key.parse().map_err(|error| damaged(3, error))?;
        match fence {
            None => {
                runs::end_waiting(connection, &run, Queued.abort(), reason, now)?;
            }
            Some(fence) => {
                let fence = RunFence { fence: Fence::from_number(fence), run: row, session };
                let ending = Ending {
                    terminal: Queued.abort(),
                    answer: None,
                    error: reason.to_owned(),
                    usage: openclaw_sessions::Usage::default(),
                };
                runs::end_from_outside(connection, &fence, ending, now)?;
            }
        }
        ended.push(EndedRun { run, session: key });
    }
    Ok(ended)
}

/// Ends everything that a conversation delegated, however far below, and gives up what those were to be
/// told: nobody is there who goes on with it.
pub(crate) fn end_below(
    connection: &Connection,
    session: i64,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<Vec<EndedRun>> {
    let sql = "WITH RECURSIVE below (session) AS (
                   SELECT r.session FROM children c JOIN runs r ON r.id = c.run WHERE c.parent = ?1
                   UNION
                   SELECT r.session FROM below b JOIN children c ON c.parent = b.session
                       JOIN runs r ON r.id = c.run)
               SELECT session FROM below";
    let below: Vec<i64> = connection
        .prepare_cached(sql)?
        .query_map([session], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = Vec::new();
    for session in &below {
        ended.extend(end_runs(connection, *session, reason, now)?);
    }
    for session in &below {
        discard_waiting(connection, *session, reason, now)?;
    }
    Ok(ended)
}
