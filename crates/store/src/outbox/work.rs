//! Sending: claims with leases and fences, and what came of each attempt.

use std::time::Duration;

use openclaw_scopes::Timestamp;
use openclaw_sessions::Poll;
use rusqlite::{Connection, Row, params};

use super::{DeliveryError, ReplyTo, poll};
use crate::act::ActError;
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::runs;

/// How long one part may take: longer than any client waits for a platform.
const LEASE: Duration = Duration::from_secs(120);
/// What an instant is whole numbers of.
const MILLI: Duration = Duration::from_millis(1);
/// How often it is tried again, and after how long (`runtime.md` §7.6 of the reference).
const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(25),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(600),
];
/// The longest that a platform may have us wait. Nothing is put off for longer: an instant that lies farther ahead
/// was written under a clock that was wrong.
const LONGEST: Duration = Duration::from_hours(1);
/// How often one delivery is begun before a wait that the platform asks for counts as an attempt. Reason: it is more
/// than a message has parts, and so many of the longest waits end before it is forgotten.
const MAX_BEGUN: u64 = 128;
/// Bytes of an error that are kept.
const MAX_ERROR: usize = 500;
/// How long what has settled is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How long what waits for a channel that cannot send it is left alone, twice.
const TERM: Duration = Duration::from_hours(7 * 12);

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
    /// What is asked instead; `None` for what is no poll.
    pub poll: Option<Poll>,
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
        /// How long the platform wants to be left alone: that is no failed attempt, unless there is no end to it.
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
        o.grant_scopes, o.buttons, o.poll
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
            let sql = "UPDATE outbox SET next_at = ?3
                       WHERE state = 'waiting' AND channel = ?1 AND account = ?2 AND next_at > ?4";
            let values = params![channel, account, now.as_millis(), wrong(now)];
            connection.prepare_cached(sql)?.execute(values)?;
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
                    // What has arrived is done with: the next part has all its attempts, this one among them.
                    let attempts = if is_last { attempts } else { 1 };
                    let sql = "UPDATE outbox SET receipts = ?2, parts = ?3, lease_until = ?4, attempts = ?5
                               WHERE id = ?1";
                    let until = now.saturating_add(LEASE).as_millis();
                    let values = params![fence.row, text, of, until, attempts];
                    connection.prepare_cached(sql)?.execute(values)?;
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
                    let failed = attempts.saturating_sub(1);
                    // Instants are whole milliseconds: one that is cut off is asked for too early.
                    let asked = after.map(|it| it.saturating_add(MILLI).min(LONGEST));
                    match (asked, BACK_OFF.get(failed)) {
                        (Some(wait), _) if fence.fence <= MAX_BEGUN => {
                            let at = now.saturating_add(wait);
                            again(connection, fence, failed, (at, error))?;
                        }
                        (_, None) => settle(connection, fence, given_up, error, now)?,
                        (asked, Some(wait)) => {
                            let at = now.saturating_add(asked.unwrap_or_default().max(*wait));
                            again(connection, fence, attempts, (at, error))?;
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
    /// being sent lapses; `None` when neither does. What was written under a clock that was ahead is due now.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn next_delivery_at(
        &self,
        channel: &str,
        account: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT min(iif(at > ?4, ?3, at)) FROM
                           (SELECT o.next_at AS at FROM outbox o
                            WHERE o.state = 'waiting' AND o.channel = ?1 AND o.account = ?2
                                AND NOT EXISTS (SELECT 1 FROM outbox b
                                    WHERE b.state IN ('sending', 'waiting') AND b.channel = o.channel
                                        AND b.account = o.account AND b.peer = o.peer
                                        AND b.thread = o.thread AND b.id < o.id)
                            UNION ALL
                            SELECT lease_until FROM outbox
                            WHERE state IN ('sending', 'waiting') AND state = 'sending' AND channel = ?1)";
            let values = params![channel, account, now.as_millis(), wrong(now)];
            let at: Option<i64> =
                connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
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

    /// Gives up what waits for too long for a channel that cannot send it, and removes deliveries that settled longer
    /// ago than they are kept. Returns whether there may be more.
    ///
    /// # Errors
    /// When the storage fails; then nothing is removed.
    pub async fn sweep_deliveries(&self, now: Timestamp) -> Result<bool, ActError<DeliveryError>> {
        let [term, kept] = [TERM, KEPT].map(|length| now.saturating_sub(length).as_millis());
        let length = i64::try_from(TERM.as_millis()).unwrap_or(i64::MAX);
        self.step(move |connection| {
            let mut changed = 0_usize;
            let mut change = |sql: &str, values: &[i64]| -> rusqlite::Result<()> {
                let values = rusqlite::params_from_iter(values);
                changed = changed.saturating_add(connection.prepare_cached(sql)?.execute(values)?);
                Ok(())
            };
            // What was written under a clock that was ahead is as old as this look.
            let (now, wrong) = (now.as_millis(), wrong(now));
            let sql = "UPDATE outbox SET next_at = min(next_at, ?1), created_at = min(created_at, ?1)
                       WHERE id IN (SELECT id FROM outbox
                           WHERE state = 'waiting' AND max(next_at, created_at) > ?2 LIMIT 500)";
            change(sql, &[now, wrong])?;
            let sql = "UPDATE outbox SET settled_at = ?1
                       WHERE id IN (SELECT id FROM outbox WHERE settled_at > ?2 LIMIT 500)";
            change(sql, &[now, wrong])?;
            // What nobody could send for a week, because its channel is gone or never came up, is not sent when it is
            // no news any more. When half of that is over it is due anew: what waited while the gateway was off is
            // tried once, and a clock that is set ahead for a while ends nothing.
            let sql = "UPDATE outbox SET state = 'dead', settled_at = ?1,
                           error = 'its channel could not send it for as long as deliveries are kept'
                       WHERE id IN (SELECT id FROM outbox WHERE state = 'waiting' AND next_at < ?2
                           AND next_at - created_at >= ?3 LIMIT 500)";
            change(sql, &[now, term, length])?;
            let sql = "UPDATE outbox SET next_at = ?1
                       WHERE id IN (SELECT id FROM outbox WHERE state = 'waiting' AND next_at < ?2
                           AND next_at - created_at < ?3 LIMIT 500)";
            change(sql, &[now, term, length])?;
            let sql = "DELETE FROM outbox WHERE id IN
                           (SELECT id FROM outbox WHERE settled_at < ?1 LIMIT 500)";
            change(sql, &[kept])?;
            Ok(changed > 0)
        })
        .await
    }
}

/// From when on an instant lies too far ahead to have been written under a clock that was right.
fn wrong(now: Timestamp) -> i64 {
    now.saturating_add(LONGEST).as_millis()
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
        poll: poll::read(row, 19)?,
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
                 AND (coalesce(lease_until, 0) <= ?3 OR lease_until > ?5)"
        }
        Lost::Unknown => {
            "UPDATE outbox SET state = 'unknown', error = ?4, settled_at = ?2, lease_until = NULL
             WHERE state IN ('sending', 'waiting') AND state = 'sending' AND channel = ?1
                 AND (coalesce(lease_until, 0) <= ?3 OR lease_until > ?5)"
        }
    };
    let values = params![channel, now.as_millis(), until.as_millis(), error, wrong(now)];
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

/// Has it wait until an instant, for a reason, after so many attempts.
fn again(
    connection: &Connection,
    fence: DeliveryFence,
    attempts: usize,
    (at, error): (Timestamp, &str),
) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET state = 'waiting', error = ?2, next_at = ?3, lease_until = NULL, attempts = ?4
               WHERE id = ?1";
    let error = crate::children::cut(error, MAX_ERROR);
    let values = params![fence.row, error, at.as_millis(), attempts];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

#[cfg(test)]
mod tests;
