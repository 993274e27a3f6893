//! One TLS connection to a gateway, and the one HTTP/2 connection over it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use openclaw_pairing::{Address, Fingerprint};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tower::Service;

use crate::socket::{KEEP_ALIVE, KEEP_ALIVE_TIMEOUT};
use crate::trust::Pinned;
use crate::{ConnectError, Trust};

/// The only protocol that is spoken inside of TLS.
const ALPN: &[u8] = b"h2";

/// What the client calls itself.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("openclaw-client/", env!("CARGO_PKG_VERSION")));

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to the gateway that is meant. Clones share it; it is never made anew.
#[derive(Clone)]
pub(crate) struct Wire {
    sender: SendRequest<Body>,
    authority: Authority,
    gateway: Fingerprint,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection broke, and the gateway may have seen the request.
    Broken(BoxError),
    /// The request never left.
    Unsent(BoxError),
}

impl From<SendError> for BoxError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Broken(source) | SendError::Unsent(source) => source,
        }
    }
}

impl Wire {
    /// Connects, and makes sure that it is the gateway that is meant before anything is sent.
    pub(crate) async fn open(address: &Address, trust: Trust) -> Result<Self, ConnectError> {
        let (stream, gateway) = secured(address, trust).await?;
        let transport = |error: hyper::Error| ConnectError::Transport(error.into());
        let handshake = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(transport)?;
        // It ends with the connection: when the gateway closes it, or the last clone is gone.
        #[expect(clippy::disallowed_methods, reason = "a client has no supervisor of tasks")]
        drop(tokio::spawn(async move { drop(connection.await) }));
        let authority = address.to_string();
        let authority = Authority::try_from(authority)
            .map_err(|error| ConnectError::Transport(error.into()))?;
        Ok(Self { sender, authority, gateway })
    }

    /// Returns the key of the gateway's certificate.
    pub(crate) const fn gateway(&self) -> Fingerprint {
        self.gateway
    }

    /// Tells whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and returns the head of the answer.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(self.authority.clone());
        let uri = uri.path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| SendError::Unsent(error.into()))?;
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        match self.sender.clone().try_send_request(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let source = error.into_error().into();
                Err(if unsent { SendError::Unsent(source) } else { SendError::Broken(source) })
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Wire");
        shown.field("authority", &self.authority).field("gateway", &self.gateway);
        shown.finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move { Ok(wire.send(request).await?) })
    }
}

/// Opens a TLS 1.3 connection to the gateway that is meant.
//= docs/threat-model.md#T27
async fn secured(
    address: &Address,
    trust: Trust,
) -> Result<(TlsStream<TcpStream>, Fingerprint), ConnectError> {
    let stream = TcpStream::connect((address.host(), address.port())).await;
    let unreachable = |source| ConnectError::Unreachable { address: address.clone(), source };
    let stream = stream.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;

    let tls = |source| ConnectError::Tls { address: address.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Arc::new(Pinned::new(trust, provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(std::io::Error::other(error)))?
        .dangerous()
        .with_custom_certificate_verifier(pinned.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(server_name(address), stream).await;
    let found = pinned.seen();
    let stream = match (stream, found) {
        (Ok(stream), _) => stream,
        (Err(_), Some(found)) if !trust.accepts(&found) => {
            let address = address.clone();
            return Err(ConnectError::Untrusted { address, expected: trust, found });
        }
        (Err(source), _) => return Err(tls(source)),
    };
    match found {
        Some(found) if stream.get_ref().1.alpn_protocol() == Some(ALPN) => Ok((stream, found)),
        _ => Err(tls(std::io::Error::other("it does not speak HTTP/2"))),
    }
}

/// The name that is asked for. What the certificate says of names is of no weight, for its key is
/// pinned.
fn server_name(address: &Address) -> ServerName<'static> {
    ServerName::try_from(address.host().to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_can_be_asked_for() {
        for address in ["home:1", "192.0.2.7:1", "[::1]:1", "my_host:1", "-:1"] {
            let address: Address = address.parse().unwrap();
            assert!(!server_name(&address).to_str().is_empty(), "{address}");
        }
    }
}
