//! One turn of an agent, shown while it happens.

use std::time::Duration;

use openclaw_client::v1::run_event::Event;
use openclaw_client::v1::{
    AbortRunRequest, ApprovalNeeded, Run, RunEvent, RunStatus, StartRunRequest, Usage,
};
use openclaw_client::{CallError, Client, Origin};
use serde::Serialize;
use tokio::signal::unix::Signal;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::json;
use crate::output::{Output, Sink};

/// How long an interrupted run may take to come to its end.
const ABORT: Duration = Duration::from_secs(5);

/// How to show a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum View {
    /// The answer as text.
    Answer,
    /// One JSON object at the end.
    Document,
    /// Each event as one line of JSON.
    Events,
}

/// Runs a turn; an interrupt ends it, and the program with it.
pub(crate) async fn run(
    client: &Client,
    request: StartRunRequest,
    view: View,
    interrupts: &mut Signal,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let run_id = request.idempotency_key.clone();
    let turn = async {
        let run = follow(client, request, view, output).await?;
        end(&run, view, output)
    };
    tokio::pin!(turn);
    tokio::select! {
        exit = &mut turn => return exit,
        _ = interrupts.recv() => {}
    }
    let aborted = async {
        // A run that is not there, or has ended, is what was asked for.
        drop(client.runs().abort(AbortRunRequest { run_id }).await);
        drop((&mut turn).await);
    };
    tokio::select! {
        _ = tokio::time::timeout(ABORT, aborted) => {}
        _ = interrupts.recv() => {}
    }
    Ok(Exit::Interrupted)
}

/// Starts the run and shows its events; returns the run as it ended.
async fn follow(
    client: &Client,
    request: StartRunRequest,
    view: View,
    output: &mut Output,
) -> Result<Run, Failure> {
    let run_id = request.idempotency_key.clone();
    let mut events = client.runs().start(request).await?.into_inner();
    let mut shown = Shown::default();
    loop {
        let event = match events.message().await {
            Ok(Some(event)) => event,
            Ok(None) => return Err(cut_off("the answer ended before the run", &run_id)),
            Err(status) => {
                let error = CallError::from(status);
                return Err(match error.origin() {
                    Origin::Gateway => error.into(),
                    Origin::Transport => cut_off("the connection to the gateway broke", &run_id),
                });
            }
        };
        match view {
            View::Answer => shown.on_event(&event, output)?,
            View::Document => {}
            View::Events => {
                let line = output.json_line(&event)?;
                output.bytes(line.as_bytes())?;
            }
        }
        if let Some(Event::Final(run)) = event.event {
            return Ok(run);
        }
    }
}

fn cut_off(cause: &str, run_id: &str) -> Failure {
    let cause = format!("{cause}; run `{run_id}` may still be at work");
    Failure::advised(Exit::Unreachable, cause, format!("openclaw runs wait {run_id}"))
}

/// What a terminal shows of an answer so far.
#[derive(Debug, Default)]
struct Shown {
    /// Whether text stands in the line that the cursor is in.
    open_line: bool,
    /// Whether any text of an answer was shown.
    any: bool,
}

impl Shown {
    fn on_event(&mut self, event: &RunEvent, output: &mut Output) -> Result<(), Failure> {
        let is_live = output.out_sink() == Sink::Terminal;
        match &event.event {
            // A program gets the whole answer at the end: what is void by then never reaches it.
            Some(Event::Text(delta)) if is_live && !delta.text.is_empty() => {
                output.text(&delta.text)?;
                (self.open_line, self.any) = (!delta.text.ends_with('\n'), true);
            }
            Some(Event::ToolStarted(tool)) => self.step(&format!("  {} …", tool.name), output)?,
            Some(Event::ToolFinished(tool)) => {
                self.step(&format!("  {}: {}", tool.name, tool.outcome), output)?;
            }
            Some(Event::ApprovalNeeded(needed)) => {
                let ApprovalNeeded { id, operation, program, cwd } = needed;
                // Told in every case: it stands still until somebody does something.
                self.close(output)?;
                output.note(&format!("  waits for an approval: {operation}"))?;
                output.note(&format!("    program {program}, in {cwd}"))?;
                output.note(&format!("    openclaw approvals approve {id}"))?;
            }
            Some(Event::Retry(retry)) => {
                let void = if self.any { "; what it said so far is void" } else { "" };
                let step = format!("  {}, asking {} again{void}", retry.reason, retry.model);
                self.step(&step, output)?;
                self.any = false;
            }
            Some(Event::Final(run)) => {
                self.close(output)?;
                // What a failed attempt left is for people to look at, not for programs to take.
                let is_wanted = is_live || run.status() == RunStatus::Ok;
                if !self.any && is_wanted && !run.text.is_empty() {
                    output.block(&run.text)?;
                }
            }
            Some(Event::Accepted(_) | Event::Text(_)) | None => {}
        }
        Ok(())
    }

    /// Shows progress, where a person looks.
    fn step(&mut self, text: &str, output: &mut Output) -> Result<(), Failure> {
        if output.err_sink() == Sink::Terminal {
            self.close(output)?;
            output.note(text)?;
        }
        Ok(())
    }

    fn close(&mut self, output: &mut Output) -> Result<(), Failure> {
        if self.open_line {
            output.text("\n")?;
        }
        self.open_line = false;
        Ok(())
    }
}

/// A run that ended, as `agent --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    run_id: &'a str,
    session_key: &'a str,
    status: String,
    text: &'a str,
    usage: Tokens,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let Usage { input_tokens, output_tokens, cached_tokens } = usage;
        Self { input_tokens, output_tokens, cached_tokens }
    }
}

/// Returns the word for where a run is in its life.
pub(crate) fn status_word(status: RunStatus) -> String {
    json::word(status.as_str_name(), "RUN_STATUS_")
}

fn end(run: &Run, view: View, output: &mut Output) -> Result<Exit, Failure> {
    if view == View::Document {
        output.document(&Document {
            run_id: &run.run_id,
            session_key: &run.session_key,
            status: status_word(run.status()),
            text: &run.text,
            usage: run.usage.unwrap_or_default().into(),
        })?;
    }
    verdict(run)
}

/// Returns how the program ends after a run that ended.
pub(crate) fn verdict(run: &Run) -> Result<Exit, Failure> {
    let word = match run.status() {
        RunStatus::Ok => return Ok(Exit::Ok),
        RunStatus::Unspecified | RunStatus::Queued | RunStatus::Running => "has not ended",
        RunStatus::Error => "failed",
        RunStatus::Timeout => "took too long",
        RunStatus::Aborted => "was aborted",
        RunStatus::Interrupted => "was interrupted when the gateway stopped",
    };
    let colon = if run.error.is_empty() { "" } else { ": " };
    let cause = format!("run `{}` {word}{colon}{}", run.run_id, run.error);
    let next = format!("openclaw sessions history {}", run.session_key);
    Err(Failure::advised(Exit::Failed, cause, next))
}

#[cfg(test)]
mod tests;
