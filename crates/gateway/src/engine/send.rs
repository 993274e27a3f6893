//! Saying something more to a sub-agent.

use std::time::Duration;

use openclaw_scopes::{Caller, RunId, SessionKey};
use openclaw_sessions::{Dropped, QueueMode};
use openclaw_store::{AcceptRun, Precedence, RunView, SendToChild};

use super::Engine;
use super::delegate::SpawnError;
use super::turns::Enlisted;
use crate::{digest, secrets};

impl Engine {
    /// Says something to a sub-agent, and sets it to work; returns its run.
    pub(super) async fn send_to_child(
        &self,
        caller: &Caller,
        parent: SessionKey,
        child: &SessionKey,
        message: String,
    ) -> Result<RunView, SpawnError> {
        if self.is_draining() {
            return Err(SpawnError::Draining);
        }
        let agent = openclaw_sessions::agent_of(child).map_err(|_told| SpawnError::Internal)?;
        let worker = self.worker(&agent).ok_or_else(|| SpawnError::UnknownAgent(agent.clone()))?;
        let run = secrets::id("sent-", RunId::parse).map_err(|_told| SpawnError::Internal)?;
        let digest = digest::of(&[parent.as_str(), run.as_str()]);
        let live = match self.enlist(&run, digest, child, caller) {
            Enlisted::New(live) => live,
            Enlisted::Full(full) => return Err(SpawnError::Full(full)),
            Enlisted::There(_) => return Err(SpawnError::Internal),
        };
        let accept = AcceptRun {
            run,
            request_digest: digest,
            session: child.clone(),
            message,
            timeout: worker.agent.timeout,
            precedence: if live.has_turn() { Precedence::Start } else { Precedence::Wait },
            // Whoever asks says what came of it.
            reply_to: String::new(),
            queue: QueueMode::Followup,
            dropped: Dropped::default(),
            join: None,
            fresh_since: None,
        };
        let children = self.roster().config.agent_defaults().subagents.max_children_per_agent;
        let ask = SendToChild { accept, parent, agent, children };
        self.act_and_drive(caller.clone(), ask, live, worker).await
    }

    /// Waits for the end of a run for so long; `None` when it has not ended then.
    pub(super) async fn end_of(&self, run: &RunId, limit: Duration) -> Option<RunView> {
        if let Some(live) = self.find(run) {
            return tokio::time::timeout(limit, live.until_ended()).await.ok().flatten();
        }
        let stored = self.0.store.run(run);
        stored.ok().flatten().filter(|view| view.status.is_terminal())
    }
}
