//! Reads a text file, whole or by lines, within bounds.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use crate::tool::{Arguments, ToolError};
use crate::tools::Workspace;

/// The most bytes of one file that a model is given at once: about 64 000 tokens.
pub(super) const MAX_READ: u64 = 256 * 1024;

/// How far into a file `offset` may reach.
const MAX_SCAN: u64 = 64 * 1024 * 1024;

pub(super) fn read_file(
    workspace: &Workspace,
    mut arguments: Arguments,
) -> Result<String, ToolError> {
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
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) | Err(_) => Err(binary()),
    }
}

pub(super) fn whole(
    file: File,
    path: &str,
    max: u64,
    advice: &'static str,
) -> Result<String, ToolError> {
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
    let shown = text(bytes, path)?;
    if at_end && whole_lines {
        return Ok(shown);
    }
    let next = offset.saturating_add(taken);
    Ok(format!("{shown}\n[the file goes on: continue with offset {next}]"))
}
