//! Starting tasks: named, counted and waited for.

use tokio_util::task::TaskTracker;

/// The tasks of one gateway; the drain waits for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(TaskTracker);

/// Starts a short task that nobody waits for, and whose loss in a stop is no harm.
pub(crate) fn detached<F>(work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are started")]
    drop(tokio::spawn(work));
}

/// Starts tasks from threads that are not the runtime's.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(tokio::runtime::Handle);

impl Spawner {
    /// Returns that of the runtime that this is called in.
    pub(crate) fn current() -> Self {
        Self(tokio::runtime::Handle::current())
    }

    /// Starts a short task that nobody waits for, and whose loss in a stop is no harm.
    pub(crate) fn detached<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.0.spawn(work));
    }
}

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // The handle is not needed: the tracker knows when the task has ended.
        drop(self.0.spawn(work));
    }

    /// Waits until every task has ended.
    pub(crate) async fn settled(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
