//! Answers that end with the grant of whoever asked.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use openclaw_scopes::Caller;
use openclaw_store::End;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic::body::Body;

use super::bearer;
use crate::registry::Ending;

/// The body of an answer, cut off when the grant ends: whoever may not ask is told nothing more.
pub(super) struct Watched {
    body: Body,
    caller: Arc<Caller>,
    ending: Arc<Ending>,
    is_over: bool,
    /// Wakes whoever waits for the next message; most answers are there before anybody waits.
    woken: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Watched {
    pub(super) fn new(body: Body, caller: Arc<Caller>, ending: Arc<Ending>) -> Self {
        Self { body, caller, ending, is_over: false, woken: None }
    }

    /// Ends the answer, and says why.
    fn end(&mut self, how: End) -> Result<Frame<Bytes>, Status> {
        self.is_over = true;
        let status = Status::from(bearer::ended(self.caller.on_behalf_of(), how));
        let mut trailers = http::HeaderMap::new();
        status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    //= docs/threat-model.md#T32
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(how) = self.ending.how() {
            return Poll::Ready(Some(self.end(how)));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            return polled;
        }
        let woken = self.woken.take();
        let mut woken = woken.unwrap_or_else(|| Box::pin(self.ending.token().cancelled_owned()));
        let is_woken = woken.as_mut().poll(context).is_ready();
        self.woken = Some(woken);
        if is_woken {
            let how = self.ending.how().unwrap_or(End::Withdrawn);
            return Poll::Ready(Some(self.end(how)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
