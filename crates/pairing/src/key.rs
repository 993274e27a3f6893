//! A device's key, and the id that follows from it.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use openclaw_scopes::{DeviceId, ParseIdError};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// What stands before a seed in a key file.
const HEADER: &str = "openclaw-device-key-v1";

/// A device's Ed25519 key pair. It signs, and cannot be shown.
pub struct DeviceKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
    seed: [u8; 32],
}

impl DeviceKey {
    /// The key that follows from 32 random bytes.
    ///
    /// # Errors
    /// When the bytes are no seed; 32 random ones always are.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, ParseKeyError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| ParseKeyError::Seed)?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref())
            .map_err(|_length| ParseKeyError::Seed)?;
        Ok(Self { pair, public: PublicKey(public), seed })
    }

    /// Parses the content of a key file.
    ///
    /// # Errors
    /// When it is not what [`DeviceKey::to_file`] writes.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        let rest = text.trim().strip_prefix(HEADER).ok_or(ParseKeyError::Header)?;
        let seed = BASE64URL_NOPAD
            .decode(rest.trim().as_bytes())
            .ok()
            .and_then(|seed| <[u8; 32]>::try_from(seed).ok())
            .ok_or(ParseKeyError::Seed)?;
        Self::from_seed(seed)
    }

    /// Returns the content of a key file: a secret, for a file that only its owner can read.
    pub fn to_file(&self) -> String {
        format!("{HEADER} {}\n", BASE64URL_NOPAD.encode(&self.seed))
    }

    /// Returns the public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the Ed25519 signature of a message: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({:?}, redacted)", self.public)
    }
}

/// Why a text is no device key. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseKeyError {
    /// The first word is another one.
    #[error("a device key begins with `{HEADER}`")]
    Header,
    /// What follows is no seed of 32 bytes.
    #[error("a device key holds 32 bytes in base64url")]
    Seed,
}

/// A raw Ed25519 public key.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Parses the raw key.
    ///
    /// # Errors
    /// When it does not have 32 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseKeyError> {
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_length| ParseKeyError::Seed)
    }

    /// Returns the device's id: the lower-case hex SHA-256 of the raw key (`access.md` §3.1).
    ///
    /// # Errors
    /// Never for a digest in hex, which is an id.
    pub fn device_id(&self) -> Result<DeviceId, ParseIdError> {
        DeviceId::parse(&HEXLOWER.encode(digest(&SHA256, &self.0).as_ref()))
    }

    /// Tells whether `signature` is this key's on `message`.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_is_not_shown() {
        let key = DeviceKey::from_seed([7; 32]).unwrap();
        let again = DeviceKey::parse(&key.to_file()).unwrap();
        assert_eq!(again.public(), key.public());
        assert!(key.public().signed(b"a", &again.sign(b"a")));
        assert!(!key.public().signed(b"b", &again.sign(b"a")));
        assert!(!format!("{key:?}").contains(&BASE64URL_NOPAD.encode(&[7; 32])));
        for text in ["", HEADER, "openclaw-device-key-v1 AAAA", "openclaw-device-key-v2 x"] {
            assert!(DeviceKey::parse(text).is_err(), "{text}");
        }
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_id_is_the_digest_of_the_raw_key() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let seed: [u8; 32] = HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
        let public = DeviceKey::from_seed(seed).unwrap().public();
        let raw = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(format!("{public:?}"), raw);
        assert_eq!(
            public.device_id().unwrap().as_str(),
            "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
        );
    }
}
