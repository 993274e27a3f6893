//! Tells a run about itself.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::{AgentId, Capability, RunId, SessionKey, Timestamp};

use super::spec;
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

/// Where the status of a run comes from.
pub trait StatusSource: Send + Sync + fmt::Debug {
    /// Returns the status as it is now.
    fn status(&self) -> RunStatus;
}

/// The status of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunStatus {
    /// The agent that runs.
    pub agent: AgentId,
    /// The tokens read so far.
    pub input_tokens: u64,
    /// The model that answers.
    pub model: String,
    /// The tokens written so far.
    pub output_tokens: u64,
    /// The run.
    pub run: RunId,
    /// Its session.
    pub session: SessionKey,
    /// When it started.
    pub started: Timestamp,
}

/// A status that does not change while the run goes on is its own source.
impl StatusSource for RunStatus {
    fn status(&self) -> RunStatus {
        self.clone()
    }
}

/// The tool that tells a run its session, model and usage.
#[derive(Debug)]
pub struct SessionStatus {
    source: Arc<dyn StatusSource>,
    spec: Arc<ToolSpec>,
}

impl SessionStatus {
    /// Offers the status of one run.
    pub fn new(source: Arc<dyn StatusSource>) -> Self {
        let spec = spec(
            "session_status",
            "Tells the session, the run, the model and the usage so far.",
            &[],
            &json!({}),
        );
        Self { source, spec: Arc::new(spec) }
    }

    /// Offers the same to another run.
    #[must_use]
    pub fn for_run(&self, source: Arc<dyn StatusSource>) -> Self {
        Self { source, spec: Arc::clone(&self.spec) }
    }
}

impl Tool for SessionStatus {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn capability(&self) -> Capability {
        Capability::SessionsStatus
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        let answer = Arguments::new(arguments)
            .and_then(Arguments::finish)
            .map(|()| shown(&self.source.status()));
        Box::pin(std::future::ready(answer))
    }
}

fn shown(status: &RunStatus) -> String {
    let RunStatus { agent, input_tokens, model, output_tokens, run, session, started } = status;
    format!(
        "session: {session}\nagent: {agent}\nrun: {run}\nmodel: {model}\n\
         usage: {input_tokens} tokens in, {output_tokens} tokens out\n\
         started: {started} ms after the Unix epoch\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_status_is_text() {
        let tool = SessionStatus::new(Arc::new(RunStatus {
            agent: AgentId::parse("main").unwrap(),
            input_tokens: 12,
            model: "offline/echo".into(),
            output_tokens: 3,
            run: RunId::parse("r1").unwrap(),
            session: SessionKey::parse("agent:main:main").unwrap(),
            started: Timestamp::from_millis(1000),
        }));
        let cancel = CancellationToken::new();
        let text = tool.call(json!({}), &cancel).await.unwrap();
        assert_eq!(
            text,
            "session: agent:main:main\nagent: main\nrun: r1\nmodel: offline/echo\n\
             usage: 12 tokens in, 3 tokens out\nstarted: 1000 ms after the Unix epoch\n"
        );
        assert!(tool.call(json!({ "x": 1 }), &cancel).await.is_err());
    }
}
