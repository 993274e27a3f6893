//! An answer being put together from the pieces that a provider streams, within bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use openclaw_sessions::{AssistantMessage, ToolCall, Usage};

use crate::model::{ModelError, ModelEvent};

/// The highest index that a tool call of one answer may have.
///
/// Reason: a turn runs far fewer; an index from a broken provider must not make us hold slots.
pub(crate) const MAX_TOOL_INDEX: u64 = 128;

/// The most bytes that the arguments of one tool call may have.
///
/// Reason: the largest sensible argument is a file that is written, and files are bounded alike.
pub(crate) const MAX_ARGUMENT_BYTES: usize = 1024 * 1024;

/// The most bytes of a call's id and of a tool's name.
///
/// Reason: providers use some 30; both are kept in the journal and repeated in every request.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// One tool call that is still being written.
#[derive(Debug, Default)]
struct Draft {
    id: String,
    name: String,
    arguments: String,
    announced: bool,
}

/// An answer of which some pieces have come.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    text: String,
    drafts: BTreeMap<u64, Draft>,
    /// Tokens counted so far.
    pub(crate) usage: Usage,
    /// Events for the reader, oldest first.
    pub(crate) events: VecDeque<ModelEvent>,
}

impl Assembly {
    /// Takes more text of the answer.
    pub(crate) fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.text.push_str(&text);
            self.events.push_back(ModelEvent::Text(text));
        }
    }

    /// Takes more of the tool call at `index`; each part may be empty or come in pieces.
    pub(crate) fn call(
        &mut self,
        index: u64,
        id: &str,
        name: &str,
        arguments: &str,
    ) -> Result<(), ModelError> {
        if index > MAX_TOOL_INDEX {
            return Err(ModelError::protocol("a tool call's index is larger than 128"));
        }
        let draft = self.drafts.entry(index).or_default();
        if draft.id.is_empty() {
            draft.id.push_str(id);
        }
        if draft.name.is_empty() {
            draft.name.push_str(name);
        }
        draft.arguments.push_str(arguments);
        if draft.id.len() > MAX_NAME_BYTES || draft.name.len() > MAX_NAME_BYTES {
            return Err(ModelError::protocol("a tool call's id or name is larger than 256 bytes"));
        }
        if draft.arguments.len() > MAX_ARGUMENT_BYTES {
            return Err(ModelError::protocol("a tool call's arguments are larger than 1 MiB"));
        }
        if !draft.announced && !draft.name.is_empty() {
            draft.announced = true;
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.events.push_back(ModelEvent::ToolCallStarted { index, name: draft.name.clone() });
        }
        Ok(())
    }

    /// Returns whether there is a tool call at `index`.
    pub(crate) fn has_call(&self, index: u64) -> bool {
        self.drafts.contains_key(&index)
    }

    /// Returns whether nothing but perhaps counters has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.drafts.is_empty()
    }

    /// Ends the answer: from now on it is a message.
    ///
    /// Ids that are missing or come twice are replaced, so that every result has one call.
    pub(crate) fn finish(&mut self, model: &str) -> Result<(), ModelError> {
        if self.is_empty() {
            return Err(ModelError::protocol("the answer has neither text nor tool calls"));
        }
        let mut ids = BTreeSet::new();
        let mut tool_calls = Vec::with_capacity(self.drafts.len());
        for (index, draft) in std::mem::take(&mut self.drafts) {
            if draft.name.is_empty() {
                return Err(ModelError::protocol("a tool call has no name"));
            }
            let mut id = draft.id;
            let mut copy = 0_u32;
            while id.is_empty() || !ids.insert(id.clone()) {
                copy += 1;
                id = if copy == 1 {
                    format!("call-{index}")
                } else {
                    format!("call-{index}-{copy}")
                };
            }
            let arguments =
                if draft.arguments.is_empty() { "{}".to_owned() } else { draft.arguments };
            tool_calls.push(ToolCall { arguments, id, name: draft.name });
        }
        self.events.push_back(ModelEvent::Finished(AssistantMessage {
            model: model.to_owned(),
            text: std::mem::take(&mut self.text),
            tool_calls,
            usage: self.usage,
            worked_millis: 0,
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_arguments_never_empty() {
        let mut assembly = Assembly::default();
        for (index, id) in [(0, "a"), (1, "a"), (2, ""), (7, "call-1")] {
            assembly.call(index, id, "t", "").unwrap();
        }
        assembly.finish("p/m").unwrap();
        let Some(ModelEvent::Finished(message)) = assembly.events.pop_back() else { panic!() };
        let ids: Vec<_> = message.tool_calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids, ["a", "call-1", "call-2", "call-7"]);
        assert!(message.tool_calls.iter().all(|call| call.arguments == "{}"));
    }

    #[test]
    fn what_is_too_much_or_missing_is_refused() {
        let check = |result: Result<(), ModelError>, expected: &str| {
            let text = result.map_err(|error| error.to_string());
            assert!(text.as_ref().is_err_and(|text| text.contains(expected)), "{text:?}");
        };
        check(Assembly::default().call(129, "", "", ""), "index");
        check(Assembly::default().call(u64::MAX, "", "", ""), "index");
        check(Assembly::default().call(0, "", &"n".repeat(257), ""), "name");
        check(Assembly::default().call(0, "", "n", &"x".repeat(MAX_ARGUMENT_BYTES + 1)), "1 MiB");
        check(Assembly::default().finish("m"), "neither");
        let mut nameless = Assembly::default();
        nameless.call(0, "a", "", "{}").unwrap();
        check(nameless.finish("m"), "no name");
    }
}
