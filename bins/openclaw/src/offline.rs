//! What needs no gateway, or starts one: the daemon's program beside this one does it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;

/// The name of the daemon's program.
const DAEMON: &str = "openclaw-gateway";

/// Becomes the daemon's program, which decides the exit code; returns only when that fails.
pub(crate) fn become_daemon(
    place: &Place,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Infallible, Failure> {
    let program = beside()?;
    let mut command = Command::new(&program);
    command.arg("--state-dir").arg(place.state_dir()).args(arguments);
    let error = command.exec();
    let cause = format!("cannot run `{}`: {error}", program.display());
    Err(Failure::advised(Exit::Configuration, cause, "install both programs in one directory"))
}

/// Becomes the daemon's program for a verb that needs no gateway, and shows in the same form.
pub(crate) fn hand_over<A: Into<OsString>>(
    place: &Place,
    verb: impl IntoIterator<Item = A>,
    output: &Output,
) -> Result<Infallible, Failure> {
    let json = (output.format() == Format::Json).then(|| "--json".into());
    let verb = verb.into_iter().map(Into::into);
    become_daemon(place, std::iter::once("offline".into()).chain(verb).chain(json))
}

/// Finds the daemon's program beside this one.
fn beside() -> Result<PathBuf, Failure> {
    std::env::current_exe().map(|own| own.with_file_name(DAEMON)).map_err(|error| {
        let cause = format!("cannot find `{DAEMON}` beside this program: {error}");
        Failure::told(Exit::Configuration, cause)
    })
}
