//! Why an operation on a job was not done.

use openclaw_scopes::{JobId, SessionKey};

use crate::act::Failure;

/// Why an operation on a job was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JobError {
    /// Several jobs bear the name.
    #[error("{count} jobs are called `{name}`; use an id: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Some of their ids.
        ids: String,
    },
    /// It was changed since the caller looked.
    #[error("job `{job}` is at revision {revision} by now")]
    Changed {
        /// The job.
        job: JobId,
        /// Its revision.
        revision: u64,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// It is of one job among several.
    #[error("job `{key}`: {error}")]
    In {
        /// The key of the job.
        key: String,
        /// What is wrong with it.
        #[source]
        error: Box<Self>,
    },
    /// It is not at work, and waits for nothing.
    #[error("job `{0}` is not at work")]
    Idle(JobId),
    /// It has no instant ahead of it.
    #[error("job `{0}` would never be due; give it another time")]
    NeverDue(String),
    /// The configuration says what it is.
    #[error("`{0}` is a heartbeat: what it does is said in the configuration file")]
    Kept(String),
    /// The conversation is archived, and nothing begins in it.
    #[error("conversation `{0}` is archived")]
    Place(SessionKey),
    /// There are as many as there may be.
    #[error("there are {max} jobs {place}, as many as there may be")]
    TooMany {
        /// How many.
        max: u64,
        /// Where.
        place: &'static str,
    },
    /// It was asked for as often as it may be.
    #[error("job `{job}` was asked for {max} times that it has not done yet")]
    Requests {
        /// The job.
        job: Box<str>,
        /// How often.
        max: u32,
    },
    /// Its schedule leads nowhere.
    #[error("the schedule cannot be used: {0}")]
    Schedule(String),
    /// There is no such job.
    #[error("no job `{0}`")]
    Unknown(String),
}

impl Failure for JobError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::Changed { .. } => "job-changed",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::In { error, .. } => error.reason(),
            Self::Idle(_) => "job-idle",
            Self::Kept(_) => "kept-by-configuration",
            Self::NeverDue(_) => "never-due",
            Self::Place(_) => "archived",
            Self::TooMany { .. } => "too-many-jobs",
            Self::Requests { .. } => "too-many-requests",
            Self::Schedule(_) => "bad-schedule",
            Self::Unknown(_) => "unknown-job",
        }
    }
}
