//! How long the ledger is kept.

use std::time::Duration;

use openclaw_scopes::Timestamp;
use rusqlite::params;

use super::JobError;
use crate::act::ActError;
use crate::handle::Store;

/// How long rows are kept (`runtime.md` §4.6 of the reference), and of how many instants of one job.
const KEPT: Duration = Duration::from_hours(7 * 24);
const KEPT_OF_JOB: u32 = 2_000;
/// Rows that one step removes at most: the writer's time is everybody's.
const AT_ONCE: u32 = 500;

impl Store {
    /// Removes rows of the ledger that are older than they are kept, but the newest one of each job; and jobs
    /// that were removed as long ago. Returns whether there may be more.
    ///
    /// # Errors
    /// When the storage fails; then nothing is removed.
    pub async fn sweep_ledger(&self, now: Timestamp) -> Result<bool, ActError<JobError>> {
        let old = now.saturating_sub(KEPT).as_millis();
        self.step(move |connection| {
            let sql = "DELETE FROM cron_occurrences WHERE id IN
                           (SELECT o.id FROM cron_occurrences o JOIN cron_jobs j ON j.id = o.job
                            WHERE o.ended_at IS NOT NULL AND o.ended_at < ?1
                                AND (j.deleted_at IS NOT NULL OR o.scheduled_at <
                                    (SELECT max(scheduled_at) FROM cron_occurrences WHERE job = o.job))
                            LIMIT ?2)";
            let mut removed = connection.prepare_cached(sql)?.execute(params![old, AT_ONCE])?;
            let sql = "DELETE FROM cron_occurrences WHERE id IN
                           (SELECT o.id FROM cron_occurrences o
                            WHERE o.ended_at IS NOT NULL AND o.scheduled_at <
                                (SELECT scheduled_at FROM cron_occurrences WHERE job = o.job
                                 ORDER BY scheduled_at DESC LIMIT 1 OFFSET ?1)
                            LIMIT ?2)";
            removed = removed.saturating_add(
                connection.prepare_cached(sql)?.execute(params![KEPT_OF_JOB, AT_ONCE])?,
            );
            let sql = "DELETE FROM cron_jobs WHERE id IN
                           (SELECT id FROM cron_jobs j WHERE deleted_at IS NOT NULL AND deleted_at < ?1
                                AND NOT EXISTS (SELECT 1 FROM cron_occurrences WHERE job = j.id)
                            LIMIT ?2)";
            removed = removed
                .saturating_add(connection.prepare_cached(sql)?.execute(params![old, AT_ONCE])?);
            Ok(removed > 0)
        })
        .await
    }
}
