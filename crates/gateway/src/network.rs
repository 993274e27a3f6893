//! Listening on the network: TLS always, and a place for everybody until it is known who they are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use openclaw_pairing::{Address, Fingerprint};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::accept::{Connection, REST};
use crate::certificate::Certificate;
use crate::limiter::Limiter;
use crate::preauth::{Budget, Limits, Place};
use crate::registry::Registry;
use crate::session::Session;
use crate::task::Tasks;

/// Connections over the network at once whose devices are known.
const MAX_KNOWN: usize = 4096;
/// The label under which both ends of a connection derive what only they know (RFC 9266).
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What the gateway is on the network.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) advertise: Vec<Address>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) known: Arc<Semaphore>,
    pub(crate) limiter: Limiter,
    pub(crate) local: SocketAddr,
    pub(crate) registry: Arc<Registry>,
}

/// Why the gateway cannot listen on the network.
#[derive(Debug, thiserror::Error)]
#[error("`{key} = \"{address}\"` cannot be used: {source}")]
pub struct ListenError {
    /// The key that names the address.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// A listener that does not yet accept.
pub(crate) struct Bound {
    acceptor: TlsAcceptor,
    listener: TcpListener,
}

/// Opens the listener.
pub(crate) async fn bind(
    address: SocketAddr,
    advertise: Vec<Address>,
    certificate: &Certificate,
    registry: Arc<Registry>,
) -> Result<(Bound, Arc<Network>), ListenError> {
    let failed = |source| ListenError { key: "listen.tcp", address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let network = Network {
        advertise,
        fingerprint: certificate.fingerprint(),
        known: Arc::new(Semaphore::new(MAX_KNOWN)),
        limiter: Limiter::default(),
        local: listener.local_addr().map_err(failed)?,
        registry,
    };
    let acceptor = TlsAcceptor::from(certificate.server_config());
    Ok((Bound { acceptor, listener }, Arc::new(network)))
}

/// Accepts connections until the token is cancelled, and hands those that speak TLS to the server.
pub(crate) async fn serve(
    bound: Bound,
    connections: mpsc::Sender<std::io::Result<Connection>>,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let budget = Budget::new(Limits::default());
    while let Some((stream, address)) = next(&bound.listener, &stop).await {
        let place = budget.enter(address.ip());
        let (acceptor, limits) = (bound.acceptor.clone(), *budget.limits());
        let (connections, stop) = (connections.clone(), stop.clone());
        tasks.spawn(async move {
            let gone = place.cancelled();
            let handshake = shake_hands(acceptor, stream, address, place, limits);
            tokio::select! {
                connection = handshake => {
                    if let Some(connection) = connection {
                        // The server may have gone: the gateway stops.
                        drop(connections.send(Ok(connection)).await);
                    }
                }
                () = gone => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Returns the next connection; `None` when the token is cancelled.
pub(crate) async fn next(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    limits: Limits,
) -> Option<Connection> {
    // Small answers are not held back for larger ones.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, peer.address = %address, "a connection was lost");
        return None;
    }
    let accepted = tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, peer.address = %address, "a peer does not speak TLS 1.3 with us");
            return None;
        }
        Err(_elapsed) => return None,
    };
    let (_, tls) = stream.get_ref();
    let binding = match tls.export_keying_material([0; 32], EXPORTER, None) {
        Ok(binding) => binding,
        Err(error) => {
            tracing::error!(%error, "a connection has no keying material");
            return None;
        }
    };
    let gone = place.cancelled();
    let session = Arc::new(Session::new(address, binding, place));
    Some(Connection::network(stream, session, gone, limits.authentication))
}

impl Network {
    /// Returns where an invitation says that the gateway is reached.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        if !self.advertise.is_empty() {
            return self.advertise.clone();
        }
        let ip = self.local.ip();
        let hosts = if ip.is_unspecified() { reachable(ip) } else { vec![ip] };
        let with_port = |ip: IpAddr| SocketAddr::new(ip, self.local.port()).to_string();
        hosts.into_iter().filter_map(|ip| with_port(ip).parse().ok()).take(8).collect()
    }
}

/// Returns the addresses of this machine that others may reach, IPv4 first.
fn reachable(listens: IpAddr) -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut all: Vec<IpAddr> = interfaces
        .filter_map(|interface| interface.address)
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|ip| !ip.is_loopback() && !is_link_local(*ip))
        .filter(|ip| listens.is_ipv6() || ip.is_ipv4())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Addresses that mean something only together with an interface.
const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_of_no_use_to_others() {
        for (text, expected) in [
            ("169.254.1.1", true),
            ("192.168.1.1", false),
            ("fe80::1", true),
            ("fd00::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_link_local(text.parse().unwrap()), expected, "{text}");
        }
        let all = reachable(IpAddr::from([0, 0, 0, 0]));
        assert!(all.iter().all(|ip| ip.is_ipv4() && !ip.is_loopback()), "{all:?}");
    }
}
