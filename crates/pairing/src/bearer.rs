//! Bearer secrets: made of random bytes, shown once, kept as keyed hashes.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

/// What a bearer stands for; the prefix tells scanners for leaked secrets, and people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BearerKind {
    /// A device's access token: good on one connection, for an hour.
    Access,
    /// An API token of a program.
    Api,
}

impl BearerKind {
    /// Returns what its secrets begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "oca_",
            Self::Api => "oct_",
        }
    }
}

/// A bearer secret of 256 random bits. It has no `Display`, and no `Debug` that shows it.
#[derive(Clone)]
pub struct Bearer {
    kind: BearerKind,
    secret: [u8; 32],
}

/// The text is no bearer of the gateway. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bearer is neither an access token nor an API token")]
pub struct ParseBearerError;

impl Bearer {
    /// The bearer of these random bytes.
    pub const fn new(kind: BearerKind, secret: [u8; 32]) -> Self {
        Self { kind, secret }
    }

    /// Parses what stands behind `Bearer ` in `authorization` metadata.
    ///
    /// # Errors
    /// When it is not what the gateway issues.
    pub fn parse(text: &str) -> Result<Self, ParseBearerError> {
        for kind in [BearerKind::Access, BearerKind::Api] {
            if let Some(secret) = text.strip_prefix(kind.prefix()) {
                let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).ok();
                let secret = secret.and_then(|secret| secret.try_into().ok());
                return secret.map(|secret| Self { kind, secret }).ok_or(ParseBearerError);
            }
        }
        Err(ParseBearerError)
    }

    /// Returns what it stands for.
    pub const fn kind(&self) -> BearerKind {
        self.kind
    }

    /// Returns the text, to be shown to its owner once.
    pub fn reveal(&self) -> String {
        format!("{}{}", self.kind.prefix(), BASE64URL_NOPAD.encode(&self.secret))
    }

    /// Returns what is kept of it. `binding` ties it to something, so that it is another one elsewhere:
    /// an access token to its connection.
    pub fn hash(&self, key: &HashKey, binding: &[u8]) -> Hashed {
        key.hash(&[self.kind.prefix().as_bytes(), &self.secret, binding])
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({:?}, redacted)", self.kind)
    }
}

/// The key under which secrets are hashed: 32 random bytes outside of the database and its copies, so
/// that neither tells which secret would do.
#[derive(Clone)]
pub struct HashKey(hmac::Key);

impl HashKey {
    /// The key of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the HMAC-SHA-256 of texts, each preceded by its length.
    pub(crate) fn hash(&self, texts: &[&[u8]]) -> Hashed {
        let mut context = hmac::Context::with_key(&self.0);
        for text in texts {
            context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(text);
        }
        let mut hashed = [0; 32];
        // INVARIANT: SHA-256 has 32 bytes; were there fewer, the rest would be zero.
        hashed.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Hashed(hashed)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(redacted)")
    }
}

/// What is kept of a secret. Comparing two takes as long for any two.
#[derive(Clone, Copy)]
pub struct Hashed(pub [u8; 32]);

impl PartialEq for Hashed {
    fn eq(&self, other: &Self) -> bool {
        let differ = |(ours, theirs): (&u8, &u8)| ours ^ theirs;
        self.0.iter().zip(&other.0).map(differ).fold(0, |all, byte| all | byte) == 0
    }
}

impl Eq for Hashed {}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T30
    fn secrets_are_parsed_and_never_shown() {
        let bearer = Bearer::new(BearerKind::Api, [0xab; 32]);
        let text = bearer.reveal();
        assert!(text.starts_with("oct_") && text.len() == 47, "{text}");
        let again = Bearer::parse(&text).unwrap();
        let key = HashKey::new(&[1; 32]);
        assert_eq!(again.hash(&key, b""), bearer.hash(&key, b""));
        for shown in
            [format!("{bearer:?}"), format!("{key:?}"), format!("{:?}", again.hash(&key, b""))]
        {
            assert!(!shown.contains("q6ur"), "{shown}");
        }
        for bad in [
            "",
            "oct_",
            "oct_short",
            text.get(..46).unwrap(),
            &format!("{text}x"),
            &text.replace("oct_", "ocx_"),
        ] {
            assert_eq!(Bearer::parse(bad).map(|_| ()), Err(ParseBearerError), "{bad}");
        }
    }

    #[test]
    //= docs/threat-model.md#T30
    fn a_hash_depends_on_key_kind_and_binding() {
        let (key, other) = (HashKey::new(&[1; 32]), HashKey::new(&[2; 32]));
        let bearer = Bearer::new(BearerKind::Access, [5; 32]);
        let hashed = bearer.hash(&key, b"connection 1");
        assert_ne!(hashed, bearer.hash(&key, b"connection 2"));
        assert_ne!(hashed, bearer.hash(&other, b"connection 1"));
        assert_ne!(hashed, Bearer::new(BearerKind::Api, [5; 32]).hash(&key, b"connection 1"));
    }
}
