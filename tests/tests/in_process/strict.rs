//! What the server of a provider refuses in a conversation: checked as strictly as they do.

use std::collections::BTreeSet;

use openclaw_tests::{Api, Received};
use serde_json::Value;

use super::providers::check_conversation;

/// Checks that what a provider was sent is a conversation that its server takes.
pub(super) fn check(api: Api, received: &Received) {
    match api {
        Api::Anthropic => check_messages(&received.body),
        Api::OpenAi => check_conversation(received),
    }
}

fn is_name(text: &str, most: usize) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= most && text.chars().all(is_plain)
}

/// The ids of the calls of a message, each new.
fn calls<'a>(blocks: &'a [Value], seen: &mut BTreeSet<&'a str>) -> Vec<&'a str> {
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let ids = calls.map(|call| {
        let id = call["id"].as_str().unwrap();
        assert!(is_name(id, 64) && seen.insert(id), "an id that is new: {call}");
        assert!(is_name(call["name"].as_str().unwrap(), 64), "the name of a tool: {call}");
        assert!(call["input"].is_object(), "the arguments are an object: {call}");
        id
    });
    ids.collect()
}

/// By what <https://docs.anthropic.com/en/api/messages> says, and by what its server refuses beyond that.
fn check_messages(body: &Value) {
    assert!(body["max_tokens"].as_u64().is_some_and(|most| most > 0), "{body}");
    for block in body["system"].as_array().into_iter().flatten() {
        assert!(block["type"] == "text" && !block["text"].as_str().unwrap().trim().is_empty());
    }
    let messages = body["messages"].as_array().unwrap();
    let (mut seen, mut open): (BTreeSet<&str>, Vec<&str>) = (BTreeSet::new(), Vec::new());
    for (place, message) in messages.iter().enumerate() {
        let role = if place % 2 == 0 { "user" } else { "assistant" };
        assert_eq!(message["role"], role, "in turns, the user first: {messages:#?}");
        let blocks = message["content"].as_array().unwrap();
        assert!(!blocks.is_empty(), "{messages:#?}");
        let results = blocks.iter().take_while(|block| block["type"] == "tool_result");
        let results: Vec<_> = results.map(|it| it["tool_use_id"].as_str().unwrap()).collect();
        // Each call is answered, once, in the message that follows, before anything else is said there.
        assert_eq!(results.iter().collect::<BTreeSet<_>>(), open.iter().collect::<BTreeSet<_>>());
        assert_eq!(results.len(), open.len(), "{messages:#?}");
        for block in &blocks[results.len()..] {
            match block["type"].as_str().unwrap() {
                "text" => {
                    let text = block["text"].as_str().unwrap();
                    assert!(!text.trim().is_empty(), "a text without text: {messages:#?}");
                    let is_plain = role == "user" || text == text.trim_end();
                    assert!(is_plain, "an answer that ends in a space: {messages:#?}");
                }
                "image" => assert_eq!(role, "user"),
                "tool_use" => assert_eq!(role, "assistant"),
                other => panic!("{other}: {messages:#?}"),
            }
        }
        open = calls(blocks, &mut seen);
    }
    assert_eq!(messages.last().unwrap()["role"], "user", "{messages:#?}");
}
