//! What owners are told of their jobs: that one fails again and again, or is due no more.

use openclaw_scopes::{JobId, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::act::ActError;
use crate::error::{StoreError, damaged};
use crate::handle::Store;
use crate::outbox::{ReplyTo, put_as_gateway};

/// What an owner is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It is due no more until somebody switches it on.
    Disabled,
    /// It failed several times in a row, and is due again.
    Failing,
}

impl Notice {
    const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Failing => "failing",
        }
    }
}

/// Something that the owner of a job is still to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobNotice {
    /// The job.
    pub job: JobId,
    /// What people call it.
    pub name: String,
    /// What the owner is told.
    pub notice: Notice,
    /// Why it is due no more, or failed the last time.
    pub reason: String,
    /// How often it failed in a row.
    pub failures: u32,
    /// When that was decided.
    pub at: Timestamp,
}

impl JobNotice {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let is_failing = row.get::<_, String>(2)? == Notice::Failing.name();
        let id: String = row.get(0)?;
        Ok(Self {
            job: id.parse().map_err(|error| damaged(0, error))?,
            name: row.get(1)?,
            notice: if is_failing { Notice::Failing } else { Notice::Disabled },
            reason: row.get(if is_failing { 6 } else { 5 })?,
            failures: row.get(3)?,
            at: Timestamp::from_millis(row.get(4)?),
        })
    }
}

/// Has an owner be told.
pub(super) fn note(
    connection: &Connection,
    job: i64,
    notice: Notice,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE cron_jobs SET notice = ?2, told_at = ?3 WHERE id = ?1";
    let values = params![job, notice.name(), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

impl Store {
    /// Returns what owners are still to be told of their jobs, oldest first.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn job_notices(&self, limit: u32) -> Result<Vec<JobNotice>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT job, name, notice, failures, coalesce(told_at, updated_at), disabled,
                           coalesce((SELECT text FROM cron_occurrences o WHERE o.job = j.id
                               AND o.state IN ('failed', 'lost') ORDER BY o.id DESC LIMIT 1), '')
                       FROM cron_jobs j WHERE notice <> '' ORDER BY id LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map([limit], JobNotice::from_row)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Tells the owner of a job, in the step in which it is noted that they were told. Where there is no place at
    /// which they read, that is all.
    ///
    /// # Errors
    /// When the storage fails; then nothing is said.
    pub async fn tell_of_job(
        &self,
        notice: JobNotice,
        to: Option<ReplyTo>,
        text: String,
        now: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let sql = "UPDATE cron_jobs SET notice = '' WHERE job = ?1 AND notice = ?2";
            let values = params![notice.job.as_str(), notice.notice.name()];
            if connection.prepare_cached(sql)?.execute(values)? == 0 {
                return Ok(());
            }
            let Some(to) = to.clone() else { return Ok(()) };
            let source = format!("alert:{}:{}", notice.job, notice.at.as_millis());
            Ok(put_as_gateway(connection, source, to, text.clone(), now)?)
        })
        .await
    }
}
