//! Jobs as a file says, over the wire.

use std::collections::BTreeSet;

use openclaw_proto::v1;
use openclaw_scopes::method;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{Caller, JobId, Timestamp};
use openclaw_store::{AppliedJob, ApplyJobs, GivenJob, JobFate, Rehearsal, Switch};

use super::read::Reading;
use super::{job_key, shown};
use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, secrets};

/// Jobs that are given at once at most.
const MAX_JOBS: usize = 1_000;

impl Core {
    /// Has jobs be as a file says.
    pub(super) async fn apply_jobs(
        &self,
        caller: &Caller,
        asked: v1::ApplyJobsRequest,
    ) -> Result<v1::ApplyJobsResponse, Reply> {
        // Who may not is told nothing of what is there.
        drop(self.peek::<method::ApplyJobs>(caller, Whole).await?);
        let now = clock::now();
        if asked.jobs.is_empty() || asked.jobs.len() > MAX_JOBS {
            let text = format!("1 to {MAX_JOBS} jobs are given at once");
            return Err(Reply::invalid(text).next("openclaw cron export shows what a file is like"));
        }
        let (mut jobs, mut keys) = (Vec::with_capacity(asked.jobs.len()), BTreeSet::new());
        for v1::GivenJob { key, spec } in asked.jobs {
            let key = job_key(key)?;
            if key.is_empty() {
                let name = spec.and_then(|spec| spec.name).unwrap_or_default();
                let name: String = name.chars().take(64).collect();
                let text = format!("job `{}` has no key", name.escape_debug());
                return Err(Reply::invalid(text).next("give each job of the file a `key`"));
            }
            if !keys.insert(key.clone()) {
                let text = format!("job `{key}` is given twice");
                return Err(Reply::invalid(text).next("give each job of the file another `key`"));
            }
            let named = |reply: Reply| {
                let text = format!("job `{key}`: {}", reply.message());
                reply.saying(&text)
            };
            jobs.push(self.given_job(key.clone(), spec.unwrap_or_default(), now).map_err(named)?);
        }
        let rehearsal = if asked.dry_run { Rehearsal::Yes } else { Rehearsal::No };
        let ask = ApplyJobs { jobs, rehearsal };
        let applied = self.perform(caller, ask, now, respond::job).await?;
        self.engine.jobs().notify_waiters();
        Ok(v1::ApplyJobsResponse { jobs: applied.into_iter().map(told).collect() })
    }

    fn given_job(&self, key: String, spec: v1::JobSpec, now: Timestamp) -> Result<GivenJob, Reply> {
        let seen = self.store.job_of_key(&key);
        let seen = seen.map_err(|error| Reply::internal(&error))?;
        let id = match &seen {
            Some(seen) => seen.id.clone(),
            None => secrets::id("job-", JobId::parse)?,
        };
        let switch = spec.enabled.map(|enabled| if enabled { Switch::On } else { Switch::Off });
        let before = seen.as_ref().and_then(|seen| seen.spec.as_ref().ok());
        let reading = Reading { core: self, id: &id, now };
        let spec = reading.applied(spec, before.map(|spec| &spec.rules))?;
        let seen = seen.as_ref().map(|seen| seen.revision);
        Ok(GivenJob { key, id, spec, switch, seen })
    }
}

fn told(applied: AppliedJob) -> v1::AppliedJob {
    use v1::applied_job::Fate;
    let fate = match applied.fate {
        JobFate::Added => Fate::Added,
        JobFate::Changed => Fate::Changed,
        JobFate::Unchanged => Fate::Unchanged,
    };
    v1::AppliedJob {
        fate: fate.into(),
        before: applied.before.map(shown::job),
        after: Some(shown::job(applied.after)),
    }
}
