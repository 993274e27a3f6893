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

/// Returns a key that no other request has: 128 random bits.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn fresh_key() -> Result<IdempotencyKey, KeyError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
    let text = format!("{:032x}", u128::from_be_bytes(bytes));
    IdempotencyKey::parse(&text).map_err(KeyError::Form)
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
