//! Which gateway is meant: its certificate's key, pinned, and the check of it.

use std::fmt;
use std::sync::OnceLock;

use openclaw_pairing::{Fingerprint, Pin};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The key that a gateway's certificate must have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The one with this digest.
    Fingerprint(Fingerprint),
    /// The one whose digest begins so: what an invitation holds.
    Pin(Pin),
}

impl Trust {
    /// Tells whether a key with this digest is the one that is meant.
    pub fn accepts(&self, found: &Fingerprint) -> bool {
        match self {
            Self::Fingerprint(fingerprint) => fingerprint == found,
            Self::Pin(pin) => *pin == found.pin(),
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(fingerprint) => fingerprint.fmt(f),
            Self::Pin(Pin(bytes)) => {
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("…")
            }
        }
    }
}

/// Accepts exactly one key, whatever name and dates its certificate has, and keeps what it saw.
#[derive(Debug)]
pub(crate) struct Pinned {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    seen: OnceLock<Fingerprint>,
}

impl Pinned {
    pub(crate) fn new(trust: Trust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { trust, algorithms, seen: OnceLock::new() }
    }

    /// Returns the key of the certificate that was shown.
    pub(crate) fn seen(&self) -> Option<Fingerprint> {
        self.seen.get().copied()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_broken| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let found = Fingerprint::of_spki(&certificate.subject_public_key_info());
        let found = *self.seen.get_or_init(|| found);
        if self.trust.accepts(&found) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Showing the certificate proves nothing; signing with its key does.
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_the_beginning_of_a_fingerprint() {
        let (one, other) = (Fingerprint::of_spki(b"one"), Fingerprint::of_spki(b"other"));
        for (trust, found, expected) in [
            (Trust::Fingerprint(one), one, true),
            (Trust::Fingerprint(one), other, false),
            (Trust::Pin(one.pin()), one, true),
            (Trust::Pin(one.pin()), other, false),
        ] {
            assert_eq!(trust.accepts(&found), expected, "{trust}");
        }
        let mut tail = one;
        tail.0[31] ^= 1;
        assert!(Trust::Pin(one.pin()).accepts(&tail));
        assert!(!Trust::Fingerprint(one).accepts(&tail));
        assert_eq!(Trust::Fingerprint(one).to_string(), one.to_string());
        let pin = Trust::Pin(one.pin()).to_string();
        assert!(one.to_string().starts_with(pin.trim_end_matches('…')), "{pin}");
    }
}
