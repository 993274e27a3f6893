//! Starting tasks: named, counted and waited for.

use tokio_util::task::TaskTracker;

/// The tasks of one gateway; the drain waits for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(TaskTracker);

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
