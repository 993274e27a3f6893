//! Where the programs are, and where state may be made.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The programs under test, and a directory that goes away with this value.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) gateway: PathBuf,
    pub(crate) openclaw: PathBuf,
    /// This program: it is also the other side of some measurements.
    pub(crate) own: PathBuf,
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(dir: Option<&Path>, programs: Option<&Path>) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let programs = programs.or_else(|| own.parent()).context("this program has no place")?;
        let dir = match dir {
            Some(dir) => {
                std::fs::create_dir_all(dir)?;
                tempfile::tempdir_in(dir)?
            }
            None => tempfile::tempdir()?,
        };
        // A copy: a build that goes on meanwhile does not change what is measured.
        let copy = |program: &Path, name: &str| {
            let to = dir.path().join(format!("program-{name}"));
            let copied = std::fs::copy(program, &to);
            copied.with_context(|| format!("`{}` is not built", program.display()))?;
            anyhow::Ok(to)
        };
        Ok(Self {
            gateway: copy(&programs.join("openclaw-gateway"), "openclaw-gateway")?,
            openclaw: copy(&programs.join("openclaw"), "openclaw")?,
            own: copy(&own, "openclaw-bench")?,
            dir,
        })
    }

    /// Makes a fresh state directory.
    pub(crate) fn state(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.path().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot create `{}`", path.display()))?;
        Ok(path)
    }
}
