//! Runs: accepting, starting, writing, ending and finding them.

mod accept;
mod queue;
mod recover;
mod start;
mod view;
mod write;

use openclaw_scopes::{Grant, RunId, SessionKey};
use openclaw_sessions::{Fence, Running};

use crate::act::Failure;
use crate::children::Delegated;
use crate::cron::JobGiven;

pub use accept::{AcceptRun, Accepted, Precedence};
pub(crate) use queue::heard;
pub(crate) use recover::end_waiting;
pub use recover::{AbortRun, AbortedRun, FoundAt, Interrupted, RecoverRuns, Recovered};
#[cfg(test)]
pub(crate) use recover::{RUNNING, WAITING};
pub(crate) use start::{grant_of, grant_of_run};
pub use view::{GetRun, RunCursor, RunFilter, RunPage, RunView};
pub(crate) use view::{find, target};
pub use write::{Ending, FenceError};
pub(crate) use write::{append_records, as_text, end_from_outside};

/// The right of one run to write its session, until it ends or is superseded.
///
/// Only the operation that started the run makes one; the writer checks it with every record.
#[derive(Debug)]
pub struct RunFence {
    pub(crate) fence: Fence,
    pub(crate) run: i64,
    pub(crate) session: i64,
}

/// The right to start a run that was accepted and waits.
#[derive(Debug)]
#[expect(clippy::partial_pub_fields, reason = "the row keeps it from being made up elsewhere")]
pub struct Ticket {
    pub(crate) row: i64,
    /// The run.
    pub run: RunId,
    /// Its conversation.
    pub session: SessionKey,
}

/// A run that has begun to work.
#[derive(Debug)]
pub struct Started {
    /// The right to write.
    pub fence: RunFence,
    /// The state it is in, with its deadline.
    pub running: Running,
    /// The grant that it rests on, as it is now.
    pub grant: Grant,
    /// The place in the journal where its question stands.
    pub entry: u64,
    /// What it was asked.
    pub message: String,
    /// What of the journal its model is shown.
    pub context: Context,
    /// Which conversation this is, for what is kept of it in memory: no two have the same.
    pub generation: i64,
    /// The model of the conversation, as `provider/model`; empty for its agent's.
    pub model: String,
    /// What it was delegated with, if somebody delegated it.
    pub delegated: Option<Delegated>,
    /// What it is given by the job that it is for, if it is for one.
    pub job: Option<JobGiven>,
    /// The runs that were collected with it, and have no turn of their own.
    pub merged: Vec<RunId>,
    /// The run as it stands.
    pub view: RunView,
}

/// What of a journal a model is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context {
    /// The first entry.
    pub from: u64,
    /// The entry of the summary that stands for what is before; `None` when nothing stands for it.
    pub summary: Option<u64>,
}

impl Context {
    /// Reads it from the row of a conversation.
    pub(crate) fn of(connection: &rusqlite::Connection, session: i64) -> rusqlite::Result<Self> {
        let sql = "SELECT context_from, summary_entry, first_kept FROM sessions WHERE id = ?1";
        connection.prepare_cached(sql)?.query_row([session], |row| {
            let from: u64 = row.get(0)?;
            let summary: Option<u64> = row.get(1)?;
            let first_kept: Option<u64> = row.get(2)?;
            Ok(match (summary, first_kept) {
                (Some(entry), Some(kept)) => Self { from: kept, summary: Some(entry) },
                _ => Self { from, summary: None },
            })
        })
    }
}

/// Why an operation on a run was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RunError {
    /// The conversation was put away.
    #[error("conversation `{0}` is archived")]
    Archived(SessionKey),
    /// The grant that the run rests on has ended since it was accepted.
    #[error("the grant of run `{0}` has ended")]
    GrantEnded(RunId),
    /// The id names another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// Too many runs wait, in this conversation or in all.
    #[error("too many runs wait, in session `{0}` or in all")]
    NoPlace(SessionKey),
    /// The key is that of a sub-agent's conversation, which only a delegation opens.
    #[error("`{0}` would be a sub-agent's conversation, and nothing was delegated under it")]
    Undelegated(SessionKey),
    /// There is no such run.
    #[error("no run `{0}`")]
    Unknown(RunId),
}

impl Failure for RunError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Archived(_) => "archived",
            Self::GrantEnded(_) => "grant-ended",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::NoPlace(_) => "no-place",
            Self::Undelegated(_) => "undelegated",
            Self::Unknown(_) => "unknown-run",
        }
    }
}
