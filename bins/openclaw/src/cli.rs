//! The command line: verbs and flags.

mod access;
mod channel;
mod cron;
mod device;
mod events;
mod group;
mod head;
mod heartbeat;
mod message;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use openclaw_client::Fingerprint;
use openclaw_scopes::{AgentId, IdempotencyKey};

use crate::length;

pub(crate) use access::{AccessVerb, ApprovalsVerb, ConnectArgs, SecurityVerb, TokensVerb};
pub(crate) use channel::{ChannelsVerb, DmPolicyName, PairingVerb, PlatformName};
pub(crate) use cron::{
    AddArgs, CronVerb, DeliverArgs, EditArgs, Hours, JobArgs, OutcomeName, PreviewArgs, WhenArgs,
};
pub(crate) use device::{ApproveArgs, DevicesVerb, RoleName, Scopes};
pub(crate) use events::WatchArgs;
pub(crate) use group::{
    AgentsVerb, AuditVerb, CleanupName, ConfigVerb, ContextVerb, GatewayVerb, ListRows, ModelsVerb,
    Removal, RunStatusName, RunsVerb, SessionsVerb, SubagentsVerb,
};
pub(crate) use head::Head;
pub(crate) use heartbeat::HeartbeatVerb;
pub(crate) use message::{
    DeliveryStateName, DeliveryVerb, EventArgs, MessageVerb, PollArgs, SendArgs, SendingArgs,
    SystemVerb, ToArgs,
};
pub(crate) use session::SessionArg;

/// Talks to an OpenClaw gateway: runs agents, and looks after what they do.
#[derive(Debug, Parser)]
#[command(name = "openclaw", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb takes.
#[derive(Args, Debug, Default)]
pub(crate) struct Global {
    /// The directory with the gateway's state. Else `OPENCLAW_STATE_DIR`, else ~/.openclaw.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The gateway: a context's name, unix:PATH or https://HOST:PORT. Else `OPENCLAW_GATEWAY`, else
    /// the current context, else the socket in the state directory.
    #[arg(long, global = true, value_name = "GATEWAY", help_heading = "Global options")]
    pub(crate) gateway: Option<String>,
    /// The fingerprint of the gateway that is meant, over the network. Else the context's, else
    /// `OPENCLAW_GATEWAY_FINGERPRINT`.
    #[arg(long, global = true, value_name = "HEX", help_heading = "Global options")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// When a scope is missing, ask to have it approved: the error then names the request.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) request_access: bool,
    /// Print one JSON document; errors become JSON on standard error.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Print without color, as `NO_COLOR` does.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Ask an agent, and print its answer.
    #[command(after_help = "\
Examples:
  openclaw agent -m 'What is on my list today?'
  git diff | openclaw agent -m - --session explicit:review
  openclaw agent -m 'Sum it up' --json | jq -r .text

Ctrl-C ends the run. The idempotency key is the run's id: asked again with the same key, the same
run answers.")]
    Agent(AgentArgs),
    /// Talk with an agent, line by line.
    #[command(after_help = "\
Ctrl-C ends the answer that is being written; Ctrl-D or /quit leaves.")]
    Chat(ChatArgs),
    /// The configured agents.
    #[command(subcommand)]
    Agents(AgentsVerb),
    /// The models that agents use.
    #[command(subcommand)]
    Models(ModelsVerb),
    /// Conversations.
    #[command(subcommand)]
    Sessions(SessionsVerb),
    /// Turns of agents.
    #[command(subcommand)]
    Runs(RunsVerb),
    /// What conversations delegated.
    #[command(subcommand)]
    Subagents(SubagentsVerb),
    /// Jobs: work that is due at certain times.
    #[command(subcommand, visible_alias = "automations")]
    Cron(CronVerb),
    /// Agents that look around by themselves.
    #[command(subcommand)]
    Heartbeat(HeartbeatVerb),
    /// Messages to chat platforms and webhooks.
    #[command(subcommand)]
    Message(MessageVerb),
    /// What was to leave the gateway, and what has become of it.
    #[command(subcommand)]
    Delivery(DeliveryVerb),
    /// The chat platforms that the gateway speaks on, and its webhooks.
    #[command(subcommand)]
    Channels(ChannelsVerb),
    /// People in chats who want to write direct messages.
    #[command(subcommand)]
    Pairing(PairingVerb),
    /// What conversations are told that nobody asked in them.
    #[command(subcommand)]
    System(SystemVerb),
    /// What happens: runs, sessions, jobs, deliveries, pairing, approvals, devices that come and go.
    #[command(after_help = "\
Examples:
  openclaw events
  openclaw events --follow --kind run.ended --kind delivery
  openclaw events --follow --since-seq 4711 --json | jq -r .subject

What has happened is numbered. With --follow a connection that breaks is made anew, and nothing is left
out; what is too old to be read again is an error that says from where to go on.")]
    Events(WatchArgs),
    /// Commands of agents that somebody has to approve.
    #[command(subcommand)]
    Approvals(ApprovalsVerb),
    /// The decision log.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Questions about authority.
    #[command(subcommand)]
    Access(AccessVerb),
    /// Devices, and what they may do.
    #[command(subcommand)]
    Devices(DevicesVerb),
    /// API tokens for programs without a key.
    #[command(subcommand)]
    Tokens(TokensVerb),
    /// What weakens the gateway.
    #[command(subcommand)]
    Security(SecurityVerb),
    /// Connect this machine to a gateway on another one: pairs, and remembers it as a context.
    #[command(after_help = "\
Examples:
  openclaw connect openclaw://connect/home:18789/2v4x-…
  openclaw connect https://home:18789 --code 2v4x-…
  openclaw connect https://home:18789 --fingerprint 9f2c… --scopes operator.read

The last one has no invitation: it asks to be paired, and waits until somebody approves it on the
gateway's machine.")]
    Connect(ConnectArgs),
    /// The gateway's configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Gateways with a name.
    #[command(subcommand)]
    Context(ContextVerb),
    /// The daemon.
    #[command(subcommand)]
    Gateway(GatewayVerb),
    /// Show what the gateway is and how it is doing.
    Status,
    /// Show how many tokens models have used, and what they cost.
    #[command(after_help = "\
Examples:
  openclaw usage --since 7d --by day
  openclaw usage --by model --json

The cost is by the prices of `models.prices` in openclaw.toml, as they are now.")]
    Usage(UsageArgs),
    /// Ask whether the gateway takes work: exit code 0, or 75 when not, or 69 when it is not there.
    Health(HealthArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Example:
  openclaw completion bash > ~/.local/share/bash-completion/completions/openclaw")]
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// What to ask an agent.
#[derive(Args, Debug)]
pub(crate) struct AgentArgs {
    /// What to say; `-` reads it from standard input.
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) with: With,
    #[command(flatten)]
    pub(crate) origin: OriginArgs,
    /// What becomes of the message when the conversation is busy. Else, with --channel, what the
    /// configuration says, and without, followup.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) queue: Option<QueueName>,
    /// How long the run may take, for example 10m; 0 for as long as it needs.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) timeout: Option<Duration>,
    /// Names the run, so that asking again finds it instead of starting another.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Print every event as one line of JSON.
    #[arg(long, conflicts_with = "json")]
    pub(crate) json_stream: bool,
}

/// What becomes of a message when its conversation is busy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum QueueName {
    /// The turn at work takes it in before its next step.
    Steer,
    /// It has a turn of its own, after those that wait.
    Followup,
    /// All that wait have one turn.
    Collect,
    /// The turn at work is ended, and this one is next.
    Interrupt,
}

/// In which conversation, and with whom.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct With {
    /// The conversation, by its full or short key. Else the agent's main one.
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) session: Option<String>,
    /// The agent. Else the one of the conversation, or main.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
}

/// Where a message came from that a bridge to a channel hands over; it decides conversation and agent.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OriginArgs {
    /// The channel that the message came in on: session and agent are what the routing says.
    #[arg(long, value_name = "NAME", requires = "to", conflicts_with_all = ["session", "agent"])]
    pub(crate) channel: Option<String>,
    /// Who or which group it is with, as the channel names it; the answer belongs there.
    #[arg(long, value_name = "ID", requires = "channel", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// The account of the gateway on the channel. Else its only one.
    #[arg(long, value_name = "ID", requires = "channel", allow_hyphen_values = true)]
    pub(crate) account: Option<String>,
    /// With how many the conversation is. Else direct.
    #[arg(long, value_name = "KIND", requires = "channel", value_parser = ["direct", "group", "channel"])]
    pub(crate) kind: Option<String>,
    /// The thread, below who or what it is with.
    #[arg(long, value_name = "ID", requires = "channel", allow_hyphen_values = true)]
    pub(crate) thread: Option<String>,
}

/// With whom to talk.
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) with: With,
}

/// What of it, and how.
#[derive(Args, Debug)]
pub(crate) struct UsageArgs {
    /// What makes a row.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) by: UsageByName,
    /// Only of the last days, for example 7d: from the beginning of a day in UTC on. Not by session.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) since: Option<Duration>,
}

/// What makes a row.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum UsageByName {
    /// The agent.
    #[default]
    Agent,
    /// The session; of those that were deleted nothing is known.
    Session,
    /// The model.
    Model,
    /// The day, in UTC.
    Day,
}

/// How to ask for the gateway's health.
#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// Ask again until the gateway takes work, at most this long.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) wait: Option<Duration>,
}

#[cfg(test)]
mod tests;
