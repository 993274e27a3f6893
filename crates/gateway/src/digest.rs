//! Digests of requests, so that a retry is told from another request under the same name.

use ring::digest::{Context, SHA256};

/// Returns the SHA-256 of texts, each preceded by its length.
pub(crate) fn of(texts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    }
    // INVARIANT: SHA-256 has 32 bytes; were there fewer, the rest would be zero.
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn where_one_text_ends_matters() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["", "a"]), of(&["a", ""]));
        assert_eq!(of(&["a"]), of(&["a"]));
    }
}
