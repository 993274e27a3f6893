//! What people do with jobs, and what they see of them.

use std::fmt::Debug;

use openclaw_scopes::{Caller, IdempotencyKey, Timestamp};

use super::clockwork::Clockwork;
use super::{START, add, millis, of};
use crate::tests::owner;
use crate::{
    ActError, AddJob, Added, CancelJob, CancelledJob, Failure as _, Job, JobError, JobPatch,
    JobSpec, ListOccurrences, Occurrence, RemoveJob, RunJob, Switch, UpdateJob,
};

impl Clockwork {
    pub(super) async fn add(&self, spec: JobSpec) -> Job {
        let added = self.try_add(&owner(), add(spec)).await;
        added.unwrap().job
    }

    pub(super) async fn try_add(
        &self,
        by: &Caller,
        ask: AddJob,
    ) -> Result<Added, ActError<JobError>> {
        self.store().act(by, ask, self.now).await
    }

    pub(super) async fn update(
        &self,
        job: &str,
        patch: JobPatch,
    ) -> Result<Job, ActError<JobError>> {
        let ask = UpdateJob { job: of(job), patch, expected: None };
        self.store().act(&owner(), ask, self.now).await
    }

    pub(super) async fn switch(&self, job: &str, to: Switch) -> Result<Job, ActError<JobError>> {
        self.update(job, JobPatch { switch: Some(to), ..JobPatch::default() }).await
    }

    pub(super) async fn remove(&self, job: &str) {
        self.store().act(&owner(), RemoveJob(of(job)), self.now).await.unwrap();
    }

    /// Asks for a run, in a request of its own.
    pub(super) async fn request(&mut self, job: &str) -> Occurrence {
        self.requests += 1;
        let name = format!("request-{}", self.requests);
        self.request_as(job, &name).await.unwrap()
    }

    pub(super) async fn request_as(
        &self,
        job: &str,
        name: &str,
    ) -> Result<Occurrence, ActError<JobError>> {
        let idempotency_key = IdempotencyKey::parse(name).unwrap();
        self.store().act(&owner(), RunJob { job: of(job), idempotency_key }, self.now).await
    }

    /// Ends what a job is at; those that are ended work no more.
    pub(super) async fn cancel(&mut self, job: &str) -> Result<CancelledJob, ActError<JobError>> {
        let cancelled = self.store().act(&owner(), CancelJob(of(job)), self.now).await?;
        for ended in &cancelled.ended {
            self.working.remove(&ended.run);
            self.waiting.retain(|ticket| ticket.run != ended.run);
        }
        Ok(cancelled)
    }

    pub(super) fn job(&self, job: &str) -> Job {
        self.store().job(&of(job)).unwrap()
    }

    /// Returns what the ledger says of a job, the oldest first; also of one that was removed.
    pub(super) async fn ledger(&self, job: &str) -> Vec<Occurrence> {
        let query =
            ListOccurrences { job: Some(of(job)), limit: 100_000, ..ListOccurrences::default() };
        let page = self.store().view(&owner(), &query, self.now).await.unwrap();
        page.occurrences.into_iter().rev().collect()
    }

    /// The same in a few words: how long after the start, of how many, and what became of it.
    pub(super) async fn told(&self, job: &str) -> Vec<String> {
        let words = |row: Occurrence| {
            let after = (row.scheduled_at.as_millis() - START) / 1_000;
            let count = if row.count > 1 { format!("x{}", row.count) } else { String::new() };
            let outcome = row.outcome.name();
            let reason =
                if row.reason.is_empty() { String::new() } else { format!(" {}", row.reason) };
            format!("{after}s{count} {outcome}{reason}")
        };
        self.ledger(job).await.into_iter().map(words).collect()
    }

    pub(super) fn count(&self, sql: &str) -> i64 {
        self.disk.prepare_cached(sql).unwrap().query_row([], |row| row.get(0)).unwrap()
    }

    /// Returns what of a job does not show in lists.
    #[track_caller]
    pub(super) fn disabled(&self, job: &str) -> &'static str {
        self.job(job).disabled.map_or("", crate::Disabled::name)
    }

    #[track_caller]
    pub(super) fn fails<T: Debug>(
        &self,
        result: Result<T, ActError<JobError>>,
        reason: &'static str,
    ) {
        match result {
            Err(ActError::Failed(error)) => assert_eq!(error.reason(), reason, "{error}"),
            other => panic!("{other:?} where it is {reason}"),
        }
    }

    pub(super) fn later(&self, length: i64) -> Timestamp {
        self.now.saturating_add(millis(length))
    }
}
