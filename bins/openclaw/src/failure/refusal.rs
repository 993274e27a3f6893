//! What a refusal of the gateway means to the caller of the program.

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
    match (error.next(), error.server_time()) {
        // The gateway knows the remedy, and its time beside it.
        (Some(next), Some(time)) => return Some(format!("{next}; the gateway's says {time}")),
        (Some(next), None) => return Some(next.to_owned()),
        (None, _) => {}
    }
    match (error.reason(), error.request_id(), error.retry_after()) {
        (_, Some(id), _) => Some(format!("openclaw devices approve {id}")),
        (Some("CLOCK_SKEW"), _, _) => {
            let time = error.server_time().unwrap_or("another time");
            Some(format!("set this machine's clock; the gateway's says {time}"))
        }
        (Some("PAIRING_REQUIRED"), _, _) => Some("openclaw connect LINK".to_owned()),
        (_, _, Some(delay)) => Some(format!("try again in {}", length::show(delay))),
        _ if exit == Exit::Retry => Some("try again later".to_owned()),
        _ => None,
    }
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
