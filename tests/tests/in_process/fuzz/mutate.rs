//! Mutations of texts that follow from a seed: the same seed, the same texts.

/// The longest text that is made, in bytes.
const MAX: usize = 4096;

/// What parsers stumble over.
const TOKENS: &[&str] = &[
    "",
    ":",
    "::",
    "=",
    "\"",
    "'''",
    "[[",
    "]]",
    "{",
    "}",
    "#",
    "\n",
    "\r",
    "\0",
    "\u{7f}",
    "\u{200b}",
    "\u{202e}",
    "İ",
    "ſ",
    "ß",
    "K",
    "𝕏",
    "é",
    "-1",
    "0",
    "1e999",
    "99999999999999999999",
    "0x",
    "inf",
    "nan",
    "true",
    "../",
    "/",
    "~",
    "agent",
    "main",
    "thread",
    "heartbeat",
    "\\u0000",
    "\\",
];

/// A source of mutations.
#[derive(Debug)]
pub(super) struct Mutator {
    corpus: Vec<Vec<u8>>,
    state: u64,
}

impl Mutator {
    pub(super) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { corpus, state: seed }
    }

    /// The next number of `SplitMix64`.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, and zero when there is none.
    fn below(&mut self, end: usize) -> usize {
        let number = usize::try_from(self.number() >> 33).unwrap();
        number.checked_rem(end).unwrap_or(0)
    }

    /// Returns a mutated text of the corpus.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let chosen = self.below(self.corpus.len());
        let mut text = self.corpus[chosen].clone();
        for _ in 0..=self.below(6) {
            self.mutate(&mut text);
        }
        text.truncate(MAX);
        text
    }

    fn mutate(&mut self, text: &mut Vec<u8>) {
        let at = self.below(text.len() + 1);
        let end = (at + self.below(24)).min(text.len());
        match self.below(7) {
            0 => drop(text.drain(at..end)),
            1 => {
                let copied = text[at..end].to_vec();
                text.splice(at..at, copied);
            }
            2 => {
                let token = TOKENS[self.below(TOKENS.len())];
                text.splice(at..end, token.bytes());
            }
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                text.splice(at..at, token.bytes());
            }
            4 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << (self.number() & 7);
                }
            }
            5 => {
                let other = self.below(self.corpus.len());
                let from = self.below(self.corpus[other].len() + 1);
                let tail = self.corpus[other][from..].to_vec();
                text.truncate(at);
                text.extend(tail);
            }
            _ => text.truncate(at),
        }
    }
}
