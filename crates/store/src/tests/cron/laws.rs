//! What always holds of jobs and their ledger, read from the disk.

use std::collections::BTreeSet;

use openclaw_scopes::Timestamp;
use rusqlite::Row;

use super::clockwork::Clockwork;
use super::of;
use crate::tests::owner;
use crate::{ActError, Asked, JobError, JobFilter, JobRef, ListOccurrences, ReadCron};
use crate::{GetJob, Job, Occurrence};

impl Clockwork {
    /// What holds at any time, whatever was done.
    pub(super) async fn check(&self) {
        self.check_ledger();
        self.check_reads().await;
        self.bed.verify(self.store());
    }

    #[track_caller]
    pub(super) fn check_ledger(&self) {
        self.check_jobs();
        self.check_rows();
    }

    #[track_caller]
    fn none(&self, sql: &str, what: &str) {
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let found: Vec<_> = rows.map(Result::unwrap).collect();
        assert!(found.is_empty(), "{what}: {found:?}");
    }

    #[track_caller]
    fn check_jobs(&self) {
        let jobs = self.count("SELECT count(*) FROM cron_jobs WHERE deleted_at IS NULL");
        assert_eq!(self.count("SELECT jobs FROM cron_totals"), jobs, "the total is the count");
        self.none(
            "SELECT job FROM cron_jobs WHERE next_at IS NOT NULL
                 AND (disabled <> '' OR deleted_at IS NOT NULL)",
            "what is off, or gone, is not due",
        );
        self.none(
            "SELECT job FROM cron_jobs j WHERE deleted_at IS NULL AND disabled = '' AND next_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM cron_occurrences o
                     WHERE o.job = j.id AND o.state = 'claimed')",
            "what is on is due some time, or at work",
        );
    }

    #[track_caller]
    fn check_rows(&self) {
        self.none(
            "SELECT j.job || ' at ' || a.scheduled_at FROM cron_occurrences a
                 JOIN cron_occurrences b ON b.job = a.job AND b.id <> a.id
                     AND b.scheduled_at BETWEEN a.scheduled_at AND a.until
                 JOIN cron_jobs j ON j.id = a.job
             WHERE a.requested = '' AND b.requested = ''",
            "an instant is in one row",
        );
        self.none(
            "SELECT o.run FROM cron_occurrences o WHERE o.state = 'claimed'
                 AND o.started_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs r
                     WHERE r.run_id = o.run AND r.status IN ('queued', 'running')
                         AND r.occurrence = o.id)
                 AND NOT EXISTS (SELECT 1 FROM cron_jobs j WHERE j.id = o.job AND o.run = ''
                     AND json_extract(j.spec, '$.payload.kind') = 'command')",
            "what works has a run that works",
        );
        self.none(
            "SELECT r.run_id FROM runs r JOIN cron_occurrences o ON o.id = r.occurrence
             WHERE r.status IN ('queued', 'running')
                 AND (o.state <> 'claimed' OR o.run <> r.run_id)",
            "a run that works is one that the ledger knows",
        );
        self.none(
            "SELECT CAST(o.job AS TEXT) FROM cron_occurrences o
             WHERE state = 'claimed' AND started_at IS NOT NULL GROUP BY job HAVING count(*) > 1",
            "one of a job's instants is at work",
        );
        self.none(
            "SELECT r.run_id FROM runs r JOIN cron_occurrences o ON o.id = r.occurrence
             GROUP BY o.id HAVING count(*) > o.attempts",
            "each run of an instant was an attempt",
        );
        self.none(
            "SELECT CAST(id AS TEXT) FROM cron_occurrences WHERE ended_at IS NOT NULL
                 AND state IN ('missed', 'skipped') AND started_at IS NOT NULL",
            "what was left out was not begun",
        );
    }

    /// Reads answer, and change nothing.
    pub(super) async fn check_reads(&self) {
        let before = self.due();
        let changes = self.count("PRAGMA data_version");
        let filter = JobFilter { all: true, limit: 20, ..JobFilter::default() };
        let page = self.store().view(&owner(), &filter, self.now).await.unwrap();
        for job in page.jobs.iter().take(3) {
            let read = self.store().view(&owner(), &GetJob(of(job.id.as_str())), self.now).await;
            let read = read.unwrap();
            assert_eq!(Job { last: None, ..read }, *job);
            // What it would be due at is a question to the rules alone.
            if let Ok(spec) = &job.spec {
                drop(spec.rules.next_after(self.now));
            }
        }
        let rows = ListOccurrences { limit: 20, ..ListOccurrences::default() };
        self.store().view(&owner(), &rows, self.now).await.unwrap();
        let facts = self.store().view(&owner(), &ReadCron(self.now), self.now).await.unwrap();
        let all = self.count("SELECT count(*) FROM cron_jobs WHERE deleted_at IS NULL");
        assert_eq!(facts.jobs, u64::try_from(all).unwrap());
        self.store().due_jobs(self.now, 10).unwrap();
        self.store().startable_jobs(self.now, 10).unwrap();
        self.store().next_job_at().unwrap();
        let (by, query) = (owner(), GetJob(JobRef("no-such".into())));
        let unknown = self.store().view(&by, &query, self.now).await.unwrap_err();
        assert_eq!(unknown, ActError::Failed(JobError::Unknown("no-such".into())));
        assert_eq!(self.due(), before, "who looks changes nothing");
        assert_eq!(self.count("PRAGMA data_version"), changes, "who looks writes nothing");
    }

    fn due(&self) -> Vec<(String, Option<i64>, i64)> {
        let sql = "SELECT job, next_at, revision FROM cron_jobs ORDER BY id";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    /// The ledger of a job that was never changed: each of its instants since it was added is in a row, from the
    /// first one that it has on, and the next one is when it is due.
    pub(super) fn check_dense(&self, job: &Job, rows: &[Occurrence], first: Option<Timestamp>) {
        let (id, rules) = (&job.id, &job.spec.as_ref().unwrap().rules);
        let mut expected = first.or_else(|| rules.next_after(job.created_at).unwrap());
        let mut seen = BTreeSet::new();
        let scheduled = rows.iter().filter(|row| row.requested == Asked::BySchedule);
        // What has begun while the clock was ahead is beyond it, and its instant has its row when it comes.
        let (mut scheduled, ahead): (Vec<_>, Vec<_>) =
            scheduled.partition(|row| row.scheduled_at <= self.now);
        scheduled.sort_by_key(|row| row.scheduled_at);
        for row in scheduled {
            assert_eq!(expected, Some(row.scheduled_at), "{id}: a row is missing before {row:?}");
            let (mut count, mut last) = (0, row.scheduled_at);
            while let Some(instant) = expected.filter(|instant| *instant <= row.until) {
                assert!(seen.insert(instant), "{id}: {instant} twice");
                (count, last) = (count + 1, instant);
                expected = rules.next_after(instant).unwrap();
            }
            assert_eq!((count, last), (row.count, row.until), "{id}: {row:?}");
        }
        let is_ahead = |at: &Timestamp| {
            Some(*at) != job.next_at && ahead.iter().any(|row| row.scheduled_at == *at)
        };
        while let Some(instant) = expected.filter(is_ahead) {
            expected = rules.next_after(instant).unwrap();
        }
        if job.disabled.is_none() {
            assert_eq!(job.next_at, expected, "{id} is due next after what is in the ledger");
        }
    }
}
