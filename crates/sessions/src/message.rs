//! What a model is shown of a conversation, in no provider's dialect.

use crate::{ToolCall, ToolResult};

/// One message of a history that every provider accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// What the model said, and the tools it called. The text is empty only beside calls.
    Assistant {
        /// What it said.
        text: String,
        /// The calls, each with a unique id and a JSON object as arguments.
        tool_calls: Vec<ToolCall>,
    },
    /// What came of the calls in the message before: one result for each, in their order.
    Tool {
        /// The results.
        results: Vec<ToolResult>,
    },
    /// What the model was asked. Never blank.
    User {
        /// The text.
        text: String,
    },
}

impl Message {
    /// Returns how many bytes of text the message has: what it costs of a model's context, roughly.
    pub fn bytes(&self) -> usize {
        let count = String::len;
        match self {
            Self::Assistant { text, tool_calls } => tool_calls
                .iter()
                .map(|call| count(&call.name).saturating_add(count(&call.arguments)))
                .fold(count(text), usize::saturating_add),
            Self::Tool { results } => {
                results.iter().map(|result| count(&result.content)).fold(0, usize::saturating_add)
            }
            Self::User { text } => count(text),
        }
    }

    /// Whether this is a question, with which a history may begin.
    pub fn is_user(&self) -> bool {
        match self {
            Self::Assistant { .. } | Self::Tool { .. } => false,
            Self::User { .. } => true,
        }
    }
}

/// What a model says that has nothing to say to anybody (`runtime.md` §5.2 of the reference).
pub const NO_REPLY: &str = "NO_REPLY";

/// What a heartbeat says that found nothing (`runtime.md` §5.2 of the reference).
pub const HEARTBEAT_OK: &str = "HEARTBEAT_OK";

/// How much may stand beside that word, in characters, for it to count (`runtime.md` §5.2 of the reference).
const BESIDE: usize = 300;

/// Whether an answer is none: nothing, or a word for it, however that is written.
pub fn is_silent(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "*_`'\".!".contains(c));
    [NO_REPLY, HEARTBEAT_OK].iter().any(|word| text.eq_ignore_ascii_case(word)) || text.is_empty()
}

/// Returns what of a heartbeat's answer is to be told: nothing when the word that it found nothing stands at either
/// edge and little beside it, and the rest when much does.
pub fn heartbeat_alert(text: &str) -> &str {
    let text = text.trim();
    let rest = text.strip_prefix(HEARTBEAT_OK).or_else(|| text.strip_suffix(HEARTBEAT_OK));
    match rest.map(str::trim) {
        None => text,
        Some(rest) if rest.chars().count() <= BESIDE => "",
        Some(rest) => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolOutcome;

    #[test]
    fn a_word_for_nothing_is_silence() {
        for text in
            ["", " \n", "NO_REPLY", "no_reply.", "**NO_REPLY**", "\"HEARTBEAT_OK\"", "`NO_REPLY`!"]
        {
            assert!(is_silent(text), "{text}");
        }
        for text in ["NO_REPLY is a word.", "No reply", "OK", "NO_REPLY NO_REPLY"] {
            assert!(!is_silent(text), "{text}");
        }
    }

    #[test]
    fn a_heartbeat_tells_what_is_beside_the_word_only_if_it_is_much() {
        let much = "The disk is full. ".repeat(20);
        let long = format!("HEARTBEAT_OK\n{much}");
        let cases = [
            ("HEARTBEAT_OK", ""),
            ("All is well. HEARTBEAT_OK", ""),
            ("HEARTBEAT_OK - all is well", ""),
            (long.as_str(), much.trim()),
            ("The word HEARTBEAT_OK in the middle.", "The word HEARTBEAT_OK in the middle."),
            ("The disk is full.", "The disk is full."),
        ];
        for (text, told) in cases {
            assert_eq!(heartbeat_alert(text), told, "{text}");
        }
    }

    #[test]
    fn all_text_is_counted() {
        let call = |id: &str| ToolCall { id: id.into(), name: "ls".into(), arguments: "{}".into() };
        let result = |content: &str| ToolResult {
            call_id: "a".into(),
            name: "ls".into(),
            outcome: ToolOutcome::Ok,
            content: content.into(),
        };
        let assistant = Message::Assistant { text: "né".into(), tool_calls: vec![call("a"); 2] };
        assert_eq!(assistant.bytes(), 11);
        assert_eq!(Message::Tool { results: vec![result("ü"), result("abc")] }.bytes(), 5);
        assert_eq!(Message::User { text: "äöü".into() }.bytes(), 6);
    }
}
