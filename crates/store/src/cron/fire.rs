//! Doing what a job is for: the work and the ledger's row are one change.

use openclaw_scheduler::DisableReason;
use openclaw_scopes::method::FireJob as FireMethod;
use openclaw_scopes::target::JobTarget;
use openclaw_scopes::{Authorized, Caller, JobId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::work::{disable, ended, finish_if_over};
use super::{CommandFence, JobError, JobRef, Outcome, target};
use crate::act::{ActError, Applied, Ask, Transaction};
use crate::error::Fault;
use crate::events::{self, NewEvent};
use crate::handle::Store;
use crate::outbox::{BODY, ReplyTo};
use crate::runs::{AcceptRun, Accepted, RunError};
use crate::sessions;

/// Does what a job is for, now that an instant of it may begin. The scheduler asks, on behalf of the grant of
/// the job's owner.
#[derive(Clone, Debug)]
pub struct FireJob {
    /// The row of the instant.
    pub occurrence: i64,
    /// The job.
    pub job: JobId,
    /// The revision of the job that this is made of.
    pub revision: u64,
    /// What is done.
    pub work: FireWork,
}

/// What is done for a due instant.
#[derive(Clone, Debug)]
pub enum FireWork {
    /// A command is begun, and what it says goes there; empty for nowhere.
    Command {
        /// Where, as whoever delivers it reads it.
        reply_to: String,
    },
    /// A conversation is told.
    Event {
        /// Which.
        session: SessionKey,
        /// What it is told.
        event: NewEvent,
    },
    /// A body is posted.
    Post {
        /// Where.
        to: ReplyTo,
        /// All of it.
        body: String,
    },
    /// An agent has a turn, in this conversation; it is opened if there is none.
    Turn(AcceptRun),
}

/// What came of it.
#[derive(Debug)]
pub enum Fired {
    /// A run was accepted.
    Accepted(Box<Accepted>),
    /// A command is begun, and this is the right to say what came of it.
    Begun(CommandFence),
    /// Somebody has begun or ended it before, or the job is another by now.
    Gone,
    /// What is posted is in the outbox.
    Posted,
    /// A conversation is told.
    Told(SessionKey),
}

/// Why a due instant was not begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotFired {
    /// It failed, for this reason.
    Failed(String),
    /// It is left out, for this reason.
    Skipped(&'static str),
    /// Whoever it would act for may not: the job is due no more.
    Suspended,
}

impl Ask for FireJob {
    type Method = FireMethod;
    type Output = Fired;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        target(tx, &JobRef(self.job.to_string()))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<FireMethod>,
        now: Timestamp,
    ) -> Result<Applied<Fired>, Fault<JobError>> {
        let (caller, _) = authorized.into_parts();
        let (session, run) = match &self.work {
            FireWork::Command { .. } | FireWork::Post { .. } => ("", ""),
            FireWork::Event { session, .. } => (session.as_str(), ""),
            FireWork::Turn(accept) => (accept.session.as_str(), accept.run.as_str()),
        };
        let sql = "UPDATE cron_occurrences SET started_at = ?2, attempts = attempts + 1, run = ?3,
                       session = ?4, reason = '', text = ''
                   WHERE id = ?1 AND state = 'claimed' AND started_at IS NULL
                       AND EXISTS (SELECT 1 FROM cron_jobs j
                           WHERE j.id = cron_occurrences.job AND j.deleted_at IS NULL
                               AND j.revision = ?5)";
        let values = params![self.occurrence, now.as_millis(), run, session, self.revision];
        if tx.prepare_cached(sql)?.execute(values)? == 0 {
            return Ok(Applied::Unchanged(Fired::Gone));
        }
        match &self.work {
            FireWork::Command { reply_to } => {
                let fence = CommandFence::new(tx, self, &caller, reply_to)?;
                Ok(Applied::Changed(Fired::Begun(fence)))
            }
            FireWork::Post { to, body } => {
                let fence = CommandFence::new(tx, self, &caller, "")?;
                let to = ReplyTo { kind: BODY.into(), ..to.clone() };
                fence.deliver(tx, to, body.clone(), now)?;
                ended(tx, self.occurrence, Outcome::Ran, "", "", now)?;
                Ok(Applied::Changed(Fired::Posted))
            }
            FireWork::Event { session, event } => {
                let conversation = open(tx, session, &caller, now)?;
                events::put(tx, conversation, event, &caller, now)?;
                ended(tx, self.occurrence, Outcome::Ran, "", "", now)?;
                Ok(Applied::Changed(Fired::Told(session.clone())))
            }
            FireWork::Turn(accept) => {
                let session = &accept.session;
                let conversation = open(tx, session, &caller, now)?;
                if sessions::is_archived(tx, session)? {
                    return Err(Fault::Domain(JobError::Place(session.clone())));
                }
                let inserted = accept.insert(tx, &caller, now)?;
                let (row, _) = inserted.ok_or(Fault::Domain(JobError::IdempotencyConflict))?;
                let sql = "UPDATE runs SET occurrence = ?2 WHERE id = ?1";
                tx.prepare_cached(sql)?.execute(params![row, self.occurrence])?;
                let accepted = accept.enter(tx, (row, conversation), &caller, now);
                let accepted = accepted.map_err(|fault| match fault {
                    Fault::Store(error) => Fault::Store(error),
                    Fault::Domain(RunError::Archived(key)) => Fault::Domain(JobError::Place(key)),
                    Fault::Domain(_) => Fault::Domain(JobError::IdempotencyConflict),
                })?;
                Ok(Applied::Changed(Fired::Accepted(Box::new(accepted))))
            }
        }
    }
}

/// Opens the conversation of a due instant, or finds it; returns its row.
fn open(
    connection: &Connection,
    key: &SessionKey,
    caller: &Caller,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    match sessions::row_of(connection, key)? {
        Some(row) => Ok(row),
        None => {
            sessions::insert(connection, key, caller.on_behalf_of(), "", now)?;
            let row = sessions::row_of(connection, key)?;
            row.ok_or(rusqlite::Error::QueryReturnedNoRows)
        }
    }
}

impl Store {
    /// Notes why a due instant was not begun.
    ///
    /// # Errors
    /// When the storage fails; then nothing is noted.
    pub async fn not_fired(
        &self,
        occurrence: i64,
        why: NotFired,
        now: Timestamp,
    ) -> Result<(), ActError<JobError>> {
        self.step(move |connection| {
            let sql = "SELECT job FROM cron_occurrences WHERE id = ?1 AND state = 'claimed'
                           AND started_at IS NULL";
            let job: Option<i64> = connection
                .prepare_cached(sql)?
                .query_row([occurrence], |row| row.get(0))
                .optional()?;
            let Some(job) = job else { return Ok(()) };
            let skip = |reason: &str| {
                let sql =
                    "UPDATE cron_occurrences SET state = 'skipped', reason = ?2, ended_at = ?3
                           WHERE id = ?1";
                let values = params![occurrence, reason, now.as_millis()];
                connection.prepare_cached(sql)?.execute(values)
            };
            match &why {
                NotFired::Failed(error) => {
                    let sql = "UPDATE cron_occurrences SET attempts = attempts + 1 WHERE id = ?1";
                    connection.prepare_cached(sql)?.execute([occurrence])?;
                    ended(connection, occurrence, Outcome::Failed, "not-begun", error, now)?;
                }
                NotFired::Skipped(reason) => {
                    skip(reason)?;
                    finish_if_over(connection, job, now)?;
                }
                NotFired::Suspended => {
                    skip(DisableReason::CreatorRevoked.name())?;
                    disable(connection, job, DisableReason::CreatorRevoked, now)?;
                }
            }
            Ok(())
        })
        .await
    }
}
