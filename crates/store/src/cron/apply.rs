//! Jobs as a file says: all of them are given at once, or none.

use openclaw_scheduler::DisableReason;
use openclaw_scopes::method::ApplyJobs as ApplyMethod;
use openclaw_scopes::target::{JobTarget, Whole};
use openclaw_scopes::{Authorized, Caller, IdempotencyKey, JobId, Timestamp};

use super::add::of_key;
use super::change::rewrite;
use super::heartbeat::is_kept;
use super::list::find;
use super::{AddJob, Disabled, Job, JobError, JobSpec, Switch, target_of, unknown};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;

/// Has jobs be what they are given as, each under its key: those that are not there are added on behalf of the caller,
/// and those that differ are changed. What is not named stays.
#[derive(Clone, Debug)]
pub struct ApplyJobs {
    /// The jobs.
    pub jobs: Vec<GivenJob>,
    /// Whether it counts.
    pub rehearsal: Rehearsal,
}

/// Whether something is done, or only tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rehearsal {
    /// It is done.
    No,
    /// It is tried, with all that could go wrong, and nothing stays of it.
    Yes,
}

/// A job as a file says.
#[derive(Clone, Debug)]
pub struct GivenJob {
    /// Its key.
    pub key: String,
    /// The id that it has, or is to have.
    pub id: JobId,
    /// The job.
    pub spec: JobSpec,
    /// Whether it is due at all; `None` where nothing is said of it.
    pub switch: Option<Switch>,
    /// The revision of the job that it is made of; `None` when there was none.
    pub seen: Option<u64>,
}

/// What came of one job.
#[derive(Clone, Debug)]
pub struct AppliedJob {
    /// What became of it.
    pub fate: JobFate,
    /// The job before; `None` when it was not there.
    pub before: Option<Job>,
    /// The job since.
    pub after: Job,
}

/// What became of a job that was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobFate {
    /// It was not there before.
    Added,
    /// It was there, and was another.
    Changed,
    /// It was there, and was the same.
    Unchanged,
}

impl Ask for ApplyJobs {
    type Method = ApplyMethod;
    type Output = Vec<AppliedJob>;
    type Error = JobError;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<JobError>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ApplyMethod>,
        now: Timestamp,
    ) -> Result<Applied<Vec<AppliedJob>>, Fault<JobError>> {
        let (caller, Whole) = authorized.into_parts();
        tx.execute_batch("SAVEPOINT rehearsal")?;
        let mut all = Vec::with_capacity(self.jobs.len());
        for job in &self.jobs {
            let applied = job.apply(tx, &caller, now).map_err(|fault| match fault {
                Fault::Store(error) => Fault::Store(error),
                Fault::Domain(error) => {
                    let (key, error) = (job.key.clone(), Box::new(error));
                    Fault::Domain(JobError::In { key, error })
                }
            })?;
            all.push(applied);
        }
        if self.rehearsal == Rehearsal::Yes {
            tx.execute_batch("ROLLBACK TO rehearsal")?;
        }
        tx.execute_batch("RELEASE rehearsal")?;
        let is_same = all.iter().all(|job| job.fate == JobFate::Unchanged);
        Ok(match self.rehearsal {
            Rehearsal::No if !is_same => Applied::Changed(all),
            Rehearsal::No | Rehearsal::Yes => Applied::Unchanged(all),
        })
    }
}

impl Store {
    /// Returns the job of a key, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn job_of_key(&self, key: &str) -> Result<Option<Job>, StoreError> {
        self.snapshot(|connection| {
            let Some((row, _)) = of_key(connection, key)? else { return Ok(None) };
            Ok(find(connection, &target_of(connection, row)?.id)?)
        })
    }
}

impl GivenJob {
    fn apply(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<AppliedJob, Fault<JobError>> {
        if is_kept(&self.key) {
            return Err(Fault::Domain(JobError::Kept(self.key.clone())));
        }
        let there = match of_key(tx, &self.key)? {
            None => None,
            Some((row, _)) => {
                let id = target_of(tx, row)?.id;
                Some((row, find(tx, &id)?.ok_or_else(|| unknown(&id))?))
            }
        };
        let (row, before) = match (there, self.seen) {
            (None, None) => return self.add(tx, caller, now),
            (None, Some(_)) => return Err(unknown(&self.key)),
            (Some((row, before)), seen) if seen == Some(before.revision) => (row, before),
            (Some((_, Job { id: job, revision, .. })), _) => {
                return Err(Fault::Domain(JobError::Changed { job, revision }));
            }
        };
        // One that is due no more for any reason is off, and stays what it is.
        let is = if before.disabled.is_none() { Switch::On } else { Switch::Off };
        let switch = self.switch.filter(|wanted| *wanted != is);
        // One that is over stays over: switching it on would find no instant.
        let is_over = matches!(
            before.disabled,
            Some(Disabled::By(DisableReason::Finished | DisableReason::OneShotFailed))
        );
        if (switch.is_none() || is_over) && before.spec.as_ref() == Ok(&self.spec) {
            let after = before.clone();
            return Ok(AppliedJob { fate: JobFate::Unchanged, before: Some(before), after });
        }
        rewrite(tx, row, &self.spec, switch, caller, now)?;
        let after = find(tx, before.id.as_str())?.ok_or_else(|| unknown(&self.key))?;
        Ok(AppliedJob { fate: JobFate::Changed, before: Some(before), after })
    }

    fn add(
        &self,
        tx: &Transaction<'_>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<AppliedJob, Fault<JobError>> {
        let id = self.id.as_str();
        let new = AddJob {
            idempotency_key: IdempotencyKey::parse(id).map_err(|error| damaged(0, error))?,
            request_digest: [0; 32],
            id: self.id.clone(),
            key: self.key.clone(),
            spec: self.spec.clone(),
            switch: self.switch.unwrap_or_default(),
            created_in: None,
            reply_to: String::new(),
        };
        let reach = self.spec.reach();
        new.insert(tx, caller, &JobTarget { id: id.into(), owner: None, reach }, now)?;
        let after = find(tx, id)?.ok_or_else(|| unknown(id))?;
        Ok(AppliedJob { fate: JobFate::Added, before: None, after })
    }
}
