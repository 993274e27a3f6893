//! The directory that holds all of a gateway's state: made, checked and locked.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use openclaw_store::{LockError, StateLock};

/// Bytes that the path of a Unix socket may have on Linux, without the closing zero.
const MAX_SOCKET_PATH: usize = 107;

/// Why a directory cannot hold a gateway's state.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It holds an installation of the original.
    #[error("`{}` holds an installation of the Node.js OpenClaw: choose another directory with `--state-dir`", .0.display())]
    Foreign(PathBuf),
    /// It could not be made or read.
    #[error("`{}` cannot be used: {source}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another gateway has it.
    #[error("`{}` cannot be locked: {source}", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        #[source]
        source: LockError,
    },
    /// It is no directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Others may enter it.
    #[error("`{}` is open to others (mode {mode:o}): run `chmod 700 {}`", .path.display(), .path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else owns it.
    #[error("`{}` belongs to uid {owner}, this process is uid {own}: run as its owner, or choose another with `--state-dir`", .path.display())]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// This process.
        own: u32,
    },
    /// A socket in it would have a path that the system cannot hold.
    #[error("`{}` is too long for a socket ({length} bytes, at most {MAX_SOCKET_PATH}): choose a shorter `--state-dir`", .path.display())]
    SocketPathTooLong {
        /// The socket's path.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
}

/// A state directory that this process owns for as long as the value lives.
#[derive(Debug)]
pub struct StateDir {
    _lock: StateLock,
    owner: u32,
    path: PathBuf,
}

impl StateDir {
    /// Makes the directory if it is not there, checks that it is private, and locks it.
    ///
    /// # Errors
    /// When it cannot be made, is not this process's alone, or another gateway holds it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let failed = |source| StateDirError::Io { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(failed)?;
        if absolute.join("openclaw.json").exists()
            || absolute.join("state/openclaw.sqlite").exists()
        {
            // One of ours may stand beside it after an import.
            if !absolute.join("gateway.db").exists() {
                return Err(StateDirError::Foreign(absolute));
            }
        }
        let socket = absolute.join("gateway.sock");
        let length = socket.as_os_str().len();
        if length > MAX_SOCKET_PATH {
            return Err(StateDirError::SocketPathTooLong { path: socket, length });
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&absolute).map_err(failed)?;
        let metadata = std::fs::metadata(&absolute).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(StateDirError::NotADirectory(absolute));
        }
        let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
        if owner != own {
            return Err(StateDirError::OtherOwner { path: absolute, owner, own });
        }
        let mode = metadata.permissions().mode() & 0o777;
        //= docs/threat-model.md#T1
        if mode & 0o077 != 0 {
            return Err(StateDirError::OpenToOthers { path: absolute, mode });
        }
        let lock = StateLock::acquire(&absolute)
            .map_err(|source| StateDirError::Locked { path: absolute.clone(), source })?;
        Ok(Self { _lock: lock, owner, path: absolute })
    }

    /// Returns the account that owns it.
    pub const fn owner(&self) -> u32 {
        self.owner
    }

    /// Returns its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the local socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("gateway.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T1
    fn a_directory_must_be_private_and_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let open =
            |path: &Path| StateDir::open(path).map(|_| ()).map_err(|error| error.to_string());
        open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(open(&path).unwrap_err().contains("chmod 700"));
        let long = dir.path().join("x".repeat(100));
        assert!(open(&long).unwrap_err().contains("too long for a socket"));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(open(&file).is_err());
    }

    #[test]
    fn the_original_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("openclaw.json"), "{}").unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, StateDirError::Foreign(_)));
        assert!(!dir.path().join("gateway.lock").exists());
    }
}
