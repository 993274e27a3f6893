//! One turn of an agent: the model answers, its tools are run, until it answers without a tool.

mod run;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_scopes::method::InvokeTool;
use openclaw_scopes::{Authorized, ToolTarget};
use openclaw_sessions::{AssistantMessage, Message, Record, ToolOutcome, Usage};
use tokio_util::sync::CancellationToken;

use crate::model::{Model, ModelError};
use crate::pictures::Album;
use crate::tool::Toolbox;
use crate::tools::YieldFlag;

pub use run::run_turn;

/// What a turn works with.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The model, usually a [`crate::ModelChain`].
    pub model: &'a dyn Model,
    /// The tools that the agent has.
    pub toolbox: &'a Toolbox,
    /// The system prompt.
    pub system: Arc<str>,
    /// The conversation so far, the message to be answered included.
    pub history: Vec<Arc<Message>>,
    /// Where the pictures are found that its messages name, if they are shown.
    pub album: Option<Arc<Album>>,
    /// The bounds of the turn.
    pub limits: TurnLimits,
    /// Ends the turn as soon as it is cancelled: an abort, a time-out or a drain.
    pub cancel: CancellationToken,
    /// Ends the turn after the calls of a message, when one of them says so.
    pub yields: YieldFlag,
}

/// What a turn needs from the world. The consumer's ports: the gateway implements them.
#[derive(Clone, Copy, Debug)]
pub struct Ports<'a> {
    /// Where the turn writes what happened.
    pub journal: &'a dyn Journal,
    /// Who decides about each tool call.
    pub gate: &'a dyn ToolGate,
    /// Who watches the turn.
    pub sink: &'a dyn TurnSink,
}

/// The journal of the run's session, behind the run's fence.
pub trait Journal: Debug + Send + Sync {
    /// Appends the records. They are durable when it returns; all of them or none.
    fn append<'a>(&'a self, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>>;

    /// Takes what the run is to be told before its next step. It is in the journal when it returns.
    fn notices(&self) -> BoxFuture<'_, Result<Vec<Record>, JournalError>>;

    /// Whether the user has said something that the run is to take in: then no tool is begun before.
    fn is_steered(&self) -> bool;
}

/// Why the journal did not take a record.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JournalError {
    /// Another writer holds the session now; this run may write nothing any more.
    #[error("the run no longer holds its session")]
    Fenced,
    /// The store failed.
    #[error("the journal could not be written: {0}")]
    Storage(String),
}

/// Who decides about each tool call, anew for every one.
pub trait ToolGate: Debug + Send + Sync {
    /// Returns the witness that allows this call of this tool.
    fn admit<'a>(
        &'a self,
        target: ToolTarget,
    ) -> BoxFuture<'a, Result<Authorized<InvokeTool>, Refusal>>;
}

/// Why a tool call was refused, in words that the model may read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What is missing and what to do about it.
    pub text: String,
}

/// Who watches a turn.
pub trait TurnSink: Debug + Send + Sync {
    /// Takes one event, at once: it never waits for a reader, and rather drops the event.
    ///
    /// The returned answer of the turn is authoritative, so a reader loses nothing for good.
    fn emit(&self, event: TurnEvent);
}

/// What a watcher is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TurnEvent {
    /// A tool waits until somebody approves what it is to do.
    ApprovalNeeded {
        /// The approval.
        approval: String,
        /// What is to be done, for people.
        operation: String,
        /// The program that does it.
        program: String,
        /// Where.
        cwd: String,
    },
    /// An attempt failed and another is made; text since the last tool or start is void.
    ModelRetry {
        /// The failure's stable name.
        failure: &'static str,
        /// Which model is asked next, as `provider/model`.
        next: String,
        /// How long is waited before.
        delay: Duration,
    },
    /// More text of the model's current message.
    Text(String),
    /// A tool has ended.
    ToolFinished {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// Whether it did what was asked.
        outcome: ToolOutcome,
    },
    /// A tool is about to run.
    ToolStarted {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
    },
}

/// The bounds of one turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TurnLimits {
    /// The most messages of the model. Reason: a model in a loop must not spend for ever.
    pub max_steps: u32,
    /// The most calls in one message that are run. Reason: one message must not flood the machine.
    pub max_tool_calls: usize,
    /// The most bytes of one tool's result. Reason: a result must not fill the model's context.
    pub max_result_bytes: usize,
    /// The most bytes of one message's text. Reason: it is kept in memory and in the journal.
    pub max_answer_bytes: usize,
    /// The most tokens of one message, if the agent's configuration says so.
    pub max_output_tokens: Option<u32>,
    /// The most bytes of the history with which the model is asked again after its first message; `None` for as
    /// many as there are. Reason: what tools return must not fill the model's context unseen.
    pub max_history_bytes: Option<usize>,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            max_answer_bytes: 1024 * 1024,
            max_output_tokens: None,
            max_history_bytes: None,
            max_result_bytes: 64 * 1024,
            max_steps: 64,
            max_tool_calls: 32,
        }
    }
}

/// How a turn ended. `usage` is the sum over all messages of the turn that finished.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TurnOutcome {
    /// The model answered. The message is **not** in the journal: the caller writes it with the
    /// final record, in one transaction.
    Answer {
        /// The last message of the turn; it calls no tools.
        message: AssistantMessage,
        /// What the turn cost.
        usage: Usage,
    },
    /// The turn was cancelled.
    Cancelled {
        /// What the model had said of the unfinished message; it is not in the journal.
        text: String,
        /// What the turn cost.
        usage: Usage,
    },
    /// The model failed, and so did every fallback.
    Failed {
        /// How the last one failed.
        error: ModelError,
        /// What the model had said of the unfinished message; it is not in the journal.
        text: String,
        /// What the turn cost.
        usage: Usage,
    },
    /// The history has outgrown [`TurnLimits::max_history_bytes`]. What the turn said and did is in the journal, and
    /// with a shorter history another turn goes on from there.
    Outgrown {
        /// How many messages of the model it had.
        steps: u32,
        /// What the turn cost.
        usage: Usage,
    },
    /// The model still wanted tools after the last step that it may have.
    StepLimit {
        /// The limit.
        max_steps: u32,
        /// What the turn cost.
        usage: Usage,
    },
    /// The journal failed. The model is not to blame, and it is not asked again.
    Storage {
        /// How the journal failed.
        error: JournalError,
        /// What the turn cost.
        usage: Usage,
    },
}

impl TurnOutcome {
    /// Returns what the turn cost.
    pub const fn usage(&self) -> Usage {
        let (Self::Answer { usage, .. }
        | Self::Cancelled { usage, .. }
        | Self::Failed { usage, .. }
        | Self::Outgrown { usage, .. }
        | Self::StepLimit { usage, .. }
        | Self::Storage { usage, .. }) = self;
        *usage
    }

    /// Returns the same of a turn that cost something before.
    #[must_use]
    pub fn after(mut self, before: Usage) -> Self {
        let all = self.usage().plus(before);
        let (Self::Answer { usage, .. }
        | Self::Cancelled { usage, .. }
        | Self::Failed { usage, .. }
        | Self::Outgrown { usage, .. }
        | Self::StepLimit { usage, .. }
        | Self::Storage { usage, .. }) = &mut self;
        *usage = all;
        self
    }
}

#[cfg(test)]
mod tests;
