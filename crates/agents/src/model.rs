//! The port to a language model: what it is asked, what it streams back and how it fails.

mod failure;

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use openclaw_sessions::{AssistantMessage, Message};

use crate::pictures::{Input, Pictures};
use crate::tool::ToolSpec;

pub use failure::{Detail, ModelError};

/// A language model behind whatever speaks for it.
pub trait Model: Debug + Send + Sync {
    /// Returns the model's name as `provider/model`.
    fn name(&self) -> &str;

    /// Returns under which of its provider's keys it is asked: the name of a variable; empty where there is one key.
    #[expect(clippy::unnecessary_literal_bound, reason = "whoever has keys returns its own")]
    fn profile(&self) -> &str {
        ""
    }

    /// Returns what the model takes beside text; of several, what one of them takes.
    fn input(&self) -> Input {
        Input::TextOnly
    }

    /// Asks the model. Nothing happens before the stream is polled; dropping the stream cancels.
    ///
    /// The stream ends with exactly one of [`ModelEvent::Finished`] or an error. A provider that
    /// stops before its final marker is an error that the adapter yields.
    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>>;
}

/// One question to a model: the whole conversation, as the model shall see it.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The system prompt.
    pub system: Arc<str>,
    /// The conversation so far; the last message is what is to be answered.
    pub messages: Vec<Arc<Message>>,
    /// The pictures that its messages name. A model that takes none reads their names.
    pub pictures: Pictures,
    /// The tools that it may ask for.
    pub tools: Arc<[ToolSpec]>,
    /// The most tokens that the answer may have; the adapter's default if absent.
    pub max_output_tokens: Option<u32>,
    /// How often this very request already failed at this model; zero at first.
    pub attempt: u32,
}

/// What a model says while it answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ModelEvent {
    /// The whole answer. It is authoritative; nothing follows it.
    Finished(AssistantMessage),
    /// An attempt failed and another is made: all that was streamed of this answer is void.
    Retrying(Retry),
    /// More text of the answer.
    Text(String),
    /// The model began to ask for a tool. The arguments are still being written.
    ToolCallStarted {
        /// Which of the answer's calls it is, from zero.
        index: u32,
        /// The tool's name.
        name: String,
    },
}

/// Why and when another attempt is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retry {
    /// How the last attempt failed.
    pub error: ModelError,
    /// Which model is asked next, as `provider/model`.
    pub next: String,
    /// How long is waited before.
    pub delay: std::time::Duration,
}
