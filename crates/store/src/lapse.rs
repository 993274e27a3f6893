//! What nobody decided in time ends on time, and is told then.

use std::convert::Infallible;

use openclaw_pairing::Pending;
use openclaw_scopes::Timestamp;
use rusqlite::params;

use crate::act::ActError;
use crate::handle::Store;
use crate::{approvals, devices, people};

impl Store {
    /// Ends what waits for a person and has lapsed: requests of devices and of people in chats, and approvals.
    /// Returns when the next of those that wait lapses.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn lapse_requests(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ActError<Infallible>> {
        self.step(move |connection| {
            approvals::lapse(connection, now)?;
            devices::expire(connection, now)?;
            people::expire(connection, now)?;
            let sql = "SELECT min(at) FROM (
                SELECT min(expires_at) AS at FROM tool_approvals WHERE state IN ('approved', 'pending')
                UNION ALL
                SELECT min(created_at) + ?1 FROM pairing_requests WHERE state = 'pending'
                UNION ALL
                SELECT min(expires_at) FROM chat_requests)";
            let lifetime = i64::try_from(Pending::LIFETIME.as_millis()).unwrap_or(i64::MAX);
            let next: Option<i64> = connection
                .prepare_cached(sql)?
                .query_row(params![lifetime], |row| row.get(0))?;
            Ok(next.map(Timestamp::from_millis))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::Timestamp;

    use crate::tests::Bed;

    #[tokio::test]
    async fn people_in_chats_wait_until_their_time_is_up() {
        let bed = Bed::new();
        let store = bed.open();
        let at = Timestamp::from_millis;
        assert_eq!(store.lapse_requests(at(0)).await.unwrap(), None);
        for (sender, expires_at) in [("7", 900), ("8", 700)] {
            let sql = format!(
                "INSERT INTO chat_requests (channel, account, sender, name, code, requested_at, expires_at)
                 VALUES ('telegram', 'default', '{sender}', '', 'CODE{sender}', 100, {expires_at})"
            );
            bed.raw().execute_batch(&sql).unwrap();
        }
        let left = || -> u32 {
            let sql = "SELECT count(*) FROM chat_requests";
            bed.raw().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((store.lapse_requests(at(699)).await.unwrap(), left()), (Some(at(700)), 2));
        assert_eq!((store.lapse_requests(at(700)).await.unwrap(), left()), (Some(at(900)), 1));
        assert_eq!((store.lapse_requests(at(901)).await.unwrap(), left()), (None, 0));
    }
}
