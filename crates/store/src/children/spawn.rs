//! Delegating: the conversation, the run, and the edge that tells its parent are one change.

use openclaw_scopes::method::SpawnChild as SpawnMethod;
use openclaw_scopes::target::SpawnTarget;
use openclaw_scopes::{Authorized, CapabilitySet, Principal, RunId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Assignment, ChildError, SpawnLimits};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, StoreError, damaged};
use crate::runs::{AcceptRun, Accepted, RunError};
use crate::sessions;
use crate::usage::MAX_TOKENS;

/// Delegates a task: opens a conversation for it, and accepts a run in it, on behalf of whoever the
/// caller acts for. Counting, and what is counted, happen in the same step.
#[derive(Clone, Debug)]
pub struct SpawnChild {
    /// The run, in a conversation of its own, with the task as its message.
    pub accept: AcceptRun,
    /// The conversation that is told what came of it.
    pub parent: SessionKey,
    /// What it is given.
    pub assignment: Assignment,
    /// How far delegation may go.
    pub limits: SpawnLimits,
}

impl Ask for SpawnChild {
    type Method = SpawnMethod;
    type Output = Accepted;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SpawnTarget, Fault<ChildError>> {
        let parent = sessions::target(tx, &self.parent)?;
        let agent = self.assignment.agent.clone();
        Ok(SpawnTarget { parent: parent.key, owner: parent.owner, agent })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<SpawnMethod>,
        now: Timestamp,
    ) -> Result<Applied<Accepted>, Fault<ChildError>> {
        let (caller, target) = authorized.into_parts();
        if let Some(existing) = self.accept.existing(tx, &caller).map_err(refused)? {
            return Ok(Applied::Unchanged(Accepted::Existing(existing)));
        }
        // The conversation of an earlier one of this name is gone, and what it said was told.
        let sql = "SELECT EXISTS (SELECT 1 FROM inbox WHERE source = ?1)";
        if tx.prepare_cached(sql)?.query_row([self.accept.run.as_str()], |row| row.get(0))? {
            return Err(Fault::Domain(ChildError::Gone(self.accept.run.clone())));
        }
        let unknown = || Fault::Domain(ChildError::UnknownParent(target.parent.clone()));
        if sessions::is_archived(tx, &target.parent)? {
            return Err(Fault::Domain(ChildError::Archived(target.parent)));
        }
        let parent = sessions::row_of(tx, &target.parent)?.ok_or_else(unknown)?;
        let parent_run = match caller.actor() {
            // A run that was superseded or has ended delegates nothing more.
            Principal::Run { run, .. } => Some(working(tx, run, parent)?),
            Principal::Device { .. }
            | Principal::Hook { .. }
            | Principal::Owner { .. }
            | Principal::Plugin { .. }
            | Principal::Sender { .. }
            | Principal::System { .. }
            | Principal::Token { .. } => None,
        };
        let sql = "SELECT depth FROM sessions WHERE id = ?1";
        let depth: u32 = tx.prepare_cached(sql)?.query_row([parent], |row| row.get(0))?;
        if depth >= self.limits.depth {
            return Err(Fault::Domain(ChildError::TooDeep { max: self.limits.depth }));
        }
        bounded(tx, parent, None, target.parent, self.limits.children)?;
        let holder = caller.on_behalf_of();
        let session =
            sessions::insert(tx, &self.accept.session, holder, &self.assignment.label, now)?;
        let sql = "UPDATE sessions SET depth = ?2 WHERE id = ?1";
        tx.prepare_cached(sql)?.execute(params![session, depth.saturating_add(1)])?;
        let inserted = self.accept.insert(tx, &caller, now)?;
        let (row, _) = inserted.ok_or(Fault::Domain(ChildError::IdempotencyConflict))?;
        let Assignment { label, model, cleanup, tools, capabilities, max_tokens, .. } =
            &self.assignment;
        let sql =
            "INSERT INTO children (run, session, parent, parent_run, label, task, model, cleanup,
                       tools, capabilities, max_tokens, created_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        tx.prepare_cached(sql)?.execute(params![
            row,
            session,
            parent,
            parent_run,
            label,
            self.accept.message,
            model,
            cleanup.name(),
            tools.join(" "),
            capabilities.to_string(),
            max_tokens.map(|tokens| tokens.clamp(1, MAX_TOKENS)),
            now.as_millis(),
        ])?;
        let accepted = self.accept.enter(tx, (row, session), &caller, now).map_err(refused)?;
        Ok(Applied::Changed(accepted))
    }
}

pub(super) fn refused(fault: Fault<RunError>) -> Fault<ChildError> {
    match fault {
        Fault::Store(error) => Fault::Store(error),
        // Only the name of the request can be in the way of a conversation that is new.
        Fault::Domain(_) => Fault::Domain(ChildError::IdempotencyConflict),
    }
}

/// Returns the row of a run that works in this conversation.
pub(super) fn working(
    connection: &Connection,
    run: &RunId,
    session: i64,
) -> Result<i64, Fault<ChildError>> {
    let sql = "SELECT r.id FROM runs r JOIN sessions s ON s.id = r.session AND s.active_run = r.id
               WHERE r.run_id = ?1 AND r.session = ?2 AND r.status = 'running'";
    let row: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![run.as_str(), session], |row| row.get(0))
        .optional()?;
    row.ok_or_else(|| Fault::Domain(ChildError::Superseded(run.clone())))
}

/// Refuses one more sub-agent at work below a conversation than there may be; `but` is not counted.
pub(super) fn bounded(
    connection: &Connection,
    parent: i64,
    but: Option<&SessionKey>,
    key: SessionKey,
    max: u32,
) -> Result<(), Fault<ChildError>> {
    // Those that have not said what came of them, though they may only wait for what is below them; and those that
    // are asked more. Of a long-lived conversation's delegations both are few.
    let sql = "SELECT count(*) FROM (
            SELECT c.session FROM children c JOIN runs s ON s.id = c.run
            WHERE c.parent = ?1 AND c.reap_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.source = s.run_id)
            UNION
            SELECT c.session FROM runs r JOIN children c ON c.session = r.session
            WHERE r.status IN ('queued', 'running') AND c.parent = ?1)
        WHERE session IS NOT (SELECT id FROM sessions WHERE key = ?2)";
    let but = but.map(SessionKey::as_str);
    let at_work: u32 =
        connection.prepare_cached(sql)?.query_row(params![parent, but], |row| row.get(0))?;
    if at_work >= max {
        Err(Fault::Domain(ChildError::TooMany { max, parent: key }))
    } else {
        Ok(())
    }
}

/// What a sub-agent was given, for every turn in its conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Delegated {
    /// The model that answers, as `provider/model`; empty for its agent's.
    pub model: String,
    /// The tools that it may use.
    pub tools: Vec<String>,
    /// What it is capable of.
    pub capabilities: CapabilitySet,
    /// How many tokens one of its runs may use.
    pub max_tokens: Option<u64>,
}

/// Returns what was given to the sub-agent whose conversation this is. Nothing is known of one is nothing
/// given: never what its agent has.
//= docs/threat-model.md#T16
pub(crate) fn delegated(connection: &Connection, session: i64) -> rusqlite::Result<Delegated> {
    let sql = "SELECT model, tools, capabilities, max_tokens FROM children WHERE session = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([session], |row| {
            let (tools, capabilities): (String, String) = (row.get(1)?, row.get(2)?);
            let capabilities = CapabilitySet::parse(&capabilities)
                .ok_or_else(|| damaged(2, UnknownCapability(capabilities)))?;
            let tools = tools.split_whitespace().map(str::to_owned).collect();
            Ok(Delegated { model: row.get(0)?, tools, capabilities, max_tokens: row.get(3)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

impl crate::handle::Store {
    /// Returns what was given to the sub-agent whose conversation this is; `None` when it is none of one.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn given(&self, session: &SessionKey) -> Result<Option<Delegated>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT id FROM sessions WHERE key = ?1 AND depth > 0";
            let row: Option<i64> = connection
                .prepare_cached(sql)?
                .query_row([session.as_str()], |row| row.get(0))
                .optional()?;
            Ok(row.map(|row| delegated(connection, row)).transpose()?)
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` are not capabilities that this gateway knows")]
struct UnknownCapability(String);
