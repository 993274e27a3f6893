//! The tools that read, list, write and edit files of the workspace.

mod list;
mod read;
mod write;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::Capability;

use super::{Workspace, blocking, spec};
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

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
    ReadFile, FilesRead, read::read_file
}

file_tool! {
    /// The tool that lists a directory.
    ListDir, FilesRead, list::list_dir
}

file_tool! {
    /// The tool that creates or replaces a file.
    WriteFile, FilesWrite, write::write_file
}

file_tool! {
    /// The tool that replaces one passage of a file.
    EditFile, FilesWrite, write::edit_file
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

#[cfg(test)]
mod tests;
