//! What can go wrong with devices, their requests and API tokens.

use std::time::Duration;

use openclaw_pairing::{ApproveError, RotateError};
use openclaw_scopes::{DeviceId, ScopeSet};
use openclaw_store::{DeviceError, TokenError};
use tonic::Code;

use super::{ASK_ANEW, Reply, conflict};
use crate::upgrade;

/// The public face of what can go wrong with devices and requests.
pub(crate) fn device(error: &DeviceError) -> Reply {
    let said = || error.to_string();
    let wrong_state = |message| Reply::new(Code::FailedPrecondition, "", message);
    let pending = "openclaw devices pending";
    match error {
        DeviceError::AlreadyApproved(_) => {
            wrong_state(said()).next("connect again, and ask for it then")
        }
        DeviceError::Ambiguous(_) | DeviceError::Malformed => {
            Reply::invalid(said()).next("openclaw devices list")
        }
        DeviceError::Approve(error) => match error {
            ApproveError::Expired => {
                Reply::new(Code::FailedPrecondition, "PAIRING_EXPIRED", said())
                    .next("let the device ask again")
            }
            ApproveError::Stale { .. } => Reply::new(Code::Aborted, "", said()).next(pending),
            ApproveError::Beyond(scopes) => {
                Reply::invalid(said()).with("scopes", scopes.to_string()).next(pending)
            }
            ApproveError::Nothing => Reply::invalid(said()).next("name scopes with --scopes"),
            ApproveError::NothingNew(scopes) => {
                let next = "name what it lacks with --scopes, or openclaw devices reject";
                Reply::invalid(said()).with("scopes", scopes.to_string()).next(next)
            }
            ApproveError::OtherDevice => Reply::internal(error),
        },
        DeviceError::Decided(_) => wrong_state(said()).next("openclaw devices list"),
        DeviceError::Invitation => Reply::new(Code::Unauthenticated, "PAIRING_REQUIRED", said())
            .with("kind", "not-paired")
            .next("ask for a new one: openclaw devices invite"),
        DeviceError::Node => Reply::new(Code::Unimplemented, "", said()).next("use role operator"),
        DeviceError::NotADevice => wrong_state(said()).next("openclaw devices list"),
        DeviceError::NotPaired => Reply::new(Code::Unauthenticated, "PAIRING_REQUIRED", said())
            .with("kind", "not-paired")
            .next("openclaw connect, with a link from `openclaw devices invite`"),
        DeviceError::OtherRole(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw devices list")
        }
        DeviceError::Rejected => Reply::new(Code::PermissionDenied, "PAIRING_REJECTED", said())
            .next("talk to whoever owns the gateway"),
        DeviceError::Revoked => {
            Reply::new(Code::PermissionDenied, "DEVICE_REVOKED", said()).next(ASK_ANEW)
        }
        DeviceError::RotatedAway { device, taken, whole } => {
            Reply::new(Code::PermissionDenied, "MISSING_SCOPE", said())
                .with("missingScopes", taken.to_string())
                .with("grant", taken.to_string())
                .next(rotation(device, *whole))
        }
        DeviceError::Rotate(RotateError::OutsideBaseline(scopes)) => {
            Reply::new(Code::FailedPrecondition, "OUTSIDE_BASELINE", said())
                .with("scopes", scopes.to_string())
                .next("openclaw devices upgrade --scopes …, and approve that")
        }
        DeviceError::Rotate(RotateError::TooNarrow(scopes)) => {
            Reply::new(Code::PermissionDenied, "APPROVER_TOO_NARROW", said())
                .with("missingScopes", scopes.to_string())
                .with("grant", scopes.to_string())
                .next("openclaw access explain device.token.rotate")
        }
        DeviceError::TooMany => Reply::new(Code::ResourceExhausted, "LIMIT_EXCEEDED", said())
            .retry(Duration::from_secs(60))
            .next("openclaw devices pending, on the gateway's machine"),
        DeviceError::Unknown(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw devices list")
        }
        DeviceError::UnknownToken(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw tokens list")
        }
        DeviceError::UnknownInvitation(_) => {
            Reply::new(Code::NotFound, "", said()).next("openclaw devices invitations")
        }
        DeviceError::UnknownRequest(_) => Reply::new(Code::NotFound, "", said()).next(pending),
    }
}

/// Names the command with which an administrator lets a device's tokens carry these.
pub(crate) fn rotation(device: &DeviceId, scopes: ScopeSet) -> String {
    let scopes = scopes.reduced().to_string().replace(' ', ",");
    let device = upgrade::short(device);
    format!("on the gateway's machine: openclaw devices rotate {device} --scopes {scopes}")
}

/// The public face of what can go wrong with API tokens.
pub(crate) fn token(error: &TokenError) -> Reply {
    match error {
        TokenError::IdempotencyConflict => conflict(),
        TokenError::Issued | TokenError::NameTaken(_) => {
            Reply::new(Code::AlreadyExists, "", error.to_string()).next("openclaw tokens list")
        }
        TokenError::Unknown(_) => {
            Reply::new(Code::NotFound, "", error.to_string()).next("openclaw tokens list")
        }
    }
}
