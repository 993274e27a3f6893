//! Making text from elsewhere harmless before it reaches a terminal.

use std::borrow::Cow;

/// Returns whether a character can steer a terminal or disguise the text around it.
fn is_steering(c: char) -> bool {
    let reorders =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders
}

/// Returns text without what steers a terminal; new lines and tabs stay.
///
/// Without its escape character a sequence is only odd text, so pieces of a stream may be cleaned
/// one by one.
//= docs/threat-model.md#T13
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || c == '\t' || !is_steering(c);
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_kept(*c)).collect())
}

/// Returns text as one line, with what steers a terminal written out, as in `\n` or `\u{1b}`.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().saturating_add(8));
    for c in text.chars() {
        if is_steering(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Returns the first `max` characters of text as one line, with a mark when more follows.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    let mut rest = text.chars();
    let start: String = rest.by_ref().take(max).collect();
    let mark = if rest.next().is_some() { "…" } else { "" };
    format!("{}{mark}", line(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    //= docs/threat-model.md#T13
    fn texts() {
        for (text, cleaned, one_line) in [
            ("plain",                "plain",          "plain"),
            ("ä 漢 🦀",              "ä 漢 🦀",        "ä 漢 🦀"),
            ("a\n\tb",               "a\n\tb",         r"a\n\tb"),
            ("a\r\nb",               "a\nb",           r"a\r\nb"),
            ("\u{1b}[31mred",        "[31mred",        r"\u{1b}[31mred"),
            ("\u{1b}]0;title\u{7}",  "]0;title",       r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J",             "2J",             r"\u{9b}2J"),
            ("a\u{8}\u{7f}b",        "ab",             r"a\u{8}\u{7f}b"),
            ("x\u{202e}y\u{2066}",   "xy",             r"x\u{202e}y\u{2066}"),
            ("",                     "",               ""),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert_eq!(line(text), one_line, "{text:?}");
        }
    }

    #[test]
    fn a_sequence_cut_in_two_is_harmless() {
        let text = "\u{1b}[2J\u{1b}]52;c;aGk=\u{7}";
        let pieces: String = text.chars().map(|c| clean(&c.to_string()).into_owned()).collect();
        assert_eq!(pieces, clean(text));
        assert!(!pieces.contains(is_steering));
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("a\nb", 9), r"a\nb");
    }
}
