//! Reduces HTML to its text. Linear in its input, and never an error: a page is what it is.

/// Elements whose content nobody reads.
const UNREAD: &[&str] = &["script", "style", "noscript", "template", "svg", "iframe"];

/// Elements that stand on lines of their own.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "title",
    "tr",
    "ul",
];

/// The longest entity that is decoded, `&` and `;` left out.
const MAX_ENTITY: usize = 10;

/// Returns the text of a page.
pub(super) fn text(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        page.words(before);
        rest = after;
        if let Some(comment) = rest.strip_prefix("!--") {
            // What is not closed goes on to the end.
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if rest
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        {
            let (tag, after) = split_tag(rest);
            rest = after;
            let name: String = tag
                .trim_start_matches('/')
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .take(16)
                .map(|c| c.to_ascii_lowercase())
                .collect();
            if BLOCKS.contains(&name.as_str()) {
                page.end_line();
            }
            if UNREAD.contains(&name.as_str()) && !tag.starts_with('/') && !tag.ends_with('/') {
                rest = after_content(rest, &name);
            }
        } else {
            page.words("<");
        }
    }
    page.words(rest);
    page.text
}

/// Splits after the `>` that ends a tag; one inside quotes does not.
fn split_tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => {
                let (tag, rest) = text.split_at_checked(index).unwrap_or((text, ""));
                return (tag, rest.strip_prefix('>').unwrap_or(rest));
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some(_), _) => {}
        }
    }
    (text, "")
}

/// Returns what follows the end tag of `name`.
fn after_content<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        rest = after;
        if after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return split_tag(after).1;
        }
    }
    ""
}

/// Where the page's text is put together, white space collapsed.
#[derive(Debug, Default)]
struct Page {
    space: bool,
    text: String,
}

impl Page {
    fn end_line(&mut self) {
        self.space = false;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn words(&mut self, raw: &str) {
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('&') {
            before.chars().for_each(|c| self.letter(c));
            rest = match entity(after) {
                Some((c, after)) => {
                    self.letter(c);
                    after
                }
                None => {
                    self.letter('&');
                    after
                }
            };
        }
        rest.chars().for_each(|c| self.letter(c));
    }

    fn letter(&mut self, c: char) {
        if c.is_whitespace() {
            self.space = true;
        } else if !c.is_control() {
            if self.space && !self.text.is_empty() && !self.text.ends_with('\n') {
                self.text.push(' ');
            }
            self.space = false;
            self.text.push(c);
        }
    }
}

fn entity(text: &str) -> Option<(char, &str)> {
    let end = text.bytes().take(MAX_ENTITY).position(|byte| byte == b';')?;
    let (name, rest) = text.split_at_checked(end)?;
    let c = match name {
        "amp" => '&',
        "apos" => '\'',
        "gt" => '>',
        "lt" => '<',
        "nbsp" => ' ',
        "quot" => '"',
        name => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some((c, rest.strip_prefix(';').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_text() {
        let check = |html: &str, expected: &str| assert_eq!(text(html), expected, "{html}");
        check("", "");
        check("plain", "plain");
        check("<p>one</p><p>two  three</p>", "one\ntwo three\n");
        check("a<b>b</b>c <i>d</i>", "abc d");
        check("<script>if (a < b) x('</p>')</script>after", "after");
        check("<SCRIPT>x</Script >after", "after");
        check("<style>p { }</style><title>T</title>x", "T\nx");
        check("a<!-- <p>hidden</p> -->b", "ab");
        check("a<!-- never closed", "a");
        check("<a title=\"1 > 0\">x</a>", "x");
        check(
            "1 < 2 & 3 &lt; 4 &amp;lt; &#65;&#x42; &unknown; &#0;",
            "1 < 2 & 3 < 4 &lt; AB &unknown;",
        );
        check("<", "<");
        check("<a", "");
        check("<a \"", "");
        check("<svg/>x", "x");
        check("ä&öü;<p>ß", "ä&öü;\nß");
    }

    #[test]
    fn hostile_pages_take_linear_time() {
        for piece in ["<", "<!--", "<a \"", "<script>", "<script></", "&", "&#", "</", "<svg <"] {
            assert!(text(&piece.repeat(200_000)).len() <= 2_000_000, "{piece}");
        }
    }
}
