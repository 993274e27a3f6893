//! All that says when a job is due: its schedule, moved by its stagger, within its hours.

use std::fmt;
use std::time::Duration;

use openclaw_scopes::Timestamp;

use crate::error::shown;
use crate::{ActiveHours, Schedule, ScheduleError, hash};

/// How far jobs at the top of the hour are moved apart if nobody said otherwise (`runtime.md` §4.1 of the
/// reference).
pub const TOP_OF_HOUR: Duration = Duration::from_secs(5 * 60);

/// How many missed instants can be caught up at most.
pub const MAX_CATCH_UP: u32 = 100;

/// How many openings of the active hours are looked at for an instant of the schedule: for one that is
/// due once a day, more than ten years.
pub const MAX_OPENINGS: u32 = 4000;

/// All that says when a job is due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// The instants that its author named.
    pub schedule: Schedule,
    /// How far each of them is moved, see [`stagger()`].
    pub stagger: Duration,
    /// The hours outside of which it is not due, even though its schedule says so; all if absent. What
    /// counts is the instant that was moved.
    pub active: Option<ActiveHours>,
    /// What becomes of instants at which the gateway was not there.
    pub catch_up: CatchUp,
}

impl Rules {
    /// Returns the first instant strictly after another at which the job is due; none if it never is.
    ///
    /// # Errors
    /// When the schedule has none in the active hours, or its next instant could not be found.
    pub fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        let mut after = after;
        for _ in 0..MAX_OPENINGS {
            let Some(due) = self.next_moved(after)? else {
                return Ok(None);
            };
            let Some(active) = &self.active else {
                return Ok(Some(due));
            };
            let opening = active.next_active(due);
            if opening == due {
                return Ok(Some(due));
            }
            // The opening itself is a candidate.
            after = opening.saturating_sub(Duration::from_millis(1));
        }
        let hours = self.active.as_ref().map_or_else(String::new, ToString::to_string);
        Err(ScheduleError::NeverActive { hours })
    }

    /// Returns the next instant of the schedule, moved.
    fn next_moved(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        let next = self.schedule.next_after(after.saturating_sub(self.stagger))?;
        Ok(next.map(|next| next.saturating_add(self.stagger)).filter(|next| *next > after))
    }
}

/// What becomes of the instants at which the gateway was not there to run a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CatchUp {
    /// So many of the newest are run, at most [`MAX_CATCH_UP`].
    All(u32),
    /// The newest is run, unless another is due now.
    #[default]
    Last,
    /// None is run.
    None,
}

impl CatchUp {
    /// Reads `none`, `last` or `all:N`.
    ///
    /// # Errors
    /// When it is something else, or N is not from 1 to [`MAX_CATCH_UP`].
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let wrong = || ScheduleError::CatchUp { text: shown(text) };
        match text {
            "none" => Ok(Self::None),
            "last" => Ok(Self::Last),
            _ => {
                let count = text.strip_prefix("all:").filter(|it| !it.starts_with(['+', '0']));
                let count = count.and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
                if count > MAX_CATCH_UP { Err(wrong()) } else { Ok(Self::All(count)) }
            }
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(count) => write!(formatter, "all:{count}"),
            Self::Last => formatter.write_str("last"),
            Self::None => formatter.write_str("none"),
        }
    }
}

/// Returns how far a job's instants are moved, so that not all jobs begin at the top of the hour: always
/// the same for a job, in whole seconds, less than the window.
pub fn stagger(job: &str, window: Duration) -> Duration {
    Duration::from_secs(hash::stable(job).checked_rem(window.as_secs()).unwrap_or(0))
}

/// Returns the window for [`stagger()`] if nobody named one: [`TOP_OF_HOUR`] for a cron expression whose
/// minute is `0` and whose hour has a `*`, otherwise none.
pub fn default_stagger(schedule: &Schedule) -> Duration {
    match schedule {
        Schedule::Cron(cron) if cron.is_top_of_hour() => TOP_OF_HOUR,
        Schedule::At(_) | Schedule::Cron(_) | Schedule::Every { .. } => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
