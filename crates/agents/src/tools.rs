//! The first tools: files of the workspace, the web, commands, jobs, and the run's own status.

mod cron;
mod delegate;
mod exec;
mod files;
mod status;
mod web;
mod workspace;

pub use cron::{CronTool, JobOrder, JobSession, JobWhen, Jobs};
pub use delegate::{Delegation, DelegationTool, SpawnOrder, YieldFlag};
pub use exec::{
    Approvals, AskMode, Background, BackgroundEnd, Clearance, CommandEnded, CommandReport,
    ExecOperation, ExecOptions, ExecPorts, ExecTool, ProcessTool, Processes, shown,
};
pub use files::{EditFile, ListDir, ReadFile, WriteFile};
pub use status::{RunStatus, SessionStatus, StatusSource};
pub use web::{WebFetch, WebFetchOptions, refusal};
pub use workspace::{KeptFile, OpenWorkspaceError, Workspace};

use serde_json::{Value, json};

use crate::tool::{ToolError, ToolSpec};

/// Builds a spec whose arguments are `properties`, all of them optional but `required`.
fn spec(name: &str, description: &str, required: &[&str], properties: &Value) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }),
    }
}

/// Runs work that waits for a disk where it holds up nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|source| {
        Err(ToolError::Io {
            action: "finish",
            subject: "the file work".to_owned(),
            source: std::io::Error::other(source),
        })
    })
}
