//! What every dialect must mend in a history before a provider accepts it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Gives tool calls the ids under which a provider sees them.
///
/// Providers refuse ids that come twice in a conversation or hold unusual characters; a history may
/// have both, when another provider wrote it. An id that is fine stays; the same history always
/// gives the same ids, so that a provider's cache keeps its worth.
#[derive(Debug, Default)]
pub(crate) struct WireIds {
    used: BTreeSet<String>,
    current: Vec<(String, String)>,
}

impl WireIds {
    /// Begins a message that may call tools; results now answer its calls.
    pub(crate) fn begin_message(&mut self) {
        self.current.clear();
    }

    /// Returns the id for a call of the current message.
    pub(crate) fn of_call(&mut self, id: &str) -> String {
        let mut kept: String = id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .take(64)
            .collect();
        let mut number = self.used.len();
        while kept.is_empty() || !self.used.insert(kept.clone()) {
            kept = format!("call_{number}");
            number += 1;
        }
        self.current.push((id.to_owned(), kept.clone()));
        kept
    }

    /// Returns the id for a result, which names a call of the current message.
    pub(crate) fn of_result(&self, id: &str) -> String {
        let found = self.current.iter().find(|(original, _)| original == id);
        found.map_or_else(|| id.to_owned(), |(_, kept)| kept.clone())
    }
}

/// Returns the arguments that a model wrote as an object, also when it wrote nonsense.
pub(crate) fn arguments_object(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Value::Object(map),
        Ok(_) | Err(_) => {
            let mut map = Map::new();
            map.insert("malformed".to_owned(), Value::String(text.to_owned()));
            Value::Object(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_valid_and_paired() {
        let mut ids = WireIds::default();
        assert_eq!(ids.of_call("call_1"), "call_1");
        assert_eq!(ids.of_call("a:b c"), "a_b_c");
        ids.begin_message();
        assert_eq!(ids.of_call("call_1"), "call_2");
        assert_eq!(ids.of_call(""), "call_3");
        assert_eq!(ids.of_result("call_1"), "call_2");
        assert_eq!(ids.of_result("lost"), "lost");
    }

    #[test]
    fn arguments_are_always_an_object() {
        assert_eq!(arguments_object(r#"{"a":1}"#).to_string(), r#"{"a":1}"#);
        assert_eq!(arguments_object("[1").to_string(), r#"{"malformed":"[1"}"#);
        assert_eq!(arguments_object("7").to_string(), r#"{"malformed":"7"}"#);
    }
}
