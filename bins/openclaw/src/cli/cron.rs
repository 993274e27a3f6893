//! Verbs about jobs, and what can be said of one.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use openclaw_scopes::AgentId;

use super::{ListRows, Removal};
use crate::length;

/// How long is waited for a job when nothing is said.
pub(super) const DEFAULT_WAIT: &str = "10m";

/// About jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum CronVerb {
    /// Add a job, or change the one that has its key.
    #[command(
        visible_alias = "create",
        after_help = "\
Examples:
  openclaw cron add --name brief --cron '0 7 * * 1-5' --tz Europe/Berlin --message 'Sum up the news.'
  openclaw cron add --name tea --at 20m --system-event 'The tea is ready.' --delete-after-run
  openclaw cron add --name look --every 30m --active 09:00-17:00 --key look --message -
  openclaw cron add --name brief --cron @daily --message 'Sum up the news.' --announce --channel telegram --to 123
  openclaw cron add --name fetch --every 1h --command 'git fetch --all'
  openclaw cron add --name ping --every 5m --webhook https://example.org/alive --webhook-payload '{\"up\": true}'

It acts on behalf of whoever adds it, with what that one may do when it is due."
    )]
    Add(Box<AddArgs>),
    /// Change a job; what is not said stays as it is.
    Edit(Box<EditArgs>),
    /// List jobs by name: those that are due at all.
    #[command(visible_alias = "ls")]
    List {
        /// Those that are disabled, too.
        #[arg(long)]
        all: bool,
        /// Only those of this agent.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Only those whose name, key or id contains this text.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Show a job, with what it is at or did last.
    #[command(visible_alias = "get")]
    Show {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
    },
    /// Let a job be due again; its failures are forgotten.
    Enable {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
    },
    /// Let a job be due no more; it stays.
    Disable {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
    },
    /// Remove a job; what it is at goes on to its end, and what it did can be looked at for a while.
    #[command(visible_aliases = ["remove", "delete"])]
    Rm {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
        #[command(flatten)]
        removal: Removal,
    },
    /// Let a job be due now, whatever its schedule says.
    Run {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
        /// Wait for its end: exit code 0 when it ran well, 75 when it has not ended in time, else 1.
        #[arg(long)]
        wait: bool,
        /// How long to wait at most.
        #[arg(long, value_name = "TIME", default_value = DEFAULT_WAIT, value_parser = length::parse, requires = "wait")]
        wait_timeout: Duration,
    },
    /// List due instants and what became of them, the newest first.
    Runs {
        /// Only those of this job, by its id, key or name; of one that was removed by its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: Option<String>,
        /// Only those of which this became.
        #[arg(long, value_enum, value_name = "OUTCOME")]
        outcome: Option<OutcomeName>,
        #[command(flatten)]
        rows: ListRows,
    },
    /// End what a job is at, and what waits to begin of it; its schedule goes on.
    Cancel {
        /// Its id, key or name.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        job: String,
    },
    /// Tell when a job will be due, or would be by a schedule; nothing is changed.
    #[command(after_help = "\
Examples:
  openclaw cron preview brief --count 10
  openclaw cron preview --cron '30 2 * * *' --tz Europe/Berlin")]
    Preview(Box<PreviewArgs>),
    /// Show how the scheduler is doing.
    Status,
    /// Have jobs be as a file says, each under its key: all of them, or none. What it does not name stays.
    #[command(after_help = "\
Examples:
  openclaw cron export > jobs.toml
  openclaw cron apply jobs.toml --dry-run
  openclaw cron apply jobs.toml

The file is TOML as `cron export` prints it: a `[[job]]` each, with keys named as the flags of `cron add`.")]
    Apply {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print jobs as TOML, to read, to keep and to give again. Else all, also those that are disabled.
    Export {
        /// Only these, by id, key or name.
        #[arg(value_name = "JOB", value_parser = NonEmptyStringValueParser::new())]
        jobs: Vec<String>,
    },
}

/// A new job.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(
    group(ArgGroup::new("when").args(["at", "every", "cron"]).required(true)),
    group(ArgGroup::new("what").args(["message", "system_event", "command", "webhook_payload"]).required(true))
)]
pub(crate) struct AddArgs {
    /// What people call it.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) when: WhenArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) deliver: DeliverArgs,
    /// Remove the job when it has run well.
    #[arg(long)]
    pub(crate) delete_after_run: bool,
    /// Add it, but let it not be due until it is enabled.
    #[arg(long)]
    pub(crate) disabled: bool,
    /// Names the job: added again with the same key, it is changed instead.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) key: Option<String>,
}

/// What changes of a job.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct EditArgs {
    /// Its id, key or name.
    #[arg(value_parser = NonEmptyStringValueParser::new(), id = "job")]
    pub(crate) named: String,
    /// What people call it.
    #[arg(long, value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) when: WhenArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) deliver: DeliverArgs,
    /// All tools that the agent has.
    #[arg(long, conflicts_with = "tools")]
    pub(crate) all_tools: bool,
    /// Remove the job when it has run well; with `=false` keep it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) delete_after_run: Option<bool>,
    /// Let it be due again; its failures are forgotten.
    #[arg(long)]
    pub(crate) enable: bool,
    /// Let it be due no more.
    #[arg(long, conflicts_with = "enable")]
    pub(crate) disable: bool,
    /// Only if it was not changed since: the revision that `cron show` has told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) expected_revision: Option<u64>,
}

/// Of what the next instants are wanted.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(group(ArgGroup::new("of").args(["job", "at", "every", "cron"]).required(true)))]
pub(crate) struct PreviewArgs {
    /// The job, by its id, key or name.
    #[arg(
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["tz", "active", "stagger", "exact"]
    )]
    pub(crate) job: Option<String>,
    #[command(flatten)]
    pub(crate) when: WhenArgs,
    /// How many instants.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) count: u32,
}

/// When a job is due.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct WhenArgs {
    /// Once: `2026-12-01T09:00:00Z`, `2026-12-01 09:00` by the clocks of --tz, or `20m` from now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Again and again, from now on, for example 30m.
    #[arg(long, value_name = "TIME", value_parser = length::parse, conflicts_with = "at")]
    pub(crate) every: Option<Duration>,
    /// By an expression of five fields, or of six with the seconds first, for example `0 9 * * 1-5`.
    #[arg(
        long,
        value_name = "EXPR",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["at", "every"]
    )]
    pub(crate) cron: Option<String>,
    /// The time zone, for example Europe/Berlin. If none is named, this machine's for --at, and for
    /// --cron and --active the gateway's, or the one that an expression had.
    #[arg(long, value_name = "ZONE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tz: Option<String>,
    /// Move it by up to so much, each time alike, so that not all jobs are due at once. An
    /// expression such as `0 * * * *` is moved by up to 5m if nothing is said.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) stagger: Option<Duration>,
    /// Do not move it.
    #[arg(long, conflicts_with = "stagger")]
    pub(crate) exact: bool,
    /// Only in these hours of the day, for example 09:00-17:00; 00:00-24:00 for all.
    #[arg(long, value_name = "HOURS", value_parser = Hours::parse)]
    pub(crate) active: Option<Hours>,
}

/// What a job does, and how.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct JobArgs {
    /// Ask an agent; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Tell a conversation; its agent has a turn if it is idle.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "message")]
    pub(crate) system_event: Option<String>,
    /// Run a program with these arguments in the agent's workspace, without a model; needs
    /// operator.admin. Quotes group words; there is no shell unless the program is one.
    #[arg(
        long,
        value_name = "COMMAND",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["message", "system_event"]
    )]
    pub(crate) command: Option<String>,
    /// Post this JSON to the URL of --webhook, without a model; `-` reads it from standard input.
    #[arg(
        long,
        value_name = "JSON",
        allow_hyphen_values = true,
        conflicts_with_all = ["message", "system_event", "command"]
    )]
    pub(crate) webhook_payload: Option<String>,
    /// The agent that works; of a new job main if none is named.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// Where: `isolated` for a new conversation each time, `main`, or a conversation's key. A new job
    /// works `isolated` with a message, and in `main` with a system event, if nothing is said.
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) session: Option<String>,
    /// The model that answers, as provider/model; empty for the conversation's.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// A tool that its turns may use; may be repeated. A new job's may use all that the agent has if
    /// none is named.
    #[arg(long, value_name = "TOOL", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tools: Vec<String>,
    /// How long a turn may take; 0 for as long as its agent's, and one hour at most. A command, as
    /// long as tools.exec.timeout at most.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) timeout: Option<Duration>,
    /// How many tokens a turn may use; 0 for as many as its agent's.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) budget: Option<u64>,
    /// What becomes of instants that were missed in an outage: `none`, `last` or `all:N`;
    /// of a new job `last` if nothing is said.
    #[arg(long, value_name = "POLICY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) catch_up: Option<String>,
}

/// Where what a job says goes. Absent: where answers of its conversation go, and of a new one nowhere.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct DeliverArgs {
    /// Send what it says to somebody on a chat platform: --to says to whom or where.
    #[arg(long, requires = "to")]
    pub(crate) announce: bool,
    /// The chat platform: discord or telegram. Else the only one.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), requires = "announce")]
    pub(crate) channel: Option<String>,
    /// To whom or where. Discord: channel:ID or user:ID; Telegram: the id of a chat, with :topic:ID
    /// for a topic.
    #[arg(
        long,
        value_name = "TARGET",
        value_parser = NonEmptyStringValueParser::new(),
        requires = "announce",
        allow_hyphen_values = true
    )]
    pub(crate) to: Option<String>,
    /// The thread below it.
    #[arg(long, value_name = "ID", requires = "announce", allow_hyphen_values = true)]
    pub(crate) thread: Option<String>,
    /// The account of the gateway there. Else its only one.
    #[arg(long, value_name = "ID", requires = "announce", allow_hyphen_values = true)]
    pub(crate) account: Option<String>,
    /// Send what it says nowhere: it stays in its conversation.
    #[arg(long, conflicts_with = "announce")]
    pub(crate) no_deliver: bool,
    /// Send what it says to this URL, as a signed POST; needs operator.admin.
    #[arg(
        long,
        value_name = "URL",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["announce", "no_deliver"]
    )]
    pub(crate) webhook: Option<String>,
}

/// Hours of the day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hours {
    /// Their beginning.
    pub(crate) from: String,
    /// Their end, exclusive.
    pub(crate) until: String,
}

impl Hours {
    /// Reads two times of day with `-` between; what these are worth, the gateway says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('-') {
            Some((from, until)) if !from.is_empty() && !until.is_empty() => {
                Ok(Self { from: from.trim().to_owned(), until: until.trim().to_owned() })
            }
            _ => Err("hours of the day are written `09:00-17:00`".to_owned()),
        }
    }
}

/// What became of a due instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutcomeName {
    /// It is at work, or waits to begin.
    Claimed,
    /// It ran well.
    Ran,
    /// It failed.
    Failed,
    /// It was left out on purpose.
    Skipped,
    /// Nobody was there when it was due.
    Missed,
    /// Somebody ended it.
    Cancelled,
    /// The gateway stopped while it was at work.
    Lost,
}
