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
    Keyless(SecretRef),
    Offline(Arc<OfflineScript>),
    OpenAi(Served),
}

/// Where models are served, and which of them take pictures.
#[derive(Debug)]
struct Served {
    endpoint: Arc<Endpoint>,
    pictures: BTreeSet<String>,
}

impl Served {
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

    /// Returns a model, if its provider is configured.
    pub fn model(&self, name: &ModelName) -> Option<Arc<dyn Model>> {
        let provider = name.provider().as_str();
        Some(match self.0.get(name.provider())? {
            Source::Anthropic(served) => {
                let model =
                    AnthropicModel::new(Arc::clone(&served.endpoint), provider, name.model());
                Arc::new(model.taking(served.input(name.model())))
            }
            Source::Keyless(key) => {
                Arc::new(KeylessModel { name: name.to_string(), variable: key.env.clone() })
            }
            Source::Offline(script) => {
                Arc::new(OfflineModel::new(&name.to_string(), Arc::clone(script)))
            }
            Source::OpenAi(served) => {
                let model = OpenAiModel::new(Arc::clone(&served.endpoint), provider, name.model());
                Arc::new(model.taking(served.input(name.model())))
            }
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
        let primary = self.model(&route.primary)?;
        let fallbacks: Option<Vec<_>> =
            route.fallbacks.iter().map(|name| self.model(name)).collect();
        Some(ModelChain::new(primary, fallbacks?, policy, jitter, health))
    }
}

fn reach(
    id: &ProviderId,
    endpoint: &openclaw_config::Endpoint,
    secret: impl Fn(&SecretRef) -> Option<Secret>,
    speak: fn(Served) -> Source,
) -> Result<Source, ConnectError> {
    let mut key = None;
    if let Some(reference) = &endpoint.api_key {
        key = secret(reference).filter(|key| !key.expose().trim().is_empty());
        if key.is_none() {
            return Ok(Source::Keyless(reference.clone()));
        }
    }
    let parsed = Endpoint::parse(endpoint.base_url.as_str(), key)
        .map_err(|source| ConnectError::Endpoint { provider: id.clone(), source })?;
    let reached = Arc::new(parsed.with_timeouts(endpoint.timeout, TOTAL_TIMEOUT));
    Ok(speak(Served { endpoint: reached, pictures: endpoint.pictures.clone() }))
}

/// A model whose key is not there: it says so, at once and without a network.
#[derive(Debug)]
struct KeylessModel {
    name: String,
    variable: String,
}

impl Model for KeylessModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn respond(&self, _: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let text =
            format!("there is none: the environment variable `{}` is not set", self.variable);
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
            api_key: key.map(|env| SecretRef::parse(env).unwrap()),
            base_url: BaseUrl::parse(url).unwrap(),
            pictures: BTreeSet::new(),
            timeout: Duration::from_secs(1),
        }
    }

    fn connect(provider: &Provider) -> Result<Providers, ConnectError> {
        let id = ProviderId::parse("p").unwrap();
        let secret = |key: &SecretRef| (key.env == "SET").then(|| Secret::new("k".into()));
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
