//! Which processes are helpers of which run, for whoever must know where a caller comes from.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::task::TaskTracker;

use openclaw_scopes::RunId;

/// The helpers that are alive now, and the tasks that wait for their end.
#[derive(Debug, Default)]
pub struct HelperRegistry {
    helpers: RwLock<BTreeMap<i32, RunId>>,
    supervisors: TaskTracker,
}

impl HelperRegistry {
    /// Creates a registry without helpers.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Enters a helper. Happens before it is told what to run.
    //= docs/threat-model.md#T3
    pub fn register(&self, pid: i32, run: RunId) {
        self.helpers.write().unwrap_or_else(PoisonError::into_inner).insert(pid, run);
    }

    /// Removes a helper. Happens after it was reaped.
    pub fn unregister(&self, pid: i32) {
        self.helpers.write().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    /// Returns the run whose helper this process is, if it is one.
    pub fn run_of(&self, pid: i32) -> Option<RunId> {
        self.helpers.read().unwrap_or_else(PoisonError::into_inner).get(&pid).cloned()
    }

    /// Returns how many helpers are alive.
    pub fn alive(&self) -> usize {
        self.helpers.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until every helper was reaped. For the drain, after the runs were canceled.
    pub async fn settled(&self) {
        self.supervisors.close();
        self.supervisors.wait().await;
    }

    /// The tasks that outlive a dropped call, so that its helper is still reaped.
    pub(super) fn supervisors(&self) -> &TaskTracker {
        &self.supervisors
    }
}

/// An entry that is removed when it goes out of scope.
#[derive(Debug)]
pub(super) struct Registered {
    pid: i32,
    registry: Arc<HelperRegistry>,
}

impl Registered {
    pub(super) fn new(registry: Arc<HelperRegistry>, pid: i32, run: RunId) -> Self {
        registry.register(pid, run);
        Self { pid, registry }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.unregister(self.pid);
    }
}
