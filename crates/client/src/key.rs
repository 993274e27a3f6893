//! Names for new requests.

use openclaw_scopes::{IdempotencyKey, ParseIdError};

/// Why no key could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("no randomness")]
    Randomness(#[source] getrandom::Error),
    /// The bytes do not form a key.
    #[error("not a key")]
    Form(#[source] ParseIdError),
}

/// Returns a key that no other request has: the time to the millisecond and 80 random bits.
///
/// Keys of one client sort by their age, which keeps the gateway's index of them small to write.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn fresh_key() -> Result<IdempotencyKey, KeyError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(KeyError::Randomness)?;
    let random = u128::from_be_bytes(random) >> 48;
    let text = format!("{:012x}{random:020x}", millis());
    IdempotencyKey::parse(&text).map_err(KeyError::Form)
}

#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
fn millis() -> u128 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() & ((1 << 48) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_have_one_length() {
        let (first, second) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_ne!(first, second);
        assert_eq!((first.as_str().len(), second.as_str().len()), (32, 32));
    }
}
