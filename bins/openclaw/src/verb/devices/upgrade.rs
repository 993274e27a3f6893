//! `devices upgrade`: the own device asks for more than was approved.

use std::time::Duration;

use openclaw_client::Client;
use openclaw_client::v1::pairing_request::State;
use openclaw_client::v1::{PairingRequest, RequestUpgradeRequest};
use openclaw_scopes::ScopeSet;
use tokio::time::Instant;

use super::shown;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::verb::access::or_nothing;
use crate::verb::{named, names};

/// The pause between two attempts to reach the gateway again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(
    scopes: Option<ScopeSet>,
    wait: Option<Duration>,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let Some(scopes) = scopes else {
        let next = "openclaw devices upgrade --scopes operator.write";
        return Err(Failure::advised(Exit::Usage, "name the scopes that are wanted", next));
    };
    let client =
        place.connect_for(&["device.scopes.requestUpgrade", "device.scopes.waitUpgrade"]).await?;
    let request = RequestUpgradeRequest { scopes: names(scopes) };
    let asked = client.devices().request_upgrade(request).await?.into_inner();
    let command = approval(&asked);
    let Some(limit) = wait.filter(|_| asked.state() == State::Pending) else {
        tell(&asked, output)?;
        if asked.state() == State::Pending && output.format() == Format::Human {
            output.note(&format!("to be approved on the gateway's machine: {command}"))?;
        }
        return verdict(&asked, scopes, Exit::Ok, &command);
    };
    output.note(&format!("waiting for: {command}"))?;
    let decided = decided(client, &asked.id, limit, place).await?;
    tell(&decided, output)?;
    verdict(&decided, scopes, Exit::Retry, &command)
}

/// Waits for a decision. The gateway may be restarted meanwhile: the request waits there, and so does this.
async fn decided(
    mut client: Client,
    id: &str,
    limit: Duration,
    place: &Place,
) -> Result<PairingRequest, Failure> {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let lost = match client.wait_upgrade(id, left).await {
            Ok(decided) => return Ok(decided),
            Err(error) => Failure::from(error),
        };
        if lost.exit() != Exit::Unreachable || left.is_zero() {
            return Err(lost);
        }
        client = loop {
            tokio::time::sleep(AGAIN).await;
            match place.connect_for(&["device.scopes.waitUpgrade"]).await {
                Ok(client) => break client,
                Err(error) if error.exit() != Exit::Unreachable => return Err(error),
                Err(error) if until <= Instant::now() => return Err(error),
                Err(_) => {}
            }
        };
    }
}

/// Returns the command that approves a request as it is.
pub(in crate::verb) fn approval(request: &PairingRequest) -> String {
    let reference = shown::reference(request);
    match request.requested_scopes.join(",") {
        scopes if scopes.is_empty() => format!("openclaw devices approve {reference}"),
        scopes => format!("openclaw devices approve {reference} --scopes {scopes}"),
    }
}

fn tell(request: &PairingRequest, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => {
            let state = json::word(request.state().as_str_name(), "STATE_");
            let scopes = match request.state() {
                State::Approved => &request.granted_scopes,
                State::Expired | State::Pending | State::Rejected | State::Unspecified => {
                    &request.requested_scopes
                }
            };
            let reference = shown::reference(request);
            Ok(output.line(&format!("request {reference} for {}: {state}", or_nothing(scopes)))?)
        }
        Format::Json => output.message(request),
    }
}

/// Decides how the program ends: well with all that is wanted, and by `waiting` when nobody has decided.
fn verdict(
    request: &PairingRequest,
    wanted: ScopeSet,
    waiting: Exit,
    command: &str,
) -> Result<Exit, Failure> {
    let id = &request.id;
    match request.state() {
        State::Approved => {
            let held =
                named(&request.granted_scopes).union(named(&request.approved_scopes)).closed();
            let lacking = wanted.closed().without(held).reduced();
            if lacking.is_empty() {
                return Ok(Exit::Ok);
            }
            let cause = format!("request `{id}` was approved in part, without {lacking}");
            Err(Failure::advised(Exit::Denied, cause, "talk to whoever approved it"))
        }
        State::Pending if waiting == Exit::Ok => Ok(Exit::Ok),
        State::Pending | State::Unspecified => {
            let cause = format!("nobody has decided about request `{id}`");
            Err(Failure::advised(Exit::Retry, cause, command))
        }
        State::Rejected => {
            let cause = format!("request `{id}` was rejected");
            Err(Failure::advised(Exit::Denied, cause, "talk to whoever rejected it"))
        }
        State::Expired => {
            let cause = format!("nobody decided about request `{id}` in time");
            Err(Failure::advised(Exit::Denied, cause, "openclaw devices upgrade --scopes SCOPES"))
        }
    }
}
