//! Delegated runs over the wire.

use openclaw_config::ModelName;
use openclaw_proto::v1;
use openclaw_proto::v1::subagents_server::Subagents;
use openclaw_scopes::method::{CancelChild, ListChildren, Method as _, ReadChild, SpawnChild};
use openclaw_scopes::target::SpawnTarget;
use openclaw_scopes::{AgentId, Capability, CapabilitySet, RunId};
use openclaw_sessions::Routes;
use openclaw_store::{
    ActError, ChildCursor, ChildFilter, Cleanup, DiscardChild, GetChild, RetryChild,
};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::engine::{Order, SpawnError};
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate, route};

/// Bytes of a task at most, and of a label.
const MAX_TASK: usize = 256 * 1024;
const MAX_LABEL: usize = 128;

#[tonic::async_trait]
impl Subagents for Core {
    async fn spawn(
        &self,
        request: Request<v1::SpawnRequest>,
    ) -> Result<Response<v1::SpawnResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let order = parse_order(message, &self.engine.roster().routes)?;
        let target =
            SpawnTarget { parent: order.parent.clone(), owner: None, agent: order.agent.clone() };
        let error = match self.engine.spawn_child(&caller, order).await {
            Ok(run) => {
                return Ok(Response::new(v1::SpawnResponse {
                    status: "accepted".into(),
                    run_id: run.run.to_string(),
                    child_session_key: run.session.to_string(),
                    context: "isolated".into(),
                }));
            }
            Err(error) => error,
        };
        if !matches!(error, SpawnError::Act(_) | SpawnError::Draining) {
            // Nothing was decided yet: whoever may not delegate is told that, and only that.
            drop(self.peek::<SpawnChild>(&caller, target).await?);
        }
        Err(refused(error).into())
    }

    async fn list(
        &self,
        request: Request<v1::ListSubagentsRequest>,
    ) -> Result<Response<v1::ListSubagentsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let parent = match message.session_key.as_str() {
            "" => None,
            key => Some(convert::session_key(key, &message.agent_id)?.0),
        };
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(ChildCursor(token.parse().map_err(|_error| convert::bad_token())?)),
        };
        let limit = convert::page_size(message.page_size)?;
        let filter = ChildFilter { parent, open_only: message.open_only, after, limit };
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page = listed
            .map_err(|error| respond::act(error, ListChildren::ROW, |never| match *never {}))?;
        Ok(Response::new(v1::ListSubagentsResponse {
            subagents: page.children.into_iter().map(convert::subagent).collect(),
            next_page_token: page.next.map(|ChildCursor(row)| row.to_string()).unwrap_or_default(),
        }))
    }

    async fn get(
        &self,
        request: Request<v1::GetSubagentRequest>,
    ) -> Result<Response<v1::Subagent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let found = self.store.view(&caller, &GetChild(run), clock::now()).await;
        let child = found.map_err(|error| respond::act(error, ReadChild::ROW, respond::child))?;
        Ok(Response::new(convert::subagent(child)))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelSubagentRequest>,
    ) -> Result<Response<v1::Subagent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let cancelled = self.engine.cancel_child(&caller, &run).await;
        cancelled.map_err(|error| respond::act(error, CancelChild::ROW, respond::child))?;
        self.shown(&run)
    }

    async fn retry(
        &self,
        request: Request<v1::RetrySubagentRequest>,
    ) -> Result<Response<v1::Subagent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let ask = RetryChild(run.clone());
        let child = self.perform(&caller, ask, clock::now(), respond::child).await?;
        self.engine.announce_soon(child.parent);
        self.shown(&run)
    }

    async fn discard(
        &self,
        request: Request<v1::DiscardSubagentRequest>,
    ) -> Result<Response<v1::Subagent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let ask = DiscardChild(run);
        let child = self.perform(&caller, ask, clock::now(), respond::child).await?;
        // Whoever waited for the conversation that would have been told waits no longer.
        self.engine.announce_soon(child.parent.clone());
        Ok(Response::new(convert::subagent(child)))
    }
}

impl Core {
    /// Returns a delegated run as it is after a decision about it.
    fn shown(&self, run: &RunId) -> Result<Response<v1::Subagent>, Status> {
        let child = self.store.child(run).map_err(|error| respond::store(&error))?;
        let unknown = || Reply::new(Code::NotFound, "", format!("no sub-agent `{run}`"));
        Ok(Response::new(convert::subagent(child.ok_or_else(unknown)?)))
    }
}

fn parse_order(message: v1::SpawnRequest, routes: &Routes) -> Result<Order, Reply> {
    let key = convert::idempotency_key(&message.idempotency_key)?;
    let (parent, own) = route::named(&message.session_key, &message.agent_id, routes)?;
    let agent = match message.target_agent_id.as_str() {
        "" => own,
        other => AgentId::parse(other).map_err(|error| Reply::invalid(error.to_string()))?,
    };
    if message.task.trim().is_empty() {
        return Err(Reply::invalid("the task is empty").next("say what to do with --task"));
    }
    if message.task.len() > MAX_TASK {
        let text = format!("a task has {MAX_TASK} bytes at most");
        return Err(Reply::invalid(text).next("write what it needs into a file of the workspace"));
    }
    if message.label.len() > MAX_LABEL || message.label.chars().any(char::is_control) {
        let text = format!("a label is at most {MAX_LABEL} bytes without control characters");
        return Err(Reply::invalid(text).next("choose another with --label"));
    }
    let model = match message.model.as_str() {
        "" => None,
        name => Some(
            ModelName::parse(name)
                .map_err(|error| Reply::invalid(error.to_string()).next("openclaw models list"))?,
        ),
    };
    let cleanup = match message.cleanup.as_str() {
        "" => Cleanup::Keep,
        word => Cleanup::parse(word).ok_or_else(|| {
            Reply::invalid("cleanup is `keep` or `delete`").next("openclaw subagents spawn --help")
        })?,
    };
    let timeout = convert::duration(message.timeout.as_ref(), "timeout")?;
    let timeout = timeout.filter(|timeout| !timeout.is_zero());
    let budget = message.budget.to_string();
    let (timeout_text, tools) = (format!("{timeout:?}"), message.tools.join(" "));
    let mut told = vec![
        parent.as_str(),
        agent.as_str(),
        &message.task,
        &message.label,
        &message.model,
        cleanup.name(),
        &timeout_text,
        &tools,
    ];
    if message.budget > 0 {
        told.push(&budget);
    }
    Ok(Order {
        held: None,
        digest: digest::of(&told),
        run: RunId::from(key),
        parent,
        agent,
        label: message.label,
        max_tokens: (message.budget > 0).then_some(message.budget),
        model,
        timeout,
        cleanup,
        tools: (!message.tools.is_empty()).then_some(message.tools),
        // People and devices are judged by scopes; what their sub-agents may do is their agent's.
        ceiling: CapabilitySet::of(Capability::ALL),
        task: message.task,
    })
}

fn refused(error: SpawnError) -> Reply {
    match error {
        SpawnError::Act(
            error @ (ActError::Denied(_) | ActError::Failed(_) | ActError::Store(_)),
        ) => respond::act(error, SpawnChild::ROW, respond::child),
        SpawnError::Budget(spent) => Reply::new(
            Code::ResourceExhausted,
            "BUDGET_EXHAUSTED",
            format!("nothing was delegated: {spent}"),
        )
        .next("openclaw usage"),
        SpawnError::Draining => Reply::draining(),
        SpawnError::Full(full) => {
            Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", full.to_string())
                .retry(std::time::Duration::from_secs(10))
                .next("openclaw runs list --status queued")
        }
        SpawnError::OtherAgent(agent) => {
            let text = format!("agent `{agent}` is not one that this conversation may delegate to");
            Reply::new(Code::PermissionDenied, "NOT_OWNER", text).next(
                "add it to subagents.allowAgents of the conversation's agent in openclaw.toml",
            )
        }
        SpawnError::UnknownAgent(agent) => Reply::unknown_agent(&agent),
        SpawnError::UnknownModel(model) => {
            Reply::invalid(format!("no model `{model}` is configured")).next("openclaw models list")
        }
        SpawnError::UnknownTool(tool) => {
            let tool = tool.escape_debug();
            let text = format!("a sub-agent of this conversation cannot have the tool `{tool}`");
            Reply::invalid(text).next("openclaw agents show lists the tools of an agent")
        }
        SpawnError::Internal => Reply::internal(&"a sub-agent could not be named"),
    }
}
