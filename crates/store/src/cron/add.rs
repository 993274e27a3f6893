//! Adding jobs, and changing those that are given again under their key.

use openclaw_scheduler::Schedule;
use openclaw_scopes::method::{AddJob as AddMethod, Method as _};
use openclaw_scopes::target::JobTarget;
use openclaw_scopes::{Authorized, Caller, IdempotencyKey, JobId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::heartbeat::is_kept;
use super::list::find;
use super::{Job, JobError, JobSpec, MAX_JOBS, MAX_JOBS_OF_SESSION, spec, target_of, unknown};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, damaged};
use crate::grants::stored;
use crate::idempotency::{self, Recorded};

/// Adds a job that acts on behalf of the caller, or changes the one that has its key.
#[derive(Clone, Debug)]
pub struct AddJob {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// SHA-256 of what was asked, so that another request under the same name is told apart.
    pub request_digest: [u8; 32],
    /// The id of a new one, not used before.
    pub id: JobId,
    /// The name under which it is given again and again; empty for none.
    pub key: String,
    /// The job.
    pub spec: JobSpec,
    /// Whether it is due at all.
    pub switch: super::Switch,
    /// The conversation in which it is added.
    pub created_in: Option<SessionKey>,
    /// Where that one's answers go, as whoever delivers them reads it; empty when nobody does.
    pub reply_to: String,
}

/// What came of adding a job.
#[derive(Clone, Debug)]
pub struct Added {
    /// The job.
    pub job: Job,
    /// Whether there was one with its key.
    pub novelty: Novelty,
}

/// Whether a job is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Novelty {
    /// There was one with its key.
    Existing,
    /// It was not there before.
    New,
}

impl Ask for AddJob {
    type Method = AddMethod;
    type Output = Added;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        let id = self.id.as_str().into();
        let reach = self.spec.reach();
        Ok(match of_key(tx, &self.key)? {
            None => JobTarget { id, owner: None, reach },
            Some((row, _)) => target_of(tx, row)?.reaching(reach),
        })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<AddMethod>,
        now: Timestamp,
    ) -> Result<Applied<Added>, Fault<JobError>> {
        let (caller, target) = authorized.into_parts();
        if is_kept(&self.key) {
            return Err(Fault::Domain(JobError::Kept(self.key.clone())));
        }
        let request = idempotency::Request {
            holder: caller.on_behalf_of(),
            method: AddMethod::ROW.name,
            key: &self.idempotency_key,
            digest: &self.request_digest,
        };
        match idempotency::find(tx, &request)? {
            Recorded::Another => return Err(Fault::Domain(JobError::IdempotencyConflict)),
            Recorded::Same(id) => {
                let job = find(tx, &id)?.ok_or_else(|| unknown(&id))?;
                return Ok(Applied::Unchanged(Added { job, novelty: Novelty::Existing }));
            }
            Recorded::None => {}
        }
        let (id, novelty) = match of_key(tx, &self.key)? {
            Some((row, _)) => {
                super::change::rewrite(tx, row, &self.spec, Some(self.switch), &caller, now)?;
                let sql = "SELECT job FROM cron_jobs WHERE id = ?1";
                let id: String = tx.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
                (id, Novelty::Existing)
            }
            None => {
                self.insert(tx, &caller, &target, now)?;
                (self.id.to_string(), Novelty::New)
            }
        };
        idempotency::record(tx, &request, &id, now)?;
        let job = find(tx, &id)?.ok_or_else(|| unknown(&id))?;
        Ok(Applied::Changed(Added { job, novelty }))
    }
}

impl AddJob {
    pub(super) fn insert(
        &self,
        connection: &Connection,
        caller: &Caller,
        target: &JobTarget,
        now: Timestamp,
    ) -> Result<(), Fault<JobError>> {
        let created_in = self.created_in.as_ref().map(SessionKey::as_str).unwrap_or_default();
        if !created_in.is_empty() {
            let sql = "SELECT count(*) FROM cron_jobs
                       WHERE created_in = ?1 AND created_in <> '' AND deleted_at IS NULL";
            let own: u64 =
                connection.prepare_cached(sql)?.query_row([created_in], |row| row.get(0))?;
            if own >= MAX_JOBS_OF_SESSION {
                let (max, place) = (MAX_JOBS_OF_SESSION, "of this conversation");
                return Err(Fault::Domain(JobError::TooMany { max, place }));
            }
        }
        let sql = "UPDATE cron_totals SET jobs = jobs + 1 WHERE jobs < ?1";
        if connection.prepare_cached(sql)?.execute([MAX_JOBS])? == 0 {
            return Err(Fault::Domain(JobError::TooMany { max: MAX_JOBS, place: "in all" }));
        }
        let next = first(&self.spec, self.switch, None, now)?;
        let sql =
            "INSERT INTO cron_jobs (job, key, name, agent, owner, scopes, created_in, reply_to,
                       spec, created_at, updated_at, disabled, next_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12)";
        connection.prepare_cached(sql)?.execute(params![
            &*target.id,
            self.key,
            self.spec.name,
            self.spec.agent.as_str(),
            caller.on_behalf_of().to_string(),
            stored(caller.grant().scopes()),
            created_in,
            self.reply_to,
            spec::to_text(&self.spec)?,
            now.as_millis(),
            self.switch.stored(),
            next.map(Timestamp::as_millis),
        ])?;
        Ok(())
    }
}

/// Finds the job of a key, and its owner.
pub(super) fn of_key(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<Option<(i64, openclaw_scopes::GrantHolder)>> {
    if key.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT id, owner FROM cron_jobs
               WHERE key = ?1 AND key <> '' AND deleted_at IS NULL";
    connection
        .prepare_cached(sql)?
        .query_row([key], |row| {
            let owner: String = row.get(1)?;
            Ok((row.get(0)?, owner.parse().map_err(|error| damaged(1, error))?))
        })
        .optional()
}

/// Returns the first instant of a job that is given now, after the newest that has its row. One without any is a
/// mistake, unless it is not to be due at all.
pub(super) fn first(
    spec: &JobSpec,
    switch: super::Switch,
    newest: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Fault<JobError>> {
    if switch == super::Switch::Off {
        return Ok(None);
    }
    let next = match &spec.rules.schedule {
        // A moment ago is now: it took a moment to say it.
        Schedule::At(at)
            if *at <= now
                && now.since(*at) <= openclaw_scheduler::GRACE
                && newest.is_none_or(|newest| newest < *at) =>
        {
            Some(*at)
        }
        Schedule::At(_) | Schedule::Cron(_) | Schedule::Every { .. } => spec
            .rules
            .next_after(newest.map_or(now, |newest| newest.max(now)))
            .map_err(|error| Fault::Domain(JobError::Schedule(error.to_string())))?,
    };
    match next {
        Some(next) => Ok(Some(next)),
        None => Err(Fault::Domain(JobError::NeverDue(spec.name.clone()))),
    }
}
