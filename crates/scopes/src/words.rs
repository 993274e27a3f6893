//! Showing a command to whoever is to approve it.

use std::fmt::Write as _;

/// Returns the arguments of a command as one text in which each can be told from the next, and no two
/// commands look the same. It is what a shell such as bash reads as these arguments.
///
/// A word that could be read otherwise stands in `'…'`, and one with characters that are not seen, or act on
/// a terminal, in `$'…'`. Outside of ASCII only letters and digits are shown as they are.
///
/// ```
/// use openclaw_scopes::command_words;
///
/// assert_eq!(command_words(&["printf", "a b", "x\ny"]), r"printf 'a b' $'x\ny'");
/// ```
//= docs/threat-model.md#T37
pub fn command_words(argv: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for word in argv {
        if !text.is_empty() {
            text.push(' ');
        }
        push(&mut text, word.as_ref());
    }
    text
}

fn push(text: &mut String, word: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        text.push_str(word);
    } else if word.chars().all(is_seen) {
        text.push('\'');
        text.push_str(&word.replace('\'', r"'\''"));
        text.push('\'');
    } else {
        text.push_str("$'");
        word.chars().for_each(|c| push_escaped(text, c));
        text.push('\'');
    }
}

fn push_escaped(text: &mut String, c: char) {
    let number = u32::from(c);
    let written = match c {
        '\n' => text.write_str(r"\n"),
        '\t' => text.write_str(r"\t"),
        '\\' | '\'' => write!(text, "\\{c}"),
        c if is_seen(c) => text.write_char(c),
        _ if number < 0x80 => write!(text, "\\x{number:02x}"),
        _ if number < 0x1_0000 => write!(text, "\\u{number:04x}"),
        _ => write!(text, "\\U{number:08x}"),
    };
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// Whether a character is seen as itself. The last ones count as letters and are blank.
fn is_seen(c: char) -> bool {
    let is_blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric() && !is_blank)
}

#[cfg(test)]
mod tests {
    use super::command_words as words;

    #[test]
    fn what_is_shown_is_told_apart() {
        let table: &[(&[&str], &str)] = &[
            (&["printf", "%s|", "a b", "c"], "printf '%s|' 'a b' c"),
            (&["a", "", "it's"], r"a '' 'it'\''s'"),
            (&["\x1b[2J", "x\ny", "\u{202e}fdp"], r"$'\x1b[2J' $'x\ny' $'\u202efdp'"),
            (&[r"x\ny", "x\n\\y'"], r"'x\ny' $'x\n\\y\''"),
            (&["$(id)", "~", "größe", "世界"], "'$(id)' '~' 'größe' '世界'"),
            (&["a\u{a0}b", "a\u{3164}b", "a\u{ad}b"], r"$'a\u00a0b' $'a\u3164b' $'a\u00adb'"),
            (
                &["\u{e0041}", "\u{115f}", "\u{1160}", "\u{ffa0}"],
                r"$'\U000e0041' $'\u115f' $'\u1160' $'\uffa0'",
            ),
        ];
        for (argv, shown) in table {
            assert_eq!(words(argv), *shown);
        }
    }

    /// Every pair of different commands looks different, and nothing in it breaks a line.
    #[test]
    fn no_two_look_the_same() {
        let parts = ["", "a", "'", "\\", "\n", "n", " ", "$", "\u{200b}", "é"];
        let mut seen = std::collections::BTreeMap::new();
        let words_of = || parts.iter().flat_map(|a| parts.iter().map(move |b| format!("{a}{b}")));
        for first in words_of() {
            for second in words_of().map(Some).chain([None]) {
                let argv: Vec<_> = std::iter::once(first.clone()).chain(second).collect();
                let shown = words(&argv);
                assert!(shown.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace())));
                if let Some(other) = seen.insert(shown, argv.clone()) {
                    assert_eq!(other, argv);
                }
            }
        }
    }
}
