//! What the gateway's owner is told of messages that did not arrive, or of which that cannot be told.

use std::time::Duration;

use openclaw_scopes::{GrantHolder, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::ReplyTo;
use super::put::put_as_gateway;
use crate::act::ActError;
use crate::error::StoreError;
use crate::handle::Store;

/// How long it stays quiet after it was told of some: a channel that is down loses many.
const QUIET: Duration = Duration::from_secs(60 * 60);
/// How the sources of these messages begin; behind it stands when they were written.
const NOTICE: &str = "notice:";

/// Messages that did not arrive, and of which nobody was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
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

/// Until when the owner was told.
fn told_until(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(created_at), 0) FROM outbox
               WHERE source >= 'notice:' AND source < 'notice;'";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

fn undelivered(connection: &Connection, now: Timestamp) -> rusqlite::Result<Option<Undelivered>> {
    let told = told_until(connection)?;
    if now.since(Timestamp::from_millis(told)) < QUIET {
        return Ok(None);
    }
    // What the gateway says itself is nothing to be told of: it would never end.
    let sql = "SELECT count(*) OVER (), delivery, channel, peer, state, error FROM outbox
               WHERE state IN ('dead', 'partial', 'unknown') AND settled_at > ?1
                   AND on_behalf_of <> ?2 ORDER BY settled_at DESC, id DESC LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row(params![told, GrantHolder::Gateway.to_string()], |row| {
            Ok(Undelivered {
                count: row.get(0)?,
                id: row.get(1)?,
                to: (row.get(2)?, row.get(3)?),
                state: row.get(4)?,
                error: row.get(5)?,
            })
        })
        .optional()
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
}
