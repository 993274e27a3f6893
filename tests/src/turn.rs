//! One turn of an agent: asked, followed to its end, and collected.

use openclaw_proto::v1;
use openclaw_proto::v1::run_event::Event;
use tonic::{Status, Streaming};

use crate::{Client, Refusal, soon};

/// A request to say `message` in the conversation `session`, named `key`.
pub fn request(key: &str, session: &str, message: &str) -> v1::StartRunRequest {
    v1::StartRunRequest {
        idempotency_key: key.into(),
        message: message.into(),
        session_key: session.into(),
        ..v1::StartRunRequest::default()
    }
}

/// The events of a run, as they come.
#[derive(Debug)]
pub struct Events(Streaming<v1::RunEvent>);

impl Events {
    /// Returns the next event; `None` after the last.
    ///
    /// # Errors
    /// When the gateway ends the stream with an error.
    pub async fn next(&mut self) -> Result<Option<Event>, Status> {
        let event = soon(self.0.message()).await?;
        Ok(event.map(|event| event.event.expect("an event is one of the known ones")))
    }

    /// Returns the next event, which is there.
    pub async fn expect(&mut self) -> Event {
        self.next().await.unwrap().expect("another event")
    }

    /// Returns the rest, up to the end of the stream.
    ///
    /// # Errors
    /// When the gateway ends the stream with an error.
    pub async fn rest(mut self) -> Result<Asked, Status> {
        let mut asked = Asked::default();
        while let Some(event) = self.next().await? {
            asked.take(event);
        }
        Ok(asked)
    }
}

/// What a turn told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The first event.
    pub accepted: Option<v1::RunAccepted>,
    /// All text, in order.
    pub text: String,
    /// How many pieces it came in.
    pub pieces: usize,
    /// The tools that ended, each with its outcome.
    pub tools: Vec<(String, String)>,
    /// Why models were asked again.
    pub retries: Vec<String>,
    /// The last event.
    pub end: Option<v1::Run>,
}

impl Asked {
    fn take(&mut self, event: Event) {
        assert!(self.end.is_none(), "the end is the last event");
        match event {
            Event::Accepted(accepted) => self.accepted = Some(accepted),
            Event::Text(delta) => {
                self.text.push_str(&delta.text);
                self.pieces += 1;
            }
            Event::ApprovalNeeded(_) | Event::ToolStarted(_) => {}
            Event::ToolFinished(tool) => self.tools.push((tool.name, tool.outcome)),
            Event::Retry(retry) => {
                self.text.clear();
                self.retries.push(retry.reason);
            }
            Event::Final(run) => self.end = Some(run),
        }
    }

    /// Returns the run as it ended.
    pub const fn run(&self) -> &v1::Run {
        self.end.as_ref().expect("the run ended")
    }

    /// Returns how it ended.
    pub fn status(&self) -> v1::RunStatus {
        self.run().status()
    }
}

/// Starts a run.
///
/// # Errors
/// When it is refused.
pub async fn start(client: &Client, request: v1::StartRunRequest) -> Result<Events, Refusal> {
    let answer = soon(client.runs().start(request)).await.map_err(Refusal::from)?;
    Ok(Events(answer.into_inner()))
}

/// Starts a run and follows it to its end.
///
/// # Errors
/// When it is refused.
pub async fn ask(client: &Client, request: v1::StartRunRequest) -> Result<Asked, Refusal> {
    start(client, request).await?.rest().await.map_err(Refusal::from)
}
