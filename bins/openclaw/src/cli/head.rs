//! The audit chain's head as an argument: `SEQ:DIGEST`.

/// A head of the chain as the user names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// The sequence number.
    pub(crate) sequence: u64,
    /// The digest, in lower-case hex.
    pub(crate) digest: String,
}

impl Head {
    /// Parses what an export or a status printed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let not_one = || "a head is written SEQ:DIGEST, the digest as 64 hex digits".to_owned();
        let (sequence, digest) = text.split_once(':').ok_or_else(not_one)?;
        let is_digest = digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
        match sequence.parse() {
            Ok(sequence) if is_digest => Ok(Self { sequence, digest: digest.to_ascii_lowercase() }),
            Ok(_) | Err(_) => Err(not_one()),
        }
    }
}
