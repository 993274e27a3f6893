//! INNER: gives up what the command must not have, then becomes the command.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::wire::{CommandOrder, InnerFailure, SandboxMode};
use super::{sandbox, syscalls};

/// Returns only when the command could not be started; the reason was told to OUTER then.
pub(super) fn run(order: &CommandOrder, mut control: UnixStream) -> ExitCode {
    let failure = prepare(order).err().unwrap_or_else(|| become_command(order));
    if let Ok(line) = serde_json::to_vec(&failure) {
        // Without OUTER nobody is interested.
        drop(control.write_all(&line));
    }
    ExitCode::FAILURE
}

fn setup(problem: impl std::fmt::Display) -> InnerFailure {
    InnerFailure::Setup { problem: problem.to_string() }
}

fn prepare(order: &CommandOrder) -> Result<(), InnerFailure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(setup)?;
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(order.parent) {
        return Err(setup("the parent is gone"));
    }
    order.limits.apply().map_err(setup)?;
    rustix::thread::set_no_new_privs(true).map_err(setup)?;
    match order.sandbox {
        SandboxMode::Off => Ok(()),
        SandboxMode::Workspace => {
            sandbox::drop_capabilities().map_err(setup)?;
            sandbox::restrict(order).map_err(|problem| InnerFailure::Sandbox { problem })?;
            syscalls::restrict().map_err(|problem| InnerFailure::Sandbox { problem })
        }
    }
}

/// Both streams of the command go where this process's standard error goes.
fn become_command(order: &CommandOrder) -> InnerFailure {
    let output = match std::io::stderr().as_fd().try_clone_to_owned() {
        Ok(output) => output,
        Err(error) => return setup(error),
    };
    let (name, arguments) =
        order.argv.split_first().map_or(("", [].as_slice()), |(name, rest)| (name.as_str(), rest));
    let error = Command::new(&order.binary)
        .arg0(name)
        .args(arguments)
        .current_dir(&order.cwd)
        .env_clear()
        .envs(&order.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .exec();
    setup(error)
}
