//! System events: what a conversation is told beside the ends of what it began. Each is told once, in order, and
//! is done with only when its text stands in a turn that was written.

use openclaw_scopes::method::{PutEvent as PutMethod, ReadEvent as ReadMethod};
use openclaw_scopes::target::{SessionTarget, Whole};
use openclaw_scopes::{Authorized, Caller, RunId, SessionKey, Timestamp};
use openclaw_sessions::{LaneClass, RunStatus};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::act::{Applied, Ask, Failure, Query, Transaction};
use crate::children::{MAX_RESULT, cut};
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::sessions;

/// Events that wait in one conversation at most (`runtime.md` §5.3 of the reference). The oldest give way, and
/// stay to be seen as such; those of hooks before others, whoever posts them.
const MAX_WAITING: u32 = 20;

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewEvent {
    /// Its id, not used before.
    pub id: String,
    /// What it is of: a job's name, for example.
    pub label: String,
    /// What has happened.
    pub text: String,
    /// What it is about: of the same text about the same thing, one waits. Empty for nothing in particular.
    pub context: String,
    /// Where what it leads to is answered, as whoever delivers it reads it; empty when nobody does.
    pub reply_to: String,
}

/// Puts an event before a conversation, on behalf of whoever the caller acts for. Returns the id of the one that
/// waits: this one, or one of the same words.
pub(crate) fn put(
    connection: &Connection,
    session: i64,
    event: &NewEvent,
    caller: &Caller,
    now: Timestamp,
) -> rusqlite::Result<String> {
    let text = cut(event.text.trim(), MAX_RESULT);
    let (holder, grant) = (caller.on_behalf_of().to_string(), caller.grant());
    // About nothing in particular: only against the one before (`runtime.md` §5.3 of the reference).
    let sql = "SELECT source FROM (SELECT * FROM inbox
                   WHERE session = ?1 AND state = 'waiting' AND kind = 'event'
                   ORDER BY id DESC LIMIT CASE ?3 WHEN '' THEN 1 ELSE -1 END)
               WHERE text = ?2 AND context = ?3 AND reply_to = ?4
                   AND (on_behalf_of, grant_epoch, grant_scopes) = (?5, ?6, ?7) LIMIT 1";
    let (epoch, scopes) = (grant.epoch().0, crate::grants::stored(grant.scopes()));
    let values = params![session, text, event.context, event.reply_to, holder, epoch, scopes];
    let same: Option<String> =
        connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    if let Some(same) = same {
        return Ok(same);
    }
    let sql =
        "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
                   grant_epoch, grant_scopes, state, kind, context, reply_to)
               VALUES (?1, ?2, '', ?3, ?4, ?5, ?6, '', ?7, ?8, ?9, 'waiting', 'event', ?10, ?11)
               ON CONFLICT (source) DO NOTHING";
    connection.prepare_cached(sql)?.execute(params![
        session,
        event.id,
        event.label,
        RunStatus::Ok.name(),
        text,
        now.as_millis(),
        holder,
        grant.epoch().0,
        crate::grants::stored(grant.scopes()),
        event.context,
        event.reply_to,
    ])?;
    let sql = "UPDATE inbox SET state = 'dead', settled_at = ?3,
                   reason = 'too many events waited; it gave way to newer ones'
               WHERE id IN (SELECT id FROM inbox
                   WHERE session = ?1 AND state = 'waiting' AND kind = 'event'
                   ORDER BY on_behalf_of LIKE 'hook:%', id DESC LIMIT -1 OFFSET ?2)";
    connection.prepare_cached(sql)?.execute(params![session, MAX_WAITING, now.as_millis()])?;
    Ok(event.id.clone())
}

/// Tells a conversation of something, on behalf of the caller; it is opened if there is none.
#[derive(Clone, Debug)]
pub struct PutEvent {
    /// The conversation.
    pub session: SessionKey,
    /// What has happened.
    pub event: NewEvent,
}

/// An event as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystemEvent {
    /// Its id.
    pub id: String,
    /// The conversation that is told.
    pub session: SessionKey,
    /// What has happened.
    pub text: String,
    /// `waiting`, `consumed`, `dead` or `discarded`.
    pub state: String,
    /// The run that took it in.
    pub told_in: Option<RunId>,
    /// Why it was not told; empty otherwise.
    pub reason: String,
    /// When it came.
    pub at: Timestamp,
}

/// Why an operation on an event was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// The conversation was put away.
    #[error("conversation `{0}` is archived")]
    Archived(SessionKey),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// The key is that of a sub-agent's conversation, which only a delegation opens.
    #[error("`{0}` would be a sub-agent's conversation, and nothing was delegated under it")]
    Undelegated(SessionKey),
    /// There is no such event.
    #[error("no event `{0}`")]
    Unknown(String),
}

impl Failure for EventError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Archived(_) => "archived",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::Undelegated(_) => "undelegated",
            Self::Unknown(_) => "unknown-event",
        }
    }
}

impl Ask for PutEvent {
    type Method = PutMethod;
    type Output = SystemEvent;
    type Error = EventError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<EventError>> {
        Ok(sessions::target(tx, &self.session)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<PutMethod>,
        now: Timestamp,
    ) -> Result<Applied<SystemEvent>, Fault<EventError>> {
        let (caller, target) = authorized.into_parts();
        if let Some(same) = find(tx, &self.event.id)? {
            let text = cut(self.event.text.trim(), MAX_RESULT);
            if same.text != text || same.session != target.key {
                return Err(Fault::Domain(EventError::IdempotencyConflict));
            }
            return Ok(Applied::Unchanged(same));
        }
        let row = match sessions::row_of(tx, &target.key)? {
            Some(row) => row,
            None if LaneClass::of(&target.key) == LaneClass::Subagent => {
                return Err(Fault::Domain(EventError::Undelegated(target.key)));
            }
            None => {
                sessions::insert(tx, &target.key, caller.on_behalf_of(), "", now)?;
                let row = sessions::row_of(tx, &target.key)?;
                row.ok_or(Fault::Store(rusqlite::Error::QueryReturnedNoRows))?
            }
        };
        if sessions::is_archived(tx, &target.key)? {
            return Err(Fault::Domain(EventError::Archived(target.key)));
        }
        let id = put(tx, row, &self.event, &caller, now)?;
        let event = find(tx, &id)?.ok_or(Fault::Domain(EventError::Unknown(id)))?;
        Ok(Applied::Changed(event))
    }
}

/// Finds an event by its id.
fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<SystemEvent>> {
    let sql = "SELECT i.source, s.key, i.text, i.state, i.consumed_by, i.reason, i.at
               FROM inbox i JOIN sessions s ON s.id = i.session
               WHERE i.source = ?1 AND i.kind = 'event' AND s.deleted_at IS NULL";
    connection
        .prepare_cached(sql)?
        .query_row([id], |row| {
            let run: String = row.get(4)?;
            Ok(SystemEvent {
                id: row.get(0)?,
                session: row.get::<_, String>(1)?.parse().map_err(|error| damaged(1, error))?,
                text: row.get(2)?,
                state: row.get(3)?,
                told_in: match run.as_str() {
                    "" => None,
                    run => Some(run.parse().map_err(|error| damaged(4, error))?),
                },
                reason: row.get(5)?,
                at: Timestamp::from_millis(row.get(6)?),
            })
        })
        .optional()
}

/// Asks for an event.
#[derive(Clone, Debug)]
pub struct GetEvent(pub String);

impl Query for GetEvent {
    type Method = ReadMethod;
    type Output = SystemEvent;
    type Error = EventError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<EventError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadMethod>,
    ) -> Result<SystemEvent, Fault<EventError>> {
        let (_, Whole) = authorized.into_parts();
        let unknown = || EventError::Unknown(self.0.chars().take(64).collect());
        find(connection, &self.0)?.ok_or_else(|| Fault::Domain(unknown()))
    }
}

impl Store {
    /// Returns how many events and ends wait for a conversation.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn waiting_notices(&self, session: &SessionKey) -> Result<u32, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT count(*) FROM inbox i JOIN sessions s ON s.id = i.session
                       WHERE s.key = ?1 AND i.state = 'waiting'";
            Ok(connection.prepare_cached(sql)?.query_row([session.as_str()], |row| row.get(0))?)
        })
    }
}
