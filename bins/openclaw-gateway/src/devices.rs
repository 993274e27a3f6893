//! What the owner of the state directory can do with devices while no gateway runs.

use std::path::Path;
use std::process::ExitCode;

use openclaw_gateway::offline::{self, OfflineError};
use openclaw_gateway::{Device, DeviceList, PairingView, RequestState, Revoked};
use openclaw_scopes::{ScopeSet, Timestamp};
use serde_json::{Value, json};

use crate::flags::DevicesVerb;
use crate::offline::{print, refused};

/// Performs one verb.
pub(crate) async fn run(verb: &DevicesVerb, state_dir: &Path) -> ExitCode {
    let (done, is_json) = match verb {
        DevicesVerb::List { json } => {
            (offline::list_devices(state_dir).await.map(|list| Done::Listed(Box::new(list))), *json)
        }
        DevicesVerb::Approve { request, scopes, json } => {
            let approved = offline::approve_device(state_dir, request, *scopes).await;
            (approved.map(|device| Done::Approved(Box::new(device))), *json)
        }
        DevicesVerb::Revoke { device: Some(device), all: _, json } => {
            let revoked = offline::revoke_device(state_dir, device).await;
            (revoked.map(|device| Done::Revoked(Box::new(device))), *json)
        }
        DevicesVerb::Revoke { device: None, all: _, json } => {
            (offline::revoke_all(state_dir).await.map(Done::RevokedAll), *json)
        }
    };
    told(done, is_json)
}

/// What was done.
enum Done {
    Approved(Box<Device>),
    Listed(Box<DeviceList>),
    Revoked(Box<Device>),
    RevokedAll(Revoked),
}

fn told(done: Result<Done, OfflineError>, is_json: bool) -> ExitCode {
    let done = match done {
        Ok(done) => done,
        Err(error) => return refused(&error, is_json),
    };
    let text = match (&done, is_json) {
        (Done::Approved(found) | Done::Revoked(found), true) => device(found).to_string(),
        (Done::Approved(found), false) => {
            format!("approved device {} for {}", found.id, found.baseline.approved().reduced())
        }
        (Done::Revoked(found), false) => format!("revoked device {}", found.id),
        (Done::Listed(list), true) => json!({
            "devices": list.devices.iter().map(device).collect::<Vec<_>>(),
            "pending": list.pending.iter().map(request).collect::<Vec<_>>(),
        })
        .to_string(),
        (Done::Listed(list), false) => lines(list),
        (Done::RevokedAll(revoked), true) => {
            let Revoked { devices, tokens, invitations, requests } = revoked;
            json!({
                "devices": devices,
                "tokens": tokens,
                "invitations": invitations,
                "requests": requests,
            })
            .to_string()
        }
        (Done::RevokedAll(revoked), false) => format!(
            "revoked {} devices, {} tokens and {} invitations; rejected {} requests",
            revoked.devices, revoked.tokens, revoked.invitations, revoked.requests
        ),
    };
    print(&text)
}

fn lines(list: &DeviceList) -> String {
    let devices = list.devices.iter().map(|device| {
        let state = if device.revoked_at.is_some() { "revoked" } else { "active" };
        let name = if device.label.is_empty() { &device.name } else { &device.label };
        format!("{}  {state}  {name}  {}", device.id, device.baseline.granted().reduced())
    });
    let pending = list.pending.iter().map(|view| {
        let wish = view.pending.wish;
        let scopes = wish.scopes.reduced();
        let (id, device) = (&view.pending.id, &view.pending.device);
        format!("request {id}@{}  {device}  {}  {scopes}", wish.revision, view.name)
    });
    let lines: Vec<_> = devices.chain(pending).collect();
    if lines.is_empty() { "no devices".to_owned() } else { lines.join("\n") }
}

fn names(scopes: ScopeSet) -> Vec<&'static str> {
    scopes.reduced().iter().map(openclaw_scopes::Scope::name).collect()
}

fn time(at: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or(Value::Null, |at| json!(at.to_string()))
}

/// A device, as `openclaw devices --json` shows it.
fn device(device: &Device) -> Value {
    json!({
        "id": device.id.to_string(),
        "label": device.label,
        "name": device.name,
        "role": device.role.name(),
        "approvedScopes": names(device.baseline.approved()),
        "grantedScopes": names(device.baseline.granted()),
        "status": if device.revoked_at.is_some() { "revoked" } else { "active" },
        "provenance": {
            "approvedBy": device.provenance.approved_by,
            "approvedAt": time(device.provenance.approved_at),
            "via": device.provenance.via.name(),
            "viaId": device.provenance.via_id,
        },
        "createdAt": time(device.created_at),
        "lastUsedAt": device.last_used_at.map_or(Value::Null, time),
        "lastAddress": device.last_address,
        "epoch": device.epoch.0,
    })
}

/// A request, as `openclaw devices --json` shows it.
fn request(view: &PairingView) -> Value {
    let pending = &view.pending;
    json!({
        "id": pending.id.to_string(),
        "revision": pending.wish.revision,
        "deviceId": pending.device.to_string(),
        "name": view.name,
        "kind": pending.kind.name(),
        "role": pending.role.name(),
        "requestedScopes": names(pending.wish.scopes),
        "approvedScopes": names(view.held),
        "state": match view.state {
            RequestState::Approved => "approved",
            RequestState::Expired => "expired",
            RequestState::Pending => "pending",
            RequestState::Rejected => "rejected",
        },
        "createdAt": time(pending.created_at),
        "expiresAt": time(pending.expires_at()),
        "address": view.address,
    })
}
