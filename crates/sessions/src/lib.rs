//! Conversations as data: keys, the life of a run, the journal and what a model is shown of it.

mod fence;
mod key;
mod lane;
mod record;
mod run;

pub use fence::Fence;
pub use key::{
    ChatType, KeyClass, KeyError, ParsedKey, Route, agent_of, classify, is_main, resolve_key,
};
pub use lane::{
    EnqueueError, LaneLimits, Lanes, MAX_WAITING, MAX_WAITING_PER_SESSION, Removed, Turn,
    default_concurrency,
};
pub use record::{AssistantMessage, Record, ToolCall, ToolOutcome, ToolResult, Usage};
pub use run::{
    ParseStatusError, Queued, Run, RunEvent, RunStatus, Running, Terminal, TransitionError,
};
