//! Agents over the wire.

use openclaw_config::{EditError, NewAgent, add_agent, remove_agent};
use openclaw_proto::v1;
use openclaw_proto::v1::agents_server::Agents;
use openclaw_scopes::AgentId;
use openclaw_scopes::method::{CreateAgent, DeleteAgent, ListAgents, ReadAgent};
use openclaw_scopes::target::{AgentTarget, Whole};
use tonic::{Request, Response, Status};

use super::edit::{Once, edit_error};
use crate::core::Core;
use crate::respond::Reply;
use crate::roster::Worker;
use crate::{convert, digest, gate};

/// What shows how it is after a change.
const LIST: &str = "openclaw agents list";

#[tonic::async_trait]
impl Agents for Core {
    async fn list(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let (caller, v1::ListAgentsRequest {}) = gate::admit(request)?;
        let authorized = self.peek::<ListAgents>(&caller, Whole).await?;
        let (_, Whole) = authorized.into_parts();
        let agents = self.engine.roster().agents().map(|worker| shown(worker, None)).collect();
        Ok(Response::new(v1::ListAgentsResponse { agents }))
    }

    async fn get(
        &self,
        request: Request<v1::GetAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let target = AgentTarget(convert::agent_id(&message.id)?);
        let authorized = self.peek::<ReadAgent>(&caller, target).await?;
        let (_, AgentTarget(id)) = authorized.into_parts();
        let roster = self.engine.roster();
        let worker = roster.agent(&id).ok_or_else(|| Reply::unknown_agent(&id))?;
        let prompt = message.include_prompt.then(|| worker.prompt());
        Ok(Response::new(shown(worker, prompt.as_deref())))
    }

    async fn create(
        &self,
        request: Request<v1::CreateAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::idempotency_key(&message.idempotency_key)?;
        let id = AgentId::parse(&message.id).map_err(|error| Reply::invalid(error.to_string()))?;
        let told = [&message.id, &message.workspace, &message.model, &message.name];
        let digest = digest::of(&told.map(String::as_str));
        let given = |text: String| (!text.is_empty()).then_some(text);
        let settings = NewAgent {
            workspace: given(message.workspace),
            model: given(message.model),
            name: given(message.name),
        };
        // The decision is on disk before the file changes; a change that fails is recorded too.
        let once = Once { key, digest, result: String::new() };
        let decided = self.decide::<CreateAgent>(&caller, AgentTarget(id), once).await?;
        let AgentTarget(id) = &decided.target;
        let edited = self.edit(|text| match add_agent(text, id, settings) {
            Err(EditError::AgentExists { .. }) if decided.before.is_some() => Ok(None),
            Err(error) => Err(edit_error(&error, LIST)),
            Ok(text) => Ok(Some(text)),
        });
        self.recorded::<CreateAgent, _>(&caller, &decided.target, edited.await).await?;
        let roster = self.engine.roster();
        let worker = roster.agent(id).ok_or_else(|| Reply::unknown_agent(id))?;
        Ok(Response::new(shown(worker, None)))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteAgentRequest>,
    ) -> Result<Response<v1::DeleteAgentResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::idempotency_key(&message.idempotency_key)?;
        let id = AgentId::parse(&message.id).map_err(|error| Reply::invalid(error.to_string()))?;
        let roster = self.engine.roster();
        let workspace = roster
            .agent(&id)
            .map(|worker| worker.workspace().to_string_lossy().into_owned())
            .unwrap_or_default();
        let digest = digest::of(&[&message.id]);
        let once = Once { key, digest, result: workspace.clone() };
        let decided = self.decide::<DeleteAgent>(&caller, AgentTarget(id), once).await?;
        let AgentTarget(id) = &decided.target;
        let edited = self.edit(|text| match remove_agent(text, id) {
            Err(EditError::UnknownAgent { .. }) if decided.before.is_some() => Ok(None),
            Err(error) => Err(edit_error(&error, LIST)),
            Ok(text) => Ok(Some(text)),
        });
        self.recorded::<DeleteAgent, _>(&caller, &decided.target, edited.await).await?;
        let workspace = decided.before.clone().unwrap_or(workspace);
        Ok(Response::new(v1::DeleteAgentResponse { id: id.to_string(), workspace }))
    }
}

fn shown(worker: &Worker, prompt: Option<&str>) -> v1::Agent {
    let agent = &worker.agent;
    v1::Agent {
        id: agent.id.to_string(),
        name: agent.identity.name.clone().unwrap_or_default(),
        workspace: worker.workspace().to_string_lossy().into_owned(),
        model: agent.model.primary.to_string(),
        fallbacks: agent.model.fallbacks.iter().map(ToString::to_string).collect(),
        tools: worker.specs().iter().map(|spec| spec.name.clone()).collect(),
        timeout_seconds: agent.timeout.map_or(0, |timeout| timeout.as_secs()),
        prompt: prompt.unwrap_or_default().into(),
    }
}
