//! Verbs about devices.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use openclaw_client::{Address, RequestRef};
use openclaw_scopes::{Scope, ScopeSet};

use super::Removal;
use crate::length;

/// Scopes, as repeated `--scope S` or as `--scopes a,b`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Scopes {
    /// A scope; more of them by repeating the flag.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = Scope::parse)]
    each: Vec<Scope>,
    /// Scopes with commas between.
    #[arg(long = "scopes", value_name = "SCOPES", value_parser = scopes)]
    lists: Vec<ScopeSet>,
}

impl Scopes {
    /// Returns what was named, exactly; `None` when nothing was.
    pub(crate) fn chosen(&self) -> Option<ScopeSet> {
        let each = self.each.iter().fold(ScopeSet::EMPTY, |set, scope| set.with(*scope));
        let chosen = self.lists.iter().fold(each, |set, list| set.union(*list));
        Some(chosen).filter(|chosen| !chosen.is_empty())
    }
}

fn scopes(text: &str) -> Result<ScopeSet, String> {
    match ScopeSet::parse(text) {
        Ok(scopes) if scopes.is_empty() => Err("it names no scope".to_owned()),
        Ok(scopes) => Ok(scopes),
        Err(unknown) => Err(unknown.to_string()),
    }
}

/// Which device: as an argument, or as a flag.
#[derive(Args, Clone, Debug)]
#[group(id = "which", required = true, multiple = false)]
pub(crate) struct DeviceArg {
    /// The device: its id, or the beginning of it.
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    /// The same.
    #[arg(long = "device", id = "device_flag", value_name = "ID")]
    flag: Option<String>,
}

impl DeviceArg {
    /// Returns what was named.
    pub(crate) fn text(&self) -> String {
        self.device.clone().or_else(|| self.flag.clone()).unwrap_or_default()
    }
}

/// What a device was approved as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum RoleName {
    /// Offers capabilities of its machine.
    Node,
    /// Operates the gateway.
    #[default]
    Operator,
}

impl RoleName {
    /// Returns the name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }
}

/// About devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DevicesVerb {
    /// List devices, and the requests that wait: what was approved against what is asked for.
    #[command(visible_alias = "ls")]
    List {
        /// Only the own device, which needs no scope.
        #[arg(long, conflicts_with = "offline")]
        own: bool,
        /// Without a gateway, on this machine.
        #[arg(long)]
        offline: bool,
    },
    /// List the requests that wait for a decision.
    Pending,
    /// Show one device.
    Show {
        #[command(flatten)]
        device: DeviceArg,
    },
    /// Grant what a request asks for, or a part of it.
    #[command(after_help = "\
Examples:
  openclaw devices pending
  openclaw devices approve 7f3a@1
  openclaw devices approve 7f3a@2 --scopes operator.read,operator.write

Without scopes a new device gets what it asks for of operator.read and operator.write, never more;
for a device that asks for more than it has, name the scopes.")]
    Approve(ApproveArgs),
    /// Turn a request down.
    Reject {
        /// The request: ID, or ID@REVISION.
        request: RequestRef,
    },
    /// End a device's tokens, and set what its next ones carry. The device goes on with its key.
    #[command(after_help = "\
Examples:
  openclaw devices rotate 21fe31
  openclaw devices rotate --device 21fe31 --scope operator.read --scope operator.approvals

Without scopes the next tokens carry what the former did. More than was approved needs an approval.")]
    Rotate {
        #[command(flatten)]
        device: DeviceArg,
        /// The role whose tokens end.
        #[arg(long, value_enum, value_name = "ROLE", default_value_t)]
        role: RoleName,
        #[command(flatten)]
        scopes: Scopes,
        /// Let the next tokens carry nothing.
        #[arg(long, conflicts_with_all = ["each", "lists"])]
        no_scopes: bool,
    },
    /// Withdraw a device's authority at once; with --all that of everybody but the owner.
    #[command(group = ArgGroup::new("whose").required(true).multiple(false))]
    Revoke {
        /// The device: its id, or the beginning of it.
        #[arg(group = "whose", value_name = "DEVICE")]
        device: Option<String>,
        /// The same.
        #[arg(long = "device", id = "device_flag", group = "whose", value_name = "ID")]
        flag: Option<String>,
        /// Every device, token and invitation, and turn down every request: for an emergency.
        #[arg(long, group = "whose")]
        all: bool,
        /// The role that is withdrawn.
        #[arg(long, value_enum, value_name = "ROLE", default_value_t)]
        role: RoleName,
        /// Without a gateway, on this machine.
        #[arg(long, conflicts_with = "dry_run")]
        offline: bool,
        #[command(flatten)]
        removal: Removal,
    },
    /// Forget a device; it has to pair again.
    #[command(visible_aliases = ["rm", "delete"])]
    Remove {
        #[command(flatten)]
        device: DeviceArg,
        #[command(flatten)]
        removal: Removal,
    },
    /// Change what a device is called here.
    Rename {
        /// The device and its label, or the label alone with --device.
        #[arg(id = "device label", value_name = "DEVICE", num_args = 1..=2, required = true)]
        device_and_label: Vec<String>,
        /// The device: its id, or the beginning of it.
        #[arg(long, value_name = "ID")]
        device: Option<String>,
    },
    /// Make an invitation, with which one device pairs once: a link, a code, and a QR code.
    Invite {
        /// What the device will be approved for. Else operator.read and operator.write.
        #[command(flatten)]
        scopes: Scopes,
        /// How long it is good.
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = length::parse)]
        ttl: Duration,
        /// Where the gateway is reached, instead of what it knows of itself; may be repeated.
        #[arg(long = "address", value_name = "HOST:PORT")]
        addresses: Vec<Address>,
    },
    /// List the invitations that nobody has used yet.
    Invitations,
    /// Withdraw an invitation that nobody has used yet.
    Uninvite {
        /// The invitation's id, as `devices invitations` shows it.
        invitation: String,
        #[command(flatten)]
        removal: Removal,
    },
    /// Ask to have more approved for the own device.
    Upgrade {
        #[command(flatten)]
        scopes: Scopes,
        /// Wait for the decision, at most this long. Else 10m.
        #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10m", value_parser = length::parse)]
        wait: Option<Duration>,
    },
}

/// What to approve.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApproveArgs {
    /// The request: ID@REVISION, as `devices pending` shows it.
    pub(crate) request: RequestRef,
    #[command(flatten)]
    pub(crate) scopes: Scopes,
    /// Grant all of what is asked for.
    #[arg(long, conflicts_with_all = ["each", "lists"])]
    pub(crate) all_requested: bool,
    /// Without a gateway, on this machine.
    #[arg(long, conflicts_with = "all_requested")]
    pub(crate) offline: bool,
}
