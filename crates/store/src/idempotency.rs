//! Makes a retry the same request, for mutations that name no run.

use std::time::Duration;

use openclaw_scopes::{GrantHolder, IdempotencyKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

/// How long a record is kept: a client that retries after more than a day asks anew.
const KEPT: Duration = Duration::from_hours(24);
/// Old records that one new one removes at most: the table shrinks faster than it grows.
const REMOVED_AT_ONCE: u32 = 4;

/// A mutation, as its caller names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Who asks: the same name means another request when somebody else uses it.
    pub(crate) holder: &'a GrantHolder,
    pub(crate) method: &'static str,
    pub(crate) key: &'a IdempotencyKey,
    /// SHA-256 of what is asked.
    pub(crate) digest: &'a [u8; 32],
}

/// What is known of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Recorded {
    /// The name was used for something else.
    Another,
    /// Nothing.
    None,
    /// It was done; this came of it.
    Same(String),
}

pub(crate) fn find(connection: &Connection, request: &Request<'_>) -> rusqlite::Result<Recorded> {
    let sql = "SELECT request_digest, result FROM idempotency
               WHERE holder = ?1 AND method = ?2 AND key = ?3";
    let found: Option<([u8; 32], String)> = connection
        .prepare_cached(sql)?
        .query_row(
            params![request.holder.to_string(), request.method, request.key.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(match found {
        None => Recorded::None,
        Some((digest, result)) if digest == *request.digest => Recorded::Same(result),
        Some(_) => Recorded::Another,
    })
}

pub(crate) fn record(
    connection: &Connection,
    request: &Request<'_>,
    result: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    prune(connection, now)?;
    let sql = "INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        request.holder.to_string(),
        request.method,
        request.key.as_str(),
        request.digest,
        result,
        now.as_millis(),
    ])?;
    Ok(())
}

/// Removes some records that are too old, if there are any: mostly there are none, and asking costs
/// less than removing nothing.
fn prune(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let too_old = now.saturating_sub(KEPT).as_millis();
    let sql = "SELECT 1 FROM idempotency WHERE created_at < ?1 LIMIT 1";
    if !connection.prepare_cached(sql)?.exists([too_old])? {
        return Ok(());
    }
    let sql = "DELETE FROM idempotency WHERE (holder, method, key) IN
               (SELECT holder, method, key FROM idempotency WHERE created_at < ?1 LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![too_old, REMOVED_AT_ONCE]).map(|_| ())
}
