//! Conversations as data: keys, the life of a run, the journal and what a model is shown of it.

mod key;
mod record;
mod run;

pub use key::{
    ChatType, KeyClass, KeyError, ParsedKey, Route, agent_of, classify, is_main, resolve_key,
};
pub use record::{AssistantMessage, Record, ToolCall, ToolOutcome, ToolResult, Usage};
pub use run::RunStatus;
