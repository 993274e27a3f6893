//! `bench`: builds the release programs and measures them beside the limits of the machine.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::workspace::{self, Profile, Workspace};

/// Where the figures are kept for readers.
const PAGE: &str = "docs/benchmarks.md";
/// Why aims are missed, written by hand.
const NOTES: &str = "tests/bench/notes.md";

/// Measures, shows the table, and writes the page unless `args` narrow the run.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    println!("Building the release programs: some minutes the first time, seconds afterwards.");
    // As they are shipped: built without the benchmark, whose wishes must not change them.
    let programs = workspace.build(Profile::Release)?;
    let place = programs.gateway.parent().context("the programs have no directory")?;
    let state = workspace.metadata()?.target_directory.join("bench");
    let mut command = workspace.cargo();
    command.args(["run", "--release", "--quiet", "--package", "openclaw-bench", "--"]);
    command.arg("--programs").arg(place).arg("--dir").arg(state);
    command.args(["--out", PAGE, "--notes", NOTES, "--commit", &commit(workspace)?]);
    command.args(args);
    workspace::run(&mut command)
}

/// The commit that is checked out, with a mark when files differ from it.
fn commit(workspace: &Workspace) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude", "*"])
        .current_dir(workspace.root())
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("`git describe` ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
