//! What the gateway's owner is told of messages that did not arrive, or of which that cannot be told.

use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_scopes::{GrantHolder, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::ReplyTo;
use super::put::put_as_gateway;
use crate::act::ActError;
use crate::error::StoreError;
use crate::handle::Store;

/// How long it stays quiet after it was told of some: a channel that is down loses many.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// How the sources of these messages begin; behind it stands when they were written.
const NOTICE: &str = "notice:";

/// Notices of one look that are told once more.
const AT_ONCE: u32 = 16;

/// Messages that did not arrive, and of which nobody was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// The channels on which.
    pub channels: BTreeSet<String>,
    /// How many.
    pub count: u64,
    /// The id of the newest.
    pub id: String,
    /// Where that was to go: its channel and whom it is with.
    pub to: (String, String),
    /// What became of it: `dead`, `partial` or `unknown`.
    pub state: String,
    /// What went wrong.
    pub error: String,
}

/// What an owner was told, and did not get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LostNotice {
    /// Its id.
    pub id: String,
    /// Where it was to go: its channel and whom it is with.
    pub to: (String, String),
    /// What it says.
    pub text: String,
}

/// Until when the owner was told. A notice that lies ahead was written under a clock that was wrong, and silences
/// nothing.
fn told_until(connection: &Connection, now: Timestamp) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(created_at), 0) FROM outbox
               WHERE source >= 'notice:' AND source < 'notice;' AND created_at <= ?1";
    connection.prepare_cached(sql)?.query_row([now.as_millis()], |row| row.get(0))
}

/// What is to be told: it settled since then, and is of somebody. What the gateway says itself is nothing to be told
/// of: it would never end.
const LOST: &str =
    "state IN ('dead', 'partial', 'unknown') AND settled_at > ?1 AND settled_at <= ?2
    AND on_behalf_of <> ?3";

fn undelivered(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Undelivered>> {
    let told = told_until(connection, now)?;
    if now.since(Timestamp::from_millis(told)) < QUIET {
        return Ok(None);
    }
    let gateway = GrantHolder::Gateway.to_string();
    let values = params![told, now.as_millis(), gateway];
    let sql = format!(
        "SELECT count(*) OVER (), delivery, channel, peer, state, error FROM outbox WHERE {LOST}
         ORDER BY settled_at DESC, id DESC LIMIT 1"
    );
    let newest = connection
        .prepare_cached(&sql)?
        .query_row(values, |row| {
            Ok(Undelivered {
                channels: BTreeSet::new(),
                count: row.get(0)?,
                id: row.get(1)?,
                to: (row.get(2)?, row.get(3)?),
                state: row.get(4)?,
                error: row.get(5)?,
            })
        })
        .optional()?;
    let Some(newest) = newest else { return Ok(None) };
    let sql = format!("SELECT DISTINCT channel FROM outbox WHERE {LOST}");
    let mut statement = connection.prepare_cached(&sql)?;
    let channels =
        statement.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Undelivered { channels, ..newest }))
}

impl Store {
    /// Returns what did not arrive since the owner was last told, once an hour at most.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn undelivered(&self, now: Timestamp) -> Result<Option<Undelivered>, StoreError> {
        self.snapshot(|connection| Ok(undelivered(connection, now)?))
    }

    /// Tells the owner of what did not arrive until now.
    ///
    /// # Errors
    /// When the storage fails; then nothing is said.
    pub async fn tell_of_undelivered(
        &self,
        to: ReplyTo,
        text: String,
        now: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            if undelivered(connection, now)?.is_none() {
                return Ok(());
            }
            let source = format!("{NOTICE}{}", now.as_millis());
            Ok(put_as_gateway(connection, source, to.clone(), text.clone(), now)?)
        })
        .await
    }

    /// Returns what owners were told within the last hour and did not get, unless it was told once more.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn lost_notices(&self, now: Timestamp) -> Result<Vec<LostNotice>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT delivery, channel, peer, text FROM outbox o
                       WHERE state IN ('dead', 'partial', 'unknown') AND settled_at > ?1 AND settled_at <= ?2
                           AND on_behalf_of = ?3 AND (source GLOB 'notice:*' OR source GLOB 'alert:*')
                           AND NOT EXISTS (SELECT 1 FROM outbox WHERE source = 'again:' || o.delivery)
                       ORDER BY settled_at, id LIMIT ?4";
            let since = now.saturating_sub(QUIET).as_millis();
            let gateway = GrantHolder::Gateway.to_string();
            let read = |row: &Row<'_>| {
                let to = (row.get(1)?, row.get(2)?);
                Ok(LostNotice { id: row.get(0)?, to, text: row.get(3)? })
            };
            let mut statement = connection.prepare_cached(sql)?;
            let values = params![since, now.as_millis(), gateway, AT_ONCE];
            Ok(statement.query_map(values, read)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Tells another owner what the first did not get: once, whether it arrives or not.
    ///
    /// # Errors
    /// When the storage fails; then nothing is said.
    pub async fn tell_again(
        &self,
        lost: LostNotice,
        to: ReplyTo,
        now: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let source = format!("again:{}", lost.id);
            Ok(put_as_gateway(connection, source, to.clone(), lost.text.clone(), now)?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Lost, Progress};
    use crate::tests::Bed;

    const YEAR: i64 = 365 * 24 * 60 * 60 * 1_000;

    fn to(channel: &str) -> ReplyTo {
        let (channel, account) = (channel.to_owned(), "default".to_owned());
        ReplyTo { channel, account, peer: "1".into(), ..ReplyTo::default() }
    }

    async fn lose(bed: &Bed, store: &Store, channel: &str) {
        send(bed, store, channel, &Progress::Dead("gone".into())).await;
    }

    /// Sends what waits on a channel, and this comes of it.
    async fn send(bed: &Bed, store: &Store, channel: &str, progress: &Progress) {
        let (name, account) = (channel.to_owned(), "default".to_owned());
        let claimed = store.claim_deliveries(name, account, 8, Lost::Unknown, bed.now()).await;
        for delivery in claimed.unwrap() {
            let noted = store.delivery_progress(delivery.fence, progress.clone(), bed.now());
            noted.await.unwrap();
        }
    }

    /// Has a message of somebody not arrive.
    async fn message_is_lost(bed: &Bed, store: &Store, source: &str, channel: &str) {
        let said = store.say_as_gateway(source.into(), to(channel), "Hello.".into(), bed.now());
        said.await.unwrap();
        let sql = "UPDATE outbox SET on_behalf_of = 'owner' WHERE source = ?1";
        assert_eq!(bed.raw().execute(sql, [source]).unwrap(), 1);
        lose(bed, store, channel).await;
    }

    async fn tell(bed: &Bed, store: &Store, channel: &str) {
        store.tell_of_undelivered(to(channel), "Lost.".into(), bed.now()).await.unwrap();
    }

    async fn tell_and_arrive(bed: &Bed, store: &Store) {
        tell(bed, store, "owners").await;
        send(bed, store, "owners", &Progress::Part { receipt: "r".into(), of: 1 }).await;
    }

    /// How many are to be told of.
    fn count(bed: &Bed, store: &Store) -> u64 {
        store.undelivered(bed.now()).unwrap().map_or(0, |lost| lost.count)
    }

    #[tokio::test]
    async fn owners_are_told_of_all_of_it_once_an_hour() {
        let bed = Bed::new();
        let store = bed.open();
        bed.advance(YEAR);
        message_is_lost(&bed, &store, "a", "chat").await;
        message_is_lost(&bed, &store, "b", "post").await;
        let lost = store.undelivered(bed.now()).unwrap().unwrap();
        assert_eq!((lost.count, &*lost.to.0), (2, "post"));
        assert_eq!(lost.channels, ["chat", "post"].map(str::to_owned).into());
        tell_and_arrive(&bed, &store).await;
        message_is_lost(&bed, &store, "c", "chat").await;
        assert_eq!(count(&bed, &store), 0, "not yet");
        bed.advance(QUIET.as_millis().try_into().unwrap());
        assert_eq!(count(&bed, &store), 1);
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_mutes_nothing_and_repeats_nothing() {
        let bed = Bed::new();
        let store = bed.open();
        bed.advance(YEAR);
        message_is_lost(&bed, &store, "before", "chat").await;
        tell_and_arrive(&bed, &store).await;
        bed.advance(YEAR);
        message_is_lost(&bed, &store, "ahead", "chat").await;
        tell_and_arrive(&bed, &store).await;
        assert_eq!(count(&bed, &store), 0);
        bed.advance(-YEAR);
        bed.advance(QUIET.as_millis().try_into().unwrap());
        message_is_lost(&bed, &store, "after", "chat").await;
        assert_eq!(count(&bed, &store), 1);
        tell_and_arrive(&bed, &store).await;
        for _ in 0..3 {
            bed.advance(QUIET.as_millis().try_into().unwrap());
            assert_eq!(count(&bed, &store), 0);
        }
        // What was lost meanwhile counts as lost now: it is told of, whether it was then or not.
        store.sweep_deliveries(bed.now()).await.unwrap();
        assert_eq!(count(&bed, &store), 1);
        tell_and_arrive(&bed, &store).await;
        bed.advance(QUIET.as_millis().try_into().unwrap());
        assert_eq!(count(&bed, &store), 0);
    }

    #[tokio::test]
    async fn a_notice_that_did_not_arrive_is_told_once_more() {
        let bed = Bed::new();
        let store = bed.open();
        bed.advance(YEAR);
        message_is_lost(&bed, &store, "a", "post").await;
        tell(&bed, &store, "chat").await;
        assert_eq!(store.lost_notices(bed.now()).unwrap(), [], "it is on its way");
        lose(&bed, &store, "chat").await;
        let [lost] = store.lost_notices(bed.now()).unwrap().try_into().unwrap();
        assert_eq!((&*lost.to.0, &*lost.to.1, &*lost.text), ("chat", "1", "Lost."));
        for channel in ["post", "other"] {
            store.tell_again(lost.clone(), to(channel), bed.now()).await.unwrap();
        }
        assert_eq!(store.delivery_counts("post").unwrap().0, 1);
        assert_eq!(store.delivery_counts("other").unwrap().0, 0, "once");
        lose(&bed, &store, "post").await;
        assert_eq!(store.lost_notices(bed.now()).unwrap(), [], "there is an end to it");
        assert_eq!(count(&bed, &store), 0);
    }

    #[tokio::test]
    async fn a_notice_of_hours_ago_is_not_told_any_more() {
        let bed = Bed::new();
        let store = bed.open();
        bed.advance(YEAR);
        message_is_lost(&bed, &store, "a", "post").await;
        tell(&bed, &store, "chat").await;
        lose(&bed, &store, "chat").await;
        bed.advance(QUIET.as_millis().try_into().unwrap());
        assert_eq!(store.lost_notices(bed.now()).unwrap(), []);
    }
}
