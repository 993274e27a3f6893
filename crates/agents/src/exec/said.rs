//! What a command has said so far, for whoever looks in while it runs.

use std::sync::{Mutex, PoisonError};

use super::wire::Piece;

/// Bytes that are kept of what was said, the newest: as many as the reference keeps characters
/// (`runtime.md` §5.7).
const KEPT: usize = 200_000;

/// What a command says, as it comes.
#[derive(Debug, Default)]
pub struct Said(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    text: String,
    /// Where the text begins in all that was said, in bytes.
    from: u64,
}

impl Said {
    pub(super) fn push(&self, piece: &Piece) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if piece.dropped > 0 {
            let before = u64::try_from(kept.text.len()).unwrap_or(u64::MAX);
            kept.from = kept.from.saturating_add(before).saturating_add(piece.dropped);
            kept.text.clear();
        }
        kept.text.push_str(&piece.text);
        let excess = kept.text.len().saturating_sub(KEPT);
        let cut = kept.text.ceil_char_boundary(excess);
        kept.text.drain(..cut);
        kept.from = kept.from.saturating_add(u64::try_from(cut).unwrap_or(u64::MAX));
    }

    /// Returns what was said after a place, how many bytes between are not kept any more, and the place after
    /// it.
    pub fn after(&self, place: u64) -> (String, u64, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = kept.from.saturating_add(u64::try_from(kept.text.len()).unwrap_or(u64::MAX));
        let missed = kept.from.saturating_sub(place);
        let skip = usize::try_from(place.saturating_sub(kept.from)).unwrap_or(usize::MAX);
        let skip = kept.text.ceil_char_boundary(skip.min(kept.text.len()));
        (kept.text.get(skip..).unwrap_or_default().to_owned(), missed, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_in_sees_what_is_new() {
        let said = Said::default();
        let piece = |dropped, text: &str| Piece { dropped, text: text.into() };
        assert_eq!(said.after(0), (String::new(), 0, 0));
        said.push(&piece(0, "one "));
        said.push(&piece(0, "two"));
        assert_eq!(said.after(0), ("one two".into(), 0, 7));
        assert_eq!(said.after(4), ("two".into(), 0, 7));
        said.push(&piece(3, "four"));
        assert_eq!(said.after(7), ("four".into(), 3, 14), "three bytes are lost");
        said.push(&piece(0, &"x".repeat(KEPT)));
        let (text, missed, end) = said.after(14);
        assert_eq!((text.len(), missed, end), (KEPT, 0, 14 + 200_000));
        assert_eq!(said.after(0).1, 14);
        assert_eq!(said.after(u64::MAX).0, "");
    }
}
