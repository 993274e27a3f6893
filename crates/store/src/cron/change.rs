//! Changing and removing jobs, and asking for what they do at once.

use std::time::Duration;

use openclaw_scheduler::Rules;
use openclaw_scopes::method::{
    CancelJob as CancelMethod, RemoveJob as RemoveMethod, RunJob as RunMethod,
    UpdateJob as UpdateMethod,
};
use openclaw_scopes::target::{JobTarget, Reach};
use openclaw_scopes::{
    AgentId, Authorized, Caller, IdempotencyKey, JobId, RunId, ScopeSet, Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::add::first;
use super::heartbeat::is_kept;
use super::ledger::settle_one;
use super::list::find;
use super::rewind::rewind_one;
use super::work::{finish_if_over, leave_out, spec_of};
use super::{
    AfterRun, Job, JobDelivery, JobError, JobPlace, JobRef, JobSpec, JobTools, Occurrence, Payload,
    row_of, spec, target, unknown,
};
use crate::act::{Applied, Ask, Transaction};
use crate::children::{EndedRun, end_live};
use crate::error::{Fault, damaged};
use crate::grants;

/// How often a job is asked for at most before it has done what it was asked for: each is a row to look through.
const MAX_REQUESTS: u32 = 20;

/// Whether a job is due at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Switch {
    /// It is not.
    Off,
    /// It is.
    #[default]
    On,
}

impl Switch {
    /// Returns why a job is not due at all, as it is stored.
    pub(super) const fn stored(self) -> &'static str {
        match self {
            Self::Off => super::Disabled::ByRequest.name(),
            Self::On => "",
        }
    }
}

/// What of a job changes. What is absent stays as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JobPatch {
    /// What people call it.
    pub name: Option<String>,
    /// The agent that works.
    pub agent: Option<AgentId>,
    /// When it is due.
    pub rules: Option<Rules>,
    /// What it does.
    pub payload: Option<Payload>,
    /// Where.
    pub place: Option<JobPlace>,
    /// The model that answers; empty for the conversation's.
    pub model: Option<String>,
    /// The tools that its turns may use.
    pub tools: Option<JobTools>,
    /// How long a turn may take; zero for as long as its agent's.
    pub timeout: Option<Duration>,
    /// How many tokens a turn may use; zero for as many as its agent's.
    pub max_tokens: Option<u64>,
    /// What becomes of it when it has run well.
    pub after_run: Option<AfterRun>,
    /// Where what it says goes.
    pub delivery: Option<JobDelivery>,
    /// Whether it is due at all.
    pub switch: Option<Switch>,
}

impl JobPatch {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how far a job reaches with it, beside what it reaches already.
    fn reach(&self) -> Reach {
        let does = self.payload.as_ref().map(Payload::reach).unwrap_or_default();
        let says = self.delivery.as_ref().map(JobDelivery::reach).unwrap_or_default();
        does.max(says)
    }

    fn apply(self, old: JobSpec) -> JobSpec {
        JobSpec {
            name: self.name.unwrap_or(old.name),
            agent: self.agent.unwrap_or(old.agent),
            rules: self.rules.unwrap_or(old.rules),
            payload: self.payload.unwrap_or(old.payload),
            place: self.place.unwrap_or(old.place),
            model: self.model.unwrap_or(old.model),
            tools: self.tools.unwrap_or(old.tools),
            timeout: self.timeout.unwrap_or(old.timeout),
            max_tokens: self.max_tokens.unwrap_or(old.max_tokens),
            after_run: self.after_run.unwrap_or(old.after_run),
            delivery: self.delivery.unwrap_or(old.delivery),
        }
    }
}

/// Changes a job. When it is due next is counted anew if that changes, or it is switched on.
#[derive(Clone, Debug)]
pub struct UpdateJob {
    /// The job.
    pub job: JobRef,
    /// What changes.
    pub patch: JobPatch,
    /// The revision that the caller has seen; `None` for any.
    pub expected: Option<u64>,
}

impl Ask for UpdateJob {
    type Method = UpdateMethod;
    type Output = Job;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        Ok(target(tx, &self.job)?.reaching(self.patch.reach()))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<UpdateMethod>,
        now: Timestamp,
    ) -> Result<Applied<Job>, Fault<JobError>> {
        let (caller, target) = authorized.into_parts();
        let row = row_of(tx, &self.job)?.ok_or_else(|| unknown(&target.id))?;
        let job = find(tx, &target.id)?.ok_or_else(|| unknown(&target.id))?;
        if let Some(expected) = self.expected
            && expected != job.revision
        {
            let (job, revision) = (job.id, job.revision);
            return Err(Fault::Domain(JobError::Changed { job, revision }));
        }
        let is_switched = JobPatch { switch: None, ..self.patch.clone() }.is_empty();
        if is_kept(&job.key) && !is_switched {
            return Err(Fault::Domain(JobError::Kept(job.key)));
        }
        let old = job.spec.map_err(|problem| Fault::Domain(JobError::Schedule(problem)))?;
        let new = self.patch.clone().apply(old.clone());
        let is_same = new == old && self.patch.switch.is_none();
        if !is_same {
            rewrite(tx, row, &new, self.patch.switch, &caller, now)?;
        }
        let job = find(tx, &target.id)?.ok_or_else(|| unknown(&target.id))?;
        Ok(if is_same { Applied::Unchanged(job) } else { Applied::Changed(job) })
    }
}

/// Writes what a job is by now, as whoever changes it may have it.
pub(super) fn rewrite(
    connection: &Connection,
    row: i64,
    new: &JobSpec,
    switch: Option<Switch>,
    caller: &Caller,
    now: Timestamp,
) -> Result<(), Fault<JobError>> {
    // Whoever changes what it does lends it no more than they have.
    //= docs/threat-model.md#T16
    let sql = "SELECT scopes FROM cron_jobs WHERE id = ?1";
    let scopes: String = connection.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
    let scopes = grants::scopes(0, &scopes)?.closed().attenuate(caller.grant().scopes());
    rewrite_as(connection, row, new, switch, scopes, now)
}

/// Writes what a job is by now. Its failures are forgotten when it is switched on.
pub(super) fn rewrite_as(
    connection: &Connection,
    row: i64,
    new: &JobSpec,
    switch: Option<Switch>,
    scopes: ScopeSet,
    now: Timestamp,
) -> Result<(), Fault<JobError>> {
    let sql = "SELECT name, agent, spec FROM cron_jobs WHERE id = ?1";
    let (name, agent, text): (String, String, String) = connection
        .prepare_cached(sql)?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let agent = agent.parse().map_err(|error| damaged(1, error))?;
    let had = spec::from_text(name, agent, &text).ok();
    if let Some(had) = &had {
        rewind_one(connection, row, had, now)?;
        settle_one(connection, row, had, now)?;
    }
    let sql = "SELECT next_at, disabled FROM cron_jobs WHERE id = ?1";
    let (next, disabled): (Option<i64>, String) =
        connection.prepare_cached(sql)?.query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_timed_anew = had.is_none_or(|old| old.rules != new.rules);
    let is_on = match switch {
        Some(switch) => switch,
        None if disabled.is_empty() => Switch::On,
        None => Switch::Off,
    };
    let next = if is_on == Switch::On && !is_timed_anew && disabled.is_empty() {
        next.map(Timestamp::from_millis)
    } else {
        // What has its row is not due again. Beyond now there is only what has begun while the clock was ahead.
        let sql = "SELECT max(until) FROM cron_occurrences
                   WHERE job = ?1 AND requested = '' AND until <= ?2";
        let newest: Option<i64> = connection
            .prepare_cached(sql)?
            .query_row(params![row, now.as_millis()], |row| row.get(0))?;
        first(new, is_on, newest.map(Timestamp::from_millis), now)?
    };
    let disabled = match (switch, is_on) {
        (None, Switch::Off) => disabled,
        (_, is_on) => is_on.stored().to_owned(),
    };
    let is_woken = switch == Some(Switch::On);
    let sql = "UPDATE cron_jobs SET name = ?2, agent = ?3, spec = ?4, disabled = ?5, next_at = ?6,
                   revision = revision + 1, updated_at = ?7, scopes = ?9,
                   failures = CASE WHEN ?8 THEN 0 ELSE failures END,
                   not_before = CASE WHEN ?8 THEN NULL ELSE not_before END
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        row,
        new.name,
        new.agent.as_str(),
        spec::to_text(new)?,
        disabled,
        next.map(Timestamp::as_millis),
        now.as_millis(),
        is_woken,
        grants::stored(scopes),
    ])?;
    if is_on == Switch::Off {
        leave_out(connection, row, Switch::Off.stored(), now)?;
    }
    Ok(())
}

/// Removes a job. What it did stays to be looked at for a while; what it is at goes on to its end.
#[derive(Clone, Debug)]
pub struct RemoveJob(pub JobRef);

impl Ask for RemoveJob {
    type Method = RemoveMethod;
    type Output = Job;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        target(tx, &self.0)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RemoveMethod>,
        now: Timestamp,
    ) -> Result<Applied<Job>, Fault<JobError>> {
        let (_, target) = authorized.into_parts();
        let row = row_of(tx, &self.0)?.ok_or_else(|| unknown(&target.id))?;
        let job = find(tx, &target.id)?.ok_or_else(|| unknown(&target.id))?;
        if is_kept(&job.key) {
            return Err(Fault::Domain(JobError::Kept(job.key)));
        }
        remove(tx, row, now)?;
        Ok(Applied::Changed(job))
    }
}

/// Marks a job as gone. What waits to begin of it is not begun.
pub(super) fn remove(connection: &Connection, row: i64, now: Timestamp) -> rusqlite::Result<()> {
    if let Some(spec) = spec_of(connection, row)? {
        settle_one(connection, row, &spec, now)?;
    }
    let sql = "UPDATE cron_jobs SET deleted_at = ?2, next_at = NULL, updated_at = ?2
               WHERE id = ?1 AND deleted_at IS NULL";
    if connection.prepare_cached(sql)?.execute(params![row, now.as_millis()])? > 0 {
        connection
            .prepare_cached("UPDATE cron_totals SET jobs = jobs - 1 WHERE jobs > 0")?
            .execute([])?;
    }
    let sql =
        "UPDATE cron_occurrences SET state = 'cancelled', reason = 'job-removed', ended_at = ?2
               WHERE job = ?1 AND state = 'claimed' AND started_at IS NULL";
    connection.prepare_cached(sql)?.execute(params![row, now.as_millis()]).map(|_| ())
}

/// Lets a job be due now, whatever its schedule says. A retry is the same request.
#[derive(Clone, Debug)]
pub struct RunJob {
    /// The job.
    pub job: JobRef,
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
}

impl Ask for RunJob {
    type Method = RunMethod;
    type Output = Occurrence;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        target(tx, &self.job)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RunMethod>,
        now: Timestamp,
    ) -> Result<Applied<Occurrence>, Fault<JobError>> {
        let (_, target) = authorized.into_parts();
        let row = row_of(tx, &self.job)?.ok_or_else(|| unknown(&target.id))?;
        let sql = "SELECT id FROM cron_occurrences WHERE job = ?1 AND requested = ?2";
        let key = self.idempotency_key.as_str();
        let done: Option<i64> =
            tx.prepare_cached(sql)?.query_row(params![row, key], |row| row.get(0)).optional()?;
        if let Some(done) = done {
            return Ok(Applied::Unchanged(super::list::occurrence(tx, done)?));
        }
        // What is due at this moment has its row, before somebody's wish takes its place.
        if let Some(spec) = spec_of(tx, row)? {
            settle_one(tx, row, &spec, now)?;
        }
        let sql = "SELECT count(*) FROM cron_occurrences
                   WHERE job = ?1 AND state = 'claimed' AND requested <> ''";
        let waiting: u32 = tx.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
        if waiting >= MAX_REQUESTS {
            return Err(Fault::Domain(JobError::Requests { job: target.id, max: MAX_REQUESTS }));
        }
        // No two instants of a job are the same.
        let sql = "INSERT INTO cron_occurrences (job, scheduled_at, until, count, state, requested, start_at)
                   SELECT ?1, at, at, 1, 'claimed', ?3, ?2 FROM
                       (SELECT max(?2, coalesce((SELECT max(until) + 1 FROM cron_occurrences
                           WHERE job = ?1 AND until >= ?2), ?2)) AS at)";
        tx.prepare_cached(sql)?.execute(params![row, now.as_millis(), key])?;
        let id = tx.last_insert_rowid();
        Ok(Applied::Changed(super::list::occurrence(tx, id)?))
    }
}

/// Ends what a job is at, and what waits to begin of it.
#[derive(Clone, Debug)]
pub struct CancelJob(pub JobRef);

/// What was ended.
#[derive(Clone, Debug)]
pub struct CancelledJob {
    /// The newest of the instants that were ended.
    pub occurrence: Occurrence,
    /// Runs that were ended with them.
    pub ended: Vec<EndedRun>,
}

impl Ask for CancelJob {
    type Method = CancelMethod;
    type Output = CancelledJob;
    type Error = JobError;

    fn target(&self, tx: &Transaction<'_>) -> Result<JobTarget, Fault<JobError>> {
        target(tx, &self.0)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<CancelMethod>,
        now: Timestamp,
    ) -> Result<Applied<CancelledJob>, Fault<JobError>> {
        let (_, target) = authorized.into_parts();
        let row = row_of(tx, &self.0)?.ok_or_else(|| unknown(&target.id))?;
        let sql = "SELECT max(id) FROM cron_occurrences WHERE job = ?1 AND state = 'claimed'";
        let newest: Option<i64> = tx.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
        let Some(newest) = newest else {
            let id = JobId::parse(&target.id).map_err(|error| damaged(0, error))?;
            return Err(Fault::Domain(JobError::Idle(id)));
        };
        let ended = end_runs_of(tx, row, now)?;
        let sql =
            "UPDATE cron_occurrences SET state = 'cancelled', reason = 'by-request', ended_at = ?2
                   WHERE job = ?1 AND state = 'claimed'";
        tx.prepare_cached(sql)?.execute(params![row, now.as_millis()])?;
        finish_if_over(tx, row, now)?;
        let occurrence = super::list::occurrence(tx, newest)?;
        Ok(Applied::Changed(CancelledJob { occurrence, ended }))
    }
}

/// Ends the runs that a job is at; the end of each writes its row of the ledger.
fn end_runs_of(
    connection: &Connection,
    job: i64,
    now: Timestamp,
) -> rusqlite::Result<Vec<EndedRun>> {
    let sql = "SELECT r.id, r.run_id, r.fence, r.session, s.key
               FROM cron_occurrences o JOIN runs r ON r.run_id = o.run
                   JOIN sessions s ON s.id = r.session
               WHERE o.job = ?1 AND o.state = 'claimed' AND r.status IN ('queued', 'running')";
    type Live = (i64, String, Option<u64>, i64, String);
    let live: Vec<Live> = connection
        .prepare_cached(sql)?
        .query_map([job], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = Vec::with_capacity(live.len());
    for (row, run, fence, session, key) in live {
        let run: RunId = run.parse().map_err(|error| damaged(1, error))?;
        end_live(connection, (row, session), &run, fence, "the job was cancelled", now)?;
        let session = key.parse().map_err(|error| damaged(4, error))?;
        ended.push(EndedRun { run, session });
    }
    Ok(ended)
}
