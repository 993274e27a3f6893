//! Reading, listing, writing and editing files of the workspace.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustix::fs::{AtFlags, Dir, FileType};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::Capability;

use super::{Workspace, blocking, spec};
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

/// The most bytes of one file that a model is given at once: about 64 000 tokens.
const MAX_READ: u64 = 256 * 1024;

/// How far into a file `offset` may reach.
const MAX_SCAN: u64 = 64 * 1024 * 1024;

/// The most bytes that are written or edited at once.
const MAX_WRITE: u64 = 1024 * 1024;

/// The most names that are listed.
const MAX_LISTED: usize = 1000;

/// The most names that are looked at, so that a huge directory costs a bounded time.
const MAX_ENTRIES: usize = 100_000;

macro_rules! file_tool {
    ($(#[$doc:meta])* $tool:ident, $capability:ident, $perform:path) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $tool {
            spec: ToolSpec,
            workspace: Arc<Workspace>,
        }

        impl Tool for $tool {
            fn spec(&self) -> &ToolSpec {
                &self.spec
            }

            fn capability(&self) -> Capability {
                Capability::$capability
            }

            fn call<'a>(
                &'a self,
                arguments: Value,
                _cancel: &'a CancellationToken,
            ) -> BoxFuture<'a, Result<String, ToolError>> {
                let workspace = Arc::clone(&self.workspace);
                Box::pin(blocking(move || $perform(&workspace, Arguments::new(arguments)?)))
            }
        }
    };
}

file_tool! {
    /// The tool that reads a text file, or some lines of it.
    ReadFile, FilesRead, read_file
}

file_tool! {
    /// The tool that lists a directory.
    ListDir, FilesRead, list_dir
}

file_tool! {
    /// The tool that creates or replaces a file.
    WriteFile, FilesWrite, write_file
}

file_tool! {
    /// The tool that replaces one passage of a file.
    EditFile, FilesWrite, edit_file
}

impl ReadFile {
    /// Offers the files of this workspace for reading.
    pub fn new(workspace: Arc<Workspace>) -> Self {
        let spec = spec(
            "read_file",
            "Reads a text file of the workspace. Large files: pass offset and limit.",
            &["path"],
            &json!({
                "path": { "type": "string", "description": "path relative to the workspace" },
                "offset": { "type": "integer", "minimum": 1, "description": "first line, from 1" },
                "limit": { "type": "integer", "minimum": 1, "description": "number of lines" },
            }),
        );
        Self { spec, workspace }
    }
}

impl ListDir {
    /// Offers the directories of this workspace for listing.
    pub fn new(workspace: Arc<Workspace>) -> Self {
        let spec = spec(
            "list_dir",
            "Lists a directory of the workspace: one entry per line with its kind and size.",
            &[],
            &json!({
                "path": {
                    "type": "string",
                    "description": "path relative to the workspace; the workspace itself if absent",
                },
            }),
        );
        Self { spec, workspace }
    }
}

impl WriteFile {
    /// Offers the files of this workspace for writing.
    pub fn new(workspace: Arc<Workspace>) -> Self {
        let spec = spec(
            "write_file",
            "Creates or replaces a file of the workspace, with the directories on the way to it.",
            &["path", "content"],
            &json!({
                "path": { "type": "string", "description": "path relative to the workspace" },
                "content": { "type": "string", "description": "the whole new content" },
            }),
        );
        Self { spec, workspace }
    }
}

impl EditFile {
    /// Offers the files of this workspace for editing.
    pub fn new(workspace: Arc<Workspace>) -> Self {
        let spec = spec(
            "edit_file",
            "Replaces one passage of a text file. The old text must stand in it exactly once.",
            &["path", "oldText", "newText"],
            &json!({
                "path": { "type": "string", "description": "path relative to the workspace" },
                "oldText": { "type": "string", "description": "the passage, character by character" },
                "newText": { "type": "string", "description": "what stands there afterwards" },
            }),
        );
        Self { spec, workspace }
    }
}

fn read_file(workspace: &Workspace, mut arguments: Arguments) -> Result<String, ToolError> {
    let path = arguments.text("path")?;
    let offset = arguments.optional_count("offset")?;
    let limit = arguments.optional_count("limit")?;
    arguments.finish()?;
    let file = workspace.open_file(&path)?;
    if offset.is_none() && limit.is_none() {
        return whole(file, &path, MAX_READ, "pass `offset` and `limit` to read some lines");
    }
    lines(file, &path, offset.unwrap_or(1), limit.unwrap_or(u64::MAX))
}

fn reading(path: &str) -> impl Fn(std::io::Error) -> ToolError {
    move |source| ToolError::Io { action: "read", subject: path.to_owned(), source }
}

fn text(bytes: Vec<u8>, path: &str) -> Result<String, ToolError> {
    let binary = || ToolError::argument("path", format!("`{path}` is not a text file"));
    let text = String::from_utf8(bytes).map_err(|_| binary())?;
    if text.contains('\0') { Err(binary()) } else { Ok(text) }
}

fn whole(file: File, path: &str, max: u64, advice: &'static str) -> Result<String, ToolError> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(reading(path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(ToolError::TooLarge { advice, max, subject: format!("`{path}`") });
    }
    text(bytes, path)
}

fn lines(file: File, path: &str, offset: u64, limit: u64) -> Result<String, ToolError> {
    let mut reader = BufReader::new(file.take(MAX_SCAN));
    for line in 1..offset {
        if reader.skip_until(b'\n').map_err(reading(path))? == 0 {
            let lines = line.saturating_sub(1);
            return Err(ToolError::argument(
                "offset",
                format!("is beyond the end: {lines} lines of `{path}` can be reached"),
            ));
        }
    }
    let mut bytes = Vec::new();
    let mut taken = 0;
    let mut whole_lines = true;
    while taken < limit {
        let before = bytes.len();
        let mut line = reader.by_ref().take(MAX_READ.saturating_add(1));
        if line.read_until(b'\n', &mut bytes).map_err(reading(path))? == 0 {
            break;
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_READ {
            if before == 0 {
                return Err(ToolError::TooLarge {
                    advice: "a single line cannot be read in parts",
                    max: MAX_READ,
                    subject: format!("line {offset} of `{path}`"),
                });
            }
            // Read already, and still to be shown: the note says where it starts.
            bytes.truncate(before);
            whole_lines = false;
            break;
        }
        taken = taken.saturating_add(1);
    }
    let at_end = reader.fill_buf().map_err(reading(path))?.is_empty();
    let mut shown = text(bytes, path)?;
    if !(at_end && whole_lines) {
        let next = offset.saturating_add(taken);
        shown.push_str(&format!("\n[the file goes on: continue with offset {next}]"));
    }
    Ok(shown)
}

fn list_dir(workspace: &Workspace, mut arguments: Arguments) -> Result<String, ToolError> {
    let path = arguments.optional_text("path")?.unwrap_or_else(|| ".".to_owned());
    arguments.finish()?;
    let dir = workspace.open_dir(&path)?;
    let failed = |errno: rustix::io::Errno| reading(&path)(errno.into());
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
        let printable = printable(name.to_bytes());
        let line = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => format!("file {:>9} {printable}\n", stat.st_size),
            FileType::Directory => format!("dir            {printable}/\n"),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&dir, name, Vec::new())
                    .map(|target| self::printable(target.to_bytes()))
                    .unwrap_or_default();
                format!("link           {printable} -> {target}\n")
            }
            FileType::BlockDevice
            | FileType::CharacterDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => format!("other          {printable}\n"),
        };
        shown.push_str(&line);
    }
    let hidden = total.saturating_sub(MAX_LISTED);
    if total > MAX_ENTRIES {
        shown.push_str(&format!("[more than {MAX_ENTRIES} entries; {MAX_LISTED} are shown]\n"));
    } else if hidden > 0 {
        shown.push_str(&format!("[{hidden} more entries]\n"));
    } else if total == 0 {
        shown.push_str("[empty]\n");
    }
    Ok(shown)
}

/// Shows a name on one line: bytes that are no text are replaced, control characters escaped.
fn printable(name: &[u8]) -> String {
    let name = std::ffi::OsStr::from_bytes(name).to_string_lossy();
    name.chars().fold(String::with_capacity(name.len()), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

fn bounded(field: &'static str, content: &str) -> Result<(), ToolError> {
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_WRITE {
        return Err(ToolError::TooLarge {
            advice: "write it in parts",
            max: MAX_WRITE,
            subject: format!("argument `{field}`"),
        });
    }
    Ok(())
}

fn write_file(workspace: &Workspace, mut arguments: Arguments) -> Result<String, ToolError> {
    let path = arguments.text("path")?;
    let content = arguments.text("content")?;
    arguments.finish()?;
    bounded("content", &content)?;
    workspace.replace_file(&path, content.as_bytes())?;
    Ok(format!("wrote {} bytes to `{path}`", content.len()))
}

fn edit_file(workspace: &Workspace, mut arguments: Arguments) -> Result<String, ToolError> {
    let path = arguments.text("path")?;
    let old = arguments.text("oldText")?;
    let new = arguments.text("newText")?;
    arguments.finish()?;
    if old == new {
        return Err(ToolError::argument("newText", "is the same as `oldText`"));
    }
    let file = workspace.open_file(&path)?;
    let content = whole(file, &path, MAX_WRITE, "files of this size cannot be edited")?;
    let edited = replace_once(&content, &old, &new, &path)?;
    bounded("newText", &edited)?;
    workspace.replace_file(&path, edited.as_bytes())?;
    Ok(format!("edited `{path}`"))
}

fn replace_once(content: &str, old: &str, new: &str, path: &str) -> Result<String, ToolError> {
    let Some(first) = old.chars().next() else {
        return Err(ToolError::argument("oldText", "is empty; to create a file use `write_file`"));
    };
    let Some((before, after)) = content.split_once(old) else {
        return Err(ToolError::argument(
            "oldText",
            format!("does not stand in `{path}`; read the file and copy the passage exactly"),
        ));
    };
    // Searched from one character on, so that a match overlapping the first counts too.
    let rest = content.get(before.len().saturating_add(first.len_utf8())..).unwrap_or_default();
    if rest.contains(old) {
        let matches = content.matches(old).count().max(2);
        return Err(ToolError::argument(
            "oldText",
            format!("stands {matches} times in `{path}`; add lines around it until it is unique"),
        ));
    }
    Ok([before, new, after].concat())
}

#[cfg(test)]
mod tests;
