//! `heartbeat`: each verb is one of `cron`, said of the job that an agent's heartbeat is.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openclaw_scopes::AgentId;

use super::CronVerb;
use super::cron::DEFAULT_WAIT;
use crate::length;

/// What can be done about heartbeats.
#[derive(Debug, Subcommand)]
pub(crate) enum HeartbeatVerb {
    /// Show an agent's heartbeat: when it looks next, and what came of it the last time.
    Show {
        #[command(flatten)]
        whose: Whose,
    },
    /// Switch an agent's heartbeat on or off. How often it looks and what it does is said in the file.
    Set {
        /// Whether it looks.
        state: State,
        #[command(flatten)]
        whose: Whose,
    },
    /// Have an agent look around now.
    Run {
        #[command(flatten)]
        whose: Whose,
        /// Wait for its end: exit code 0 when it ran well, 75 when it has not ended in time, else 1.
        #[arg(long)]
        wait: bool,
        /// How long to wait at most.
        #[arg(long, value_name = "TIME", default_value = DEFAULT_WAIT, value_parser = length::parse, requires = "wait")]
        wait_timeout: Duration,
    },
}

/// Whose heartbeat is meant.
#[derive(Args, Debug)]
pub(crate) struct Whose {
    /// The agent.
    #[arg(long, value_name = "ID", default_value = "main")]
    agent: AgentId,
}

impl Whose {
    /// Returns the key of the job.
    fn job(&self) -> String {
        format!("heartbeat:{}", self.agent)
    }
}

/// Whether a heartbeat looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    /// It does.
    On,
    /// It does not.
    Off,
}

impl From<HeartbeatVerb> for CronVerb {
    fn from(verb: HeartbeatVerb) -> Self {
        match verb {
            HeartbeatVerb::Show { whose } => Self::Show { job: whose.job() },
            HeartbeatVerb::Set { state: State::On, whose } => Self::Enable { job: whose.job() },
            HeartbeatVerb::Set { state: State::Off, whose } => Self::Disable { job: whose.job() },
            HeartbeatVerb::Run { whose, wait, wait_timeout } => {
                Self::Run { job: whose.job(), wait, wait_timeout }
            }
        }
    }
}
