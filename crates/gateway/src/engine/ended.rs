//! How a turn came to its end, and what that makes of its run.

use openclaw_agents::TurnOutcome;
use openclaw_sessions::{AssistantMessage, RunStatus, Running, Terminal, Usage};
use openclaw_store::RunView;

use super::Engine;
use super::live::{Live, Stop};

/// How a run came to its end.
pub(super) struct Ended {
    pub(super) answer: Option<AssistantMessage>,
    pub(super) error: String,
    pub(super) status: RunStatus,
    pub(super) usage: Usage,
}

impl Ended {
    pub(super) fn failed(error: String) -> Self {
        Self { answer: None, error, status: RunStatus::Error, usage: Usage::default() }
    }

    pub(super) fn of(outcome: TurnOutcome, stopped: Option<Stop>) -> Self {
        let said = |text: String| {
            (!text.is_empty()).then(|| AssistantMessage { text, ..AssistantMessage::default() })
        };
        match outcome {
            TurnOutcome::Answer { message, usage } => {
                Self { answer: Some(message), error: String::new(), status: RunStatus::Ok, usage }
            }
            TurnOutcome::Cancelled { text, usage } => {
                let (status, error) = match stopped {
                    Some(Stop::Abort) | None => (RunStatus::Aborted, "aborted"),
                    Some(Stop::GrantEnded) => {
                        (RunStatus::Aborted, "the grant that the run rests on has ended")
                    }
                    Some(Stop::Aside | Stop::Drain | Stop::Leave) => {
                        (RunStatus::Interrupted, "the gateway stopped while the run was at work")
                    }
                    Some(Stop::TimeOut) => (RunStatus::Timeout, "the run's time was up"),
                };
                Self { answer: said(text), error: error.into(), status, usage }
            }
            TurnOutcome::Failed { error, text, usage } => {
                let error = format!("{}: {error}", error.name());
                Self { answer: said(text), error, status: RunStatus::Error, usage }
            }
            // Whoever drives the turn goes on from there as long as it has steps left.
            TurnOutcome::Outgrown { steps: max_steps, usage }
            | TurnOutcome::StepLimit { max_steps, usage } => {
                let error = format!("the model still wanted tools after {max_steps} steps");
                Self { usage, ..Self::failed(error) }
            }
            TurnOutcome::Storage { error, usage } => {
                Self { usage, ..Self::failed(error.to_string()) }
            }
        }
    }

    pub(super) fn terminal(&self, running: Running) -> Terminal {
        match self.status {
            RunStatus::Aborted => running.abort(),
            RunStatus::Ok => running.finish(),
            RunStatus::Interrupted => running.interrupt(),
            RunStatus::Timeout => running.time_out(),
            RunStatus::Error | RunStatus::Queued | RunStatus::Running => running.fail(),
        }
    }
}

impl Engine {
    /// Returns a run that has ended with what was decided in that step about its answer, if it is to leave.
    pub(super) fn as_told(&self, live: &Live, view: RunView) -> RunView {
        if view.reply_to.is_empty() {
            return view;
        }
        let view = self.stored(live).unwrap_or(view);
        if !view.withheld.is_empty() {
            let RunView { run, session, withheld, .. } = &view;
            tracing::info!(run.id = %run, %session, reason = withheld, "an answer did not leave");
        }
        view
    }
}
