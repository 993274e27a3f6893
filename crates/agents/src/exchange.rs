//! One question and its streamed answer: what all providers' dialects share.

use std::mem;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use crate::assembly::Assembly;
use crate::endpoint::{Endpoint, KeyHeader};
use crate::model::{ModelError, ModelEvent};
use crate::sse::{SseDecoder, SseEvent};

/// The most bytes of one answer as it comes over the wire.
///
/// Reason: an answer of 128 000 tokens with the wrapping of each piece stays well below.
//= docs/threat-model.md#T12
pub(crate) const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// The most events of one answer.
///
/// Reason: one for each token of the longest answers; a flood of empty events ends here.
pub(crate) const MAX_EVENTS: usize = 200_000;

/// How a provider's events are read.
pub(crate) trait Dialect: Send + 'static {
    /// Takes one event of the stream.
    fn on_event(
        &mut self,
        event: &SseEvent,
        assembly: &mut Assembly,
    ) -> Result<Progress, ModelError>;
}

/// Whether the final marker has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// It has; what still follows is not read.
    Done,
    /// It has not.
    More,
}

/// The state machine between bytes and events; it knows nothing of sockets or time.
#[derive(Debug)]
pub(crate) struct Transcript<D> {
    decoder: SseDecoder,
    dialect: D,
    pub(crate) assembly: Assembly,
    bytes: usize,
    events: usize,
    progress: Progress,
}

impl<D: Dialect> Transcript<D> {
    pub(crate) fn new(dialect: D) -> Self {
        Self {
            assembly: Assembly::default(),
            bytes: 0,
            decoder: SseDecoder::default(),
            dialect,
            events: 0,
            progress: Progress::More,
        }
    }

    /// Takes the next piece of the body, cut anywhere.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Progress, ModelError> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > MAX_RESPONSE_BYTES {
            return Err(ModelError::protocol("the answer is larger than 16 MiB"));
        }
        let Self { assembly, decoder, dialect, events, progress, .. } = self;
        decoder.push(piece, |event| {
            if *progress == Progress::Done {
                return Ok(());
            }
            *events += 1;
            if *events > MAX_EVENTS {
                return Err(ModelError::protocol("the answer has more than 200 000 events"));
            }
            *progress = dialect.on_event(&event, assembly)?;
            Ok(())
        })?;
        Ok(self.progress)
    }
}

/// Why a stream that just ends is not an answer.
pub(crate) fn cut_off() -> ModelError {
    ModelError::network("the stream ended before its final marker")
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) path: &'static str,
    pub(crate) key_header: KeyHeader,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    Ask(Question),
    End,
    Fail(ModelError),
    Read(Response, Instant),
}

#[derive(Debug)]
struct Exchange<D> {
    endpoint: Arc<Endpoint>,
    phase: Phase,
    transcript: Transcript<D>,
}

/// Asks the question when first polled, and streams the answer.
pub(crate) fn exchange<D: Dialect>(
    endpoint: Arc<Endpoint>,
    question: Question,
    dialect: D,
) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    let transcript = Transcript::new(dialect);
    let exchange = Exchange { endpoint, phase: Phase::Ask(question), transcript };
    stream::unfold(exchange, Exchange::next).boxed()
}

impl<D: Dialect> Exchange<D> {
    async fn next(mut self) -> Option<(Result<ModelEvent, ModelError>, Self)> {
        loop {
            if let Some(event) = self.transcript.assembly.events.pop_front() {
                return Some((Ok(event), self));
            }
            match mem::replace(&mut self.phase, Phase::End) {
                Phase::Ask(question) => self.phase = ask(&self.endpoint, question).await,
                Phase::End => return None,
                Phase::Fail(error) => return Some((Err(error), self)),
                Phase::Read(response, deadline) => {
                    self.phase = self.read(response, deadline).await;
                }
            }
        }
    }

    async fn read(&mut self, mut response: Response, deadline: Instant) -> Phase {
        let pushed = match self.endpoint.piece(&mut response, deadline).await {
            Ok(Some(piece)) => self.transcript.push(&piece),
            Ok(None) => Err(cut_off()),
            Err(error) => Err(error),
        };
        match pushed {
            Ok(Progress::Done) => Phase::End,
            Ok(Progress::More) => Phase::Read(response, deadline),
            Err(error) => Phase::Fail(error),
        }
    }
}

async fn ask(endpoint: &Endpoint, question: Question) -> Phase {
    let Question { path, key_header, headers, body } = question;
    let deadline = endpoint.deadline();
    match endpoint.post(path, key_header, headers, body, deadline).await {
        Ok(response) => Phase::Read(response, deadline),
        Err(error) => Phase::Fail(error),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trial;
