//! Conversations that were made for one piece of work, and that nobody uses any more.

use openclaw_scopes::{SessionKey, Timestamp};
use openclaw_sessions::LaneClass;

use crate::error::{StoreError, damaged};
use crate::handle::Store;

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
            let sql = "SELECT s.key FROM sessions s
                       WHERE s.deleted_at IS NULL AND s.pinned_at IS NULL AND s.updated_at <= ?1
                           AND (s.key LIKE '%:cron:%' OR s.key LIKE '%:hook:%'
                               OR s.key LIKE '%plugin%' OR s.key LIKE '%:internal%')
                           AND NOT EXISTS (SELECT 1 FROM runs w
                               WHERE w.status IN ('queued', 'running') AND w.session = s.id)
                           AND NOT EXISTS (SELECT 1 FROM inbox w
                               WHERE w.state = 'waiting' AND w.session = s.id)
                           AND NOT EXISTS (SELECT 1 FROM processes w WHERE w.session = s.id)
                           AND NOT EXISTS (SELECT 1 FROM children b JOIN runs w ON w.session = b.session
                               WHERE w.status IN ('queued', 'running') AND b.parent = s.id)
                       ORDER BY s.updated_at";
            let mut statement = connection.prepare_cached(sql)?;
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
