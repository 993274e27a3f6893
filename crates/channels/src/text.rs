//! Markdown to the parts that a platform takes: rendered in its dialect, none above its limit.

mod markdown;
mod render;
mod source;
mod split;
mod styled;

use crate::port::Part;

use markdown::Links;

/// How a platform writes text, and how much of it one message holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Markdown as Discord reads it.
    Discord,
    /// No markup at all.
    Plain,
    /// The HTML of Telegram.
    TelegramHtml,
}

impl Dialect {
    /// Returns the most UTF-16 units of one message, markup included.
    ///
    /// Discord counts characters and Telegram does not count markup; both are then on the safe
    /// side.
    pub const fn limit(self) -> usize {
        match self {
            Self::Discord => 2000,
            Self::Plain => 4000,
            Self::TelegramHtml => 4096,
        }
    }

    /// Returns the most UTF-16 units of the text of a part that has media.
    pub const fn caption_limit(self) -> usize {
        match self {
            Self::Discord => 2000,
            Self::Plain => 4000,
            Self::TelegramHtml => 1024,
        }
    }
}

/// Renders Markdown for a platform and splits it into the messages that it takes.
///
/// It is split between paragraphs if possible, else between lines, sentences or words, and never
/// inside what is seen as one character unless that alone is longer than a message. A code block
/// that must be split is closed, and opened again in the next part.
pub fn parts(markdown: &str, dialect: Dialect) -> Vec<Part> {
    parts_within(markdown, dialect, dialect.limit())
}

/// Does what [`parts`] does, with a lower limit, such as that of a caption.
pub fn parts_within(markdown: &str, dialect: Dialect, limit: usize) -> Vec<Part> {
    // Room for the longest markup around one character, whatever was asked for.
    const LEAST: usize = 512;
    let limit = limit.clamp(LEAST, dialect.limit().max(LEAST));
    let markdown = clean(markdown);
    let styled = match dialect {
        Dialect::Discord => source::styled(&markdown),
        Dialect::Plain => markdown::styled(&markdown, Links::Spelled),
        Dialect::TelegramHtml => markdown::styled(&markdown, Links::Styled),
    };
    let ranges = split::ranges(&styled, dialect, limit);
    let part = |range: std::ops::Range<usize>| {
        let text = render::render(&styled, range.clone(), dialect);
        let plain = match dialect {
            Dialect::Discord => plain(&text),
            Dialect::Plain => text.clone(),
            Dialect::TelegramHtml => render::plain(&styled, range),
        };
        Part { plain, text, ..Part::default() }
    };
    ranges.into_iter().map(part).collect()
}

/// Returns what Markdown says, without markup.
pub fn plain(markdown: &str) -> String {
    markdown::styled(&clean(markdown), Links::Spelled).text().trim().to_owned()
}

/// Returns how long a text is, as platforms count.
pub(crate) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Takes out what no platform shows and some refuse.
fn clean(text: &str) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.replace("\r\n", "\n").chars().filter(kept).collect()
}

#[cfg(test)]
mod tests;
