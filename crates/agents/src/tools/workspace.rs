//! The directory of one agent, and the only way its file tools reach a file.
//!
//! **Invariant:** every path is resolved by the kernel relative to the open directory and beneath it
//! (`openat2`), so a link that is swapped in meanwhile cannot lead outside. Where the kernel has no
//! `openat2`, each component is opened on its own and no link is followed at all.

mod inbound;
mod temporary;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::tool::ToolError;
use temporary::Temporary;

pub use inbound::KeptFile;

/// How often a resolution is tried again when a rename somewhere on the way disturbed it.
const RESOLVE_ATTEMPTS: usize = 16;

/// The longest path, as the kernel has it.
const MAX_PATH: usize = 4096;

/// An agent's directory, held open.
#[derive(Debug)]
pub struct Workspace {
    dir: OwnedFd,
    given: PathBuf,
    protected: Vec<PathBuf>,
    root: PathBuf,
    temporaries: AtomicU64,
}

impl Workspace {
    /// Opens the directory, which must exist, as a workspace that keeps clear of `protected`.
    ///
    /// `protected` is what no agent may see: the state directory first of all. A workspace may lie
    /// inside of one, as only the workspace is granted then, but not contain one.
    ///
    /// # Errors
    /// When it does not exist, is no directory, cannot be entered, or contains something protected.
    pub fn open(root: &Path, protected: &[PathBuf]) -> Result<Self, OpenWorkspaceError> {
        let failed = |source| OpenWorkspaceError::Io { path: root.to_owned(), source };
        let given = std::path::absolute(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let protected = protected
            .iter()
            .map(|path| path.canonicalize().or_else(|_| std::path::absolute(path)))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        if let Some(protected) = protected.iter().find(|path| path.starts_with(&root)) {
            return Err(OpenWorkspaceError::Contains { protected: protected.clone(), root });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir =
            rustix::fs::open(&root, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self { dir, given, protected, root, temporaries: AtomicU64::new(0) })
    }

    /// Returns the directory's canonical path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the canonical paths of what no agent may see.
    pub(crate) fn protected(&self) -> &[PathBuf] {
        &self.protected
    }

    /// Opens a regular file for reading. Never waits for a pipe or a device.
    pub(crate) fn open_file(&self, asked: &str) -> Result<File, ToolError> {
        let path = self.relative(asked)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.beneath(&path, flags).map_err(|errno| failed("open", asked, errno))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed("inspect", asked, errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            FileType::Directory => Err(ToolError::argument(
                "path",
                format!("`{asked}` is a directory; use `list_dir`"),
            )),
            FileType::BlockDevice
            | FileType::CharacterDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Symlink
            | FileType::Unknown => {
                Err(ToolError::argument("path", format!("`{asked}` is not a regular file")))
            }
        }
    }

    /// Opens a directory for listing.
    pub(crate) fn open_dir(&self, asked: &str) -> Result<OwnedFd, ToolError> {
        let path = self.relative(asked)?;
        self.beneath(&path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|errno| match errno {
            Errno::NOTDIR => {
                ToolError::argument("path", format!("`{asked}` is a file; use `read_file`"))
            }
            errno => failed("open", asked, errno),
        })
    }

    /// Resolves a directory inside the workspace to a path that a command can start in.
    pub(crate) fn directory(&self, asked: &str) -> Result<PathBuf, ToolError> {
        let dir = self.open_dir(asked)?;
        drop(dir);
        let path = self.relative(asked)?;
        let resolved = self.root.join(path).canonicalize().map_err(|source| ToolError::Io {
            action: "resolve",
            subject: asked.to_owned(),
            source,
        })?;
        if !resolved.starts_with(&self.root) {
            return Err(ToolError::OutsideWorkspace { path: asked.to_owned() });
        }
        Ok(resolved)
    }

    /// Replaces or creates a file in one step: readers see the old content or the new, whole.
    ///
    /// Missing directories on the way are created. A link in the last place is replaced, not
    /// followed. An existing file keeps its permissions.
    pub(crate) fn replace_file(&self, asked: &str, content: &[u8]) -> Result<(), ToolError> {
        self.put_file(asked, content, None)
    }

    /// Does so with these permissions for a new file.
    fn put_file(&self, asked: &str, content: &[u8], new: Option<Mode>) -> Result<(), ToolError> {
        let path = self.relative(asked)?;
        let name = path
            .file_name()
            .ok_or_else(|| ToolError::argument("path", "must name a file, not the workspace"))?;
        let parent = path.parent().unwrap_or_else(|| Path::new(""));
        let dir = self.create_dirs(parent, asked)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let mode = match rustix::fs::statat(&dir, name, flags) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Some(Mode::from_raw_mode(stat.st_mode)),
                FileType::Directory => {
                    return Err(ToolError::argument("path", format!("`{asked}` is a directory")));
                }
                FileType::BlockDevice
                | FileType::CharacterDevice
                | FileType::Fifo
                | FileType::Socket
                | FileType::Symlink
                | FileType::Unknown => new,
            },
            Err(Errno::NOENT) => new,
            Err(errno) => return Err(failed("inspect", asked, errno)),
        };
        let mut temporary = Temporary::create(dir, &self.temporaries)
            .map_err(|errno| failed("create a file beside", asked, errno))?;
        temporary.fill(content, mode).map_err(|source| ToolError::Io {
            action: "write",
            subject: asked.to_owned(),
            source,
        })?;
        temporary.rename_to(name).map_err(|errno| failed("write", asked, errno))
    }

    /// Checks a path as text and makes it relative to the workspace.
    fn relative(&self, asked: &str) -> Result<PathBuf, ToolError> {
        if asked.contains('\0') || asked.len() > MAX_PATH {
            return Err(ToolError::argument("path", "is not a path"));
        }
        let path = Path::new(asked);
        let path = if path.is_absolute() {
            path.strip_prefix(&self.root)
                .or_else(|_| path.strip_prefix(&self.given))
                .ok()
                .ok_or_else(|| ToolError::OutsideWorkspace { path: asked.to_owned() })?
        } else {
            path
        };
        let mut relative = PathBuf::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(name) => relative.push(name),
                Component::ParentDir | Component::Prefix(_) | Component::RootDir => {
                    return Err(ToolError::OutsideWorkspace { path: asked.to_owned() });
                }
            }
        }
        Ok(relative)
    }

    //= docs/threat-model.md#T9
    fn beneath(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut outcome = Err(Errno::AGAIN);
        for _ in 0..RESOLVE_ATTEMPTS {
            outcome = rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), resolve);
            match outcome {
                Err(Errno::AGAIN) => {}
                // Some container runtimes answer an unknown system call with EPERM.
                Err(Errno::NOSYS | Errno::PERM) => return self.without_links(path, flags),
                Ok(_) | Err(_) => break,
            }
        }
        outcome
    }

    /// Resolves component by component, following no link at all.
    fn without_links(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut dir = rustix::io::fcntl_dupfd_cloexec(&self.dir, 0)?;
        let parent = path.parent().unwrap_or_else(|| Path::new(""));
        for component in parent.components() {
            dir = match rustix::fs::openat(&dir, component.as_os_str(), step, Mode::empty()) {
                Err(Errno::NOTDIR) if is_link(&dir, component.as_os_str()) => {
                    return Err(Errno::LOOP);
                }
                next => next?,
            };
        }
        let name = path.file_name().unwrap_or_else(|| OsStr::new("."));
        match rustix::fs::openat(&dir, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOTDIR) if is_link(&dir, name) => Err(Errno::LOOP),
            opened => opened,
        }
    }

    /// Opens a directory and creates what is missing of it, each step beneath the workspace.
    fn create_dirs(&self, path: &Path, asked: &str) -> Result<OwnedFd, ToolError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let open = |path: &Path| match self.beneath(path, flags) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("open the directory of", asked, errno)),
        };
        let mut reached = PathBuf::new();
        let mut dir = open(&reached)?;
        for component in path.components() {
            let name = component.as_os_str();
            reached.push(name);
            let mut next = open(&reached)?;
            if let (None, Some(parent)) = (&next, &dir) {
                match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("create the directory of", asked, errno)),
                }
                next = open(&reached)?;
            }
            dir = next;
        }
        dir.ok_or_else(|| ToolError::NotFound { path: asked.to_owned() })
    }
}

/// Why a directory cannot be a workspace.
#[derive(Debug, thiserror::Error)]
pub enum OpenWorkspaceError {
    /// An agent that works there would see what it must not.
    #[error("the workspace `{}` contains `{}`; choose a directory below it", .root.display(), .protected.display())]
    Contains {
        /// What it contains.
        protected: PathBuf,
        /// The workspace.
        root: PathBuf,
    },
    /// The operating system failed.
    #[error("the workspace `{}` cannot be opened", .path.display())]
    Io {
        /// The workspace.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn is_link(dir: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn failed(action: &'static str, asked: &str, errno: Errno) -> ToolError {
    match errno {
        Errno::NOENT => ToolError::NotFound { path: asked.to_owned() },
        Errno::XDEV | Errno::LOOP => ToolError::OutsideWorkspace { path: asked.to_owned() },
        Errno::NOTDIR => ToolError::argument(
            "path",
            format!("`{asked}` leads through a file that is no directory"),
        ),
        Errno::NAMETOOLONG => ToolError::argument("path", "has a name that is too long"),
        errno => ToolError::Io { action, subject: asked.to_owned(), source: errno.into() },
    }
}

#[cfg(test)]
mod tests;
