//! Keeps the head and the tail of a stream of any length.

use std::collections::VecDeque;

/// What is kept of what a command wrote.
#[derive(Debug)]
pub(super) struct Output {
    dropped: u64,
    head: Vec<u8>,
    keep: usize,
    tail: VecDeque<u8>,
}

impl Output {
    /// Keeps `keep` bytes of the head and as many of the tail.
    pub(super) fn new(keep: usize) -> Self {
        Self { dropped: 0, head: Vec::new(), keep, tail: VecDeque::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.keep.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.keep);
        self.tail.drain(..excess);
        self.dropped = self.dropped.saturating_add(u64::try_from(excess).unwrap_or(u64::MAX));
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
