//! Commands that no model asked for: the same path, and an end that is no text for one.

use std::time::Duration;

use openclaw_scopes::Authorized;
use openclaw_scopes::method::InvokeTool;
use tokio_util::sync::CancellationToken;

use super::{ExecTool, Wanted};
use crate::exec::Ended;
use crate::tool::{Tool as _, ToolError};

/// How a command came to its end, and what it said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandReport {
    /// How.
    pub ended: CommandEnded,
    /// The last of what it wrote to either stream.
    pub said: String,
}

/// How a command came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandEnded {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signaled(i32),
    /// It ran out of time, and was killed.
    TimedOut,
}

impl ExecTool {
    /// Returns how long a command may take at most.
    pub fn longest(&self) -> Duration {
        self.options.max_time
    }

    /// Runs a program in the workspace and waits for its end, as a call of the tool would: confined, bounded and
    /// approved by the same rules. It spends the witness.
    ///
    /// # Errors
    /// When the witness is for another tool, the command may not run or cannot be started, and when it is canceled.
    pub async fn command(
        &self,
        authorized: Authorized<InvokeTool>,
        argv: Vec<String>,
        time_limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<CommandReport, ToolError> {
        let (_caller, target) = authorized.into_parts();
        if target.tool.as_str() != self.spec.name || target.capability != self.capability() {
            return Err(ToolError::NoSuchTool { tool: target.tool.to_string() });
        }
        let time_limit = time_limit.min(self.longest());
        let wanted = Wanted::of(None, Some(argv))?;
        let mut process = self.begin(wanted, None, time_limit, cancel).await?;
        let finished = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                process.stop();
                // A helper that is stopped before it heard its order has nothing to report.
                drop(process.ended().await);
                return Err(ToolError::Canceled);
            }
            ended = process.ended() => ended?,
        };
        let ended = match finished.ended {
            Ended::Canceled => return Err(ToolError::Canceled),
            Ended::Exited(code) => CommandEnded::Exited(code),
            Ended::Signaled(signal) => CommandEnded::Signaled(signal),
            Ended::TimedOut => CommandEnded::TimedOut,
        };
        let said = if finished.dropped == 0 { finished.head } else { finished.tail };
        Ok(CommandReport { ended, said })
    }
}
