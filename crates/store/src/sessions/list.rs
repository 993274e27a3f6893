//! Listing conversations, page by page.

use openclaw_scopes::method::ListSessions;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{AgentId, Authorized, Timestamp};
use rusqlite::{Connection, Row};

use super::{SELECT, Session};
use crate::act::Query;
use crate::error::Fault;
use crate::filter::{Clauses, Rows};

/// Where a page of conversations ends: the next one begins after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionCursor {
    /// When the last conversation of the page was used.
    pub updated_at: Timestamp,
    /// Its row.
    pub rowid: i64,
}

/// Which conversations are wanted.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those of this agent.
    pub agent: Option<AgentId>,
    /// Only those whose key or label contains this text.
    pub search: String,
    /// Only those in which a run works or waits.
    pub activity: Activity,
    /// Whether those that were put away are wanted.
    pub archived: Archived,
    /// Only those after this place; `None` for the most recently used.
    pub after: Option<SessionCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// Whether idle conversations are wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Activity {
    /// Those in which a run works or waits.
    Active,
    /// All.
    #[default]
    Any,
}

/// Whether conversations that were put away are wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Archived {
    /// Not those.
    #[default]
    No,
    /// Only those.
    Only,
    /// All.
    Too,
}

/// A page of conversations, the most recently used first.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The conversations.
    pub sessions: Vec<Session>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<SessionCursor>,
}

impl Query for SessionFilter {
    type Method = ListSessions;
    type Output = SessionPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListSessions>,
    ) -> Result<SessionPage, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        Ok(page(connection, self)?)
    }
}

fn page(connection: &Connection, filter: &SessionFilter) -> rusqlite::Result<SessionPage> {
    let mut clauses = Clauses::of(SELECT);
    clauses.narrow("s.deleted_at IS NULL");
    match filter.archived {
        Archived::No => {
            clauses.narrow("s.archived_at IS NULL");
        }
        Archived::Only => {
            clauses.narrow("s.archived_at IS NOT NULL");
        }
        Archived::Too => {}
    }
    if let Some(after) = filter.after {
        clauses
            .narrow("(s.updated_at, s.id) < (?, ?)")
            .bind(after.updated_at.as_millis())
            .bind(after.rowid);
    }
    if let Some(agent) = &filter.agent {
        clauses.narrow("s.agent = ?").bind(agent.to_string());
    }
    if !filter.search.is_empty() {
        let text = filter.search.to_lowercase();
        clauses
            .narrow("(instr(lower(s.key), ?) > 0 OR instr(lower(s.label), ?) > 0)")
            .bind(text.clone())
            .bind(text);
    }
    if filter.activity == Activity::Active {
        clauses.narrow(
            "EXISTS (SELECT 1 FROM runs r
                 WHERE r.status IN ('queued', 'running') AND r.session = s.id)",
        );
    }
    let order = "s.updated_at DESC, s.id DESC";
    let read = |row: &Row<'_>| Ok((row.get(0)?, Session::from_row(row)?));
    let Rows { rows, next } =
        clauses.page(connection, order, filter.limit, read, |(rowid, last)| SessionCursor {
            updated_at: last.updated_at,
            rowid: *rowid,
        })?;
    Ok(SessionPage { sessions: rows.into_iter().map(|(_, session)| session).collect(), next })
}
