//! Runs commands of an agent in a process tree of their own that ends with them.
//!
//! ```text
//! gateway ──spawns──▶ OUTER ──spawns──▶ INNER ──becomes──▶ sh -c … ──▶ whatever it starts
//!    │  control socket   │ subreaper,      │ resource limits, no new privileges,
//!    │  = fd 0 of OUTER  │ own session     │ no capabilities, Landlock
//!    └─ end of file ────▶ kills all below, reaps, reports, exits
//! ```
//!
//! **Invariant:** OUTER never exits before everything below it is dead, whatever ends it: the command's
//! end, its time limit, the run's cancellation, or the gateway's death (the socket's other end closes,
//! also after `kill -9`). It has no death signal of its own on purpose: that signal would kill it
//! before it could kill the rest.

mod descendants;
mod inner;
mod limits;
mod outer;
mod output;
mod registry;
mod said;
mod sandbox;
mod supervise;
mod syscalls;
mod wire;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

pub use limits::Limits;
pub use registry::HelperRegistry;
pub use wire::{SandboxMode, TcpMode};

pub use said::Said;
pub use supervise::Process;

pub(crate) use supervise::{Ended, Finished, Job, JobError, Survivors, start};

/// The longest order, in bytes: a command of 128 KiB, its environment and its paths.
const MAX_ORDER: u64 = 1024 * 1024;

/// How to start the program that calls [`helper_main`] and nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HelperPath {
    /// The arguments that make the program call it, `exec-helper` for the daemon.
    pub arguments: Vec<String>,
    /// The program. `/proc/self/exe` is the running daemon, even when its file was replaced.
    pub program: PathBuf,
}

impl HelperPath {
    /// The running program itself, started with one leading argument.
    pub fn this_program(argument: &str) -> Self {
        Self { arguments: vec![argument.to_owned()], program: PathBuf::from("/proc/self/exe") }
    }

    fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.arguments.iter().map(OsString::from)
    }
}

/// Runs a helper stage. Which one, and what to run, comes in as one line on standard input.
///
/// Call it first thing in `main`, before threads, logging or an async runtime exist.
pub fn helper_main() -> ExitCode {
    match stage() {
        Ok(code) => code,
        Err(error) => {
            // Standard error is the only place left, and it may be gone too.
            drop(writeln!(std::io::stderr(), "exec-helper is started by the gateway: {error}"));
            ExitCode::from(64)
        }
    }
}

fn stage() -> std::io::Result<ExitCode> {
    // Owned by this value alone from here on; the descriptor closes at `exec`.
    let control = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut reader = BufReader::new(control.try_clone()?.take(MAX_ORDER));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match serde_json::from_str(&line)? {
        wire::Order::Inner(order) => Ok(inner::run(&order, control)),
        wire::Order::Outer(order) => outer::run(*order, control),
    }
}

#[cfg(test)]
mod tests;
