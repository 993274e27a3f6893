//! The project's own tasks: `cargo xtask up`, `test`, `sim`, `fuzz`, `tidy`, `policy`, `bench` and `ci`.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a tool speaks on its terminal")]

mod bench;
mod ci;
mod environment;
mod fuzz;
mod policy;
mod sim;
mod testing;
mod tidy;
mod up;
mod workspace;

use std::{
    num::{NonZeroU32, NonZeroU64},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The tasks of the OpenClaw Gateway workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Build the release programs, measure them beside their limits, and write docs/benchmarks.md.
    Bench {
        /// Narrows or lengthens the run; passed to the benchmark as it stands (`--help` tells).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every check that a change must pass, in the order of the build server.
    Ci {
        /// Leave out the check of licenses and sources, which needs cargo-deny.
        #[arg(long)]
        skip_deny: bool,
    },
    /// Feed the parsers of foreign input with changed input; cargo-fuzz is installed when needed.
    Fuzz {
        /// How long each target runs.
        #[arg(long, value_name = "N", default_value = "10")]
        seconds: NonZeroU32,
        /// The only target to run.
        target: Option<String>,
    },
    /// Write docs/policy.md from the policy table.
    Policy {
        /// Only say whether the page is fresh.
        #[arg(long)]
        check: bool,
    },
    /// Walk at random over everything that hands out authority, beside an independent model.
    Sim {
        /// Where the walk begins; another one each time without it.
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// How many steps.
        #[arg(long, value_name = "N", default_value = "1000000")]
        steps: NonZeroU64,
    },
    /// Run the tests: with nextest where it is installed, otherwise with cargo test.
    Test {
        /// Narrows the run; passed to the test runner as it stands.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check the layers, sizes, headers, manifests and citations of the tree.
    Tidy,
    /// Build the release binaries, start a gateway in target/up and talk to it.
    Up {
        /// End the gateway after the first answer.
        #[arg(long)]
        once: bool,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Bench { args } => bench::run(&workspace, &args),
        Task::Ci { skip_deny: false } => ci::run(&workspace, ci::Deny::Check),
        Task::Ci { skip_deny: true } => ci::run(&workspace, ci::Deny::Skip),
        Task::Fuzz { seconds, target } => fuzz::run(&workspace, target.as_deref(), seconds),
        Task::Policy { check: false } => policy::run(&workspace, policy::Mode::Write),
        Task::Policy { check: true } => policy::run(&workspace, policy::Mode::Check),
        Task::Sim { seed, steps } => sim::run(&workspace, seed, steps),
        Task::Test { args } => testing::run(&workspace, &args),
        Task::Tidy => tidy::run(&workspace),
        Task::Up { once: false } => up::run(&workspace, up::Ending::Interrupt),
        Task::Up { once: true } => up::run(&workspace, up::Ending::FirstAnswer),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, Workspace};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configurations_of_the_readme_are_accepted() {
        let root = Workspace::find().unwrap().root().to_owned();
        let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
        let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let blocks = blocks.collect::<Vec<_>>();
        assert!(!blocks.is_empty());
        for block in blocks {
            let parsed = openclaw_config::parse(block);
            assert!(parsed.is_ok(), "{block}\n{parsed:?}");
        }
    }
}
