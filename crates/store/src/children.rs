//! Delegation: runs that a conversation handed to others, and what it is told of them.

mod end;
mod inbox;
mod list;
mod send;
mod spawn;

use std::time::Duration;

use openclaw_scopes::{AgentId, CapabilitySet, RunId, SessionKey, Timestamp};

use crate::act::Failure;

pub use end::{CancelChild, Cancelled, EndedRun};
pub(crate) use end::{
    child_ended, child_ended_waiting, end_below, end_live, end_runs, hand_up, orphan, settle,
    settle_all, unread,
};
pub(crate) use inbox::of_heartbeat;
pub use inbox::{ContinueSession, Continued, DiscardChild, Due, Notice, RetryChild, TOLD};
pub(crate) use list::parent_of;
pub use list::{Child, ChildCursor, ChildFilter, ChildPage, GetChild, HandOver};
pub use send::SendToChild;
pub(crate) use spawn::delegated;
pub use spawn::{Delegated, SpawnChild};

/// Bytes of a sub-agent's answer that its parent is told at most (`runtime.md` §3.3 of the reference).
pub(crate) const MAX_RESULT: usize = 100 * 1024;
/// How long the conversation of a sub-agent is kept that nobody wanted removed. A week is enough to look
/// at what it did, and their number does not grow for ever.
const KEPT: Duration = Duration::from_hours(24 * 7);

/// What becomes of a sub-agent's conversation when its parent has been told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cleanup {
    /// It goes.
    Delete,
    /// It stays until its retention is over.
    Keep,
}

impl Cleanup {
    /// Returns the stored name, which is also the one that callers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Keep => "keep",
        }
    }

    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Delete, Self::Keep].into_iter().find(|cleanup| cleanup.name() == text)
    }
}

/// How far delegation may go. The numbers are the reference's (`runtime.md` §3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpawnLimits {
    /// Delegations above a sub-agent at most.
    pub depth: u32,
    /// Sub-agents of one conversation that may be at work or wait at once.
    pub children: u32,
}

/// What a sub-agent is given beside its task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// What people call it.
    pub label: String,
    /// The model that answers, as `provider/model`; empty for its agent's.
    pub model: String,
    /// What becomes of its conversation afterwards.
    pub cleanup: Cleanup,
    /// The tools that it may use.
    pub tools: Vec<String>,
    /// What it is capable of.
    pub capabilities: CapabilitySet,
    /// How many tokens one of its runs may use; `None` for as many as its agent's.
    pub max_tokens: Option<u64>,
    /// The agent that does the work.
    pub agent: AgentId,
    /// How long it may take; `None` for as long as it needs.
    pub timeout: Option<Duration>,
}

/// Why a delegation was not done, or not changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChildError {
    /// The conversation that delegates is archived.
    #[error("conversation `{0}` is archived")]
    Archived(SessionKey),
    /// The id names a sub-agent that was told of, and whose conversation is gone.
    #[error("run `{0}` was a sub-agent whose conversation is gone")]
    Gone(RunId),
    /// The id names another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// It has gone on by itself too often: nobody asked anything in between.
    #[error(
        "session `{session}` went on by itself {max} times, and nobody said anything; write to it first"
    )]
    Alone {
        /// The most that it may.
        max: u32,
        /// The conversation.
        session: SessionKey,
    },
    /// Nothing of it waits to be handed over, or could not be.
    #[error("run `{0}` has nothing that could not be handed over")]
    NothingToHandOver(RunId),
    /// The run that delegates works no more.
    #[error("run `{0}` does not work any more, and delegates nothing")]
    Superseded(RunId),
    /// It is too far below the first.
    #[error("a sub-agent may have {max} delegations above it, and this would be one more")]
    TooDeep {
        /// The most that there may be.
        max: u32,
    },
    /// Too many are at work.
    #[error("session `{parent}` has {max} sub-agents at work, as many as it may")]
    TooMany {
        /// The most that there may be.
        max: u32,
        /// The conversation that delegates.
        parent: SessionKey,
    },
    /// There is no such delegated run.
    #[error("no sub-agent `{0}`")]
    Unknown(String),
    /// There is no such conversation.
    #[error("no conversation `{0}`")]
    UnknownParent(SessionKey),
}

impl Failure for ChildError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Archived(_) => "archived",
            Self::Alone { .. } => "alone",
            Self::Gone(_) => "gone",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::NothingToHandOver(_) => "nothing-to-hand-over",
            Self::Superseded(_) => "superseded",
            Self::TooDeep { .. } => "too-deep",
            Self::TooMany { .. } => "too-many-children",
            Self::Unknown(_) => "unknown-child",
            Self::UnknownParent(_) => "unknown-session",
        }
    }
}

/// Cuts a text to a number of bytes, between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

/// An instant as it is stored, or nothing.
fn instant(at: Option<i64>) -> Option<Timestamp> {
    at.map(Timestamp::from_millis)
}
