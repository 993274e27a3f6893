//! The daemon: flags, logging, signals and exit codes; all else is in `openclaw-gateway`.

mod devices;
mod flags;
mod log;
mod offline;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use crate::flags::{Command, Flags};

fn main() -> ExitCode {
    // First of all, before threads and logs: a helper is a small process of its own.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "exec-helper") {
        return openclaw_agents::exec::helper_main();
    }
    let flags = Flags::parse();
    match &flags.command {
        None => serve::run(&flags),
        Some(Command::Offline(verb)) => offline::run(&flags, verb),
    }
}
