//! Every method by nobody, and by those who were somebody: whose grant has ended, whose token was
//! replaced, and who never can be.

use openclaw_proto::v1;
use openclaw_scopes::method::{Surface, TABLE};
use openclaw_scopes::{DeviceRole, Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Connected, Refusal, loopback};
use tonic::Code;

use crate::in_process::calls::{About, call};
use crate::in_process::policy::lines;
use crate::in_process::stage::Stage;
use crate::in_process::world::World;

/// Calls every method, each of which is refused.
async fn refusals(client: &Client, about: &About) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (row, case) in lines() {
        let called = call(client, row.name, case.when, "nobody", about).await;
        refusals.push(Refusal::from(called.expect_err(row.name)));
    }
    refusals
}

async fn all_are(client: &Client, about: &About, code: Code, reason: &str) {
    for refusal in refusals(client, about).await {
        assert_eq!(refusal.kind(), (code, reason), "{refusal:?}");
    }
}

/// Returns how many refusals the log must have of whom.
pub(super) async fn has_no_way_in(stage: &Stage, about: &About) -> Vec<(u64, String)> {
    let formers = Formers::of(stage).await;
    let world = World::of(&stage.gateway, &stage.owner).await;
    nobody(stage, about, &formers.token).await;
    formers.devices(stage, about).await;
    formers.programs(stage, about).await;
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "nobody");
    let status = stage.owner.gateway().status(v1::StatusRequest {}).await.unwrap();
    let all = u64::try_from(lines().count()).unwrap();
    let peer = |number| (all, format!("peer:{}", loopback(number)));
    // On the socket: two tokens that are not good, and one that has expired.
    vec![peer(100), peer(101), (3 * all, status.into_inner().principal)]
}

/// Whoever shows nothing may ask to be let in, over the network, and nothing else.
async fn nobody(stage: &Stage, about: &About, token: &str) {
    let bare = stage.gateway.dial().await;
    all_are(&bare, about, Code::Unauthenticated, "PAIRING_REQUIRED").await;
    let shaking = TABLE.iter().filter(|row| matches!(row.surface, Surface::Handshake(_)));
    for row in shaking {
        for (client, code) in [
            (&bare, if row.name == "device.challenge" { Code::Ok } else { Code::InvalidArgument }),
            // On the socket there is nothing to be proved, whoever asks.
            (&stage.owner, Code::FailedPrecondition),
            (&stage.owner.bearing(token), Code::FailedPrecondition),
        ] {
            let mut devices = client.devices();
            let answer = match row.name {
                "device.challenge" => devices.challenge(v1::ChallengeRequest {}).await.map(drop),
                "device.connect" => devices.connect(v1::ConnectRequest::default()).await.map(drop),
                other => panic!("`{other}` is new: say here how it is called"),
            };
            let told = answer.as_ref().map_or_else(tonic::Status::code, |()| Code::Ok);
            assert_eq!(told, code, "{}: {answer:?}", row.name);
        }
    }
    let node = Attempt { role: DeviceRole::Node, ..Attempt::asking(&[Scope::Read]) };
    let refusal = stage.device().connect(&stage.gateway, &node).await.unwrap_err();
    assert_eq!(refusal.code, Code::Unimplemented, "{refusal:?}");
}

/// Those who were somebody, with all scopes, and a token that is good.
struct Formers {
    expired: String,
    removed: Connected,
    revoked: Connected,
    revoked_token: String,
    rotated: Connected,
    token: String,
}

impl Formers {
    async fn of(stage: &Stage) -> Self {
        let owner = &stage.owner;
        let (rotated, by_rotated) = stage.connected(ScopeSet::ALL).await;
        let (revoked, by_revoked) = stage.connected(ScopeSet::ALL).await;
        let (removed, by_removed) = stage.connected(ScopeSet::ALL).await;
        let (token, secret) = stage.token(owner, ScopeSet::ALL).await;
        let (device, role) = (rotated.id().to_string(), "operator".to_owned());
        let rotate = v1::RotateDeviceRequest { device, role, keep: true, scopes: Vec::new() };
        owner.devices().rotate(rotate).await.unwrap();
        let revoke = v1::RevokeDeviceRequest { device: revoked.id().to_string(), role: "".into() };
        owner.devices().revoke(revoke).await.unwrap();
        let remove = v1::RemoveDeviceRequest { device: removed.id().to_string() };
        owner.devices().remove(remove).await.unwrap();
        owner.tokens().revoke(v1::RevokeTokenRequest { token }).await.unwrap();
        Self {
            expired: stage.expired_token(ScopeSet::ALL).await.1,
            removed: by_removed,
            revoked: by_revoked,
            revoked_token: secret,
            rotated: by_rotated,
            token: stage.token(owner, ScopeSet::ALL).await.1,
        }
    }

    async fn devices(&self, stage: &Stage, about: &About) {
        // A rotated device proves its key anew on the same connection, so that goes on.
        all_are(&self.rotated.client, about, Code::Unauthenticated, "TOKEN_REVOKED").await;
        for former in [&self.revoked, &self.removed] {
            // Theirs is closed soon; until then they are told why.
            for refusal in refusals(&former.client, about).await {
                let is_told = refusal.kind() == (Code::PermissionDenied, "DEVICE_REVOKED");
                let is_closed = refusal.reason.is_empty() && refusal.code != Code::PermissionDenied;
                assert!(is_told || is_closed, "{refusal:?}");
            }
        }
        for former in [&self.rotated, &self.revoked, &self.removed] {
            let elsewhere = stage.gateway.dial().await.bearing(&former.answer.access_token);
            all_are(&elsewhere, about, Code::Unauthenticated, "TOKEN_REVOKED").await;
        }
    }

    async fn programs(&self, stage: &Stage, about: &About) {
        let unknown = format!("oct_{}", "A".repeat(43));
        let secrets = [&unknown, &self.revoked_token, &self.expired];
        for (number, secret) in secrets.into_iter().enumerate() {
            let from = loopback(100 + u8::try_from(number).unwrap());
            let client = stage.gateway.dial_from(from).await.bearing(secret);
            for (at, refusal) in refusals(&client, about).await.iter().enumerate() {
                let kind = match at {
                    0..10 => (Code::Unauthenticated, "TOKEN_REVOKED"),
                    _ => (Code::ResourceExhausted, "RATE_LIMITED"),
                };
                assert_eq!(refusal.kind(), kind, "{at} {refusal:?}");
            }
            let local = stage.owner.bearing(secret);
            all_are(&local, about, Code::Unauthenticated, "TOKEN_REVOKED").await;
        }
    }
}
