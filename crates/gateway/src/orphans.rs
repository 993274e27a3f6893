//! Adopts what commands of runs leave behind, so that it never leaves the gateway's process tree.

use std::sync::Arc;

use openclaw_agents::exec::HelperRegistry;
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::task::Tasks;

/// Becomes the parent of every orphan below this process, and reaps those that end.
///
/// Without it an orphan would become a child of the system's first process, where a peer of the
/// local socket looks like anybody else's.
pub(crate) fn adopt(
    tasks: &Tasks,
    helpers: &Arc<HelperRegistry>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    //= docs/threat-model.md#T3
    set_child_subreaper(Some(getpid()))?;
    let mut ended = signal(SignalKind::child())?;
    let (helpers, stop) = (Arc::clone(helpers), stop.clone());
    tasks.spawn(async move {
        loop {
            tokio::select! {
                received = ended.recv() => if received.is_none() { return },
                () = stop.cancelled() => return,
            }
            reap(&helpers);
        }
    });
    Ok(())
}

/// Reaps children that nobody else waits for.
fn reap(helpers: &HelperRegistry) {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        for pid in pids.filter(|pid| helpers.run_of(*pid).is_none()) {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            match waitpid(Some(pid), WaitOptions::NOHANG) {
                // It still runs, or was reaped in between: neither is an error.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
