//! The chat-completions dialect, which most servers speak, in the cloud and at home.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use openclaw_sessions::{Message, Usage};

use crate::assembly::Assembly;
use crate::endpoint::{Endpoint, KeyHeader, fault, words};
use crate::exchange::{Dialect, Progress, Question, exchange};
use crate::model::{Detail, Model, ModelError, ModelEvent, ModelRequest};
use crate::pictures::{Input, Picture};
use crate::sse::SseEvent;
use crate::wire::{WireIds, arguments_object};

/// A model behind `POST {baseUrl}/chat/completions`.
#[derive(Debug)]
pub struct OpenAiModel {
    endpoint: Arc<Endpoint>,
    input: Input,
    name: String,
    model: String,
    profile: String,
}

impl OpenAiModel {
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

impl Model for OpenAiModel {
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
        let body = match serde_json::to_vec(&body(&self.model, &request, self.input)) {
            Ok(body) => body,
            Err(error) => {
                let detail = Detail::new(&error.to_string());
                return stream::iter([Err(ModelError::InvalidRequest { detail })]).boxed();
            }
        };
        let question = Question {
            body,
            headers: HeaderMap::new(),
            key_header: KeyHeader::Bearer,
            path: "/chat/completions",
        };
        let dialect = ChatCompletions {
            has_reason: false,
            key: Arc::clone(&self.endpoint),
            name: self.name.clone(),
        };
        exchange(Arc::clone(&self.endpoint), question, dialect)
    }
}

/// Writes the request.
fn body(model: &str, request: &ModelRequest, input: Input) -> Value {
    let mut messages = vec![json!({ "role": "system", "content": &*request.system })];
    let mut ids = WireIds::default();
    for (place, message) in request.messages.iter().enumerate() {
        match &**message {
            Message::User { text } => {
                let pictures = match input {
                    Input::Pictures => request.pictures.at(place),
                    Input::TextOnly => &[],
                };
                messages.push(json!({ "role": "user", "content": content(text, pictures) }));
            }
            Message::Assistant { text, tool_calls } => {
                ids.begin_message();
                let calls: Vec<Value> = tool_calls
                    .iter()
                    .map(|call| {
                        let arguments = arguments_object(&call.arguments).to_string();
                        json!({
                            "id": ids.of_call(&call.id),
                            "type": "function",
                            "function": { "name": call.name, "arguments": arguments },
                        })
                    })
                    .collect();
                let mut message = json!({ "role": "assistant", "content": text });
                if let (Some(fields), false) = (message.as_object_mut(), calls.is_empty()) {
                    fields.insert("tool_calls".to_owned(), Value::Array(calls));
                }
                messages.push(message);
            }
            Message::Tool { results } => messages.extend(results.iter().map(|result| {
                let id = ids.of_result(&result.call_id);
                json!({ "role": "tool", "tool_call_id": id, "content": result.content })
            })),
        }
    }
    let mut body = json!({
        "model": model,
        "messages": messages,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    if let Some(fields) = body.as_object_mut() {
        if !request.tools.is_empty() {
            let tools: Vec<Value> = request
                .tools
                .iter()
                .map(|tool| {
                    json!({
                        "type": "function",
                        "function": {
                            "name": tool.name,
                            "description": tool.description,
                            "parameters": tool.parameters,
                        },
                    })
                })
                .collect();
            fields.insert("tools".to_owned(), Value::Array(tools));
        }
        if let Some(max) = request.max_output_tokens {
            fields.insert("max_tokens".to_owned(), max.into());
        }
    }
    body
}

/// Writes what somebody said, and shows the pictures.
fn content(text: &str, pictures: &[Picture]) -> Value {
    if pictures.is_empty() {
        return json!(text);
    }
    let shown = pictures.iter().map(|picture| match picture {
        Picture::Gone { name } => json!({ "type": "text", "text": Picture::gone(name) }),
        Picture::Kept { mime, data } => {
            let url = format!("data:{mime};base64,{data}");
            json!({ "type": "image_url", "image_url": { "url": url } })
        }
    });
    let said = json!({ "type": "text", "text": text });
    Value::Array(std::iter::once(said).chain(shown).collect())
}

/// The reader of the stream.
#[derive(Debug)]
pub(crate) struct ChatCompletions {
    has_reason: bool,
    key: Arc<Endpoint>,
    name: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<ChunkUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<CachedTokens>,
}

#[derive(Deserialize)]
struct CachedTokens {
    cached_tokens: Option<u64>,
}

impl Dialect for ChatCompletions {
    fn on_event(
        &mut self,
        event: &SseEvent,
        assembly: &mut Assembly,
    ) -> Result<Progress, ModelError> {
        if event.data.trim() == "[DONE]" {
            if !self.has_reason {
                return Err(ModelError::protocol("the stream is done but gave no finish_reason"));
            }
            assembly.finish(&self.name)?;
            return Ok(Progress::Done);
        }
        let chunk: Chunk = serde_json::from_str(&event.data).map_err(|error| {
            ModelError::protocol(&format!("an event of the stream is malformed: {error}"))
        })?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let (kind, message) = words(&error);
            let status = error.get("code").and_then(Value::as_u64);
            let status = status.and_then(|code| u16::try_from(code).ok());
            let detail = Detail::redacted(message, self.key.key_text());
            return Err(fault(status, &kind, &detail, None));
        }
        if let Some(usage) = chunk.usage {
            let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
            assembly.usage = Usage {
                cached_tokens: cached.unwrap_or(0),
                input_tokens: usage.prompt_tokens.unwrap_or(0),
                output_tokens: usage.completion_tokens.unwrap_or(0),
            };
        }
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            self.on_choice(choice, assembly)?;
        }
        Ok(Progress::More)
    }
}

impl ChatCompletions {
    fn on_choice(&mut self, choice: Choice, assembly: &mut Assembly) -> Result<(), ModelError> {
        if let Some(delta) = choice.delta {
            assembly.text(delta.content.unwrap_or_default());
            assembly.text(delta.refusal.unwrap_or_default());
            for (position, call) in (0_u64..).zip(delta.tool_calls.unwrap_or_default()) {
                // Some servers send whole calls and no index: then the place in the list counts.
                let index = call.index.unwrap_or(position);
                let function = call.function.as_ref();
                let name = function.and_then(|function| function.name.as_deref());
                let arguments = function.and_then(|function| function.arguments.as_deref());
                let id = call.id.as_deref().unwrap_or_default();
                assembly.call(
                    index,
                    id,
                    name.unwrap_or_default(),
                    arguments.unwrap_or_default(),
                )?;
            }
        }
        match choice.finish_reason.as_deref() {
            None => {}
            Some("content_filter") if assembly.is_empty() => {
                let detail = Detail::new("the provider's content filter withheld the answer");
                return Err(ModelError::InvalidRequest { detail });
            }
            Some(_) => self.has_reason = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
