//! A new file that takes the place of another in one step, or leaves no trace.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// A file that vanishes unless it is renamed into place.
#[derive(Debug)]
pub(super) struct Temporary {
    dir: OwnedFd,
    file: Option<File>,
    name: OsString,
}

impl Temporary {
    /// Creates it in `dir`, under the next free of the numbered names.
    pub(super) fn create(dir: OwnedFd, numbers: &AtomicU64) -> rustix::io::Result<Self> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".openclaw-{}-{number}.tmp", std::process::id()));
            match rustix::fs::openat(&dir, &name, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok(Self { dir, file: Some(File::from(file)), name }),
                // Left behind by a process of the same id that was killed: the next number is free.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    pub(super) fn fill(&mut self, content: &[u8], mode: Option<Mode>) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(content)?;
            if let Some(mode) = mode {
                rustix::fs::fchmod(&*file, mode)?;
            }
            file.sync_all()?;
        }
        Ok(())
    }

    /// Puts the file in the place of `name`.
    pub(super) fn rename_to(mut self, name: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.dir, &self.name, &self.dir, name)?;
        self.file = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A file that is still held was not renamed. Nobody is left to tell when this fails too.
        if self.file.take().is_some() {
            rustix::fs::unlinkat(&self.dir, &self.name, AtFlags::empty()).ok();
        }
    }
}
