//! Commands that wait for an approval: asked for by one run, answered by people, used once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_agents::tools::{Approvals, Clearance, ExecOperation, shown};
use openclaw_agents::{TurnEvent, TurnSink as _};
use openclaw_config::Unattended;
use openclaw_scopes::{
    Caller, Capability, GrantHolder, SessionKey, ToolName, ToolTarget, command_words,
};
use openclaw_sessions::LaneClass;
use openclaw_store::{
    ActError, Approval, ApprovalError, ApprovalState, Operation, ReplyTo, RequestApproval,
    Requested, UseApproval, Used,
};

use super::Engine;
use super::live::{Live, Stop};
use crate::channels::{AskedAt, Asker, asked_at, buttons, elsewhere, question};
use crate::{clock, secrets};

/// How long an approval can be answered, and used (`access.md` §11 of the reference).
pub(crate) const TTL: Duration = Duration::from_mins(30);

/// Characters of a command that a refusal repeats at most.
const SHOWN: usize = 300;

/// Approvals for one run, or one command of a job.
#[derive(Debug)]
pub(super) struct RunApprovals {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
    /// The run; a command of a job is none, and waits for nobody.
    pub(super) live: Option<Arc<Live>>,
    pub(super) session: SessionKey,
    pub(super) capability: Capability,
    pub(super) unattended: Unattended,
}

/// What is told when an approval cannot be asked for.
fn failed(error: &ActError<ApprovalError>) -> String {
    match error {
        ActError::Denied(denial) => denial.to_string(),
        ActError::Failed(error) => error.to_string(),
        ActError::Store(error) => {
            tracing::error!(%error, "an approval could not be asked for");
            "the approval could not be asked for".to_owned()
        }
    }
}

fn described(operation: &ExecOperation) -> Operation {
    Operation {
        tool: "exec".to_owned(),
        argv: operation.argv.clone(),
        cwd: operation.cwd.to_string_lossy().into_owned(),
        binary: operation.binary.to_string_lossy().into_owned(),
        binary_digest: shown(&operation.binary_digest),
        environment_digest: shown(&operation.environment_digest),
        sandbox: ExecOperation::confinement(operation.sandbox).to_owned(),
    }
}

impl RunApprovals {
    fn target(&self) -> Result<ToolTarget, String> {
        let tool = ToolName::parse("exec").map_err(|error| error.to_string())?;
        Ok(ToolTarget { tool, capability: self.capability })
    }

    /// Whether nobody is there who could answer: a job or a hook asked, perhaps by a sub-agent, and not a
    /// person.
    fn is_unattended(&self) -> bool {
        if self.live.is_none() {
            return true;
        }
        let mut session = self.session.clone();
        while LaneClass::of(&session) == LaneClass::Subagent {
            match self.engine.0.store.parent_of(&session) {
                Ok(Some(parent)) => session = parent,
                Ok(None) | Err(_) => return self.unattended == Unattended::Deny,
            }
        }
        let is_of_hook = matches!(self.caller.on_behalf_of(), GrantHolder::Hook(_));
        (is_of_hook || LaneClass::of(&session) == LaneClass::Background)
            && self.unattended == Unattended::Deny
    }

    async fn request(&self, operation: &ExecOperation) -> Result<Requested, String> {
        let id = secrets::hex::<6>().map_err(|_told| "internal error".to_owned())?;
        let ask = RequestApproval {
            target: self.target()?,
            id: format!("ap-{id}"),
            session: self.session.clone(),
            digest: operation.digest(),
            operation: described(operation),
            ttl: TTL,
            may_wait: !self.is_unattended(),
        };
        let requested = self.engine.0.store.act(&self.caller, ask, clock::now()).await;
        requested.map_err(|error| failed(&error))
    }

    /// Asks for it in the chat where whoever may approve it reads, if there is one: once, whoever follows the run.
    async fn ask_in_chat(&self, live: &Arc<Live>, approval: &Approval) {
        let Some((to, on_behalf_of)) = self.chat(live) else { return };
        let Operation { argv, binary, cwd, .. } = &approval.operation;
        let question = question(&approval.id, &command_words(argv), binary, cwd);
        let (to, text) = match to {
            AskedAt::Here(to) => (to, question),
            AskedAt::Owner => match self.engine.owner_reads() {
                Some(to) => (to, elsewhere(&self.session, &on_behalf_of, &question)),
                None => return,
            },
        };
        let source = format!("approval:{}", approval.id);
        let buttons = buttons(&approval.id);
        let asked = self.engine.0.store.ask_as_gateway(source, to, text, buttons, clock::now());
        match asked.await {
            Ok(()) => self.engine.outbox().notify_waiters(),
            Err(error) => tracing::error!(?error, "an approval could not be asked for in a chat"),
        }
    }

    /// Returns in which chat it is asked: that of the run, else that of a message which it has taken in.
    fn chat(&self, live: &Arc<Live>) -> Option<(AskedAt, GrantHolder)> {
        let roster = self.engine.roster();
        let followers = live.followers();
        [live].into_iter().chain(&followers).find_map(|live| {
            let view = self.engine.stored(live)?;
            let to = ReplyTo::delivered(&view.reply_to)?;
            let asker = if live.is_restored() { Asker::Nobody } else { Asker::Person };
            let at = asked_at(roster.config.channels(), to, live.holder(), asker)?;
            Some((at, live.holder().clone()))
        })
    }

    /// Waits for the answer. The run's time does not run meanwhile, and its place is for others.
    async fn answered(&self, live: &Arc<Live>, approval: Approval) -> Clearance {
        let _paused = live.pause();
        let _aside = self.engine.step_aside(live.run());
        live.emit(TurnEvent::ApprovalNeeded {
            approval: approval.id.clone(),
            operation: command_words(&approval.operation.argv),
            program: approval.operation.binary.clone(),
            cwd: approval.operation.cwd.clone(),
        });
        self.ask_in_chat(live, &approval).await;
        let id = approval.id.clone();
        loop {
            let mut decided = std::pin::pin!(self.engine.0.decided.notified());
            // Before the look: what is decided after it is then noticed.
            decided.as_mut().enable();
            let now = clock::now();
            let approval = match self.engine.0.store.approval(&id, now) {
                Ok(Some(found)) => found,
                Ok(None) => return Clearance::Refused(format!("approval `{id}` is gone")),
                Err(error) => {
                    tracing::error!(%error, "an approval could not be read");
                    return Clearance::Refused("the approval could not be read".to_owned());
                }
            };
            match approval.state {
                ApprovalState::Approved => return Clearance::Once(id),
                ApprovalState::Denied if approval.reason.is_empty() => {
                    return Clearance::Refused("it was not approved".to_owned());
                }
                ApprovalState::Denied => {
                    let reason = format!("it was not approved: {}", approval.reason);
                    return Clearance::Refused(reason);
                }
                ApprovalState::Expired | ApprovalState::Used => {
                    let minutes = TTL.as_secs() / 60;
                    let reason = format!("nobody approved it within {minutes} minutes");
                    return Clearance::Refused(reason);
                }
                ApprovalState::Pending => {}
            }
            let left = approval.expires_at.since(now).max(Duration::from_millis(1));
            tokio::select! {
                _in_time = tokio::time::timeout(left, decided) => {}
                // A stop does not wait for a person. The question stays, and the run comes back to it.
                () = self.engine.0.drain.cancelled() => {
                    live.stop(Stop::Aside);
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Approvals for RunApprovals {
    fn ask<'a>(&'a self, operation: &'a ExecOperation) -> BoxFuture<'a, Clearance> {
        Box::pin(async move {
            match self.request(operation).await {
                Ok(Requested::Asked(approval)) => match &self.live {
                    Some(live) => self.answered(live, *approval).await,
                    // Only one that was approved is found for it.
                    None => Clearance::Once(approval.id),
                },
                Ok(Requested::Nobody) if self.live.is_none() => {
                    let listed = serde_json::to_string(&operation.argv).unwrap_or_default();
                    let listed: String = listed.chars().take(SHOWN).collect();
                    Clearance::Refused(format!(
                        "it needs an approval, and nobody is there who could give it: add {listed} to \
                         `tools.exec.allow`, or have the agent run it in a conversation of the job's owner, and \
                         approve it there with `--always`"
                    ))
                }
                Ok(Requested::Nobody) => Clearance::Refused(
                    "it needs an approval, and nobody is there who could give it: somebody has to run it \
                     once in a conversation of theirs, and approve it there with `--always`"
                        .to_owned(),
                ),
                Ok(Requested::Standing(_)) => Clearance::Standing,
                Err(reason) => Clearance::Refused(reason),
            }
        })
    }

    fn redeem<'a>(
        &'a self,
        approval: &'a str,
        operation: &'a ExecOperation,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let ask = UseApproval {
                target: self.target()?,
                id: approval.to_owned(),
                digest: operation.digest(),
            };
            match self.engine.0.store.act(&self.caller, ask, clock::now()).await {
                Ok(Used::Now) => Ok(()),
                Ok(Used::Otherwise) => Err("it is not what was approved".to_owned()),
                Ok(Used::Not(state)) => {
                    Err(format!("approval `{approval}` is {} by now", state.name()))
                }
                Err(error) => Err(failed(&error)),
            }
        })
    }
}

impl Engine {
    /// Has those look who wait for an approval.
    pub(crate) fn decided(&self) {
        self.0.decided.notify_waiters();
    }
}
