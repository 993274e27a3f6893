//! What the daemon can be told on its command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use openclaw_scopes::ScopeSet;

/// The always-on daemon that owns an assistant's authority, conversations and work.
///
/// It runs in the foreground until SIGTERM or SIGINT, then finishes what runs and exits: 0 when all
/// was finished, 75 when runs had to be interrupted, 78 when the configuration or the state
/// directory cannot be used, 1 on any other failure.
#[derive(Debug, Parser)]
#[command(name = "openclaw-gateway", version)]
pub(crate) struct Flags {
    /// The directory that holds all state [default: ~/.openclaw].
    #[arg(long, value_name = "DIR", env = "OPENCLAW_STATE_DIR", global = true)]
    pub(crate) state_dir: Option<PathBuf>,

    /// The configuration file [default: openclaw.toml in the state directory].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// What is logged: a level, or `target=level` pairs with commas between.
    #[arg(
        long,
        value_name = "FILTER",
        env = "OPENCLAW_LOG",
        default_value = "info",
        global = true
    )]
    pub(crate) log: String,

    /// How log lines look [default: pretty on a terminal, json otherwise].
    #[arg(long, value_name = "FORMAT", global = true)]
    pub(crate) log_format: Option<LogFormat>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What works without a running gateway; `openclaw` calls it.
    #[command(subcommand)]
    Offline(OfflineVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfflineVerb {
    /// The decision log.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Devices: what the owner of the state directory can always do.
    #[command(subcommand)]
    Devices(DevicesVerb),
    /// Prints by what devices know this gateway.
    Fingerprint {
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevicesVerb {
    /// Lists devices, and the requests that wait.
    List {
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Grants a request, or a part of it.
    Approve {
        /// The request, as ID@REVISION.
        request: String,
        /// The scopes that are granted, with commas between.
        #[arg(long, value_name = "SCOPES", value_parser = parse_scopes)]
        scopes: ScopeSet,
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Withdraws a device's authority, or everything that was handed out.
    Revoke {
        /// The device's id, or the beginning of it.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        device: Option<String>,
        /// Every device, token and invitation.
        #[arg(long)]
        all: bool,
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
}

fn parse_scopes(text: &str) -> Result<ScopeSet, String> {
    ScopeSet::parse(text).map_err(|unknown| unknown.to_string())
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Recomputes the chain; exit code 1 when it does not hold.
    Verify {
        /// A head that was logged or exported before, as SEQUENCE:DIGEST.
        #[arg(long)]
        head: Option<String>,
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Reads the file and tells what is wrong with it; exit code 78 when something is.
    Check {
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Prints the effective configuration, secrets as references only.
    Show {
        /// Prints one JSON document.
        #[arg(long)]
        json: bool,
    },
}
