//! What platforms take of polls.

use std::time::Duration;

use openclaw_config::Platform;
use openclaw_sessions::{Ballot, PollLimits};

const TELEGRAM: PollLimits = PollLimits {
    platform: "Telegram",
    question: 300,
    options: 12,
    option: 100,
    // Reason: `runtime.md` §7.1 of the reference. Telegram itself takes a month.
    open: (Duration::from_secs(5), Duration::from_hours(7 * 24)),
    unit: Duration::from_secs(1),
    open_words: "5 seconds to 7 days",
    ballots: (Ballot::Anonymous, Some(Ballot::Public)),
};

const DISCORD: PollLimits = PollLimits {
    platform: "Discord",
    question: 300,
    options: 10,
    option: 55,
    open: (HOUR, Duration::from_hours(32 * 24)),
    unit: HOUR,
    open_words: "1 hour to 32 days, in whole hours",
    ballots: (Ballot::Public, None),
};

/// What Discord counts the time in for which a poll is open.
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// Returns what a platform takes of polls.
pub const fn poll_limits(platform: Platform) -> &'static PollLimits {
    match platform {
        Platform::Discord => &DISCORD,
        Platform::Telegram => &TELEGRAM,
    }
}
