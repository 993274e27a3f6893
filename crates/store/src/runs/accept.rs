//! Accepting a run, and starting it when its turn has come.

use std::time::Duration;

use openclaw_scopes::method::StartRun;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{
    Authorized, Caller, Epoch, Grant, GrantHolder, RunId, SessionKey, Timestamp,
};
use openclaw_sessions::{Fence, Queued, Record, RunStatus, Usage};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::write::append_record;
use super::{RunError, RunFence, RunView, Started, Ticket, view};
use crate::act::{ActError, Applied, Ask, Transaction, live_epoch};
use crate::error::{Fault, damaged};
use crate::handle::Store;
use crate::sessions;

/// Whether a run may start in the same step that accepts it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Precedence {
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
        if let Some(existing) = self.existing(tx, &caller)? {
            return Ok(Applied::Unchanged(Accepted::Existing(existing)));
        }
        let session = match target.owner {
            Some(_) => {
                let sql = "SELECT id FROM sessions WHERE key = ?1";
                tx.prepare_cached(sql)?.query_row([target.key.as_str()], |row| row.get(0))?
            }
            None => sessions::insert(tx, &target.key, caller.on_behalf_of(), "", now)?,
        };
        let row = self.insert(tx, session, &caller, now)?;
        let accepted = match self.precedence {
            Precedence::Start => {
                let grant = caller.grant();
                let place = Place { row, session, run: &self.run, key: &target.key, grant };
                let question = Question { text: self.message.clone(), accepted_at: now };
                let started = start(tx, &place, question, self.timeout, now)?;
                Accepted::Started(Box::new(started))
            }
            Precedence::Wait => {
                let ticket = Ticket { row, run: self.run.clone(), session: target.key };
                Accepted::Waiting(view::find_row(tx, row)?, ticket)
            }
        };
        Ok(Applied::Changed(accepted))
    }
}

impl AcceptRun {
    /// Finds the run that this request asked for before.
    fn existing(
        &self,
        connection: &Connection,
        caller: &Caller,
    ) -> Result<Option<RunView>, Fault<RunError>> {
        let sql = "SELECT id, request_digest, on_behalf_of FROM runs WHERE run_id = ?1";
        let found: Option<(i64, [u8; 32], String)> = connection
            .prepare_cached(sql)?
            .query_row([self.run.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((row, digest, holder)) = found else {
            return Ok(None);
        };
        // Somebody else's run is another request, whatever it asks.
        if digest != self.request_digest || holder != caller.on_behalf_of().to_string() {
            return Err(Fault::Domain(RunError::IdempotencyConflict));
        }
        Ok(Some(view::find_row(connection, row)?))
    }

    fn insert(
        &self,
        connection: &Connection,
        session: i64,
        caller: &Caller,
        now: Timestamp,
    ) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO runs (run_id, session, on_behalf_of, grant_epoch, request_digest,
                       status, message, timeout_ms, accepted_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7, ?8)";
        let message = match self.precedence {
            Precedence::Start => "",
            Precedence::Wait => &self.message,
        };
        connection.prepare_cached(sql)?.insert(params![
            self.run.as_str(),
            session,
            caller.on_behalf_of().to_string(),
            caller.grant().epoch().0,
            self.request_digest,
            message,
            self.timeout
                .map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX >> 1)),
            now.as_millis(),
        ])
    }
}

/// Where a run that starts is found.
struct Place<'a> {
    row: i64,
    session: i64,
    run: &'a RunId,
    key: &'a SessionKey,
    grant: &'a Grant,
}

/// What a run is asked, and since when.
struct Question {
    text: String,
    accepted_at: Timestamp,
}

/// How long a lease outlives its run's deadline: time to write the end.
const SETTLE: Duration = Duration::from_secs(15);

/// Gives the run its session's next fence, and writes its question.
fn start(
    connection: &Connection,
    place: &Place<'_>,
    question: Question,
    limit: Option<Duration>,
    now: Timestamp,
) -> Result<Started, Fault<RunError>> {
    let sql = "UPDATE sessions SET fence = fence + 1, active_run = ?2, entries = entries + 1,
                   total_runs = total_runs + 1, updated_at = max(updated_at, ?3)
               WHERE id = ?1 AND active_run IS NULL RETURNING fence, entries";
    let moved: Option<(u64, u64)> = connection
        .prepare_cached(sql)?
        .query_row(params![place.session, place.row, now.as_millis()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    // The lanes give each session one turn at a time; a second one is a damaged row, not a wait.
    let Some((fence, entry)) = moved else {
        return Err(Fault::Store(damaged(0, TwoWriters(place.run.clone()))));
    };
    let fence = Fence::from_number(fence);
    let running = Queued.start(fence, limit, now);
    let lease =
        running.deadline.map_or(i64::MAX, |deadline| deadline.saturating_add(SETTLE).as_millis());
    let sql = "UPDATE runs SET status = 'running', fence = ?2, lease_until = ?3, started_at = ?4,
                   message = '' WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        place.row,
        fence.as_number(),
        lease,
        now.as_millis()
    ])?;
    let fence = RunFence { fence, run: place.row, session: place.session };
    let record = Record::UserMessage { text: question.text.clone() };
    append_record(connection, &fence, entry, &record, now)?;
    let view = RunView {
        run: place.run.clone(),
        session: place.key.clone(),
        status: RunStatus::Running,
        text: String::new(),
        error: String::new(),
        usage: Usage::default(),
        accepted_at: question.accepted_at,
        started_at: Some(now),
        ended_at: None,
        on_behalf_of: place.grant.holder().clone(),
        rowid: place.row,
    };
    Ok(Started { fence, running, grant: place.grant.clone(), entry, message: question.text, view })
}

#[derive(Debug, thiserror::Error)]
#[error("run `{0}` was to start while another writes its session")]
struct TwoWriters(RunId);

impl Store {
    /// Starts a run that was accepted earlier; its grant is asked again. `None` when it has been
    /// ended while it waited.
    ///
    /// # Errors
    /// When the grant has ended since, or the storage fails.
    pub async fn start_run(
        &self,
        ticket: Ticket,
        now: Timestamp,
    ) -> Result<Option<Started>, ActError<RunError>> {
        self.step(move |connection| start_waiting(connection, &ticket, now)).await
    }
}

fn start_waiting(
    connection: &Connection,
    ticket: &Ticket,
    now: Timestamp,
) -> Result<Option<Started>, Fault<RunError>> {
    let sql = "SELECT session, on_behalf_of, grant_epoch, message, timeout_ms, accepted_at FROM runs
               WHERE id = ?1 AND status = 'queued'";
    type Waiting = (i64, String, u64, String, u64, i64);
    let waiting: Option<Waiting> = connection
        .prepare_cached(sql)?
        .query_row([ticket.row], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let Some((session, holder, epoch, text, timeout, accepted_at)) = waiting else {
        return Ok(None);
    };
    let holder: GrantHolder = holder.parse().map_err(|error| damaged(1, error))?;
    let grant = grant_of(connection, &holder, Epoch(epoch))?
        .ok_or_else(|| Fault::Domain(RunError::GrantEnded(ticket.run.clone())))?;
    let place =
        Place { row: ticket.row, session, run: &ticket.run, key: &ticket.session, grant: &grant };
    let limit = (timeout > 0).then(|| Duration::from_millis(timeout));
    let question = Question { text, accepted_at: Timestamp::from_millis(accepted_at) };
    start(connection, &place, question, limit, now).map(Some)
}

/// Returns the grant that queued work rests on, if it is still the one it was accepted under.
fn grant_of(
    connection: &Connection,
    holder: &GrantHolder,
    epoch: Epoch,
) -> rusqlite::Result<Option<Grant>> {
    if live_epoch(connection, holder)? != Some(epoch) {
        return Ok(None);
    }
    Ok(match holder {
        GrantHolder::Owner => Some(Grant::owner(epoch)),
        // Nobody else can have been granted anything yet; absence is denial.
        GrantHolder::Device(_)
        | GrantHolder::Gateway
        | GrantHolder::Plugin(_)
        | GrantHolder::Token(_) => None,
    })
}
