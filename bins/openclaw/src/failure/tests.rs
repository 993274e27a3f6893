//! Exit codes, advice and reports.

use std::path::PathBuf;

use openclaw_client::{Code, Fingerprint, Target, Trust};
use tonic_types::{ErrorDetails, StatusExt as _};

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
        (FailedPrecondition, Gateway,   Some("PAIRING_REQUIRED"), 77),
        (FailedPrecondition, Gateway,   Some("RATE_LIMITED"),  75),
        (Code::Unknown,      Transport, Some("FINGERPRINT_MISMATCH"), 77),
        (InvalidArgument,    Gateway,   Some("CLOCK_SKEW"),    77),
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
    let address = || "home:1".parse().unwrap();
    for (error, expected, next) in [
        (ConnectError::NotRunning { path: path(), source: source() }, 69, "START"),
        (ConnectError::TimedOut { target: Target::Unix(path()) }, 69, "openclaw health"),
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
        (ConnectError::PathTooLong { path: path() }, 78, "choose a shorter path with --state-dir"),
        (
            ConnectError::Unreachable { address: address(), source: source() },
            69,
            "is the gateway running there, does [listen] tcp name this port, and is it open?",
        ),
        (ConnectError::NoTrust { address: address() }, 78, "openclaw connect LINK"),
    ] {
        let failure = Failure::from(error);
        assert_eq!(failure.exit().number(), expected, "{failure:?}");
        assert_eq!(failure.next("START").as_deref(), Some(next), "{failure:?}");
    }
}

#[test]
fn a_clock_that_is_off_is_told_the_time() {
    let time = "2026-01-01T00:00:00Z";
    let facts = [("serverTime".to_owned(), time.to_owned())];
    let mut details = ErrorDetails::with_error_info("CLOCK_SKEW", "openclaw", facts);
    details.add_help_link("set the clock of the device", "");
    let status = tonic::Status::with_error_details(Code::Unauthenticated, "off", details);
    let expected = format!("set the clock of the device; the gateway's says {time}");
    assert_eq!(Failure::from(status).next(""), Some(expected));
}

#[test]
fn reports_have_one_shape() {
    let failure = Failure::advised(Exit::Configuration, "no context `x`", "openclaw context list");
    let json = serde_json::to_string(&failure.report("")).unwrap();
    let expected = r#"{"error":{"code":"CONFIGURATION","reason":"","message":"no context `x`","missingScopes":[],"requestId":"","grant":"","next":"openclaw context list"}}"#;
    assert_eq!(json, expected);
    let failure = Failure::from(tonic::Status::not_found("no run `x`"));
    let json = serde_json::to_string(&failure.report("")).unwrap();
    assert!(json.starts_with(r#"{"error":{"code":"NOT_FOUND","reason":"","#), "{json}");
}

#[test]
fn another_gateway_is_a_refusal_with_a_reason() {
    let of = |byte| Fingerprint([byte; 32]);
    let failure = Failure::from(ConnectError::Untrusted {
        address: "home:1".parse().unwrap(),
        expected: Trust::Fingerprint(of(1)),
        found: of(2),
    });
    assert_eq!(failure.exit(), Exit::Denied);
    let json = serde_json::to_value(failure.report("")).unwrap();
    assert_eq!(json["error"]["code"], "PERMISSION_DENIED");
    assert_eq!(json["error"]["reason"], "FINGERPRINT_MISMATCH");
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.contains(&of(1).to_string()) && message.contains(&of(2).to_string()));
}

#[test]
fn a_lock_names_its_time() {
    let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "openclaw", []);
    details.add_help_link("wait, and check the credential", "");
    details.set_retry_info(Some(std::time::Duration::from_millis(119_200)));
    let status = tonic::Status::with_error_details(Code::ResourceExhausted, "too many", details);
    let failure = Failure::from(status);
    let expected = "wait, and check the credential; try again in 2m";
    assert_eq!((failure.exit(), failure.next("").as_deref()), (Exit::Retry, Some(expected)));
}

/// What was refused was not done; what was never answered may have been.
#[test]
fn a_connection_that_broke_leaves_a_question() {
    let look = || "openclaw devices list".to_owned();
    let broken = tonic::Status::from_error(io::Error::from(io::ErrorKind::ConnectionReset).into());
    let failure = Failure::from(broken).or_look(look);
    assert_eq!(failure.exit(), Exit::Unreachable);
    assert!(failure.to_string().starts_with("the connection broke before the gateway answered"));
    let next = failure.next("");
    assert_eq!(next.as_deref(), Some("openclaw devices list"));
    let refused = Failure::from(tonic::Status::not_found("no run `x`")).or_look(look);
    assert!(matches!(refused, Failure::Call(_)), "{refused:?}");
}
