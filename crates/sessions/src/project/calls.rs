//! Tool calls as every provider takes them, and the results that belong to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Message, ToolCall, ToolOutcome, ToolResult};

/// The longest id of a call: the least that a provider allows.
const MAX_ID: usize = 40;

/// The longest name of a tool: the least that a provider allows.
const MAX_NAME: usize = 64;

/// Stands for the name of a tool that a model called by no name.
const NO_NAME: &str = "unnamed";

/// Stands for the result of a call whose outcome nobody knows.
const INTERRUPTED: &str =
    "[No result: the run ended before the outcome was known. The call may have taken effect.]";

/// Stands for the output of a tool that printed nothing.
const NO_OUTPUT: &str = "[no output]";

/// The ids of the calls of a history, each given once.
#[derive(Clone, Debug, Default)]
pub(super) struct CallNames {
    given: BTreeSet<String>,
    renamed: u64,
}

impl CallNames {
    /// Repairs the calls of one message, and opens them for results if there are any.
    pub(super) fn open(&mut self, calls: &[ToolCall]) -> (Vec<ToolCall>, Option<OpenCalls>) {
        let mut repaired = Vec::with_capacity(calls.len());
        let mut open = Vec::with_capacity(calls.len());
        for call in calls {
            let (id, name) = (self.give(&call.id), name_of(&call.name));
            repaired.push(ToolCall {
                id: id.clone(),
                name: name.clone(),
                arguments: arguments_of(&call.arguments),
            });
            open.push(OpenCall { id, journal_id: call.id.clone(), name, result: None });
        }
        let open = (!open.is_empty()).then_some(OpenCalls(open));
        (repaired, open)
    }

    /// Forgets the ids that no message holds anymore.
    pub(super) fn keep(&mut self, messages: &[Arc<Message>]) {
        self.given.clear();
        for message in messages {
            match &**message {
                Message::Assistant { text: _, tool_calls } => {
                    self.given.extend(tool_calls.iter().map(|call| call.id.clone()));
                }
                Message::Tool { .. } | Message::User { .. } => {}
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// Gives the id that was wished if every provider takes it, and it is not yet given.
    fn give(&mut self, wish: &str) -> String {
        let mut id = wish.to_owned();
        while id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_plain) || !self.add(&id) {
            self.renamed = self.renamed.wrapping_add(1);
            id = format!("call_{}", self.renamed);
        }
        id
    }

    fn add(&mut self, id: &str) -> bool {
        self.given.insert(id.to_owned())
    }
}

/// The calls of the newest message, with the results that have come.
#[derive(Clone, Debug)]
pub(super) struct OpenCalls(Vec<OpenCall>);

#[derive(Clone, Debug)]
struct OpenCall {
    id: String,
    /// The id under which the journal holds call and result.
    journal_id: String,
    name: String,
    result: Option<(ToolOutcome, String)>,
}

impl OpenCalls {
    /// Takes a result. Drops it if no call waits for it. Returns whether all calls have one now.
    pub(super) fn answer(&mut self, result: &ToolResult) -> bool {
        let waits =
            |call: &&mut OpenCall| call.result.is_none() && call.journal_id == result.call_id;
        if let Some(call) = self.0.iter_mut().find(waits) {
            let blank = result.content.trim().is_empty();
            let content = if blank { NO_OUTPUT } else { &result.content };
            call.result = Some((result.outcome, content.to_owned()));
        }
        self.0.iter().all(|call| call.result.is_some())
    }

    /// Returns one result for each call, in the order of the calls.
    pub(super) fn into_results(self) -> Vec<ToolResult> {
        let result_of = |call: OpenCall| {
            let (outcome, content) =
                call.result.unwrap_or_else(|| (ToolOutcome::Interrupted, INTERRUPTED.to_owned()));
            ToolResult { call_id: call.id, name: call.name, outcome, content }
        };
        self.0.into_iter().map(result_of).collect()
    }
}

/// Returns the name in the characters and the length that every provider takes.
fn name_of(name: &str) -> String {
    if name.is_empty() {
        return NO_NAME.to_owned();
    }
    let plain = |c: char| if u8::try_from(c).is_ok_and(is_plain) { c } else { '_' };
    name.chars().take(MAX_NAME).map(plain).collect()
}

/// Returns the arguments if they are a JSON object, an empty object otherwise.
fn arguments_of(arguments: &str) -> String {
    // A whole parse, not a mere scan: it has the limits of depth and number that adapters have.
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments) {
        Ok(_) => arguments.to_owned(),
        Err(_) => "{}".to_owned(),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
