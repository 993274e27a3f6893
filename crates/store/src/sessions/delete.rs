//! Deleting a conversation: at once for everybody who looks, and piece by piece on the disk.

use openclaw_scopes::method::DeleteSession as DeleteMethod;
use openclaw_scopes::target::{Keeping, SessionTarget};
use openclaw_scopes::{Authorized, GrantHolder, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SessionError, idle, target};
use crate::act::{ActError, Applied, Ask, Transaction};
use crate::children::{self, EndedRun};
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::journal::{JournalEntry, from};
use crate::processes;

/// Entries that are removed with the decision itself: what takes less than a commit does. A longer
/// conversation is out of sight at once, and goes piece by piece.
const AT_ONCE: u64 = 200;
/// Entries of a piece: others get their turn between.
const PIECE: u32 = 1_000;

/// Whether what was said is kept in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Archive {
    /// It goes.
    Drop,
    /// It is kept, unless the conversation was made for one piece of work.
    Keep,
}

/// Deletes a conversation with everything in it, and ends what goes on there.
///
/// The key is free at once, the writer of a run that works there finds its fence gone, and no row id is
/// given out again: nothing that comes late comes back.
#[derive(Clone, Debug)]
pub struct DeleteSession {
    /// Its canonical key.
    pub key: SessionKey,
    /// Whether what was said is kept.
    pub archive: Archive,
    /// Only if nobody has used it since, and nothing goes on there.
    pub unused_since: Option<Timestamp>,
}

/// What was deleted.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The conversation's key.
    pub key: SessionKey,
    /// Its agent.
    pub agent: openclaw_scopes::AgentId,
    /// How many entries its journal had.
    pub entries: u64,
    /// The runs that were ended with it, in it and below.
    pub ended: Vec<EndedRun>,
    /// Of a sub-agent: the conversation that is told of its end.
    pub parent: Option<SessionKey>,
    /// What is left to be done, if anything.
    pub left: Option<Tombstone>,
}

/// A conversation that was deleted and of which rows are left.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::partial_pub_fields, reason = "the row keeps it from being made up elsewhere")]
pub struct Tombstone {
    row: i64,
    /// What it was called.
    pub key: SessionKey,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// Whether what was said is still to be written to a file.
    pub archive: Archive,
    /// How many entries its journal had.
    pub entries: u64,
}

impl Ask for DeleteSession {
    type Method = DeleteMethod;
    type Output = Deleted;
    type Error = SessionError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(SessionTarget { above: owners_above(tx, &self.key)?, ..target(tx, &self.key)? })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<DeleteMethod>,
        now: Timestamp,
    ) -> Result<Applied<Deleted>, Fault<SessionError>> {
        let (_, target) = authorized.into_parts();
        let key = target.key;
        if openclaw_sessions::is_main(&key) {
            return Err(Fault::Domain(SessionError::Main(key)));
        }
        let sql = "SELECT id, entries FROM sessions WHERE key = ?1";
        let found: Option<(i64, u64)> = tx
            .prepare_cached(sql)?
            .query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (row, _) = found.ok_or_else(|| Fault::Domain(SessionError::Unknown(key.clone())))?;
        if let Some(since) = self.unused_since
            && !idle::is_unused(tx, row, since)?
        {
            return Err(Fault::Domain(SessionError::Busy(key)));
        }
        children::hand_up(tx, row)?;
        let reason = "the session was deleted";
        let mut ended = children::end_below(tx, row, reason, now)?;
        ended.extend(children::end_runs(tx, row, reason, now)?);
        children::settle(tx, row, now)?;
        children::orphan(tx, row, now)?;
        processes::forget(tx, row)?;
        let parent = children::parent_of(tx, row)?;
        let sql = "SELECT entries FROM sessions WHERE id = ?1";
        let entries: u64 = tx.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
        let archive = match (self.archive, target.keeping) {
            (Archive::Keep, Keeping::Kept) if entries > 0 => Archive::Keep,
            (Archive::Drop | Archive::Keep, Keeping::Kept | Keeping::Passing) => Archive::Drop,
        };
        let sql = "UPDATE sessions SET key = 'deleted:' || id, former_key = ?2, deleted_at = ?3,
                       archive = ?4, fence = fence + 1, active_run = NULL WHERE id = ?1";
        let wanted = if archive == Archive::Keep { "wanted" } else { "" };
        tx.prepare_cached(sql)?.execute(params![row, key.as_str(), now.as_millis(), wanted])?;
        let tombstone = Tombstone { row, key: key.clone(), deleted_at: now, archive, entries };
        let left = if archive == Archive::Drop && entries <= AT_ONCE {
            remove_entries(tx, row, u32::MAX)?;
            remove(tx, row)?;
            None
        } else {
            Some(tombstone)
        };
        let agent = openclaw_sessions::agent_of(&key).map_err(|error| damaged(0, error))?;
        Ok(Applied::Changed(Deleted { key, agent, entries, ended, parent, left }))
    }
}

/// Returns who created the conversations that this one comes from by delegation.
fn owners_above(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Vec<GrantHolder>> {
    let sql = "WITH RECURSIVE above (session) AS (
                   SELECT c.parent FROM children c JOIN sessions s ON s.id = c.session
                   WHERE s.key = ?1
                   UNION
                   SELECT c.parent FROM above a JOIN children c ON c.session = a.session)
               SELECT DISTINCT s.owner FROM above a JOIN sessions s ON s.id = a.session
               WHERE s.deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let owners = statement.query_map([key.as_str()], |row| row.get::<_, String>(0))?;
    owners.map(|owner| owner?.parse().map_err(|error| damaged(0, error))).collect()
}

fn remove_entries(connection: &Connection, row: i64, limit: u32) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM journal WHERE session = ?1 AND entry IN
                   (SELECT entry FROM journal WHERE session = ?1 ORDER BY entry LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![row, limit])
}

/// Removes the rows of a conversation whose journal is empty.
fn remove(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    for sql in [
        "UPDATE generations SET last = max(last, ?1)",
        "DELETE FROM inbox WHERE session = ?1",
        "DELETE FROM children WHERE session = ?1",
        "UPDATE children SET parent_run = NULL
             WHERE parent_run IN (SELECT id FROM runs WHERE session = ?1)",
        "UPDATE children SET parent = NULL WHERE parent = ?1",
        "DELETE FROM resets WHERE session = ?1",
        "DELETE FROM usage_by_session WHERE session = ?1",
        "DELETE FROM tool_approvals WHERE session = ?1",
        "DELETE FROM runs WHERE session = ?1",
        "DELETE FROM sessions WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([row])?;
    }
    Ok(())
}

impl Store {
    /// Returns the conversations that were deleted and of which rows are left, the oldest first.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT id, former_key, deleted_at, archive, entries FROM sessions
                       WHERE deleted_at IS NOT NULL ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let (key, archive): (String, String) = (row.get(1)?, row.get(3)?);
                Ok(Tombstone {
                    row: row.get(0)?,
                    key: key.parse().map_err(|error| damaged(1, error))?,
                    deleted_at: Timestamp::from_millis(row.get(2)?),
                    archive: if archive == "wanted" { Archive::Keep } else { Archive::Drop },
                    entries: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns entries of a conversation that was deleted, from this one on, the oldest first.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn buried(
        &self,
        tombstone: &Tombstone,
        first: u64,
        limit: u32,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.snapshot(|connection| Ok(from(connection, tombstone.row, first, limit)?))
    }

    /// Notes that what was said is in its file.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn archived(&self, tombstone: &Tombstone) -> Result<(), ActError<SessionError>> {
        let row = tombstone.row;
        self.step(move |connection| {
            let sql = "UPDATE sessions SET archive = 'done' WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([row])?;
            Ok(())
        })
        .await
    }

    /// Removes a piece of a conversation that was deleted; tells whether anything is left.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn purge(&self, tombstone: &Tombstone) -> Result<Purged, ActError<SessionError>> {
        let row = tombstone.row;
        self.step(move |connection| {
            if remove_entries(connection, row, PIECE)? > 0 {
                return Ok(Purged::InPart);
            }
            remove(connection, row)?;
            Ok(Purged::Whole)
        })
        .await
    }
}

/// How much of a conversation that was deleted is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purged {
    /// A piece; more is left.
    InPart,
    /// Everything.
    Whole,
}
