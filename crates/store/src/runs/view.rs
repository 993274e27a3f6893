//! Finding and listing runs.

use openclaw_scopes::method::{ListRuns, WaitRun};
use openclaw_scopes::target::{RunTarget, Whole};
use openclaw_scopes::{Authorized, GrantHolder, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Record, RunStatus, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Ending, RunError};
use crate::act::Query;
use crate::error::{Fault, StoreError, damaged};
use crate::filter::{Clauses, Rows};
use crate::handle::Store;

/// A run as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunView {
    /// Its id.
    pub run: RunId,
    /// Its conversation.
    pub session: SessionKey,
    /// Where it is in its life.
    pub status: RunStatus,
    /// The answer; empty until it ended with one.
    pub text: String,
    /// What went wrong; empty unless it failed.
    pub error: String,
    /// Tokens of all its answers.
    pub usage: Usage,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it began to work.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// On whose behalf it runs.
    pub on_behalf_of: GrantHolder,
    /// Where its answer goes, as whoever delivers it reads it; empty when nobody does.
    pub reply_to: String,
    /// The run that took its message in, and with which it ends.
    pub merged_into: Option<RunId>,
    /// Why its answer did not leave; empty when it did, or was not to.
    pub withheld: String,
}

const SELECT: &str = "SELECT r.id, r.run_id,
    CASE WHEN s.deleted_at IS NULL THEN s.key ELSE s.former_key END, r.status, j.record, r.error, r.input_tokens,
    r.output_tokens, r.cached_tokens, r.accepted_at, r.started_at, r.ended_at, r.on_behalf_of,
    r.reply_to, r.merged_into, r.withheld FROM runs r JOIN sessions s ON s.id = r.session
    LEFT JOIN journal j ON j.session = r.session AND j.entry = r.answer_entry";

impl RunView {
    /// Returns the run as it stands after its end was written.
    #[must_use]
    pub fn ended(&self, ending: &Ending, at: Timestamp) -> Self {
        Self {
            status: ending.terminal.status(),
            text: ending.answer.as_ref().map(|answer| answer.text.clone()).unwrap_or_default(),
            error: ending.error.clone(),
            // Beside what it had used before an interruption.
            usage: self.usage.plus(ending.usage),
            ended_at: Some(at),
            ..self.clone()
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let time = |column: usize| {
            row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis))
        };
        Ok(Self {
            run: text(1)?.parse().map_err(|error| damaged(1, error))?,
            session: text(2)?.parse().map_err(|error| damaged(2, error))?,
            status: RunStatus::parse(&text(3)?).map_err(|error| damaged(3, error))?,
            text: row
                .get::<_, Option<String>>(4)?
                .map(|record| answer(&record))
                .transpose()?
                .unwrap_or_default(),
            error: text(5)?,
            usage: Usage {
                input_tokens: row.get(6)?,
                output_tokens: row.get(7)?,
                cached_tokens: row.get(8)?,
            },
            accepted_at: Timestamp::from_millis(row.get(9)?),
            started_at: time(10)?,
            ended_at: time(11)?,
            on_behalf_of: text(12)?.parse().map_err(|error| damaged(12, error))?,
            reply_to: text(13)?,
            merged_into: match text(14)?.as_str() {
                "" => None,
                run => Some(run.parse().map_err(|error| damaged(14, error))?),
            },
            withheld: text(15)?,
        })
    }
}

fn answer(record: &str) -> rusqlite::Result<String> {
    match serde_json::from_str(record).map_err(|error| damaged(4, error))? {
        Record::AssistantMessage(message) => Ok(message.text),
        Record::Final { .. }
        | Record::Notices { .. }
        | Record::Steered { .. }
        | Record::Summary { .. }
        | Record::ToolResult(_)
        | Record::UserMessage { .. } => Err(damaged(4, NotAnAnswer)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer of a run is another record")]
struct NotAnAnswer;

pub(crate) fn find(connection: &Connection, run: &RunId) -> rusqlite::Result<Option<RunView>> {
    let sql = format!("{SELECT} WHERE r.run_id = ?1");
    connection.prepare_cached(&sql)?.query_row([run.as_str()], RunView::from_row).optional()
}

/// Loads what the rules look at: the run, and on whose behalf it runs if there is one.
pub(crate) fn target(connection: &Connection, run: &RunId) -> rusqlite::Result<RunTarget> {
    let sql = "SELECT on_behalf_of FROM runs WHERE run_id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let owner: Option<String> = statement.query_row([run.as_str()], |row| row.get(0)).optional()?;
    let owner = owner.map(|owner| owner.parse()).transpose().map_err(|error| damaged(0, error))?;
    Ok(RunTarget { run: run.clone(), owner })
}

impl Store {
    /// Returns the runs that work or wait in a conversation, the oldest first.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn live_runs_in(&self, session: &SessionKey) -> Result<Vec<RunId>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT r.run_id FROM runs r JOIN sessions s ON s.id = r.session
                       WHERE r.status IN ('queued', 'running') AND s.key = ?1 ORDER BY r.id";
            let mut statement = connection.prepare_cached(sql)?;
            let runs = statement.query_map([session.as_str()], |row| {
                row.get::<_, String>(0)?.parse().map_err(|error| damaged(0, error))
            })?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns what a run was asked by whom, and how it stands, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn asked(
        &self,
        run: &RunId,
    ) -> Result<Option<([u8; 32], GrantHolder, RunView)>, StoreError> {
        self.snapshot(|connection| {
            let Some(view) = find(connection, run)? else { return Ok(None) };
            let sql = "SELECT request_digest FROM runs WHERE run_id = ?1";
            let digest = connection.query_row(sql, [run.as_str()], |row| row.get(0))?;
            Ok(Some((digest, view.on_behalf_of.clone(), view)))
        })
    }

    /// Returns a run as it stands, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn run(&self, run: &RunId) -> Result<Option<RunView>, StoreError> {
        self.snapshot(|connection| Ok(find(connection, run)?))
    }
}

/// Asks for one run, to wait for its end.
#[derive(Clone, Debug)]
pub struct GetRun(pub RunId);

impl Query for GetRun {
    type Method = WaitRun;
    type Output = RunView;
    type Error = RunError;

    fn target(&self, connection: &Connection) -> Result<RunTarget, Fault<RunError>> {
        Ok(target(connection, &self.0)?)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<WaitRun>,
    ) -> Result<RunView, Fault<RunError>> {
        let (_, target) = authorized.into_parts();
        find(connection, &target.run)?.ok_or(Fault::Domain(RunError::Unknown(target.run)))
    }
}

/// Where a page of runs ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunCursor(pub i64);

/// Which runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only those of this agent.
    pub agent: Option<openclaw_scopes::AgentId>,
    /// Only those of this conversation.
    pub session: Option<SessionKey>,
    /// Only those in one of these states; empty for all.
    pub statuses: Vec<RunStatus>,
    /// Only those before this place; `None` for the newest.
    pub after: Option<RunCursor>,
    /// Rows of the page.
    pub limit: u32,
}

/// A page of runs, the newest first.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunView>,
    /// Where the page ends; `None` on the last one.
    pub next: Option<RunCursor>,
}

impl Query for RunFilter {
    type Method = ListRuns;
    type Output = RunPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListRuns>,
    ) -> Result<RunPage, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        Ok(page(connection, self)?)
    }
}

fn page(connection: &Connection, filter: &RunFilter) -> rusqlite::Result<RunPage> {
    let mut clauses = Clauses::of(SELECT);
    clauses.narrow("s.deleted_at IS NULL");
    if let Some(RunCursor(row)) = filter.after {
        clauses.narrow("r.id < ?").bind(row);
    }
    if let Some(agent) = &filter.agent {
        clauses.narrow("s.agent = ?").bind(agent.to_string());
    }
    if let Some(session) = &filter.session {
        clauses
            .narrow("r.session = (SELECT id FROM sessions WHERE key = ?)")
            .bind(session.to_string());
    }
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        clauses.narrow(&format!("r.status IN ({marks})"));
        for status in &filter.statuses {
            clauses.bind(status.name());
        }
    }
    let read = |row: &Row<'_>| Ok((RunCursor(row.get(0)?), RunView::from_row(row)?));
    let cursor = |(cursor, _): &(RunCursor, RunView)| *cursor;
    let Rows { rows, next } = clauses.page(connection, "r.id DESC", filter.limit, read, cursor)?;
    Ok(RunPage { runs: rows.into_iter().map(|(_, run)| run).collect(), next })
}
