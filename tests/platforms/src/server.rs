//! As much HTTP as a platform needs, everything bounded.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::desk::Received;

/// Bytes of a request's body at most.
const MAX_BODY: usize = 4 << 20;

/// Connections at most at one time.
const MAX_CONNECTIONS: usize = 256;

/// What goes back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The connection is closed.
    Close,
    /// Nothing, for as long as anybody waits.
    Hang,
    /// This.
    Say { body: Vec<u8>, headers: Vec<(&'static str, String)>, status: u16 },
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Say { body: value.to_string().into_bytes(), headers, status }
    }
}

/// What answers requests.
pub(crate) trait Site: Send + Sync + 'static {
    /// Answers one request.
    fn reply<'a>(&'a self, request: Received) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
}

/// Serves a site on a port of this machine until the task is aborted.
pub(crate) async fn start(site: Arc<impl Site>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, site)))
}

async fn serve(listener: TcpListener, site: Arc<impl Site>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let site = Arc::clone(&site);
        let service = service_fn(move |request| {
            let site = Arc::clone(&site);
            async move { answer(request, &*site).await }
        });
        connections.spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // Whoever hangs up early has what it wanted.
            drop(connection.serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.len() >= MAX_CONNECTIONS && connections.join_next().await.is_some() {}
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    site: &impl Site,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let received = Received {
        body: body.to_vec(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        route: String::new(),
    };
    match site.reply(received).await {
        Reply::Close => Err(io::Error::other("closed on purpose")),
        Reply::Hang => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        Reply::Say { body, headers, status } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body.into())).unwrap())
        }
    }
}
