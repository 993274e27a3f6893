//! What is left out, and what never is.

use std::sync::Arc;

use super::{WindowLimits, window};
use crate::{Message, ToolCall, ToolOutcome, ToolResult};

/// Makes a history: `u` a question, `a` an answer, `c` a call and its result; digits are lengths.
fn history(shape: &str) -> Vec<Arc<Message>> {
    let mut messages = Vec::new();
    for word in shape.split_whitespace() {
        let (kind, size) = word.split_at(1);
        let text = "x".repeat(size.parse().unwrap());
        match kind {
            "a" => messages.push(Message::Assistant { text, tool_calls: Vec::new() }),
            "c" => {
                let (id, name) = (format!("c{}", messages.len()), "n".to_owned());
                let arguments = "{}".to_owned();
                let call = ToolCall { id: id.clone(), name: name.clone(), arguments };
                let outcome = ToolOutcome::Ok;
                let result = ToolResult { call_id: id, name, outcome, content: text };
                messages.push(Message::Assistant { text: String::new(), tool_calls: vec![call] });
                messages.push(Message::Tool { results: vec![result] });
            }
            _ => messages.push(Message::User { text }),
        }
    }
    messages.into_iter().map(Arc::new).collect()
}

fn shape(messages: &[Arc<Message>]) -> String {
    let words = messages.iter().filter_map(|message| match &**message {
        Message::Assistant { text, tool_calls } if tool_calls.is_empty() => {
            Some(format!("a{}", text.len()))
        }
        Message::Assistant { .. } => None,
        Message::Tool { results } => Some(format!("c{}", results[0].content.len())),
        Message::User { text } => Some(format!("u{}", text.len())),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
#[rustfmt::skip]
fn the_newest_part_is_kept() {
    #[track_caller]
    fn check(whole: &str, max_messages: usize, max_bytes: usize, kept: &str) {
        let limits = WindowLimits { max_bytes, max_messages };
        assert_eq!(shape(&window(&history(whole), &limits)), kept);
    }

    //     history                messages  bytes  kept
    check("",                           9,    99,  "");
    check("u1 a1 u2 a2 u3",             9,    99,  "u1 a1 u2 a2 u3");
    check("u1 a1 u2 a2 u3",             5,     9,  "u1 a1 u2 a2 u3");
    check("u1 a1 u2 a2 u3",             4,    99,  "u2 a2 u3");
    check("u1 a1 u2 a2 u3",             9,     8,  "u2 a2 u3");
    check("u1 a1 u2 a2 u3",             9,     6,  "u3");
    check("u1 a1 u2 a2 u3",             2,    99,  "u3");
    check("u1 a1 u2 a2 u3",             0,     0,  "u3");           // the question stays
    check("u1 a1 u2 c9 a3",             4,    99,  "u2 c9 a3");
    check("u1 c1 c2 c3",                7,    99,  "u1 c1 c2 c3");
    check("u1 c1 c2 c3",                6,    99,  "u1 c2 c3");     // call and result go together
    check("u1 c1 c2 c3",                4,    99,  "u1 c3");
    check("u1 c1 c2 c3",                9,    12,  "u1 c2 c3");
    check("u1 c1 c2 c3",                0,     0,  "u1 c3");        // the newest step stays
    check("u1 c1 c2 c9 a1",             9,     9,  "u1 a1");
    check("u9 a9 u1 c1 c2 c3",          6,    99,  "u1 c2 c3");
    check("a1 c1",                      9,    99,  "");             // no question to begin with
}

#[test]
fn defaults_show_two_hundred_messages() {
    let long = "u1 a1 ".repeat(150);
    let shown = window(&history(&long), &WindowLimits::default());
    assert_eq!(shown.len(), super::MAX_MESSAGES);
    let large = "u1000 a1000 ".repeat(90) + "u50000 a50000 ".repeat(4).as_str();
    let shown = window(&history(&large), &WindowLimits::default());
    assert_eq!(shape(&shown), "u50000 a50000 ".repeat(4).trim());
    assert_eq!(shown.iter().map(|message| message.bytes()).sum::<usize>(), super::MAX_BYTES);
}

#[test]
#[rustfmt::skip]
fn a_token_has_four_bytes() {
    //   bytes   tokens
    for (bytes,  tokens) in [(0, 0), (1, 1), (4, 1), (5, 2), (super::MAX_BYTES, 100_000)] {
        assert_eq!(super::estimate_tokens(bytes), tokens, "{bytes}");
    }
}
