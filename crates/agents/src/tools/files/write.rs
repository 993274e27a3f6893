//! Writes files, and replaces passages of them.

use super::read::whole;
use crate::tool::{Arguments, ToolError};
use crate::tools::Workspace;

/// The most bytes that are written or edited at once.
pub(super) const MAX_WRITE: u64 = 1024 * 1024;

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

pub(super) fn write_file(
    workspace: &Workspace,
    mut arguments: Arguments,
) -> Result<String, ToolError> {
    let path = arguments.text("path")?;
    let content = arguments.text("content")?;
    arguments.finish()?;
    bounded("content", &content)?;
    workspace.replace_file(&path, content.as_bytes())?;
    Ok(format!("wrote {} bytes to `{path}`", content.len()))
}

pub(super) fn edit_file(
    workspace: &Workspace,
    mut arguments: Arguments,
) -> Result<String, ToolError> {
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
