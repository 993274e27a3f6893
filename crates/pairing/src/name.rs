//! What a device calls itself, made fit to be shown.

/// Characters of a name at most (`access.md` §5.1).
const MAX: usize = 64;

/// Returns a name without what could steer a terminal or disguise the text around it, shortened to 64
/// characters.
//= docs/threat-model.md#T29
pub fn clean_name(text: &str) -> String {
    let harmless = text.chars().filter(|c| !is_steering(*c)).take(MAX);
    harmless.collect::<String>().trim().to_owned()
}

fn is_steering(c: char) -> bool {
    let reorders = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    );
    c.is_control() || reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T29
    fn names_cannot_steer() {
        for (text, clean) in [
            ("laptop", "laptop"),
            ("  Ada's laptop ", "Ada's laptop"),
            ("\u{1b}[2Jlaptop\r\n", "[2Jlaptop"),
            ("a\u{202e}b\u{2066}c\u{200b}", "abc"),
            ("漢字 🦀", "漢字 🦀"),
            ("", ""),
        ] {
            assert_eq!(clean_name(text), clean, "{text:?}");
        }
        assert_eq!(clean_name(&"x".repeat(10_000)).len(), 64);
    }
}
