//! What must work without a running gateway: it takes the state lock and uses the same operations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_pairing::{Fingerprint, ParseRequestError, RequestRef};
use openclaw_scopes::method::{self, Method as _, Row, VerifyAudit};
use openclaw_scopes::target::{Listed, Whole};
use openclaw_scopes::{Caller, Cause, Denial, DeviceRole, GrantHolder, ScopeSet};
use openclaw_store::{
    ActError, ApproveRequest, Ask, AuditHead, Device, DeviceError, DeviceList, DeviceRef,
    ListDevices, OpenError, Options, Peek, RevokeAll, RevokeDevice, Revoked, Store, StoreError,
    Verification,
};

use crate::certificate::{Certificate, CertificateError};
use crate::clock;
use crate::identity::Identity;
use crate::respond;
use crate::settings::{Environment, Presence, Settings, SettingsError};
use crate::state_dir::{StateDir, StateDirError};

/// Why a verb could not be done without a gateway.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The owner's own grant has ended.
    #[error("{method} was refused: {denial}")]
    Denied {
        /// What was to be done.
        method: &'static str,
        /// Why it was not.
        denial: Denial,
    },
    /// The device or request is not there, or cannot be changed so.
    #[error(transparent)]
    Device(DeviceError),
    /// There is nothing to look at.
    #[error("`{}` holds no gateway's state: name the directory with `--state-dir`", .0.display())]
    NoStore(PathBuf),
    /// The gateway was never on the network.
    #[error("the gateway does not listen on the network: set `tcp` in `[listen]` and start it")]
    NotListening,
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The text names no request.
    #[error(transparent)]
    Request(ParseRequestError),
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

impl OfflineError {
    /// Returns what to do about it, where the words do not say so themselves.
    pub fn next(&self) -> Option<String> {
        match self {
            Self::Device(DeviceError::Unknown(_) | DeviceError::UnknownRequest(_))
            | Self::Request(_) => Some("openclaw devices list --offline".into()),
            Self::Device(error) => respond::device(error).advice(),
            Self::StateDir(StateDirError::Locked { .. }) => {
                Some("leave out --offline while a gateway runs, or stop it".into())
            }
            Self::Certificate(_)
            | Self::Denied { .. }
            | Self::NoStore(_)
            | Self::NotListening
            | Self::Open(_)
            | Self::Settings(_)
            | Self::StateDir(_)
            | Self::Store(_) => None,
        }
    }

    /// Returns the stable reason; empty where none fits.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Device(error) => respond::device(error).reason(),
            _ => "",
        }
    }
}

/// A state directory that no gateway works on, opened as its owner.
struct Opened {
    caller: Arc<Caller>,
    state_dir: StateDir,
    store: Store,
}

/// Opens a state directory that is there: a verb that looks must not make what it looks for.
fn open(state_dir: &Path) -> Result<Opened, OfflineError> {
    if !state_dir.join("gateway.db").exists() {
        return Err(OfflineError::NoStore(state_dir.to_owned()));
    }
    let state_dir = StateDir::open(state_dir)?;
    let store = Store::open(state_dir.path(), &Options::new(Arc::new(clock::now)))?;
    let ended = || OfflineError::Denied { method: "offline", denial: Denial::GrantEnded };
    let epoch = store.epoch(&GrantHolder::Owner)?.ok_or_else(ended)?;
    let Identity::Known(caller) = Identity::owner(state_dir.owner(), Cause::Request, epoch) else {
        return Err(ended());
    };
    Ok(Opened { caller, state_dir, store })
}

fn refused<E>(
    error: ActError<E>,
    row: &'static Row,
    failed: impl FnOnce(E) -> OfflineError,
) -> OfflineError {
    match error {
        ActError::Denied(denial) => OfflineError::Denied { method: row.name, denial },
        ActError::Store(error) => OfflineError::Store(error),
        ActError::Failed(error) => failed(error),
    }
}

/// Recomputes the audit chain of a state directory, as its owner.
///
/// # Errors
/// When a gateway holds the directory, or it cannot be used.
pub async fn verify_audit(
    state_dir: &Path,
    known: Option<AuditHead>,
) -> Result<Verification, OfflineError> {
    let Opened { caller, state_dir: _held, store } = open(state_dir)?;
    let peeked = store.view(&caller, &Peek::<VerifyAudit>(Whole), clock::now()).await;
    let authorized =
        peeked.map_err(|error| refused(error, VerifyAudit::ROW, |never| match never {}))?;
    let (_, Whole) = authorized.into_parts();
    let verification = store.verify_audit(known)?;
    store.close();
    Ok(verification)
}

/// Lists devices and the requests that wait, as the owner.
///
/// # Errors
/// When a gateway holds the directory, or it cannot be used.
pub async fn list_devices(state_dir: &Path) -> Result<DeviceList, OfflineError> {
    let Opened { caller, state_dir: _held, store } = open(state_dir)?;
    let now = clock::now();
    let listed = store.scan(&caller, ListDevices { listed: Listed::All, now }, now).await;
    let listed =
        listed.map_err(|error| refused(error, method::ListDevices::ROW, OfflineError::Device))?;
    store.close();
    Ok(listed)
}

/// Grants a request, or a part of it, as the owner: there is always somebody who can.
///
/// # Errors
/// When a gateway holds the directory, it cannot be used, or the request cannot be granted so.
pub async fn approve_device(
    state_dir: &Path,
    request: &str,
    scopes: ScopeSet,
) -> Result<Device, OfflineError> {
    let RequestRef { id, revision } = request.parse().map_err(OfflineError::Request)?;
    let revision = revision.ok_or(OfflineError::Request(ParseRequestError))?;
    perform(state_dir, ApproveRequest { id, revision, scopes }).await
}

/// Withdraws a device's authority, as the owner.
///
/// # Errors
/// When a gateway holds the directory, it cannot be used, or there is no such device.
pub async fn revoke_device(state_dir: &Path, device: &str) -> Result<Device, OfflineError> {
    let device = DeviceRef::parse(device).map_err(OfflineError::Device)?;
    perform(state_dir, RevokeDevice { device, role: DeviceRole::Operator }).await
}

/// Withdraws everything that was handed out, as the owner.
///
/// # Errors
/// When a gateway holds the directory, or it cannot be used.
pub async fn revoke_all(state_dir: &Path) -> Result<Revoked, OfflineError> {
    perform(state_dir, RevokeAll).await
}

async fn perform<A>(state_dir: &Path, ask: A) -> Result<A::Output, OfflineError>
where
    A: Ask<Error = DeviceError>,
{
    let Opened { caller, state_dir: _held, store } = open(state_dir)?;
    let done = store.act(&caller, ask, clock::now()).await;
    let done = done.map_err(|error| refused(error, A::Method::ROW, OfflineError::Device))?;
    store.close();
    Ok(done)
}

/// Returns by what devices know the gateway of a state directory; a gateway may work on it.
///
/// # Errors
/// When it was never on the network, or its certificate cannot be used.
pub fn fingerprint(
    state_dir: &Path,
    config: Option<&Path>,
    environment: &Environment,
) -> Result<Fingerprint, OfflineError> {
    let settings = check_config(state_dir, config)?;
    let listen = settings.config.listen().ok_or(OfflineError::NotListening)?;
    let home = environment.home();
    if listen.tls.is_none() && !state_dir.join("tls/key.pem").exists() {
        return Err(OfflineError::NotListening);
    }
    let opened = Certificate::open(state_dir, listen.tls.as_ref(), clock::now(), &home);
    Ok(opened?.fingerprint())
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
