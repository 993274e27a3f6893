//! What the services share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use openclaw_scopes::method::Method;
use openclaw_scopes::{Authorized, Caller, Timestamp};
use openclaw_store::{Ask, Peek, Store};
use tokio_util::sync::CancellationToken;

use crate::channels::Hub;
use crate::clock;
use crate::engine::Engine;
use crate::network::Network;
use crate::registry::Registry;
use crate::respond::{self, Reply};
use crate::roster::Surroundings;
use crate::watchers::Watchers;

/// What the services share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Core(Arc<Parts>);

/// The parts of a running gateway.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) around: Arc<Surroundings>,
    /// When the certificate lapses, if there is one.
    pub(crate) certificate_expires_at: Option<Timestamp>,
    /// The configuration file, which changes of agents are written to.
    pub(crate) config_path: PathBuf,
    /// One change of the file at a time.
    pub(crate) config_writer: tokio::sync::Mutex<()>,
    /// Whether jobs run.
    pub(crate) cron: openclaw_scheduler::Mode,
    pub(crate) engine: Engine,
    /// Where it listens for hooks, if it does.
    pub(crate) hooks_listen_on: Option<SocketAddr>,
    /// The channels on which it speaks.
    pub(crate) hub: Arc<Hub>,
    /// What the gateway is on the network; absent when it does not listen there.
    pub(crate) network: Option<Arc<Network>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) started_at: Timestamp,
    /// Is cancelled when the gateway stops, after its runs have ended.
    pub(crate) stop: CancellationToken,
    pub(crate) store: Store,
    pub(crate) watchers: Watchers,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Core {
    /// Decides about a read whose subject is not in the store; returns the witness.
    pub(crate) async fn peek<M: Method>(
        &self,
        caller: &Caller,
        target: M::Target,
    ) -> Result<Authorized<M>, Reply> {
        let peeked = self.store.view(caller, &Peek::<M>(target), clock::now()).await;
        peeked.map_err(|error| respond::act(error, M::ROW, |never| match *never {}))
    }

    /// Has the store do what is asked at an instant; `failed` tells what it means when that could not be done.
    pub(crate) async fn perform<A: Ask>(
        &self,
        caller: &Caller,
        ask: A,
        now: Timestamp,
        failed: fn(&A::Error) -> Reply,
    ) -> Result<A::Output, Reply> {
        let done = self.store.act(caller, ask, now).await;
        done.map_err(|error| respond::act(error, A::Method::ROW, failed))
    }
}

impl std::ops::Deref for Core {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
