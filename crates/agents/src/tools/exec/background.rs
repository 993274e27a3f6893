//! Commands that go on while the conversation does, and the tool that looks after them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::Capability;

use crate::exec::{Ended, Finished, JobError, Process};
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};
use crate::tools::spec;

/// The longest that `process` waits at once, in seconds.
const MAX_WAIT: u64 = 60;

/// A command that goes to the background.
#[derive(Debug)]
pub struct Background {
    command: String,
    process: Process,
    /// Up to where what it says was told.
    seen: u64,
}

/// How a command in the background ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackgroundEnd {
    /// In words: an exit code, a signal, or why there is neither.
    pub how: String,
    /// Whether it did what it was to do, by its own account.
    pub is_success: bool,
}

impl Background {
    pub(super) const fn new(command: String, process: Process, seen: u64) -> Self {
        Self { command, process, seen }
    }

    /// Returns up to where what it says was told already.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns the command as the model wrote it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns what it says.
    pub fn said(&self) -> Arc<crate::exec::Said> {
        self.process.said()
    }

    /// Returns what ends it.
    pub fn stopper(&self) -> CancellationToken {
        self.process.stopper()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> BackgroundEnd {
        match self.process.ended().await {
            Ok(Finished { ended, .. }) => BackgroundEnd {
                how: match ended {
                    Ended::Canceled => "killed".to_owned(),
                    Ended::Exited(code) => format!("exit code {code}"),
                    Ended::Signaled(signal) => format!("signal {signal}"),
                    Ended::TimedOut => "its time was up".to_owned(),
                },
                is_success: ended == Ended::Exited(0),
            },
            Err(error @ (JobError::Sandbox { .. } | JobError::Setup { .. })) => {
                BackgroundEnd { how: error.to_string(), is_success: false }
            }
            Err(JobError::Helper(_) | JobError::Lost { .. }) => {
                BackgroundEnd { how: "its end is not known".to_owned(), is_success: false }
            }
        }
    }
}

/// What commands in the background need from the world: a port, which the gateway implements for one run.
pub trait Processes: Send + Sync + fmt::Debug {
    /// Whether there is room for one more.
    ///
    /// # Errors
    /// With the reason why there is none.
    fn room(&self) -> Result<(), String>;
    /// Takes a command over; returns the id under which it is found.
    fn adopt(&self, process: Background) -> BoxFuture<'_, Result<String, String>>;
    /// Lists the commands of the run's conversation.
    fn list(&self) -> Value;
    /// Returns what one said since it was last looked at, and how it ended; waits for its end for so long. The
    /// newest if none is named.
    fn poll(&self, id: Option<String>, limit: Duration) -> BoxFuture<'_, Value>;
    /// Ends one: the newest if none is named.
    fn kill(&self, id: Option<String>) -> BoxFuture<'_, Value>;
}

/// The tool that looks after commands in the background.
#[derive(Clone, Debug)]
pub struct ProcessTool {
    capability: Capability,
    port: Option<Arc<dyn Processes>>,
    spec: Arc<ToolSpec>,
}

impl ProcessTool {
    /// Offers it to no run in particular, to those that have this capability.
    pub fn new(capability: Capability) -> Self {
        let text = "Looks after commands that `exec` left in the background: lists them, shows what one \
                    said since you last looked (and waits for its end, if asked to), or ends one.";
        let spec = spec(
            "process",
            text,
            &["action"],
            &json!({
                "action": { "type": "string", "enum": ["list", "poll", "kill"] },
                "id": { "type": "string", "description": "which one, for `poll` and `kill`; the newest if absent" },
                "timeoutSeconds": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_WAIT,
                    "description": "how long `poll` waits for the end; not at all if absent",
                },
            }),
        );
        Self { capability, port: None, spec: Arc::new(spec) }
    }

    /// The same for one run.
    #[must_use]
    pub fn for_run(&self, port: Arc<dyn Processes>) -> Self {
        Self { capability: self.capability, port: Some(port), spec: Arc::clone(&self.spec) }
    }

    async fn run(&self, arguments: Value) -> Result<String, ToolError> {
        let mut arguments = Arguments::new(arguments)?;
        let Some(port) = &self.port else {
            return Err(ToolError::NoSuchTool { tool: self.spec.name.clone() });
        };
        let action = arguments.text("action")?;
        let id = arguments.optional_text("id")?;
        let seconds = arguments.optional_count("timeoutSeconds")?.unwrap_or(0);
        arguments.finish()?;
        if seconds > MAX_WAIT {
            let problem = format!("is more than the limit of {MAX_WAIT} seconds");
            return Err(ToolError::argument("timeoutSeconds", problem));
        }
        let answer = match action.as_str() {
            "list" => port.list(),
            "poll" => port.poll(id, Duration::from_secs(seconds)).await,
            "kill" => port.kill(id).await,
            _ => return Err(ToolError::argument("action", "is not `list`, `poll` or `kill`")),
        };
        Ok(answer.to_string())
    }
}

impl Tool for ProcessTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = self.run(arguments) => answer,
                () = cancel.cancelled() => Err(ToolError::Canceled),
            }
        })
    }
}
