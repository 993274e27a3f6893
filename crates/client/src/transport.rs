//! What carries calls: the local socket, or a connection over the network.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response, header};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::transport::channel::ResponseFuture;
use tower::Service;

use crate::Options;
use crate::remote::Remote;
use crate::wire::BoxError;

/// Says that a refusal for a missing scope shall ask for that scope.
const REQUEST_ACCESS: HeaderName = HeaderName::from_static("openclaw-request-access");

/// What carries calls to a gateway. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Transport(pub(crate) Way);

#[derive(Clone, Debug)]
pub(crate) enum Way {
    Local(Local),
    Remote(Arc<Remote>),
}

/// The socket: whoever runs the program, or a token that narrows that.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) channel: Channel,
    pub(crate) bearer: Option<HeaderValue>,
    pub(crate) options: Arc<Options>,
}

/// Adds the wish for missing scopes to a call, when the options say so.
pub(crate) fn ask_for_access(request: &mut Request<Body>, options: &Options) {
    if options.request_access {
        request.headers_mut().insert(REQUEST_ACCESS, HeaderValue::from_static("1"));
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.0 {
            Way::Local(local) => local.channel.poll_ready(context).map_err(Into::into),
            Way::Remote(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        match &mut self.0 {
            Way::Local(local) => {
                if let Some(bearer) = &local.bearer {
                    request.headers_mut().insert(header::AUTHORIZATION, bearer.clone());
                }
                ask_for_access(&mut request, &local.options);
                Answer(Coming::Local(local.channel.call(request)))
            }
            Way::Remote(remote) => {
                let remote = Arc::clone(remote);
                Answer(Coming::Remote(Box::pin(async move { remote.send(request).await })))
            }
        }
    }
}

/// The answer to a call, while it is on its way.
pub struct Answer(Coming);

enum Coming {
    Local(ResponseFuture),
    Remote(Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Coming::Local(answer) => Pin::new(answer).poll(context).map_err(Into::into),
            Coming::Remote(answer) => answer.as_mut().poll(context),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}
