//! Finding and listing delegated runs.

use openclaw_scopes::method::{ListChildren, ReadChild};
use openclaw_scopes::target::{RunTarget, Whole};
use openclaw_scopes::{Authorized, RunId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{ChildError, Cleanup, instant};
use crate::act::Query;
use crate::error::{Fault, damaged};
use crate::filter::{Clauses, Rows};
use crate::runs::{self, RunView};
use crate::sessions;

/// A delegated run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Child {
    /// The run as it stands.
    pub run: RunView,
    /// The conversation that is told what came of it.
    pub parent: SessionKey,
    /// What people call it.
    pub label: String,
    /// What it was to do.
    pub task: String,
    /// The model that answers; empty for its agent's.
    pub model: String,
    /// What becomes of its conversation.
    pub cleanup: Cleanup,
    /// The tools that it may use.
    pub tools: Vec<String>,
    /// How many delegations lie above it.
    pub depth: u32,
    /// How far its end has come to its parent.
    pub hand_over: HandOver,
}

/// How far the end of a delegated run has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HandOver {
    /// It has not ended, or nobody is there to be told.
    Ahead,
    /// It waits for its parent's next turn.
    Waiting,
    /// Its parent was told, in this run.
    Told(RunId, Timestamp),
    /// It could not be handed over, for this reason.
    Dead(String, Timestamp),
    /// It was given up, for this reason.
    Discarded(String, Timestamp),
}

const SELECT: &str = "SELECT r.id, r.run_id, p.key, c.label, c.task, c.model, c.cleanup, c.tools,
    s.depth, i.state, i.consumed_by, i.reason, i.settled_at
    FROM children c JOIN runs r ON r.id = c.run JOIN sessions s ON s.id = r.session
        JOIN sessions p ON p.id = c.parent LEFT JOIN inbox i ON i.source = r.run_id";

fn from_row(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Child> {
    let text = |column: usize| row.get::<_, String>(column);
    let run: RunId = text(1)?.parse().map_err(|error| damaged(1, error))?;
    let cleanup = text(6)?;
    let unreadable = |column, text: String| damaged(column, Unreadable(text));
    let state: Option<String> = row.get(9)?;
    let settled = instant(row.get(12)?).unwrap_or_default();
    let hand_over = match state.as_deref() {
        None => HandOver::Ahead,
        Some("waiting") => HandOver::Waiting,
        Some("consumed") => {
            HandOver::Told(text(10)?.parse().map_err(|error| damaged(10, error))?, settled)
        }
        Some("dead") => HandOver::Dead(text(11)?, settled),
        Some("discarded") => HandOver::Discarded(text(11)?, settled),
        Some(other) => return Err(unreadable(9, other.to_owned())),
    };
    Ok(Child {
        run: runs::find(connection, &run)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?,
        parent: text(2)?.parse().map_err(|error| damaged(2, error))?,
        label: text(3)?,
        task: text(4)?,
        model: text(5)?,
        cleanup: Cleanup::parse(&cleanup).ok_or_else(|| unreadable(6, cleanup))?,
        tools: text(7)?.split_whitespace().map(str::to_owned).collect(),
        depth: row.get(8)?,
        hand_over,
    })
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what was stored")]
struct Unreadable(String);

pub(super) fn find(connection: &Connection, run: &RunId) -> rusqlite::Result<Option<Child>> {
    let sql = format!("{SELECT} WHERE r.run_id = ?1 AND p.deleted_at IS NULL");
    connection
        .prepare_cached(&sql)?
        .query_row([run.as_str()], |row| from_row(connection, row))
        .optional()
}

/// Returns the conversation that is told what comes of that of a sub-agent.
pub(crate) fn parent_of(
    connection: &Connection,
    session: i64,
) -> rusqlite::Result<Option<SessionKey>> {
    let sql = "SELECT p.key FROM children c JOIN sessions p ON p.id = c.parent
               WHERE c.session = ?1 AND p.deleted_at IS NULL";
    let key: Option<String> =
        connection.prepare_cached(sql)?.query_row([session], |row| row.get(0)).optional()?;
    key.map(|key| key.parse().map_err(|error| damaged(0, error))).transpose()
}

/// Asks for one delegated run.
#[derive(Clone, Debug)]
pub struct GetChild(pub RunId);

impl Query for GetChild {
    type Method = ReadChild;
    type Output = Child;
    type Error = ChildError;

    fn target(&self, connection: &Connection) -> Result<RunTarget, Fault<ChildError>> {
        Ok(runs::target(connection, &self.0)?)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadChild>,
    ) -> Result<Child, Fault<ChildError>> {
        let (_, target) = authorized.into_parts();
        let unknown = || Fault::Domain(ChildError::Unknown(target.run.to_string()));
        find(connection, &target.run)?.ok_or_else(unknown)
    }
}

/// Where a page of delegated runs ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChildCursor(pub i64);

/// Which delegated runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct ChildFilter {
    /// Only those of this conversation.
    pub parent: Option<SessionKey>,
    /// Only those that work or wait, or whose end was not handed over.
    pub open_only: bool,
    /// Only those before this place; `None` for the newest.
    pub after: Option<ChildCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// A page of delegated runs, the newest first.
#[derive(Clone, Debug)]
pub struct ChildPage {
    /// The runs.
    pub children: Vec<Child>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<ChildCursor>,
}

impl Query for ChildFilter {
    type Method = ListChildren;
    type Output = ChildPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListChildren>,
    ) -> Result<ChildPage, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        Ok(page(connection, self)?)
    }
}

pub(super) fn page(connection: &Connection, filter: &ChildFilter) -> rusqlite::Result<ChildPage> {
    let mut clauses = Clauses::of(SELECT);
    clauses.narrow("p.deleted_at IS NULL AND s.deleted_at IS NULL");
    if let Some(ChildCursor(row)) = filter.after {
        clauses.narrow("r.id < ?").bind(row);
    }
    if let Some(parent) = &filter.parent {
        clauses
            .narrow("c.parent = (SELECT id FROM sessions WHERE key = ?)")
            .bind(parent.to_string());
    }
    if filter.open_only {
        // One that has yielded works no more, and has not said what came of it.
        clauses.narrow("(r.status IN ('queued', 'running') OR i.source IS NULL OR i.state IN ('waiting', 'dead'))");
    }
    let read = |row: &Row<'_>| Ok((ChildCursor(row.get(0)?), from_row(connection, row)?));
    let cursor = |(cursor, _): &(ChildCursor, Child)| *cursor;
    let Rows { rows, next } = clauses.page(connection, "r.id DESC", filter.limit, read, cursor)?;
    Ok(ChildPage { children: rows.into_iter().map(|(_, child)| child).collect(), next })
}

impl crate::handle::Store {
    /// Returns delegated runs, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn children(&self, filter: &ChildFilter) -> Result<ChildPage, crate::error::StoreError> {
        self.snapshot(|connection| Ok(page(connection, filter)?))
    }

    /// Returns one, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn child(&self, run: &RunId) -> Result<Option<Child>, crate::error::StoreError> {
        self.snapshot(|connection| Ok(find(connection, run)?))
    }

    /// Returns the conversation that is told what comes of that of a sub-agent; `None` when it is none of
    /// one, or its parent is gone.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn parent_of(
        &self,
        child: &SessionKey,
    ) -> Result<Option<SessionKey>, crate::error::StoreError> {
        self.snapshot(|connection| {
            let Some(row) = sessions::row_of(connection, child)? else { return Ok(None) };
            Ok(parent_of(connection, row)?)
        })
    }

    /// Returns the run from which everything came that led to a run, and its conversation: the highest above it
    /// that delegated, or itself. `None` when there is no such run.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn root_of(
        &self,
        run: &RunId,
    ) -> Result<Option<(RunId, SessionKey)>, crate::error::StoreError> {
        self.snapshot(|connection| {
            // Delegations are few levels deep, and a person may have begun one in the middle.
            let sql = "WITH RECURSIVE above (level, session, run) AS (
                           SELECT 0, session, id FROM runs WHERE run_id = ?1
                           UNION ALL
                           SELECT a.level + 1, c.parent, c.parent_run FROM above a
                               JOIN children c ON c.session = a.session
                               WHERE a.level < 64 AND c.parent_run IS NOT NULL)
                       SELECT r.run_id, CASE WHEN s.deleted_at IS NULL THEN s.key ELSE s.former_key END
                       FROM above a JOIN runs r ON r.id = a.run JOIN sessions s ON s.id = r.session
                       ORDER BY a.level DESC LIMIT 1";
            let root: Option<(String, String)> = connection
                .prepare_cached(sql)?
                .query_row([run.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((run, session)) = root else { return Ok(None) };
            let run = run.parse().map_err(|error| damaged(0, error))?;
            Ok(Some((run, session.parse().map_err(|error| damaged(1, error))?)))
        })
    }

    /// Returns how many delegations lie above a conversation; none above one that does not exist.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn session_depth(&self, key: &SessionKey) -> Result<u32, crate::error::StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT depth FROM sessions WHERE key = ?1";
            let depth = connection
                .prepare_cached(sql)?
                .query_row([key.as_str()], |row| row.get(0))
                .optional()?;
            Ok(depth.unwrap_or_default())
        })
    }

    /// Returns the conversations of sub-agents that may be removed: their parent was told and wants
    /// nothing kept, or nobody has used them for long; and nothing goes on in them or waits for them. A
    /// turn that has not begun was told nothing yet.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn reapable(&self, now: Timestamp) -> Result<Vec<SessionKey>, crate::error::StoreError> {
        let old = now.saturating_sub(super::KEPT).as_millis();
        self.snapshot(|connection| {
            let sql = "SELECT s.key FROM children c JOIN sessions s ON s.id = c.session
                       WHERE c.reap_at <= ?2 AND s.deleted_at IS NULL
                           AND (c.cleanup = 'delete' OR c.parent IS NULL OR s.updated_at <= ?1)
                           AND NOT EXISTS (SELECT 1 FROM runs w
                               WHERE w.status IN ('queued', 'running') AND w.session = s.id)
                           AND NOT EXISTS (SELECT 1 FROM children b JOIN runs w ON w.session = b.session
                               WHERE w.status IN ('queued', 'running') AND b.parent = s.id)
                           AND NOT EXISTS (SELECT 1 FROM inbox w
                               WHERE w.state = 'waiting' AND w.session = s.id)
                           AND NOT EXISTS (SELECT 1 FROM runs r JOIN inbox i ON i.source = r.run_id
                                   JOIN runs w ON w.run_id = i.consumed_by
                               WHERE r.id = c.run AND w.status = 'queued' AND w.started_at IS NULL)
                       LIMIT 100";
            let mut statement = connection.prepare_cached(sql)?;
            let keys = statement.query_map([old, now.as_millis()], |row| row.get::<_, String>(0))?;
            let keys = keys.map(|key| key?.parse().map_err(|error| damaged(0, error)));
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })
    }
}
