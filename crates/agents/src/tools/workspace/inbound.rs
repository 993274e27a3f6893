//! Files that came with messages: kept under the digest of their content, within a budget.

use std::io::Read as _;

use data_encoding::HEXLOWER;
use openclaw_sessions::{DIGEST_DIGITS, FileType as Kind, INBOUND, is_kept_name};
use ring::digest::{SHA256, digest};
use rustix::fs::{AtFlags, Dir, FileType, Mode};

use super::Workspace;
use crate::tool::ToolError;

/// Down to which part of the budget files are removed, in percent: so that the next one does not begin it again.
const LOW_WATER: u64 = 80;

/// A file that is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptFile {
    /// What it is.
    pub kind: Kind,
    /// Its name, in [`INBOUND`].
    pub name: String,
}

impl Workspace {
    /// Keeps a file that came with a message, and removes older ones when all of them would be more than so many
    /// bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    //= docs/threat-model.md#T9
    pub fn keep_inbound(&self, content: &[u8], budget: u64) -> Result<KeptFile, ToolError> {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.sweep_inbound(budget.saturating_sub(size))?;
        let kind = Kind::of(content);
        let name = format!("{}.{}", digits(content), kind.extension);
        let private = Mode::RUSR | Mode::WUSR;
        self.put_file(&format!("{INBOUND}/{name}"), content, Some(private))?;
        Ok(KeptFile { kind, name })
    }

    /// Reads a file that came with a message, if it is there, has at most so many bytes, and is what it was.
    pub fn read_inbound(&self, name: &str, limit: usize) -> Option<Vec<u8>> {
        let expected = name.split_once('.').map(|(expected, _)| expected);
        let file =
            is_kept_name(name).then(|| self.open_file(&format!("{INBOUND}/{name}")))?.ok()?;
        let mut content = Vec::new();
        file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut content).ok()?;
        let is_it = expected == Some(digits(&content).as_str());
        // Longer ones have another digest, as they were cut.
        is_it.then_some(content)
    }

    /// Removes files that came with messages when all are more than so many bytes, the oldest first; returns how many.
    ///
    /// # Errors
    /// When they cannot be listed or removed.
    pub fn sweep_inbound(&self, budget: u64) -> Result<usize, ToolError> {
        let dir = match self.open_dir(INBOUND) {
            Ok(dir) => dir,
            Err(ToolError::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error),
        };
        let failed = |errno: rustix::io::Errno| super::failed("look through", INBOUND, errno);
        let mut files = Vec::new();
        for entry in Dir::read_from(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !is_kept_name(name) {
                continue;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let Ok(stat) = rustix::fs::statat(&dir, name, flags) else { continue };
            // What a command made there under such a name is the agent's affair.
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            // No more than it takes, however long it says that it is.
            let takes = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
            let size = u64::try_from(stat.st_size).unwrap_or_default().min(takes);
            files.push(((stat.st_mtime, stat.st_mtime_nsec), size, name.to_owned()));
        }
        let mut left = files.iter().fold(0_u64, |sum, (_, size, _)| sum.saturating_add(*size));
        if left <= budget {
            return Ok(0);
        }
        files.sort_unstable();
        let mut gone = 0_usize;
        for (_, size, name) in files {
            if left <= budget / 100 * LOW_WATER {
                break;
            }
            match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
                // Somebody else has removed it at the same time.
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => {
                    tracing::warn!(%error, name, "a file that is kept no longer stays");
                    continue;
                }
            }
            left = left.saturating_sub(size);
            gone = gone.saturating_add(1);
        }
        Ok(gone)
    }
}

fn digits(content: &[u8]) -> String {
    let mut digits = HEXLOWER.encode(digest(&SHA256, content).as_ref());
    digits.truncate(DIGEST_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

    fn place() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("workspace")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        let workspace = Workspace::open(&dir.path().join("workspace"), &[]).unwrap();
        (dir, workspace)
    }

    #[test]
    fn a_file_is_kept_under_its_digest_and_for_its_owner_alone() {
        let (_dir, workspace) = place();
        let kept = workspace.keep_inbound(PNG, 1000).unwrap();
        assert_eq!((kept.kind.mime, kept.name.len()), ("image/png", 36));
        assert_eq!(workspace.keep_inbound(PNG, 1000).unwrap(), kept, "the same is one file");
        let path = workspace.root().join(INBOUND).join(&kept.name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(workspace.read_inbound(&kept.name, 1000).as_deref(), Some(PNG));
        assert_eq!(workspace.read_inbound(&kept.name, PNG.len() - 1), None);
        fs::write(&path, "another").unwrap();
        assert_eq!(workspace.read_inbound(&kept.name, 1000), None, "it is not what it was");
        for name in ["../../AGENTS.md", "AGENTS.md", "/etc/passwd", ""] {
            assert_eq!(workspace.read_inbound(name, 1000), None);
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (_dir, workspace) = place();
        fs::create_dir_all(workspace.root().join(INBOUND)).unwrap();
        fs::write(workspace.root().join(INBOUND).join("notes.md"), "n".repeat(500)).unwrap();
        let kept: Vec<_> = (0..5)
            .map(|number| {
                let kept = workspace.keep_inbound(&[number; 100], 1000).unwrap();
                let path = workspace.root().join(INBOUND).join(&kept.name);
                let at = std::time::SystemTime::UNIX_EPOCH
                    + std::time::Duration::from_secs(u64::from(number));
                fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
                kept.name
            })
            .collect();
        let new = workspace.keep_inbound(&[9; 100], 500).unwrap();
        let is_there = |name: &str| workspace.read_inbound(name, 1000).is_some();
        let there: Vec<_> = kept.iter().map(|name| is_there(name)).collect();
        assert_eq!(there, [false, false, true, true, true]);
        assert!(is_there(&new.name) && workspace.root().join(INBOUND).join("notes.md").exists());
        assert_eq!(workspace.sweep_inbound(1000).unwrap(), 0);
    }

    #[test]
    //= docs/threat-model.md#T9
    fn a_link_of_the_agent_leads_nowhere() {
        let (dir, workspace) = place();
        fs::create_dir_all(workspace.root().join("media")).unwrap();
        let outside = dir.path().join("outside");
        symlink(&outside, workspace.root().join(INBOUND)).unwrap();
        workspace.keep_inbound(PNG, 1000).unwrap_err();
        let name = format!("{}.png", "a".repeat(32));
        fs::write(outside.join(&name), PNG).unwrap();
        workspace.sweep_inbound(0).unwrap_err();
        assert_eq!(workspace.read_inbound(&name, 1000), None);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
