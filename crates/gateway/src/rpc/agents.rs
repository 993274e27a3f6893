//! Agents over the wire.

use openclaw_config::{EditError, NewAgent, add_agent, remove_agent};
use openclaw_proto::v1;
use openclaw_proto::v1::agents_server::Agents;
use openclaw_scopes::method::{CreateAgent, DeleteAgent, ListAgents, Method, ReadAgent};
use openclaw_scopes::target::{AgentTarget, Whole};
use openclaw_scopes::{AgentId, Caller, IdempotencyKey};
use openclaw_store::{ConflictError, Decision, Entry, NoteOnce, Noted};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::hooks;
use crate::respond::Reply;
use crate::roster::{Roster, Worker};
use crate::settings::{Presence, Settings};
use crate::{clock, convert, digest, gate, respond};

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
        let decided = self.decide::<CreateAgent>(&caller, id, once).await?;
        let id = &decided.id;
        let edited = self.edit(id, |text| match add_agent(text, id, settings) {
            Err(EditError::AgentExists { .. }) if decided.before.is_some() => Ok(None),
            Err(error) => Err(edit_error(&error)),
            Ok(text) => Ok(Some(text)),
        });
        self.recorded::<CreateAgent, _>(&caller, id, edited.await).await?;
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
        let decided = self.decide::<DeleteAgent>(&caller, id, once).await?;
        let id = &decided.id;
        let edited = self.edit(id, |text| match remove_agent(text, id) {
            Err(EditError::UnknownAgent { .. }) if decided.before.is_some() => Ok(None),
            Err(error) => Err(edit_error(&error)),
            Ok(text) => Ok(Some(text)),
        });
        self.recorded::<DeleteAgent, _>(&caller, id, edited.await).await?;
        let workspace = decided.before.clone().unwrap_or(workspace);
        Ok(Response::new(v1::DeleteAgentResponse { id: id.to_string(), workspace }))
    }
}

/// How a change is named, so that a retry is the same change.
struct Once {
    key: IdempotencyKey,
    digest: [u8; 32],
    result: String,
}

/// A change that was decided.
struct Decided {
    id: AgentId,
    /// What the first request was told, when this one is a retry.
    before: Option<String>,
}

impl Core {
    async fn decide<M: Method<Target = AgentTarget>>(
        &self,
        caller: &Caller,
        id: AgentId,
        once: Once,
    ) -> Result<Decided, Reply> {
        if self.engine.is_draining() {
            return Err(Reply::draining());
        }
        let note = NoteOnce::<M> {
            idempotency_key: once.key,
            request_digest: once.digest,
            result: once.result,
            target: AgentTarget(id),
        };
        let noted = self.store.act(caller, note, clock::now()).await;
        let noted = noted
            .map_err(|error| respond::act(error, M::ROW, |ConflictError| respond::conflict()))?;
        let (authorized, before) = match noted {
            Noted::Again(authorized, before) => (authorized, Some(before)),
            Noted::First(authorized) => (authorized, None),
        };
        let (_, AgentTarget(id)) = authorized.into_parts();
        Ok(Decided { id, before })
    }

    /// Records that an allowed change could not be made.
    async fn recorded<M: Method<Target = AgentTarget>, T>(
        &self,
        caller: &Caller,
        id: &AgentId,
        changed: Result<T, Reply>,
    ) -> Result<T, Reply> {
        if changed.is_err() {
            let target = AgentTarget(id.clone());
            let entry = Entry::of(caller, M::ROW.name, &target, Decision::Failed, "not-changed");
            let recorded = self.store.refuse(entry, clock::now()).await;
            recorded.map_err(|error| respond::store(&error))?;
        }
        changed
    }

    /// Changes the configuration file and puts it in force, or leaves both as they are.
    async fn edit(
        &self,
        id: &AgentId,
        change: impl FnOnce(&str) -> Result<Option<String>, Reply>,
    ) -> Result<(), Reply> {
        let _one_at_a_time = self.config_writer.lock().await;
        let current = Settings::read(&self.config_path, Presence::Optional)
            .map_err(|error| Reply::new(Code::FailedPrecondition, "", error.to_string()))?;
        let Some(text) = change(&current.text)? else {
            return Ok(());
        };
        let config =
            openclaw_config::parse(&text).map_err(|error| Reply::invalid(error.to_string()))?;
        let roster = Roster::new(config, &self.around).map_err(|error| {
            Reply::new(Code::FailedPrecondition, "", format!("agent `{id}` cannot work: {error}"))
        })?;
        Settings::write(&self.config_path, &text).map_err(|error| Reply::internal(&error))?;
        roster.succeed(&self.engine.roster());
        self.engine.replace_roster(roster);
        self.engine.keep_heartbeats().await;
        hooks::keep(&self.engine, &self.store).await;
        Ok(())
    }
}

fn edit_error(error: &EditError) -> Reply {
    let code = match error {
        EditError::AgentExists { .. } => Code::AlreadyExists,
        EditError::UnknownAgent { .. } => Code::NotFound,
        EditError::Invalid { .. } | EditError::Refused { .. } => Code::InvalidArgument,
        EditError::MainStays | EditError::Unsupported => Code::FailedPrecondition,
    };
    let mut message = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        message = format!("{message}: {source}");
    }
    Reply::new(code, if code == Code::NotFound { "UNKNOWN_AGENT" } else { "" }, message)
        .next("openclaw agents list")
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
