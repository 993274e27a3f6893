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
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    ending: Arc<Ending>,
    is_over: bool,
}

impl Watched {
    pub(super) fn new(body: Body, caller: Arc<Caller>, ending: Arc<Ending>) -> Self {
        let ended = Box::pin(ending.token().cancelled_owned());
        Self { body, caller, ended, ending, is_over: false }
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
        if self.ending.how().is_some() || self.ended.as_mut().poll(context).is_ready() {
            self.is_over = true;
            let how = self.ending.how().unwrap_or(End::Withdrawn);
            let status = Status::from(bearer::ended(self.caller.on_behalf_of(), how));
            let mut trailers = http::HeaderMap::new();
            return Poll::Ready(Some(match status.add_header(&mut trailers) {
                Ok(()) => Ok(Frame::trailers(trailers)),
                Err(status) => Err(status),
            }));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
