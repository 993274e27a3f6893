//! Connections over the network: real TLS, from whichever of this machine's own addresses a test says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use openclaw_pairing::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Client, TestGateway, connect};

/// Returns one of the addresses 127.0.0.0/8, all of which are this machine: peers with different ones
/// are different strangers.
pub const fn loopback(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

/// Opens a TLS connection, whoever listens there.
pub async fn dial(address: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    shake_hands(stream).await.unwrap()
}

/// Opens a TLS connection from an address of this machine.
pub async fn dial_from(from: IpAddr, address: SocketAddr) -> TlsStream<TcpStream> {
    shake_hands(dial_tcp(from, address).await).await.unwrap()
}

/// Opens a connection from an address of this machine, and says nothing on it.
pub async fn dial_tcp(from: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Speaks TLS on a connection.
///
/// # Errors
/// When the other end does not, or closes it.
pub async fn shake_hands(stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl TestGateway {
    /// Returns where it listens on the network.
    pub fn address(&self) -> SocketAddr {
        self.gateway().listens_on().expect("start it with `Setup::network`")
    }

    /// Returns by what devices know it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.gateway().fingerprint().expect("start it with `Setup::network`")
    }

    /// Opens a connection over the network, on which nobody has shown who they are.
    pub async fn dial(&self) -> Client {
        connect(dial(self.address()).await).await
    }

    /// Opens such a connection from an address of this machine.
    pub async fn dial_from(&self, from: IpAddr) -> Client {
        connect(dial_from(from, self.address()).await).await
    }
}

/// Takes any certificate: the tests know whom they dial.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
