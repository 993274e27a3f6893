//! The request in the messages dialect.

use serde_json::{Value, json};

use openclaw_sessions::{Message, ToolOutcome};

use crate::model::ModelRequest;
use crate::pictures::{Input, Picture};
use crate::wire::{WireIds, arguments_object};

/// The most tokens of an answer when nothing is configured; this dialect demands a number.
///
/// Reason: every current model allows it, and longer answers are rare.
pub const DEFAULT_MAX_TOKENS: u32 = 8192;

/// Writes the request. The system prompt and all before it may stay in the provider's cache.
pub(super) fn body(model: &str, request: &ModelRequest, input: Input) -> Value {
    let mut turns = Turns::default();
    let mut ids = WireIds::default();
    for (place, message) in request.messages.iter().enumerate() {
        match &**message {
            Message::User { text } => {
                let pictures = match input {
                    Input::Pictures => request.pictures.at(place),
                    Input::TextOnly => &[],
                };
                pictures.iter().for_each(|picture| turns.push("user", shown(picture)));
                // An empty text is refused by this dialect.
                let text = if text.trim().is_empty() { "(empty message)" } else { text };
                turns.push("user", json!({ "type": "text", "text": text }));
            }
            Message::Assistant { text, tool_calls } => {
                ids.begin_message();
                if !text.trim().is_empty() {
                    turns.push("assistant", json!({ "type": "text", "text": text.trim_end() }));
                }
                for call in tool_calls {
                    let input = arguments_object(&call.arguments);
                    let id = ids.of_call(&call.id);
                    let block =
                        json!({ "type": "tool_use", "id": id, "name": call.name, "input": input });
                    turns.push("assistant", block);
                }
            }
            Message::Tool { results } => {
                for result in results {
                    let block = json!({
                        "type": "tool_result",
                        "tool_use_id": ids.of_result(&result.call_id),
                        "content": result.content,
                        "is_error": result.outcome != ToolOutcome::Ok,
                    });
                    turns.push("user", block);
                }
            }
        }
    }
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        "messages": turns.0.into_iter().map(|(role, content)| {
            json!({ "role": role, "content": content })
        }).collect::<Vec<_>>(),
        "stream": true,
    });
    if let Some(fields) = body.as_object_mut() {
        if !request.system.trim().is_empty() {
            let cached = json!({ "type": "ephemeral" });
            let block =
                json!({ "type": "text", "text": &*request.system, "cache_control": cached });
            fields.insert("system".to_owned(), json!([block]));
        }
        if !request.tools.is_empty() {
            let tools: Vec<Value> = request
                .tools
                .iter()
                .map(|tool| {
                    json!({
                        "name": tool.name,
                        "description": tool.description,
                        "input_schema": tool.parameters,
                    })
                })
                .collect();
            fields.insert("tools".to_owned(), Value::Array(tools));
        }
    }
    body
}

/// Shows a picture.
fn shown(picture: &Picture) -> Value {
    match picture {
        Picture::Gone { name } => json!({ "type": "text", "text": Picture::gone(name) }),
        Picture::Kept { mime, data } => {
            let source = json!({ "type": "base64", "media_type": mime, "data": &**data });
            json!({ "type": "image", "source": source })
        }
    }
}

/// The conversation as this dialect wants it: roles alternate, neighbors of one role are one turn.
#[derive(Default)]
struct Turns(Vec<(&'static str, Vec<Value>)>);

impl Turns {
    fn push(&mut self, role: &'static str, block: Value) {
        match self.0.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            Some(_) | None => self.0.push((role, vec![block])),
        }
    }
}
