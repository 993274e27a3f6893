//! Heartbeats: one job for each agent that looks around by itself, kept as the configuration says.

use openclaw_scopes::method::KeepHeartbeats as KeepMethod;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{AgentId, Authorized, GrantHolder, Scope, ScopeSet, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::add::first;
use super::change::{remove, rewrite_as};
use super::{JobError, JobSpec, Switch, spec};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, StoreError};
use crate::grants::stored;
use crate::handle::Store;

/// How the keys and the ids of heartbeats begin, and the ids of their runs.
pub const HEARTBEAT: &str = "heartbeat";

/// What an agent's heartbeat is.
#[derive(Clone, Debug)]
pub struct HeartbeatOf {
    /// The agent.
    pub agent: AgentId,
    /// The heartbeat.
    pub spec: JobSpec,
}

/// Has exactly these heartbeats be there: others are removed.
///
/// One that was switched off stays off. They act on behalf of the gateway's owner, with no more than it takes to
/// read and write.
#[derive(Clone, Debug)]
pub struct KeepHeartbeats(pub Vec<HeartbeatOf>);

/// What every heartbeat rests on.
const SCOPES: ScopeSet = ScopeSet::EMPTY.with(Scope::Write);

/// The keys of heartbeats.
fn key_of(agent: &AgentId) -> String {
    format!("{HEARTBEAT}:{agent}")
}

/// Whether a key is one of those that the configuration keeps.
pub(super) fn is_kept(key: &str) -> bool {
    key.strip_prefix(HEARTBEAT).is_some_and(|rest| rest.starts_with(':'))
}

impl Ask for KeepHeartbeats {
    type Method = KeepMethod;
    type Output = ();
    type Error = JobError;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<JobError>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<KeepMethod>,
        now: Timestamp,
    ) -> Result<Applied<()>, Fault<JobError>> {
        drop(authorized.into_parts());
        let mut is_changed = false;
        for (row, key) in kept(tx)? {
            if !self.0.iter().any(|heartbeat| key_of(&heartbeat.agent) == key) {
                remove(tx, row, now)?;
                is_changed = true;
            }
        }
        for HeartbeatOf { agent, spec } in &self.0 {
            is_changed |= keep(tx, agent, spec, now)?;
        }
        Ok(if is_changed { Applied::Changed(()) } else { Applied::Unchanged(()) })
    }
}

impl Store {
    /// Whether a run of this agent works or waits.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn is_at_work(&self, agent: &AgentId) -> Result<bool, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM runs r JOIN sessions s ON s.id = r.session
                           WHERE r.status IN ('queued', 'running') AND s.agent = ?1)";
            Ok(connection.prepare_cached(sql)?.query_row([agent.as_str()], |row| row.get(0))?)
        })
    }
}

fn kept(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    let sql = "SELECT id, key FROM cron_jobs
               WHERE key <> '' AND key BETWEEN 'heartbeat:' AND 'heartbeat;' AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Keeps one heartbeat; tells whether anything changed.
fn keep(
    connection: &Connection,
    agent: &AgentId,
    new: &JobSpec,
    now: Timestamp,
) -> Result<bool, Fault<JobError>> {
    let key = key_of(agent);
    let sql = "SELECT id, name, spec FROM cron_jobs
               WHERE key = ?1 AND key <> '' AND deleted_at IS NULL";
    let found: Option<(i64, String, String)> = connection
        .prepare_cached(sql)?
        .query_row([&key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((row, name, text)) = found {
        let is_same = name == new.name && text == spec::to_text(new)?;
        if !is_same {
            rewrite_as(connection, row, new, None, SCOPES, now)?;
        }
        return Ok(!is_same);
    }
    // One that was removed before keeps its id in the ledger.
    let sql = "SELECT count(*) FROM cron_jobs WHERE key = ?1";
    let before: u64 = connection.prepare_cached(sql)?.query_row([&key], |row| row.get(0))?;
    let id = match before {
        0 => format!("{HEARTBEAT}-{agent}"),
        before => format!("{HEARTBEAT}-{agent}-{before}"),
    };
    let next = first(new, Switch::On, None, now)?;
    let sql = "UPDATE cron_totals SET jobs = jobs + 1";
    connection.prepare_cached(sql)?.execute([])?;
    let sql = "INSERT INTO cron_jobs (job, key, name, agent, owner, scopes, created_in, reply_to,
                   spec, created_at, updated_at, next_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', '', ?7, ?8, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        id,
        key,
        new.name,
        agent.as_str(),
        GrantHolder::Owner.to_string(),
        stored(SCOPES),
        spec::to_text(new)?,
        now.as_millis(),
        next.map(Timestamp::as_millis),
    ])?;
    Ok(true)
}
