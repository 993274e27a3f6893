//! `devices approve` and `reject`: a person decides about a request.

use std::io::{self, BufRead as _, IsTerminal as _};

use openclaw_client::v1::{ApproveDeviceRequest, Device, PairingRequest, RejectDeviceRequest};
use openclaw_client::{PROPOSED, RequestRef};
use openclaw_scopes::ScopeSet;

use super::{Whose, listed, shown};
use crate::cli::ApproveArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output, Sink};
use crate::place::Place;
use crate::verb::access::or_nothing;
use crate::verb::{named, names};
use crate::wish;

pub(super) async fn approve(
    args: ApproveArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let ApproveArgs { request, scopes, all_requested, offline: _ } = args;
    if let (Some(scopes), Some(_)) = (scopes.chosen(), request.revision) {
        return grant(&request.to_string(), scopes, place, output).await;
    }
    let client = place.connect_for(&["device.pair.list"]).await?;
    let waiting = listed(&client, Whose::All).await?.pending;
    let Some(found) = waiting.into_iter().find(|it| it.id == request.id.as_str()) else {
        let next = place.command("devices pending");
        return Err(Failure::advised(Exit::Failed, format!("no request `{request}` waits"), next));
    };
    if let Some(looked_at) = request.revision
        && looked_at != found.revision
    {
        let cause = format!(
            "the request has changed and is at revision {} now; you looked at {looked_at}",
            found.revision
        );
        let next = place.command("devices pending");
        return Err(Failure::advised(Exit::Failed, cause, next));
    }
    let named = scopes.chosen();
    let scopes = match (named, all_requested) {
        (Some(scopes), _) => scopes,
        (None, true) => super::named(&found.requested_scopes),
        (None, false) => proposed(&found, place)?,
    };
    let Some(revision) = request.revision else {
        // What was looked at is what is approved: the id alone says nothing about what it asks for.
        let reference = shown::reference(&found);
        return match ask(&found, scopes, output)? {
            Said::Yes => grant(&reference, scopes, place, output).await,
            Said::No => {
                output.note("nothing was approved")?;
                Ok(Exit::Failed)
            }
            Said::Nobody => {
                let cause =
                    format!("an approval names the revision that was looked at: {reference}");
                Err(Failure::advised(Exit::Usage, cause, command(&reference, scopes, place)))
            }
        };
    };
    let left_out = super::named(&found.requested_scopes).closed().without(scopes.closed());
    if named.is_none() && !left_out.is_empty() && output.format() == Format::Human {
        let left_out = left_out.reduced();
        output.note(&format!("left out: {left_out}; name it with --scopes to grant it"))?;
    }
    grant(&format!("{}@{revision}", found.id), scopes, place, output).await
}

/// Returns what is granted when nobody says what: for a new device what it asks for of reading and
/// writing; who has something and wants more gets exactly what is named.
fn proposed(request: &PairingRequest, place: &Place) -> Result<ScopeSet, Failure> {
    let wished = named(&request.requested_scopes);
    let proposed = wished.attenuate(PROPOSED).reduced();
    let is_new = request.kind != "scope-upgrade";
    if is_new && !proposed.is_empty() {
        return Ok(proposed);
    }
    let cause = if is_new {
        "the device asks for nothing that is granted without being named"
    } else {
        "name what the device gets beside what it has"
    };
    let reference = shown::reference(request);
    Err(Failure::advised(Exit::Usage, cause, command(&reference, wished, place)))
}

fn command(reference: &str, scopes: ScopeSet, place: &Place) -> String {
    let scopes = names(scopes).join(",");
    place.command(&format!("devices approve {reference} --scopes {scopes}"))
}

/// What a person says to a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    No,
    Nobody,
    Yes,
}

/// Shows a request to a person, if there is one, and asks.
fn ask(request: &PairingRequest, scopes: ScopeSet, output: &mut Output) -> Result<Said, Failure> {
    let is_person = io::stdin().is_terminal() && output.err_sink() == Sink::Terminal;
    if !is_person || output.format() == Format::Json {
        return Ok(Said::Nobody);
    }
    for line in shown::request(request).lines() {
        output.note(line)?;
    }
    output.prompt(&format!("Approve it for {scopes}? [y/N] "))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
    Ok(if is_yes { Said::Yes } else { Said::No })
}

async fn grant(
    reference: &str,
    scopes: ScopeSet,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    // Who grants a scope holds it.
    let client = place.connect(wish::of(&["device.pair.approve"]).union(scopes)).await?;
    let request = ApproveDeviceRequest { request: reference.to_owned(), scopes: names(scopes) };
    let device = client.devices().approve(request).await?.into_inner();
    match output.format() {
        Format::Human => output.line(&approved(&device))?,
        Format::Json => output.message(&device)?,
    }
    Ok(Exit::Ok)
}

fn approved(device: &Device) -> String {
    let (id, name) = (shown::short(&device.id), shown::name(device));
    format!("approved device {id} ({name}) for {}", or_nothing(&device.approved_scopes))
}

pub(super) async fn reject(
    request: &RequestRef,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = place.connect_for(&["device.pair.reject"]).await?;
    let request = RejectDeviceRequest { request: request.to_string() };
    let rejected = client.devices().reject(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            output.line(&format!("rejected request {}", shown::reference(&rejected)))?;
        }
        Format::Json => output.message(&rejected)?,
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Global;
    use crate::place::Environment;

    #[test]
    #[rustfmt::skip]
    //= docs/threat-model.md#T31
    fn what_is_granted_when_nothing_is_named() {
        let global = Global { state_dir: Some("/s".into()), ..Global::default() };
        let place = Place::find(&global, Environment::default()).unwrap();
        for (kind, asks, expected) in [
            ("not-paired",    "operator.read",                     Ok("operator.read")),
            ("not-paired",    "operator.read operator.write",      Ok("operator.write")),
            ("not-paired",    "operator.admin",                    Ok("operator.write")),
            ("not-paired",    "operator.pairing operator.read",    Ok("operator.read")),
            ("not-paired",    "operator.sessions.read",            Ok("operator.sessions.read")),
            ("not-paired",    "operator.pairing",                  Err("operator.pairing")),
            ("role-upgrade",  "operator.read",                     Ok("operator.read")),
            ("scope-upgrade", "operator.write",                    Err("operator.write")),
            ("scope-upgrade", "operator.admin operator.approvals", Err("operator.admin,operator.approvals")),
        ] {
            let request = PairingRequest {
                id: "r1".into(),
                revision: 3,
                kind: kind.into(),
                requested_scopes: asks.split(' ').map(str::to_owned).collect(),
                ..PairingRequest::default()
            };
            match (proposed(&request, &place), expected) {
                (Ok(scopes), Ok(expected)) => assert_eq!(scopes.to_string(), expected, "{asks}"),
                (Err(failure), Err(scopes)) => {
                    assert_eq!(failure.exit(), Exit::Usage);
                    let next = format!("openclaw --state-dir /s devices approve r1@3 --scopes {scopes}");
                    assert_eq!(failure.next(""), Some(next));
                }
                (told, expected) => panic!("{kind} {asks}: {told:?}, not {expected:?}"),
            }
        }
    }
}
