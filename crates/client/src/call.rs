//! Refusals and failures of calls, with what the gateway says about the way out.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::ConnectError;

/// The domain of the gateway's reasons.
const DOMAIN: &str = "openclaw";

/// Why a call failed, as the gateway says it.
#[derive(Clone, Eq, PartialEq)]
pub struct CallError(Box<Parts>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Parts {
    code: Code,
    message: String,
    origin: Origin,
    reason: Option<String>,
    kind: Option<String>,
    missing_scopes: Vec<String>,
    grant: Option<String>,
    request_id: Option<String>,
    next: Option<String>,
    retry_after: Option<Duration>,
    server_time: Option<String>,
}

/// Where a failure was noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The gateway answered so.
    Gateway,
    /// No answer came: the connection broke, or never was.
    Transport,
}

impl CallError {
    /// Returns the status code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message, one line for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns whether the gateway answered, or no answer came.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Returns the machine-readable reason, for example `MISSING_SCOPE`.
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Returns the scopes that the call would have needed and the grant does not hold.
    pub fn missing_scopes(&self) -> &[String] {
        &self.0.missing_scopes
    }

    /// Returns the smallest grant that would do.
    pub fn grant(&self) -> Option<&str> {
        self.0.grant.as_deref()
    }

    /// Returns the id of the pending request that somebody has to decide.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns what kind of approval is missing, for example `not-paired`.
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// Returns the gateway's time in RFC 3339, when the device's clock is too far away from it.
    pub fn server_time(&self) -> Option<&str> {
        self.0.server_time.as_deref()
    }

    /// Returns the next command to try.
    pub fn next(&self) -> Option<&str> {
        self.0.next.as_deref()
    }

    /// Returns how long to wait before another attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl CallError {
    pub(crate) fn of(status: &Status) -> Self {
        // A status that came over the wire has no source; one made here of a broken connection has.
        let origin = if status.source().is_some() { Origin::Transport } else { Origin::Gateway };
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let fact = |key| info.and_then(|info| info.metadata.get(key)).filter(|v| !v.is_empty());
        let scopes = fact("missingScopes").map(String::as_str).unwrap_or_default();
        let next = details.help().and_then(|help| help.links.first());
        let reason = info.map(|info| info.reason.clone()).filter(|reason| !reason.is_empty());
        Self(Box::new(Parts {
            code: status.code(),
            message: status.message().to_owned(),
            origin,
            reason: reason.or_else(|| own_reason(status.source())),
            kind: fact("kind").cloned(),
            missing_scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            grant: fact("grant").cloned(),
            request_id: fact("requestId").cloned(),
            next: next.map(|link| link.description.clone()).filter(|text| !text.is_empty()),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            server_time: fact("serverTime").cloned(),
        }))
    }
}

/// Returns the reason of a refusal that this client decided itself, somewhere below the call.
fn own_reason(source: Option<&(dyn std::error::Error + 'static)>) -> Option<String> {
    let mut next = source;
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return error.reason().map(str::to_owned);
        }
        next = error.source();
    }
    None
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::of(&status)
    }
}

impl From<ConnectError> for CallError {
    /// The connection that a call needed could not be made.
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(error) => error,
            error => Status::from_error(error.into()).into(),
        }
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.message.as_str() {
            "" => f.write_str(self.0.code.description()),
            message => f.write_str(message),
        }
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn everything_the_gateway_says_is_read() {
        let mut details = ErrorDetails::new();
        let facts = [
            ("missingScopes", "operator.write operator.pairing"),
            ("grant", "operator.write on agent:main:main"),
            ("requestId", "req-7"),
            ("kind", "scope-upgrade"),
            ("serverTime", "2026-01-01T00:00:00Z"),
        ];
        let metadata = facts.map(|(key, value)| (key.to_owned(), value.to_owned()));
        details
            .set_error_info("MISSING_SCOPE", "openclaw", metadata)
            .set_retry_info(Some(Duration::from_millis(1500)))
            .add_help_link("openclaw access explain agent", "https://example.org/");
        let message = "missing scope: operator.write";
        let status = Status::with_error_details(Code::PermissionDenied, message, details);
        let error = CallError::from(status);
        assert_eq!(error.code(), Code::PermissionDenied);
        assert_eq!(error.origin(), Origin::Gateway);
        assert_eq!(error.message(), message);
        assert_eq!(error.reason(), Some("MISSING_SCOPE"));
        assert_eq!(error.missing_scopes(), ["operator.write", "operator.pairing"]);
        assert_eq!(error.grant(), Some("operator.write on agent:main:main"));
        assert_eq!(error.request_id(), Some("req-7"));
        assert_eq!(error.kind(), Some("scope-upgrade"));
        assert_eq!(error.server_time(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(error.next(), Some("openclaw access explain agent"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn foreign_and_broken_details_say_nothing() {
        let mut details = ErrorDetails::new();
        details.set_error_info("MISSING_SCOPE", "example.org", [("grant".into(), "all".into())]);
        let foreign = Status::with_error_details(Code::Internal, "", details);
        let broken = Status::with_details(Code::Internal, "", vec![255, 255, 255].into());
        for status in [foreign, broken, Status::internal("")] {
            let error = CallError::from(status);
            assert_eq!((error.reason(), error.grant(), error.next()), (None, None, None));
            assert!(error.missing_scopes().is_empty());
            assert_eq!(error.to_string(), "Internal error");
        }
    }

    #[test]
    fn a_broken_connection_is_not_an_answer() {
        let mut status = Status::unavailable("broken pipe");
        status.set_source(std::sync::Arc::new(std::io::Error::other("broken pipe")));
        assert_eq!(CallError::from(status).origin(), Origin::Transport);
    }
}
