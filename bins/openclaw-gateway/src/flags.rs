//! What the daemon can be told on its command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

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
