//! `ci`: every check that a change must pass, in one order, each with its time.

use std::{num::NonZeroU32, time::Instant};

use anyhow::Context as _;

use crate::{
    fuzz, testing, tidy,
    workspace::{Workspace, run as run_command},
};

/// How long each fuzz target runs: enough for the seeds and some million changes of them.
const FUZZ_SECONDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// Whether licenses and sources are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deny {
    Check,
    Skip,
}

/// Runs the checks and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, deny: Deny) -> anyhow::Result<()> {
    let cargo = |args: &[&str]| run_command(workspace.cargo().args(args));
    let start = now();
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("tidy", || tidy::run(workspace))?;
    step("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("tests: cargo xtask test", || testing::run(workspace, &[]))?;
    step("documentation", || {
        let mut doc = workspace.cargo();
        doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        run_command(&mut doc)
    })?;
    step("fuzzing", || fuzz::run(workspace, None, FUZZ_SECONDS))?;
    match deny {
        Deny::Check => step("licenses and sources", || {
            cargo(&["deny", "check", "bans", "licenses", "sources"])
        })?,
        Deny::Skip => println!("== licenses and sources: left out"),
    }
    println!("== everything holds, in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn step(name: &str, check: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("== {name}");
    let start = now();
    check().with_context(|| format!("{name} failed"))?;
    println!("== {name}: ok, in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a build is timed by the wall clock")]
fn now() -> Instant {
    Instant::now()
}
