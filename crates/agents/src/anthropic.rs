//! The messages dialect of Anthropic, and of those who speak alike.

mod request;

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::assembly::Assembly;
use crate::endpoint::{Endpoint, KeyHeader, fault, words};
use crate::exchange::{Dialect, Progress, Question, exchange};
use crate::model::{Detail, Model, ModelError, ModelEvent, ModelRequest};
use crate::pictures::Input;
use crate::sse::SseEvent;

pub use request::DEFAULT_MAX_TOKENS;

/// The version of the dialect that is spoken.
const VERSION: &str = "2023-06-01";

/// A model behind `POST {baseUrl}/v1/messages`.
#[derive(Debug)]
pub struct AnthropicModel {
    endpoint: Arc<Endpoint>,
    input: Input,
    name: String,
    model: String,
    profile: String,
}

impl AnthropicModel {
    /// Makes the model `model` of the provider that is configured as `provider`.
    pub fn new(endpoint: Arc<Endpoint>, provider: &str, model: &str) -> Self {
        let name = format!("{provider}/{model}");
        let (input, profile) = (Input::default(), String::new());
        Self { endpoint, input, model: model.to_owned(), name, profile }
    }

    /// Says under which of its provider's keys it is asked.
    #[must_use]
    pub fn under(self, profile: &str) -> Self {
        Self { profile: profile.to_owned(), ..self }
    }

    /// Says what the model takes beside text.
    #[must_use]
    pub fn taking(self, input: Input) -> Self {
        Self { input, ..self }
    }
}

impl Model for AnthropicModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn profile(&self) -> &str {
        &self.profile
    }

    fn input(&self) -> Input {
        self.input
    }

    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let body = match serde_json::to_vec(&request::body(&self.model, &request, self.input)) {
            Ok(body) => body,
            Err(error) => {
                let detail = Detail::new(&error.to_string());
                return stream::iter([Err(ModelError::InvalidRequest { detail })]).boxed();
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static(VERSION));
        let key_header = KeyHeader::XApiKey;
        let question = Question { body, headers, key_header, path: "/v1/messages" };
        let dialect = Messages {
            has_reason: false,
            key: Arc::clone(&self.endpoint),
            name: self.name.clone(),
        };
        exchange(Arc::clone(&self.endpoint), question, dialect)
    }
}

/// The reader of the stream.
#[derive(Debug)]
pub(crate) struct Messages {
    has_reason: bool,
    key: Arc<Endpoint>,
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockStop {},
    Error {
        error: Value,
    },
    MessageDelta {
        delta: MessageDelta,
        usage: Option<Counts>,
    },
    MessageStart {
        message: Start,
    },
    MessageStop {},
    Ping {},
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    /// Thinking, and what may come: not part of the answer.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Delta {
    #[serde(rename = "input_json_delta")]
    Arguments { partial_json: String },
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct MessageDelta {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl Dialect for Messages {
    fn on_event(
        &mut self,
        event: &SseEvent,
        assembly: &mut Assembly,
    ) -> Result<Progress, ModelError> {
        let event: Event = serde_json::from_str(&event.data).map_err(|error| {
            ModelError::protocol(&format!("an event of the stream is malformed: {error}"))
        })?;
        match event {
            Event::ContentBlockDelta { index, delta } => match delta {
                Delta::Arguments { partial_json } => {
                    if !assembly.has_call(index) {
                        let what = "arguments came for a tool call that was not begun";
                        return Err(ModelError::protocol(what));
                    }
                    assembly.call(index, "", "", &partial_json)?;
                }
                Delta::Text { text } => assembly.text(text),
                Delta::Other => {}
            },
            Event::ContentBlockStart { index, content_block } => match content_block {
                Block::Text { text } => assembly.text(text),
                Block::ToolUse { id, name } => assembly.call(index, &id, &name, "")?,
                Block::Other => {}
            },
            Event::ContentBlockStop {} | Event::Ping {} | Event::Unknown => {}
            Event::Error { error } => {
                let (kind, message) = words(&error);
                let detail = Detail::redacted(message, self.key.key_text());
                return Err(fault(None, &kind, &detail, None));
            }
            Event::MessageDelta { delta, usage } => {
                count(usage, assembly);
                return self.on_stop_reason(delta.stop_reason.as_deref(), assembly);
            }
            Event::MessageStart { message } => count(message.usage, assembly),
            Event::MessageStop {} => {
                if !self.has_reason {
                    let what = "the message stopped but gave no stop_reason";
                    return Err(ModelError::protocol(what));
                }
                assembly.finish(&self.name)?;
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }
}

impl Messages {
    fn on_stop_reason(
        &mut self,
        reason: Option<&str>,
        assembly: &Assembly,
    ) -> Result<Progress, ModelError> {
        match reason {
            None => return Ok(Progress::More),
            Some("refusal") if assembly.is_empty() => {
                let detail = Detail::new("the model declined to answer");
                return Err(ModelError::InvalidRequest { detail });
            }
            Some("model_context_window_exceeded") if assembly.is_empty() => {
                let detail = Detail::new("the context window was full before the answer began");
                return Err(ModelError::ContextOverflow { detail });
            }
            Some(_) => self.has_reason = true,
        }
        Ok(Progress::More)
    }
}

/// Takes counters; those of a later event replace those of an earlier one.
fn count(counts: Option<Counts>, assembly: &mut Assembly) {
    let Some(counts) = counts else { return };
    if let Some(input) = counts.input_tokens {
        let read = counts.cache_read_input_tokens.unwrap_or(0);
        let written = counts.cache_creation_input_tokens.unwrap_or(0);
        assembly.usage.input_tokens = input.saturating_add(read).saturating_add(written);
        assembly.usage.cached_tokens = read;
    }
    if let Some(output) = counts.output_tokens {
        assembly.usage.output_tokens = output;
    }
}

#[cfg(test)]
mod tests;
