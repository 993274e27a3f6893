//! The wire of Anthropic's messages.

use serde_json::{Value, json};

use super::behavior::{Finish, Wire};

pub(super) const WIRE: Wire = Wire { open, text, call, close, refusal };

fn frame(event: &Value) -> String {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {kind}\ndata: {event}\n\n")
}

fn open() -> Vec<String> {
    let usage = json!({ "input_tokens": 9, "output_tokens": 1 });
    let message = json!({ "id": "m1", "type": "message", "role": "assistant", "model": "fake",
        "content": [], "stop_reason": null, "usage": usage });
    let block = json!({ "type": "text", "text": "" });
    vec![
        frame(&json!({ "type": "message_start", "message": message })),
        frame(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
    ]
}

fn text(text: &str) -> String {
    let delta = json!({ "type": "text_delta", "text": text });
    frame(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn call(index: usize, name: &str, arguments: &str) -> Vec<String> {
    let index = index + 1;
    let id = format!("toolu_{index}");
    let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let delta = json!({ "type": "input_json_delta", "partial_json": arguments });
    vec![
        frame(&json!({ "type": "content_block_start", "index": index, "content_block": block })),
        frame(&json!({ "type": "content_block_delta", "index": index, "delta": delta })),
        frame(&json!({ "type": "content_block_stop", "index": index })),
    ]
}

fn close(finish: Finish) -> Vec<String> {
    let reason = match finish {
        Finish::Calls => "tool_use",
        Finish::Stop => "end_turn",
    };
    let delta = json!({ "stop_reason": reason, "stop_sequence": null });
    let usage = json!({ "output_tokens": 4 });
    vec![
        frame(&json!({ "type": "content_block_stop", "index": 0 })),
        frame(&json!({ "type": "message_delta", "delta": delta, "usage": usage })),
        frame(&json!({ "type": "message_stop" })),
    ]
}

fn refusal(message: &str) -> String {
    json!({ "type": "error", "error": { "type": "error", "message": message } }).to_string()
}
