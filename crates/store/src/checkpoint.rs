//! Moves the write-ahead log into the database, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::error::StoreError;

/// Bytes of the log from which on it is worth moving: about a thousand pages, as SQLite's default.
pub(crate) const WORTH_MOVING: u64 = 4 << 20;
/// Bytes of the log from which on the writer itself sees to its end: passive moves never catch up
/// with a load that does not pause.
const OVERGROWN: u64 = 32 << 20;
/// Commits between two looks at the log's size: a look costs a system call.
const LOOK_EVERY: u32 = 64;

/// How long the log is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Log {
    /// As long as it may be, or not looked at this time.
    Bounded,
    /// Longer than the thread alone can help.
    Overgrown,
}

/// Wakes the checkpoint thread when the log has grown.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    commits: u32,
    thread: Option<JoinHandle<()>>,
    wake: Option<SyncSender<()>>,
}

impl Checkpointer {
    /// Starts the thread for the database at `path`.
    pub(crate) fn start(path: PathBuf) -> Result<Self, StoreError> {
        let (wake, woken) = sync_channel::<()>(1);
        let work = move || {
            while woken.recv().is_ok() {
                // Passive: it never waits for readers, nor does the writer wait for it.
                let moved = crate::open::connect(&path)
                    .and_then(|connection| crate::open::checkpoint(&connection, "PASSIVE"));
                if let Err(error) = moved {
                    tracing::warn!(%error, "the write-ahead log could not be moved");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(work)
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { commits: 0, thread: Some(thread), wake: Some(wake) })
    }

    /// Looks at the log's length now and then, and wakes the thread when it is worth moving.
    pub(crate) fn after_commit(&mut self, path: &Path) -> Log {
        self.commits = self.commits.wrapping_add(1);
        if !self.commits.is_multiple_of(LOOK_EVERY) {
            return Log::Bounded;
        }
        // The file is cut to what is worth moving whenever the log begins anew: what it has more
        // was written since.
        let log = std::fs::metadata(crate::open::log_of(path)).map_or(0, |log| log.len());
        if log > WORTH_MOVING
            && let Some(wake) = &self.wake
        {
            match wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
        if log > OVERGROWN { Log::Overgrown } else { Log::Bounded }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported; nothing depends on the thread any more.
            drop(thread.join());
        }
    }
}
