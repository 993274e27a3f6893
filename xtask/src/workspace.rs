//! Where the workspace is, which packages it has, and how cargo is called in it.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// The workspace that this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// The two programs of the workspace, as they were built.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) gateway: PathBuf,
    pub(crate) openclaw: PathBuf,
}

/// How the programs are built.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// What `cargo metadata` says about the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) name: String,
}

/// A dependency that a manifest names.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// Absent, `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
}

#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    target: Option<ArtifactTarget>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
}

impl Workspace {
    /// Finds the workspace from the package that cargo runs.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = match package.as_deref().and_then(Path::parent) {
            Some(root) => root.to_owned(),
            None => env::current_dir()?,
        };
        if !root.join("Cargo.lock").is_file() {
            bail!("`{}` is not the workspace; run `cargo xtask` inside it", root.display());
        }
        Ok(Self { root })
    }

    /// The directory that holds the workspace's manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path as a reader in the workspace would type it.
    pub(crate) fn relative<'path>(&self, path: &'path Path) -> &'path Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// A call of cargo in the workspace.
    ///
    /// It does not hand on what `cargo run` told this program about its own package: some build
    /// scripts watch those variables and would run again.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let own = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_")
                    || name.starts_with("CARGO_MANIFEST_")
                    || name.starts_with("CARGO_BIN_")
                    || name == "CARGO_CRATE_NAME"
                    || name == "CARGO_PRIMARY_PACKAGE"
                    || name == "OUT_DIR"
            });
            if own {
                command.env_remove(name);
            }
        }
        command
    }

    /// Reads what cargo knows about the packages, without the network.
    pub(crate) fn metadata(&self) -> anyhow::Result<Metadata> {
        let output = self
            .cargo()
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run `cargo metadata`")?;
        if !output.status.success() {
            bail!("`cargo metadata` ended with {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("cannot read the output of `cargo metadata`")
    }

    /// Builds the two programs and says where they are.
    pub(crate) fn build(&self, profile: Profile) -> anyhow::Result<Programs> {
        let mut command = self.cargo();
        command.args(["build", "--package", "openclaw", "--package", "openclaw-gateway-daemon"]);
        command.args(["--bins", "--message-format", "json-render-diagnostics"]);
        match profile {
            Profile::Dev => {}
            Profile::Release => {
                command.arg("--release");
            }
        }
        let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("the build failed: {}", output.status);
        }
        let messages = String::from_utf8(output.stdout).context("cargo wrote no text")?;
        let built = |name: &str| {
            messages
                .lines()
                .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
                .filter(|artifact| artifact.target.as_ref().is_some_and(|it| it.name == name))
                .find_map(|artifact| artifact.executable)
                .with_context(|| format!("cargo built no program `{name}`"))
        };
        Ok(Programs { gateway: built("openclaw-gateway")?, openclaw: built("openclaw")? })
    }
}

/// Shows a command, runs it, and fails when it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", Shown(command));
    let status = command.status().with_context(|| format!("cannot run `{}`", Shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", Shown(command));
    }
    Ok(())
}

/// A command as a reader would type it.
struct Shown<'command>(&'command Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(self.0.get_program());
        write!(f, "{}", program.file_name().unwrap_or(program.as_os_str()).display())?;
        self.0.get_args().try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}
