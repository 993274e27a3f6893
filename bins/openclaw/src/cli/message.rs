//! Verbs about what leaves the gateway, and what conversations are told.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use openclaw_scopes::{AgentId, IdempotencyKey};

use super::{ListRows, Removal};
use crate::length;

/// About messages that leave.
#[derive(Debug, Subcommand)]
pub(crate) enum MessageVerb {
    /// Send a message: it is accepted when this returns, and has arrived when it is `sent`.
    #[command(after_help = "\
Examples:
  openclaw message send --channel telegram --target 123456789 --message 'It is **built**.' --wait 30s
  openclaw message send --channel discord --target channel:1469556013123502103 --message - < report.md
  openclaw message send --channel webhook --target https://example.org/hook --message 'It is built.'

The text is Markdown. Sent again with the same idempotency key, it is the same message.")]
    Send(Box<SendArgs>),
    /// Send a poll, on Telegram or Discord: it is accepted when this returns, and has arrived when it is `sent`.
    #[command(after_help = "\
Examples:
  openclaw message poll --channel telegram --target -1001234567890 --question 'Lunch?' --option Pizza --option Soup
  openclaw message poll --channel discord --target channel:1469556013123502103 --question 'Which days?' \\
    --option Monday --option Tuesday --option Friday --multi --duration 2d

Sent again with the same idempotency key, it is the same poll. Votes are seen on the platform, and not read.")]
    Poll(Box<PollArgs>),
}

/// What to send, and where.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(group(ArgGroup::new("what").args(["message", "media"]).required(true).multiple(true)))]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) to: ToArgs,
    /// What to say; `-` reads it from standard input.
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// What to send along: an https URL.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) media: Option<String>,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// What to ask, and where.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct PollArgs {
    #[command(flatten)]
    pub(crate) to: ToArgs,
    /// What to ask: one line of 300 characters at most.
    #[arg(long, alias = "poll-question", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) question: String,
    /// What can be chosen; say it once for each. Telegram: 2 to 12 of 100 characters at most; Discord: 2 to 10
    /// of 55.
    #[arg(
        long = "option",
        alias = "poll-option",
        value_name = "TEXT",
        required = true,
        allow_hyphen_values = true
    )]
    pub(crate) options: Vec<String>,
    /// One person may choose any number of options.
    #[arg(long, alias = "poll-multi", conflicts_with = "max_selections")]
    pub(crate) multi: bool,
    /// How many options one person may choose at most: 1, or as many as there are. Else 1.
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_selections: Option<u32>,
    /// For how long it is open. Telegram: 5s to 7d, else without an end; Discord: 1h to 32d in whole hours, else
    /// a day.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) ballot: BallotArgs,
    /// Make no noise.
    #[arg(long)]
    pub(crate) silent: bool,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// Whether it is seen who voted for what.
#[derive(Args, Clone, Copy, Debug)]
#[group(skip)]
pub(crate) struct BallotArgs {
    /// Nobody sees who voted for what. On Telegram it is so unless --public is said; Discord has no such polls.
    #[arg(long, alias = "poll-anonymous", conflicts_with = "public")]
    anonymous: bool,
    /// Everybody sees who voted for what.
    #[arg(long, alias = "poll-public")]
    public: bool,
}

impl BallotArgs {
    /// Returns whether nobody is to see it; `None` for what the platform does.
    pub(crate) const fn is_anonymous(self) -> Option<bool> {
        match (self.anonymous, self.public) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Where something goes.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct ToArgs {
    /// The channel: discord or telegram, or webhook, which has no polls. Else the only chat platform.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) channel: Option<String>,
    /// To whom or where. Discord: channel:ID or user:ID; Telegram: the id of a chat, with :topic:ID
    /// for a topic; webhook: a URL.
    #[arg(
        long,
        visible_alias = "to",
        value_name = "TARGET",
        value_parser = NonEmptyStringValueParser::new(),
        allow_hyphen_values = true
    )]
    pub(crate) target: String,
    /// The thread below it.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) thread: Option<String>,
    /// The account of the gateway there. Else its only one.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) account: Option<String>,
}

/// How something is sent.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct SendingArgs {
    /// The message on the platform that this one answers.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) reply_to: Option<String>,
    /// Names the message, so that sending it again finds it instead of sending another.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Wait until it has arrived, or will not: exit code 0 when it is sent, 75 when it is still on its
    /// way, else 1. With 0 it is not waited for.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = length::parse)]
    pub(crate) wait: Duration,
}

/// About deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryVerb {
    /// List deliveries, the newest first.
    #[command(visible_alias = "ls")]
    List {
        /// Only those on this channel.
        #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        channel: Option<String>,
        /// Only those in this state.
        #[arg(long, value_enum, value_name = "STATE")]
        state: Option<DeliveryStateName>,
        #[command(flatten)]
        rows: ListRows,
    },
    /// Show one, with what was said and what went wrong.
    #[command(visible_alias = "get")]
    Show {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Send again what did not arrive, or of which that cannot be told; parts that arrived are left out.
    #[command(after_help = "\
Look at it first: what is `unknown` may have arrived, and is then told twice.")]
    Retry {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Give up what did not arrive, or has not left yet; what waited behind it goes on.
    Discard {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        removal: Removal,
    },
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum DeliveryStateName {
    /// It waits to be sent.
    Waiting,
    /// It is being sent.
    Sending,
    /// It arrived.
    Sent,
    /// Some of its parts arrived.
    Partial,
    /// Whether it arrived cannot be told.
    Unknown,
    /// It did not arrive.
    Dead,
    /// Somebody gave it up.
    Discarded,
}

/// About what conversations are told.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    /// Tell a conversation of something; its agent has a turn if it is idle.
    #[command(after_help = "\
Examples:
  openclaw system event --text 'The backup has failed.' --context backup
  openclaw system event --text 'The door is open.' --session explicit:house --wait 1m")]
    Event(Box<EventArgs>),
    /// Show what has become of an event.
    #[command(visible_aliases = ["event-status", "get"])]
    Show {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Have a conversation take in what waits for it.
    Wake {
        /// The conversation, by its full or short key. Else the agent's main one.
        #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
        session: Option<String>,
        /// The agent that a short key belongs to.
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
    },
}

/// What has happened, and who is told.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(crate) struct EventArgs {
    /// What has happened; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
    /// The conversation, by its full or short key. Else the agent's main one.
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) session: Option<String>,
    /// The agent that a short key belongs to.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// What it is about: of the same words about the same thing, one waits.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) context: Option<String>,
    /// Names the event, so that telling it again finds it instead of telling another.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Wait until the conversation was told: exit code 0 when it was, 75 when it was not yet, else 1.
    /// With 0 it is not waited for.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = length::parse)]
    pub(crate) wait: Duration,
}
