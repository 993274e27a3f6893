//! Accepting a run, and starting it at once when nobody is before it.

use std::time::Duration;

use openclaw_scopes::method::StartRun;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{Authorized, Caller, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Dropped, LaneClass, QueueMode, RunStatus};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::queue::{self, Joined};
use super::start::{Counts, Place, Question, enter, lease};
use super::{RunError, RunView, Started, Ticket, view};
use crate::act::{Applied, Ask, Transaction};
use crate::error::Fault;
use crate::sessions;

/// Whether a run may start in the same step that accepts it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Precedence {
    /// There is no place for it: only a run that is there already is found.
    None,
    /// Its turn has come already.
    Start,
    /// Others come first.
    Wait,
}

/// Accepts a run under its caller's grant, opening the conversation if there is none.
#[derive(Clone, Debug)]
pub struct AcceptRun {
    /// The run: the request's idempotency key.
    pub run: RunId,
    /// SHA-256 of what was asked, so that another request under the same name is told apart.
    pub request_digest: [u8; 32],
    /// The conversation.
    pub session: SessionKey,
    /// What to ask.
    pub message: String,
    /// How long it may take; `None` for as long as it needs.
    pub timeout: Option<Duration>,
    /// Whether it may start at once.
    pub precedence: Precedence,
    /// Where its answer goes, as whoever delivers it reads it; empty when nobody does.
    pub reply_to: String,
    /// What becomes of it when its conversation is busy.
    pub queue: QueueMode,
    /// What is left of messages that gave way to it.
    pub dropped: Dropped,
    /// The run before it that its message belongs to, if that one has not begun: then both have one turn.
    pub join: Option<RunId>,
    /// Begins the conversation anew if nobody has asked anything in it since then.
    pub fresh_since: Option<Timestamp>,
}

/// What came of accepting a run.
#[derive(Debug)]
pub enum Accepted {
    /// It was there before, as it stands now.
    Existing(RunView),
    /// It works.
    Started(Box<Started>),
    /// It waits.
    Waiting(RunView, Ticket),
}

impl Ask for AcceptRun {
    type Method = StartRun;
    type Output = Accepted;
    type Error = RunError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<RunError>> {
        Ok(sessions::target(tx, &self.session)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<StartRun>,
        now: Timestamp,
    ) -> Result<Applied<Accepted>, Fault<RunError>> {
        let (caller, target) = authorized.into_parts();
        if self.precedence == Precedence::None {
            let existing = self.existing(tx, &caller)?;
            let existing = existing.ok_or(Fault::Domain(RunError::NoPlace(target.key)))?;
            return Ok(Applied::Unchanged(Accepted::Existing(existing)));
        }
        if target.owner.is_none() {
            // A retry under another conversation's name opens none.
            if let Some(existing) = self.existing(tx, &caller)? {
                return Ok(Applied::Unchanged(Accepted::Existing(existing)));
            }
            // A turn there has what was delegated, and nothing was.
            if LaneClass::of(&target.key) == LaneClass::Subagent {
                return Err(Fault::Domain(RunError::Undelegated(target.key)));
            }
            sessions::insert(tx, &target.key, caller.on_behalf_of(), "", now)?;
        }
        if sessions::is_archived(tx, &target.key)? {
            // What was asked before is found all the same.
            if let Some(existing) = self.existing(tx, &caller)? {
                return Ok(Applied::Unchanged(Accepted::Existing(existing)));
            }
            return Err(Fault::Domain(RunError::Archived(target.key)));
        }
        if let Some(since) = self.fresh_since
            && LaneClass::of(&target.key) == LaneClass::Main
            && self.existing(tx, &caller)?.is_none()
            && let Some(row) = sessions::row_of(tx, &target.key)?
        {
            sessions::begin_anew_if_stale(tx, row, since, now)?;
        }
        let Some((row, session)) = self.insert(tx, &caller, now)? else {
            let existing = self.existing(tx, &caller)?;
            let existing = existing.ok_or(Fault::Store(rusqlite::Error::QueryReturnedNoRows))?;
            return Ok(Applied::Unchanged(Accepted::Existing(existing)));
        };
        let accepted = self.enter(tx, (row, session), &caller, now)?;
        Ok(Applied::Changed(accepted))
    }
}

impl AcceptRun {
    /// Lets a run that was written begin, or wait for its turn.
    pub(crate) fn enter(
        &self,
        connection: &Connection,
        (row, session): (i64, i64),
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Accepted, Fault<RunError>> {
        let (key, grant) = (&self.session, caller.grant());
        let place = Place { row, session, run: &self.run, key, grant, reply_to: &self.reply_to };
        match self.precedence {
            Precedence::Start => {
                let text = self.dropped.tell(self.message.clone());
                let question = Question { text, accepted_at: now };
                let started = enter(connection, &place, question, Counts::Anew, self.timeout, now)?;
                Ok(Accepted::Started(Box::new(started)))
            }
            Precedence::None | Precedence::Wait => {
                let sql = "UPDATE sessions SET total_runs = total_runs + 1,
                               updated_at = max(updated_at, ?2) WHERE id = ?1";
                connection.prepare_cached(sql)?.execute(params![session, now.as_millis()])?;
                let opener = self.join.as_ref();
                let joined =
                    opener.map(|opener| queue::join(connection, row, opener)).transpose()?;
                let merged_into = opener.filter(|_| joined == Some(Joined::Yes)).cloned();
                let view = RunView { merged_into, ..place.view(RunStatus::Queued, now, None) };
                let ticket = Ticket { row, run: self.run.clone(), session: key.clone() };
                Ok(Accepted::Waiting(view, ticket))
            }
        }
    }

    /// Finds the run that this request asked for before.
    pub(crate) fn existing(
        &self,
        connection: &Connection,
        caller: &Caller,
    ) -> Result<Option<RunView>, Fault<RunError>> {
        let sql = "SELECT request_digest, on_behalf_of FROM runs WHERE run_id = ?1";
        let found: Option<([u8; 32], String)> = connection
            .prepare_cached(sql)?
            .query_row([self.run.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((digest, holder)) = found else {
            return Ok(None);
        };
        //= docs/threat-model.md#T18
        // Somebody else's run is another request, whatever it asks.
        if digest != self.request_digest || holder != caller.on_behalf_of().to_string() {
            return Err(Fault::Domain(RunError::IdempotencyConflict));
        }
        Ok(view::find(connection, &self.run)?)
    }

    /// Writes the run in the state it begins in; returns its row and its session's, or nothing
    /// when the id is taken.
    pub(crate) fn insert(
        &self,
        connection: &Connection,
        caller: &Caller,
        now: Timestamp,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let sql = "SELECT id, fence FROM sessions WHERE key = ?1";
        let (session, fence): (i64, u64) = connection
            .prepare_cached(sql)?
            .query_row([self.session.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // One statement: a run that starts at once is never a queued row.
        let sql = "INSERT INTO runs (run_id, session, on_behalf_of, grant_epoch, grant_scopes,
                       request_digest, status, message, timeout_ms, fence, lease_until,
                       started_at, accepted_at, reply_to, queue_mode, dropped)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                   ON CONFLICT (run_id) DO NOTHING";
        let starts = match self.precedence {
            Precedence::Start => Some(now),
            Precedence::None | Precedence::Wait => None,
        };
        let status = if starts.is_some() { RunStatus::Running } else { RunStatus::Queued };
        let values = params![
            self.run.as_str(),
            session,
            caller.on_behalf_of().to_string(),
            caller.grant().epoch().0,
            caller.grant().scopes().reduced().to_string(),
            self.request_digest,
            status.name(),
            if starts.is_some() { "" } else { &self.message },
            self.timeout.map_or(0, stored_timeout),
            starts.map(|_| fence.saturating_add(1)),
            starts.map(|now| lease(self.timeout, now)),
            starts.map(Timestamp::as_millis),
            now.as_millis(),
            self.reply_to,
            self.queue.name(),
            if starts.is_some() { String::new() } else { self.dropped.to_lines() },
        ];
        let inserted = connection.prepare_cached(sql)?.execute(values)?;
        Ok((inserted > 0).then(|| (connection.last_insert_rowid(), session)))
    }
}

/// Returns a limit as it is stored: zero stands for none.
fn stored_timeout(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1)
}
