//! What is folded, as the model is shown it that summarizes it.

use std::borrow::Cow;

use crate::record::lines;
use crate::{Notice, Record, RunStatus, ToolOutcome};

/// How many characters are shown of the beginning of what a tool was given or returned.
const FIRST: usize = 500;

/// How many characters are shown of its end, where tools say what came of it.
const LAST: usize = 200;

/// The most characters of a tool's name: what the projection gives it.
const MAX_NAME: usize = 64;

/// More bytes than any line has that says what is left out.
const MARKER: usize = 64;

/// Returns a transcript of at most so many bytes, the earlier summary at its head.
///
/// Who speaks stands in a line of its own, and what was said is indented below it: nothing that was
/// said can pass for the word of another. Where not all fits, the oldest is left out first; of an
/// earlier summary, and of the newest part, there is the beginning and the end.
pub(super) fn transcript(earlier: Option<&str>, records: &[&Record], max: usize) -> String {
    let mut text = earlier.map_or_else(String::new, |earlier| {
        clipped(part("summary of what was before", earlier), max / 2)
    });
    let parts: Vec<String> = records.iter().flat_map(|record| parts_of(record)).collect();
    let room = max.saturating_sub(text.len()).saturating_sub(MARKER);
    let mut size = 0_usize;
    let fits = |part: &&String| {
        size = size.saturating_add(part.len());
        size <= room
    };
    let shown = parts.iter().rev().take_while(fits).count();
    let older = parts.len().saturating_sub(shown.max(1));
    if older > 0 {
        text.push_str(&["[", &older.to_string(), " older parts are left out]\n"].concat());
    }
    let newer = parts.into_iter().skip(older);
    newer.for_each(|part| text.push_str(&clipped(part, room)));
    text.truncate(text.floor_char_boundary(max));
    text
}

/// Returns who said what, each with a line end.
fn parts_of(record: &Record) -> Vec<String> {
    match record {
        Record::AssistantMessage(message) => {
            let said = Some(&message.text).filter(|text| !text.trim().is_empty());
            let said = said.map(|text| part("assistant", text));
            let calls = message.tool_calls.iter().map(|call| {
                part(&format!("assistant calls {}", name(&call.name)), &shortened(&call.arguments))
            });
            said.into_iter().chain(calls).collect()
        }
        Record::Final { status: RunStatus::Ok, error: _ } | Record::Summary { .. } => Vec::new(),
        Record::Final { status, error } => {
            let who = format!("the run ended without success, {}", status.name());
            vec![part(&who, error.as_deref().unwrap_or_default())]
        }
        Record::Notices { notices } => vec![part("sub-agents", &Notice::told(notices))],
        Record::ToolResult(result) => {
            let outcome = match result.outcome {
                ToolOutcome::Error => "failed",
                ToolOutcome::Interrupted => "was interrupted",
                ToolOutcome::Ok => "returned",
                ToolOutcome::Skipped => "was not run",
            };
            let who = format!("tool {} {outcome}", name(&result.name));
            vec![part(&who, &shortened(&result.content))]
        }
        Record::Steered { run: _, text } | Record::UserMessage { text } => vec![part("user", text)],
    }
}

fn part(who: &str, said: &str) -> String {
    let mut part = format!("{who}:\n");
    for line in lines(said.trim()) {
        part.push_str("  ");
        part.push_str(line);
        part.push('\n');
    }
    part
}

/// Returns a tool's name, which a model may have made up, on one line.
fn name(name: &str) -> String {
    name.chars().take(MAX_NAME).flat_map(char::escape_debug).collect()
}

/// Returns the beginning and the end of a text, with how much is between them.
fn shortened(text: &str) -> Cow<'_, str> {
    let count = text.chars().count();
    let between = count.saturating_sub(FIRST).saturating_sub(LAST);
    if between == 0 {
        return Cow::Borrowed(text);
    }
    let first: String = text.chars().take(FIRST).collect();
    let last: String = text.chars().skip(count.saturating_sub(LAST)).collect();
    Cow::Owned(format!("{first}\n[{between} characters are left out]\n{last}"))
}

/// Returns the beginning and the end of a part, in so many bytes and a line that says so.
fn clipped(part: String, max: usize) -> String {
    if part.len() <= max {
        return part;
    }
    let half = max.saturating_sub(MARKER) / 2;
    let first = part.get(..part.floor_char_boundary(half)).unwrap_or_default();
    let tail = part.ceil_char_boundary(part.len().saturating_sub(half));
    let last = part.get(tail..).unwrap_or_default();
    format!("{first}\n  [a piece is left out]\n  {last}")
}
