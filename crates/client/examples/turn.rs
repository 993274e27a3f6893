//! Runs one turn of an agent and prints the answer while it is written.
//!
//! ```text
//! cargo run -p openclaw-client --example turn -- unix:$HOME/.openclaw/gateway.sock "Who are you?"
//! ```

use std::error::Error;
use std::io::Write as _;

use openclaw_client::v1::run_event::Event;
use openclaw_client::v1::{RunStatus, StartRunRequest};
use openclaw_client::{CallError, Client, Identity, Options, Target, fresh_key};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let target: Target = args.next().ok_or("usage: turn TARGET MESSAGE")?.parse()?;
    let message = args.next().ok_or("usage: turn TARGET MESSAGE")?;

    let client = Client::connect(&target, Identity::Local, &Options::default()).await?;
    let request = StartRunRequest {
        // The key is the run's id: sent again, also after a restart, it finds the same run.
        idempotency_key: fresh_key()?.to_string(),
        message,
        ..StartRunRequest::default()
    };
    let mut events = client.runs().start(request).await.map_err(CallError::from)?.into_inner();

    let mut out = std::io::stdout().lock();
    while let Some(event) = events.message().await.map_err(CallError::from)? {
        match event.event {
            Some(Event::Text(delta)) => {
                write!(out, "{}", delta.text)?;
                out.flush()?;
            }
            Some(Event::Retry(retry)) => writeln!(out, "\n({}: asking again)", retry.reason)?,
            Some(Event::Final(run)) if run.status() == RunStatus::Ok => writeln!(out)?,
            Some(Event::Final(run)) => return Err(run.error.into()),
            Some(Event::ApprovalNeeded(needed)) => {
                writeln!(out, "\n(`{}` waits for approval {})", needed.operation, needed.id)?;
            }
            // Accepted, tool steps, and whatever a newer gateway adds.
            Some(Event::Accepted(_) | Event::ToolStarted(_) | Event::ToolFinished(_)) | None => {}
        }
    }
    Ok(())
}
