//! A gateway that runs: connecting to it inside its process, and stopping it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_pairing::Fingerprint;
use openclaw_scopes::{Cause, ScopeSet};
use openclaw_store::{AuditHead, Store, StoreError};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::accept::{Connection, Doorman};
use crate::compose::{Builder, Health};
use crate::engine::Engine;
use crate::network::Network;
use crate::state_dir::StateDir;
use crate::task::Tasks;

/// Bytes that an in-memory connection holds for a slow reader.
const PIPE: usize = 64 * 1024;

/// A gateway that runs.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) connections: mpsc::Sender<std::io::Result<Connection>>,
    pub(crate) doorman: Doorman,
    pub(crate) drain_limit: Duration,
    pub(crate) engine: Engine,
    pub(crate) health: Health,
    pub(crate) hooks_listen_on: Option<SocketAddr>,
    pub(crate) network: Option<Arc<Network>>,
    pub(crate) state_dir: StateDir,
    pub(crate) stop: CancellationToken,
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
}

impl Gateway {
    /// Begins to put together a gateway whose state is in this directory.
    pub fn builder(state_dir: impl Into<PathBuf>) -> Builder {
        Builder::new(state_dir.into())
    }

    /// Opens a connection inside the process. It is the owner's: whoever embeds the gateway and
    /// holds its state directory is.
    ///
    /// # Errors
    /// When the gateway is stopping.
    pub async fn connect(&self) -> Result<DuplexStream, StoreError> {
        self.connect_narrowed(ScopeSet::ALL).await
    }

    /// Opens a connection inside the process that has at most these scopes of the owner's: for a
    /// part of the embedding program that needs less than all.
    ///
    /// # Errors
    /// When the gateway is stopping.
    pub async fn connect_narrowed(&self, scopes: ScopeSet) -> Result<DuplexStream, StoreError> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let identity = self.doorman.vouch(self.state_dir.owner(), Cause::Request).narrowed(scopes);
        let connection = Connection::in_memory(ours, identity);
        self.connections.send(Ok(connection)).await.map_err(|_error| StoreError::Closed)?;
        Ok(theirs)
    }

    /// Returns the directory that holds its state.
    pub fn state_dir(&self) -> &Path {
        self.state_dir.path()
    }

    /// Returns the path of its local socket.
    pub fn socket(&self) -> PathBuf {
        self.state_dir.socket()
    }

    /// Returns where it listens for hooks, if it does.
    pub const fn hooks_listen_on(&self) -> Option<SocketAddr> {
        self.hooks_listen_on
    }

    /// Returns where it listens on the network, if it does.
    pub fn listens_on(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|network| network.local)
    }

    /// Returns by what devices know it, if it listens on the network: the SHA-256 of its certificate's
    /// public key.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.network.as_ref().map(|network| network.fingerprint)
    }

    /// Returns where its audit chain stands on disk.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.store.audit_head()
    }

    /// Stops it: takes no new work, lets what runs finish by the configured deadline, interrupts
    /// the rest, and closes the store. Runs that wait stay accepted for the next start.
    pub async fn drain(self) -> Drained {
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        let interrupted = self.engine.drain(self.drain_limit).await;
        self.stop.cancel();
        drop(self.connections);
        // Clients that keep streams open must not hold up the exit.
        drop(tokio::time::timeout(Duration::from_secs(2), self.tasks.settled()).await);
        let socket = self.state_dir.socket();
        if let Err(error) = std::fs::remove_file(&socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the socket could not be removed");
        }
        let store = self.store.clone();
        drop(tokio::task::spawn_blocking(move || store.close()).await);
        Drained { interrupted }
    }
}

/// How a gateway stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Runs that had not finished by the deadline.
    pub interrupted: usize,
}
