//! Saying something to a sub-agent: one more turn in its conversation, with what it was given.

use openclaw_scopes::method::SendToChild as SendMethod;
use openclaw_scopes::target::SpawnTarget;
use openclaw_scopes::{AgentId, Authorized, Principal, SessionKey, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::ChildError;
use super::spawn::{bounded, refused, working};
use crate::act::{Applied, Ask, Transaction};
use crate::error::Fault;
use crate::runs::{AcceptRun, Accepted};
use crate::sessions;

/// Asks something more of a sub-agent: accepts a run in its conversation, on behalf of whoever the caller acts
/// for.
#[derive(Clone, Debug)]
pub struct SendToChild {
    /// The run, in the conversation of the sub-agent, with the message.
    pub accept: AcceptRun,
    /// The conversation that delegated to it.
    pub parent: SessionKey,
    /// The agent that does the work.
    pub agent: AgentId,
    /// How many sub-agents of that conversation work at once.
    pub children: u32,
}

impl Ask for SendToChild {
    type Method = SendMethod;
    type Output = Accepted;
    type Error = ChildError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SpawnTarget, Fault<ChildError>> {
        let parent = sessions::target(tx, &self.parent)?;
        Ok(SpawnTarget { parent: parent.key, owner: parent.owner, agent: self.agent.clone() })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<SendMethod>,
        now: Timestamp,
    ) -> Result<Applied<Accepted>, Fault<ChildError>> {
        let (caller, target) = authorized.into_parts();
        let child = &self.accept.session;
        let unknown = || Fault::Domain(ChildError::Unknown(child.to_string()));
        let parent = sessions::row_of(tx, &target.parent)?.ok_or_else(unknown)?;
        if let Principal::Run { run, .. } = caller.actor() {
            // A run that was superseded or has ended says nothing more.
            working(tx, run, parent)?;
        }
        // Only to what this very conversation delegated: whoever knows a key knows nothing more by it.
        let sql =
            "SELECT s.archived_at IS NOT NULL FROM children c JOIN sessions s ON s.id = c.session
                   WHERE s.key = ?1 AND c.parent = ?2 AND s.deleted_at IS NULL";
        let is_archived: Option<bool> = tx
            .prepare_cached(sql)?
            .query_row(params![child.as_str(), parent], |row| row.get(0))
            .optional()?;
        if is_archived.ok_or_else(unknown)? {
            return Err(Fault::Domain(ChildError::Archived(child.clone())));
        }
        bounded(tx, parent, Some(child), target.parent, self.children)?;
        let inserted = self.accept.insert(tx, &caller, now)?;
        let place = inserted.ok_or(Fault::Domain(ChildError::IdempotencyConflict))?;
        let accepted = self.accept.enter(tx, place, &caller, now).map_err(refused)?;
        Ok(Applied::Changed(accepted))
    }
}
