//! What connections are like, between both ends in memory.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::open;
use crate::certificate::{Certificate, EndEntityCert, Fingerprint, default_provider};

/// A client that accepts only the key it was told of.
#[derive(Debug)]
struct Pinned(Fingerprint, WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = EndEntityCert::try_from(cert).unwrap().subject_public_key_info();
        if Fingerprint::of_spki(&spki) == self.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("another key".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.supported_schemes()
    }
}

/// Shakes hands in memory, and returns both ends.
fn shake_hands(
    certificate: &Certificate,
    version: &'static SupportedProtocolVersion,
    alpn: &[&[u8]],
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let provider = default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(certificate.fingerprint(), algorithms)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("gateway.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(certificate.server_config())?;
    while client.is_handshaking()
        || server.is_handshaking()
        || client.wants_write()
        || server.wants_write()
    {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &*wire).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &*wire).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
//= docs/threat-model.md#T27
fn connections_are_tls_1_3_with_http_2_and_nothing_of_them_is_kept() {
    let state = TempDir::new().unwrap();
    let certificate = open(&state, 0).unwrap();
    let tls13 = &TLS13;
    let (mut client, server) = shake_hands(&certificate, tls13, &[b"h2", b"http/1.1"]).unwrap();
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(client.tls13_tickets_received(), 0);
    assert!(client.early_data().is_none());
    assert!(!certificate.server_config().session_storage.can_cache());

    assert!(shake_hands(&certificate, &TLS12, &[b"h2"]).is_err());
    assert!(shake_hands(&certificate, tls13, &[b"http/1.1"]).is_err());
}
