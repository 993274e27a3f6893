//! Devices and requests as people see them.

use openclaw_client::v1::{Device, ListDevicesResponse, PairingRequest};

use crate::verb::access::or_nothing;
use crate::{json, screen, table};

/// The characters of an id that are shown where it only has to be told from others.
const SHORT: usize = 12;
/// The characters of an id that are shown where people compare it with what the device says: 128 bits, so
/// that nobody can make a key whose id begins the same.
const COMPARED: usize = 32;
/// The characters of a name that are shown in a table.
const NAME: usize = 24;

/// Returns the beginning of a device's id, by which commands find it.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

/// Returns what people call a device, or else it calls itself.
pub(super) fn name(device: &Device) -> &str {
    if device.label.is_empty() { &device.name } else { &device.label }
}

/// Returns how an approval names a request.
pub(crate) fn reference(request: &PairingRequest) -> String {
    format!("{}@{}", request.id, request.revision)
}

pub(super) fn list(list: &ListDevicesResponse) -> String {
    let mut text = String::new();
    if !list.devices.is_empty() {
        text.push_str(&devices(&list.devices));
    }
    if !list.devices.is_empty() && !list.pending.is_empty() {
        text.push('\n');
    }
    if !list.pending.is_empty() {
        text.push_str(&requests(&list.pending));
    }
    text
}

fn devices(devices: &[Device]) -> String {
    let now = jiff::Timestamp::now();
    let rows = devices.iter().map(|device| {
        let provenance = device.provenance.clone().unwrap_or_default();
        let requested = device.pending.as_ref().map(|it| it.requested_scopes.join(" "));
        vec![
            short(&device.id),
            screen::shortened(name(device), NAME),
            device.role.clone(),
            json::word(device.status().as_str_name(), "STATUS_"),
            or_nothing(&device.approved_scopes),
            or_nothing(&device.granted_scopes),
            requested.unwrap_or_default(),
            table::ago(device.last_used_at.as_ref(), now),
            provenance.approved_by,
            provenance.via,
        ]
    });
    let header = [
        "DEVICE",
        "NAME",
        "ROLE",
        "STATUS",
        "APPROVED",
        "CARRIES",
        "REQUESTED",
        "USED",
        "APPROVED BY",
        "THROUGH",
    ];
    table::columns(&header, rows)
}

fn requests(requests: &[PairingRequest]) -> String {
    let now = jiff::Timestamp::now();
    let rows = requests.iter().map(|request| {
        vec![
            reference(request),
            request.device_id.chars().take(COMPARED).collect(),
            screen::shortened(&request.name, NAME),
            request.kind.clone(),
            or_nothing(&request.requested_scopes),
            before(request),
            or_nothing(&request.approved_scopes),
            request.address.clone(),
            table::ago(request.created_at.as_ref(), now),
            table::ago(request.expires_at.as_ref(), now),
        ]
    });
    let header = [
        "REQUEST",
        "DEVICE",
        "NAME",
        "KIND",
        "REQUESTED",
        "BEFORE",
        "APPROVED",
        "FROM",
        "ASKED",
        "LAPSES",
    ];
    table::columns(&header, rows)
}

/// Returns what a request asked for before it changed, the oldest first.
fn before(request: &PairingRequest) -> String {
    let former = request.history.iter().map(|former| {
        format!("revision {}: {}", former.revision, or_nothing(&former.requested_scopes))
    });
    former.collect::<Vec<_>>().join("; ")
}

pub(super) fn facts(device: &Device) -> String {
    let now = jiff::Timestamp::now();
    let provenance = device.provenance.clone().unwrap_or_default();
    let approved = match table::ago(provenance.approved_at.as_ref(), now) {
        at if provenance.approved_by.is_empty() => at,
        at => format!(
            "{at} by {}, through {} {}",
            provenance.approved_by, provenance.via, provenance.via_id
        ),
    };
    let pending = device.pending.as_ref().map(|request| {
        format!("{} asks for {}", reference(request), or_nothing(&request.requested_scopes))
    });
    table::facts(&[
        ("device", device.id.clone()),
        ("label", device.label.clone()),
        ("name", device.name.clone()),
        ("role", device.role.clone()),
        ("status", json::word(device.status().as_str_name(), "STATUS_")),
        ("approved", or_nothing(&device.approved_scopes)),
        ("carries", or_nothing(&device.granted_scopes)),
        ("approval", approved),
        ("pending", pending.unwrap_or_default()),
        ("used", table::ago(device.last_used_at.as_ref(), now)),
        ("from", device.last_address.clone()),
        ("epoch", device.epoch.to_string()),
    ])
}

pub(super) fn request(request: &PairingRequest) -> String {
    let now = jiff::Timestamp::now();
    table::facts(&[
        ("request", reference(request)),
        ("kind", request.kind.clone()),
        ("device", request.device_id.clone()),
        ("calls itself", request.name.clone()),
        ("role", request.role.clone()),
        ("asks for", or_nothing(&request.requested_scopes)),
        ("has", or_nothing(&request.approved_scopes)),
        ("asked for before", before(request)),
        ("from", request.address.clone()),
        ("asked", table::ago(request.created_at.as_ref(), now)),
        ("lapses", table::ago(request.expires_at.as_ref(), now)),
    ])
}
