//! `sim`: a long random walk over everything that hands out authority, beside an independent model.

use std::{num::NonZeroU64, process::Command};

use anyhow::Context as _;

use crate::workspace::{self, Workspace};

/// The test that walks; without wishes it makes a few thousand steps.
const TEST: &str = "authority_never_grows";
/// What it is told its wishes with, and prints for whoever wants to see a walk again.
const SEED: &str = "OPENCLAW_SIM_SEED";
const STEPS: &str = "OPENCLAW_SIM_STEPS";

/// Walks so many steps from a seed, or from another one each time.
pub(crate) fn run(
    workspace: &Workspace,
    seed: Option<u64>,
    steps: NonZeroU64,
) -> anyhow::Result<()> {
    println!("A million steps take some minutes; what went wrong is told with its seed.");
    workspace::run(&mut walk(workspace, seed, steps))
        .context("a walk found something: its last lines tell which actions led there")
}

/// With optimizations: a long walk is more than twice as fast, and the build takes a minute or two once.
fn walk(workspace: &Workspace, seed: Option<u64>, steps: NonZeroU64) -> Command {
    let mut command = workspace.cargo();
    command.args(["test", "--release", "--package", "openclaw-store", "--lib", TEST]);
    command.args(["--", "--nocapture"]);
    command.env(STEPS, steps.to_string());
    match seed {
        Some(seed) => command.env(SEED, seed.to_string()),
        None => command.env_remove(SEED),
    };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_reads_what_it_is_told() {
        let workspace = Workspace::find().unwrap();
        let test = workspace.root().join("crates/store/src/tests/authority.rs");
        let test = std::fs::read_to_string(test).unwrap();
        for name in [TEST, SEED, STEPS] {
            assert!(test.contains(name), "{name}");
        }
        let command = walk(&workspace, Some(7), NonZeroU64::MIN);
        let told: Vec<_> = command.get_envs().filter(|(name, _)| *name == SEED).collect();
        assert_eq!(told, [(SEED.as_ref(), Some("7".as_ref()))]);
    }
}
