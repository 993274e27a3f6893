//! What must work without a running gateway: it takes the state lock and uses the same operations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_scopes::method::VerifyAudit;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{Cause, Denial, GrantHolder};
use openclaw_store::{
    ActError, AuditHead, OpenError, Options, Peek, Store, StoreError, Verification,
};

use crate::clock;
use crate::identity::Identity;
use crate::settings::{Presence, Settings, SettingsError};
use crate::state_dir::{StateDir, StateDirError};

/// Why a verb could not be done without a gateway.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The owner's own grant has ended.
    #[error("audit.verify was refused: {0}")]
    Denied(Denial),
    /// There is nothing to look at.
    #[error("`{}` holds no gateway's state: name the directory with `--state-dir`", .0.display())]
    NoStore(PathBuf),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The configuration is not right.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The state directory cannot be used; a running gateway holds it.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Recomputes the audit chain of a state directory, as its owner.
///
/// # Errors
/// When a gateway holds the directory, or it cannot be used.
pub async fn verify_audit(
    state_dir: &Path,
    known: Option<AuditHead>,
) -> Result<Verification, OfflineError> {
    // A verb that looks must not make what it looks for.
    if !state_dir.join("gateway.db").exists() {
        return Err(OfflineError::NoStore(state_dir.to_owned()));
    }
    let state_dir = StateDir::open(state_dir)?;
    let options = Options { clock: Arc::new(clock::now), max_pages: None };
    let store = Store::open(state_dir.path(), &options)?;
    let epoch =
        store.epoch(&GrantHolder::Owner)?.ok_or(OfflineError::Denied(Denial::GrantEnded))?;
    let Identity::Known(caller) = Identity::owner(state_dir.owner(), Cause::Request, epoch) else {
        return Err(OfflineError::Denied(Denial::GrantEnded));
    };
    let peeked = store.view(&caller, &Peek::<VerifyAudit>(Whole), clock::now()).await;
    let authorized = peeked.map_err(|error| match error {
        ActError::Denied(denial) => OfflineError::Denied(denial),
        ActError::Store(error) => OfflineError::Store(error),
        ActError::Failed(never) => match never {},
    })?;
    let (_, Whole) = authorized.into_parts();
    let verification = store.verify_audit(known)?;
    store.close();
    Ok(verification)
}

/// Checks a configuration file; without a name, the one of the state directory.
///
/// # Errors
/// When it cannot be read, or something in it is not right.
pub fn check_config(state_dir: &Path, config: Option<&Path>) -> Result<Settings, OfflineError> {
    Ok(match config {
        Some(path) => Settings::read(path, Presence::Required)?,
        None => Settings::read(&state_dir.join("openclaw.toml"), Presence::Optional)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mistyped directory is no proof that all is well.
    #[tokio::test]
    async fn verifying_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let error = verify_audit(dir.path(), None).await.unwrap_err();
        assert!(matches!(error, OfflineError::NoStore(_)), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
