//! Keeps the head and the tail of a stream of any length.

use std::collections::VecDeque;

use super::wire::Piece;

/// Bytes that wait to be told at most: what a pipe of the kernel holds.
const FRESH: usize = 64 * 1024;

/// What is kept of what a command wrote.
#[derive(Debug)]
pub(super) struct Output {
    dropped: u64,
    head: Vec<u8>,
    keep: usize,
    tail: VecDeque<u8>,
    /// What was not told yet, and how much before it is lost.
    fresh: VecDeque<u8>,
    lost: u64,
}

impl Output {
    /// Keeps `keep` bytes of the head and as many of the tail.
    pub(super) fn new(keep: usize) -> Self {
        Self {
            dropped: 0,
            head: Vec::new(),
            keep,
            tail: VecDeque::new(),
            fresh: VecDeque::new(),
            lost: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.fresh.extend(bytes);
        let excess = self.fresh.len().saturating_sub(FRESH);
        self.fresh.drain(..excess);
        self.lost = self.lost.saturating_add(u64::try_from(excess).unwrap_or(u64::MAX));
        let room = self.keep.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.keep);
        self.tail.drain(..excess);
        self.dropped = self.dropped.saturating_add(u64::try_from(excess).unwrap_or(u64::MAX));
    }

    /// Takes what was not told yet, up to a character that is still incomplete.
    pub(super) fn take_fresh(&mut self) -> Option<Piece> {
        let bytes = self.fresh.make_contiguous();
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            // Cut off at the end, and not wrong in the middle.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => bytes.len(),
        };
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).into_owned();
        self.fresh.drain(..whole);
        let dropped = std::mem::take(&mut self.lost);
        (dropped > 0 || !text.is_empty()).then_some(Piece { dropped, text })
    }

    /// Returns head, dropped bytes and tail. What is no text is replaced.
    pub(super) fn parts(&self) -> (String, u64, String) {
        let (front, back) = self.tail.as_slices();
        let tail = [front, back].concat();
        if self.dropped == 0 {
            // In one piece, so that a character on the seam stays whole.
            let all = [self.head.as_slice(), &tail].concat();
            return (String::from_utf8_lossy(&all).into_owned(), 0, String::new());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&self.head), self.dropped, text(&tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_once_and_in_whole_characters() {
        let mut output = Output::new(4);
        assert_eq!(output.take_fresh(), None);
        output.push("aä".as_bytes().split_last().unwrap().1);
        let piece = |dropped, text: &str| Some(Piece { dropped, text: text.into() });
        assert_eq!(output.take_fresh(), piece(0, "a"));
        assert_eq!(output.take_fresh(), None, "half a character waits");
        output
            .push("ä".as_bytes().split_last().map(|(last, _)| std::slice::from_ref(last)).unwrap());
        assert_eq!(output.take_fresh(), piece(0, "ä"));
        output.push(&[b'x'; FRESH]);
        output.push(b"yz");
        let Some(Piece { dropped, text }) = output.take_fresh() else { panic!("nothing is new") };
        assert_eq!((dropped, text.len(), text.ends_with("xyz")), (2, FRESH, true));
    }

    #[test]
    fn the_middle_is_dropped_and_counted() {
        let check = |writes: &[&str], expected: (&str, u64, &str)| {
            let mut output = Output::new(4);
            for write in writes {
                output.push(write.as_bytes());
            }
            let (head, dropped, tail) = output.parts();
            assert_eq!((head.as_str(), dropped, tail.as_str()), expected, "{writes:?}");
        };
        check(&[], ("", 0, ""));
        check(&["abc"], ("abc", 0, ""));
        check(&["abcdefgh"], ("abcdefgh", 0, ""));
        check(&["abc", "de", "fgh"], ("abcdefgh", 0, ""));
        check(&["abcdefghi"], ("abcd", 1, "fghi"));
        check(&["a", "bcdefghijklm", "n"], ("abcd", 6, "klmn"));
        check(&["äöü"], ("äöü", 0, ""));
    }
}
