//! Verbs about the channels on which the gateway speaks, and the people there.

use clap::builder::NonEmptyStringValueParser;
use clap::{Subcommand, ValueEnum};

use super::Removal;

/// About channels.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsVerb {
    /// List the channels: platform, account, and whether they are switched on.
    #[command(visible_alias = "ls")]
    List,
    /// Show how the channels are doing.
    Status,
    /// Add a chat platform to the configuration file, and begin to speak on it.
    #[command(after_help = "\
Example:
  openclaw channels add telegram --token-env TELEGRAM_TOKEN

The file holds the name of the variable, never the token. The gateway looks the variable up in its own
environment, as it was when it started: if it is not set there, set it and restart the gateway.")]
    Add {
        /// The platform.
        #[arg(value_enum)]
        channel: PlatformName,
        /// The environment variable of the gateway that holds the bot's token.
        #[arg(long, value_name = "VAR", required_unless_present = "token")]
        token_env: Option<String>,
        /// Refused: what stands on a command line is no secret.
        #[arg(long, hide = true, conflicts_with = "token_env")]
        token: Option<String>,
        /// Who may write direct messages. Else pairing.
        #[arg(long, value_enum, value_name = "POLICY")]
        dm_policy: Option<DmPolicyName>,
    },
    /// Have a channel speak again that was stopped or has failed.
    Start {
        /// The channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: String,
    },
    /// Have a channel hear and send nothing; what is to be sent waits.
    #[command(after_help = "\
It is not written down: the next start of the gateway starts the channel, too. To switch it off for good, set
channels.<id>.enabled = false in openclaw.toml.")]
    Stop {
        /// The channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: String,
    },
    /// Show what has happened on a channel lately, the newest last: connections, messages and deliveries by
    /// their ids, and never what was said.
    #[command(after_help = "\
The gateway keeps the last 200 lines of each channel in memory, from its start on.")]
    Logs {
        /// The channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: String,
        /// At most so many lines.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
}

/// A chat platform.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum PlatformName {
    /// Discord.
    Discord,
    /// Telegram.
    Telegram,
}

impl PlatformName {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Telegram => "telegram",
        }
    }
}

/// Who may write direct messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum DmPolicyName {
    /// Those who are listed or were approved; others are given a code that somebody can approve.
    Pairing,
    /// Those who are listed or were approved.
    Allowlist,
    /// Nobody.
    Disabled,
}

impl DmPolicyName {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::Disabled => "disabled",
            Self::Pairing => "pairing",
        }
    }
}

/// About people in chats.
#[derive(Debug, Subcommand)]
pub(crate) enum PairingVerb {
    /// List who asked to write direct messages, and who was approved.
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: Option<String>,
    },
    /// Let somebody in who asked: their direct messages are answered from then on.
    #[command(after_help = "\
Examples:
  openclaw pairing approve telegram 7K2Q9XBD
  openclaw pairing approve telegram 7K2Q9XBD --owner
  openclaw pairing approve telegram 123456789 --owner

They are no owner by that, unless it is said: with --owner, which needs operator.admin, or as the answer on a
terminal while the gateway has no owner in chats.")]
    Approve {
        /// The channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: String,
        /// The code that they were given; with --owner also the id of somebody who was approved before.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        code: String,
        /// Let them share the agent's main conversation with whoever else may write: for
        /// `session.dmScope = "main"`.
        #[arg(long)]
        share_main: bool,
        /// Make them an owner, too: their turns act for the owner of the gateway.
        #[arg(long, conflicts_with = "no_owner")]
        owner: bool,
        /// Do not ask whether they are to be an owner.
        #[arg(long)]
        no_owner: bool,
    },
    /// Take an approval back, or turn a request down.
    #[command(visible_aliases = ["rm", "delete", "reject"])]
    Remove {
        /// The channel.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        channel: String,
        /// The id that the platform has for them, or the code of a request.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        sender: String,
        #[command(flatten)]
        removal: Removal,
    },
}
