//! What went wrong, what to do next, and the exit code that tells a script.

mod refusal;

use std::io;

use openclaw_client::{CallError, ConnectError, DeviceKeyError, KeyError, Origin};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::refusal::{code_name, of_call, of_refusal};
use crate::json;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The gateway refused or failed, or the connection broke.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no connection.
    #[error(transparent)]
    Connect(ConnectError),
    /// The device's key cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceKeyError),
    /// Randomness failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The result could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The result could not be shown as JSON.
    #[error(transparent)]
    Render(#[from] json::RenderError),
    /// Something that this program noticed itself.
    #[error("{cause}")]
    Told {
        /// How the program ends.
        exit: Exit,
        /// What is wrong, in one line.
        cause: String,
        /// The next command, or advice.
        next: Option<String>,
    },
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Call(status.into())
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(error) => Self::Call(error),
            error => Self::Connect(error),
        }
    }
}

impl Failure {
    /// Something that this program noticed itself, without advice.
    pub(crate) fn told(exit: Exit, cause: impl Into<String>) -> Self {
        Self::Told { exit, cause: cause.into(), next: None }
    }

    /// Something that this program noticed itself, with the next command.
    pub(crate) fn advised(exit: Exit, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Told { exit, cause: cause.into(), next: Some(next.into()) }
    }

    /// The same, where the connection broke before the answer came: then nobody knows whether it was done,
    /// and `look` is the command that shows it.
    pub(crate) fn or_look(self, look: impl FnOnce() -> String) -> Self {
        match self {
            Self::Call(error)
                if error.origin() == Origin::Transport && error.reason().is_none() =>
            {
                let cause = format!(
                    "the connection broke before the gateway answered, and whether it was done is \
                     not known: {error}"
                );
                Self::advised(Exit::Unreachable, cause, look())
            }
            other => other,
        }
    }

    /// Returns whether the reader of the output went away, which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns how the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Call(error) => of_call(error.code(), error.origin(), error.reason()),
            Self::Connect(error) => match error {
                ConnectError::Io { .. }
                | ConnectError::Lost { .. }
                | ConnectError::NotRunning { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::Tls { .. }
                | ConnectError::Transport(_)
                | ConnectError::Unreachable { .. } => Exit::Unreachable,
                ConnectError::OtherOwner { .. }
                | ConnectError::Permission { .. }
                | ConnectError::Refused(_)
                | ConnectError::Untrusted { .. } => Exit::Denied,
                ConnectError::Identity { .. }
                | ConnectError::NoTrust { .. }
                | ConnectError::PathTooLong { .. } => Exit::Configuration,
            },
            Self::Device(_) => Exit::Configuration,
            Self::Key(_) | Self::Output(_) | Self::Render(_) => Exit::Failed,
            Self::Told { exit, .. } => *exit,
        }
    }

    /// Returns the id of the request that somebody has to decide.
    pub(crate) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Call(error) => error.request_id(),
            _ => None,
        }
    }

    /// Returns the next command, or advice. `start` is the command that starts a gateway.
    pub(crate) fn next(&self, start: &str) -> Option<String> {
        match self {
            Self::Call(error) => of_refusal(error, self.exit()),
            Self::Connect(error) => match error {
                ConnectError::NotRunning { .. } => Some(start.to_owned()),
                ConnectError::OtherOwner { .. } | ConnectError::Permission { .. } => {
                    Some("run it as the user who owns the state directory".to_owned())
                }
                ConnectError::PathTooLong { .. } => {
                    Some("choose a shorter path with --state-dir".to_owned())
                }
                ConnectError::Untrusted { .. } => Some(
                    "compare with `openclaw gateway fingerprint` on its machine; if it was \
                     changed on purpose, connect anew"
                        .to_owned(),
                ),
                ConnectError::NoTrust { .. } => Some("openclaw connect LINK".to_owned()),
                ConnectError::Identity { .. } | ConnectError::Refused(_) => None,
                ConnectError::Unreachable { .. } => Some(
                    "is the gateway running there, does [listen] tcp name this port, and is it open?"
                        .to_owned(),
                ),
                ConnectError::Io { .. }
                | ConnectError::Lost { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::Tls { .. }
                | ConnectError::Transport(_) => Some("openclaw health".to_owned()),
            },
            Self::Device(_) | Self::Key(_) | Self::Output(_) | Self::Render(_) => None,
            Self::Told { next, .. } => next.clone(),
        }
    }

    /// Returns the failure as `--json` shows it.
    pub(crate) fn report(&self, start: &str) -> Report {
        let next = self.next(start).unwrap_or_default();
        let message = self.to_string();
        let Self::Call(error) = self else {
            let code = match self.exit() {
                Exit::Configuration => "CONFIGURATION",
                Exit::Denied => "PERMISSION_DENIED",
                Exit::Failed | Exit::Ok => "FAILED",
                Exit::Interrupted => "CANCELLED",
                Exit::Retry => "UNAVAILABLE",
                Exit::Unreachable => "UNREACHABLE",
                Exit::Usage => "USAGE",
            };
            let reason = match self {
                Self::Connect(error) => error.reason().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            return Report::from(Body { code, reason, message, next, ..Body::default() });
        };
        Report::from(Body {
            code: code_name(error.code()),
            reason: error.reason().unwrap_or_default().to_owned(),
            message,
            missing_scopes: error.missing_scopes().to_vec(),
            request_id: error.request_id().unwrap_or_default().to_owned(),
            grant: error.grant().unwrap_or_default().to_owned(),
            next,
        })
    }
}

/// A failure as `--json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    error: Body,
}

impl From<Body> for Report {
    fn from(error: Body) -> Self {
        Self { error }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    code: &'static str,
    reason: String,
    message: String,
    missing_scopes: Vec<String>,
    request_id: String,
    grant: String,
    next: String,
}

#[cfg(test)]
mod tests;
