//! Reading what was said in a conversation.

use openclaw_scopes::method::ReadHistory;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{Authorized, RunId, SessionKey, Timestamp};
use openclaw_sessions::Record;
use rusqlite::{Connection, Row, params};

use crate::act::Query;
use crate::error::{Fault, StoreError, damaged};
use crate::handle::Store;
use crate::runs::{Context, RunFence};
use crate::sessions::{self, SessionError};

/// Bytes of the records of one page at most: it is one message over the wire (4 MiB), with what is around it.
const PAGE_BYTES: usize = 2 << 20;
/// Bytes of the records that a turn is begun with at most, far beyond the window of any model: what is older is not
/// read, however long the conversation is.
const CONTEXT_BYTES: usize = 32 << 20;

/// One record of a conversation's journal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalEntry {
    /// Its place in the conversation, from 1.
    pub entry: u64,
    /// The run that wrote it.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub record: Record,
}

/// Which part of a conversation is wanted.
#[derive(Clone, Debug)]
pub struct History {
    /// The conversation.
    pub session: SessionKey,
    /// Only entries before this place; `None` for the newest.
    pub before: Option<u64>,
    /// Entries of the page.
    pub limit: u32,
}

/// A page of a conversation, oldest entry first.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<JournalEntry>,
    /// Where the page of older entries ends; `None` when there are none.
    pub next_before: Option<u64>,
}

impl Query for History {
    type Method = ReadHistory;
    type Output = HistoryPage;
    type Error = SessionError;

    fn target(&self, connection: &Connection) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(sessions::target(connection, &self.session)?)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadHistory>,
    ) -> Result<HistoryPage, Fault<SessionError>> {
        let (_, target) = authorized.into_parts();
        if target.owner.is_none() {
            return Err(Fault::Domain(SessionError::Unknown(target.key)));
        }
        let sql = "SELECT id FROM sessions WHERE key = ?1";
        let session = connection.query_row(sql, [target.key.as_str()], |row| row.get(0))?;
        let before = self.before.unwrap_or(u64::MAX);
        let entries = newest(connection, session, 0, before, self.limit, PAGE_BYTES)?;
        let next_before = entries.first().map(|first| first.entry).filter(|entry| *entry > 1);
        Ok(HistoryPage { entries, next_before })
    }
}

/// Returns the newest entries from one on and before another, the oldest first; not more than so many bytes
/// of records, but one at least.
fn newest(
    connection: &Connection,
    session: i64,
    first: u64,
    before: u64,
    limit: u32,
    max_bytes: usize,
) -> rusqlite::Result<Vec<JournalEntry>> {
    let sql = "SELECT j.entry, r.run_id, j.at, j.record FROM journal j JOIN runs r ON r.id = j.run
               WHERE j.session = ?1 AND j.entry < ?2 AND j.entry >= ?4
               ORDER BY j.entry DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![session, before, limit, first])?;
    let (mut entries, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get_ref(3)?.as_str()?.len());
        if bytes > max_bytes && !entries.is_empty() {
            break;
        }
        entries.push(read(row)?);
    }
    entries.reverse();
    Ok(entries)
}

fn shown(
    connection: &Connection,
    session: i64,
    before: u64,
    limit: u32,
) -> rusqlite::Result<Vec<JournalEntry>> {
    let context = Context::of(connection, session)?;
    let mut entries = newest(connection, session, context.from, before, limit, CONTEXT_BYTES)?;
    entries.retain(|entry| !matches!(entry.record, Record::Summary { .. }));
    if let Some(summary) = context.summary {
        let summary = from(connection, session, summary, 1)?;
        entries.splice(0..0, summary);
    }
    Ok(entries)
}

/// Returns entries from this one on, the oldest first.
pub(crate) fn from(
    connection: &Connection,
    session: i64,
    first: u64,
    limit: u32,
) -> rusqlite::Result<Vec<JournalEntry>> {
    let sql = "SELECT j.entry, r.run_id, j.at, j.record FROM journal j JOIN runs r ON r.id = j.run
               WHERE j.session = ?1 AND j.entry >= ?2 ORDER BY j.entry LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![session, first, limit], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    let (run, record): (String, String) = (row.get(1)?, row.get(3)?);
    Ok(JournalEntry {
        entry: row.get(0)?,
        run: run.parse().map_err(|error| damaged(1, error))?,
        at: Timestamp::from_millis(row.get(2)?),
        record: serde_json::from_str(&record).map_err(|error| damaged(3, error))?,
    })
}

/// A conversation in which no run works.
#[derive(Debug)]
pub struct Resting {
    /// What its model would be shown, oldest first.
    pub entries: Vec<JournalEntry>,
    /// The last entry of its journal; 0 when nothing was said.
    pub last: u64,
    /// Whether a run works or waits in it after all.
    pub is_busy: bool,
    /// The model that was chosen for it, as `provider/model`; empty for its agent's.
    pub model: String,
}

impl Store {
    /// Returns what was said last in a conversation, oldest first, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn said(&self, session: &SessionKey, limit: u32) -> Result<Vec<JournalEntry>, StoreError> {
        self.snapshot(|connection| match sessions::row_of(connection, session)? {
            Some(row) => Ok(newest(connection, row, 0, u64::MAX, limit, CONTEXT_BYTES)?),
            None => Ok(Vec::new()),
        })
    }

    /// Returns what of the session that a run writes its model is shown, before `entry`: the summary of what
    /// was before first, and then the newest records, oldest first, no more than `limit`.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn recent(
        &self,
        fence: &RunFence,
        before: u64,
        limit: u32,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.snapshot(|connection| Ok(shown(connection, fence.session, before, limit)?))
    }

    /// Returns the same of a conversation in which no run works, for work that is authorized already;
    /// `None` when there is no such conversation.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn resting(&self, session: &SessionKey, limit: u32) -> Result<Option<Resting>, StoreError> {
        self.snapshot(|connection| {
            let Some(row) = sessions::row_of(connection, session)? else { return Ok(None) };
            let sql = "SELECT s.entries, coalesce(nullif(c.model, ''), s.model),
                           EXISTS (SELECT 1 FROM runs
                               WHERE status IN ('queued', 'running') AND session = s.id)
                       FROM sessions s LEFT JOIN children c ON c.session = s.id WHERE s.id = ?1";
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let (last, model, is_busy) = connection.prepare_cached(sql)?.query_row([row], read)?;
            let entries = shown(connection, row, u64::MAX, limit)?;
            Ok(Some(Resting { entries, last, is_busy, model }))
        })
    }
}
