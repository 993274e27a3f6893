//! What is wrong with a schedule, said so that its author can put it right.

use std::time::Duration;

use crate::{MAX_CATCH_UP, MAX_EXPRESSION, MAX_OPENINGS};

/// How many characters of a bad input an error shows.
const MAX_SHOWN: usize = 64;

/// The reason a schedule, or a rule that goes with it, does not stand.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// The catch-up policy is none that exists.
    #[error(
        "`{text}` is not a catch-up policy: use `none`, `last` or `all:N` with N from 1 to {MAX_CATCH_UP}"
    )]
    CatchUp {
        /// What was given.
        text: String,
    },
    /// The active hours have no length.
    #[error(
        "active hours from `{time}` to `{time}` are empty: for the whole day use `00:00` to `24:00`"
    )]
    EmptyHours {
        /// Their start and their end.
        time: String,
    },
    /// The cron expression cannot be read.
    #[error(
        "`{expression}` is not a cron expression ({reason}): write five fields, as in `30 9 * * 1-5`, or six \
         with seconds first"
    )]
    Expression {
        /// What was given.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cron expression is longer than any that makes sense.
    #[error(
        "a cron expression has at most {MAX_EXPRESSION} bytes, this one has {length}: split it into several jobs"
    )]
    ExpressionLength {
        /// How many bytes it has.
        length: usize,
    },
    /// The interval is too short, too long or not in whole seconds.
    #[error(
        "an interval of {every:?} is not possible: use whole seconds, from 1 second to 3650 days"
    )]
    Interval {
        /// What was given.
        every: Duration,
    },
    /// None of the schedule's instants falls into the active hours.
    #[error(
        "no instant of the schedule falls into the active hours `{hours}`, though they opened {MAX_OPENINGS} \
         times: change the schedule or the hours"
    )]
    NeverActive {
        /// The hours.
        hours: String,
    },
    /// The cron expression names no time that exists.
    #[error("`{expression}` is never due: no year has such a day, change the day or the month")]
    NeverDue {
        /// What was given.
        expression: String,
    },
    /// The next instant could not be found, which is a fault of the program.
    #[error(
        "the next instant of `{expression}` could not be found ({reason}): set another schedule"
    )]
    Search {
        /// The expression.
        expression: String,
        /// What went wrong.
        reason: String,
    },
    /// A time of day cannot be read.
    #[error(
        "`{text}` is not a time of day: use hours and minutes, from `00:00` to `23:59`, or `24:00` as an end"
    )]
    TimeOfDay {
        /// What was given.
        text: String,
    },
    /// The time zone is none that is known.
    #[error(
        "`{name}` is not a known time zone: use an IANA name such as `Europe/Berlin`, or `UTC`"
    )]
    Zone {
        /// What was given.
        name: String,
    },
}

/// Returns the beginning of an input, in one line, for an error to show.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
