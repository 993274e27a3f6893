//! Writes styled text for a platform. What is opened in a part is closed in it.

use std::borrow::Cow;
use std::ops::Range;

use super::Dialect;
use super::styled::{Block, Look, Mark, Styled};

/// Writes a stretch of styled text.
pub(super) fn render(styled: &Styled, range: Range<usize>, dialect: Dialect) -> String {
    let mut text = String::new();
    let mut block = &Block::Flow;
    for piece in styled.pieces(range) {
        if piece.look.block != *block {
            text.push_str(close_block(block, dialect));
            block = &piece.look.block;
            text.push_str(&open_block(block, dialect));
        }
        text.push_str(&open(piece.look, dialect));
        text.push_str(&escape(piece.text, dialect));
        text.push_str(&close(piece.look, dialect));
    }
    text.push_str(close_block(block, dialect));
    text
}

/// Writes a stretch without markup; the address of a link follows its text.
pub(super) fn plain(styled: &Styled, range: Range<usize>) -> String {
    let mut text = String::new();
    let mut link: Option<(&str, usize)> = None;
    for piece in styled.pieces(range) {
        let next = piece.look.link.as_deref();
        if link.map(|(url, _)| url) != next {
            spell(&mut text, link);
            link = next.map(|url| (url, text.len()));
        }
        text.push_str(piece.text);
    }
    spell(&mut text, link);
    text
}

/// Adds the address of a link, unless its text already is that address.
fn spell(text: &mut String, link: Option<(&str, usize)>) {
    if let Some((url, begin)) = link
        && text.get(begin..) != Some(url)
    {
        text.extend([" (", url, ")"]);
    }
}

/// Returns what opens a block.
pub(super) fn open_block(block: &Block, dialect: Dialect) -> Cow<'static, str> {
    match (dialect, block) {
        (Dialect::Discord, Block::Pre(language)) => format!("```{language}\n").into(),
        (Dialect::TelegramHtml, Block::Pre(language)) if language.is_empty() => "<pre>".into(),
        (Dialect::TelegramHtml, Block::Pre(language)) => {
            format!("<pre><code class=\"language-{}\">", escape(language, dialect)).into()
        }
        (Dialect::TelegramHtml, Block::Quote) => "<blockquote>".into(),
        (Dialect::Discord | Dialect::Plain | Dialect::TelegramHtml, _) => "".into(),
    }
}

/// Returns what closes a block.
pub(super) fn close_block(block: &Block, dialect: Dialect) -> &'static str {
    match (dialect, block) {
        (Dialect::Discord, Block::Pre(_)) => "\n```",
        (Dialect::TelegramHtml, Block::Pre(language)) if language.is_empty() => "</pre>",
        (Dialect::TelegramHtml, Block::Pre(_)) => "</code></pre>",
        (Dialect::TelegramHtml, Block::Quote) => "</blockquote>",
        (Dialect::Discord | Dialect::Plain | Dialect::TelegramHtml, _) => "",
    }
}

/// Returns what opens a look inside a block.
pub(super) fn open(look: &Look, dialect: Dialect) -> String {
    let mut text = String::new();
    if dialect != Dialect::TelegramHtml {
        return text;
    }
    if let Some(url) = &look.link {
        text.extend(["<a href=\"", &escape(url, dialect), "\">"]);
    }
    text.extend(look.marks.iter().flat_map(|mark| ["<", tag(*mark), ">"]));
    text
}

/// Returns what closes a look inside a block.
pub(super) fn close(look: &Look, dialect: Dialect) -> String {
    let mut text = String::new();
    if dialect != Dialect::TelegramHtml {
        return text;
    }
    text.extend(look.marks.iter().rev().flat_map(|mark| ["</", tag(*mark), ">"]));
    if look.link.is_some() {
        text.push_str("</a>");
    }
    text
}

const fn tag(mark: Mark) -> &'static str {
    match mark {
        Mark::Bold => "b",
        Mark::Code => "code",
        Mark::Italic => "i",
        Mark::Strike => "s",
    }
}

/// Returns the text with everything that has a meaning of its own in the dialect taken literally.
pub(super) fn escape(text: &str, dialect: Dialect) -> Cow<'_, str> {
    if dialect != Dialect::TelegramHtml || !text.contains(['&', '<', '>', '"']) {
        return text.into();
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").into()
}
