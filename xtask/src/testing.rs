//! `test`: builds the two programs, then runs every test of the workspace.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::{
    environment,
    workspace::{Profile, Workspace, run as run_command},
};

/// Runs the tests; `args` narrow the run and go to the test runner as they stand.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    // The end-to-end tests start real programs, which cargo does not build for another package.
    let programs = workspace.build(Profile::Dev)?;
    let directory = programs.gateway.parent().context("the program is in no directory")?;
    let prepare = |command: &mut Command| {
        for name in environment::withheld(&BTreeSet::new()) {
            command.env_remove(name);
        }
        command.env("OPENCLAW_TEST_BIN_DIR", directory);
    };

    let mut tests = workspace.cargo();
    prepare(&mut tests);
    let nextest = has_nextest(workspace);
    if nextest {
        tests.args(["nextest", "run"]);
    } else {
        println!("cargo-nextest is not installed: running `cargo test` instead");
        tests.arg("test");
    }
    if !names_packages(args) {
        tests.arg("--workspace");
    }
    run_command(tests.args(args))?;

    // `cargo test` has run them already, and a narrowed run names something else.
    if nextest && args.is_empty() {
        let mut doc_tests = workspace.cargo();
        prepare(&mut doc_tests);
        run_command(doc_tests.args(["test", "--doc", "--workspace"]))?;
    }
    Ok(())
}

fn has_nextest(workspace: &Workspace) -> bool {
    let mut version = workspace.cargo();
    version.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Whether the arguments choose packages, so that all of them would be too many.
fn names_packages(args: &[String]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package="))
}

#[cfg(test)]
mod tests {
    use super::names_packages;

    #[test]
    #[rustfmt::skip]
    fn packages_are_recognized() {
        for (args, expected) in [
            (&["-p", "openclaw-scopes"][..],        true),
            (&["-popenclaw-scopes"],                true),
            (&["--package=openclaw-scopes", "law"], true),
            (&["crash"],                            false),
            (&["--", "-p"],                         false),
            (&[],                                   false),
        ] {
            let args = args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
            assert_eq!(names_packages(&args), expected, "{args:?}");
        }
    }
}
