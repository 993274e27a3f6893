//! Conversations as data: keys, the life of a run, the journal and what a model is shown of it.

mod record;
mod run;

pub use record::{AssistantMessage, Record, ToolCall, ToolOutcome, ToolResult, Usage};
pub use run::RunStatus;
