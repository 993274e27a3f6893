//! Verbs that stand in groups, by the thing they are about.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use openclaw_scopes::{AgentId, IdempotencyKey};

use super::head::Head;
use super::session::{SendPolicyName, SessionArg};
use crate::length;

/// How much of a list to print.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListRows {
    /// The most rows to print.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on where a list ended: its `nextPageToken`.
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub(crate) page_token: String,
}

/// How sure the user is to remove something.
#[derive(Args, Clone, Debug)]
pub(crate) struct Removal {
    /// Do it.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// About agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsVerb {
    /// List the agents.
    #[command(visible_alias = "ls")]
    List,
    /// Show one agent.
    Show {
        /// Its id.
        id: AgentId,
        /// Print the system prompt exactly as it would be sent now.
        #[arg(long)]
        prompt: bool,
    },
    /// Add an agent to the configuration file.
    Add {
        /// Its id: lower-case letters, digits, `-` and `_`.
        id: AgentId,
        /// The directory its tools work in. Else one in the state directory.
        #[arg(long, value_name = "DIR")]
        workspace: Option<PathBuf>,
        /// The model, as provider/model. Else the default.
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// The name by which it introduces itself.
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove an agent from the configuration file; its workspace and conversations stay.
    #[command(visible_aliases = ["remove", "delete"])]
    Rm {
        /// Its id.
        id: AgentId,
        #[command(flatten)]
        removal: Removal,
    },
}

/// About models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsVerb {
    /// List the models that agents use.
    #[command(visible_alias = "ls")]
    List,
    /// Send a model one small request.
    Test {
        /// Its name, as provider/model. Else the default agent's.
        name: Option<String>,
    },
}

/// About conversations.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsVerb {
    /// List conversations, the most recently used first.
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this agent.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Only those whose key or label contains this text.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those with a run at work or waiting.
        #[arg(long)]
        active: bool,
        /// Only those that were archived.
        #[arg(long)]
        archived: bool,
        /// Those that were archived, too.
        #[arg(long, conflicts_with = "archived")]
        all: bool,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Show one conversation.
    Show {
        /// Its full or short key.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        key: String,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
    },
    /// Print what was said in a conversation, the newest entries last.
    History {
        /// Its full or short key.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        key: String,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Open a conversation, or find it.
    New {
        /// Its full or short key, for example explicit:notes.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        key: String,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// What people call it.
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Change what a conversation is called; an empty label takes it away.
    Rename {
        #[command(flatten)]
        session: SessionArg,
        /// What people call it.
        label: String,
    },
    /// Keep a conversation in a group; an empty one takes it out.
    Categorize {
        #[command(flatten)]
        session: SessionArg,
        /// The group.
        category: String,
    },
    /// Let another model answer in a conversation; an empty one stands for its agent's.
    Model {
        #[command(flatten)]
        session: SessionArg,
        /// The model, as provider/model.
        model: String,
    },
    /// Say whether what a conversation says leaves to channels.
    #[command(after_help = "\
Whatever is said is kept in the conversation. While nothing leaves, runs tell it as `withheld`. It holds for what
the conversation has begun, too: its sub-agents, its jobs, its heartbeat. `inherit` leaves it to
session.sendPolicy in the configuration. Needs operator.admin.

Examples:
  openclaw sessions send-policy telegram:group:-100 deny
  openclaw sessions send-policy main inherit")]
    SendPolicy {
        #[command(flatten)]
        session: SessionArg,
        /// Whether it leaves.
        #[arg(value_enum)]
        policy: SendPolicyName,
    },
    /// Let a conversation stand before others.
    Pin {
        #[command(flatten)]
        session: SessionArg,
    },
    /// Let it stand with the others again.
    Unpin {
        #[command(flatten)]
        session: SessionArg,
    },
    /// Put a conversation away: no run starts in it.
    Archive {
        #[command(flatten)]
        session: SessionArg,
    },
    /// Take an archived conversation out again.
    Unarchive {
        #[command(flatten)]
        session: SessionArg,
    },
    /// Begin a conversation anew: what was said stays, and the model is not shown it any more.
    #[command(after_help = "\
What it delegated is ended. `openclaw sessions undo-reset` takes the last reset back.")]
    Reset {
        #[command(flatten)]
        session: SessionArg,
        /// Why, for whoever asks later.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Only say what would begin anew.
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove what goes by itself otherwise: sessions of jobs, hooks and plugins that nobody has used for long,
    /// and files of deleted sessions beyond the disk budget.
    Cleanup {
        #[command(flatten)]
        removal: Removal,
    },
    /// Let a summary stand for what was said long ago: what was said stays, and the model is shown less of it.
    Compact {
        #[command(flatten)]
        session: SessionArg,
        /// Only say what it would come to.
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the last reset of a conversation back.
    UndoReset {
        #[command(flatten)]
        session: SessionArg,
    },
    /// End what goes on in a conversation and below it, and remove it.
    #[command(visible_aliases = ["rm", "remove"])]
    Delete {
        #[command(flatten)]
        session: SessionArg,
        /// Keep nothing of what was said. Else it is kept as a compressed file.
        #[arg(long)]
        no_archive: bool,
        #[command(flatten)]
        removal: Removal,
    },
}

/// What becomes of a sub-agent's conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum CleanupName {
    /// It goes when its parent was told.
    Delete,
    /// It stays for a week.
    #[default]
    Keep,
}

/// About sub-agents.
#[derive(Debug, Subcommand)]
pub(crate) enum SubagentsVerb {
    /// List sub-agents, the newest first.
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this conversation.
        #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
        session: Option<String>,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Only those at work or waiting, and those whose end was not handed over.
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Show one, with what it said.
    Show {
        /// Its run.
        run: String,
    },
    /// Delegate a task; the conversation is told what came of it.
    #[command(after_help = "\
Examples:
  openclaw subagents spawn --session main --task 'Read the changelog and list what breaks.' --wait
  openclaw subagents spawn --session main --task 'Look.' --tools read_file --tools list_dir --timeout 5m")]
    Spawn {
        /// The conversation that is told, by its full or short key.
        #[arg(long, value_name = "KEY", default_value = "main", value_parser = NonEmptyStringValueParser::new())]
        session: String,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// What to do; `-` reads it from standard input.
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        task: String,
        /// What people call it.
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        label: Option<String>,
        /// The model that answers, as provider/model.
        #[arg(long)]
        model: Option<String>,
        /// How long it may take.
        #[arg(long, value_name = "TIME", value_parser = length::parse)]
        timeout: Option<Duration>,
        /// A tool that it may use; may be repeated. Else all that a sub-agent may have.
        #[arg(long, value_name = "TOOL", value_delimiter = ',')]
        tools: Vec<String>,
        /// What becomes of its conversation afterwards.
        #[arg(long, value_enum, default_value_t)]
        cleanup: CleanupName,
        /// How many tokens one of its runs may use. Else as many as its agent's may.
        #[arg(long, value_name = "TOKENS")]
        budget: Option<u64>,
        /// Names the run, so that asking again finds it instead of starting another.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<IdempotencyKey>,
        /// Wait for its end, and print its answer.
        #[arg(long)]
        wait: bool,
    },
    /// End one and all below it; its parent is told.
    Cancel {
        /// Its run.
        run: String,
    },
    /// Hand over again what could not be handed over.
    Retry {
        /// Its run.
        run: String,
    },
    /// Give up what could not be handed over.
    Discard {
        /// Its run.
        run: String,
        #[command(flatten)]
        removal: Removal,
    },
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RunStatusName {
    /// Accepted, and waiting for its turn.
    Queued,
    /// At work.
    Running,
    /// Ended with an answer.
    Ok,
    /// Ended by a failure.
    Error,
    /// Ended because its time was up.
    Timeout,
    /// Ended because somebody asked for it.
    Aborted,
    /// Ended because the gateway stopped or crashed under it.
    Interrupted,
}

/// About runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// List runs, the newest first.
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this conversation, by its full or short key.
        #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
        session: Option<String>,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Only those in this state; more states with commas between.
        #[arg(long, value_enum, value_name = "STATUS", value_delimiter = ',')]
        status: Vec<RunStatusName>,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Wait for the end of a run: exit code 0 when it ended well, 75 when it has not ended in time.
    Wait {
        /// Its id.
        id: String,
        /// How long at most, for example 30s. Else until it ends.
        #[arg(long, value_name = "TIME", value_parser = length::parse)]
        timeout: Option<Duration>,
    },
    /// End a run, whether it waits or works.
    Abort {
        /// Its id.
        id: String,
    },
}

/// About the decision log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// List decisions, the newest first.
    #[command(visible_alias = "ls")]
    List {
        /// Only those on one's own behalf.
        #[arg(long, conflicts_with = "all")]
        own: bool,
        /// All decisions; what happens without --own.
        #[arg(long)]
        all: bool,
        /// Only those of this method, by its public name.
        #[arg(long, value_name = "NAME")]
        method: Option<String>,
        /// Only what this principal did or was done on its behalf: owner:1000, token:ID, or a device's id or the beginning of it.
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Only refusals.
        #[arg(long)]
        denied: bool,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Recompute the chain; works without a gateway too. Exit code 1 when it does not hold.
    Verify {
        /// A head that was written down before, to be found in the chain.
        #[arg(long, value_name = "SEQ:DIGEST", value_parser = Head::parse)]
        head: Option<Head>,
    },
    /// Write the whole log, the oldest decision first, one line of JSON each.
    Export {
        /// Write to this file instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// About the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check the configuration file without a gateway.
    Check {
        /// The file. Else `openclaw.toml` in the state directory.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the configuration in force, with every default filled in and without secrets.
    Show,
    /// Print where the configuration file is.
    Path,
}

/// About gateways with a name.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// List the gateways with a name.
    #[command(visible_alias = "ls")]
    List,
    /// Use a gateway whenever none is named.
    Use {
        /// Its name.
        name: String,
    },
    /// Forget a gateway's name.
    #[command(visible_aliases = ["remove", "delete"])]
    Rm {
        /// Its name.
        name: String,
        #[command(flatten)]
        removal: Removal,
    },
}

/// About the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayVerb {
    /// Run a gateway in the foreground: becomes `openclaw-gateway`.
    Run {
        /// Arguments for `openclaw-gateway`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Show what the gateway is and how it is doing; the same as `openclaw status`.
    Status,
    /// Print the fingerprint by which other machines know this gateway; works without it too.
    Fingerprint,
}
