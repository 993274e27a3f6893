//! A program with a gateway inside: no socket, no second process, the same API.
//!
//! ```text
//! cargo run -p openclaw-gateway --example embed
//! ```

use std::error::Error;

use hyper_util::rt::TokioIo;
use openclaw_gateway::Gateway;
use openclaw_proto::v1;
use openclaw_proto::v1::run_event::Event;
use openclaw_proto::v1::runs_client::RunsClient;
use openclaw_scopes::{Scope, ScopeSet};
use tonic::transport::Endpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let state = tempfile::tempdir()?;
    let answer = ask(state.path(), "What are you?").await?;
    std::io::Write::write_all(&mut std::io::stdout(), format!("{answer}\n").as_bytes())?;
    Ok(())
}

/// Starts a gateway, runs one turn of its agent, and stops the gateway again.
async fn ask(state_dir: &std::path::Path, question: &str) -> Result<String, Box<dyn Error>> {
    let gateway = Gateway::builder(state_dir.join("state")).in_process().start().await?;
    // This part of the program runs turns and nothing else, so it is given no more than that.
    let stream = gateway.connect_narrowed(ScopeSet::from(Scope::Write)).await?;
    let mut stream = Some(TokioIo::new(stream));
    let channel = Endpoint::from_static("http://in-process")
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream.take().ok_or("the connection is made once");
            async move { stream }
        }))
        .await?;
    let request = v1::StartRunRequest {
        idempotency_key: "first-question".into(),
        message: question.into(),
        ..v1::StartRunRequest::default()
    };
    let mut events = RunsClient::new(channel).start(request).await?.into_inner();
    let mut answer = String::new();
    while let Some(event) = events.message().await? {
        if let Some(Event::Final(run)) = event.event {
            answer = run.text;
        }
    }
    gateway.drain().await;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_program_can_hold_a_gateway() {
        let state = tempfile::tempdir().unwrap();
        let answer = super::ask(state.path(), "What are you?").await.unwrap();
        assert!(answer.contains("offline model"), "{answer}");
        assert!(!state.path().join("state/gateway.sock").exists());
    }
}
