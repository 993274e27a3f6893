//! The end of delegated runs: what their parents are told, and who is ended with whom.

use openclaw_scopes::method::CancelChild as CancelMethod;
use openclaw_scopes::target::RunTarget;
use openclaw_scopes::{Authorized, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Fence, Queued, Record, RunStatus, SendRules};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ChildError, KEPT, MAX_RESULT, cut};
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
        let (reason, before) = ("it was cancelled", tx.total_changes());
        let mut ended = end_below(tx, session, reason, now)?;
        ended.extend(end_runs(tx, session, reason, now)?);
        // It may have had nothing at work but what was below it.
        settle(tx, session, now)?;
        let view = runs::find(tx, &target.run)?.ok_or_else(unknown)?;
        let cancelled = Cancelled { view, ended, parent };
        let is_same = tx.total_changes() == before;
        Ok(if is_same { Applied::Unchanged(cancelled) } else { Applied::Changed(cancelled) })
    }
}

/// Tells the parent of a sub-agent what came of it, now that a run of its conversation has ended: one row,
/// whatever happens afterwards. Not while anything goes on there, or below, or waits to be told there: what
/// comes of that is the answer. Nothing for a conversation that nobody delegated to.
pub(crate) fn child_ended(
    connection: &Connection,
    session: i64,
    status: RunStatus,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
                   grant_epoch, grant_scopes, state)
               SELECT c.parent, r.run_id,
                      CASE WHEN s.deleted_at IS NULL THEN s.key ELSE s.former_key END,
                      c.label, ?2, ?3, ?4, r.run_id, r.on_behalf_of, r.grant_epoch, r.grant_scopes, 'waiting'
               FROM children c JOIN runs r ON r.id = c.run JOIN sessions s ON s.id = c.session
                   JOIN sessions p ON p.id = c.parent
               WHERE c.session = ?1 AND p.deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM runs w
                       WHERE w.status IN ('queued', 'running') AND w.session = c.session)
                   AND NOT EXISTS (SELECT 1 FROM inbox w
                       WHERE w.state = 'waiting' AND w.session = c.session)
                   AND NOT EXISTS (SELECT 1 FROM children b JOIN runs w ON w.id = b.run
                       WHERE b.parent = c.session
                           AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.source = w.run_id))
               ON CONFLICT (source) DO NOTHING";
    let values = params![session, status.name(), cut(text, MAX_RESULT), now.as_millis()];
    if connection.prepare_cached(sql)?.execute(values)? > 0 {
        let sql = "UPDATE children SET held = 0 WHERE session = ?1";
        connection.prepare_cached(sql)?.execute([session])?;
    }
    Ok(())
}

/// The same when something has ended that the conversation waited for: its last turn is what it says.
pub(crate) fn settle(
    connection: &Connection,
    session: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT r.status, r.error, j.record FROM runs r
                   LEFT JOIN journal j ON j.session = r.session AND j.entry = r.answer_entry
               WHERE r.session = ?1 AND EXISTS (SELECT 1 FROM children c WHERE c.session = ?1)
               ORDER BY r.ended_at DESC, r.id DESC LIMIT 1";
    type Last = (String, String, Option<String>);
    let last: Option<Last> = connection
        .prepare_cached(sql)?
        .query_row([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((status, error, answer)) = last else { return Ok(()) };
    let status = RunStatus::parse(&status).map_err(|error| damaged(0, error))?;
    let answer = answer.map(|text| serde_json::from_str(&text)).transpose();
    let text = match answer.map_err(|error| damaged(2, error))? {
        Some(Record::AssistantMessage(message)) if error.is_empty() => message.text,
        Some(_) | None => error,
    };
    child_ended(connection, session, status, &text, now)
}

/// The same for every conversation of a sub-agent whose parent was not told: after a start.
pub(crate) fn settle_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    // What lies deepest comes first: those above wait for it.
    let sql = "SELECT c.session FROM children c JOIN runs r ON r.id = c.run
                   JOIN sessions s ON s.id = c.session
               WHERE r.ended_at IS NOT NULL AND c.parent IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.source = r.run_id)
               ORDER BY s.depth DESC, s.id";
    let open: Vec<i64> = connection
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    open.into_iter().try_for_each(|session| settle(connection, session, now))
}

/// The same for a run that ended before it began.
pub(crate) fn child_ended_waiting(
    connection: &Connection,
    run: &RunId,
    status: RunStatus,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT session FROM runs WHERE run_id = ?1";
    let session: Option<i64> =
        connection.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0)).optional()?;
    session.map_or(Ok(()), |session| child_ended(connection, session, status, text, now))
}

/// What a run was to be told, and was not: it ended before it began. The conversations that it would have
/// been told of stay. A run that was put back after a stop has read it.
pub(crate) fn unread(connection: &Connection, run: &RunId, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "SELECT i.source FROM inbox i JOIN runs r ON r.run_id = i.consumed_by
               WHERE i.consumed_by = ?1 AND r.started_at IS NULL";
    let sources: Vec<String> = connection
        .prepare_cached(sql)?
        .query_map([run.as_str()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for source in sources {
        let sql = "UPDATE inbox SET state = 'dead', consumed_by = '', settled_at = ?2,
                       reason = 'the turn that was to read it ended before it began'
                   WHERE source = ?1";
        connection.prepare_cached(sql)?.execute(params![source, now.as_millis()])?;
        let sql = "UPDATE children SET reap_at = NULL
                   WHERE run = (SELECT id FROM runs WHERE run_id = ?1)";
        connection.prepare_cached(sql)?.execute([source])?;
    }
    Ok(())
}

/// Gives up what a conversation was to be told.
pub(crate) fn discard_waiting(
    connection: &Connection,
    session: i64,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE children SET reap_at = CASE cleanup WHEN 'delete' THEN ?2 ELSE ?3 END
               WHERE run IN (SELECT r.id FROM runs r JOIN inbox i ON i.source = r.run_id
                   WHERE i.session = ?1 AND i.state = 'waiting')";
    let later = now.saturating_add(KEPT);
    connection.prepare_cached(sql)?.execute(params![
        session,
        now.as_millis(),
        later.as_millis()
    ])?;
    let sql = "UPDATE inbox SET state = 'discarded', reason = ?2, settled_at = ?3
               WHERE session = ?1 AND state = 'waiting'";
    connection.prepare_cached(sql)?.execute(params![session, reason, now.as_millis()]).map(|_| ())
}

/// Notes from when on the conversation of a sub-agent may be removed, now that nobody is to be told of it.
pub(crate) fn may_go(
    connection: &Connection,
    source: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE children SET reap_at = CASE cleanup WHEN 'delete' THEN ?2 ELSE ?3 END
               WHERE run = (SELECT id FROM runs WHERE run_id = ?1)";
    let (now, later) = (now.as_millis(), now.saturating_add(KEPT).as_millis());
    connection.prepare_cached(sql)?.execute(params![source, now, later]).map(|_| ())
}

/// Lets the conversations go that nobody will be told of: the one that delegated to them goes.
pub(crate) fn orphan(connection: &Connection, parent: i64, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE children SET reap_at = ?2, cleanup = 'delete' WHERE parent = ?1";
    connection.prepare_cached(sql)?.execute(params![parent, now.as_millis()]).map(|_| ())
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
        end_live(connection, (row, session), &run, fence, reason, now)?;
        ended.push(EndedRun { run, session: key });
    }
    Ok(ended)
}

/// Ends a run that works or waits, from outside: by its row, its conversation's, and the fence that it holds if
/// it works.
pub(crate) fn end_live(
    connection: &Connection,
    (row, session): (i64, i64),
    run: &RunId,
    fence: Option<u64>,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(fence) = fence else {
        return runs::end_waiting(connection, run, Queued.abort(), reason, now).map(|_| ());
    };
    let fence = RunFence { fence: Fence::from_number(fence), run: row, session };
    let ending = Ending {
        terminal: Queued.abort(),
        answer: None,
        error: reason.to_owned(),
        usage: openclaw_sessions::Usage::default(),
        send_rules: SendRules::default(),
    };
    runs::end_from_outside(connection, &fence, ending, now)
}

/// Has what waits for the conversation of a sub-agent, and for those below it, be told to the one that delegated to
/// it: it goes, and what was done for it is not lost.
pub(crate) fn hand_up(connection: &Connection, session: i64) -> rusqlite::Result<()> {
    let sql = "WITH RECURSIVE below (session) AS (
                   SELECT ?1
                   UNION
                   SELECT c.session FROM below b JOIN children c ON c.parent = b.session)
               UPDATE inbox SET session = (SELECT c.parent FROM children c WHERE c.session = ?1)
               WHERE session IN below AND state = 'waiting' AND child <> ''
                   AND EXISTS (SELECT 1 FROM children c JOIN sessions p ON p.id = c.parent
                       WHERE c.session = ?1 AND p.deleted_at IS NULL)";
    connection.prepare_cached(sql)?.execute([session]).map(|_| ())
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
                   SELECT session FROM children WHERE parent = ?1
                   UNION
                   SELECT c.session FROM below b JOIN children c ON c.parent = b.session)
               SELECT session FROM below";
    let below: Vec<i64> = connection
        .prepare_cached(sql)?
        .query_map([session], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = Vec::new();
    for session in &below {
        ended.extend(end_runs(connection, *session, reason, now)?);
    }
    // From the deepest on: those above have then nothing more to wait for.
    for session in below.iter().rev() {
        discard_waiting(connection, *session, reason, now)?;
        settle(connection, *session, now)?;
    }
    discard_waiting(connection, session, reason, now)?;
    Ok(ended)
}
