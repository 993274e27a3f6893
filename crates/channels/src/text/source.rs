//! Markdown as it is, with only its code blocks told apart: for a platform that reads Markdown.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::styled::{Block, Look, Styled};

/// The longest name of a language. Reason: none is longer, and it is repeated in every part.
const MAX_LANGUAGE: usize = 32;

/// Tells the code blocks of Markdown from everything else.
pub(super) fn styled(markdown: &str) -> Styled {
    let mut styled = Styled::default();
    let mut cursor = 0;
    let mut code: Option<(String, String)> = None;
    for (event, range) in Parser::new_ext(markdown, Options::empty()).into_offset_iter() {
        let source = markdown.get(range.clone()).unwrap_or_default();
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                verbatim(&mut styled, markdown.get(cursor..range.start).unwrap_or_default());
                cursor = range.end.max(cursor);
                code = Some((language(&info), String::new()));
            }
            Event::Text(text) => {
                if let Some((_, code)) = &mut code {
                    code.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((language, code)) = code.take() {
                    block(&mut styled, language, &code);
                }
            }
            // The platform reads three backticks as the fence of a block wherever they stand.
            Event::Code(text) if source.starts_with("```") => {
                verbatim(&mut styled, markdown.get(cursor..range.start).unwrap_or_default());
                cursor = range.end.max(cursor);
                block(&mut styled, String::new(), &text);
            }
            _ => {}
        }
    }
    verbatim(&mut styled, markdown.get(cursor..).unwrap_or_default());
    styled
}

/// Returns the language that an info string begins with, if it looks like one.
pub(super) fn language(info: &str) -> String {
    let word = info.split([' ', ',', '\t', '{']).next().unwrap_or_default();
    let is_name = word.len() <= MAX_LANGUAGE
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "+-_#.".contains(c));
    if is_name { word.to_owned() } else { String::new() }
}

fn verbatim(styled: &mut Styled, text: &str) {
    let text = unfenced(text);
    let begins_line = text.is_empty() || text.starts_with('\n');
    if !begins_line && matches!(styled.last(), Some(Look { block: Block::Pre(_), .. })) {
        styled.push("\n", &Look::default());
    }
    styled.push(&text, &Look::default());
}

fn block(styled: &mut Styled, language: String, code: &str) {
    // An empty block would leave a fence with nothing between it and the next one.
    let code = unfenced(code.strip_suffix('\n').unwrap_or(code));
    if code.trim().is_empty() {
        return;
    }
    let begins_line = styled.text().is_empty() || styled.text().ends_with('\n');
    if !begins_line || matches!(styled.last(), Some(Look { block: Block::Pre(_), .. })) {
        styled.push("\n", &Look::default());
    }
    styled.push(&code, &Look::of(Block::Pre(language)));
}

/// Breaks up three backticks in a row with a space of no width, so that they fence nothing.
fn unfenced(text: &str) -> String {
    let mut row = 0_u32;
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '`' {
            row = 0;
        } else if row == 2 {
            result.push('\u{200b}');
            row = 1;
        } else {
            row = row.saturating_add(1);
        }
        result.push(c);
    }
    result
}
