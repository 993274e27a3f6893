//! Tests of the chat-completions dialect against transcripts of the recorded shape.

use openclaw_sessions::{AssistantMessage, ToolCall, ToolOutcome, ToolResult};

use super::*;
use crate::exchange::Transcript;
use crate::exchange::trial::{check_every_cut, play};
use crate::tool::ToolSpec;

fn transcript() -> Transcript<ChatCompletions> {
    let endpoint = Endpoint::parse("http://127.0.0.1:1/v1", None).unwrap();
    let name = "local/llama".to_owned();
    Transcript::new(ChatCompletions { has_reason: false, key: Arc::new(endpoint), name })
}

const ANSWER: &str = concat!(
    ": keep-alive\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","model":"llama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hällo"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","choices":[{"index":0,"delta":{"content":" 🦞"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":3}}}"#,
    "\n\ndata: [DONE]\n\n",
);

const CALLS: &str = concat!(
    r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"read_file","arguments":""}}]}}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\":"}}]}}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"a.txt\"}"}}]}}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"list_dir","arguments":"{}"}}]}}]}"#,
    "\r\n\r\n",
    r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    "\r\n\r\ndata: [DONE]\r\n\r\n",
);

#[test]
fn an_answer_is_read_however_it_is_cut() {
    let (events, end) = play(transcript(), &[ANSWER.as_bytes()]);
    let expected = AssistantMessage {
        model: "local/llama".into(),
        text: "Hällo 🦞".into(),
        tool_calls: Vec::new(),
        usage: Usage { cached_tokens: 3, input_tokens: 9, output_tokens: 4 },
        worked_millis: 0,
    };
    let expected = [
        ModelEvent::Text("Hällo".into()),
        ModelEvent::Text(" 🦞".into()),
        ModelEvent::Finished(expected),
    ];
    assert_eq!((events.as_slice(), &end), (expected.as_slice(), &Ok(Progress::Done)));
    check_every_cut(transcript, ANSWER);
}

#[test]
fn tool_calls_are_put_together_however_they_are_cut() {
    let (events, end) = play(transcript(), &[CALLS.as_bytes()]);
    assert_eq!(end, Ok(Progress::Done));
    let Some(ModelEvent::Finished(message)) = events.last() else { panic!("{events:?}") };
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        arguments: arguments.into(),
        id: id.into(),
        name: name.into(),
    };
    let expected =
        [call("call_a", "read_file", r#"{"path":"a.txt"}"#), call("call_b", "list_dir", "{}")];
    assert_eq!(message.tool_calls, expected);
    assert_eq!(events[0], ModelEvent::ToolCallStarted { index: 0, name: "read_file".into() });
    check_every_cut(transcript, CALLS);
}

#[test]
fn calls_without_an_index_are_understood() {
    let whole = r#"data: {"choices":[{"delta":{"content":"","tool_calls":[{"id":"x","function":{"name":"a","arguments":"{}"}},{"id":"y","function":{"name":"b"}}]},"finish_reason":"stop"}]}"#;
    let (events, _) = play(transcript(), &[whole.as_bytes(), b"\n\ndata: [DONE]\n\n"]);
    let Some(ModelEvent::Finished(message)) = events.last() else { panic!("{events:?}") };
    assert_eq!(message.tool_calls.len(), 2);
}

#[test]
fn what_is_no_answer_is_a_typed_error() {
    let call = |call: &str| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
    let reason = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let filtered = r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#;
    let long = "n".repeat(300);
    #[rustfmt::skip]
    let table = [
        (vec!["[DONE]".to_owned()],                                        "protocol", "finish_reason"),
        (vec![reason.into(), "[DONE]".into()],                             "protocol", "neither"),
        (vec!["{\"choices\":".into()],                                     "protocol", "malformed"),
        (vec!["[]".into()],                                                "protocol", "malformed"),
        (vec!["nonsense".into()],                                          "protocol", "malformed"),
        (vec![call(r#"{"index":-1}"#)],                                    "protocol", "malformed"),
        (vec![call(r#"{"index":"0"}"#)],                                   "protocol", "malformed"),
        (vec![call(r#"{"index":129}"#)],                                   "protocol", "index"),
        (vec![call(r#"{"index":18446744073709551615}"#)],                  "protocol", "index"),
        (vec![call(r#"{"index":0,"function":{"arguments":{"a":1}}}"#)],    "protocol", "malformed"),
        (vec![call(&format!(r#"{{"index":0,"function":{{"name":"{long}"}}}}"#))], "protocol", "256"),
        (vec![call(r#"{"index":0,"id":"a"}"#), reason.into(), "[DONE]".into()],   "protocol", "no name"),
        (vec![filtered.into()],                                            "invalid-request", "filter"),
        (vec![r#"{"error":{"message":"boom","type":"server_error"}}"#.into()],    "overloaded", "boom"),
        (vec![r#"{"error":{"message":"slow","code":429}}"#.into()],        "rate-limited", "slow"),
        (vec![r#"{"error":{"message":"the maximum context length is 1"}}"#.into()], "context-overflow", ""),
    ];
    for (datas, name, words) in table {
        let text: String = datas.iter().map(|data| format!("data: {data}\n\n")).collect();
        let (_, end) = play(transcript(), &[text.as_bytes()]);
        let error = end.expect_err(&text);
        assert_eq!(error.name(), name, "{text}");
        assert!(error.to_string().contains(words), "{error}");
        check_every_cut(transcript, &text);
    }
}

#[test]
fn arguments_are_bounded() {
    let piece = format!(
        r#"data: {{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"function":{{"name":"w","arguments":"{}"}}}}]}}}}]}}"#,
        "x".repeat(700_000)
    );
    let (_, end) = play(transcript(), &[piece.as_bytes(), b"\n\n", piece.as_bytes(), b"\n\n"]);
    assert!(end.unwrap_err().to_string().contains("1 MiB"));
}

#[test]
fn the_request_has_the_shape_that_servers_expect() {
    let call = |id: &str, arguments: &str| ToolCall {
        arguments: arguments.into(),
        id: id.into(),
        name: "read_file".into(),
    };
    let result = |id: &str| ToolResult {
        call_id: id.into(),
        content: "text".into(),
        name: "read_file".into(),
        outcome: ToolOutcome::Ok,
    };
    let request = ModelRequest {
        pictures: crate::Pictures::default(),
        attempt: 0,
        max_output_tokens: Some(7),
        messages: vec![
            Arc::new(Message::User { text: "q".into() }),
            Arc::new(Message::Assistant {
                text: String::new(),
                tool_calls: vec![call("call 1", r#"{"a":1}"#), call("b", "{\"cut")],
            }),
            Arc::new(Message::Tool { results: vec![result("call 1"), result("b")] }),
        ],
        system: "s".into(),
        tools: [ToolSpec {
            description: "d".into(),
            name: "read_file".into(),
            parameters: json!({"type": "object"}),
        }]
        .into(),
    };
    assert_eq!(
        body("llama", &request, Input::TextOnly),
        json!({
            "model": "llama",
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 7,
            "tools": [{"type": "function", "function": {
                "name": "read_file", "description": "d", "parameters": {"type": "object"},
            }}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "call_1", "type": "function",
                     "function": {"name": "read_file", "arguments": "{\"a\":1}"}},
                    {"id": "b", "type": "function",
                     "function": {"name": "read_file", "arguments": "{\"malformed\":\"{\\\"cut\"}"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "text"},
                {"role": "tool", "tool_call_id": "b", "content": "text"},
            ],
        })
    );
}
