//! The wire of chat completions.

use serde_json::{Value, json};

use super::behavior::{Finish, Wire};

pub(super) const WIRE: Wire = Wire { open, text, call, close, refusal };

fn frame(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": "c1", "object": "chat.completion.chunk", "choices": [choice] });
    format!("data: {chunk}\n\n")
}

fn open() -> Vec<String> {
    vec![": hello\n\n".into(), frame(&json!({ "role": "assistant", "content": "" }), None)]
}

fn text(text: &str) -> String {
    frame(&json!({ "content": text }), None)
}

fn call(index: usize, name: &str, arguments: &str) -> Vec<String> {
    let function = json!({ "name": name, "arguments": arguments });
    let id = format!("call_{index}");
    let call = json!({ "index": index, "id": id, "type": "function", "function": function });
    vec![frame(&json!({ "tool_calls": [call] }), None)]
}

fn close(finish: Finish) -> Vec<String> {
    let reason = match finish {
        Finish::Calls => "tool_calls",
        Finish::Stop => "stop",
    };
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 4 } });
    vec![frame(&json!({}), Some(reason)), format!("data: {usage}\n\n"), "data: [DONE]\n\n".into()]
}

fn refusal(message: &str) -> String {
    json!({ "error": { "message": message, "type": "error" } }).to_string()
}
