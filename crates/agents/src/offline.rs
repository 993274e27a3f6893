//! The built-in model: deterministic, without a network, and scriptable for tests and trials.
//!
//! What it answers depends on the request alone: there is no state between two requests, so
//! sessions never disturb each other and a test that runs twice gets the same answers twice.

mod script;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use openclaw_sessions::{AssistantMessage, Message, ToolCall, ToolResult, Usage};

use crate::model::{Model, ModelError, ModelEvent, ModelRequest};

pub use script::{OfflineScript, ParseScriptError};

use script::Reply;

/// The model's name where nothing is configured.
pub const OFFLINE_MODEL: &str = "offline/offline";

/// The built-in model.
#[derive(Clone, Debug)]
pub struct OfflineModel {
    name: Arc<str>,
    script: Arc<OfflineScript>,
}

impl OfflineModel {
    /// Makes the model that plays `script` under a name; an empty script only echoes.
    pub fn new(name: &str, script: Arc<OfflineScript>) -> Self {
        Self { name: name.into(), script }
    }
}

impl Default for OfflineModel {
    fn default() -> Self {
        Self::new(OFFLINE_MODEL, Arc::default())
    }
}

impl Model for OfflineModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let scene = Scene::of(&request.messages);
        let usage = count(&request);
        let Some((position, reply)) = self.script.choose(&request.messages, request.attempt) else {
            let text = scene.echo();
            return stream::iter(whole(&self.name, text, usage).map(Ok)).boxed();
        };
        let text = scene.render(&reply.text);
        let mut events: Vec<Result<ModelEvent, ModelError>> = Vec::new();
        events.extend(pieces(&text, reply.chunks).map(|piece| Ok(ModelEvent::Text(piece))));
        if let Some(failure) = &reply.failure {
            events.push(Err(failure.clone()));
        } else {
            let calls = calls(position, reply, request.messages.len());
            for (index, call) in (0_u32..).zip(&calls) {
                let name = call.name.clone();
                events.push(Ok(ModelEvent::ToolCallStarted { index, name }));
            }
            events.push(Ok(ModelEvent::Finished(message(&self.name, text, calls, usage))));
        }
        let delay = reply.delay;
        let events = stream::iter(events);
        if delay.is_zero() {
            return events.boxed();
        }
        events.then(move |event| delayed(event, delay)).boxed()
    }
}

async fn delayed(
    event: Result<ModelEvent, ModelError>,
    delay: Duration,
) -> Result<ModelEvent, ModelError> {
    match &event {
        Ok(ModelEvent::Text(_)) | Err(_) => tokio::time::sleep(delay).await,
        Ok(
            ModelEvent::Finished(_) | ModelEvent::Retrying(_) | ModelEvent::ToolCallStarted { .. },
        ) => {}
    }
    event
}

/// What the conversation asks for right now.
struct Scene<'a> {
    message: &'a str,
    result: Option<&'a ToolResult>,
}

impl<'a> Scene<'a> {
    fn of(messages: &'a [Arc<Message>]) -> Self {
        let mut scene = Scene { message: "", result: None };
        for (position, message) in messages.iter().rev().enumerate() {
            match &**message {
                Message::Assistant { .. } => {}
                Message::Tool { results } => {
                    if position == 0 {
                        scene.result = results.last();
                    }
                }
                Message::User { text } => {
                    scene.message = text;
                    break;
                }
            }
        }
        scene
    }

    fn echo(&self) -> String {
        match self.result {
            None => format!(
                "This is the built-in offline model; no provider is configured. You said: {}",
                self.message
            ),
            Some(result) => format!(
                "This is the built-in offline model; no provider is configured. \
                 The tool `{}` answered: {}",
                result.name, result.content
            ),
        }
    }

    fn render(&self, template: &str) -> String {
        if !template.contains('{') {
            return template.to_owned();
        }
        let result = self.result.map_or("", |result| &result.content);
        let mut rendered = String::with_capacity(template.len() + self.message.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            rendered.push_str(before);
            if let Some(after) = after.strip_prefix("message}") {
                rendered.push_str(self.message);
                rest = after;
            } else if let Some(after) = after.strip_prefix("result}") {
                rendered.push_str(result);
                rest = after;
            } else {
                rendered.push('{');
                rest = after;
            }
        }
        rendered.push_str(rest);
        rendered
    }
}

/// The calls of a reply. Their ids are unique in a conversation, as they name the place in it.
fn calls(position: usize, reply: &Reply, length: usize) -> Vec<ToolCall> {
    let calls = reply.calls.iter().enumerate();
    calls
        .map(|(index, call)| ToolCall {
            arguments: call.arguments.clone(),
            id: format!("offline-{length}-{position}-{index}"),
            name: call.name.clone(),
        })
        .collect()
}

fn message(name: &str, text: String, tool_calls: Vec<ToolCall>, usage: Usage) -> AssistantMessage {
    let output = u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(4);
    let usage = Usage { output_tokens: output, ..usage };
    AssistantMessage { model: name.to_owned(), text, tool_calls, usage, worked_millis: 0 }
}

fn whole(name: &str, text: String, usage: Usage) -> [ModelEvent; 2] {
    let message = message(name, text.clone(), Vec::new(), usage);
    [ModelEvent::Text(text), ModelEvent::Finished(message)]
}

/// Cuts the text into at most `chunks` pieces of whole characters.
fn pieces(text: &str, chunks: usize) -> impl Iterator<Item = String> {
    let size = text.len().div_ceil(chunks.max(1)).max(1);
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = size.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece.to_owned())
    })
}

/// Counts four bytes as a token, as a rule of thumb.
fn count(request: &ModelRequest) -> Usage {
    let mut bytes = request.system.len();
    for message in &request.messages {
        bytes = bytes.saturating_add(match &**message {
            Message::User { text } | Message::Assistant { text, .. } => text.len(),
            Message::Tool { results } => results.iter().map(|result| result.content.len()).sum(),
        });
    }
    let input_tokens = u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(4);
    Usage { input_tokens, ..Usage::default() }
}

#[cfg(test)]
mod tests;
