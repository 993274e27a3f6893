//! Which gateway it is: the digest of the public key in its certificate.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};

/// The SHA-256 of a certificate's `SubjectPublicKeyInfo`. It survives the renewal of the certificate.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a `SubjectPublicKeyInfo` in DER.
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        // INVARIANT: SHA-256 has 32 bytes; were there fewer, the rest would be zero.
        bytes.iter_mut().zip(digest(&SHA256, spki).as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// Returns the part that fits into a typed code.
    pub const fn pin(&self) -> Pin {
        let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, ..] = self.0;
        Pin([b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15])
    }
}

/// The first 128 bits of a fingerprint: what a second key would have to be found for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pin(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a fingerprint is 64 hex digits; colons may stand between them")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .map_err(|_not_hex| ParseFingerprintError)?;
        bytes.try_into().map(Self).map_err(|_length| ParseFingerprintError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_survive_their_text() {
        let fingerprint = Fingerprint::of_spki(b"key");
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(format!("sha256:{}", text.to_uppercase()).parse(), Ok(fingerprint));
        let colons = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        assert_eq!(colons.collect::<Vec<_>>().join(":").parse(), Ok(fingerprint));
        for bad in ["", "ab", text.get(1..).unwrap(), &format!("{text}0"), "zz"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(ParseFingerprintError), "{bad}");
        }
        assert_eq!(fingerprint.pin().0, fingerprint.0[..16]);
    }
}
