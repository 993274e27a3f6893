//! How long events are kept.

use openclaw_scopes::Timestamp;
use rusqlite::params;

use super::latest;
use crate::act::ActError;
use crate::handle::Store;

/// Events that are kept at most, however new they are: some 15 MB.
const MOST: u64 = 100_000;
/// Rows that one step removes at most: the writer's time is everybody's.
const AT_ONCE: u32 = 500;

impl Store {
    /// Removes the oldest events, up to the first that happened between an instant and now; and those that are more
    /// than are kept. Returns whether there may be more.
    ///
    /// # Errors
    /// When the storage fails; then nothing is removed.
    pub async fn sweep_events(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let most = latest(connection)?.saturating_sub(MOST);
            let sql = "SELECT seq, at FROM event_log ORDER BY seq LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([AT_ONCE], |row| {
                Ok((row.get::<_, u64>(0)?, Timestamp::from_millis(row.get(1)?)))
            })?;
            let (mut last, mut is_full) = (0, true);
            let mut count = 0_u32;
            for row in rows {
                let (seq, at) = row?;
                // One from the future was written by a clock that was ahead: it must not keep what follows it.
                if (before..=now).contains(&at) && seq > most {
                    is_full = false;
                    break;
                }
                last = seq;
                count = count.saturating_add(1);
            }
            let sql = "DELETE FROM event_log WHERE seq <= ?1";
            connection.prepare_cached(sql)?.execute(params![last])?;
            Ok(is_full && count == AT_ONCE)
        })
        .await
    }
}
