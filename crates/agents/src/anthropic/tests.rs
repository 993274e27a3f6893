//! Tests of the messages dialect against transcripts of the recorded shape.

use openclaw_sessions::{Message, ToolCall, ToolOutcome, ToolResult, Usage};
use serde_json::json;

use super::request::body;
use super::*;
use crate::exchange::Transcript;
use crate::exchange::trial::{check_every_cut, play};
use crate::tool::ToolSpec;

fn transcript() -> Transcript<Messages> {
    let endpoint = Endpoint::parse("http://127.0.0.1:1", None).unwrap();
    let name = "anthropic/claude".to_owned();
    Transcript::new(Messages { has_reason: false, key: Arc::new(endpoint), name })
}

fn stream(datas: &[&str]) -> String {
    let events = datas.iter().map(|data| {
        let kind: Value = serde_json::from_str(data).unwrap_or_default();
        let kind = kind.get("type").and_then(Value::as_str).unwrap_or("x");
        format!("event: {kind}\ndata: {data}\n\n")
    });
    events.collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":5,"cache_read_input_tokens":10,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn both() -> String {
    stream(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Ich schäue"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" 🦞."}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"read_file","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"path\": \"a"}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":".txt\"}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"something_new","x":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}"#,
        STOP,
    ])
}

#[test]
fn an_answer_with_a_call_is_read_however_it_is_cut() {
    let (events, end) = play(transcript(), &[both().as_bytes()]);
    assert_eq!(end, Ok(Progress::Done));
    let Some(ModelEvent::Finished(message)) = events.last() else { panic!("{events:?}") };
    assert_eq!(message.text, "Ich schäue 🦞.");
    let call = ToolCall {
        arguments: r#"{"path": "a.txt"}"#.into(),
        id: "toolu_1".into(),
        name: "read_file".into(),
    };
    assert_eq!(message.tool_calls, [call]);
    let usage = Usage { cached_tokens: 10, input_tokens: 40, output_tokens: 89 };
    assert_eq!((message.usage, message.model.as_str()), (usage, "anthropic/claude"));
    check_every_cut(transcript, &both());
}

#[test]
fn what_is_no_answer_is_a_typed_error() {
    let stop = |reason: &str| {
        format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":null}}"#)
    };
    let (end_turn, refusal, full) =
        (stop("end_turn"), stop("refusal"), stop("model_context_window_exceeded"));
    let error = |kind: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"so it is"}}}}"#)
    };
    let errors = [
        ("overloaded_error", "overloaded"),
        ("api_error", "overloaded"),
        ("rate_limit_error", "rate-limited"),
        ("authentication_error", "auth"),
        ("billing_error", "billing"),
        ("not_found_error", "model-not-found"),
        ("invalid_request_error", "invalid-request"),
        ("request_too_large", "context-overflow"),
    ];
    let errors = errors.map(|(kind, name)| (vec![START.to_owned(), error(kind)], name, "so it is"));
    let own = |datas: &[&str]| datas.iter().map(|data| (*data).to_owned()).collect::<Vec<_>>();
    #[rustfmt::skip]
    let table = [
        (own(&[START, STOP]),                                    "protocol", "stop_reason"),
        (own(&[START, &end_turn, STOP]),                         "protocol", "neither"),
        (own(&[START, &refusal]),                                "invalid-request", "declined"),
        (own(&[START, &full]),                                   "context-overflow", "full"),
        (own(&["{"]),                                            "protocol", "malformed"),
        (own(&["{}"]),                                           "protocol", "malformed"),
        (own(&["<html>"]),                                       "protocol", "malformed"),
        (own(&[r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}}"#]), "protocol", "not begun"),
        (own(&[r#"{"type":"content_block_start","index":999,"content_block":{"type":"tool_use","id":"a","name":"b"}}"#]), "protocol", "index"),
        (own(&[r#"{"type":"content_block_start","index":-1,"content_block":{"type":"text"}}"#]), "protocol", "malformed"),
        (own(&[r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":7,"name":"b"}}"#]), "protocol", "malformed"),
    ];
    for (datas, name, words) in table.into_iter().chain(errors) {
        let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
        let text = stream(&datas);
        let (_, end) = play(transcript(), &[text.as_bytes()]);
        let error = end.expect_err(&text);
        assert_eq!(error.name(), name, "{text}");
        assert!(error.to_string().contains(words), "{error}");
        check_every_cut(transcript, &text);
    }
}

#[test]
fn the_request_has_the_shape_that_the_provider_expects() {
    let call = |id: &str, arguments: &str| ToolCall {
        arguments: arguments.into(),
        id: id.into(),
        name: "read_file".into(),
    };
    let result = |id: &str, outcome| ToolResult {
        call_id: id.into(),
        content: "text".into(),
        name: "read_file".into(),
        outcome,
    };
    let request = ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: None,
        messages: vec![
            Arc::new(Message::User { text: "q".into() }),
            Arc::new(Message::Assistant {
                text: "I look. ".into(),
                tool_calls: vec![call("1", r#"{"a":1}"#), call("1", "7")],
            }),
            Arc::new(Message::Tool {
                results: vec![result("1", ToolOutcome::Ok), result("2", ToolOutcome::Interrupted)],
            }),
            Arc::new(Message::User { text: " ".into() }),
        ],
        system: "s".into(),
        tools: [ToolSpec {
            description: "d".into(),
            name: "read_file".into(),
            parameters: json!({"type": "object"}),
        }]
        .into(),
    };
    let mut tools = body("claude", &request, Input::TextOnly);
    assert_eq!(
        tools["messages"].take(),
        json!([
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "1", "name": "read_file", "input": {"a": 1}},
                {"type": "tool_use", "id": "call_1", "name": "read_file", "input": {"malformed": "7"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "text", "is_error": false},
                {"type": "tool_result", "tool_use_id": "2", "content": "text", "is_error": true},
                {"type": "text", "text": "(empty message)"},
            ]},
        ])
    );
    assert_eq!(
        tools,
        json!({
            "model": "claude",
            "max_tokens": DEFAULT_MAX_TOKENS,
            "stream": true,
            "messages": null,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "tools": [{"name": "read_file", "description": "d", "input_schema": {"type": "object"}}],
        })
    );
}
