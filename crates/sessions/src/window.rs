//! The newest part of a history, as much of it as a model shall be shown.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::Message;

/// How many messages a model is shown by default.
///
/// Beyond it the cost of every turn grows, and the first messages are seldom of use anymore.
pub const MAX_MESSAGES: usize = 200;

/// How many bytes of text a model is shown by default.
///
/// Some 100 000 tokens: half of the context that common models have, the rest is for the prompt,
/// the tools and the answer.
pub const MAX_BYTES: usize = 400_000;

/// How many bytes of text are taken for one token, see [`estimate_tokens`].
pub(crate) const BYTES_PER_TOKEN: usize = 4;

/// Returns how many tokens so many bytes of text are, roughly: a quarter of them, rounded up.
///
/// The rule of thumb that providers give for English. Other scripts have up to twice as many tokens,
/// which is one reason for the reserve of [`crate::CompactLimits`].
pub fn estimate_tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// How much of a history a model is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WindowLimits {
    /// The most bytes of text, see [`Message::bytes`].
    pub max_bytes: usize,
    /// The most messages.
    pub max_messages: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self { max_bytes: MAX_BYTES, max_messages: MAX_MESSAGES }
    }
}

/// Returns the newest part of a history that fits the limits.
///
/// It begins with a user message, and no call is parted from its results: whole runs are left out,
/// the oldest first. Where the newest run alone does not fit, its question and its newest steps
/// are kept, and the steps between left out. The question and the newest step are kept in any
/// case: without them there is nothing to go on with.
pub fn window(messages: &[Arc<Message>], limits: &WindowLimits) -> Vec<Arc<Message>> {
    let runs = messages.get(start(messages, limits)..).unwrap_or_default();
    if Cost::of(runs).fits(limits) {
        return runs.to_vec();
    }
    let Some((question, steps)) = runs.split_first() else { return Vec::new() };
    let mut cost = Cost::of(std::slice::from_ref(question));
    let mut kept = steps.len();
    for (at, message) in steps.iter().enumerate().rev() {
        cost = cost.plus(message);
        if begins_step(message) {
            if kept < steps.len() && !cost.fits(limits) {
                break;
            }
            kept = at;
        }
    }
    std::iter::once(question).chain(steps.iter().skip(kept)).cloned().collect()
}

/// Returns where the longest part begins that starts with a question and fits the limits; where
/// the newest question is if none fits.
pub(crate) fn start(messages: &[Arc<Message>], limits: &WindowLimits) -> usize {
    let mut cost = Cost::default();
    let mut start = None;
    for (at, message) in messages.iter().enumerate().rev() {
        cost = cost.plus(message);
        if start.is_some() && !cost.fits(limits) {
            break;
        }
        if message.is_user() {
            start = Some(at);
        }
    }
    start.unwrap_or(messages.len())
}

fn begins_step(message: &Message) -> bool {
    match message {
        Message::Assistant { .. } | Message::User { .. } => true,
        Message::Tool { .. } => false,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    bytes: usize,
    messages: usize,
}

impl Cost {
    fn of(messages: &[Arc<Message>]) -> Self {
        messages.iter().fold(Self::default(), |cost, message| cost.plus(message))
    }

    fn plus(self, message: &Message) -> Self {
        Self {
            bytes: self.bytes.saturating_add(message.bytes()),
            messages: self.messages.saturating_add(1),
        }
    }

    fn fits(self, limits: &WindowLimits) -> bool {
        self.bytes <= limits.max_bytes && self.messages <= limits.max_messages
    }
}
