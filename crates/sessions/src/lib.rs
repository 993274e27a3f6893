//! Conversations as data: keys, the life of a run, the journal and what a model is shown of it.
//!
//! | Module | Decides |
//! | --- | --- |
//! | `key` | which session a text names, and of what kind it is |
//! | `route` | which agent answers, and in which session |
//! | `run`, `fence` | where a run may go from where it is, and who may still write for it |
//! | `lane` | which run is next |
//! | `record` | what a run leaves in the journal of its session |
//! | `project`, `message`, `window` | what a model is shown of a journal |
//! | `poll` | what can be asked on a platform that takes votes |
//! | `attachment` | how a message names what came with it |
//! | `send` | whether what is said in a session may leave |
//! | `compact` | when a summary stands for the older part of it, and for which |
//!
//! **Invariant:** no I/O, no clock, no randomness, no async: time is an argument.
//!
//! **Invariant:** a key that [`resolve_key`] returned resolves to itself, and a malformed key
//! resolves to nothing; no agent is assumed where none is named or chosen.
//!
//! **Invariant:** a key that [`route`] makes of a message reads back as the conversation it was made
//! of, and the agent is one that a binding or the fallback names.
//!
//! **Invariant:** an ended run accepts no event, and every run that was queued can end.
//!
//! **Invariant:** [`Lanes`] never runs two runs of one session, and holds nothing of a run that
//! has ended.
//!
//! **Invariant:** what [`project`] and [`window`] return is accepted by every provider dialect,
//! whatever records they are given.
//!
//! **Invariant:** a history that was compacted as [`plan_compaction`] says is within its budget and
//! has fewer tokens than before, and nothing that was kept of it has changed.

mod attachment;
mod compact;
mod fence;
mod key;
mod lane;
mod message;
mod poll;
mod project;
mod queue;
mod record;
mod route;
mod run;
mod send;
mod window;

pub use attachment::{
    DIGEST_DIGITS, FileType, INBOUND, is_kept_name, kept_line, missed_line, pictures, said,
};
pub use compact::{
    CompactError, CompactLimits, CompactPlan, CompactTrigger, KEEP_RECENT, KEEP_TURNS,
    SUMMARY_PROMPT, SummaryError, accept_summary, plan_compaction,
};
pub use fence::Fence;
pub use key::{
    ChatType, KeyClass, KeyError, ParsedKey, Route, agent_of, classify, is_main, is_passing,
    resolve_key,
};
pub use lane::{
    BACKGROUND, DEFAULT_SUBAGENTS, EnqueueError, LaneClass, LaneLimits, Lanes, MAX_WAITING,
    MAX_WAITING_PER_SESSION, Removed, Turn, default_concurrency,
};
pub use message::{HEARTBEAT_OK, Message, NO_REPLY, heartbeat_alert, is_silent};
pub use poll::{Ballot, Choice, Poll, PollDraft, PollError, PollLimits};
pub use project::{Projection, project};
pub use queue::{Dropped, QueueMode, collected};
pub use record::{
    AssistantMessage, Notice, NoticeKind, RESUMED, Record, SKIPPED, STEERED, ToolCall, ToolOutcome,
    ToolResult, Usage,
};
pub use route::{
    AccountPattern, Binding, DEFAULT_ACCOUNT, DmScope, Event, GroupScope, Match, MatchedBy, Origin,
    OriginPart, Owners, Peer, PeerPattern, ReplyTarget, RouteError, Routed, Routes, route,
};
pub use run::{
    ParseStatusError, Queued, Run, RunEvent, RunStatus, Running, Terminal, TransitionError,
};
pub use send::{SendPlace, SendPolicy, SendRule, SendRules};
pub use window::{MAX_BYTES, MAX_MESSAGES, WindowLimits, estimate_tokens, window};
