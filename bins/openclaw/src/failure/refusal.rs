//! What a refusal of the gateway means to the caller of the program.

use std::time::Duration;

use openclaw_client::{CallError, Code, Origin};

use crate::exit::Exit;
use crate::length;

/// Reasons that refuse who asks, whatever the code.
const REFUSALS: [&str; 14] = [
    "APPROVER_TOO_NARROW",
    "CLOCK_SKEW",
    "DEVICE_REVOKED",
    "FINGERPRINT_MISMATCH",
    "MISSING_SCOPE",
    "NONCE_INVALID",
    "NOT_OWNER",
    "OUTSIDE_BASELINE",
    "PAIRING_EXPIRED",
    "PAIRING_REJECTED",
    "PAIRING_REQUIRED",
    "SIGNATURE_INVALID",
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
];

pub(super) fn of_call(code: Code, origin: Origin, reason: Option<&str>) -> Exit {
    match (origin, reason, code) {
        (_, Some(reason), _) if REFUSALS.contains(&reason) => Exit::Denied,
        (Origin::Transport, _, _) => Exit::Unreachable,
        (_, Some("DRAINING" | "RATE_LIMITED"), _)
        | (_, _, Code::ResourceExhausted | Code::Unavailable) => Exit::Retry,
        (_, _, Code::PermissionDenied | Code::Unauthenticated) => Exit::Denied,
        _ => Exit::Failed,
    }
}

/// Returns what to do about a refusal: what the gateway says, else what follows from its facts.
pub(super) fn of_refusal(error: &CallError, exit: Exit) -> Option<String> {
    let delay = error.retry_after().filter(|_| exit == Exit::Retry);
    let again = delay.map(|delay| format!("try again in {}", length::show(whole(delay))));
    let time = error.server_time().map(|time| format!("the gateway's says {time}"));
    let remedy = match (error.next(), error.reason(), error.request_id()) {
        (Some(next), _, _) => Some(next.to_owned()),
        (None, _, Some(id)) => Some(format!("openclaw devices approve {id}")),
        (None, Some("CLOCK_SKEW"), None) => Some("set this machine's clock".to_owned()),
        (None, Some("PAIRING_REQUIRED"), None) => Some("openclaw connect LINK".to_owned()),
        (None, _, None) => None,
    };
    let parts: Vec<_> = [remedy, time, again].into_iter().flatten().collect();
    match (parts.is_empty(), exit) {
        (false, _) => Some(parts.join("; ")),
        (true, Exit::Retry) => Some("try again later".to_owned()),
        (true, _) => None,
    }
}

/// Rounds up to what a person waits for.
fn whole(delay: Duration) -> Duration {
    Duration::from_secs(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
}

pub(super) fn code_name(code: Code) -> &'static str {
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
