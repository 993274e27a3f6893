//! `devices rotate`, `revoke`, `remove` and `rename`: what becomes of a device that was approved.

use openclaw_client::v1::{
    Device, ListInvitationsRequest, ListTokensRequest, RemoveDeviceRequest, RenameDeviceRequest,
    RevokeAllRequest, RevokeAllResponse, RevokeDeviceRequest, RotateDeviceRequest, Token, device,
    token,
};
use openclaw_scopes::ScopeSet;

use super::{Whose, connect_to_manage, find, listed, shown};
use crate::cli::{Removal, RoleName};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::verb::access::or_nothing;
use crate::verb::{Step, confirmed, names};

/// What a device's next tokens carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carry {
    AsBefore,
    Exactly(ScopeSet),
}

pub(super) async fn rotate(
    device: &str,
    role: RoleName,
    carry: Carry,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (scopes, keep) = match carry {
        Carry::AsBefore => (ScopeSet::EMPTY, true),
        Carry::Exactly(scopes) => (scopes, false),
    };
    let client = connect_to_manage(device, scopes, place).await?;
    let request = RotateDeviceRequest {
        device: device.to_owned(),
        role: role.name().to_owned(),
        scopes: names(scopes),
        keep,
    };
    let rotated = client.devices().rotate(request).await?.into_inner();
    let carries = or_nothing(&rotated.granted_scopes);
    tell(&rotated, &format!("rotated {}; it carries {carries}", id(&rotated)), output)
}

/// Asks for a clear word before authority is withdrawn.
pub(super) fn revocation(
    device: Option<&str>,
    removal: &Removal,
    where_to: &str,
    place: &Place,
) -> Result<Step, Failure> {
    let (what, argument) = match device {
        None => ("all authority but the owner's".to_owned(), "--all"),
        Some(device) => (format!("the authority of device `{device}`"), device),
    };
    confirmed(removal, &what, &place.command(&format!("devices revoke {argument}{where_to}")))
}

pub(super) async fn revoke(
    device: &str,
    role: RoleName,
    step: Step,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if step == Step::Show {
        return would("revoke", device, place, output).await;
    }
    let client = connect_to_manage(device, ScopeSet::EMPTY, place).await?;
    let request = RevokeDeviceRequest { device: device.to_owned(), role: role.name().to_owned() };
    let revoked = client.devices().revoke(request).await?.into_inner();
    tell(&revoked, &format!("revoked {}", id(&revoked)), output)
}

pub(super) async fn remove(
    device: &str,
    removal: &Removal,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let command = place.command(&format!("devices remove {device}"));
    if confirmed(removal, &format!("device `{device}`"), &command)? == Step::Show {
        return would("remove", device, place, output).await;
    }
    let client = connect_to_manage(device, ScopeSet::EMPTY, place).await?;
    let request = RemoveDeviceRequest { device: device.to_owned() };
    let removed = client.devices().remove(request).await?.into_inner();
    tell(&removed, &format!("removed {}", id(&removed)), output)
}

/// Says what would happen, and to which device.
async fn would(
    verb: &str,
    device: &str,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let list = listed(&place.connect_for(&["device.pair.list"]).await?, Whose::All).await?;
    let device = find(&list.devices, device, place)?;
    tell(device, &format!("would {verb} {}", id(device)), output)
}

pub(super) async fn revoke_all(
    step: Step,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (done, turned, counts) = match step {
        Step::Show => ("would revoke", "turn", good(place).await?),
        Step::Remove => {
            let client = place.connect_for(&["device.revokeAll"]).await?;
            let counts = client.devices().revoke_all(RevokeAllRequest {}).await?.into_inner();
            ("revoked", "turned", counts)
        }
    };
    match output.format() {
        Format::Human => {
            let RevokeAllResponse { devices, tokens, invitations, requests } = counts;
            output.line(&format!(
                "{done} {devices} devices, {tokens} tokens and {invitations} invitations, and \
                 {turned} down {requests} requests"
            ))?;
        }
        Format::Json => output.message(&counts)?,
    }
    Ok(Exit::Ok)
}

/// Counts what is good, and would be withdrawn.
async fn good(place: &Place) -> Result<RevokeAllResponse, Failure> {
    let methods = ["device.pair.list", "tokens.list", "device.invite.list"];
    let client = place.connect_for(&methods).await?;
    let list = listed(&client, Whose::All).await?;
    let tokens = client.tokens().list(ListTokensRequest {}).await?.into_inner().tokens;
    let open = client.devices().list_invitations(ListInvitationsRequest {}).await?.into_inner();
    let is_active = |device: &&Device| device.status() == device::Status::Active;
    let is_good = |token: &&Token| token.status() == token::Status::Active;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(RevokeAllResponse {
        devices: count(list.devices.iter().filter(is_active).count()),
        tokens: count(tokens.iter().filter(is_good).count()),
        invitations: count(open.invitations.len()),
        requests: count(list.pending.len()),
    })
}

/// Tells device and label apart: with `--device` there is only the label.
pub(super) fn device_and_label(
    arguments: Vec<String>,
    device: Option<String>,
) -> Result<(String, String), Failure> {
    let mut arguments = arguments.into_iter();
    match (device, arguments.next(), arguments.next()) {
        (Some(device), Some(label), None) | (None, Some(device), Some(label)) => {
            Ok((device, label))
        }
        _ => {
            let next = "openclaw devices rename DEVICE LABEL";
            Err(Failure::advised(Exit::Usage, "name one device and one label", next))
        }
    }
}

pub(super) async fn rename(
    device: String,
    label: String,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = place.connect_for(&["device.pair.rename"]).await?;
    let request = RenameDeviceRequest { device, label };
    let renamed = client.devices().rename(request).await?.into_inner();
    tell(&renamed, &format!("renamed {}", id(&renamed)), output)
}

fn id(device: &Device) -> String {
    format!("device {} ({})", shown::short(&device.id), shown::name(device))
}

fn tell(device: &Device, said: &str, output: &mut Output) -> Result<Exit, Failure> {
    match output.format() {
        Format::Human => output.line(said)?,
        Format::Json => output.message(device)?,
    }
    Ok(Exit::Ok)
}
