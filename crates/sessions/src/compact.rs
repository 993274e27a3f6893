//! When a conversation is compacted, and what of it a summary is to stand for.

mod history;
mod summary;
mod transcript;

#[cfg(test)]
mod tests;

use crate::Record;
use crate::window::BYTES_PER_TOKEN;
use history::{History, Turn};

pub use summary::{SUMMARY_PROMPT, SummaryError, accept_summary};

/// The most tokens of a model's window that are kept free, by `runtime.md` §2.10 of the reference.
const MAX_RESERVE: u64 = 20_000;

/// How many of the newest tokens are kept by default, by `runtime.md` §2.10 of the reference.
pub const KEEP_RECENT: u64 = 20_000;

/// How many of the newest turns are kept by default, by `runtime.md` §2.10 of the reference.
pub const KEEP_TURNS: usize = 3;

/// How large a history may become, and how much of it is kept as it is.
///
/// The fields are public: any value is legal. [`CompactLimits::new`] has the defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CompactLimits {
    /// The tokens of the newest turns that are kept if they fit into half of the budget.
    pub keep_recent: u64,
    /// The newest turns that are kept if they fit into half of the budget. The newest one always is.
    pub keep_turns: usize,
    /// The most bytes of a transcript, which are its characters where the text is English.
    pub max_transcript: usize,
    /// The tokens of the model's context window.
    pub window: u64,
}

impl CompactLimits {
    /// Returns the defaults for a model with a window of so many tokens.
    ///
    /// A transcript and [`SUMMARY_PROMPT`] have as many bytes as a history may have, so that the same
    /// model can summarize it.
    pub fn new(window: u64) -> Self {
        let mut limits =
            Self { keep_recent: KEEP_RECENT, keep_turns: KEEP_TURNS, max_transcript: 0, window };
        let tokens = usize::try_from(limits.budget(0)).unwrap_or(usize::MAX);
        limits.max_transcript =
            tokens.saturating_mul(BYTES_PER_TOKEN).saturating_sub(SUMMARY_PROMPT.len());
        limits
    }

    /// Returns the tokens of the window that are kept free for the answer, and for what the estimate
    /// is wrong by: a quarter, at most 20 000.
    pub fn reserve(&self) -> u64 {
        MAX_RESERVE.min(self.window / 4)
    }

    /// Returns the most tokens of a history, beside so many of the system prompt and the tools.
    pub fn budget(&self, overhead: u64) -> u64 {
        self.window.saturating_sub(self.reserve()).saturating_sub(overhead)
    }

    fn is_due(&self, tokens: u64, overhead: u64) -> bool {
        tokens.saturating_add(overhead) > self.window.saturating_sub(self.reserve())
    }
}

/// Why a conversation may be compacted now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CompactTrigger {
    /// Somebody asked for it: also when it is not due.
    Asked,
    /// The provider refused the history as too large, whatever the estimate says: so the budget is
    /// no more than what the history has, and at most half of that is kept.
    Overflow,
    /// The history may have grown beyond its budget: only if it has.
    Threshold,
}

/// What a summary is to stand for, and what the summarizing model is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a plan that nobody carries out compacts nothing"]
pub struct CompactPlan {
    /// The number of the first entry that is kept: the question of a run, and not the oldest one.
    pub first_kept: u64,
    /// The most tokens that the summary may have, see [`accept_summary`].
    pub max_summary: u64,
    /// The tokens of the history before, an earlier summary included and the overhead not.
    pub tokens_before: u64,
    /// Those of them that the summary is to replace, an earlier summary included.
    pub tokens_folded: u64,
    /// What is folded, as the summarizing model is shown it: data that others wrote.
    pub transcript: String,
}

impl CompactPlan {
    /// Returns [`SUMMARY_PROMPT`] with how long this summary may be.
    pub fn prompt(&self) -> String {
        // A word of English has some six bytes with the space, one and a half tokens by the
        // estimate. Models do not count well, so they are told a little less.
        let words = self.max_summary / 2;
        format!("{SUMMARY_PROMPT}\nWrite at most {words} words.")
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompactError {
    /// The history is within its budget.
    #[error("compaction is not due")]
    NotDue,
    /// Somebody asked, and nothing that is worth a summary is older than what is kept anyway.
    #[error("nothing to compact")]
    NothingToFold,
    /// The history is too large, and no summary makes it fit: the newest run alone, the system prompt
    /// and the tools fill the window.
    #[error("the newest run alone is too large for the model's context window")]
    Uncompactable,
}

/// Decides whether a conversation is compacted, and where it is cut.
///
/// The entries are the session's journal, or its part from the [`Record::Summary::first_kept`] of the
/// newest summary on, each with its number and in their order. The newest summary among them counts,
/// wherever it stands; what is before its first kept entry, and older summaries, do not.
///
/// `overhead` is how many tokens the system prompt and the tools have. With `budget` for
/// [`CompactLimits::budget`]:
///
/// - Compaction is due when history and overhead have more tokens than the window without its reserve.
/// - The cut is at the question of a run, so that no call is parted from its results.
/// - The newest turn is kept; and older ones, while there are fewer than `keep_turns`, or while they
///   have less than `keep_recent` tokens, as long as all have at most half of the budget. Of a history
///   that is too large the oldest turn is not kept, even if it is one of these.
/// - At least one turn is folded, and so much of it that a summary can be shorter.
/// - With the longest summary that [`accept_summary`] takes the history is within its budget, and has
///   fewer tokens than before.
///
/// # Errors
/// When compaction is not due and nobody asked, and when there is no such cut. The latter is final
/// until something is said or the limits change.
pub fn plan_compaction(
    entries: &[(u64, &Record)],
    limits: &CompactLimits,
    overhead: u64,
    trigger: CompactTrigger,
) -> Result<CompactPlan, CompactError> {
    let history = History::of(entries);
    let is_due = limits.is_due(history.tokens, overhead);
    let budget = limits.budget(overhead);
    let (budget, must_fold) = match trigger {
        CompactTrigger::Asked => (budget, is_due),
        CompactTrigger::Overflow => (budget.min(history.tokens), true),
        CompactTrigger::Threshold if is_due => (budget, true),
        CompactTrigger::Threshold => return Err(CompactError::NotDue),
    };
    let otherwise =
        if must_fold { CompactError::Uncompactable } else { CompactError::NothingToFold };
    // A cut at the oldest turn would fold none.
    let (_oldest, newer) = history.turns.split_last().ok_or(otherwise)?;
    let kept = turns_kept(&history.turns, limits, budget / 2);
    let turn = newer.get(kept.saturating_sub(1));
    let turn = turn.or_else(|| newer.last().filter(|_| must_fold)).ok_or(otherwise)?;
    let tokens_folded = history.tokens.saturating_sub(turn.tokens_from);
    let room = budget.saturating_sub(turn.tokens_from);
    let max_summary = summary::most_tokens(tokens_folded, room).ok_or(otherwise)?;
    let folded = history.records.get(..turn.at).unwrap_or_default();
    Ok(CompactPlan {
        first_kept: turn.entry,
        max_summary,
        tokens_before: history.tokens,
        tokens_folded,
        transcript: transcript::transcript(history.earlier, folded, limits.max_transcript),
    })
}

/// Returns how many of the newest turns are kept, at least one if there is any.
fn turns_kept(turns: &[Turn], limits: &CompactLimits, half: u64) -> usize {
    let recent = limits.keep_recent.min(half);
    let mut kept = 0;
    let mut tokens = 0;
    for turn in turns {
        let is_wanted = kept < limits.keep_turns || tokens < recent;
        if kept > 0 && (!is_wanted || turn.tokens_from > half) {
            break;
        }
        kept = kept.saturating_add(1);
        tokens = turn.tokens_from;
    }
    kept
}
