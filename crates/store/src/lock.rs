//! The lock that makes one process the owner of a state directory.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};

/// Holds a state directory for as long as it lives; the kernel lets go when the process ends.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Why a state directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("the state directory is held by {}", holder(.pid.as_deref()))]
    Held {
        /// The holder's process id, if it could be read.
        pid: Option<String>,
    },
    /// The lock file could not be opened or written.
    #[error("the lock file cannot be used")]
    Io(#[from] std::io::Error),
}

fn holder(pid: Option<&str>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl StateLock {
    /// Locks `gateway.lock` in the directory, without waiting.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be opened or written.
    pub fn acquire(state_dir: &Path) -> Result<Self, LockError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let opened = rustix::fs::open(state_dir.join("gateway.lock"), flags, mode);
        let mut file = File::from(opened.map_err(std::io::Error::from)?);
        //= docs/threat-model.md#T25
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = file.take(32).read_to_string(&mut text);
                let pid = read.ok().map(|_| text.trim().to_owned());
                return Err(LockError::Held { pid: pid.filter(|pid| !pid.is_empty()) });
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

impl Drop for StateLock {
    /// Lets go in so many words: a process that is just being started holds a copy of every file, and the
    /// lock with it, until it has become another program.
    fn drop(&mut self) {
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::debug!(%error, "the lock is left to the kernel");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T25
    fn a_second_holder_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(dir.path()).unwrap();
        let error = StateLock::acquire(dir.path()).unwrap_err();
        let expected = format!("the state directory is held by process {}", std::process::id());
        assert_eq!(error.to_string(), expected);
        let inherited = first.file.try_clone().unwrap();
        drop(first);
        StateLock::acquire(dir.path()).unwrap();
        drop(inherited);
    }
}
