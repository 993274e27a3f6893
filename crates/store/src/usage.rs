//! What models have used: by day, agent and model, and by conversation.

use std::convert::Infallible;

use openclaw_scopes::method::ReadUsage;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{AgentId, Authorized, Timestamp};
use openclaw_sessions::Usage;
use rusqlite::{Connection, Row, params};

use crate::act::Query;
use crate::error::{Fault, StoreError};
use crate::handle::Store;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Tokens that are counted at most: what a float can hold exactly. A provider that claims more must not make
/// the end of a run impossible.
pub(crate) const MAX_TOKENS: u64 = (1 << 53) - 1;

/// Returns what is counted of a usage.
pub(crate) fn capped(usage: Usage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens.min(MAX_TOKENS),
        output_tokens: usage.output_tokens.min(MAX_TOKENS),
        cached_tokens: usage.cached_tokens.min(MAX_TOKENS),
    }
}

/// Returns the day of an instant in UTC, counted from that of 1970-01-01.
pub const fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY)
}

const BY_DAY: &str =
    "INSERT INTO usage_by_day SELECT ?1, agent, ?3, 1, ?4, ?5, ?6, ?8 FROM sessions WHERE id = ?2
     ON CONFLICT DO UPDATE SET answers = answers + 1,
         input_tokens = min(input_tokens + ?4, ?7),
         output_tokens = min(output_tokens + ?5, ?7),
         cached_tokens = min(cached_tokens + ?6, ?7),
         worked_millis = min(worked_millis + ?8, ?7)";
const BY_SESSION: &str =
    "INSERT INTO usage_by_session SELECT ?2, ?3, 1, ?4, ?5, ?6, ?8 WHERE ?1 IS NOT NULL
     ON CONFLICT DO UPDATE SET answers = answers + 1,
         input_tokens = min(input_tokens + ?4, ?7),
         output_tokens = min(output_tokens + ?5, ?7),
         cached_tokens = min(cached_tokens + ?6, ?7),
         worked_millis = min(worked_millis + ?8, ?7)";

/// What one answer used.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    /// The model, as `provider/model`.
    pub(crate) model: String,
    /// Its tokens.
    pub(crate) usage: Usage,
    /// How long its run had worked for it.
    pub(crate) worked_millis: u64,
}

/// Counts what an answer used. It is part of the change that stores the answer, so none is counted twice or
/// not at all.
pub(crate) fn count(
    connection: &Connection,
    session: i64,
    Used { model, usage, worked_millis }: &Used,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Usage { input_tokens, output_tokens, cached_tokens } = capped(*usage);
    let (day, worked) = (day_of(now), worked_millis.min(&MAX_TOKENS));
    let values = params![
        day,
        session,
        model,
        input_tokens,
        output_tokens,
        cached_tokens,
        MAX_TOKENS,
        worked
    ];
    connection.prepare_cached(BY_DAY)?.execute(values)?;
    connection.prepare_cached(BY_SESSION)?.execute(values).map(|_| ())
}

/// What makes a row of what models have used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UsageBy {
    /// The agent.
    Agent,
    /// The day in UTC.
    Day,
    /// The model.
    Model,
    /// The conversation, of those that are there.
    Session,
}

/// Asks what models have used.
#[derive(Clone, Copy, Debug)]
pub struct GetUsage {
    /// What makes a row.
    pub by: UsageBy,
    /// From the day of this instant on; not by conversation.
    pub since: Option<Timestamp>,
}

/// What one model has used for something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UsageOf {
    /// The agent, the day as `2026-11-27`, the model or the key of the conversation.
    pub name: String,
    /// The model, as `provider/model`; empty when it is not known.
    pub model: String,
    /// How many answers and summaries were counted.
    pub answers: u64,
    /// Their tokens.
    pub usage: Usage,
    /// How long runs had worked for them, in milliseconds.
    pub worked_millis: u64,
}

impl Query for GetUsage {
    type Method = ReadUsage;
    type Output = Vec<UsageOf>;
    type Error = Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Infallible>> {
        Ok(Whole)
    }

    /// Returns a row for each model of each name; those of one name stand together.
    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadUsage>,
    ) -> Result<Vec<UsageOf>, Fault<Infallible>> {
        let (_, Whole) = authorized.into_parts();
        let (name, from) = match self.by {
            UsageBy::Agent => ("u.agent", "usage_by_day u WHERE u.day >= ?1"),
            UsageBy::Day => {
                ("date(u.day * 86400, 'unixepoch')", "usage_by_day u WHERE u.day >= ?1")
            }
            UsageBy::Model => ("u.model", "usage_by_day u WHERE u.day >= ?1"),
            UsageBy::Session => (
                "s.key",
                "usage_by_session u JOIN sessions s ON s.id = u.session
                     WHERE s.deleted_at IS NULL AND ?1 IS NOT NULL",
            ),
        };
        let sql = format!(
            "SELECT {name} AS name, u.model, sum(u.answers), sum(u.input_tokens),
                 sum(u.output_tokens), sum(u.cached_tokens), sum(u.worked_millis) FROM {from}
             GROUP BY name, u.model ORDER BY name, u.model"
        );
        let since = self.since.map_or(0, day_of);
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([since], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl Store {
    /// Returns what an agent's models have used on the day of an instant, a row for each.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn used_today(&self, agent: &AgentId, now: Timestamp) -> Result<Vec<UsageOf>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT '', model, answers, input_tokens, output_tokens, cached_tokens,
                           worked_millis FROM usage_by_day WHERE day = ?1 AND agent = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![day_of(now), agent.as_str()], read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<UsageOf> {
    let usage =
        Usage { input_tokens: row.get(3)?, output_tokens: row.get(4)?, cached_tokens: row.get(5)? };
    Ok(UsageOf {
        name: row.get(0)?,
        model: row.get(1)?,
        answers: row.get(2)?,
        usage,
        worked_millis: row.get(6)?,
    })
}
