//! Text and how each stretch of it looks, before it is written for a platform.

use std::collections::BTreeSet;
use std::ops::Range;

/// What a stretch of text is part of. Blocks do not nest: platforms do not let them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Block {
    /// Running text.
    #[default]
    Flow,
    /// Code, with the name of its language if it has one.
    Pre(String),
    /// The words of somebody else.
    Quote,
}

/// A look that running text can have.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Mark {
    Bold,
    Code,
    Italic,
    Strike,
}

/// How a stretch of text looks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Look {
    pub(super) block: Block,
    pub(super) link: Option<String>,
    pub(super) marks: BTreeSet<Mark>,
}

impl Look {
    /// The plain look of a block.
    pub(super) fn of(block: Block) -> Self {
        Self { block, ..Self::default() }
    }
}

/// Text and its looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Styled {
    text: String,
    runs: Vec<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    end: usize,
    look: Look,
}

/// A stretch of text of one look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) look: &'a Look,
    pub(super) text: &'a str,
}

impl Styled {
    /// Returns all of the text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns a stretch of the text, empty if there is no such stretch.
    pub(super) fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// Adds text of a look.
    pub(super) fn push(&mut self, text: &str, look: &Look) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(run) if run.look == *look => run.end = end,
            Some(_) | None => self.runs.push(Run { end, look: look.clone() }),
        }
    }

    /// Returns the look at a place, that of running text behind the end.
    pub(super) fn block_at(&self, place: usize) -> &Block {
        let run = self.runs.iter().find(|run| place < run.end);
        run.map_or(&Block::Flow, |run| &run.look.block)
    }

    /// Returns the look of the last text.
    pub(super) fn last(&self) -> Option<&Look> {
        self.runs.last().map(|run| &run.look)
    }

    /// Returns the stretches of one look each that a range holds.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Piece<'_>> {
        let mut begin = 0;
        self.runs.iter().filter_map(move |run| {
            let (from, to) = (begin.max(range.start), run.end.min(range.end));
            begin = run.end;
            let text = if from < to { self.slice(from..to) } else { "" };
            (!text.is_empty()).then_some(Piece { look: &run.look, text })
        })
    }
}
