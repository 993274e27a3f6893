//! The file with a device's key: made once, for its owner's eyes only, and never replaced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use openclaw_pairing::{DeviceKey, ParseKeyError};

/// The longest key file that is read.
const MAX: u64 = 1024;

/// Why there is no device key.
#[derive(Debug, thiserror::Error)]
pub enum DeviceKeyError {
    /// The file is there, and is no key. It is not replaced: what it was may be needed.
    #[error("`{path}` does not hold a device key")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ParseKeyError,
    },
    /// The file could not be read or made.
    #[error("cannot use the device key `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner may read the file, or it is not the caller's.
    #[error("the device key `{path}` is not for its owner alone (mode {mode:03o}, user {uid})")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness")]
    Randomness(#[source] getrandom::Error),
}

/// Returns the key in a file; makes file and key when there is none. Two that make it at once get
/// the same key.
///
/// # Errors
/// When the file is no key, when others may read it, or when it can be neither read nor made.
pub fn device_key(path: &Path) -> Result<DeviceKey, DeviceKeyError> {
    match read(path)? {
        Some(key) => Ok(key),
        None => {
            make(path)?;
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            read(path)?.ok_or_else(|| DeviceKeyError::Io { path: path.to_owned(), source: gone() })
        }
    }
}

fn read(path: &Path) -> Result<Option<DeviceKey>, DeviceKeyError> {
    let failed = |source| DeviceKeyError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let (mode, uid) = (metadata.mode() & 0o777, metadata.uid());
    if mode & 0o077 != 0 || uid != rustix::process::geteuid().as_raw() {
        return Err(DeviceKeyError::Open { path: path.to_owned(), mode, uid });
    }
    let mut text = String::new();
    file.take(MAX).read_to_string(&mut text).map_err(failed)?;
    let broken = |source| DeviceKeyError::Broken { path: path.to_owned(), source };
    DeviceKey::parse(&text).map(Some).map_err(broken)
}

/// Makes a file with a new key, unless there is one by then.
fn make(path: &Path) -> Result<(), DeviceKeyError> {
    let (mut seed, mut mark) = ([0; 32], [0; 8]);
    getrandom::fill(&mut seed).map_err(DeviceKeyError::Randomness)?;
    getrandom::fill(&mut mark).map_err(DeviceKeyError::Randomness)?;
    let broken = |source| DeviceKeyError::Broken { path: path.to_owned(), source };
    let key = DeviceKey::from_seed(seed).map_err(broken)?;

    let failed = |source| DeviceKeyError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", u64::from_be_bytes(mark)));
    let new = path.with_file_name(name);
    let made = place(&key, &new, path);
    // Linked or not, its own name is not needed.
    drop(std::fs::remove_file(&new));
    made.map_err(failed)
}

/// Writes the key to `new`, and lets it appear at `path` as a whole, if nothing is there.
fn place(key: &DeviceKey, new: &Path, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(key.to_file().as_bytes())?;
    file.sync_all()?;
    match std::fs::hard_link(new, path) {
        // Another process was faster: its key is the device's.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn made_once_and_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/device.key");
        let key = device_key(&path).unwrap();
        assert_eq!(device_key(&path).unwrap().public(), key.public());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "no other file stays");
    }

    #[test]
    fn all_that_make_it_at_once_get_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || device_key(&path).unwrap().public())
            })
            .collect();
        let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_file_is_refused_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("device.key");
        for (text, mode) in [("", 0o600), ("openclaw-device-key-v1 x", 0o600), ("x", 0o640)] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = device_key(&path).unwrap_err();
            let is_open = matches!(error, DeviceKeyError::Open { .. });
            assert_eq!(is_open, mode != 0o600, "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
