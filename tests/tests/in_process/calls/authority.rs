//! One call of every method that hands out, shows or takes away authority.

use openclaw_proto::v1;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Client, names};
use tonic::Status;

/// What the devices, requests and tokens hold, ask for or carry that calls are about.
pub(crate) const HELD: Scope = Scope::Read;

/// What calls are about that hand out or take away authority.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The id of a device that holds [`HELD`].
    pub(crate) device: String,
    /// A request for it that waits, as `ID@REVISION`.
    pub(crate) request: String,
    /// An open invitation with it.
    pub(crate) invitation: String,
    /// The name of a token with it.
    pub(crate) token: String,
    /// A conversation of the owner's.
    pub(crate) session: String,
    /// A run of the owner's that was delegated, and of which its parent was told.
    pub(crate) child: String,
    /// A conversation of a device that nobody else is.
    pub(crate) others_session: String,
    /// A run that this device delegated.
    pub(crate) others_child: String,
    /// The id of a job of the owner's.
    pub(crate) job: String,
    /// The id of a job of another device, which is also its key.
    pub(crate) others_job: String,
    /// The id of a job of the owner's that posts what it says.
    pub(crate) hooked_job: String,
    /// A delivery of the owner's that waits.
    pub(crate) delivery: String,
    /// One of another device.
    pub(crate) others_delivery: String,
}

/// The scopes that a call hands out or takes away, besides one's own.
pub(crate) fn touched(name: &str, when: &str) -> ScopeSet {
    match (name, when) {
        (_, "own device") => ScopeSet::EMPTY,
        (
            "device.pair.approve"
            | "device.pair.remove"
            | "device.pair.rename"
            | "device.token.rotate"
            | "device.token.revoke"
            | "device.invite"
            | "device.invite.revoke"
            | "tokens.create"
            | "tokens.revoke",
            _,
        ) => HELD.into(),
        ("channels.pairing.approve", _) => Scope::Write.into(),
        _ => ScopeSet::EMPTY,
    }
}

pub(super) async fn call(
    client: &Client,
    name: &str,
    when: &str,
    tag: &str,
    about: &About,
) -> Result<(), Status> {
    let (device, request) = (about.device.clone(), about.request.clone());
    let (scopes, own) = (names(&[HELD]), when == "own device");
    let mut devices = client.devices();
    match (name, when) {
        ("access.show", "own access" | "access of others") => {
            let principal = if when == "own access" { "" } else { "owner" }.into();
            client.access().show(v1::ShowAccessRequest { principal }).await.map(drop)
        }
        ("security.audit", "") => {
            client.security().audit(v1::SecurityAuditRequest {}).await.map(drop)
        }
        ("device.renew", "") => devices.renew(v1::RenewRequest {}).await.map(drop),
        ("device.scopes.requestUpgrade", "") => {
            let scopes = names(&[Scope::Admin]);
            devices.request_upgrade(v1::RequestUpgradeRequest { scopes }).await.map(drop)
        }
        ("device.scopes.waitUpgrade", "") => {
            let request_id = request.split('@').next().unwrap().to_owned();
            let timeout = Some(prost_types::Duration { seconds: 5, nanos: 0 });
            devices.wait_upgrade(v1::WaitUpgradeRequest { request_id, timeout }).await.map(drop)
        }
        ("device.pair.list", "own device" | "all devices") => {
            devices.list(v1::ListDevicesRequest { own }).await.map(drop)
        }
        ("device.pair.approve", "") => {
            devices.approve(v1::ApproveDeviceRequest { request, scopes }).await.map(drop)
        }
        ("device.pair.reject", "own device" | "") => {
            devices.reject(v1::RejectDeviceRequest { request }).await.map(drop)
        }
        ("device.pair.remove", "own device" | "") => {
            devices.remove(v1::RemoveDeviceRequest { device }).await.map(drop)
        }
        ("device.pair.rename", "own device" | "") => {
            let label = format!("label {tag}");
            devices.rename(v1::RenameDeviceRequest { device, label }).await.map(drop)
        }
        ("device.token.rotate", "own device" | "") => {
            let scopes = if own { Vec::new() } else { scopes };
            let request =
                v1::RotateDeviceRequest { device, role: String::new(), scopes, keep: own };
            devices.rotate(request).await.map(drop)
        }
        ("device.token.revoke", "own device" | "") => {
            let role = "operator".into();
            devices.revoke(v1::RevokeDeviceRequest { device, role }).await.map(drop)
        }
        ("device.revokeAll", "") => devices.revoke_all(v1::RevokeAllRequest {}).await.map(drop),
        ("device.invite", "") => {
            let request = v1::InviteRequest { scopes, ..v1::InviteRequest::default() };
            devices.invite(request).await.map(drop)
        }
        ("device.invite.list", "") => {
            devices.list_invitations(v1::ListInvitationsRequest {}).await.map(drop)
        }
        ("device.invite.revoke", "") => {
            let request = v1::RevokeInvitationRequest { invitation: about.invitation.clone() };
            devices.revoke_invitation(request).await.map(drop)
        }
        ("tokens.create", "") => {
            let request = v1::CreateTokenRequest {
                idempotency_key: format!("call-{tag}"),
                name: format!("made-{tag}"),
                scopes,
                ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
            };
            client.tokens().create(request).await.map(drop)
        }
        ("tokens.list", "") => client.tokens().list(v1::ListTokensRequest {}).await.map(drop),
        ("tokens.revoke", "") => {
            let request = v1::RevokeTokenRequest { token: about.token.clone() };
            client.tokens().revoke(request).await.map(drop)
        }
        (name, when) => panic!("`{name}` on `{when}` is new: say here how it is called"),
    }
}
