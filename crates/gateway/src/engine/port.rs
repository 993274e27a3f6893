//! What the tools of one run ask of the gateway when it delegates: answers are for its model.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_agents::tools::{Delegation, SpawnOrder};
use openclaw_config::ModelName;
use openclaw_scopes::{AgentId, Caller, CapabilitySet, Denial, RunId, SessionKey};
use openclaw_sessions::{Notice, Record, RunStatus};
use openclaw_store::{ActError, Child, ChildError, ChildFilter, Cleanup, HandOver, JobGiven};
use serde_json::{Value, json};

use super::Engine;
use super::delegate::{Order, SpawnError};
use crate::{digest, secrets};

/// Sub-agents that a model is shown at most.
const SHOWN: u32 = 50;
/// Characters of one text that a model is shown of another conversation at most
/// (`runtime.md` §3.5 of the reference).
const MAX_TEXT: usize = 4_000;

/// Delegation for one run, as that run and on behalf of whoever it works for.
#[derive(Debug)]
pub(super) struct RunDelegation {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
    pub(super) capabilities: CapabilitySet,
    pub(super) agent: AgentId,
    pub(super) run: RunId,
    pub(super) session: SessionKey,
    /// What the job gave it whose turn this is.
    pub(super) given: Option<JobGiven>,
    /// The tools that this turn has, as soon as that is known: none is called before.
    pub(super) held: Arc<OnceLock<Vec<String>>>,
}

fn error(text: impl Into<String>) -> Value {
    json!({ "status": "error", "error": text.into() })
}

fn denied(denial: Denial) -> Value {
    let missing: Vec<_> = denial.smallest_grant().iter().map(|scope| scope.name()).collect();
    let text = denial.to_string();
    if missing.is_empty() {
        return json!({ "status": "forbidden", "error": text });
    }
    json!({ "status": "forbidden", "error": text, "missingScopes": missing })
}

/// Says why nothing was delegated: without the names of a run or a conversation, for there is none.
fn refused(refusal: SpawnError) -> Value {
    let forbidden = |text: String| json!({ "status": "forbidden", "error": text });
    match refusal {
        SpawnError::Act(ActError::Denied(denial)) => denied(denial),
        SpawnError::Act(ActError::Failed(
            limit @ (ChildError::TooDeep { .. } | ChildError::TooMany { .. }),
        )) => forbidden(limit.to_string()),
        SpawnError::Act(ActError::Failed(failed)) => error(failed.to_string()),
        SpawnError::Act(ActError::Store(failed)) => error(failed.to_string()),
        SpawnError::Budget(spent) => forbidden(spent),
        SpawnError::Draining => error("the gateway is stopping"),
        SpawnError::Full(full) => error(full.to_string()),
        SpawnError::OtherAgent(agent) => {
            forbidden(format!("agent `{agent}` is not one that this conversation may delegate to"))
        }
        SpawnError::UnknownAgent(agent) => error(format!("no agent `{agent}` is configured")),
        SpawnError::UnknownModel(model) => error(format!("no model `{model}` is configured")),
        SpawnError::UnknownTool(tool) => {
            error(format!("a sub-agent of this conversation cannot have the tool `{tool}`"))
        }
        SpawnError::Internal => error("internal error"),
    }
}

/// Whether something goes on still of which its parent will be told.
const fn is_open(child: &Child) -> bool {
    matches!(child.hand_over, HandOver::Ahead)
}

fn row(child: &Child) -> Value {
    let delivery = match &child.hand_over {
        HandOver::Ahead => "pending",
        HandOver::Waiting => "waiting",
        HandOver::Told(..) => "told",
        HandOver::Dead(..) => "dead",
        HandOver::Discarded(..) => "discarded",
    };
    json!({
        "runId": child.run.run.as_str(),
        "childSessionKey": child.run.session.as_str(),
        "label": child.label,
        // Its own turn may have ended while it waits for what it delegated itself.
        "status": if is_open(child) && child.run.status.is_terminal() {
            RunStatus::Running.name()
        } else {
            child.run.status.name()
        },
        "error": child.run.error,
        "delivery": delivery,
    })
}

impl RunDelegation {
    /// Returns what this conversation delegated, the newest first.
    fn children(&self) -> Result<Vec<Child>, Value> {
        let filter = ChildFilter {
            parent: Some(self.session.clone()),
            limit: SHOWN,
            ..ChildFilter::default()
        };
        let page = self.engine.0.store.children(&filter);
        page.map(|page| page.children).map_err(|failed| error(failed.to_string()))
    }

    /// Finds those of this conversation's own sub-agents that are named; all that work if none is.
    fn named(&self, runs: &[String]) -> Result<Vec<Child>, Value> {
        let children = self.children()?;
        if runs.is_empty() {
            return Ok(children.into_iter().filter(is_open).collect());
        }
        runs.iter()
            .map(|run| {
                let own = children.iter().find(|child| child.run.run.as_str() == run);
                own.cloned().ok_or_else(|| {
                    let run: String = run.chars().take(64).collect();
                    error(format!("this conversation has no sub-agent `{run}`"))
                })
            })
            .collect()
    }

    fn order(&self, order: SpawnOrder) -> Result<Order, Value> {
        let agent = match order.agent {
            None => self.agent.clone(),
            Some(name) => AgentId::parse(&name).map_err(|bad| error(bad.to_string()))?,
        };
        let model = order.model.map(|name| ModelName::parse(&name));
        let model = model.transpose().map_err(|bad| error(bad.to_string()))?;
        let label: String = order.label.unwrap_or_default();
        let label = openclaw_pairing::clean_name(&label);
        let run = secrets::id("sub-", RunId::parse).map_err(|_told| error("internal error"))?;
        let given = self.given.as_ref();
        // A sub-agent of a turn has no more than that turn: neither tools nor tokens.
        let most = given.map(|given| given.max_tokens).filter(|most| *most > 0);
        Ok(Order {
            held: Some(self.held.get().cloned().unwrap_or_default()),
            digest: digest::of(&[self.session.as_str(), run.as_str()]),
            run,
            parent: self.session.clone(),
            agent,
            task: order.task,
            label,
            max_tokens: match (order.max_tokens, most) {
                (Some(own), Some(most)) => Some(own.min(most)),
                (own, most) => own.or(most),
            },
            model,
            timeout: order.timeout,
            cleanup: order.cleanup.as_deref().and_then(Cleanup::parse).unwrap_or(Cleanup::Keep),
            tools: order.tools,
            ceiling: self.capabilities,
        })
    }

    fn said(&self, session: &str, limit: u64) -> Value {
        let children = match self.children() {
            Ok(children) => children,
            Err(refusal) => return refusal,
        };
        let Some(child) = children.iter().find(|it| it.run.session.as_str() == session) else {
            let session: String = session.chars().take(64).collect();
            return error(format!("this conversation has no sub-agent in session `{session}`"));
        };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let entries = match self.engine.0.store.said(&child.run.session, limit) {
            Ok(entries) => entries,
            Err(failed) => return error(failed.to_string()),
        };
        let shown = entries.into_iter().filter_map(|entry| {
            let (role, text) = match entry.record {
                Record::AssistantMessage(message) => ("assistant", message.text),
                Record::Notices { notices } => ("notice", Notice::told(&notices)),
                Record::Steered { run: _, text } | Record::UserMessage { text } => ("user", text),
                // What tools returned is not shown (`runtime.md` §3.5 of the reference).
                // Nor a summary, for what it stands for is in the journal too.
                Record::Final { .. } | Record::Summary { .. } | Record::ToolResult(_) => {
                    return None;
                }
            };
            let text: String = text.chars().take(MAX_TEXT).collect();
            (!text.is_empty()).then(|| json!({ "role": role, "text": text }))
        });
        json!({ "sessionKey": child.run.session.as_str(), "messages": shown.collect::<Vec<_>>() })
    }
}

impl Delegation for RunDelegation {
    fn spawn(&self, order: SpawnOrder) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            let order = match self.order(order) {
                Ok(order) => order,
                Err(refusal) => return refusal,
            };
            match self.engine.spawn_child(&self.caller, order).await {
                Ok(run) => json!({
                    "status": "accepted",
                    "runId": run.run.as_str(),
                    "childSessionKey": run.session.as_str(),
                    "context": "isolated",
                }),
                Err(refusal) => refused(refusal),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.children() {
                Ok(children) => {
                    json!({ "subagents": children.iter().map(row).collect::<Vec<_>>() })
                }
                Err(refusal) => refusal,
            }
        })
    }

    fn wait(&self, runs: Vec<String>, limit: Duration) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            let children = match self.named(&runs) {
                Ok(children) => children,
                Err(refusal) => return refusal,
            };
            let named: Vec<_> = children.iter().map(|child| child.run.run.to_string()).collect();
            // Whom it waits for may need its place.
            let aside = self.engine.step_aside(&self.run);
            let all_ended = async {
                loop {
                    let mut end = std::pin::pin!(self.engine.0.ends.notified());
                    // Before the look: what ends after it is then noticed.
                    end.as_mut().enable();
                    match self.named(&named) {
                        Ok(children) if !children.iter().any(is_open) => return,
                        Ok(_) => end.await,
                        Err(_gone) => return,
                    }
                }
            };
            let waited = !named.is_empty();
            let ended = !waited || tokio::time::timeout(limit, all_ended).await.is_ok();
            drop(aside);
            // What they said is told with the next step, once.
            match (named.is_empty(), self.named(&named)) {
                (true, _) => json!({ "status": "ended", "subagents": [] }),
                (false, Ok(children)) => json!({
                    "status": if ended { "ended" } else { "pending" },
                    "subagents": children.iter().map(row).collect::<Vec<_>>(),
                }),
                (false, Err(refusal)) => refusal,
            }
        })
    }

    fn send(&self, session: String, message: String, limit: Duration) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            let children = match self.children() {
                Ok(children) => children,
                Err(refusal) => return refusal,
            };
            let found = children.iter().find(|child| child.run.session.as_str() == session);
            let Some(child) = found else {
                let session: String = session.chars().take(64).collect();
                let text = format!("this conversation has no sub-agent in session `{session}`");
                return error(text);
            };
            let from = self.session.clone();
            let sent = self.engine.send_to_child(&self.caller, from, &child.run.session, message);
            let run = match sent.await {
                Ok(run) => run,
                Err(refusal) => return refused(refusal),
            };
            // Whom it waits for may need its place.
            let aside = self.engine.step_aside(&self.run);
            let ended = self.engine.end_of(&run.run, limit).await;
            drop(aside);
            match ended {
                Some(ended) if ended.status == RunStatus::Ok => json!({
                    "status": "ok",
                    "runId": ended.run.as_str(),
                    "reply": ended.text,
                }),
                Some(ended) => json!({
                    "status": "error",
                    "runId": ended.run.as_str(),
                    "error": ended.error,
                }),
                None => json!({
                    "status": "accepted",
                    "runId": run.run.as_str(),
                    "note": "it has not answered yet; see sessions_history later",
                }),
            }
        })
    }

    fn cancel(&self, run: String) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            let child = match self.named(&[run]).map(|mut children| children.pop()) {
                Ok(Some(child)) => child,
                Ok(None) => return error("no sub-agent is named"),
                Err(refusal) => return refusal,
            };
            match self.engine.cancel_child(&self.caller, &child.run.run).await {
                Ok(view) => json!({
                    "status": "cancelled",
                    "runId": view.run.as_str(),
                    "runStatus": view.status.name(),
                }),
                Err(ActError::Denied(denial)) => denied(denial),
                Err(ActError::Failed(failed)) => error(failed.to_string()),
                Err(ActError::Store(failed)) => error(failed.to_string()),
            }
        })
    }

    fn hold(&self) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.engine.0.store.hold_children(self.run.clone()).await {
                Ok(waiting) => json!({ "status": "yielded", "waitingFor": waiting }),
                Err(failed) => error(format!("{failed:?}")),
            }
        })
    }

    fn history(&self, session: String, limit: u64) -> BoxFuture<'_, Value> {
        Box::pin(async move { self.said(&session, limit) })
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::Scope;

    use super::*;

    /// What is missing is named; a run or a conversation never is, for there is none.
    #[test]
    fn refusals_say_what_is_missing_and_name_nothing_else() {
        let act = |denial| refused(SpawnError::Act(ActError::Denied(denial)));
        let scope = act(Denial::MissingScope(Scope::Write.into()));
        let told = json!({
            "status": "forbidden",
            "error": "missing scope: operator.write",
            "missingScopes": ["operator.write"],
        });
        assert_eq!(scope, told);
        assert_eq!(act(Denial::Internal)["status"], "forbidden");
        for refusal in [
            act(Denial::Internal),
            refused(SpawnError::Budget("the budget of one run is 5 tokens".into())),
            refused(SpawnError::Draining),
            refused(SpawnError::Internal),
            refused(SpawnError::UnknownTool("x".into())),
        ] {
            let names = refusal.as_object().unwrap().keys().map(String::as_str);
            assert_eq!(names.collect::<Vec<_>>(), ["error", "status"], "{refusal}");
        }
    }
}
