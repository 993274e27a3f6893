//! Verbs about authority: access, tokens, security, and connecting to another machine's gateway.

use std::time::Duration;

use clap::{Args, Subcommand};
use openclaw_client::{Address, InvitationCode};

use super::{Removal, Scopes};
use crate::length;

/// About authority.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessVerb {
    /// Explain what a method requires, what is held, and what is missing.
    Explain {
        /// The method: its public name (sessions.list) or its gRPC path.
        method: String,
        /// About whom: owner, system:NAME, run:ID, token:ID, or a device's id or the beginning of it.
        /// Else about oneself.
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Only what the policy says on these targets, as in its column WHEN.
        #[arg(long, value_name = "WHEN")]
        target: Option<String>,
    },
    /// Show what somebody may do now, and where each part of it comes from.
    Show {
        /// About whom: owner, token:ID, or a device's id or the beginning of it. Else about oneself.
        principal: Option<String>,
    },
}

/// About commands of agents that somebody has to approve.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsVerb {
    /// List what waits for an answer.
    #[command(visible_alias = "ls")]
    List {
        /// Those that were answered or have lapsed, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one whole: the command, the program that runs, where, and on whose behalf.
    Show {
        /// The approval.
        id: String,
    },
    /// Let exactly this be done: the program, its arguments, where, and with which environment.
    Approve {
        /// The approval.
        id: String,
        /// For good: the agent is not asked for the same again, on behalf of the same holder.
        #[arg(long)]
        always: bool,
    },
    /// Turn it down.
    Deny {
        /// The approval.
        id: String,
        /// Why, for the agent.
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true,
            allow_hyphen_values = true
        )]
        reason: String,
    },
    /// List what is approved for good.
    Standing,
    /// Withdraw an approval for good.
    #[command(visible_aliases = ["rm", "remove", "delete"])]
    Revoke {
        /// The approval for good.
        id: String,
        #[command(flatten)]
        removal: Removal,
    },
}

/// About API tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensVerb {
    /// Issue a token. Its secret is printed once, on standard output.
    #[command(after_help = "\
Example:
  openclaw tokens create --name ci --scopes operator.read --ttl 30d > ~/.config/ci-token

A program uses it as OPENCLAW_GATEWAY_TOKEN, or as `authorization: Bearer …` metadata.")]
    Create {
        /// What people call it: lower-case letters, digits, `-` and `_`.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        scopes: Scopes,
        /// How long it is good, for example 30d; at most 366d.
        #[arg(long, value_name = "TIME", value_parser = length::parse)]
        ttl: Duration,
    },
    /// List the tokens, without their secrets.
    #[command(visible_alias = "ls")]
    List,
    /// Withdraw a token at once.
    #[command(visible_aliases = ["rm", "remove", "delete"])]
    Revoke {
        /// Its name or id.
        name: String,
        #[command(flatten)]
        removal: Removal,
    },
}

/// About what weakens the gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum SecurityVerb {
    /// Look for stale and broad grants, weak permissions and an exposed listener: exit code 1 when
    /// something should be mended.
    Audit,
}

/// To which gateway to connect, and by what.
#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// An invitation's link, or https://HOST:PORT with --code or --fingerprint.
    #[arg(id = "link", value_name = "LINK")]
    pub(crate) place: Option<String>,
    /// An invitation's code.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<InvitationCode>,
    /// Where the gateway is reached, instead of what the link says; may be repeated.
    #[arg(long = "address", value_name = "HOST:PORT")]
    pub(crate) addresses: Vec<Address>,
    /// What the gateway is called here. Else its host.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What this device calls itself. Else the name of this machine.
    #[arg(long, value_name = "TEXT")]
    pub(crate) device_name: Option<String>,
    #[command(flatten)]
    pub(crate) scopes: Scopes,
    /// How long to wait for an approval.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = length::parse)]
    pub(crate) wait: Duration,
}
