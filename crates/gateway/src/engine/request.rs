//! What is asked of the engine, and why it is not accepted.

use std::time::Duration;

use openclaw_scopes::{AgentId, RunId, SessionKey};
use openclaw_sessions::{Dropped, EnqueueError, QueueMode};
use openclaw_store::{ActError, RunError};

use super::hold::Hold;

/// Why a run was not accepted.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The decision, the request or the storage said no.
    Act(ActError<RunError>),
    /// The gateway is stopping.
    Draining,
    /// Too many runs wait.
    Full(EnqueueError),
    /// There is no such agent.
    UnknownAgent(AgentId),
}

impl From<ActError<RunError>> for StartError {
    fn from(error: ActError<RunError>) -> Self {
        Self::Act(error)
    }
}

/// A request to run an agent's turn.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) run: RunId,
    pub(crate) digest: [u8; 32],
    pub(crate) session: SessionKey,
    pub(crate) agent: AgentId,
    pub(crate) message: String,
    pub(crate) limit: Limit,
    /// Where the answer goes, as it is stored.
    pub(crate) reply_to: String,
    /// What becomes of it when its conversation is busy.
    pub(crate) queue: QueueMode,
    /// Whether more of it may come, if it is of a chat.
    pub(crate) hold: Option<Hold>,
    /// What is left of messages that gave way to it.
    pub(crate) dropped: Dropped,
}

/// How long a run may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit {
    /// As long as it needs.
    None,
    /// As long as its agent's runs may.
    OfAgent,
    /// So long.
    Within(Duration),
}
