//! Sending: claims with leases and fences, and what came of each attempt.

use std::time::Duration;

use openclaw_scopes::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{DeliveryError, ReplyTo};
use crate::act::ActError;
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::runs;

/// How long one part may take: longer than any client waits for a platform.
const LEASE: Duration = Duration::from_secs(120);
/// How often it is tried again, and after how long (`runtime.md` §7.6 of the reference).
const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(25),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(600),
];
/// The longest that a platform may have us wait.
const LONGEST: Duration = Duration::from_hours(1);
/// Bytes of an error that are kept.
const MAX_ERROR: usize = 500;
/// How long what has settled is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// The right to send one delivery, until its lease lapses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliveryFence {
    row: i64,
    fence: u64,
}

/// A delivery that is to be sent now.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// The right to send it.
    pub fence: DeliveryFence,
    /// Its id: the idempotency key for the platform.
    pub id: String,
    /// Where it goes.
    pub to: ReplyTo,
    /// What is said.
    pub text: String,
    /// What is sent along; empty for nothing.
    pub media: String,
    /// What can be answered with one touch: labels, and what they say.
    pub buttons: Vec<(String, String)>,
    /// How many of its parts have gone.
    pub gone: usize,
    /// The conversation that it belongs to; empty for none.
    pub session: String,
    /// What it is of.
    pub source: String,
    /// When it was written.
    pub created_at: Timestamp,
}

/// What came of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It does not arrive, whoever tries.
    Dead(String),
    /// It is not gone on with for now, and nothing was tried.
    Later,
    /// A part has arrived; others follow, or none.
    Part {
        /// The platform's receipt.
        receipt: String,
        /// How many parts there are in all.
        of: u32,
    },
    /// It is to be tried again, at the earliest after so long.
    Retry {
        /// How long the platform wants to be left alone.
        after: Option<Duration>,
        /// What went wrong.
        error: String,
    },
    /// Whether it arrived cannot be told.
    Unknown(String),
}

/// What becomes of deliveries that were being sent when whoever sent them was gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lost {
    /// They are sent again: the platform tells a repetition from a new message.
    Again,
    /// Nobody knows whether they arrived.
    Unknown,
}

const CLAIM: &str = "SELECT o.id, o.fence, o.delivery, o.channel, o.account, o.kind, o.peer, o.thread, o.answers,
        o.text, o.media, o.receipts, o.session, o.source, o.created_at, o.on_behalf_of, o.grant_epoch,
        o.grant_scopes, o.buttons
    FROM outbox o
    WHERE o.state = 'waiting' AND o.channel = ?1 AND o.account = ?2 AND o.next_at <= ?3
        AND NOT EXISTS (SELECT 1 FROM outbox b
            WHERE b.state IN ('sending', 'waiting') AND b.channel = o.channel AND b.account = o.account
                AND b.peer = o.peer AND b.thread = o.thread AND b.id < o.id)
    ORDER BY o.next_at, o.id LIMIT ?4";

impl Store {
    /// Claims deliveries of one channel that are to be sent now: of those to one place, one after the other. What
    /// rests on a grant that has ended is given up instead, and what was claimed before is lost when its lease has
    /// lapsed.
    ///
    /// # Errors
    /// When the storage fails; then nothing is claimed.
    pub async fn claim_deliveries(
        &self,
        channel: String,
        account: String,
        limit: u32,
        lost: Lost,
        now: Timestamp,
    ) -> Result<Vec<ClaimedDelivery>, ActError<DeliveryError>> {
        self.step(move |connection| {
            lose(connection, &channel, lost, (now, "what came of it was not noted in time"), now)?;
            let mut statement = connection.prepare_cached(CLAIM)?;
            let values = params![channel, account, now.as_millis(), limit];
            let found: Vec<_> =
                statement.query_map(values, claimed)?.collect::<rusqlite::Result<_>>()?;
            let mut all = Vec::with_capacity(found.len());
            for (mut delivery, holder, epoch, scopes) in found {
                //= docs/threat-model.md#T17
                if runs::grant_of(connection, &holder, epoch, &scopes)?.is_none() {
                    let error = "the grant that it rests on has ended";
                    settle(connection, delivery.fence, "dead", error, now)?;
                    continue;
                }
                let sql = "UPDATE outbox SET state = 'sending', fence = fence + 1, attempts = attempts + 1,
                               lease_until = ?2 WHERE id = ?1";
                let until = now.saturating_add(LEASE).as_millis();
                connection.prepare_cached(sql)?.execute(params![delivery.fence.row, until])?;
                delivery.fence.fence = delivery.fence.fence.saturating_add(1);
                all.push(delivery);
            }
            Ok(all)
        })
        .await
    }

    /// Notes what came of an attempt, as whoever holds the delivery; returns whether it still does.
    ///
    /// # Errors
    /// When the storage fails; then nothing is noted.
    pub async fn delivery_progress(
        &self,
        fence: DeliveryFence,
        progress: Progress,
        now: Timestamp,
    ) -> Result<bool, ActError<DeliveryError>> {
        self.step(move |connection| {
            let sql = "SELECT attempts, receipts FROM outbox
                       WHERE id = ?1 AND fence = ?2 AND state = 'sending'";
            let held = connection
                .prepare_cached(sql)?
                .query_row(params![fence.row, fence.fence], |row| {
                    Ok((row.get::<_, usize>(0)?, row.get::<_, String>(1)?))
                });
            let (attempts, receipts) = match held {
                Ok(held) => held,
                Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(false),
                Err(error) => return Err(Fault::Store(error)),
            };
            let mut receipts: Vec<String> =
                serde_json::from_str(&receipts).map_err(|error| damaged(1, error))?;
            let given_up = if receipts.is_empty() { "dead" } else { "partial" };
            match &progress {
                Progress::Part { receipt, of } => {
                    receipts.push(receipt.clone());
                    let is_last = receipts.len() >= usize::try_from(*of).unwrap_or(usize::MAX);
                    let text =
                        serde_json::to_string(&receipts).map_err(|error| damaged(1, error))?;
                    let sql = "UPDATE outbox SET receipts = ?2, parts = ?3, lease_until = ?4 WHERE id = ?1";
                    let until = now.saturating_add(LEASE).as_millis();
                    connection.prepare_cached(sql)?.execute(params![fence.row, text, of, until])?;
                    if is_last {
                        settle(connection, fence, "sent", "", now)?;
                    }
                    return Ok(!is_last);
                }
                Progress::Dead(error) => settle(connection, fence, given_up, error, now)?,
                Progress::Later => {
                    let sql = "UPDATE outbox SET state = 'waiting', attempts = attempts - 1, next_at = ?2,
                                   lease_until = NULL WHERE id = ?1";
                    let values = params![fence.row, now.as_millis()];
                    connection.prepare_cached(sql)?.execute(values)?;
                }
                Progress::Unknown(error) => settle(connection, fence, "unknown", error, now)?,
                Progress::Retry { after, error } => {
                    match BACK_OFF.get(attempts.saturating_sub(1)) {
                        None => settle(connection, fence, given_up, error, now)?,
                        Some(wait) => {
                            let wait = after.map_or(*wait, |after| after.max(*wait).min(LONGEST));
                            again(connection, fence, now.saturating_add(wait), error)?;
                        }
                    }
                }
            }
            Ok(false)
        })
        .await
    }

    /// After a start: what was being sent on a channel when the gateway stopped.
    ///
    /// # Errors
    /// When the storage fails; then nothing is changed.
    pub async fn lost_deliveries(
        &self,
        channel: String,
        lost: Lost,
        now: Timestamp,
    ) -> Result<(), ActError<DeliveryError>> {
        self.step(move |connection| {
            let stopped = "the gateway stopped while it was being sent";
            lose(connection, &channel, lost, (Timestamp::from_millis(i64::MAX), stopped), now)?;
            Ok(())
        })
        .await
    }

    /// Returns when something is to be sent next on a channel that waits for nothing else, or the lease of what is
    /// being sent lapses; `None` when neither does.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn next_delivery_at(
        &self,
        channel: &str,
        account: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT min(at) FROM
                           (SELECT o.next_at AS at FROM outbox o
                            WHERE o.state = 'waiting' AND o.channel = ?1 AND o.account = ?2
                                AND NOT EXISTS (SELECT 1 FROM outbox b
                                    WHERE b.state IN ('sending', 'waiting') AND b.channel = o.channel
                                        AND b.account = o.account AND b.peer = o.peer
                                        AND b.thread = o.thread AND b.id < o.id)
                            UNION ALL
                            SELECT lease_until FROM outbox
                            WHERE state IN ('sending', 'waiting') AND state = 'sending' AND channel = ?1)";
            let at: Option<i64> =
                connection.prepare_cached(sql)?.query_row([channel, account], |row| row.get(0))?;
            Ok(at.map(Timestamp::from_millis))
        })
    }

    /// Returns how many deliveries wait on a channel, and how many did not arrive or may not have.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn delivery_counts(&self, channel: &str) -> Result<(u64, u64), StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT count(*) FILTER (WHERE state IN ('sending', 'waiting')),
                           count(*) FILTER (WHERE state IN ('dead', 'partial', 'unknown'))
                       FROM outbox WHERE channel = ?1";
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            Ok(connection.prepare_cached(sql)?.query_row([channel], read)?)
        })
    }

    /// Removes deliveries that settled longer ago than they are kept. Returns whether there may be more.
    ///
    /// # Errors
    /// When the storage fails; then nothing is removed.
    pub async fn sweep_deliveries(&self, now: Timestamp) -> Result<bool, ActError<DeliveryError>> {
        let old = now.saturating_sub(KEPT).as_millis();
        self.step(move |connection| {
            // What nobody could send for as long, because its channel is gone or never came up, is not sent when it
            // is no news any more.
            let sql = "UPDATE outbox SET state = 'dead', settled_at = ?2,
                           error = 'its channel could not send it for as long as deliveries are kept'
                       WHERE id IN (SELECT id FROM outbox WHERE state = 'waiting' AND next_at < ?1 LIMIT 500)";
            connection.prepare_cached(sql)?.execute(params![old, now.as_millis()])?;
            let sql = "DELETE FROM outbox WHERE id IN
                           (SELECT id FROM outbox WHERE settled_at IS NOT NULL AND settled_at < ?1
                            LIMIT 500)";
            Ok(connection.prepare_cached(sql)?.execute([old])? > 0)
        })
        .await
    }
}

fn claimed(row: &Row<'_>) -> rusqlite::Result<(ClaimedDelivery, String, u64, String)> {
    let text = |column: usize| row.get::<_, String>(column);
    let receipts: Vec<String> =
        serde_json::from_str(&text(11)?).map_err(|error| damaged(11, error))?;
    let to = ReplyTo {
        channel: text(3)?,
        account: text(4)?,
        kind: text(5)?,
        peer: text(6)?,
        thread: text(7)?,
        answers: text(8)?,
        ..ReplyTo::default()
    };
    let delivery = ClaimedDelivery {
        fence: DeliveryFence { row: row.get(0)?, fence: row.get(1)? },
        id: text(2)?,
        to,
        text: text(9)?,
        media: text(10)?,
        buttons: serde_json::from_str(&text(18)?).map_err(|error| damaged(18, error))?,
        gone: receipts.len(),
        session: text(12)?,
        source: text(13)?,
        created_at: Timestamp::from_millis(row.get(14)?),
    };
    Ok((delivery, text(15)?, row.get(16)?, text(17)?))
}

/// Settles what of a channel is being sent by nobody any more: that of which the lease ends until an instant, and
/// why.
fn lose(
    connection: &Connection,
    channel: &str,
    lost: Lost,
    (until, error): (Timestamp, &str),
    now: Timestamp,
) -> rusqlite::Result<()> {
    // Both states are named for the sake of the index of what is open.
    let sql = match lost {
        Lost::Again => {
            "UPDATE outbox SET state = 'waiting', error = ?4, next_at = ?2, lease_until = NULL
             WHERE state IN ('sending', 'waiting') AND state = 'sending' AND channel = ?1
                 AND coalesce(lease_until, 0) <= ?3"
        }
        Lost::Unknown => {
            "UPDATE outbox SET state = 'unknown', error = ?4, settled_at = ?2, lease_until = NULL
             WHERE state IN ('sending', 'waiting') AND state = 'sending' AND channel = ?1
                 AND coalesce(lease_until, 0) <= ?3"
        }
    };
    let values = params![channel, now.as_millis(), until.as_millis(), error];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

fn settle(
    connection: &Connection,
    fence: DeliveryFence,
    state: &str,
    error: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET state = ?2, error = ?3, settled_at = ?4, lease_until = NULL
               WHERE id = ?1";
    let error = crate::children::cut(error, MAX_ERROR);
    let values = params![fence.row, state, error, now.as_millis()];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

fn again(
    connection: &Connection,
    fence: DeliveryFence,
    at: Timestamp,
    error: &str,
) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET state = 'waiting', error = ?2, next_at = ?3, lease_until = NULL
               WHERE id = ?1";
    let error = crate::children::cut(error, MAX_ERROR);
    connection.prepare_cached(sql)?.execute(params![fence.row, error, at.as_millis()]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    const CHANNEL: &str = "chat";

    async fn say(bed: &Bed, store: &Store, source: &str) {
        let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
        let to = ReplyTo { channel, account, peer: "1".into(), ..ReplyTo::default() };
        let said = store.say_as_gateway(source.into(), to, source.into(), bed.now()).await;
        said.unwrap();
    }

    async fn claim(bed: &Bed, store: &Store, lost: Lost) -> Vec<ClaimedDelivery> {
        let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
        store.claim_deliveries(channel, account, 8, lost, bed.now()).await.unwrap()
    }

    fn texts(claimed: &[ClaimedDelivery]) -> Vec<&str> {
        claimed.iter().map(|delivery| delivery.text.as_str()).collect()
    }

    #[tokio::test]
    async fn a_lease_that_lapsed_blocks_nothing() {
        for (lost, next, failed) in [(Lost::Unknown, "b", 1), (Lost::Again, "a", 0)] {
            let bed = Bed::new();
            let store = bed.open();
            say(&bed, &store, "a").await;
            say(&bed, &store, "b").await;
            let first = claim(&bed, &store, lost).await;
            assert_eq!(texts(&first), ["a"]);
            // Nobody notes what came of it. Until the lease lapses, that may still come.
            bed.advance(60_000);
            assert_eq!(texts(&claim(&bed, &store, lost).await), [""; 0]);
            let due = store.next_delivery_at(CHANNEL, "default").unwrap().unwrap();
            bed.advance(due.since(bed.now()).as_millis().try_into().unwrap());
            assert_eq!(texts(&claim(&bed, &store, lost).await), [next], "{lost:?}");
            assert_eq!(store.delivery_counts(CHANNEL).unwrap().1, failed, "{lost:?}");
            let late = Progress::Part { receipt: "r".into(), of: 1 };
            let held = store.delivery_progress(first[0].fence, late, bed.now()).await.unwrap();
            assert!(!held, "who comes late has no say");
        }
    }

    #[tokio::test]
    async fn what_is_asked_of_one_source_is_asked_once() {
        let bed = Bed::new();
        let store = bed.open();
        let buttons = vec![("Approve".to_owned(), "/approve a".to_owned())];
        for peer in ["1", "2"] {
            let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
            let to = ReplyTo { channel, account, peer: peer.into(), ..ReplyTo::default() };
            let (source, text) = ("approval:a".to_owned(), "May I?".to_owned());
            let asked = store.ask_as_gateway(source, to, text, buttons.clone(), bed.now());
            asked.await.unwrap();
        }
        let [asked] = claim(&bed, &store, Lost::Unknown).await.try_into().unwrap();
        assert_eq!((&*asked.to.peer, &*asked.text, &asked.buttons), ("1", "May I?", &buttons));
    }

    #[tokio::test]
    async fn what_is_put_off_has_lost_no_attempt() {
        let bed = Bed::new();
        let store = bed.open();
        say(&bed, &store, "a").await;
        for _ in 0..10 {
            let claimed = claim(&bed, &store, Lost::Unknown).await;
            assert_eq!(texts(&claimed), ["a"]);
            let later = store.delivery_progress(claimed[0].fence, Progress::Later, bed.now());
            assert!(!later.await.unwrap());
        }
        let [delivery] = claim(&bed, &store, Lost::Unknown).await.try_into().unwrap();
        let error = "busy".to_owned();
        let retry = Progress::Retry { after: None, error };
        store.delivery_progress(delivery.fence, retry, bed.now()).await.unwrap();
        assert_eq!(store.delivery_counts(CHANNEL).unwrap(), (1, 0), "there are attempts left");
    }
}
