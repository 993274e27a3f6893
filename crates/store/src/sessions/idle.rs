//! Conversations that were made for one piece of work, and that nobody uses any more.

use openclaw_scopes::{SessionKey, Timestamp};
use openclaw_sessions::LaneClass;
use rusqlite::{Connection, params};

use crate::error::{StoreError, damaged};
use crate::handle::Store;

/// Nobody has used it since an instant or pinned it, and nothing goes on there or below, or waits.
const UNUSED: &str = "s.deleted_at IS NULL AND s.pinned_at IS NULL AND s.updated_at <= ?1
    AND NOT EXISTS (SELECT 1 FROM runs w
        WHERE w.status IN ('queued', 'running') AND w.session = s.id)
    AND NOT EXISTS (SELECT 1 FROM inbox w WHERE w.state = 'waiting' AND w.session = s.id)
    AND NOT EXISTS (SELECT 1 FROM processes w WHERE w.session = s.id)
    AND NOT EXISTS (SELECT 1 FROM children b JOIN runs w ON w.session = b.session
        WHERE w.status IN ('queued', 'running') AND b.parent = s.id)";

pub(super) fn is_unused(
    connection: &Connection,
    row: i64,
    since: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM sessions s WHERE s.id = ?2 AND {UNUSED})");
    let values = params![since.as_millis(), row];
    connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0))
}

impl Store {
    /// Returns the conversations of jobs, hooks and plugins that were not used since an instant, the longest
    /// unused first: nothing goes on in them, below them or waits for them, and nobody has pinned them. Those
    /// of sub-agents go by a rule of their own.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn unused_passing(&self, since: Timestamp) -> Result<Vec<SessionKey>, StoreError> {
        self.snapshot(|connection| {
            // The classes are decided by the one parser of keys; the patterns only spare it the others.
            let sql = format!(
                "SELECT s.key FROM sessions s WHERE {UNUSED} AND (s.key LIKE '%:cron:%'
                     OR s.key LIKE '%:hook:%' OR s.key LIKE '%plugin%' OR s.key LIKE '%:internal%')
                 ORDER BY s.updated_at"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let keys = statement.query_map([since.as_millis()], |row| row.get::<_, String>(0))?;
            let keys = keys.map(|key| key?.parse().map_err(|error| damaged(0, error)));
            let keys = keys.collect::<rusqlite::Result<Vec<SessionKey>>>()?;
            let goes = |key: &SessionKey| {
                openclaw_sessions::is_passing(key) && LaneClass::of(key) != LaneClass::Subagent
            };
            Ok(keys.into_iter().filter(goes).collect())
        })
    }
}
