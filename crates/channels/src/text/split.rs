//! Where styled text is cut into parts.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::styled::{Block, Styled};
use super::{Dialect, render, units};

/// Returns the stretches that fit one message each, without the space between them.
pub(super) fn ranges(styled: &Styled, dialect: Dialect, limit: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut begin = skip(styled, 0);
    let end = styled.text().trim_end().len();
    while begin < end {
        let mut cut = fit(styled, begin..end, dialect, limit, Unit::Grapheme);
        if cut == begin {
            cut = fit(styled, begin..end, dialect, limit, Unit::Char);
        }
        if cut == begin {
            // INVARIANT: links and languages are bounded, so that one character always fits.
            cut = end;
        }
        if cut < end {
            cut = nice(styled, begin, cut);
        }
        let range = begin..trimmed(styled, begin, cut);
        if !range.is_empty() {
            ranges.push(range);
        }
        begin = skip(styled, cut);
    }
    ranges
}

/// What is not cut in two.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Char,
    Grapheme,
}

/// Returns how far a part that begins at the start of the range can reach.
fn fit(styled: &Styled, range: Range<usize>, dialect: Dialect, limit: usize, unit: Unit) -> usize {
    let mut end = range.start;
    let mut cost = 0_usize;
    let mut block = &Block::Flow;
    for piece in styled.pieces(range) {
        let mut step = units(&render::open(piece.look, dialect));
        step = step.saturating_add(units(&render::close(piece.look, dialect)));
        if piece.look.block != *block {
            step = step.saturating_add(units(render::close_block(block, dialect)));
            block = &piece.look.block;
            step = step.saturating_add(units(&render::open_block(block, dialect)));
        }
        let tail = units(render::close_block(block, dialect));
        let mut rest = piece.text;
        while !rest.is_empty() {
            let length = match unit {
                Unit::Char => rest.chars().next().map_or(0, char::len_utf8),
                Unit::Grapheme => rest.graphemes(true).next().map_or(0, str::len),
            };
            let Some((one, more)) = rest.split_at_checked(length) else { return end };
            let more_cost = step.saturating_add(units(&render::escape(one, dialect)));
            cost = cost.saturating_add(more_cost);
            if cost.saturating_add(tail) > limit {
                return end;
            }
            step = 0;
            end = end.saturating_add(length);
            rest = more;
        }
    }
    end
}

/// Returns the best place for a cut that is not behind `cut`.
fn nice(styled: &Styled, begin: usize, cut: usize) -> usize {
    let window = styled.slice(begin..cut);
    let least = window.len() / 4;
    let is_flow =
        |place: &usize| !matches!(styled.block_at(begin.saturating_add(*place)), Block::Pre(_));
    // A cut right before a space is as good as one at a space.
    let follows = styled.slice(cut..styled.text().len());
    let at_edge = |text: &str| follows.starts_with(text).then_some(window.len());
    let ends_in_code = matches!(styled.block_at(cut), Block::Pre(_));
    let places = [
        at_edge("\n\n").or_else(|| flow_break(window, "\n\n", is_flow)),
        if ends_in_code { flow_break(window, "\n", is_flow) } else { None },
        window.rfind("\n\n"),
        at_edge("\n").or_else(|| window.rfind('\n')),
        sentence(window),
        follows.starts_with(char::is_whitespace).then_some(window.len()),
        window.rfind(char::is_whitespace),
    ];
    let place = places.into_iter().flatten().find(|place| *place > least);
    place.map_or(cut, |place| begin.saturating_add(place))
}

/// Returns the last such break in running text.
fn flow_break(window: &str, text: &str, is_flow: impl Fn(&usize) -> bool) -> Option<usize> {
    window.rmatch_indices(text).map(|(place, _)| place).find(|place| is_flow(place))
}

/// Returns the place behind the last sentence that ends in a window.
fn sentence(window: &str) -> Option<usize> {
    let ends = window.char_indices().zip(window.chars().skip(1)).filter(|((_, c), next)| {
        matches!(c, '.' | '!' | '?' | '…') && next.is_whitespace()
            || matches!(c, '。' | '！' | '？')
    });
    ends.last().map(|((place, c), _)| place.saturating_add(c.len_utf8()))
}

/// Returns where the next part begins: space between parts is nobody's, except before code.
fn skip(styled: &Styled, from: usize) -> usize {
    let rest = styled.slice(from..styled.text().len());
    if matches!(styled.block_at(from), Block::Pre(_)) {
        return from.saturating_add(usize::from(rest.starts_with('\n')));
    }
    let mut place = from;
    for c in rest.chars() {
        if !c.is_whitespace() || matches!(styled.block_at(place), Block::Pre(_)) {
            break;
        }
        place = place.saturating_add(c.len_utf8());
    }
    place
}

/// Returns where a part ends, without the space behind it.
fn trimmed(styled: &Styled, begin: usize, end: usize) -> usize {
    begin.saturating_add(styled.slice(begin..end).trim_end().len())
}
