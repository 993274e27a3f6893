//! Devices over the wire: what an approved manager does, and what a device does for itself.

use std::time::Duration;

use openclaw_pairing::{InvitationCode, InvitationSecret, Link, PROPOSED, RequestRef, State};
use openclaw_proto::v1::devices_server::Devices;
use openclaw_proto::{from_duration, scope_names, to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::Listed;
use openclaw_scopes::{InvitationId, PairingId};
use openclaw_store::{
    ApproveRequest, CreateInvitation, Device, DeviceRef, GetRequest, Invitation, ListDevices,
    ListInvitations, PairingView, RejectRequest, RemoveDevice, RenameDevice, RenewDevice,
    RevokeAll, RevokeDevice, RevokeInvitation, RotateDevice,
};
use tonic::{Code, Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, door, gate, secrets, upgrade};

/// How long an invitation is good when nobody says how long (`access.md` §5.10).
const INVITATION_TIME: Duration = Duration::from_secs(600);
/// How long it may be good at most.
const MAX_INVITATION_TIME: Duration = Duration::from_hours(24);
/// How long a client waits for a decision at a time.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Characters of a label at most (`access.md` §5.1).
const MAX_LABEL: usize = 64;

#[tonic::async_trait]
impl Devices for Core {
    async fn challenge(
        &self,
        request: Request<v1::ChallengeRequest>,
    ) -> Result<Response<v1::ChallengeResponse>, Status> {
        let session = gate::session(&request)?;
        Ok(Response::new(self.challenge_device(&session)?))
    }

    async fn connect(
        &self,
        request: Request<v1::ConnectRequest>,
    ) -> Result<Response<v1::ConnectResponse>, Status> {
        let session = gate::session(&request)?;
        Ok(Response::new(self.connect_device(&session, request.into_inner()).await?))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::ConnectResponse>, Status> {
        let session = gate::session(&request)?;
        let (caller, v1::RenewRequest {}) = gate::admit(request)?;
        let ending = self.registry.watch(caller.on_behalf_of());
        let renewed = self.store.view(&caller, &RenewDevice, clock::now()).await;
        let renewed = renewed
            .map_err(|error| respond::act(error, method::RenewDevice::ROW, respond::device))?;
        Ok(Response::new(door::issue(self, &session, renewed, ending, None)?))
    }

    async fn request_upgrade(
        &self,
        request: Request<v1::RequestUpgradeRequest>,
    ) -> Result<Response<v1::PairingRequest>, Status> {
        let address = gate::session(&request)?.address().ip();
        let (caller, message) = gate::admit(request)?;
        let scopes = convert::some_scopes(&message.scopes)?;
        let view = upgrade::file(&self.store, &caller, scopes, address).await?;
        Ok(Response::new(pairing_request(view)))
    }

    async fn wait_upgrade(
        &self,
        request: Request<v1::WaitUpgradeRequest>,
    ) -> Result<Response<v1::PairingRequest>, Status> {
        let (caller, message) = gate::admit(request)?;
        let id = PairingId::parse(&message.request_id)
            .map_err(|error| Reply::invalid(error.to_string()))?;
        let wait = convert::duration(message.timeout.as_ref(), "timeout")?.unwrap_or(MAX_WAIT);
        let mut time = std::pin::pin!(tokio::time::sleep(wait.min(MAX_WAIT)));
        // Looked at before the state is: a decision in between is then not missed.
        let mut changes = self.registry.changes();
        let mut is_over = false;
        let view = loop {
            let now = clock::now();
            let view = self.store.view(&caller, &GetRequest { id: id.clone(), now }, now).await;
            let view = view
                .map_err(|error| respond::act(error, method::WaitUpgrade::ROW, respond::device))?;
            if is_over || view.state != State::Pending {
                break view;
            }
            tokio::select! {
                changed = changes.changed() => is_over = changed.is_err(),
                () = tokio::time::sleep(view.pending.expires_at().since(now)) => {}
                () = time.as_mut() => is_over = true,
            }
        };
        Ok(Response::new(pairing_request(view)))
    }

    async fn list(
        &self,
        request: Request<v1::ListDevicesRequest>,
    ) -> Result<Response<v1::ListDevicesResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let (now, listed) = (clock::now(), if message.own { Listed::Own } else { Listed::All });
        let list = self.store.scan(&caller, ListDevices { listed, now }, now).await;
        let list =
            list.map_err(|error| respond::act(error, method::ListDevices::ROW, respond::device))?;
        let devices = list.devices.into_iter().map(|found| {
            let waits = list.pending.iter().find(|view| view.pending.device == found.id);
            device(found, waits.cloned())
        });
        let devices = devices.collect();
        let pending = list.pending.into_iter().map(pairing_request).collect();
        Ok(Response::new(v1::ListDevicesResponse { devices, pending }))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let (caller, message) = gate::admit(request)?;
        let named = request_ref(&message.request)?;
        let revision = named.revision.ok_or_else(|| {
            Reply::invalid("an approval names what was looked at: ID@REVISION")
                .next("openclaw devices pending")
        })?;
        let scopes = convert::some_scopes(&message.scopes)?;
        let ask = ApproveRequest { id: named.id, revision, scopes };
        let approved = self.perform(&caller, ask, clock::now(), respond::device).await?;
        self.registry.changed();
        Ok(Response::new(device(approved, None)))
    }

    async fn reject(
        &self,
        request: Request<v1::RejectDeviceRequest>,
    ) -> Result<Response<v1::PairingRequest>, Status> {
        let (caller, message) = gate::admit(request)?;
        let RequestRef { id, revision } = request_ref(&message.request)?;
        let ask = RejectRequest { id, revision };
        let rejected = self.perform(&caller, ask, clock::now(), respond::device).await?;
        self.registry.changed();
        Ok(Response::new(pairing_request(rejected)))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = RemoveDevice { device: device_ref(&message.device)? };
        let removed = self.perform(&caller, ask, clock::now(), respond::device).await?;
        Ok(Response::new(device(removed, None)))
    }

    async fn rename(
        &self,
        request: Request<v1::RenameDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let (caller, message) = gate::admit(request)?;
        let label = message.label;
        if label.chars().count() > MAX_LABEL || openclaw_pairing::clean_name(&label) != label {
            let text = format!(
                "a label has at most {MAX_LABEL} characters, none of which steer a terminal, and \
                 no space at its ends"
            );
            return Err(Reply::invalid(text).next("openclaw devices rename DEVICE LABEL").into());
        }
        let ask = RenameDevice { device: device_ref(&message.device)?, label };
        let renamed = self.perform(&caller, ask, clock::now(), respond::device).await?;
        Ok(Response::new(device(renamed, None)))
    }

    async fn rotate(
        &self,
        request: Request<v1::RotateDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let (caller, message) = gate::admit(request)?;
        let scopes = match (message.keep, message.scopes.as_slice()) {
            (true, []) => None,
            (true, _) => {
                let text = "keeping what tokens carry and setting it exclude each other";
                return Err(Reply::invalid(text).into());
            }
            (false, names) => Some(convert::scopes(names)?),
        };
        let role = convert::role(&message.role)?;
        let ask = RotateDevice { device: device_ref(&message.device)?, role, scopes };
        let rotated = self.perform(&caller, ask, clock::now(), respond::device).await?;
        Ok(Response::new(device(rotated, None)))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeDeviceRequest>,
    ) -> Result<Response<v1::Device>, Status> {
        let (caller, message) = gate::admit(request)?;
        let role = convert::role(&message.role)?;
        let ask = RevokeDevice { device: device_ref(&message.device)?, role };
        let revoked = self.perform(&caller, ask, clock::now(), respond::device).await?;
        Ok(Response::new(device(revoked, None)))
    }

    async fn revoke_all(
        &self,
        request: Request<v1::RevokeAllRequest>,
    ) -> Result<Response<v1::RevokeAllResponse>, Status> {
        let (caller, v1::RevokeAllRequest {}) = gate::admit(request)?;
        let revoked = self.perform(&caller, RevokeAll, clock::now(), respond::device).await?;
        self.registry.changed();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Response::new(v1::RevokeAllResponse {
            devices: count(revoked.devices),
            tokens: count(revoked.tokens),
            invitations: count(revoked.invitations),
            requests: count(revoked.requests),
        }))
    }

    async fn invite(
        &self,
        request: Request<v1::InviteRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let (caller, message) = gate::admit(request)?;
        let scopes = match message.scopes.as_slice() {
            [] => PROPOSED,
            names => convert::scopes(names)?,
        };
        let ttl = message.ttl.as_ref().map(from_duration);
        let ttl = ttl.unwrap_or(Some(INVITATION_TIME));
        let ttl = ttl.filter(|ttl| ttl.as_millis() > 0 && *ttl <= MAX_INVITATION_TIME);
        let ttl = ttl.ok_or_else(|| {
            Reply::invalid("an invitation is good for a day at most")
                .next("name a time with --ttl, for example 10m")
        })?;
        let id = secrets::id("inv_", InvitationId::parse)?;
        let (secret, now) = (InvitationSecret(secrets::random()?), clock::now());
        let hash = secret.hash(self.store.hash_key());
        let expires_at = now.saturating_add(ttl);
        let network = self.network.as_ref().ok_or_else(off);
        let addresses = match (&network, message.addresses.as_slice()) {
            (Err(_), _) => Vec::new(),
            (Ok(network), []) => network.addresses(),
            (Ok(_), given) => {
                given.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>().map_err(
                    |error: openclaw_pairing::ParseAddressError| Reply::invalid(error.to_string()),
                )?
            }
        };
        // Decided before it is told whether the network is on: that is for those who may invite.
        let network = match network {
            Ok(network) if (1..=8).contains(&addresses.len()) => network,
            missing => {
                let target = openclaw_scopes::target::Authority::named("invitation");
                let target = target.granting(scopes);
                drop(self.peek::<method::InviteDevice>(&caller, target).await?);
                let reply = missing.err().unwrap_or_else(|| {
                    Reply::invalid("an invitation names 1 to 8 addresses")
                        .next("name one with --address HOST:PORT, or set listen.advertise")
                });
                return Err(reply.into());
            }
        };
        let ask = CreateInvitation { id, hash, scopes, expires_at };
        let made = self.perform(&caller, ask, now, respond::device).await?;
        let code = InvitationCode::new(secret, &network.fingerprint);
        let told = addresses.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::Invitation {
            code: code.to_string(),
            link: Link { code, addresses }.to_string(),
            addresses: told,
            fingerprint: network.fingerprint.to_string(),
            ..invitation(&made)
        }))
    }

    async fn list_invitations(
        &self,
        request: Request<v1::ListInvitationsRequest>,
    ) -> Result<Response<v1::ListInvitationsResponse>, Status> {
        let (caller, v1::ListInvitationsRequest {}) = gate::admit(request)?;
        let now = clock::now();
        let listed = self.store.view(&caller, &ListInvitations(now), now).await;
        let listed = listed
            .map_err(|error| respond::act(error, method::ListInvitations::ROW, respond::device))?;
        let invitations = listed.iter().map(invitation).collect();
        Ok(Response::new(v1::ListInvitationsResponse { invitations }))
    }

    async fn revoke_invitation(
        &self,
        request: Request<v1::RevokeInvitationRequest>,
    ) -> Result<Response<v1::Invitation>, Status> {
        let (caller, message) = gate::admit(request)?;
        let id = InvitationId::parse(&message.invitation).map_err(|error| {
            Reply::invalid(error.to_string()).next("openclaw devices invitations")
        })?;
        let ask = RevokeInvitation(id);
        let revoked = self.perform(&caller, ask, clock::now(), respond::device).await?;
        Ok(Response::new(invitation(&revoked)))
    }
}

/// Returns an invitation as the wire writes it, without what only its making tells.
fn invitation(made: &Invitation) -> v1::Invitation {
    v1::Invitation {
        id: made.id.to_string(),
        scopes: scope_names(made.scopes),
        expires_at: Some(to_timestamp(made.expires_at)),
        issuer: made.issuer.to_string(),
        created_at: Some(to_timestamp(made.created_at)),
        ..v1::Invitation::default()
    }
}

/// Nothing listens on the network, so nobody could use an invitation.
fn off() -> Reply {
    Reply::new(Code::FailedPrecondition, "", "the gateway does not listen on the network")
        .next("add to openclaw.toml and restart: `[listen]` and `tcp = \"0.0.0.0:18789\"`")
}

fn request_ref(text: &str) -> Result<RequestRef, Reply> {
    let parsed = text.parse::<RequestRef>();
    parsed.map_err(|error| Reply::invalid(error.to_string()).next("openclaw devices pending"))
}

fn device_ref(text: &str) -> Result<DeviceRef, Reply> {
    DeviceRef::parse(text).map_err(|error| respond::device(&error))
}

/// Returns a request as the wire writes it.
pub(crate) fn pairing_request(view: PairingView) -> v1::PairingRequest {
    let state = match view.state {
        State::Approved => v1::pairing_request::State::Approved,
        State::Expired => v1::pairing_request::State::Expired,
        State::Pending => v1::pairing_request::State::Pending,
        State::Rejected => v1::pairing_request::State::Rejected,
    };
    let pending = view.pending;
    v1::PairingRequest {
        id: pending.id.to_string(),
        revision: pending.wish.revision,
        device_id: pending.device.to_string(),
        name: view.name,
        kind: pending.kind.name().into(),
        role: pending.role.name().into(),
        requested_scopes: scope_names(pending.wish.scopes),
        approved_scopes: scope_names(view.held),
        state: state.into(),
        created_at: Some(to_timestamp(pending.created_at)),
        expires_at: Some(to_timestamp(pending.expires_at())),
        address: view.address,
        decided_by: view.decided_by,
        granted_scopes: scope_names(view.granted),
        history: pending
            .history
            .into_iter()
            .map(|wish| v1::FormerWish {
                revision: wish.revision,
                requested_scopes: scope_names(wish.scopes),
                at: Some(to_timestamp(wish.at)),
            })
            .collect(),
    }
}

/// Returns a device as the wire writes it.
pub(crate) fn device(device: Device, pending: Option<PairingView>) -> v1::Device {
    let status = match device.revoked_at {
        None => v1::device::Status::Active,
        Some(_) => v1::device::Status::Revoked,
    };
    v1::Device {
        id: device.id.to_string(),
        label: device.label,
        name: device.name,
        role: device.role.name().into(),
        approved_scopes: scope_names(device.baseline.approved()),
        granted_scopes: scope_names(device.baseline.granted()),
        status: status.into(),
        provenance: Some(v1::Provenance {
            approved_by: device.provenance.approved_by,
            approved_at: Some(to_timestamp(device.provenance.approved_at)),
            via: device.provenance.via.name().into(),
            via_id: device.provenance.via_id,
        }),
        created_at: Some(to_timestamp(device.created_at)),
        last_used_at: device.last_used_at.map(to_timestamp),
        last_address: device.last_address,
        epoch: device.epoch.0,
        pending: pending.map(pairing_request),
    }
}
