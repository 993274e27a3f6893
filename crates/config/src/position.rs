//! Where in the text something stands.

use std::fmt;

/// A place in a text, for people: both numbers begin at 1, and columns count characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line; one past its last at its end.
    pub column: usize,
}

impl Position {
    /// Returns the place of the byte at `offset`, the end of the text at the latest.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let mut place = Self { line: 1, column: 1 };
        for (_, c) in text.char_indices().take_while(|(at, _)| *at < offset) {
            if c == '\n' {
                place.line = place.line.saturating_add(1);
                place.column = 1;
            } else {
                place.column = place.column.saturating_add(1);
            }
        }
        place
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_begin_at_one() {
        for (text, offset, line, column) in [
            ("", 0, 1, 1),
            ("", 9, 1, 1),
            ("ab", 1, 1, 2),
            ("ab\ncd", 2, 1, 3),
            ("ab\ncd", 3, 2, 1),
            ("äö = 1", 4, 1, 3),
            ("a\n", 99, 2, 1),
        ] {
            assert_eq!(Position::of(text, offset), Position { line, column }, "{text:?} {offset}");
        }
    }
}
