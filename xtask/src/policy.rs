//! `policy`: writes the table of what each method requires to `docs/policy.md`.

use std::fs;

use anyhow::{Context as _, bail};
use openclaw_scopes::policy;

use crate::workspace::Workspace;

/// Where the table is kept for readers and for review.
pub(crate) const PAGE: &str = "docs/policy.md";

/// Whether the page is written or only compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Check,
    Write,
}

/// Writes the page, or fails when it is not what would be written.
pub(crate) fn run(workspace: &Workspace, mode: Mode) -> anyhow::Result<()> {
    let path = workspace.root().join(PAGE);
    match mode {
        Mode::Check if is_fresh(fs::read_to_string(&path).ok().as_deref()) => Ok(()),
        Mode::Check => bail!("`{PAGE}` is not what the policy says: run `cargo xtask policy`"),
        Mode::Write => {
            fs::write(&path, policy::render()).with_context(|| format!("cannot write `{PAGE}`"))?;
            println!("wrote {PAGE}");
            Ok(())
        }
    }
}

/// Whether the page, if there is one, says what the policy says.
pub(crate) fn is_fresh(page: Option<&str>) -> bool {
    page == Some(policy::render().as_str())
}
