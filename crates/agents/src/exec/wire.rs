//! What gateway, OUTER and INNER tell each other: one JSON line each way, and from OUTER before it what the
//! command says meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// How far a command is kept from the rest of the machine.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// Not at all: it may do what the gateway's user may.
    Off,
    /// It reads the system, and reads and writes its workspace and a private directory.
    #[default]
    Workspace,
}

/// Whether a sandboxed command may use TCP. UDP is out of reach of this rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TcpMode {
    /// No connection, neither in nor out.
    Closed,
    /// As everybody else.
    #[default]
    Open,
}

/// The one line on a helper's standard input.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", tag = "stage")]
pub(super) enum Order {
    Inner(Box<CommandOrder>),
    Outer(Box<OuterOrder>),
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct OuterOrder {
    pub(super) command: CommandOrder,
    /// How OUTER starts INNER: the leading arguments of its own program.
    pub(super) helper_arguments: Vec<String>,
    /// Kept of the output: so many bytes of its head and as many of its tail.
    pub(super) output_bytes: usize,
    pub(super) temp_root: PathBuf,
    pub(super) time_limit_millis: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct CommandOrder {
    /// The program, by its whole path.
    pub(super) binary: PathBuf,
    /// Its arguments, the name that it is called by first.
    pub(super) argv: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) limits: Limits,
    /// The process that must still be the parent when the death signal is set. OUTER fills it in.
    pub(super) parent: i32,
    /// OUTER fills it in.
    pub(super) private_dir: PathBuf,
    /// What must not become readable even inside a system directory.
    pub(super) protected: Vec<PathBuf>,
    pub(super) sandbox: SandboxMode,
    pub(super) tcp: TcpMode,
    pub(super) workspace: PathBuf,
}

/// Why INNER could not become the command.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", tag = "failure")]
pub(super) enum InnerFailure {
    Sandbox { problem: String },
    Setup { problem: String },
}

/// What became of a command.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ended {
    /// It was told to stop, or the gateway went away.
    Canceled,
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It ran out of time.
    TimedOut,
}

/// What OUTER reports: what was said, as often as there is something, and one of the others before it exits.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub(super) enum Report {
    Ended(Finished),
    Failed(InnerFailure),
    Said(Piece),
}

/// A piece of what a command wrote while it runs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Piece {
    /// Bytes before it that were not kept: it wrote faster than anybody could read.
    pub(crate) dropped: u64,
    /// The text.
    pub(crate) text: String,
}

/// A command that ran, and what it said.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) ended: Ended,
    /// The bytes between head and tail that were not kept.
    pub(crate) dropped: u64,
    /// The first part of what it wrote to either stream.
    pub(crate) head: String,
    /// The last part.
    pub(crate) tail: String,
    /// Whether a process outlived the killing, because it hangs in the kernel.
    pub(crate) survivors: Survivors,
}

/// Whether everything was dead at the end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Survivors {
    /// Everything was.
    None,
    /// Something was not, and is the gateway's child now.
    Some,
}
