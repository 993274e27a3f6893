//! Lists a directory, one entry per line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, Dir, FileType};

use crate::tool::{Arguments, ToolError};
use crate::tools::Workspace;

/// The most names that are listed.
const MAX_LISTED: usize = 1000;

/// The most names that are looked at, so that a huge directory costs a bounded time.
const MAX_ENTRIES: usize = 100_000;

pub(super) fn list_dir(
    workspace: &Workspace,
    mut arguments: Arguments,
) -> Result<String, ToolError> {
    let path = arguments.optional_text("path")?.unwrap_or_else(|| ".".to_owned());
    arguments.finish()?;
    let dir = workspace.open_dir(&path)?;
    let failed = |errno: rustix::io::Errno| ToolError::Io {
        action: "list",
        subject: path.clone(),
        source: errno.into(),
    };
    let mut names = Vec::new();
    let mut total = 0_usize;
    for entry in Dir::read_from(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        total = total.saturating_add(1);
        if total > MAX_ENTRIES {
            break;
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    let mut shown = String::new();
    for name in names.iter().take(MAX_LISTED) {
        // What vanished between listing and looking is not there.
        let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let shown_name = printable(name.to_bytes());
        let line = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => format!("file {:>9} {shown_name}\n", stat.st_size),
            FileType::Directory => format!("dir            {shown_name}/\n"),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&dir, name, Vec::new())
                    .map(|target| printable(target.to_bytes()))
                    .unwrap_or_default();
                format!("link           {shown_name} -> {target}\n")
            }
            FileType::BlockDevice
            | FileType::CharacterDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => format!("other          {shown_name}\n"),
        };
        shown.push_str(&line);
    }
    let hidden = total.saturating_sub(MAX_LISTED);
    let note = if total > MAX_ENTRIES {
        format!("[more than {MAX_ENTRIES} entries; {MAX_LISTED} are shown]\n")
    } else if hidden > 0 {
        format!("[{hidden} more entries]\n")
    } else if total == 0 {
        "[empty]\n".to_owned()
    } else {
        String::new()
    };
    shown.push_str(&note);
    Ok(shown)
}

/// Shows a name on one line: bytes that are no text are replaced, control characters escaped.
fn printable(name: &[u8]) -> String {
    let name = OsStr::from_bytes(name).to_string_lossy();
    name.chars().fold(String::with_capacity(name.len()), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}
