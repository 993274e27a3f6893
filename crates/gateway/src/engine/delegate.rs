//! Delegation: runs that are handed to sub-agents, and what their parents are told of them.
//!
//! Nothing here dials anything: a delegation is an operation of the store, performed by the run that asks,
//! on behalf of whoever that works for.

use std::sync::Arc;
use std::time::Duration;

use openclaw_config::ModelName;
use openclaw_scopes::method::SpawnChild as SpawnMethod;
use openclaw_scopes::target::SpawnTarget;
use openclaw_scopes::{
    AgentId, Caller, CapabilitySet, Cause, Component, GrantHolder, RunId, SessionKey,
};
use openclaw_sessions::{Dropped, EnqueueError, QueueMode};
use openclaw_store::{
    AcceptRun, Accepted, ActError, Ask, Assignment, CancelChild, ChildError, Cleanup,
    DeleteSession, EndedRun, Peek, Precedence, RunView, SessionError, SpawnChild, SpawnLimits,
};

use super::Engine;
use super::budget::Task;
use super::drive::Begin;
use super::live::{Live, Stop};
use super::turns::Enlisted;
use crate::roster::Worker;
use crate::{clock, route, secrets};

/// A task to be delegated, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) run: RunId,
    pub(crate) digest: [u8; 32],
    /// The conversation that is told.
    pub(crate) parent: SessionKey,
    pub(crate) agent: AgentId,
    pub(crate) task: String,
    pub(crate) label: String,
    /// How many tokens one of its runs may use.
    pub(crate) max_tokens: Option<u64>,
    pub(crate) model: Option<ModelName>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cleanup: Cleanup,
    /// The tools that it may use; `None` for all that it could have.
    pub(crate) tools: Option<Vec<String>>,
    /// What whoever delegates is capable of: the sub-agent is never capable of more.
    pub(crate) ceiling: CapabilitySet,
    /// The tools that whoever asks has, where those are not all of its conversation's.
    pub(crate) held: Option<Vec<String>>,
}

/// Why a task was not delegated. Nothing of it is left then.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The decision, the limits or the storage said no.
    Act(ActError<ChildError>),
    /// The gateway is stopping.
    Draining,
    /// A budget is used up.
    Budget(String),
    /// Too many runs wait.
    Full(EnqueueError),
    /// An agent was named to which the conversation's own may not delegate.
    OtherAgent(AgentId),
    /// There is no such agent.
    UnknownAgent(AgentId),
    /// There is no such model.
    UnknownModel(ModelName),
    /// The agent has no such tool, or a sub-agent may not have it.
    UnknownTool(String),
    /// Something failed that is nobody's fault but ours.
    Internal,
}

impl Engine {
    /// Delegates a task, and sets it to work.
    pub(crate) async fn spawn_child(
        &self,
        caller: &Caller,
        order: Order,
    ) -> Result<RunView, SpawnError> {
        if self.is_draining() {
            return Err(SpawnError::Draining);
        }
        let worker = self
            .worker(&order.agent)
            .ok_or_else(|| SpawnError::UnknownAgent(order.agent.clone()))?;
        let parent = openclaw_sessions::agent_of(&order.parent).ok();
        let may = |parent: &AgentId| match self.worker(parent) {
            Some(worker) => worker.agent.may_delegate_to(&order.agent),
            None => *parent == order.agent,
        };
        if !parent.as_ref().is_some_and(may) {
            return Err(SpawnError::OtherAgent(order.agent));
        }
        if let Some(model) = &order.model
            && self.roster().model(model).is_none()
        {
            return Err(SpawnError::UnknownModel(model.clone()));
        }
        let roster = self.roster();
        let limits = roster.config.agent_defaults().subagents;
        let limits =
            SpawnLimits { depth: limits.max_spawn_depth, children: limits.max_children_per_agent };
        let depth = self.0.store.session_depth(&order.parent);
        let depth = depth.map_err(|error| SpawnError::Act(ActError::Store(error)))?;
        let is_leaf = depth.saturating_add(1) >= limits.depth;
        let mut held = self.tools_of(&order.parent)?;
        if let Some(own) = &order.held {
            held.retain(|tool| own.contains(tool));
        }
        let (tools, capabilities) = worker
            .child_tools(
                order.tools.as_deref(),
                order.ceiling,
                &held,
                roster.config.tools_of_subagents(),
                is_leaf,
            )
            .map_err(SpawnError::UnknownTool)?;
        let id = secrets::hex::<16>().map_err(|_told| SpawnError::Internal)?;
        let session = route::child(&order.agent, &id, &roster.routes)
            .map_err(|_told| SpawnError::Internal)?;
        loop {
            match self.enlist(&order.run, order.digest, &session, caller) {
                Enlisted::New(live) => {
                    if let Err(spent) = self.set_aside(&live, &worker, caller, &order) {
                        self.dismiss(&live);
                        live.accept_failed();
                        return Err(spent);
                    }
                    let precedence =
                        if live.has_turn() { Precedence::Start } else { Precedence::Wait };
                    let ask = SpawnChild {
                        accept: AcceptRun {
                            run: order.run.clone(),
                            request_digest: order.digest,
                            session: session.clone(),
                            message: order.task.clone(),
                            timeout: order.timeout,
                            precedence,
                            // Whoever delegates says what came of it.
                            reply_to: String::new(),
                            queue: QueueMode::Followup,
                            dropped: Dropped::default(),
                            join: None,
                            fresh_since: None,
                        },
                        parent: order.parent.clone(),
                        assignment: Assignment {
                            label: order.label.clone(),
                            model: order
                                .model
                                .as_ref()
                                .map(ToString::to_string)
                                .unwrap_or_default(),
                            cleanup: order.cleanup,
                            tools,
                            capabilities,
                            max_tokens: order.max_tokens,
                            agent: order.agent.clone(),
                            timeout: order.timeout,
                        },
                        limits,
                    };
                    return self.act_and_drive(caller.clone(), ask, live, worker).await;
                }
                Enlisted::Full(full) => return Err(SpawnError::Full(full)),
                Enlisted::There(live) => {
                    // Whether a name is taken is told to those who may delegate.
                    let target = SpawnTarget {
                        parent: order.parent.clone(),
                        owner: None,
                        agent: order.agent.clone(),
                    };
                    let peek = Peek::<SpawnMethod>(target);
                    match self.0.store.view(caller, &peek, clock::now()).await {
                        Ok(_authorized) => {}
                        Err(ActError::Denied(denial)) => {
                            return Err(SpawnError::Act(ActError::Denied(denial)));
                        }
                        Err(ActError::Store(error)) => {
                            return Err(SpawnError::Act(ActError::Store(error)));
                        }
                        Err(ActError::Failed(never)) => match never {},
                    }
                    if !live.is_same(&order.digest, caller.on_behalf_of()) {
                        let conflict = ActError::Failed(ChildError::IdempotencyConflict);
                        return Err(SpawnError::Act(conflict));
                    }
                    if let Some(view) = live.until_accepted().await {
                        return Ok(view);
                    }
                }
            }
        }
    }

    /// Sets aside what a task will use first, as long as there is enough left: whoever delegates at the same moment
    /// gets none of it.
    fn set_aside(
        &self,
        live: &Live,
        worker: &Worker,
        caller: &Caller,
        order: &Order,
    ) -> Result<(), SpawnError> {
        let tree = self.tree_of(caller);
        if let Some((tree, _)) = &tree {
            live.keep(Arc::clone(tree));
        }
        let model = order.model.as_ref().map(ToString::to_string);
        let model = model.as_deref().unwrap_or_else(|| worker.model.name());
        let task = Task { model, bytes: order.task.len(), max_tokens: order.max_tokens };
        match self.reserve_for(worker, tree, task) {
            Ok(reserved) => live.reserve(reserved),
            Err(spent) => {
                let known = self.0.store.run(&order.run);
                let known = known.map_err(|error| SpawnError::Act(ActError::Store(error)))?;
                // What was accepted once is found, whatever is left: it is not begun again.
                if known.is_none() {
                    return Err(SpawnError::Budget(spent));
                }
            }
        }
        Ok(())
    }

    /// Returns the tools that turns of a conversation have: what was given to it, or what its agent has.
    fn tools_of(&self, session: &SessionKey) -> Result<Vec<String>, SpawnError> {
        let given = self.0.store.given(session);
        if let Some(given) = given.map_err(|error| SpawnError::Act(ActError::Store(error)))? {
            return Ok(given.tools);
        }
        let specs = self.worker_of(session).map(|worker| worker.specs()).unwrap_or_default();
        Ok(specs.iter().map(|spec| spec.name.clone()).collect())
    }

    /// Accepts a delegated run and drives it, in a task of its own: whoever asked may go away at any
    /// moment, and what was begun goes on.
    pub(super) async fn act_and_drive(
        &self,
        caller: Caller,
        ask: impl Ask<Output = Accepted, Error = ChildError> + 'static,
        live: Arc<Live>,
        worker: Arc<Worker>,
    ) -> Result<RunView, SpawnError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            let accepted = engine.0.store.act(&caller, ask, clock::now()).await;
            match engine.begin(&live, accepted) {
                Ok((view, begin)) => {
                    drop(tell.send(Ok(view)));
                    if let Some(begin) = begin {
                        engine.drive(live, worker, begin).await;
                    }
                }
                Err(error) => drop(tell.send(Err(SpawnError::Act(error)))),
            }
        });
        told.await.unwrap_or(Err(SpawnError::Draining))
    }

    /// Takes in what came of accepting a run that has its place in the lanes; tells how it is to be
    /// driven, if it is new.
    pub(super) fn begin<E>(
        &self,
        live: &Live,
        accepted: Result<Accepted, ActError<E>>,
    ) -> Result<(RunView, Option<Begin>), ActError<E>> {
        let (view, begin) = match accepted {
            Ok(Accepted::Started(started)) => (started.view.clone(), Begin::Now(started)),
            Ok(Accepted::Waiting(view, ticket)) => (view, Begin::InTurn(ticket)),
            Ok(Accepted::Existing(view)) => {
                self.dismiss(live);
                live.accept_failed();
                return Ok((view, None));
            }
            Err(error) => {
                self.dismiss(live);
                live.accept_failed();
                return Err(error);
            }
        };
        live.accepted(&view);
        Ok((view, Some(begin)))
    }

    /// Ends a sub-agent and all below it; returns it as it ended.
    pub(crate) async fn cancel_child(
        &self,
        caller: &Caller,
        run: &RunId,
    ) -> Result<RunView, ActError<ChildError>> {
        let ask = CancelChild(run.clone());
        let cancelled = self.0.store.act(caller, ask, clock::now()).await?;
        self.ended_outside(&cancelled.ended).await;
        self.announce_soon(cancelled.parent);
        Ok(cancelled.view)
    }

    /// Stops what was ended by a decision, and waits until nothing of it works any more: neither a turn
    /// nor a command that it started.
    pub(crate) async fn ended_outside(&self, ended: &[EndedRun]) {
        let live: Vec<_> = ended.iter().filter_map(|ended| self.find(&ended.run)).collect();
        for live in &live {
            live.stop(Stop::Abort);
        }
        for live in live {
            live.until_ended().await;
        }
    }

    /// What follows the deletion of a conversation: the one that delegated to it is told, and those to which
    /// it delegated go, too.
    pub(crate) fn told_of_end(&self, parent: Option<SessionKey>) {
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            if let Some(parent) = parent {
                engine.announce(&parent).await;
            }
            engine.reap().await;
        });
    }

    /// Has something done that nobody waits for, and that a stop waits for; `false` for not yet.
    pub(crate) fn later(&self, work: impl Future<Output = bool> + Send + 'static) -> bool {
        self.0.tasks.spawn(async move {
            work.await;
        });
        false
    }

    /// Forgets what is kept in memory of a conversation.
    pub(crate) fn forget(&self, session: &SessionKey) {
        self.0.cache.forget(session);
    }

    /// Removes the conversations of sub-agents that nobody wants any more, and those that nobody wants then.
    pub(crate) async fn reap(&self) {
        while self.reap_once().await {}
    }

    /// Returns who removes what goes by itself.
    pub(crate) fn reaper(&self) -> Option<Caller> {
        match self.0.store.epoch(&GrantHolder::Gateway) {
            Ok(Some(epoch)) => Some(Caller::system(Component::Reaper, Cause::Timer, epoch)),
            Ok(None) => {
                tracing::error!("the gateway's own grant is missing");
                None
            }
            Err(error) => {
                tracing::error!(%error, "the gateway's own grant could not be read");
                None
            }
        }
    }

    /// Removes some of them; tells whether there may be more.
    async fn reap_once(&self) -> bool {
        let found = self.0.store.reapable(clock::now());
        let sessions = match found {
            Ok(sessions) if sessions.is_empty() => return false,
            Ok(sessions) => sessions,
            Err(error) => {
                tracing::error!(%error, "what may be removed is unknown");
                return false;
            }
        };
        let Some(caller) = self.reaper() else { return false };
        let mut is_well = true;
        for key in sessions {
            let ask = DeleteSession {
                key: key.clone(),
                archive: openclaw_store::Archive::Drop,
                unused_since: None,
            };
            match self.delete_session(&caller, ask).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(session = %key, ?error, "a session could not be removed");
                    is_well = false;
                }
            }
        }
        is_well
    }

    /// Deletes a conversation of which nothing is kept; its rows go in the background.
    pub(crate) async fn delete_session(
        &self,
        caller: &Caller,
        ask: DeleteSession,
    ) -> Result<(), ActError<SessionError>> {
        let deleted = self.0.store.act(caller, ask, clock::now()).await?;
        self.ended_outside(&deleted.ended).await;
        self.forget(&deleted.key);
        if let Some(left) = deleted.left {
            crate::purge::later(&self.0.tasks, self.0.store.clone(), left);
        }
        Ok(())
    }
}
