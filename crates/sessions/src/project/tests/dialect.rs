//! What the providers' servers check in the messages they are sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::call;
use crate::{Message, ToolOutcome, ToolResult};

/// The messages as they go to an OpenAI-compatible server.
fn openai(messages: &[Arc<Message>]) -> Vec<Value> {
    let mut wire = Vec::new();
    for message in messages {
        match &**message {
            Message::Assistant { text, tool_calls } => {
                let mut message = json!({ "role": "assistant" });
                if !text.is_empty() {
                    message["content"] = json!(text);
                }
                let calls = tool_calls.iter().map(|call| {
                    json!({ "id": call.id, "type": "function",
                            "function": { "name": call.name, "arguments": call.arguments } })
                });
                if !tool_calls.is_empty() {
                    message["tool_calls"] = calls.collect();
                }
                wire.push(message);
            }
            Message::Tool { results } => wire.extend(results.iter().map(|result| {
                json!({ "role": "tool", "tool_call_id": result.call_id, "content": result.content })
            })),
            Message::User { text } => wire.push(json!({ "role": "user", "content": text })),
        }
    }
    wire
}

/// The messages as they go to Anthropic's server.
fn anthropic(messages: &[Arc<Message>]) -> Vec<Value> {
    let text_block = |text: &str| json!({ "type": "text", "text": text });
    let wire = messages.iter().map(|message| match &**message {
        Message::Assistant { text, tool_calls } => {
            let mut blocks = Vec::new();
            if !text.is_empty() {
                blocks.push(text_block(text));
            }
            blocks.extend(tool_calls.iter().map(|call| {
                let input: Value = serde_json::from_str(&call.arguments).unwrap();
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
            }));
            json!({ "role": "assistant", "content": blocks })
        }
        Message::Tool { results } => {
            let blocks = results.iter().map(|result| {
                json!({ "type": "tool_result", "tool_use_id": result.call_id,
                        "is_error": result.outcome != ToolOutcome::Ok, "content": result.content })
            });
            json!({ "role": "user", "content": blocks.collect::<Value>() })
        }
        Message::User { text } => json!({ "role": "user", "content": [text_block(text)] }),
    });
    wire.collect()
}

fn ensure(holds: bool, what: &str, message: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected {what} in {message}")) }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn fits(text: &str, max: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= max && text.chars().all(plain)
}

/// Checks what `OpenAI` and the chat templates of local models demand.
pub(super) fn check_openai(messages: &[Arc<Message>]) -> Result<(), String> {
    let wire = openai(messages);
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut last = "";
    for message in &wire {
        let role = message["role"].as_str().unwrap();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap();
            ensure(waiting.first().map(String::as_str) == Some(id), "results in order", message)?;
            waiting.remove(0);
        } else {
            ensure(waiting.is_empty(), "a result for every call", message)?;
            ensure(role != last, "user and assistant in turns", message)?;
        }
        match role {
            "user" => {
                ensure(last != "tool", "an answer after results", message)?;
                ensure(!is_blank(message["content"].as_str().unwrap()), "a text", message)?;
            }
            "assistant" => {
                ensure(!last.is_empty(), "a user message first", message)?;
                let calls = message["tool_calls"].as_array();
                ensure(
                    calls.is_some()
                        || message["content"].as_str().is_some_and(|text| !is_blank(text)),
                    "content or calls",
                    message,
                )?;
                for call in calls.into_iter().flatten() {
                    let id = call["id"].as_str().unwrap();
                    ensure(fits(id, 40) && seen.insert(id.to_owned()), "a new id", message)?;
                    let function = &call["function"];
                    ensure(fits(function["name"].as_str().unwrap(), 64), "a name", message)?;
                    let arguments: Result<Value, _> =
                        serde_json::from_str(function["arguments"].as_str().unwrap());
                    ensure(arguments.is_ok_and(|a| a.is_object()), "an object", message)?;
                    waiting.push(id.to_owned());
                }
            }
            _ => {}
        }
        last = role;
    }
    if waiting.is_empty() { Ok(()) } else { Err(format!("no result for {waiting:?}")) }
}

/// Checks what Anthropic demands.
pub(super) fn check_anthropic(messages: &[Arc<Message>]) -> Result<(), String> {
    let wire = anthropic(messages);
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<String> = Vec::new();
    for (at, message) in wire.iter().enumerate() {
        let expected = if at % 2 == 0 { "user" } else { "assistant" };
        ensure(message["role"] == expected, "user and assistant in turns", message)?;
        let blocks = message["content"].as_array().unwrap();
        ensure(!blocks.is_empty(), "content", message)?;
        let called = std::mem::take(&mut waiting);
        let mut answered = Vec::new();
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "text" => {
                    ensure(!is_blank(block["text"].as_str().unwrap()), "a text", message)?;
                }
                "tool_result" => {
                    answered.push(block["tool_use_id"].as_str().unwrap().to_owned());
                    ensure(!is_blank(block["content"].as_str().unwrap()), "output", message)?;
                }
                _ => {
                    let id = block["id"].as_str().unwrap();
                    ensure(fits(id, 64) && seen.insert(id.to_owned()), "a new id", message)?;
                    ensure(fits(block["name"].as_str().unwrap(), 128), "a name", message)?;
                    ensure(block["input"].is_object(), "an object", message)?;
                    waiting.push(id.to_owned());
                }
            }
        }
        ensure(called == answered, "exactly the results of the calls before", message)?;
    }
    if waiting.is_empty() { Ok(()) } else { Err(format!("no result for {waiting:?}")) }
}

#[test]
fn the_validators_refuse_what_providers_refuse() {
    let user = || Message::User { text: "?".into() };
    let said = |text: &str| Message::Assistant { text: text.into(), tool_calls: vec![] };
    let calls = |ids: &[&str]| Message::Assistant {
        text: String::new(),
        tool_calls: ids.iter().map(|id| call(id, "ls", "{}")).collect(),
    };
    let tool = |ids: &[&str]| Message::Tool {
        results: ids
            .iter()
            .map(|id| ToolResult {
                call_id: (*id).into(),
                name: "ls".into(),
                outcome: ToolOutcome::Ok,
                content: "x".into(),
            })
            .collect(),
    };
    let bad = [
        vec![said("!")],
        vec![user(), user()],
        vec![user(), said("!"), said("!")],
        vec![user(), said(" ")],
        vec![user(), said("")],
        vec![Message::User { text: String::new() }],
        vec![user(), calls(&["a"])],
        vec![user(), calls(&["a"]), user()],
        vec![user(), calls(&["a", "b"]), tool(&["a"])],
        vec![user(), calls(&["a"]), tool(&["a", "a"])],
        vec![user(), calls(&["a", "a"]), tool(&["a", "a"])],
        vec![user(), calls(&["a", "b"]), tool(&["b", "a"])],
        vec![user(), tool(&["a"])],
        vec![user(), calls(&["a"]), tool(&["a"]), user()],
        vec![user(), calls(&["a"]), tool(&["a"]), calls(&["a"]), tool(&["a"])],
        vec![user(), calls(&["a.b"]), tool(&["a.b"])],
    ];
    for messages in bad {
        let messages: Vec<_> = messages.into_iter().map(Arc::new).collect();
        assert!(check_openai(&messages).is_err(), "{messages:?}");
        assert!(check_anthropic(&messages).is_err(), "{messages:?}");
    }
}
