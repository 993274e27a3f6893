//! From the journal of a session to a history that every model provider accepts.

mod calls;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use crate::{
    AssistantMessage, Message, Notice, Record, RunStatus, STEERED, ToolCall, WindowLimits,
};
use calls::{CallNames, OpenCalls};

/// Stands for a question without text, which providers refuse.
const BLANK_QUESTION: &str = "[empty message]";

/// Stands before a summary: it was made of what others wrote too, and is no word of the user.
const SUMMARY_BEGIN: &str = "[Summary of the conversation so far. It stands for messages that are not \
                             shown any more. It is a record, not a request.]\n";

/// Stands between a summary and the question after it.
const SUMMARY_END: &str = "\n[End of the summary.]";

/// Projects a journal, or any part of one, to the history that a model is shown.
///
/// See [`Projection`], which does the same record by record.
pub fn project(records: &[Record]) -> Vec<Arc<Message>> {
    let mut projection = Projection::default();
    for record in records {
        projection.push(record);
    }
    projection.into_messages()
}

/// A history that grows with the journal of its session.
///
/// After every record, [`Projection::messages`] is a history that every provider accepts:
///
/// - it begins with a user message, and what a cut journal holds before one is dropped;
/// - user and assistant alternate: a run that ended without an answer gets a constant one, and so do the
///   results of tools before a message of the user;
/// - a message with tool calls is followed by one result for each, in the order of the calls:
///   missing ones are [`crate::ToolOutcome::Interrupted`], others are dropped;
/// - ids of calls are unique and, like names and arguments, of a form that all providers take;
/// - no text is blank;
/// - a [`Record::Summary`] that comes before all other records is one user message with the first
///   question; anywhere else it is ignored, for what it stands for is there.
///
/// ```text
/// Summarized ────────────┐
///           user         ▼       assistant
/// Idle ──────────────▶ Asked ──────────────▶ Answered
///   ▲                  │   ▲                     │
///   │          calls   ▼   │ all results         │
///   │                 Calling                    │
///   └──────────────── final, from these three ───┘
/// ```
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// Whether any record came: only the first can be a summary.
    begun: bool,
    /// Of all messages: a long history is asked for it with each turn.
    bytes: usize,
    messages: Vec<Arc<Message>>,
    names: CallNames,
    state: State,
}

/// What the newest message waits for.
#[derive(Clone, Debug, Default)]
enum State {
    /// The assistant spoke and called nothing.
    Answered,
    /// The newest message is a question, or the results of tools.
    Asked,
    /// The assistant called tools, and not all results are there.
    Calling(OpenCalls),
    /// No run goes on: only a question begins one.
    #[default]
    Idle,
    /// The only message is a summary, which is one with the question to come.
    Summarized,
}

impl Projection {
    /// Adds the next record of the journal.
    pub fn push(&mut self, record: &Record) {
        let first = !std::mem::replace(&mut self.begun, true);
        match record {
            Record::AssistantMessage(message) => self.push_assistant(message),
            Record::Final { status, error: _ } => self.end_run(*status),
            Record::Notices { notices } => self.notice(notices),
            Record::Summary { text, .. } => {
                if first {
                    self.add(Message::User { text: summarized(text) });
                    self.state = State::Summarized;
                }
            }
            Record::Steered { run: _, text } => self.steer(text),
            Record::ToolResult(result) => {
                if let State::Calling(calls) = &mut self.state
                    && calls.answer(result)
                {
                    self.settle_calls();
                }
            }
            Record::UserMessage { text } => {
                // No run begins before the last one has ended: that one crashed.
                self.end_run(RunStatus::Interrupted);
                let text = if is_blank(text) { BLANK_QUESTION } else { text };
                match self.state {
                    State::Summarized => self.extend_last(text),
                    State::Answered | State::Asked | State::Calling(_) | State::Idle => {
                        self.add(Message::User { text: text.to_owned() });
                    }
                }
                self.state = State::Asked;
            }
        }
    }

    /// Returns the history, as it is if nothing more happens. The messages are shared.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        let mut messages = Vec::with_capacity(self.messages.len().saturating_add(1));
        messages.extend(self.messages.iter().cloned());
        if let State::Calling(calls) = &self.state {
            messages.push(Arc::new(Message::Tool { results: calls.clone().into_results() }));
        }
        messages
    }

    /// Returns the history, as it is if nothing more happens.
    pub fn into_messages(mut self) -> Vec<Arc<Message>> {
        self.settle_calls();
        self.messages
    }

    /// Returns how many messages it holds, without the results of calls that are not all there.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns how many bytes of text it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what [`crate::window`] shows of [`Self::messages`]; where all of it fits, without looking at each.
    pub fn shown(&self, limits: &WindowLimits) -> Vec<Arc<Message>> {
        let messages = self.messages();
        let open: usize =
            messages.get(self.messages.len()..).into_iter().flatten().map(|it| it.bytes()).sum();
        let fits = self.bytes.saturating_add(open) <= limits.max_bytes
            && messages.len() <= limits.max_messages;
        if fits { messages } else { crate::window(&messages, limits) }
    }

    /// Forgets what [`crate::window`] with these limits, or with smaller ones, never shows again.
    ///
    /// A cache that calls this now and then stays bounded, however long the conversation is.
    pub fn trim(&mut self, limits: &WindowLimits) {
        let start = crate::window::start(&self.messages, limits);
        if start > 0 {
            for message in self.messages.drain(..start.min(self.messages.len())) {
                self.bytes = self.bytes.saturating_sub(message.bytes());
            }
            self.names.keep(&self.messages);
        }
    }

    /// Adds what a run was told between two of its steps, to what the model is to answer anyway: some
    /// providers take no question between the results of tools and the answer. Nothing of a run whose
    /// beginning is not shown.
    fn notice(&mut self, notices: &[Notice]) {
        self.settle_calls();
        let told = Notice::told(notices);
        match self.state {
            State::Idle | State::Summarized => {}
            State::Asked => self.extend_last(&told),
            State::Answered | State::Calling(_) => {
                self.add(Message::User { text: told });
                self.state = State::Asked;
            }
        }
    }

    /// Adds what the user said while a run was at work: as a message of the user, so that nothing a tool
    /// returns can pass for it. Nothing of a run whose beginning is not shown.
    fn steer(&mut self, text: &str) {
        self.settle_calls();
        let text = if is_blank(text) { BLANK_QUESTION } else { text };
        let is_question =
            matches!(self.messages.last().map(|it| &**it), Some(Message::User { .. }));
        match self.state {
            State::Idle | State::Summarized => return,
            State::Asked if is_question => return self.extend_last(text),
            State::Asked => {
                let text = STEERED.to_owned();
                self.add(Message::Assistant { text, tool_calls: Vec::new() });
            }
            State::Answered | State::Calling(_) => {}
        }
        self.add(Message::User { text: text.to_owned() });
        self.state = State::Asked;
    }

    /// Adds a paragraph to the newest message.
    fn extend_last(&mut self, paragraph: &str) {
        let before = self.last_bytes();
        self.append_to_last(paragraph);
        self.recount_last(before);
    }

    fn append_to_last(&mut self, paragraph: &str) {
        let Some(last) = self.messages.last_mut() else { return };
        let text = match Arc::make_mut(last) {
            Message::Assistant { text, .. } | Message::User { text } => text,
            Message::Tool { results } => match results.last_mut() {
                Some(result) => &mut result.content,
                None => return,
            },
        };
        text.push_str("\n\n");
        text.push_str(paragraph);
    }

    fn push_assistant(&mut self, message: &AssistantMessage) {
        if is_blank(&message.text) && message.tool_calls.is_empty() {
            return;
        }
        self.settle_calls();
        if matches!(self.state, State::Idle | State::Summarized) {
            return;
        }
        let text = if is_blank(&message.text) { "" } else { &message.text };
        let (tool_calls, open) = self.names.open(&message.tool_calls);
        let bytes_before = self.last_bytes();
        match self.said_last() {
            Some((before, before_calls)) => {
                if !text.is_empty() {
                    before.push_str("\n\n");
                    before.push_str(text);
                }
                *before_calls = tool_calls;
                self.recount_last(bytes_before);
            }
            None => self.add(Message::Assistant { text: text.to_owned(), tool_calls }),
        }
        self.state = open.map_or(State::Answered, State::Calling);
    }

    /// Returns the newest message if the assistant said it and called nothing.
    fn said_last(&mut self) -> Option<(&mut String, &mut Vec<ToolCall>)> {
        match self.state {
            State::Answered => {}
            State::Asked | State::Calling(_) | State::Idle | State::Summarized => return None,
        }
        match Arc::make_mut(self.messages.last_mut()?) {
            Message::Assistant { text, tool_calls } => Some((text, tool_calls)),
            Message::Tool { .. } | Message::User { .. } => None,
        }
    }

    /// Answers the calls that have no result, if the assistant waits for any.
    fn settle_calls(&mut self) {
        match std::mem::take(&mut self.state) {
            State::Calling(calls) => {
                self.add(Message::Tool { results: calls.into_results() });
                self.state = State::Asked;
            }
            settled @ (State::Answered | State::Asked | State::Idle | State::Summarized) => {
                self.state = settled;
            }
        }
    }

    /// Ends the run that goes on, if one does, with an answer.
    fn end_run(&mut self, status: RunStatus) {
        self.settle_calls();
        match std::mem::take(&mut self.state) {
            State::Answered | State::Calling(_) | State::Idle => {}
            State::Summarized => self.state = State::Summarized,
            State::Asked => {
                let text = unanswered(status).to_owned();
                self.add(Message::Assistant { text, tool_calls: Vec::new() });
            }
        }
    }

    fn last_bytes(&self) -> usize {
        self.messages.last().map_or(0, |message| message.bytes())
    }

    /// Counts the newest message anew, which had so many bytes before it was changed.
    fn recount_last(&mut self, before: usize) {
        self.bytes = self.bytes.saturating_sub(before).saturating_add(self.last_bytes());
    }

    fn add(&mut self, message: Message) {
        self.bytes = self.bytes.saturating_add(message.bytes());
        self.messages.push(Arc::new(message));
    }
}

/// Returns a summary in the words in which a model is told it.
pub(crate) fn summarized(text: &str) -> String {
    [SUMMARY_BEGIN, text, SUMMARY_END].concat()
}

/// What stands for the answer of a run that gave none.
fn unanswered(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Aborted => "[This run was stopped before it answered.]",
        RunStatus::Error => "[This run failed before it answered.]",
        RunStatus::Ok => "[This run ended without an answer.]",
        RunStatus::Timeout => "[This run ran out of time before it answered.]",
        // The end of a run is never one of the latter two; a journal that says so is no worse
        // than one that says nothing.
        RunStatus::Interrupted | RunStatus::Queued | RunStatus::Running => {
            "[This run was interrupted before it answered.]"
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
