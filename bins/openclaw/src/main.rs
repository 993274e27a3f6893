//! The command line of the gateway: one more client, with no authority of its own.
//!
//! **Invariant:** no turn runs in this program and no store is opened by it. What works without a
//! gateway is done by the daemon's program, which this one becomes.

mod cli;
mod contexts;
#[cfg(test)]
mod docs;
mod exit;
mod failure;
mod json;
mod length;
mod looks;
mod offline;
mod output;
mod pages;
mod place;
mod reach;
mod screen;
mod table;
mod turn;
mod verb;
mod wish;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Color, Format, Output};
use crate::place::{Environment, Place};

fn main() -> ExitCode {
    let is_plain = std::env::args_os().any(|arg| arg == "--no-color")
        || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (color, choice) = if is_plain {
        (Color::Never, ColorChoice::Never)
    } else {
        (Color::Auto, ColorChoice::Auto)
    };
    let matches = Cli::command().color(choice).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to say it to when this fails.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    let format = if cli.global.json { Format::Json } else { Format::Human };
    let mut output = Output::standard(format, color);
    run(cli, &mut output).into()
}

fn run(cli: Cli, output: &mut Output) -> Exit {
    let Cli { global, verb } = cli;
    let place = match Place::find(&global, Environment::read()) {
        Ok(place) => place,
        Err(failure) => return output.fail(&failure, ""),
    };
    let start = place.command("gateway run");
    match verb::run(verb, &place, output) {
        Ok(exit) => exit,
        Err(failure) => output.fail(&failure, &start),
    }
}

/// Runs a verb that talks to the gateway.
fn block_on<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut threads = tokio::runtime::Builder::new_current_thread();
    let runtime = threads.enable_all().build()?;
    let done = runtime.block_on(verb);
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    done
}
