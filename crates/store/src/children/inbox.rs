//! What conversations are told of what they delegated: once, in order, at their next turn.

use std::sync::LazyLock;

use openclaw_scopes::method::{
    ContinueSession as ContinueMethod, DiscardChild as DiscardMethod, RetryChild as RetryMethod,
};
use openclaw_scopes::target::{RunTarget, SessionTarget};
use openclaw_scopes::{Authorized, Grant, GrantHolder, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Notice as Said, NoticeKind, Record, RunStatus};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::end::{may_go, settle};
use super::list::{Child, find};
use super::{ChildError, instant};
use crate::act::{ActError, Applied, Ask, Transaction};
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::runs::{self, AcceptRun, Accepted, FenceError, RunError, RunFence};
use crate::sessions;

/// Notices that a turn is told at once: what a model can look through.
const MAX_NOTICES: u32 = 32;

/// How often a conversation goes on by itself before somebody has to say something: what begins work at
/// each of its ends would never stop, and each turn costs.
const MAX_ALONE: u32 = 100;
/// How the runs are called in which it does.
pub const TOLD: &str = "told-";

/// What a conversation is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// The run that was delegated, the command, or the event.
    pub source: String,
    /// Whether it is an end or an event.
    pub kind: NoticeKind,
    /// The conversation in which that ran; `None` for a command and for an event.
    pub child: Option<SessionKey>,
    /// What people call it.
    pub label: String,
    /// How it ended.
    pub status: RunStatus,
    /// Its answer, or what went wrong.
    pub text: String,
    /// When it ended.
    pub at: Timestamp,
}

impl Notice {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let text = |column: usize| row.get::<_, String>(column);
        Ok((
            row.get(0)?,
            Self {
                source: text(1)?,
                child: match text(2)?.as_str() {
                    "" => None,
                    key => Some(key.parse().map_err(|error| damaged(2, error))?),
                },
                label: text(3)?,
                status: RunStatus::parse(&text(4)?).map_err(|error| damaged(4, error))?,
                text: text(5)?,
                at: instant(row.get(6)?).unwrap_or_default(),
                kind: match text(7)?.as_str() {
                    "event" => NoticeKind::Event,
                    _ => NoticeKind::End,
                },
            },
        ))
    }

    fn said(self) -> Said {
        let Self { source, kind, child, label, status, text, at: _ } = self;
        let child = child.map(|key| key.to_string()).unwrap_or_default();
        Said { run: source, kind, child, label, status, text }
    }
}

/// Of what waits for a conversation, what is told together: what rests on the same authority as the notice of
/// `source`, and leads to an answer in the same place.
fn told_with(
    connection: &Connection,
    session: i64,
    source: &str,
) -> rusqlite::Result<Vec<(i64, Notice)>> {
    let sql = "SELECT i.id, i.source, i.child, i.label, i.status, i.text, i.at, i.kind FROM inbox i
               WHERE i.session = ?1 AND i.state = 'waiting'
                   AND (on_behalf_of, grant_epoch, grant_scopes, reply_to) =
                       (SELECT on_behalf_of, grant_epoch, grant_scopes, reply_to FROM inbox
                        WHERE source = ?2)
               ORDER BY i.id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![session, source, MAX_NOTICES], Notice::from_row)?.collect()
}

static HEARD: LazyLock<String> = LazyLock::new(|| {
    let heard = runs::heard("?2", "?1");
    format!(
        "SELECT i.id, i.source, i.child, i.label, i.status, i.text, i.at, i.kind {heard}
         ORDER BY i.id LIMIT ?3"
    )
});

/// Of what waits for a conversation, what a run at work there is told: the ends of what was begun on behalf of the
/// same holder, and events that rest on the same authority and lead to an answer in the same place. Input of others
/// is never merged into a run.
fn told_in(
    connection: &Connection,
    session: i64,
    run: i64,
) -> rusqlite::Result<Vec<(i64, Notice)>> {
    let mut statement = connection.prepare_cached(&HEARD)?;
    statement.query_map(params![session, run, MAX_NOTICES], Notice::from_row)?.collect()
}

fn consume(
    connection: &Connection,
    rows: &[(i64, Notice)],
    by: &RunId,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE inbox SET state = 'consumed', consumed_by = ?2, settled_at = ?3
               WHERE id = ?1 AND state = 'waiting'";
    let mut statement = connection.prepare_cached(sql)?;
    for (row, notice) in rows {
        statement.execute(params![row, by.as_str(), now.as_millis()])?;
        may_go(connection, &notice.source, now)?;
    }
    Ok(())
}

/// Goes on with a conversation that has something to be told: accepts a run whose message that is. The
/// announcer asks, on behalf of the grant under which the work was delegated.
#[derive(Clone, Debug)]
pub struct ContinueSession {
    /// The run; its message is what waits.
    pub accept: AcceptRun,
    /// The delegated run, or the command, that has ended.
    pub source: String,
}

/// What came of going on.
#[derive(Debug)]
pub enum Continued {
    /// A run was accepted.
    Accepted(Box<Accepted>),
    /// Nothing waits any more, or a run works or waits there and will be told.
    Nothing,
}

impl Ask for ContinueSession {
    type Method = ContinueMethod;
    type Output = Continued;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<ChildError>> {
        Ok(sessions::target(tx, &self.accept.session)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ContinueMethod>,
        now: Timestamp,
    ) -> Result<Applied<Continued>, Fault<ChildError>> {
        let (caller, target) = authorized.into_parts();
        let nothing = || Ok(Applied::Unchanged(Continued::Nothing));
        let Some(session) = sessions::row_of(tx, &target.key)? else { return nothing() };
        if is_busy(tx, session)? {
            return nothing();
        }
        let rows = told_with(tx, session, &self.source)?;
        if rows.is_empty() {
            return nothing();
        }
        if goes_on_alone(tx, session)? {
            let session = target.key;
            return Err(Fault::Domain(ChildError::Alone { max: MAX_ALONE, session }));
        }
        consume(tx, &rows, &self.accept.run, now)?;
        let notices: Vec<_> = rows.into_iter().map(|(_, notice)| notice.said()).collect();
        let message = Said::told(&notices);
        // It goes on where it was asked for.
        let sql =
            "SELECT coalesce(nullif(i.reply_to, ''), p.reply_to, r.reply_to, '') FROM inbox i
                   LEFT JOIN runs r ON r.run_id = i.run LEFT JOIN children c ON c.run = r.id LEFT JOIN runs p ON p.id = c.parent_run
                   WHERE i.source = ?1";
        let reply_to: Option<String> =
            tx.prepare_cached(sql)?.query_row([&self.source], |row| row.get(0)).optional()?;
        // Else where the conversation's key leads.
        let reply_to =
            reply_to.filter(|to| !to.is_empty()).unwrap_or_else(|| self.accept.reply_to.clone());
        let accept = AcceptRun { message, reply_to, ..self.accept.clone() };
        let refused = |fault: Fault<RunError>| match fault {
            Fault::Store(error) => Fault::Store(error),
            Fault::Domain(_) => Fault::Domain(ChildError::IdempotencyConflict),
        };
        let inserted = accept.insert(tx, &caller, now)?;
        let place = inserted.ok_or(Fault::Domain(ChildError::IdempotencyConflict))?;
        let accepted = accept.enter(tx, place, &caller, now).map_err(refused)?;
        Ok(Applied::Changed(Continued::Accepted(Box::new(accepted))))
    }
}

/// Whether the last runs of a conversation were all such in which it went on by itself.
fn goes_on_alone(connection: &Connection, session: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT run_id FROM runs WHERE session = ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![session, MAX_ALONE])?;
    let mut alone = 0_u32;
    while let Some(row) = rows.next()? {
        if !row.get_ref(0)?.as_str()?.starts_with(TOLD) {
            return Ok(false);
        }
        alone = alone.saturating_add(1);
    }
    Ok(alone >= MAX_ALONE)
}

/// Whether a run works or waits in a conversation, or it waits until all of a set have been heard, or it is
/// archived: then what waits is told when it is taken back.
fn is_busy(connection: &Connection, session: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM runs
                   WHERE status IN ('queued', 'running') AND session = ?1)
                   OR EXISTS (SELECT 1 FROM children WHERE parent = ?1 AND held = 1)
                   OR EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND archived_at IS NOT NULL)";
    connection.prepare_cached(sql)?.query_row([session], |row| row.get(0))
}

/// Hands over again what could not be handed over.
#[derive(Clone, Debug)]
pub struct RetryChild(pub RunId);

/// Gives up what could not be handed over.
#[derive(Clone, Debug)]
pub struct DiscardChild(pub RunId);

fn resettle(
    tx: &Transaction<'_>,
    run: &RunId,
    sql: &str,
    now: Timestamp,
) -> Result<Applied<Child>, Fault<ChildError>> {
    let unknown = || Fault::Domain(ChildError::Unknown(run.to_string()));
    find(tx, run)?.ok_or_else(unknown)?;
    if tx.prepare_cached(sql)?.execute(params![run.as_str(), now.as_millis()])? == 0 {
        return Err(Fault::Domain(ChildError::NothingToHandOver(run.clone())));
    }
    let sql = "SELECT session FROM inbox WHERE source = ?1 AND state = 'discarded'";
    let told: Option<Option<i64>> =
        tx.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0)).optional()?;
    if let Some(told) = told {
        may_go(tx, run.as_str(), now)?;
        told.map_or(Ok(()), |session| settle(tx, session, now))?;
    }
    find(tx, run)?.map(Applied::Changed).ok_or_else(unknown)
}

impl Ask for RetryChild {
    type Method = RetryMethod;
    type Output = Child;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<RunTarget, Fault<ChildError>> {
        Ok(runs::target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RetryMethod>,
        now: Timestamp,
    ) -> Result<Applied<Child>, Fault<ChildError>> {
        let (_, target) = authorized.into_parts();
        let sql = "UPDATE inbox SET state = 'waiting', reason = '', settled_at = NULL
                   WHERE source = ?1 AND state = 'dead' AND session IS NOT NULL AND ?2 > 0";
        resettle(tx, &target.run, sql, now)
    }
}

impl Ask for DiscardChild {
    type Method = DiscardMethod;
    type Output = Child;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<RunTarget, Fault<ChildError>> {
        Ok(runs::target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<DiscardMethod>,
        now: Timestamp,
    ) -> Result<Applied<Child>, Fault<ChildError>> {
        let (_, target) = authorized.into_parts();
        let sql = "UPDATE inbox SET state = 'discarded', reason = 'discarded', settled_at = ?2
                   WHERE source = ?1 AND state IN ('dead', 'waiting')";
        resettle(tx, &target.run, sql, now)
    }
}

/// A conversation that has something to be told, and nobody at work there who will be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    /// The conversation.
    pub session: SessionKey,
    /// The first delegated run, command or event of which it is told.
    pub source: String,
    /// The run that it came of; `None` for an event.
    pub run: Option<RunId>,
    /// Whether it is the end of a command, and not of a delegated run.
    pub is_command: bool,
    /// The grant under which that was delegated, as it is now; `None` when it has ended.
    pub grant: Option<Grant>,
}

/// Which rows of the inbox wake the conversation that is told them.
///
/// What came of a heartbeat wakes nobody, however far below it: the next turn is told it, whatever that is for.
/// A delegated conversation goes on all the same: else what was delegated would not end.
static WAKES: LazyLock<String> = LazyLock::new(|| {
    let of_heartbeat = of_heartbeat("inbox");
    format!("(EXISTS (SELECT 1 FROM children WHERE session = inbox.session) OR NOT {of_heartbeat})")
});

/// Whether a row of the inbox, by its name in a query, came of a heartbeat, however far below it.
pub(crate) fn of_heartbeat(row: &str) -> String {
    format!(
        "EXISTS (
            WITH RECURSIVE causes (run, session) AS (
                VALUES ({row}.run, (SELECT session FROM runs WHERE run_id = {row}.run))
                UNION
                SELECT above.run_id, above.session FROM causes
                    JOIN children c ON c.session = causes.session
                    JOIN runs above ON above.id = c.parent_run)
            SELECT 1 FROM causes WHERE run GLOB 'heartbeat-*')"
    )
}

impl Store {
    /// Returns what a conversation has to be told next, if nobody works there who will be told.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn due(&self, session: &SessionKey) -> Result<Option<Due>, StoreError> {
        self.snapshot(|connection| {
            let Some(row) = sessions::row_of(connection, session)? else { return Ok(None) };
            if is_busy(connection, row)? {
                return Ok(None);
            }
            let wakes = &*WAKES;
            let sql = format!(
                "SELECT source, run, on_behalf_of, grant_epoch, grant_scopes,
                           kind = 'end' AND child = '' FROM inbox
                       WHERE session = ?1 AND state = 'waiting' AND {wakes} ORDER BY id LIMIT 1"
            );
            type First = (String, String, String, u64, String, bool);
            let read = |row: &Row<'_>| -> rusqlite::Result<First> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            };
            let first = connection.prepare_cached(&sql)?.query_row([row], read).optional()?;
            let Some((source, run, holder, epoch, scopes, is_command)) = first else {
                return Ok(None);
            };
            let run = match run.as_str() {
                "" => None,
                run => Some(run.parse().map_err(|error| damaged(1, error))?),
            };
            let grant = runs::grant_of(connection, &holder, epoch, &scopes)?;
            Ok(Some(Due { session: session.clone(), source, run, is_command, grant }))
        })
    }

    /// Returns every conversation that has something to be told, after a start.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn all_due(&self) -> Result<Vec<SessionKey>, StoreError> {
        self.snapshot(|connection| {
            let wakes = &*WAKES;
            let sql = format!(
                "SELECT DISTINCT s.key FROM inbox JOIN sessions s ON s.id = inbox.session
                 WHERE inbox.state = 'waiting' AND s.deleted_at IS NULL AND {wakes} ORDER BY s.id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let keys = statement.query_map([], |row| row.get::<_, String>(0))?;
            let keys = keys.map(|key| key?.parse().map_err(|error| damaged(0, error)));
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Has what came of what a conversation began be told to another one, which is opened for it if there is none, and
    /// answered where the first leads.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn move_notices(
        &self,
        from: SessionKey,
        to: SessionKey,
        (holder, reply_to): (GrantHolder, String),
        now: Timestamp,
    ) -> Result<(), ActError<ChildError>> {
        self.step(move |connection| {
            let Some(old) = sessions::row_of(connection, &from)? else { return Ok(()) };
            let new = match sessions::row_of(connection, &to)? {
                Some(row) => row,
                None => sessions::insert(connection, &to, &holder, "", now)?,
            };
            let sql = "UPDATE inbox SET session = ?2,
                           reply_to = CASE reply_to WHEN '' THEN ?3 ELSE reply_to END
                       WHERE session = ?1 AND state = 'waiting' AND kind = 'end'";
            connection.prepare_cached(sql)?.execute(params![old, new, reply_to])?;
            Ok(())
        })
        .await
    }

    /// Notes why what waits on behalf of the grant of a delegated run cannot be handed over. Whoever waits
    /// for the conversation waits no longer.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn bury_notices(
        &self,
        due: &Due,
        reason: String,
        now: Timestamp,
    ) -> Result<(), ActError<ChildError>> {
        let (session, source) = (due.session.clone(), due.source.clone());
        self.step(move |connection| {
            let sql = "UPDATE inbox SET state = 'dead', reason = ?3, settled_at = ?4
                       WHERE state = 'waiting' AND session = ?1
                           AND (on_behalf_of, grant_epoch) =
                               (SELECT on_behalf_of, grant_epoch FROM inbox WHERE source = ?2)";
            let Some(session) = sessions::row_of(connection, &session)? else { return Ok(()) };
            let values = params![session, source, reason, now.as_millis()];
            connection.prepare_cached(sql)?.execute(values)?;
            Ok(settle(connection, session, now)?)
        })
        .await
    }

    /// Tells a run at work what waits for its conversation: what it is told is in its journal when this
    /// returns, and is told to nobody else.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nobody was told.
    pub async fn take_notices(
        &self,
        fence: &RunFence,
        now: Timestamp,
    ) -> Result<Vec<Record>, ActError<FenceError>> {
        let fence = RunFence { ..*fence };
        self.step(move |connection| {
            let rows = told_in(connection, fence.session, fence.run)?;
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let sql = "SELECT run_id FROM runs WHERE id = ?1";
            let run: Option<String> = connection
                .prepare_cached(sql)?
                .query_row([fence.run], |row| row.get(0))
                .optional()?;
            let run: RunId =
                run.ok_or(Fault::Domain(FenceError))?.parse().map_err(|error| damaged(0, error))?;
            consume(connection, &rows, &run, now)?;
            let notices: Vec<_> = rows.into_iter().map(|(_, notice)| notice.said()).collect();
            let record = Record::Notices { notices };
            runs::append_records(connection, &fence, std::slice::from_ref(&record), now)?;
            Ok(vec![record])
        })
        .await
    }

    /// Lets a conversation go on only when all that a run delegated have ended; returns how many have not.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails.
    pub async fn hold_children(&self, run: RunId) -> Result<u32, ActError<FenceError>> {
        self.step(move |connection| {
            let sql = "UPDATE children SET held = 1
                       WHERE parent_run = (SELECT id FROM runs WHERE run_id = ?1
                               AND status = 'running')
                           AND NOT EXISTS (SELECT 1 FROM runs r JOIN inbox i ON i.source = r.run_id
                               WHERE r.id = children.run)";
            let held = connection.prepare_cached(sql)?.execute([run.as_str()])?;
            Ok(u32::try_from(held).unwrap_or(u32::MAX))
        })
        .await
    }
}
