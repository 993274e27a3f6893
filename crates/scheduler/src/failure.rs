//! What a run that failed means for the job: when it is tried again, and when it is given up.

use std::fmt;
use std::time::Duration;

use openclaw_scopes::Timestamp;

use crate::Schedule;

/// How long a job waits after so many failures in a row; after more, the last of them (`runtime.md` §4.4
/// of the reference).
pub const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    LONGEST,
];

/// The last step of the ladder.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How many failures in a row disable a recurring job (`runtime.md` §4.4 of the reference).
pub const MAX_FAILURES: u32 = 10;

/// How many times a job that is due once is tried again (`runtime.md` §4.4 of the reference).
pub const MAX_RETRIES: u32 = 3;

/// From how many failures in a row on the owner is told (`runtime.md` §4.4 of the reference).
pub const ALERT_AFTER: u32 = 2;

/// How long it stays quiet about a job after the owner was told (`runtime.md` §4.4 of the reference).
pub const ALERT_COOL_DOWN: Duration = Duration::from_secs(60 * 60);

/// Whether another try could help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It would fail again.
    Permanent,
    /// The world was in the way: a limit, an overload, the network, a server's error.
    Transient,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum After {
    /// The job is not due any more until somebody enables it.
    Disable(DisableReason),
    /// The same instant is tried again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// The schedule goes on, and its instants are skipped for a while.
    Wait {
        /// The first instant that is not skipped.
        not_before: Timestamp,
    },
}

/// Why a job is not due any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DisableReason {
    /// It failed [`MAX_FAILURES`] times in a row.
    ConsecutiveFailures,
    /// Whoever made it may not do so any more.
    CreatorRevoked,
    /// It was due for the last time.
    Finished,
    /// It was due once, and failed for good.
    OneShotFailed,
    /// Its next instant cannot be found, or it cannot be read any more.
    ScheduleErrors,
}

impl DisableReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::ConsecutiveFailures,
        Self::CreatorRevoked,
        Self::Finished,
        Self::OneShotFailed,
        Self::ScheduleErrors,
    ];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive-failures",
            Self::CreatorRevoked => "creator-revoked",
            Self::Finished => "finished",
            Self::OneShotFailed => "one-shot-failed",
            Self::ScheduleErrors => "schedule-errors",
        }
    }

    /// Returns the reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for DisableReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Returns how long a job waits after so many failures in a row; not at all after none.
pub fn back_off(consecutive: u32) -> Duration {
    let Some(step) = consecutive.checked_sub(1) else {
        return Duration::ZERO;
    };
    let step = usize::try_from(step).ok().and_then(|step| BACK_OFF.get(step));
    step.copied().unwrap_or(LONGEST)
}

/// Decides what follows from a failure; `consecutive` counts this one too.
///
/// A job that is due once is tried again if that can help, [`MAX_RETRIES`] times. A recurring job has its
/// next instant anyway: it waits, whatever kind of failure it was.
pub fn after_failure(
    schedule: &Schedule,
    failure: Failure,
    consecutive: u32,
    now: Timestamp,
) -> After {
    let later = now.saturating_add(back_off(consecutive));
    match (schedule.is_recurring(), failure) {
        (true, _) if consecutive >= MAX_FAILURES => {
            After::Disable(DisableReason::ConsecutiveFailures)
        }
        (true, _) => After::Wait { not_before: later },
        (false, Failure::Transient) if consecutive <= MAX_RETRIES => After::Retry { at: later },
        (false, Failure::Permanent | Failure::Transient) => {
            After::Disable(DisableReason::OneShotFailed)
        }
    }
}

/// Whether the owner is told of a job's failures now.
///
/// A last time that lies ahead by more than the cool-down is one of a clock that was wrong, and silences
/// nothing.
#[must_use]
pub fn should_alert(consecutive: u32, last_alert: Option<Timestamp>, now: Timestamp) -> bool {
    let is_quiet = last_alert
        .is_some_and(|last| now.since(last) < ALERT_COOL_DOWN && last.since(now) < ALERT_COOL_DOWN);
    consecutive >= ALERT_AFTER && !is_quiet
}

#[cfg(test)]
mod tests;
