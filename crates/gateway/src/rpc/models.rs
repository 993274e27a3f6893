//! Models over the wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openclaw_agents::{Model, ModelError, ModelEvent, ModelRequest};
use openclaw_config::{Config, ModelName, Provider};
use openclaw_proto::v1::models_server::Models;
use openclaw_proto::{to_duration, v1};
use openclaw_scopes::method::{ListModels, Method as _, ProbeModel};
use openclaw_scopes::target::Whole;
use openclaw_sessions::Message;
use openclaw_store::Note;
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::respond::Reply;
use crate::settings::Environment;
use crate::{clock, convert, gate, respond};

/// How long a model may take to say a word.
const PROBE_TIME: Duration = Duration::from_secs(60);
/// Characters of its answer that are shown.
const PROBE_CHARS: usize = 200;

#[tonic::async_trait]
impl Models for Core {
    async fn list(
        &self,
        request: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let (caller, v1::ListModelsRequest {}) = gate::admit(request)?;
        let authorized = self.peek::<ListModels>(&caller, Whole).await?;
        let (_, Whole) = authorized.into_parts();
        let models = models(&self.engine.roster().config, &self.around.environment);
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn probe(
        &self,
        request: Request<v1::ProbeModelRequest>,
    ) -> Result<Response<v1::ProbeModelResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        // It costs tokens, so it is recorded before it is done.
        let noted = self.store.act(&caller, Note::<ProbeModel>(Whole), clock::now()).await;
        let authorized =
            noted.map_err(|error| respond::act(error, ProbeModel::ROW, |never| match *never {}))?;
        let (_, Whole) = authorized.into_parts();
        let roster = self.engine.roster();
        let model = match message.name.as_str() {
            "" => {
                let main = convert::agent_id("")?;
                let worker = roster.agent(&main).ok_or_else(|| Reply::unknown_agent(&main))?;
                roster.model(&worker.agent.model.primary)
            }
            name => {
                let name =
                    ModelName::parse(name).map_err(|error| Reply::invalid(error.to_string()))?;
                roster.model(&name)
            }
        };
        let model = model.ok_or_else(|| {
            let message = "no provider of this model is configured";
            Reply::new(Code::NotFound, "", message).next("openclaw models list")
        })?;
        let began = tokio::time::Instant::now();
        let answer = tokio::time::timeout(PROBE_TIME, ask(&*model)).await;
        let answer = answer.unwrap_or_else(|_elapsed| Err(ModelError::timeout("an answer")));
        let (text, error) = match answer {
            Ok(text) => {
                self.around.health.on_answer(&*model);
                (text.chars().take(PROBE_CHARS).collect(), String::new())
            }
            Err(error) => (String::new(), format!("{}: {error}", error.name())),
        };
        Ok(Response::new(v1::ProbeModelResponse {
            name: model.name().into(),
            ok: error.is_empty(),
            text,
            error,
            elapsed: Some(to_duration(began.elapsed())),
        }))
    }
}

async fn ask(model: &dyn Model) -> Result<String, ModelError> {
    let request = ModelRequest {
        pictures: openclaw_agents::Pictures::default(),
        attempt: 0,
        max_output_tokens: Some(16),
        messages: vec![Arc::new(Message::User { text: "Say one word.".into() })],
        system: "You answer with one word.".into(),
        tools: Arc::new([]),
    };
    let mut answer = model.respond(request);
    while let Some(event) = answer.next().await {
        match event? {
            ModelEvent::Finished(message) => return Ok(message.text),
            ModelEvent::Retrying(_) | ModelEvent::Text(_) | ModelEvent::ToolCallStarted { .. } => {}
        }
    }
    Err(ModelError::timeout("the end of the answer"))
}

fn models(config: &Config, environment: &Environment) -> Vec<v1::Model> {
    let mut used: BTreeMap<String, (ModelName, Vec<String>, Vec<String>)> = BTreeMap::new();
    for agent in config.agents() {
        let entry = |name: &ModelName| (name.clone(), Vec::new(), Vec::new());
        let primary = &agent.model.primary;
        let row = used.entry(primary.to_string()).or_insert_with(|| entry(primary));
        row.1.push(agent.id.to_string());
        for fallback in &agent.model.fallbacks {
            let row = used.entry(fallback.to_string()).or_insert_with(|| entry(fallback));
            row.2.push(agent.id.to_string());
        }
    }
    let rows = used.into_iter().map(|(name, (model, primary_for, fallback_for))| {
        let (api, base_url, credential) = place(config.provider(model.provider()), environment);
        let credential = credential.into();
        v1::Model { name, api: api.into(), base_url, credential, primary_for, fallback_for }
    });
    rows.collect()
}

fn place(
    provider: Option<&Provider>,
    environment: &Environment,
) -> (&'static str, String, v1::model::Credential) {
    use v1::model::Credential;
    match provider {
        None => ("offline", String::new(), Credential::None),
        Some(provider @ Provider::Offline { .. }) => {
            (provider.api().name(), String::new(), Credential::None)
        }
        Some(
            provider @ (Provider::AnthropicMessages(endpoint)
            | Provider::OpenAiCompletions(endpoint)),
        ) => {
            let mut keys = endpoint.api_keys.iter();
            let credential = if endpoint.api_keys.is_empty() {
                Credential::None
            } else if keys.any(|key| environment.get(&key.env).is_some()) {
                Credential::Present
            } else {
                Credential::Missing
            };
            (provider.api().name(), endpoint.base_url.to_string(), credential)
        }
    }
}
