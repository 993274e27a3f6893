//! `devices`: who may connect, and what they may do.

mod change;
mod decide;
mod invite;
mod offline;
mod shown;
mod upgrade;

use openclaw_client::Client;
use openclaw_client::v1::{Device, ListDevicesRequest, ListDevicesResponse};
use openclaw_scopes::{Scope, ScopeSet};

use super::named;
use crate::block_on;
use crate::cli::DevicesVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::wish;

pub(super) use shown::{reference, short};
pub(super) use upgrade::approval;

/// Does what the command line says about devices.
pub(super) fn run(verb: DevicesVerb, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        DevicesVerb::List { offline: true, .. } => offline::list(place, output),
        DevicesVerb::List { own, offline: false } => block_on(list(own.into(), place, output)),
        DevicesVerb::Pending => block_on(pending(place, output)),
        DevicesVerb::Show { device } => block_on(show(&device.text(), place, output)),
        DevicesVerb::Approve(args) if args.offline => offline::approve(&args, place, output),
        DevicesVerb::Approve(args) => block_on(decide::approve(args, place, output)),
        DevicesVerb::Reject { request } => block_on(decide::reject(&request, place, output)),
        DevicesVerb::Rotate { device, role, scopes, no_scopes } => {
            let carry = match (scopes.chosen(), no_scopes) {
                (Some(scopes), _) => change::Carry::Exactly(scopes),
                (None, true) => change::Carry::Exactly(ScopeSet::EMPTY),
                (None, false) => change::Carry::AsBefore,
            };
            block_on(change::rotate(&device.text(), role, carry, place, output))
        }
        DevicesVerb::Revoke { device, flag, all, role, offline, removal } => {
            let device = device.or(flag).filter(|_| !all);
            let where_to = if offline { " --offline" } else { "" };
            let step = change::revocation(device.as_deref(), &removal, where_to, place)?;
            if offline {
                return offline::revoke(device.as_deref(), place, output);
            }
            match device {
                None => block_on(change::revoke_all(step, place, output)),
                Some(device) => block_on(change::revoke(&device, role, step, place, output)),
            }
        }
        DevicesVerb::Remove { device, removal } => {
            block_on(change::remove(&device.text(), &removal, place, output))
        }
        DevicesVerb::Rename { device_and_label, device } => {
            let (device, label) = change::device_and_label(device_and_label, device)?;
            block_on(change::rename(device, label, place, output))
        }
        DevicesVerb::Invite { scopes, ttl, addresses } => {
            block_on(invite::run(scopes.chosen(), ttl, &addresses, place, output))
        }
        DevicesVerb::Invitations => block_on(invite::list(place, output)),
        DevicesVerb::Uninvite { invitation, removal } => {
            block_on(invite::withdraw(&invitation, &removal, place, output))
        }
        DevicesVerb::Upgrade { scopes, wait } => {
            block_on(upgrade::run(scopes.chosen(), wait, place, output))
        }
    }
}

/// Which devices are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    All,
    Own,
}

impl From<bool> for Whose {
    fn from(own: bool) -> Self {
        if own { Self::Own } else { Self::All }
    }
}

async fn list(whose: Whose, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let wish = match whose {
        Whose::All => wish::when("device.pair.list", "all devices"),
        Whose::Own => wish::when("device.pair.list", "own device"),
    };
    let list = listed(&place.connect(wish).await?, whose).await?;
    match output.format() {
        Format::Human if list.devices.is_empty() && list.pending.is_empty() => {
            output.note("no devices")?;
        }
        Format::Human => output.block(&shown::list(&list))?,
        Format::Json => output.message(&list)?,
    }
    Ok(Exit::Ok)
}

async fn pending(place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let list = listed(&place.connect_for(&["device.pair.list"]).await?, Whose::All).await?;
    let list = ListDevicesResponse { devices: Vec::new(), ..list };
    match output.format() {
        Format::Human if list.pending.is_empty() => output.note("no requests")?,
        Format::Human => output.block(&shown::list(&list))?,
        Format::Json => output.message(&list)?,
    }
    Ok(Exit::Ok)
}

async fn show(device: &str, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let list = listed(&place.connect_for(&["device.pair.list"]).await?, Whose::All).await?;
    let device = find(&list.devices, device, place)?;
    match output.format() {
        Format::Human => output.block(&shown::facts(device))?,
        Format::Json => output.message(device)?,
    }
    Ok(Exit::Ok)
}

async fn listed(client: &Client, whose: Whose) -> Result<ListDevicesResponse, Failure> {
    let request = ListDevicesRequest { own: whose == Whose::Own };
    Ok(client.devices().list(request).await?.into_inner())
}

/// Returns the one device whose id begins so.
fn find<'a>(devices: &'a [Device], text: &str, place: &Place) -> Result<&'a Device, Failure> {
    let mut found = devices.iter().filter(|it| !text.is_empty() && it.id.starts_with(text));
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device),
        (None, _) => {
            let cause = format!("no device `{text}`");
            Err(Failure::advised(Exit::Failed, cause, place.command("devices list")))
        }
        (Some(_), Some(_)) => {
            let cause = format!("more than one device id begins with `{text}`");
            Err(Failure::advised(Exit::Usage, cause, place.command("devices list")))
        }
    }
}

/// Connects to change what a device may do: with what the caller must hold for it, and nothing else.
///
/// Over the network that is `operator.pairing` and every scope that is handed out or taken away; for
/// the own device only the latter. Over the socket the owner holds everything.
async fn connect_to_manage(
    device: &str,
    handed_out: ScopeSet,
    place: &Place,
) -> Result<Client, Failure> {
    let client = place.connect(Scope::Pairing.into()).await?;
    let Some(admission) = client.admission() else { return Ok(client) };
    if admission.device.as_str().starts_with(device) {
        return place.connect(handed_out.union(admission.approved_scopes)).await;
    }
    let list = listed(&client, Whose::All).await?;
    let approved = named(&find(&list.devices, device, place)?.approved_scopes);
    place.connect(ScopeSet::from(Scope::Pairing).union(approved).union(handed_out)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;
    use crate::place::Environment;

    #[test]
    fn a_device_is_found_by_the_beginning_of_its_id() {
        let global = Global { state_dir: Some("/s".into()), ..Global::default() };
        let place = Place::find(&global, Environment::default()).unwrap();
        let device = |id: &str| Device { id: id.into(), ..Device::default() };
        let devices = [device("abcdef01"), device("abcdef02"), device("12345678")];
        for (text, expected) in [
            ("123456", Ok("12345678")),
            ("abcdef01", Ok("abcdef01")),
            ("abcdef", Err(Exit::Usage)),
            ("fedcba", Err(Exit::Failed)),
            ("", Err(Exit::Failed)),
        ] {
            let found = find(&devices, text, &place);
            let found = found.map(|device| device.id.as_str()).map_err(|failure| failure.exit());
            assert_eq!(found, expected, "{text}");
        }
    }
}
