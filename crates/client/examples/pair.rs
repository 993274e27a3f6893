//! Pairs with a gateway by an invitation, runs a turn of an agent, and asks for the scope that it
//! lacks.
//!
//! On the gateway's machine `openclaw devices invite --scopes operator.read` prints a link. Then here:
//!
//! ```text
//! cargo run -p openclaw-client --example pair -- STATE_DIR LINK "Who are you?"
//! ```
//!
//! The device may read, and a turn needs `operator.write`: the gateway refuses it, and the program
//! asks for more and waits. Approve it on the gateway's machine with the command that is printed; the
//! turn then runs, over the same connection.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_client::v1::pairing_request::State;
use openclaw_client::v1::run_event::Event;
use openclaw_client::v1::{RequestUpgradeRequest, StartRunRequest};
use openclaw_client::{CallError, Client, Identity, Link, Options, device_key, fresh_key};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("usage: pair STATE_DIR LINK MESSAGE");
    let (state_dir, link, message) = (PathBuf::from(next()?), next()?, next()?);

    // The key is made on first use; its file is the device's identity from then on.
    let key = device_key(&state_dir.join("device.key"))?;
    let identity = Identity::Device(Arc::new(key));

    // Tries the link's addresses, and talks to none but the gateway whose key the link names. A
    // program keeps `client.fingerprint()` and connects with `Trust::Fingerprint` next time.
    let link: Link = link.parse()?;
    let (client, address) = Client::redeem(&link, &identity, &Options::default()).await?;
    let mut out = std::io::stdout().lock();
    if let Some(admission) = client.admission() {
        writeln!(out, "paired with {address}, for {}", admission.approved_scopes)?;
    }

    let request = StartRunRequest {
        // The key is the run's id: sent again, it finds the same run.
        idempotency_key: fresh_key()?.to_string(),
        message,
        ..StartRunRequest::default()
    };
    let refused = match turn(&client, request.clone(), &mut out).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if refused.reason() != Some("MISSING_SCOPE") {
        return Err(refused.into());
    }

    // Asking is always explicit: nothing is ever approved because it was needed.
    let scopes = refused.missing_scopes().to_vec();
    let asked = client.devices().request_upgrade(RequestUpgradeRequest { scopes }).await;
    let asked = asked.map_err(CallError::from)?.into_inner();
    let (id, revision) = (&asked.id, asked.revision);
    let scopes = asked.requested_scopes.join(",");
    writeln!(out, "waiting for: openclaw devices approve {id}@{revision} --scopes {scopes}")?;
    let decided = client.wait_upgrade(id, Duration::from_secs(600)).await?;
    if decided.state() != State::Approved {
        return Err("nobody approved it".into());
    }
    Ok(turn(&client, request, &mut out).await?)
}

/// Runs a turn and prints the answer while it is written.
async fn turn(
    client: &Client,
    request: StartRunRequest,
    out: &mut impl std::io::Write,
) -> Result<(), CallError> {
    let mut events = client.runs().start(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        if let Some(Event::Text(delta)) = event.event {
            // The reader of the answer may have gone.
            drop(write!(out, "{}", delta.text));
        }
    }
    drop(writeln!(out));
    Ok(())
}
