//! What the services share.

use std::path::PathBuf;
use std::sync::Arc;

use openclaw_scopes::Timestamp;
use openclaw_store::Store;

use crate::engine::Engine;
use crate::roster::Surroundings;

/// What the services share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Core(Arc<Parts>);

/// The parts of a running gateway.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) around: Arc<Surroundings>,
    /// The configuration file, which changes of agents are written to.
    pub(crate) config_path: PathBuf,
    /// One change of the file at a time.
    pub(crate) config_writer: tokio::sync::Mutex<()>,
    pub(crate) engine: Engine,
    pub(crate) started_at: Timestamp,
    pub(crate) store: Store,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Core {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
