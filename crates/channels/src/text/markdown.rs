//! Markdown to styled text.

use std::collections::BTreeSet;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::Dialect;
use super::render::escape;
use super::source::language;
use super::styled::{Block, Look, Mark, Styled};

/// The longest address that becomes a link. Reason: it must fit a caption with its text.
const MAX_LINK: usize = 256;

/// What becomes of the address of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Links {
    /// It follows the text, in parentheses.
    Spelled,
    /// It is part of the look of the text.
    Styled,
}

/// Reads Markdown.
pub(super) fn styled(markdown: &str, links: Links) -> Styled {
    let options =
        Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::new(links);
    for event in Parser::new_ext(markdown, options) {
        writer.event(event);
    }
    writer.styled
}

#[derive(Debug)]
struct Writer {
    /// The cells of the row so far.
    cells: usize,
    /// The code of the block that is being read.
    code: Option<(String, String)>,
    /// Whether a bullet was the last thing written.
    is_fresh: bool,
    /// Where the text of each open link begins, and its address.
    links: Vec<(usize, String)>,
    /// The next number of each open list.
    lists: Vec<Option<u64>>,
    marks: Vec<Mark>,
    /// How many line breaks there are before what comes next.
    pending: usize,
    quotes: usize,
    spelling: Links,
    styled: Styled,
}

impl Writer {
    fn new(spelling: Links) -> Self {
        Self {
            cells: 0,
            code: None,
            is_fresh: false,
            links: Vec::new(),
            lists: Vec::new(),
            marks: Vec::new(),
            pending: 0,
            quotes: 0,
            spelling,
            styled: Styled::default(),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some((_, code)) => code.push_str(&text),
                None => self.write(&text),
            },
            Event::Code(text) => {
                self.marks.push(Mark::Code);
                self.write(&text);
                self.marks.pop();
            }
            Event::Html(text) | Event::InlineHtml(text) => self.write(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.write(&text);
            }
            Event::SoftBreak | Event::HardBreak => self.write("\n"),
            Event::Rule => {
                self.gap(2);
                self.write("———");
                self.gap(2);
            }
            Event::TaskListMarker(is_done) => self.write(if is_done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.gap(2);
                self.marks.push(Mark::Bold);
            }
            Tag::BlockQuote(_) => {
                self.gap(2);
                self.quotes = self.quotes.saturating_add(1);
            }
            Tag::CodeBlock(kind) => {
                self.gap(if self.lists.is_empty() { 2 } else { 1 });
                let language = match kind {
                    CodeBlockKind::Fenced(info) => language(&info),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((language, String::new()));
            }
            Tag::List(first) => {
                self.gap(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::TableHead => {
                self.cells = 0;
                self.marks.push(Mark::Bold);
            }
            Tag::TableRow => {
                self.gap(1);
                self.cells = 0;
            }
            Tag::TableCell => {
                if self.cells > 0 {
                    self.write(" | ");
                }
                self.cells = self.cells.saturating_add(1);
            }
            Tag::Emphasis => self.marks.push(Mark::Italic),
            Tag::Strong => self.marks.push(Mark::Bold),
            Tag::Strikethrough => self.marks.push(Mark::Strike),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.flush();
                self.links.push((self.styled.text().len(), dest_url.into_string()));
            }
            Tag::Paragraph | Tag::HtmlBlock | Tag::Table(_) | Tag::DefinitionList => self.gap(2),
            Tag::FootnoteDefinition(_) | Tag::MetadataBlock(_) => self.gap(2),
            Tag::DefinitionListTitle | Tag::DefinitionListDefinition => self.gap(1),
            Tag::Superscript | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.marks.pop();
                self.gap(2);
            }
            TagEnd::BlockQuote(_) => {
                self.quotes = self.quotes.saturating_sub(1);
                self.gap(2);
            }
            TagEnd::CodeBlock => {
                if let Some((language, code)) = self.code.take() {
                    let code = code.strip_suffix('\n').unwrap_or(&code);
                    self.push(code, &Look::of(Block::Pre(language)));
                }
                self.gap(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::List(_) => {
                self.lists.pop();
                self.gap(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::TableHead | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.marks.pop();
            }
            TagEnd::Link | TagEnd::Image => self.link(),
            TagEnd::Paragraph | TagEnd::HtmlBlock | TagEnd::Table | TagEnd::DefinitionList => {
                self.gap(2);
            }
            TagEnd::FootnoteDefinition | TagEnd::MetadataBlock(_) => self.gap(2),
            TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => self.gap(1),
            // An item may have been empty: what follows is on a line of its own.
            TagEnd::Item => self.is_fresh = false,
            TagEnd::TableRow | TagEnd::TableCell | TagEnd::Superscript | TagEnd::Subscript => {}
        }
    }

    fn item(&mut self) {
        self.is_fresh = false;
        self.gap(1);
        let depth = self.lists.len().saturating_sub(1);
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                let bullet = format!("{number}. ");
                *number = number.saturating_add(1);
                bullet
            }
            Some(None) | None => "• ".to_owned(),
        };
        // Deeper than anybody reads, the indent would only fill messages.
        self.write(&format!("{}{bullet}", "  ".repeat(depth.min(8))));
        self.is_fresh = true;
    }

    /// Ends a link: its address follows, if it is not to be a look or cannot be one.
    fn link(&mut self) {
        let Some((begin, url)) = self.links.pop() else { return };
        let text = self.styled.slice(begin..self.styled.text().len());
        if text == url || url.is_empty() {
            return;
        }
        if text.is_empty() {
            self.write(&url);
        } else if self.spelling == Links::Spelled || !is_link(&url) {
            self.write(&format!(" ({url})"));
        }
    }

    fn gap(&mut self, lines: usize) {
        if !self.is_fresh && !self.styled.text().is_empty() {
            self.pending = self.pending.max(lines);
        }
    }

    fn write(&mut self, text: &str) {
        let block = if self.quotes > 0 { Block::Quote } else { Block::Flow };
        let link = self.links.first().map(|(_, url)| url);
        let link = link.filter(|url| self.spelling == Links::Styled && is_link(url)).cloned();
        let mut marks: BTreeSet<Mark> = self.marks.iter().copied().collect();
        if marks.contains(&Mark::Code) {
            // Code has no other look; inside a link, the link is what matters.
            marks = if link.is_some() { BTreeSet::new() } else { [Mark::Code].into() };
        }
        self.push(text, &Look { block, link, marks });
    }

    fn push(&mut self, text: &str, look: &Look) {
        if text.is_empty() {
            return;
        }
        self.flush_before(&look.block);
        self.is_fresh = false;
        self.styled.push(text, look);
    }

    fn flush(&mut self) {
        let block = if self.quotes > 0 { Block::Quote } else { Block::Flow };
        self.flush_before(&block);
    }

    /// Writes the line breaks that are due: inside a quote if both sides are of it.
    fn flush_before(&mut self, block: &Block) {
        let lines = "\n".repeat(std::mem::take(&mut self.pending));
        let goes_on = *block == Block::Quote
            && self.styled.last().is_some_and(|look| look.block == Block::Quote);
        let block = if goes_on { Block::Quote } else { Block::Flow };
        self.styled.push(&lines, &Look::of(block));
    }
}

/// Whether an address can be that of a link. What else there is may do more than open a page.
fn is_link(url: &str) -> bool {
    let schemes = ["http://", "https://", "mailto:", "tg://"];
    let has_scheme = |scheme: &&str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    escape(url, Dialect::TelegramHtml).len() <= MAX_LINK
        && schemes.iter().any(has_scheme)
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}
