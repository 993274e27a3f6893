//! Jobs, and the ledger of their due instants: each is one row, whatever comes of it.

mod add;
mod apply;
mod change;
mod command;
mod failed;
mod fire;
mod heartbeat;
mod ledger;
mod list;
mod notice;
mod rewind;
mod spec;
mod sweep;
mod work;

use std::time::Duration;

use openclaw_scheduler::{DisableReason, Rules};
use openclaw_scopes::target::{JobTarget, Reach};
use openclaw_scopes::{AgentId, GrantHolder, JobId, RunId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::error::damaged;
use crate::outbox::{DeliveryState, ReplyTo};

pub use add::{AddJob, Added, Novelty as JobNovelty};
pub use apply::{AppliedJob, ApplyJobs, GivenJob, JobFate, Rehearsal};
pub use change::{CancelJob, CancelledJob, JobPatch, RemoveJob, RunJob, Switch, UpdateJob};
pub(crate) use command::interrupted;
pub use command::{CommandEnd, CommandFence, MAX_COMMAND_TEXT};
pub use failed::JobError;
pub use fire::{FireJob, FireWork, Fired, NotFired};
pub use heartbeat::{HEARTBEAT, HeartbeatOf, KeepHeartbeats};
pub use ledger::{ClaimedJob, DueRow};
pub use list::{
    CronFacts, GetJob, JobCursor, JobFilter, JobPage, ListOccurrences, OccurrenceCursor,
    OccurrencePage, ReadCron,
};
pub use notice::{JobNotice, Notice as JobNoticeKind};
pub use work::JobGiven;
pub(crate) use work::{given, run_ended, suspend};

/// Jobs of a gateway at most: some hundred bytes each, and a page of due ones is found among as many as fast
/// as among ten.
const MAX_JOBS: u64 = 2_000_000;
/// Jobs that were added in one conversation at most: what an agent adds, somebody must be able to look through.
const MAX_JOBS_OF_SESSION: u64 = 100;
/// Bytes that are kept of what a run answered: enough to see how it went; all of it stands in the conversation.
const MAX_TEXT: usize = 2_000;

/// What a job does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Payload {
    /// Asks an agent.
    AgentTurn {
        /// What.
        message: String,
    },
    /// Runs a command in its agent's workspace, without a model.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
    },
    /// Has an agent look around by itself. Only the configuration says so, and nobody adds one.
    Heartbeat {
        /// What it is asked.
        prompt: String,
        /// How much of the conversation it is shown.
        context: JobContext,
    },
    /// Tells a conversation; its agent has a turn if it is idle.
    SystemEvent {
        /// What.
        text: String,
    },
    /// Posts this to the URL of its delivery, without a model.
    Webhook {
        /// The whole body: JSON.
        body: String,
    },
}

impl Payload {
    /// Returns how far a job reaches with it.
    pub const fn reach(&self) -> Reach {
        match self {
            Self::AgentTurn { .. } | Self::Heartbeat { .. } | Self::SystemEvent { .. } => {
                Reach::Agents
            }
            Self::Command { .. } | Self::Webhook { .. } => Reach::Programs,
        }
    }

    /// Whether an agent has a turn for it, in a conversation.
    pub const fn is_for_agent(&self) -> bool {
        matches!(self.reach(), Reach::Agents)
    }
}

/// How much of its conversation a turn is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum JobContext {
    /// As much as its model's window holds.
    #[default]
    Full,
    /// What it is asked, and nothing before.
    Light,
}

/// In which conversation a job works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobPlace {
    /// In a new one each time.
    Isolated,
    /// In its agent's main one.
    Main,
    /// In this one.
    Session(SessionKey),
}

impl JobPlace {
    /// Returns the text under which people know it.
    pub fn name(&self) -> &str {
        match self {
            Self::Isolated => "isolated",
            Self::Main => "main",
            Self::Session(key) => key.as_str(),
        }
    }
}

/// The tools that the turns of a job may use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum JobTools {
    /// All that the agent has.
    #[default]
    All,
    /// Of those that the agent has, these.
    Only(Vec<String>),
}

/// Where what a job says goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum JobDelivery {
    /// To somebody on a chat platform.
    Announce(ReplyTo),
    /// Where answers of its conversation go, if anywhere.
    #[default]
    Conversation,
    /// Nowhere.
    None,
    /// To this URL.
    Webhook(String),
}

impl JobDelivery {
    /// Returns how far a job reaches with it.
    pub const fn reach(&self) -> Reach {
        match self {
            Self::Announce(_) | Self::Conversation | Self::None => Reach::Agents,
            Self::Webhook(_) => Reach::Programs,
        }
    }
}

/// What becomes of a job that has run well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterRun {
    /// It goes.
    Delete,
    /// It stays.
    Keep,
}

/// A job as somebody gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobSpec {
    /// What people call it.
    pub name: String,
    /// The agent that works.
    pub agent: AgentId,
    /// When it is due.
    pub rules: Rules,
    /// What it does.
    pub payload: Payload,
    /// Where.
    pub place: JobPlace,
    /// The model that answers, as `provider/model`; empty for the conversation's.
    pub model: String,
    /// The tools that its turns may use.
    pub tools: JobTools,
    /// How long a turn may take; zero for as long as its agent's.
    pub timeout: Duration,
    /// How many tokens a turn may use; zero for as many as its agent's.
    pub max_tokens: u64,
    /// What becomes of it when it has run well.
    pub after_run: AfterRun,
    /// Where what it says goes.
    pub delivery: JobDelivery,
}

impl JobSpec {
    /// Returns how far it reaches: what it does, and where what it says goes.
    pub fn reach(&self) -> Reach {
        self.payload.reach().max(self.delivery.reach())
    }
}

/// A job as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The name under which it is given again and again; empty for none.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// The agent that works.
    pub agent: AgentId,
    /// What it is; else why that cannot be read any more: a zone that is gone, for example.
    pub spec: Result<JobSpec, String>,
    /// On whose behalf it works.
    pub owner: GrantHolder,
    /// The scopes that it was added with.
    pub scopes: openclaw_scopes::ScopeSet,
    /// The conversation in which it was added.
    pub created_in: Option<SessionKey>,
    /// How often it was changed, from 1.
    pub revision: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Why it is not due at all; `None` when it is.
    pub disabled: Option<Disabled>,
    /// When it is due next.
    pub next_at: Option<Timestamp>,
    /// Until when it is held back after failures.
    pub not_before: Option<Timestamp>,
    /// How often it failed in a row.
    pub failures: u32,
    /// What it is at, or did last. Not looked for in lists.
    pub last: Option<Occurrence>,
}

/// Why a job is not due at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disabled {
    /// Somebody wanted it so.
    ByRequest,
    /// The scheduler did it.
    By(DisableReason),
}

impl Disabled {
    /// Returns the name that answers have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByRequest => "by-request",
            Self::By(reason) => reason.name(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "by-request" => Some(Self::ByRequest),
            text => DisableReason::parse(text).map(Self::By),
        }
    }
}

/// What became of a due instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Somebody ended it.
    Cancelled,
    /// It is at work, or waits to begin.
    Claimed,
    /// It failed.
    Failed,
    /// The gateway stopped while it was at work.
    Lost,
    /// Nobody was there when it was due.
    Missed,
    /// It ran well.
    Ran,
    /// It was left out on purpose.
    Skipped,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Cancelled,
        Self::Claimed,
        Self::Failed,
        Self::Lost,
        Self::Missed,
        Self::Ran,
        Self::Skipped,
    ];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Claimed => "claimed",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Missed => "missed",
            Self::Ran => "ran",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the outcome of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// A due instant, or a row of such that were missed or left out, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Occurrence {
    /// The job.
    pub job: JobId,
    /// When it was due; of a row of them, the first.
    pub scheduled_at: Timestamp,
    /// Of a row of instants, the last; else the same.
    pub until: Timestamp,
    /// How many instants.
    pub count: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in a word.
    pub reason: String,
    /// Whether somebody asked for it.
    pub requested: Asked,
    /// How often it was begun.
    pub attempts: u32,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When that was over.
    pub ended_at: Option<Timestamp>,
    /// The run.
    pub run: Option<RunId>,
    /// The conversation.
    pub session: Option<SessionKey>,
    /// What the run answered, or what went wrong.
    pub text: String,
    /// What was to leave the gateway of it, and what has become of that.
    pub delivery: Option<(String, DeliveryState)>,
    /// Why what it said did not leave; empty when it did, or was not to.
    pub withheld: String,
}

/// Whether somebody asked for a due instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// It is one of the schedule.
    BySchedule,
    /// Somebody asked for it.
    ByRequest,
}

/// What callers name a job by: its id, its key or its name, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobRef(pub String);

/// Finds the row of a job that somebody named; `deleted` ones only by their id.
pub(crate) fn row_of(
    connection: &Connection,
    named: &JobRef,
) -> Result<Option<i64>, crate::error::Fault<JobError>> {
    let JobRef(name) = named;
    let by_id = "SELECT id FROM cron_jobs WHERE job = ?1 AND deleted_at IS NULL";
    let by_key = "SELECT id FROM cron_jobs WHERE key = ?1 AND key <> '' AND deleted_at IS NULL";
    for sql in [by_id, by_key] {
        let found =
            connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let sql = "SELECT id, job FROM cron_jobs WHERE name = ?1 AND deleted_at IS NULL
               ORDER BY id LIMIT 8";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = statement.query_map([name], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    match found.as_slice() {
        [] => Ok(None),
        [(row, _)] => Ok(Some(*row)),
        many => {
            let ids: Vec<_> = many.iter().map(|(_, id)| id.as_str()).collect();
            let sql = "SELECT count(*) FROM cron_jobs WHERE name = ?1 AND deleted_at IS NULL";
            let count = connection.prepare_cached(sql)?.query_row([name], |row| row.get(0))?;
            let ids = ids.join(", ");
            Err(crate::error::Fault::Domain(JobError::Ambiguous { name: name.clone(), count, ids }))
        }
    }
}

/// The same as a target of decisions.
pub(crate) fn target(
    connection: &Connection,
    named: &JobRef,
) -> Result<JobTarget, crate::error::Fault<JobError>> {
    let Some(row) = row_of(connection, named)? else {
        let id: String = named.0.chars().take(64).collect();
        return Ok(JobTarget { id: id.into(), owner: None, reach: Reach::default() });
    };
    Ok(target_of(connection, row)?)
}

/// The same for the row of a job.
fn target_of(connection: &Connection, row: i64) -> rusqlite::Result<JobTarget> {
    let sql = "SELECT job, owner, name, agent, spec FROM cron_jobs WHERE id = ?1";
    type Found = (String, String, String, String, String);
    let (id, owner, name, agent, text): Found =
        connection.prepare_cached(sql)?.query_row([row], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
    let owner = owner.parse().map_err(|error| damaged(1, error))?;
    let agent = agent.parse().map_err(|error| damaged(3, error))?;
    // What cannot be read any more reaches as far as it may have.
    let reach = spec::from_text(name, agent, &text).map_or(Reach::Programs, |spec| spec.reach());
    Ok(JobTarget { id: id.into(), owner: Some(owner), reach })
}

pub(super) fn unknown(named: &str) -> crate::error::Fault<JobError> {
    crate::error::Fault::Domain(JobError::Unknown(named.chars().take(64).collect()))
}
