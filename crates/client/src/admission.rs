//! Proving a device's key on a connection, and what the gateway answers.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use openclaw_pairing::{Claim, DeviceKey, Fingerprint, InvitationSecret, Nonce};
use openclaw_proto::from_timestamp;
use openclaw_scopes::{DeviceId, DeviceRole, Scope, ScopeSet, Timestamp};
use tokio::time::Instant;
use tonic::Status;

use crate::Options;
use crate::identity::bearer;
use crate::v1::devices_client::DevicesClient;
use crate::v1::{ChallengeRequest, ConnectRequest, ConnectResponse, PairingRequest};
use crate::wire::Wire;

/// What a device may do on its connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// The device's id.
    pub device: DeviceId,
    /// The key of the gateway's certificate.
    pub gateway: Fingerprint,
    /// The scopes that calls carry, shortest form.
    pub scopes: ScopeSet,
    /// The scopes that were approved for the device, shortest form.
    pub approved_scopes: ScopeSet,
    /// The request that waits for what is missing of the wish.
    pub pending: Option<PairingRequest>,
    /// How often the device's grant was replaced or withdrawn.
    pub epoch: u64,
}

/// An access token, and what comes with it.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) bearer: HeaderValue,
    pub(crate) life: Life,
    pub(crate) admission: Arc<Admission>,
}

/// How long an access token is good, by the client's own clock, which the gateway's need not agree
/// with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    from: Instant,
    length: Duration,
}

impl Life {
    /// Tells whether less than a tenth is left.
    pub(crate) fn is_ending(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.from) >= self.length.saturating_sub(self.length / 10)
    }

    /// Tells whether nothing is left.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.from) >= self.length
    }
}

/// Proves the key over `wire`.
//= docs/threat-model.md#T28
pub(crate) async fn prove(
    wire: &Wire,
    key: &DeviceKey,
    options: &Options,
    invitation: Option<InvitationSecret>,
) -> Result<Admitted, Status> {
    let mut devices = DevicesClient::new(wire.clone());
    let challenge = devices.challenge(ChallengeRequest {}).await?.into_inner();
    let from = Instant::now();
    let nonce = challenge.nonce.as_slice().try_into();
    let nonce = Nonce(nonce.map_err(|_length| odd("a nonce of another length"))?);
    let claim = Claim {
        nonce,
        // The key that was seen here, so that the signature is of no use to another gateway.
        gateway: wire.gateway(),
        device: key.public().device_id().map_err(|_id| odd("no device id"))?,
        role: DeviceRole::Operator,
        wish: options.wish,
        asks: options.asks,
        at: now(),
    };
    let claim = claim.encode();
    let request = ConnectRequest {
        signature: key.sign(&claim),
        claim,
        public_key: key.public().0.to_vec(),
        invitation: invitation.map(|secret| secret.0.to_vec()).unwrap_or_default(),
        name: options.name.clone(),
    };
    let answer = devices.connect(request).await?.into_inner();
    let server_now = challenge.server_time.as_ref().map(from_timestamp);
    admitted(wire, answer, from, server_now.unwrap_or_else(now))
}

fn admitted(
    wire: &Wire,
    answer: ConnectResponse,
    from: Instant,
    server_now: Timestamp,
) -> Result<Admitted, Status> {
    let expires_at = answer.expires_at.as_ref().map(from_timestamp);
    let expires_at = expires_at.ok_or_else(|| odd("a token without an end"))?;
    let admission = Admission {
        device: DeviceId::parse(&answer.device_id).map_err(|_id| odd("no device id"))?,
        gateway: wire.gateway(),
        scopes: known(&answer.scopes),
        approved_scopes: known(&answer.approved_scopes),
        pending: answer.pending,
        epoch: answer.epoch,
    };
    Ok(Admitted {
        bearer: bearer(&answer.access_token).ok_or_else(|| odd("no access token"))?,
        life: Life { from, length: expires_at.since(server_now) },
        admission: Arc::new(admission),
    })
}

/// The scopes that this version knows; a newer gateway may tell of more.
fn known(names: &[String]) -> ScopeSet {
    let known = names.iter().filter_map(|name| Scope::parse(name).ok());
    known.fold(ScopeSet::EMPTY, ScopeSet::with)
}

fn odd(what: &str) -> Status {
    Status::internal(format!("the gateway's answer makes no sense: {what}"))
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_in_its_last_tenth() {
        let from = Instant::now();
        let life = Life { from, length: Duration::from_secs(100) };
        for (seconds, is_ending, is_over) in [
            (0, false, false),
            (89, false, false),
            (90, true, false),
            (99, true, false),
            (100, true, true),
        ] {
            let now = from + Duration::from_secs(seconds);
            assert_eq!((life.is_ending(now), life.is_over(now)), (is_ending, is_over), "{seconds}");
        }
    }

    #[test]
    fn scopes_that_are_not_known_are_left_out() {
        let names = ["operator.read", "operator.future"].map(str::to_owned);
        assert_eq!(known(&names), Scope::Read.into());
    }
}
