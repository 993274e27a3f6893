//! The configured providers, and the models that they serve.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use openclaw_config::{ModelName, ModelRoute, Provider, ProviderId, Secret, SecretRef};

use crate::chain::{Jitter, ModelChain, RetryPolicy};
use crate::endpoint::{Endpoint, ParseEndpointError, TOTAL_TIMEOUT};
use crate::health::Health;
use crate::model::{Detail, Model, ModelError, ModelEvent, ModelRequest};
use crate::offline::{OfflineModel, OfflineScript, ParseScriptError};
use crate::pictures::Input;
use crate::{AnthropicModel, OpenAiModel};

/// The configured providers. Models of one provider share its connections.
#[derive(Debug)]
pub struct Providers(BTreeMap<ProviderId, Source>);

#[derive(Debug)]
enum Source {
    Anthropic(Served),
    Keyless(Vec<SecretRef>),
    Offline(Arc<OfflineScript>),
    OpenAi(Served),
}

/// Where models are served, and which of them take pictures.
#[derive(Debug)]
struct Served {
    /// By the variable that holds the key, which is of no interest where there is one.
    endpoints: Vec<(String, Arc<Endpoint>)>,
    pictures: BTreeSet<String>,
}

impl Served {
    /// Makes a model for each key.
    fn each(&self, make: impl Fn(Arc<Endpoint>, &str) -> Arc<dyn Model>) -> Vec<Arc<dyn Model>> {
        let is_one = self.endpoints.len() == 1;
        let all = self.endpoints.iter();
        all.map(|(variable, endpoint)| {
            make(Arc::clone(endpoint), if is_one { "" } else { variable })
        })
        .collect()
    }

    fn input(&self, model: &str) -> Input {
        if self.pictures.contains(model) { Input::Pictures } else { Input::TextOnly }
    }
}

impl Providers {
    /// Makes the providers of a configuration. Nothing is connected before a model is asked.
    ///
    /// `secret` finds the value of a reference and `read` the text of a script. A provider whose
    /// key is missing stays, and its models say which variable they need: others may still answer.
    ///
    /// # Errors
    /// When an address or key cannot be used, or a script cannot be read or is wrong.
    pub fn connect<'a>(
        providers: impl IntoIterator<Item = (&'a ProviderId, &'a Provider)>,
        secret: impl Fn(&SecretRef) -> Option<Secret>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, ConnectError> {
        let mut sources = BTreeMap::new();
        for (id, provider) in providers {
            let source = match provider {
                Provider::AnthropicMessages(endpoint) => {
                    reach(id, endpoint, &secret, Source::Anthropic)?
                }
                Provider::Offline { script: None } => Source::Offline(Arc::default()),
                Provider::Offline { script: Some(path) } => {
                    let text = read(path)
                        .map_err(|source| ConnectError::Read { path: path.clone(), source })?;
                    let script = OfflineScript::parse(&text)
                        .map_err(|source| ConnectError::Script { path: path.clone(), source })?;
                    Source::Offline(Arc::new(script))
                }
                Provider::OpenAiCompletions(endpoint) => {
                    reach(id, endpoint, &secret, Source::OpenAi)?
                }
            };
            sources.insert(id.clone(), source);
        }
        Ok(Self(sources))
    }

    /// Returns a model under the first of its provider's keys, if the provider is configured.
    pub fn model(&self, name: &ModelName) -> Option<Arc<dyn Model>> {
        self.models(name)?.into_iter().next()
    }

    /// Returns a model under each of its provider's keys, if the provider is configured.
    fn models(&self, name: &ModelName) -> Option<Vec<Arc<dyn Model>>> {
        let (provider, model) = (name.provider().as_str(), name.model());
        let keyless = |keys: &[SecretRef]| {
            let variables: Vec<_> = keys.iter().map(|key| format!("`{}`", key.env)).collect();
            KeylessModel { name: name.to_string(), variables: variables.join(" and ") }
        };
        Some(match self.0.get(name.provider())? {
            Source::Anthropic(served) => served.each(|endpoint, profile| {
                let asked = AnthropicModel::new(endpoint, provider, model).under(profile);
                Arc::new(asked.taking(served.input(model)))
            }),
            Source::Keyless(keys) => vec![Arc::new(keyless(keys))],
            Source::Offline(script) => {
                vec![Arc::new(OfflineModel::new(&name.to_string(), Arc::clone(script)))]
            }
            Source::OpenAi(served) => served.each(|endpoint, profile| {
                let asked = OpenAiModel::new(endpoint, provider, model).under(profile);
                Arc::new(asked.taking(served.input(model)))
            }),
        })
    }

    /// Returns the chain of an agent's models, if the providers of all of them are configured.
    pub fn chain(
        &self,
        route: &ModelRoute,
        policy: RetryPolicy,
        jitter: Arc<dyn Jitter>,
        health: Arc<Health>,
    ) -> Option<ModelChain> {
        let names = std::iter::once(&route.primary).chain(&route.fallbacks);
        let models: Option<Vec<_>> = names.map(|name| self.models(name)).collect();
        let mut models = models?.into_iter().flatten();
        Some(ModelChain::new(models.next()?, models.collect(), policy, jitter, health))
    }
}

fn reach(
    id: &ProviderId,
    endpoint: &openclaw_config::Endpoint,
    secret: impl Fn(&SecretRef) -> Option<Secret>,
    speak: fn(Served) -> Source,
) -> Result<Source, ConnectError> {
    let reach = |key: Option<Secret>| {
        let parsed = Endpoint::parse(endpoint.base_url.as_str(), key)
            .map_err(|source| ConnectError::Endpoint { provider: id.clone(), source })?;
        Ok(Arc::new(parsed.with_timeouts(endpoint.timeout, TOTAL_TIMEOUT)))
    };
    let mut endpoints = Vec::new();
    for reference in &endpoint.api_keys {
        match secret(reference).filter(|key| !key.expose().trim().is_empty()) {
            Some(key) => endpoints.push((reference.env.clone(), reach(Some(key))?)),
            None => {
                tracing::warn!(provider = %id, variable = reference.env, "a key is not there: its variable is not set");
            }
        }
    }
    if endpoint.api_keys.is_empty() {
        endpoints.push((String::new(), reach(None)?));
    }
    if endpoints.is_empty() {
        return Ok(Source::Keyless(endpoint.api_keys.clone()));
    }
    Ok(speak(Served { endpoints, pictures: endpoint.pictures.clone() }))
}

/// A model of which no key is there: it says so, at once and without a network.
#[derive(Debug)]
struct KeylessModel {
    name: String,
    variables: String,
}

impl Model for KeylessModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn respond(&self, _: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let text = format!("there is none: the environment variable {} is not set", self.variables);
        let detail = Detail::new(&text);
        stream::iter([Err(ModelError::Auth { detail })]).boxed()
    }
}

/// Why the providers of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A provider's address or key is unusable.
    #[error("provider `{provider}` cannot be used")]
    Endpoint {
        /// The provider.
        provider: ProviderId,
        /// What is wrong.
        #[source]
        source: ParseEndpointError,
    },
    /// A script cannot be read.
    #[error("the offline script `{}` cannot be read", .path.display())]
    Read {
        /// The script.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A script is wrong.
    #[error("the offline script `{}` is wrong", .path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: ParseScriptError,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_config::BaseUrl;

    use super::*;
    use crate::chain::SeededJitter;

    fn endpoint(url: &str, key: Option<&str>) -> openclaw_config::Endpoint {
        openclaw_config::Endpoint {
            api_keys: key.iter().map(|env| SecretRef::parse(env).unwrap()).collect(),
            base_url: BaseUrl::parse(url).unwrap(),
            pictures: BTreeSet::new(),
            timeout: Duration::from_secs(1),
        }
    }

    fn connect(provider: &Provider) -> Result<Providers, ConnectError> {
        let id = ProviderId::parse("p").unwrap();
        let secret = |key: &SecretRef| key.env.starts_with("SET").then(|| Secret::new("k".into()));
        let read = |path: &Path| match path.to_str() {
            Some("good") => Ok("[[reply]]\ntext = \"scripted\"\n".to_owned()),
            Some("bad") => Ok("[[reply]]\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        Providers::connect([(&id, provider)], secret, read)
    }

    async fn ask(providers: &Providers, name: &str) -> Result<String, ModelError> {
        let model = providers.model(&ModelName::parse(name).unwrap()).unwrap();
        assert_eq!(model.name(), name);
        let request = ModelRequest {
            pictures: crate::Pictures::default(),
            attempt: 0,
            max_output_tokens: None,
            messages: Vec::new(),
            system: "".into(),
            tools: [].into(),
        };
        match model.respond(request).collect::<Vec<_>>().await.pop() {
            Some(Ok(ModelEvent::Finished(message))) => Ok(message.text),
            Some(Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn models_are_made_of_what_is_configured() {
        let echo = connect(&Provider::Offline { script: None }).unwrap();
        assert!(ask(&echo, "p/any").await.is_ok_and(|text| text.contains("offline model")));
        assert!(echo.model(&ModelName::parse("q/any").unwrap()).is_none());
        let scripted = connect(&Provider::Offline { script: Some("good".into()) }).unwrap();
        assert_eq!(ask(&scripted, "p/a/b").await, Ok("scripted".into()));

        let keyless = endpoint("https://example.com/v1", Some("UNSET"));
        let keyless = connect(&Provider::OpenAiCompletions(keyless)).unwrap();
        let error = ask(&keyless, "p/m").await.unwrap_err();
        assert_eq!(error.name(), "auth");
        assert!(error.to_string().contains("`UNSET` is not set"), "{error}");

        let route = ModelRoute {
            fallbacks: vec![ModelName::parse("p/b").unwrap()],
            primary: ModelName::parse("p/a").unwrap(),
        };
        let jitter = || Arc::new(SeededJitter::new(1));
        let chain = echo.chain(&route, RetryPolicy::default(), jitter(), Arc::default()).unwrap();
        assert_eq!(chain.name(), "p/a");
        let stray = ModelRoute { fallbacks: vec![ModelName::parse("q/b").unwrap()], ..route };
        assert!(echo.chain(&stray, RetryPolicy::default(), jitter(), Arc::default()).is_none());
    }

    #[test]
    fn a_model_is_asked_under_each_key_that_is_there() {
        let several = |keys: &[&str]| {
            let api_keys = keys.iter().map(|env| SecretRef::parse(env).unwrap()).collect();
            let endpoint =
                openclaw_config::Endpoint { api_keys, ..endpoint("https://example.com", None) };
            connect(&Provider::AnthropicMessages(endpoint)).unwrap()
        };
        let profiles = |keys: &[&str]| {
            let models = several(keys).models(&ModelName::parse("p/m").unwrap()).unwrap();
            let all = models.iter().map(|model| model.profile().to_owned());
            (all.collect::<Vec<_>>(), models[0].name().to_owned())
        };
        let found =
            |names: &[&str]| (names.iter().map(ToString::to_string).collect(), "p/m".into());
        assert_eq!(profiles(&["SET", "SET_TOO"]), found(&["SET", "SET_TOO"]));
        // With one it is as if there were no others.
        assert_eq!(profiles(&["UNSET", "SET"]), found(&[""]));
        assert_eq!(profiles(&["SET"]), found(&[""]));
        assert_eq!(profiles(&[]), found(&[""]));
        assert_eq!(profiles(&["UNSET", "NONE"]), found(&[""]));
        let keyless = several(&["UNSET", "NONE"]);
        let Some(Source::Keyless(keys)) = keyless.0.values().next() else { panic!("{keyless:?}") };
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let plain = endpoint("http://example.com/v1", Some("SET"));
        assert!(matches!(
            connect(&Provider::AnthropicMessages(plain)),
            Err(ConnectError::Endpoint { source: ParseEndpointError::Unencrypted, .. })
        ));
        let script = |path: &str| connect(&Provider::Offline { script: Some(path.into()) });
        assert!(matches!(script("bad"), Err(ConnectError::Script { .. })));
        assert!(matches!(script("absent"), Err(ConnectError::Read { .. })));
    }
}
