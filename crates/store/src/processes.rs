//! Commands in the background: which are there, and what their conversations are told of their ends.

use openclaw_scopes::{RunId, SessionKey, Timestamp};
use openclaw_sessions::RunStatus;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::act::ActError;
use crate::error::{Fault, damaged};
use crate::handle::Store;
use crate::runs::FenceError;
use crate::sessions;

/// Bytes of a command that are kept to tell it by.
const MAX_COMMAND: usize = 200;

/// A command that goes to the background.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewProcess {
    /// Its id, not used before.
    pub id: String,
    /// What it runs.
    pub command: String,
    /// The conversation that is told of its end. Its own, if there is no such one by then.
    pub told: SessionKey,
    /// Whether anybody is.
    pub notify: bool,
}

/// What a conversation is told of a command's end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessEnd {
    /// Whether it did what it was to do.
    pub status: RunStatus,
    /// How it ended, and what it said last.
    pub text: String,
}

impl Store {
    /// Notes a command that a run leaves in the background, on behalf of the grant that the run rests on.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nothing is noted.
    pub async fn process_began(
        &self,
        run: RunId,
        process: NewProcess,
        now: Timestamp,
    ) -> Result<(), ActError<FenceError>> {
        self.step(move |connection| {
            let sql = "INSERT INTO processes
                       SELECT ?2, s.id, r.run_id, r.on_behalf_of, r.grant_epoch, r.grant_scopes, ?3, ?4,
                           ?5, ?6
                       FROM runs r JOIN sessions s ON s.id = r.session AND s.active_run = r.id
                       WHERE r.run_id = ?1 AND r.status = 'running'";
            let command = crate::children::cut(&process.command, MAX_COMMAND);
            let values = params![
                run.as_str(),
                process.id,
                command,
                now.as_millis(),
                process.told.as_str(),
                process.notify
            ];
            match connection.prepare_cached(sql)?.execute(values)? {
                0 => Err(Fault::Domain(FenceError)),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Notes a command's end, and tells its conversation if there is something to be told. Returns the
    /// conversation that is told; `None` when nobody is.
    ///
    /// # Errors
    /// When the storage fails; then nothing is noted.
    pub async fn process_ended(
        &self,
        id: String,
        end: Option<ProcessEnd>,
        now: Timestamp,
    ) -> Result<Option<SessionKey>, ActError<FenceError>> {
        self.step(move |connection| {
            let told = match &end {
                Some(end) => tell(connection, &id, end, now)?,
                None => None,
            };
            connection.prepare_cached("DELETE FROM processes WHERE id = ?1")?.execute([&id])?;
            Ok(told)
        })
        .await
    }

    /// Withdraws what a conversation was to be told of a command, because it has looked for itself.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn process_seen(
        &self,
        id: String,
        now: Timestamp,
    ) -> Result<(), ActError<FenceError>> {
        self.step(move |connection| {
            let sql =
                "UPDATE inbox SET state = 'discarded', reason = 'it was polled', settled_at = ?2
                       WHERE source = ?1 AND state = 'waiting'";
            connection.prepare_cached(sql)?.execute(params![id, now.as_millis()])?;
            Ok(())
        })
        .await
    }
}

/// The conversation that is told of a command's end.
const TOLD: &str = "coalesce((SELECT t.id FROM sessions t WHERE t.key = p.told), p.session)";

/// Opens the conversations that are told of commands, where nobody has said anything in them yet: of one command, or
/// of all.
fn open_told(connection: &Connection, id: Option<&str>, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "SELECT DISTINCT p.told, p.on_behalf_of FROM processes p JOIN sessions s ON s.id = p.session
               WHERE (?1 IS NULL OR p.id = ?1) AND p.notify = 1 AND s.deleted_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM sessions t WHERE t.key = p.told)";
    let mut statement = connection.prepare_cached(sql)?;
    let absent = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let absent: Vec<(String, String)> = absent.collect::<rusqlite::Result<_>>()?;
    for (key, holder) in absent {
        let key = key.parse().map_err(|error| damaged(0, error))?;
        let holder = holder.parse().map_err(|error| damaged(1, error))?;
        if sessions::row_of(connection, &key)?.is_none() {
            sessions::insert(connection, &key, &holder, "", now)?;
        }
    }
    Ok(())
}

fn tell(
    connection: &Connection,
    id: &str,
    end: &ProcessEnd,
    now: Timestamp,
) -> rusqlite::Result<Option<SessionKey>> {
    open_told(connection, Some(id), now)?;
    let sql = format!(
        "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
             grant_epoch, grant_scopes, state)
         SELECT {TOLD}, p.id, '', p.command, ?2, ?3, ?4, p.run, p.on_behalf_of, p.grant_epoch,
             p.grant_scopes, 'waiting'
         FROM processes p JOIN sessions s ON s.id = p.session
         WHERE p.id = ?1 AND s.deleted_at IS NULL ON CONFLICT (source) DO NOTHING"
    );
    let values = params![id, end.status.name(), end.text, now.as_millis()];
    if connection.prepare_cached(&sql)?.execute(values)? == 0 {
        return Ok(None);
    }
    let sql = "SELECT s.key FROM inbox i JOIN sessions s ON s.id = i.session WHERE i.source = ?1";
    let key: Option<String> =
        connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    key.map(|key| key.parse().map_err(|error| damaged(0, error))).transpose()
}

/// After a start: what ran in the background has ended with the gateway, and its conversations are told.
pub(crate) fn lost(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    open_told(connection, None, now)?;
    let sql = format!(
        "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
             grant_epoch, grant_scopes, state)
         SELECT {TOLD}, p.id, '', p.command, 'interrupted',
             'the gateway stopped while it ran, and it was ended', ?1, p.run, p.on_behalf_of,
             p.grant_epoch, p.grant_scopes, 'waiting'
         FROM processes p JOIN sessions s ON s.id = p.session
         WHERE s.deleted_at IS NULL AND p.notify = 1 ON CONFLICT (source) DO NOTHING"
    );
    connection.prepare_cached(&sql)?.execute([now.as_millis()])?;
    connection.prepare_cached("DELETE FROM processes")?.execute([]).map(|_| ())
}

/// Forgets the commands of a conversation: they are ended, and nobody is told.
pub(crate) fn forget(connection: &Connection, session: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM processes WHERE session = ?1";
    connection.prepare_cached(sql)?.execute([session]).map(|_| ())
}
