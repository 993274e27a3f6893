//! Where models are served, and in which protocol.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::{BaseUrl, SecretRef};

/// One entry of `[models.providers]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Provider {
    /// The messages API of Anthropic.
    AnthropicMessages(Endpoint),
    /// The built-in model, which answers without a network.
    Offline {
        /// The script it answers from; absent, it echoes.
        script: Option<PathBuf>,
    },
    /// The chat completions API of `OpenAI`, which many servers speak.
    OpenAiCompletions(Endpoint),
}

impl Provider {
    /// Returns the protocol it speaks.
    pub fn api(&self) -> Api {
        match self {
            Self::AnthropicMessages(_) => Api::AnthropicMessages,
            Self::Offline { .. } => Api::Offline,
            Self::OpenAiCompletions(_) => Api::OpenAiCompletions,
        }
    }
}

/// A protocol in which models are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Api {
    /// The messages API of Anthropic.
    AnthropicMessages,
    /// None: the model is built in.
    Offline,
    /// The chat completions API of `OpenAI`.
    OpenAiCompletions,
}

impl Api {
    pub(crate) const ALL: [Self; 3] =
        [Self::OpenAiCompletions, Self::AnthropicMessages, Self::Offline];

    /// Returns the value of `api` that chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic-messages",
            Self::Offline => "offline",
            Self::OpenAiCompletions => "openai-completions",
        }
    }
}

/// How a server of models is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The URL to which the paths of the API are appended.
    pub base_url: BaseUrl,
    /// Where the keys are found, in the order in which they are used; with none, none is sent.
    pub api_keys: Vec<SecretRef>,
    /// The models that take pictures, by the names under which the provider knows them.
    pub pictures: BTreeSet<String>,
    /// How long a response may be silent.
    pub timeout: Duration,
}
