//! `fuzz`: feeds the parsers of what strangers send with changed input, for a bounded time.
//!
//! It needs no nightly compiler: the targets run without a sanitizer, for there is no `unsafe` in what
//! they call. What they find are panics, broken promises and inputs that take too long.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::workspace::{self, Workspace};

/// The package of the targets, with its own workspace and lock file.
const PACKAGE: &str = "fuzz";
/// What builds and runs them, installed when it is not there.
const TOOL: &str = "cargo-fuzz@0.13.2";
/// How long one input may take.
const TIMEOUT: &str = "-timeout=5";

/// What is read of the package's manifest.
#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Runs one target, or all of them one after the other, each for so many seconds.
pub(crate) fn run(
    workspace: &Workspace,
    target: Option<&str>,
    seconds: NonZeroU32,
) -> anyhow::Result<()> {
    let targets = chosen(&targets(workspace.root())?, target)?;
    install(workspace)?;
    let build = workspace.metadata()?.target_directory.join(PACKAGE);
    for target in targets {
        fuzz(workspace, &build, &target, seconds)?;
    }
    Ok(())
}

/// The names of the targets, from the manifest.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let path = root.join(PACKAGE).join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest: Manifest = toml::from_str(&text)?;
    Ok(manifest.bin.into_iter().map(|target| target.name).collect())
}

fn chosen(targets: &[String], target: Option<&str>) -> anyhow::Result<Vec<String>> {
    match target {
        None => Ok(targets.to_vec()),
        Some(name) if targets.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("no target `{name}`: there are {}", targets.join(", ")),
    }
}

fn install(workspace: &Workspace) -> anyhow::Result<()> {
    let mut version = workspace.cargo();
    version.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    workspace::run(workspace.cargo().args(["install", "--debug", "--locked", TOOL]))
}

/// Builds one target and runs it. What it learns goes to the build directory: the seeds in the tree
/// stay as they are.
fn fuzz(
    workspace: &Workspace,
    build: &Path,
    target: &str,
    seconds: NonZeroU32,
) -> anyhow::Result<()> {
    let package = workspace.root().join(PACKAGE);
    let learned = build.join("corpus").join(target);
    fs::create_dir_all(&learned).with_context(|| format!("cannot make `{}`", learned.display()))?;
    let broken = package.join("artifacts").join(target);
    let before = files(&broken);
    let mut command = workspace.cargo();
    command.args(["fuzz", "run", "--sanitizer", "none", "--target-dir"]).arg(build).arg(target);
    command.arg(&learned).arg(package.join("corpus").join(target));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    command.args([TIMEOUT, "-verbosity=0", "-print_final_stats=1"]);
    let result = workspace::run(&mut command);
    let new = files(&broken).into_iter().find(|file| !before.contains(file));
    match new {
        Some(input) => {
            let input = workspace.relative(&input).display().to_string();
            result.with_context(|| format!("`{target}` is broken by the input in `{input}`"))
        }
        None => result.with_context(|| format!("`{target}` could not be built or run")),
    }
}

/// The files in a directory, which need not be there.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_source_and_seeds() {
        let root = Workspace::find().unwrap().root().join(PACKAGE);
        let targets = targets(root.parent().unwrap()).unwrap();
        assert_eq!(targets, ["claim", "invitation", "key"]);
        for target in &targets {
            assert!(root.join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
            assert!(!files(&root.join("corpus").join(target)).is_empty(), "{target}");
        }
        assert_eq!(chosen(&targets, None).unwrap(), targets);
        assert_eq!(chosen(&targets, Some("key")).unwrap(), ["key"]);
        let error = chosen(&targets, Some("keys")).unwrap_err().to_string();
        assert_eq!(error, "no target `keys`: there are claim, invitation, key");
    }
}
