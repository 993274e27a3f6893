//! A journal as compaction sees it: what counts of it, and what each turn costs.

use crate::project::summarized;
use crate::{Projection, Record, estimate_tokens};

/// What separates a summary from the question after it.
const SEPARATOR: usize = 2;

/// What a model is shown of a journal, in turns.
#[derive(Debug)]
pub(super) struct History<'a> {
    /// The newest summary, which stands for what is not among the records.
    pub(super) earlier: Option<&'a str>,
    /// The records that count, without summaries.
    pub(super) records: Vec<&'a Record>,
    /// The tokens of all, with the earlier summary.
    pub(super) tokens: u64,
    /// The turns, the newest first.
    pub(super) turns: Vec<Turn>,
}

/// The place where a run begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The place of its question among the records.
    pub(super) at: usize,
    /// The number of its question's entry.
    pub(super) entry: u64,
    /// The tokens of the history from here to its end.
    pub(super) tokens_from: u64,
}

impl<'a> History<'a> {
    /// Reads the entries, which are in their order but for summaries.
    pub(super) fn of(entries: &[(u64, &'a Record)]) -> Self {
        let (earlier, first_kept) = newest_summary(entries).unzip();
        let first_kept = first_kept.unwrap_or(0);
        let mut projection = Projection::default();
        let mut records = Vec::with_capacity(entries.len());
        let mut questions = Vec::new();
        for (entry, record) in entries.iter().filter(|(entry, _)| *entry >= first_kept) {
            if matches!(record, Record::Summary { .. }) {
                continue;
            }
            projection.push(record);
            if matches!(record, Record::UserMessage { .. }) {
                // Without a summary before it, a question is a message of its own.
                let message = projection.len().saturating_sub(1);
                questions.push((records.len(), *entry, message));
            }
            records.push(*record);
        }

        let messages = projection.into_messages();
        let mut turns = Vec::with_capacity(questions.len());
        let (mut bytes, mut end) = (0_usize, messages.len());
        for (at, entry, message) in questions.into_iter().rev() {
            let turn = messages.get(message..end).unwrap_or_default();
            bytes = turn.iter().map(|message| message.bytes()).fold(bytes, usize::saturating_add);
            end = message;
            turns.push(Turn { at, entry, tokens_from: estimate_tokens(bytes) });
        }
        let summary = earlier.map_or(0, summary_bytes);
        // Where nothing follows it, nothing is between.
        let summary = summary.saturating_sub(if messages.is_empty() { SEPARATOR } else { 0 });
        Self { earlier, records, tokens: estimate_tokens(bytes.saturating_add(summary)), turns }
    }
}

/// Returns the summary of the highest entry, and the first entry that it does not stand for.
fn newest_summary<'a>(entries: &[(u64, &'a Record)]) -> Option<(&'a str, u64)> {
    let summaries = entries.iter().filter_map(|(entry, record)| {
        let Record::Summary { text, first_kept, .. } = record else { return None };
        Some((entry, text.as_str(), *first_kept))
    });
    summaries.max_by_key(|(entry, ..)| *entry).map(|(_, text, first_kept)| (text, first_kept))
}

/// Returns the bytes of a history that a summary adds to the messages after it, at most.
pub(super) fn summary_bytes(text: &str) -> usize {
    summarized(text).len().saturating_add(SEPARATOR)
}
