//! The loop of a turn, step by step.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openclaw_sessions::{
    AssistantMessage, Message, Notice, Record, SKIPPED, STEERED, ToolCall, ToolOutcome, ToolResult,
    Usage,
};

use super::{JournalError, Ports, Turn, TurnEvent, TurnOutcome};
use crate::model::{ModelError, ModelEvent, ModelRequest};
use crate::pictures::{Input, Pictures};

/// The time that a tool has to end by itself after the turn was cancelled.
///
/// Reason: a command's children are killed in it; whoever aborts waits for no more than this.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Runs one turn to its end.
///
/// Every message of the model that calls tools, and every result, is in the journal before the next
/// step begins. The last message is not: it is returned, for the caller to write it together with
/// the final record.
pub async fn run_turn(turn: Turn<'_>, ports: Ports<'_>) -> TurnOutcome {
    let mut run = Running { ports, turn, usage: Usage::default() };
    for step in 0..run.turn.limits.max_steps {
        if let Err(outcome) = run.told().await {
            return outcome;
        }
        if step > 0 && run.has_outgrown() {
            return TurnOutcome::Outgrown { steps: step, usage: run.usage };
        }
        let message = match run.ask().await {
            Ok(message) => message,
            Err(outcome) => return outcome,
        };
        run.usage = run.usage.plus(message.usage);
        if message.tool_calls.is_empty() {
            return TurnOutcome::Answer { message, usage: run.usage };
        }
        if let Err(outcome) = run.call_tools(message).await {
            return outcome;
        }
        if let Some(text) = run.turn.yields.answer() {
            let text = text.to_owned();
            if !text.is_empty() {
                run.ports.sink.emit(TurnEvent::Text(text.clone()));
            }
            let message = AssistantMessage { text, ..Default::default() };
            return TurnOutcome::Answer { message, usage: run.usage };
        }
    }
    TurnOutcome::StepLimit { max_steps: run.turn.limits.max_steps, usage: run.usage }
}

struct Running<'a> {
    turn: Turn<'a>,
    ports: Ports<'a>,
    usage: Usage,
}

impl Running<'_> {
    /// Whether the history is longer than the model is to be shown.
    fn has_outgrown(&self) -> bool {
        let bytes = self.turn.history.iter().map(|message| message.bytes());
        let bytes = bytes.fold(0, usize::saturating_add);
        self.turn.limits.max_history_bytes.is_some_and(|most| bytes > most)
    }

    /// Asks the model once, and returns its whole message.
    async fn ask(&self) -> Result<AssistantMessage, TurnOutcome> {
        let mut text = String::new();
        if self.turn.cancel.is_cancelled() {
            return Err(TurnOutcome::Cancelled { text, usage: self.usage });
        }
        let pictures = match (&self.turn.album, self.turn.model.input()) {
            (Some(album), Input::Pictures) => album.of(&self.turn.history).await,
            (Some(_), Input::TextOnly) | (None, _) => Pictures::default(),
        };
        let mut answer = self.turn.model.respond(ModelRequest {
            attempt: 0,
            pictures,
            max_output_tokens: self.turn.limits.max_output_tokens,
            messages: self.turn.history.clone(),
            system: Arc::clone(&self.turn.system),
            tools: self.turn.toolbox.specs(),
        });
        loop {
            let event = tokio::select! {
                biased;
                () = self.turn.cancel.cancelled() => {
                    return Err(TurnOutcome::Cancelled { text, usage: self.usage });
                }
                event = answer.next() => event,
            };
            let error = match event {
                Some(Ok(ModelEvent::Finished(message))) => {
                    if message.text.len() <= self.turn.limits.max_answer_bytes {
                        return Ok(message);
                    }
                    ModelError::protocol("the answer is longer than a turn may keep")
                }
                Some(Ok(ModelEvent::Retrying(retry))) => {
                    text.clear();
                    self.ports.sink.emit(TurnEvent::ModelRetry {
                        delay: retry.delay,
                        failure: retry.error.name(),
                        next: retry.next,
                    });
                    continue;
                }
                Some(Ok(ModelEvent::Text(piece))) => {
                    if text.len().saturating_add(piece.len()) <= self.turn.limits.max_answer_bytes {
                        text.push_str(&piece);
                        self.ports.sink.emit(TurnEvent::Text(piece));
                        continue;
                    }
                    ModelError::protocol("the answer is longer than a turn may keep")
                }
                Some(Ok(ModelEvent::ToolCallStarted { .. })) => continue,
                Some(Err(error)) => error,
                None => ModelError::network("the stream ended before its final marker"),
            };
            return Err(TurnOutcome::Failed { error, text, usage: self.usage });
        }
    }

    /// Adds what the run is to be told, as the journal's projection does.
    async fn told(&mut self) -> Result<(), TurnOutcome> {
        let records = self.ports.journal.notices().await;
        let records = records.map_err(|error| TurnOutcome::Storage { error, usage: self.usage })?;
        for record in records {
            match record {
                Record::Notices { notices } => {
                    tell(&mut self.turn.history, &Notice::told(&notices));
                }
                Record::Steered { run: _, text } => steer(&mut self.turn.history, text),
                Record::AssistantMessage(_)
                | Record::Final { .. }
                | Record::Summary { .. }
                | Record::ToolResult(_)
                | Record::UserMessage { .. } => {}
            }
        }
        Ok(())
    }

    /// Journals the message, runs its tools in their order and journals each result.
    async fn call_tools(&mut self, message: AssistantMessage) -> Result<(), TurnOutcome> {
        self.append(Record::AssistantMessage(message.clone())).await?;
        let AssistantMessage { text, tool_calls, .. } = message;
        let mut results = Vec::with_capacity(tool_calls.len());
        let max = self.turn.limits.max_tool_calls;
        for call in tool_calls.iter().take(max) {
            if self.turn.cancel.is_cancelled() {
                return Err(self.cancelled());
            }
            // What the user said since may make the rest pointless, or wrong.
            if self.ports.journal.is_steered() {
                let result = ToolResult {
                    call_id: call.id.clone(),
                    content: SKIPPED.to_owned(),
                    name: call.name.clone(),
                    outcome: ToolOutcome::Skipped,
                };
                self.append(Record::ToolResult(result.clone())).await?;
                results.push(result);
                continue;
            }
            self.ports
                .sink
                .emit(TurnEvent::ToolStarted { id: call.id.clone(), name: call.name.clone() });
            let (outcome, content) = self.call_tool(call).await.ok_or_else(|| self.cancelled())?;
            let result = ToolResult {
                call_id: call.id.clone(),
                content: truncated(content, self.turn.limits.max_result_bytes),
                name: call.name.clone(),
                outcome,
            };
            self.append(Record::ToolResult(result.clone())).await?;
            self.ports.sink.emit(TurnEvent::ToolFinished {
                id: call.id.clone(),
                name: call.name.clone(),
                outcome,
            });
            results.push(result);
        }
        // All at once: there may be very many, and nothing is done between them.
        let too_many: Vec<_> = tool_calls.iter().skip(max).map(|call| self.not_run(call)).collect();
        if !too_many.is_empty() {
            self.append_all(too_many.iter().cloned().map(Record::ToolResult).collect()).await?;
            results.extend(too_many);
        }
        self.turn.history.push(Arc::new(Message::Assistant { text, tool_calls }));
        self.turn.history.push(Arc::new(Message::Tool { results }));
        Ok(())
    }

    /// Has one call decided and run. Nothing if the turn was cancelled before its end was known.
    async fn call_tool(&self, call: &ToolCall) -> Option<(ToolOutcome, String)> {
        let cancel = &self.turn.cancel;
        let Some(target) = self.turn.toolbox.target(&call.name) else {
            let text = format!("there is no tool `{}` in this conversation", call.name);
            return Some((ToolOutcome::Error, text));
        };
        let admitted = tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            admitted = self.ports.gate.admit(target) => admitted,
        };
        let authorized = match admitted {
            Ok(authorized) => authorized,
            Err(refusal) => return Some((ToolOutcome::Error, refusal.text)),
        };
        let invoked = tokio::select! {
            biased;
            invoked = self.turn.toolbox.invoke(authorized, &call.arguments, cancel) => invoked,
            () = after_cancel(cancel) => return None,
        };
        match invoked {
            Ok(content) => Some((ToolOutcome::Ok, content)),
            // What a tool says after the turn was cancelled is no result of the call.
            Err(_) if cancel.is_cancelled() => None,
            Err(error) => Some((ToolOutcome::Error, error.to_string())),
        }
    }

    /// Tells watchers that a call was one too many; returns what stands for its result.
    fn not_run(&self, ToolCall { id, name, .. }: &ToolCall) -> ToolResult {
        let max = self.turn.limits.max_tool_calls;
        let (id, name, outcome) = (id.clone(), name.clone(), ToolOutcome::Error);
        let content = format!("not run: a message may have at most {max} tool calls");
        let content = truncated(content, self.turn.limits.max_result_bytes);
        self.ports.sink.emit(TurnEvent::ToolStarted { id: id.clone(), name: name.clone() });
        let (told, named) = (id.clone(), name.clone());
        self.ports.sink.emit(TurnEvent::ToolFinished { id: told, name: named, outcome });
        ToolResult { call_id: id, content, name, outcome }
    }

    async fn append(&self, record: Record) -> Result<(), TurnOutcome> {
        self.append_all(vec![record]).await
    }

    async fn append_all(&self, records: Vec<Record>) -> Result<(), TurnOutcome> {
        // Never dropped halfway: an append that was begun is waited for, cancelled or not.
        let appended: Result<(), JournalError> = self.ports.journal.append(records).await;
        appended.map_err(|error| TurnOutcome::Storage { error, usage: self.usage })
    }

    fn cancelled(&self) -> TurnOutcome {
        TurnOutcome::Cancelled { text: String::new(), usage: self.usage }
    }
}

/// Adds a text to what the model is to answer anyway: some providers take no question between the results
/// of tools and the answer.
fn tell(history: &mut Vec<Arc<Message>>, told: &str) {
    let text = match history.last_mut().map(Arc::make_mut) {
        Some(Message::User { text }) => text,
        Some(Message::Tool { results }) => match results.last_mut() {
            Some(result) => &mut result.content,
            None => return,
        },
        Some(Message::Assistant { .. }) | None => {
            history.push(Arc::new(Message::User { text: told.to_owned() }));
            return;
        }
    };
    text.push_str("\n\n");
    text.push_str(told);
}

/// Adds what the user said, as the journal's projection does.
fn steer(history: &mut Vec<Arc<Message>>, said: String) {
    match history.last_mut().map(Arc::make_mut) {
        Some(Message::User { text }) => {
            text.push_str("\n\n");
            text.push_str(&said);
            return;
        }
        Some(Message::Tool { .. }) => {
            let text = STEERED.to_owned();
            history.push(Arc::new(Message::Assistant { text, tool_calls: Vec::new() }));
        }
        Some(Message::Assistant { .. }) | None => {}
    }
    history.push(Arc::new(Message::User { text: said }));
}

async fn after_cancel(cancel: &tokio_util::sync::CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(CANCEL_GRACE).await;
}

/// Cuts a result that is too long, and says so at its end.
fn truncated(mut content: String, max: usize) -> String {
    if content.len() <= max {
        return content;
    }
    let whole = content.len();
    let mut end = max;
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    content.truncate(end);
    let written = write!(content, "\n[truncated: {end} of {whole} bytes are shown]");
    debug_assert!(written.is_ok(), "a string takes everything");
    content
}
