//! Schedules: the instants at which a job is due before anything else is asked.

mod cron;

use std::time::Duration;

use openclaw_scopes::Timestamp;

use crate::{ScheduleError, Zone};

pub use cron::{CronSchedule, DST_POLICY, LAST_YEAR, MAX_EXPRESSION};

/// The shortest interval: a schedule has whole seconds.
pub const MIN_EVERY: Duration = Duration::from_secs(1);

/// The longest interval, ten years of 365 days: what is rarer is a date.
pub const MAX_EVERY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The instants at which a job is due. All are whole seconds if the schedule came from a constructor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Schedule {
    /// Once.
    At(Timestamp),
    /// At every time that matches a cron expression.
    Cron(CronSchedule),
    /// At the anchor and every so often after it, whatever runs in between.
    Every {
        /// How often.
        every: Duration,
        /// The first instant.
        anchor: Timestamp,
    },
}

impl Schedule {
    /// A schedule that is due once, in the first whole second that is not before `at`.
    pub fn at(at: Timestamp) -> Self {
        let second = whole_second(at);
        let rest = at.since(second);
        Self::At(if rest.is_zero() { at } else { second.saturating_add(MIN_EVERY) })
    }

    /// A schedule that is due at every time that matches a cron expression on the clocks of a zone.
    ///
    /// # Errors
    /// When the expression cannot be read, or names no time that exists.
    pub fn cron(expression: &str, zone: Zone) -> Result<Self, ScheduleError> {
        CronSchedule::parse(expression, zone).map(Self::Cron)
    }

    /// A schedule that is due in the whole second of `anchor` and every so often after it.
    ///
    /// # Errors
    /// When the interval is shorter than [`MIN_EVERY`], longer than [`MAX_EVERY`], or not in whole
    /// seconds.
    pub fn every(every: Duration, anchor: Timestamp) -> Result<Self, ScheduleError> {
        if !(MIN_EVERY..=MAX_EVERY).contains(&every) || every.subsec_nanos() != 0 {
            return Err(ScheduleError::Interval { every });
        }
        Ok(Self::Every { every, anchor: whole_second(anchor) })
    }

    /// Returns the stable name of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::At(_) => "at",
            Self::Cron(_) => "cron",
            Self::Every { .. } => "every",
        }
    }

    /// Whether it is due more than once.
    pub const fn is_recurring(&self) -> bool {
        match self {
            Self::At(_) => false,
            Self::Cron(_) | Self::Every { .. } => true,
        }
    }

    /// Returns its first instant strictly after another; none if it is never due again.
    ///
    /// # Errors
    /// When the schedule was put together by hand with an interval that is not possible, or the instant
    /// could not be found.
    pub fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        match self {
            Self::At(at) => Ok(Some(*at).filter(|at| *at > after)),
            Self::Cron(cron) => cron.next_after(after),
            Self::Every { every, anchor } => next_on_grid(*every, *anchor, after),
        }
    }
}

/// Returns the first instant of a grid after another; none past the end of time.
fn next_on_grid(
    every: Duration,
    anchor: Timestamp,
    after: Timestamp,
) -> Result<Option<Timestamp>, ScheduleError> {
    if after < anchor {
        return Ok(Some(anchor));
    }
    let step = i64::try_from(every.as_millis()).ok().filter(|step| *step > 0);
    let step = step.ok_or(ScheduleError::Interval { every })?;
    let next = || {
        let elapsed = after.as_millis().checked_sub(anchor.as_millis())?;
        let steps = elapsed.checked_div(step)?.checked_add(1)?;
        anchor.as_millis().checked_add(steps.checked_mul(step)?)
    };
    Ok(next().map(Timestamp::from_millis))
}

/// Returns the beginning of the second that an instant lies in.
fn whole_second(at: Timestamp) -> Timestamp {
    at.saturating_sub(Duration::from_millis(at.as_millis().rem_euclid(1000).unsigned_abs()))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod zone_tests;
