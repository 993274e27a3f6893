//! Finding jobs and due instants.

use std::time::Duration;

use openclaw_scopes::method::{
    ListJobs, ListOccurrences as ListMethod, ReadCron as ReadCronMethod, ReadJob,
};
use openclaw_scopes::target::Whole;
use openclaw_scopes::{AgentId, Authorized, ScopeSet, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Asked, Disabled, Job, JobError, JobRef, Occurrence, Outcome, row_of, spec, unknown};
use crate::act::Query;
use crate::error::{Fault, damaged};
use crate::filter::{Clauses, Rows};
use crate::outbox::DeliveryState;

const SELECT: &str = "SELECT id, job, key, name, agent, owner, scopes, created_in, spec, revision,
    created_at, updated_at, disabled, next_at, not_before, failures FROM cron_jobs";

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what was stored")]
struct Unreadable(String);

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let text = |column: usize| row.get::<_, String>(column);
    let agent: AgentId = text(4)?.parse().map_err(|error| damaged(4, error))?;
    let (name, disabled, created_in) = (text(3)?, text(12)?, text(7)?);
    Ok(Job {
        id: text(1)?.parse().map_err(|error| damaged(1, error))?,
        key: text(2)?,
        spec: spec::from_text(name.clone(), agent.clone(), &text(8)?)
            .map_err(|error| error.to_string()),
        name,
        agent,
        owner: text(5)?.parse().map_err(|error| damaged(5, error))?,
        scopes: ScopeSet::parse(&text(6)?).map_err(|error| damaged(6, error))?,
        created_in: match created_in.as_str() {
            "" => None,
            key => Some(key.parse().map_err(|error| damaged(7, error))?),
        },
        revision: row.get(9)?,
        created_at: instant(row, 10)?.unwrap_or_default(),
        updated_at: instant(row, 11)?.unwrap_or_default(),
        disabled: match disabled.as_str() {
            "" => None,
            word => Some(
                Disabled::parse(word).ok_or_else(|| damaged(12, Unreadable(word.to_owned())))?,
            ),
        },
        next_at: instant(row, 13)?,
        not_before: instant(row, 14)?,
        failures: row.get(15)?,
        last: None,
    })
}

/// Finds a job by its id, whether it was removed or not, with what it is at or did last.
pub(super) fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Job>> {
    let sql = format!("{SELECT} WHERE job = ?1");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([id], |row| Ok((row.get::<_, i64>(0)?, job(row)?)))
        .optional()?;
    let Some((row, job)) = found else { return Ok(None) };
    Ok(Some(Job { last: newest(connection, row)?, ..job }))
}

const OCCURRENCE: &str = "SELECT o.id, j.job, o.scheduled_at, o.until, o.count, o.state, o.reason,
    o.requested, o.attempts, o.started_at, o.ended_at, o.run, o.session, o.text,
    d.delivery, d.state, coalesce((SELECT withheld FROM runs WHERE run_id = o.run), '')
    FROM cron_occurrences o JOIN cron_jobs j ON j.id = o.job
        LEFT JOIN outbox d ON d.source = CASE WHEN o.run <> '' THEN 'run:' || o.run
            ELSE 'cron:' || j.job || ':' || o.scheduled_at END";

fn read_occurrence(row: &Row<'_>) -> rusqlite::Result<Occurrence> {
    let text = |column: usize| row.get::<_, String>(column);
    let (state, run, session) = (text(5)?, text(11)?, text(12)?);
    Ok(Occurrence {
        job: text(1)?.parse().map_err(|error| damaged(1, error))?,
        scheduled_at: instant(row, 2)?.unwrap_or_default(),
        until: instant(row, 3)?.unwrap_or_default(),
        count: row.get(4)?,
        outcome: Outcome::parse(&state).ok_or_else(|| damaged(5, Unreadable(state)))?,
        reason: text(6)?,
        requested: if text(7)?.is_empty() { Asked::BySchedule } else { Asked::ByRequest },
        attempts: row.get(8)?,
        started_at: instant(row, 9)?,
        ended_at: instant(row, 10)?,
        run: match run.as_str() {
            "" => None,
            run => Some(run.parse().map_err(|error| damaged(11, error))?),
        },
        session: match session.as_str() {
            "" => None,
            key => Some(key.parse().map_err(|error| damaged(12, error))?),
        },
        text: text(13)?,
        delivery: match (row.get::<_, Option<String>>(14)?, row.get::<_, Option<String>>(15)?) {
            (Some(id), Some(state)) => {
                let known = DeliveryState::parse(&state);
                Some((id, known.ok_or_else(|| damaged(15, Unreadable(state)))?))
            }
            _ => None,
        },
        withheld: text(16)?,
    })
}

/// Reads one row of the ledger.
pub(super) fn occurrence(connection: &Connection, row: i64) -> rusqlite::Result<Occurrence> {
    let sql = format!("{OCCURRENCE} WHERE o.id = ?1");
    connection.prepare_cached(&sql)?.query_row([row], read_occurrence)
}

/// Returns the newest row of a job's ledger: one that is at work before all others.
pub(super) fn newest(connection: &Connection, job: i64) -> rusqlite::Result<Option<Occurrence>> {
    let sql = format!(
        "{OCCURRENCE} WHERE o.id = coalesce(
             (SELECT max(id) FROM cron_occurrences WHERE job = ?1 AND state = 'claimed'),
             (SELECT id FROM cron_occurrences WHERE job = ?1 ORDER BY scheduled_at DESC LIMIT 1))"
    );
    connection.prepare_cached(&sql)?.query_row([job], read_occurrence).optional()
}

/// Asks for one job.
#[derive(Clone, Debug)]
pub struct GetJob(pub JobRef);

impl Query for GetJob {
    type Method = ReadJob;
    type Output = Job;
    type Error = JobError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<JobError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadJob>,
    ) -> Result<Job, Fault<JobError>> {
        let (_, Whole) = authorized.into_parts();
        named(connection, &self.0)
    }
}

/// Finds the job that somebody named.
fn named(connection: &Connection, named: &JobRef) -> Result<Job, Fault<JobError>> {
    let row = row_of(connection, named)?.ok_or_else(|| unknown(&named.0))?;
    let sql = "SELECT job FROM cron_jobs WHERE id = ?1";
    let id: String = connection.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
    find(connection, &id)?.ok_or_else(|| unknown(&named.0))
}

/// Where a page of jobs ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobCursor {
    /// The name of the last one.
    pub name: String,
    /// Its row.
    pub row: i64,
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only those of this agent.
    pub agent: Option<AgentId>,
    /// Only those whose name, key or id contains this text, case-insensitively.
    pub search: String,
    /// Those that are not due at all, too.
    pub all: bool,
    /// Only those that were added in this conversation.
    pub created_in: Option<openclaw_scopes::SessionKey>,
    /// Only those after this place; `None` for the first.
    pub after: Option<JobCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// A page of jobs, by name.
#[derive(Clone, Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<JobCursor>,
}

impl Query for JobFilter {
    type Method = ListJobs;
    type Output = JobPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListJobs>,
    ) -> Result<JobPage, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        Ok(page(connection, self)?)
    }
}

fn page(connection: &Connection, filter: &JobFilter) -> rusqlite::Result<JobPage> {
    let mut clauses = Clauses::of(SELECT);
    clauses.narrow("deleted_at IS NULL");
    if let Some(JobCursor { name, row }) = &filter.after {
        clauses.narrow("(name, id) > (?, ?)").bind(name.clone()).bind(*row);
    }
    if let Some(agent) = &filter.agent {
        clauses.narrow("agent = ?").bind(agent.to_string());
    }
    if let Some(session) = &filter.created_in {
        clauses.narrow("created_in = ? AND created_in <> ''").bind(session.to_string());
    }
    if !filter.all {
        clauses.narrow("disabled = ''");
    }
    if !filter.search.is_empty() {
        clauses.narrow("instr(lower(name || ' ' || key || ' ' || job), lower(?)) > 0");
        clauses.bind(filter.search.clone());
    }
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, job(row)?));
    let cursor = |(row, job): &(i64, Job)| JobCursor { name: job.name.clone(), row: *row };
    let Rows { rows, next } = clauses.page(connection, "name, id", filter.limit, read, cursor)?;
    Ok(JobPage { jobs: rows.into_iter().map(|(_, job)| job).collect(), next })
}

impl crate::handle::Store {
    /// Returns jobs, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn jobs(&self, filter: &JobFilter) -> Result<JobPage, crate::error::StoreError> {
        self.snapshot(|connection| Ok(page(connection, filter)?))
    }
}

impl crate::handle::Store {
    /// Returns a job as a target of decisions.
    ///
    /// # Errors
    /// When several bear the name, or the storage fails.
    pub fn job_target(
        &self,
        job: &JobRef,
    ) -> Result<openclaw_scopes::target::JobTarget, crate::act::ActError<JobError>> {
        let found = self.snapshot(|connection| Ok(super::target(connection, job)))?;
        found.map_err(crate::act::ActError::from)
    }

    /// Returns the job that somebody named, for work that is authorized already.
    ///
    /// # Errors
    /// When there is no such job, several bear the name, or the storage fails.
    pub fn job(&self, job: &JobRef) -> Result<Job, crate::act::ActError<JobError>> {
        let found = self.snapshot(|connection| Ok(named(connection, job)))?;
        found.map_err(crate::act::ActError::from)
    }

    /// Returns the conversation in which a job was added, whether it was removed or not.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn job_place(
        &self,
        job: &str,
    ) -> Result<Option<openclaw_scopes::SessionKey>, crate::error::StoreError> {
        self.snapshot(|connection| Ok(find(connection, job)?.and_then(|job| job.created_in)))
    }
}

/// Where a page of due instants ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OccurrenceCursor(pub i64);

/// Asks for a page of due instants, the newest first.
#[derive(Clone, Debug, Default)]
pub struct ListOccurrences {
    /// Only those of this job, which may be removed already if it is named by its id.
    pub job: Option<JobRef>,
    /// Only those of which this became.
    pub outcome: Option<Outcome>,
    /// Only those before this place; `None` for the newest.
    pub after: Option<OccurrenceCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// A page of due instants, the newest first.
#[derive(Clone, Debug)]
pub struct OccurrencePage {
    /// The instants.
    pub occurrences: Vec<Occurrence>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<OccurrenceCursor>,
}

impl Query for ListOccurrences {
    type Method = ListMethod;
    type Output = OccurrencePage;
    type Error = JobError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<JobError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<OccurrencePage, Fault<JobError>> {
        let (_, Whole) = authorized.into_parts();
        let mut clauses = Clauses::of(OCCURRENCE);
        if let Some(job) = &self.job {
            let sql = "SELECT id FROM cron_jobs WHERE job = ?1";
            let removed =
                || connection.prepare_cached(sql)?.query_row([&job.0], |row| row.get(0)).optional();
            let row: Option<i64> = match row_of(connection, job)? {
                Some(row) => Some(row),
                None => removed()?,
            };
            clauses.narrow("o.job = ?").bind(row.ok_or_else(|| unknown(&job.0))?);
        }
        if let Some(OccurrenceCursor(row)) = self.after {
            clauses.narrow("o.id < ?").bind(row);
        }
        if let Some(outcome) = self.outcome {
            clauses.narrow("o.state = ?").bind(outcome.name());
        }
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, read_occurrence(row)?));
        let cursor = |(row, _): &(i64, Occurrence)| OccurrenceCursor(*row);
        let page = clauses.page(connection, "o.id DESC", self.limit, read, cursor)?;
        let occurrences = page.rows.into_iter().map(|(_, occurrence)| occurrence).collect();
        Ok(OccurrencePage { occurrences, next: page.next })
    }
}

/// Asks how the scheduler is doing.
#[derive(Clone, Copy, Debug)]
pub struct ReadCron(
    /// Now.
    pub Timestamp,
);

/// How the scheduler is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CronFacts {
    /// How many jobs there are.
    pub jobs: u64,
    /// How many of them are due at all.
    pub enabled: u64,
    /// How many the scheduler has disabled, those that are finished left aside.
    pub suspended: u64,
    /// How many instants are at work.
    pub running: u64,
    /// How many wait to begin.
    pub waiting: u64,
    /// When the next job is due.
    pub next_at: Option<Timestamp>,
    /// How long the oldest due instant has waited for its row in the ledger.
    pub behind: Option<Duration>,
}

impl Query for ReadCron {
    type Method = ReadCronMethod;
    type Output = CronFacts;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadCronMethod>,
    ) -> Result<CronFacts, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let count = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row.get(0));
        let next: Option<i64> = connection
            .prepare_cached("SELECT min(next_at) FROM cron_jobs WHERE next_at IS NOT NULL")?
            .query_row([], |row| row.get(0))?;
        let next_at = next.map(Timestamp::from_millis);
        let now = self.0;
        Ok(CronFacts {
            jobs: count("SELECT jobs FROM cron_totals")?,
            enabled: count("SELECT count(*) FROM cron_jobs WHERE next_at IS NOT NULL")?,
            suspended: count(
                "SELECT count(*) FROM cron_jobs WHERE deleted_at IS NULL
                     AND disabled NOT IN ('', 'by-request', 'finished')",
            )?,
            running: count(
                "SELECT count(*) FROM cron_occurrences
                     WHERE state = 'claimed' AND started_at IS NOT NULL",
            )?,
            waiting: count(
                "SELECT count(*) FROM cron_occurrences
                     WHERE state = 'claimed' AND started_at IS NULL",
            )?,
            next_at,
            behind: next_at.filter(|next| *next < now).map(|next| now.since(next)),
        })
    }
}
