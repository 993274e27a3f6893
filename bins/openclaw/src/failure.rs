//! What went wrong, what to do next, and the exit code that tells a script.

use std::io;

use openclaw_client::{CallError, Code, ConnectError, KeyError, Origin};
use serde::Serialize;

use crate::exit::Exit;
use crate::json;
use crate::length;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The gateway refused or failed, or the connection broke.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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

impl Failure {
    /// Something that this program noticed itself, without advice.
    pub(crate) fn told(exit: Exit, cause: impl Into<String>) -> Self {
        Self::Told { exit, cause: cause.into(), next: None }
    }

    /// Something that this program noticed itself, with the next command.
    pub(crate) fn advised(exit: Exit, cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Told { exit, cause: cause.into(), next: Some(next.into()) }
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
                | ConnectError::NotRunning { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::Transport(_) => Exit::Unreachable,
                ConnectError::OtherOwner { .. } | ConnectError::Permission { .. } => Exit::Denied,
                ConnectError::Network { .. } | ConnectError::PathTooLong { .. } => {
                    Exit::Configuration
                }
            },
            Self::Key(_) | Self::Output(_) | Self::Render(_) => Exit::Failed,
            Self::Told { exit, .. } => *exit,
        }
    }

    /// Returns the next command, or advice. `start` is the command that starts a gateway.
    pub(crate) fn next(&self, start: &str) -> Option<String> {
        match self {
            Self::Call(error) => match (error.next(), error.retry_after()) {
                (Some(next), _) => Some(next.to_owned()),
                (None, Some(delay)) => Some(format!("try again in {}", length::show(delay))),
                (None, None) if self.exit() == Exit::Retry => Some("try again later".to_owned()),
                (None, None) => None,
            },
            Self::Connect(error) => match error {
                ConnectError::NotRunning { .. } => Some(start.to_owned()),
                ConnectError::Network { .. } => Some("leave out --gateway".to_owned()),
                ConnectError::OtherOwner { .. } | ConnectError::Permission { .. } => {
                    Some("run it as the user who owns the state directory".to_owned())
                }
                ConnectError::PathTooLong { .. } => {
                    Some("choose a shorter path with --state-dir".to_owned())
                }
                ConnectError::Io { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::Transport(_) => Some("openclaw health".to_owned()),
            },
            Self::Key(_) | Self::Output(_) | Self::Render(_) => None,
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
            return Report::from(Body { code, message, next, ..Body::default() });
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

fn of_call(code: Code, origin: Origin, reason: Option<&str>) -> Exit {
    match (origin, reason, code) {
        (Origin::Transport, _, _) => Exit::Unreachable,
        (_, Some("DRAINING"), _) | (_, _, Code::ResourceExhausted | Code::Unavailable) => {
            Exit::Retry
        }
        (_, _, Code::PermissionDenied | Code::Unauthenticated) => Exit::Denied,
        _ => Exit::Failed,
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    #[rustfmt::skip]
    fn exit_codes_of_calls() {
        use Code::{Aborted, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, NotFound};
        use Code::{PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable, Unimplemented};
        use Origin::{Gateway, Transport};
        for (code, origin, reason, expected) in [
            (PermissionDenied,   Gateway,   Some("MISSING_SCOPE"), 77),
            (Unauthenticated,    Gateway,   Some("INSIDE_RUN"),    77),
            (Unavailable,        Gateway,   None,                  75),
            (ResourceExhausted,  Gateway,   Some("RATE_LIMITED"),  75),
            (FailedPrecondition, Gateway,   Some("DRAINING"),      75),
            (FailedPrecondition, Gateway,   None,                  1),
            (Unavailable,        Transport, None,                  69),
            (Code::Unknown,      Transport, None,                  69),
            (InvalidArgument,    Gateway,   Some("MALFORMED_KEY"), 1),
            (NotFound,           Gateway,   None,                  1),
            (Aborted,            Gateway,   None,                  1),
            (DeadlineExceeded,   Gateway,   None,                  1),
            (Internal,           Gateway,   Some("INTERNAL"),      1),
            (Unimplemented,      Gateway,   None,                  1),
        ] {
            assert_eq!(of_call(code, origin, reason).number(), expected, "{code:?} {reason:?}");
        }
    }

    #[test]
    fn exit_codes_of_connections() {
        let path = || PathBuf::from("/state/gateway.sock");
        let source = || io::Error::other("test");
        for (error, expected, next) in [
            (ConnectError::NotRunning { path: path(), source: source() }, 69, "START"),
            (ConnectError::TimedOut { path: path() }, 69, "openclaw health"),
            (ConnectError::Io { path: path(), source: source() }, 69, "openclaw health"),
            (
                ConnectError::OtherOwner { path: path(), uid: 5 },
                77,
                "run it as the user who owns the state directory",
            ),
            (
                ConnectError::Permission { path: path(), source: source() },
                77,
                "run it as the user who owns the state directory",
            ),
            (
                ConnectError::PathTooLong { path: path() },
                78,
                "choose a shorter path with --state-dir",
            ),
            (ConnectError::Network { url: "https://a".into() }, 78, "leave out --gateway"),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.exit().number(), expected, "{failure:?}");
            assert_eq!(failure.next("START").as_deref(), Some(next), "{failure:?}");
        }
    }

    #[test]
    fn reports_have_one_shape() {
        let failure =
            Failure::advised(Exit::Configuration, "no context `x`", "openclaw context list");
        let json = serde_json::to_string(&failure.report("")).unwrap();
        let expected = r#"{"error":{"code":"CONFIGURATION","reason":"","message":"no context `x`","missingScopes":[],"requestId":"","grant":"","next":"openclaw context list"}}"#;
        assert_eq!(json, expected);
        let failure = Failure::from(tonic::Status::not_found("no run `x`"));
        let json = serde_json::to_string(&failure.report("")).unwrap();
        assert!(json.starts_with(r#"{"error":{"code":"NOT_FOUND","reason":"","#), "{json}");
    }
}
