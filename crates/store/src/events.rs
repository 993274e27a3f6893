//! System events: what a conversation is told beside the ends of what it began. Each is told once, in order, and
//! is done with only when its text stands in a turn that was written.

use openclaw_scopes::{Caller, Timestamp};
use openclaw_sessions::RunStatus;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::children::{MAX_RESULT, cut};

/// Events that wait in one conversation at most (`runtime.md` §5.3 of the reference). The oldest give way, and
/// stay to be seen as such.
const MAX_WAITING: u32 = 20;

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewEvent {
    /// Its id, not used before.
    pub id: String,
    /// What it is of: a job's name, for example.
    pub label: String,
    /// What has happened.
    pub text: String,
    /// What it is about: of the same text about the same thing, one waits. Empty for nothing in particular.
    pub context: String,
    /// Where what it leads to is answered, as whoever delivers it reads it; empty when nobody does.
    pub reply_to: String,
}

/// Puts an event before a conversation, on behalf of whoever the caller acts for. Returns the id of the one that
/// waits: this one, or one of the same words.
pub(crate) fn put(
    connection: &Connection,
    session: i64,
    event: &NewEvent,
    caller: &Caller,
    now: Timestamp,
) -> rusqlite::Result<String> {
    let text = cut(event.text.trim(), MAX_RESULT);
    let (holder, grant) = (caller.on_behalf_of().to_string(), caller.grant());
    // About nothing in particular: only against the one before (`runtime.md` §5.3 of the reference).
    let sql = "SELECT source FROM (SELECT source, text, context, reply_to, on_behalf_of FROM inbox
                   WHERE session = ?1 AND state = 'waiting' AND kind = 'event'
                   ORDER BY id DESC LIMIT CASE ?3 WHEN '' THEN 1 ELSE -1 END)
               WHERE text = ?2 AND context = ?3 AND reply_to = ?4 AND on_behalf_of = ?5 LIMIT 1";
    let values = params![session, text, event.context, event.reply_to, holder];
    let same: Option<String> =
        connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    if let Some(same) = same {
        return Ok(same);
    }
    let sql =
        "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
                   grant_epoch, grant_scopes, state, kind, context, reply_to)
               VALUES (?1, ?2, '', ?3, ?4, ?5, ?6, '', ?7, ?8, ?9, 'waiting', 'event', ?10, ?11)
               ON CONFLICT (source) DO NOTHING";
    connection.prepare_cached(sql)?.execute(params![
        session,
        event.id,
        event.label,
        RunStatus::Ok.name(),
        text,
        now.as_millis(),
        holder,
        grant.epoch().0,
        crate::grants::stored(grant.scopes()),
        event.context,
        event.reply_to,
    ])?;
    let sql = "UPDATE inbox SET state = 'dead', settled_at = ?3,
                   reason = 'too many events waited; it gave way to newer ones'
               WHERE id IN (SELECT id FROM inbox
                   WHERE session = ?1 AND state = 'waiting' AND kind = 'event'
                   ORDER BY id DESC LIMIT -1 OFFSET ?2)";
    connection.prepare_cached(sql)?.execute(params![session, MAX_WAITING, now.as_millis()])?;
    Ok(event.id.clone())
}
