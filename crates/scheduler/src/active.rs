//! The hours of the day in which a job is due at all.

use std::fmt;

use jiff::civil;
use openclaw_scopes::Timestamp;

use crate::error::shown;
use crate::zone::{second, timestamp};
use crate::{ScheduleError, Zone};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// How many changes of clocks are looked beyond for the next opening. One is skipped only if it falls
/// into a gap, and no zone has a gap in every stretch.
const MAX_CHANGES: usize = 64;

/// Hours of the day on the clocks of a zone: from a start, which is within, to an end, which is not.
///
/// If the end is before the start, they pass midnight. What counts is what the clocks show, in an hour
/// that comes twice both times.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActiveHours {
    /// Minutes after midnight.
    start: u16,
    /// Minutes after midnight, up to and including the next one.
    end: u16,
    zone: Zone,
}

impl ActiveHours {
    /// Reads two times of day, such as `09:00` and `17:30`; the end may be `24:00`.
    ///
    /// # Errors
    /// When one is no time of day, or both are the same.
    pub fn parse(start: &str, end: &str, zone: Zone) -> Result<Self, ScheduleError> {
        let wrong = |text: &str| ScheduleError::TimeOfDay { text: shown(text) };
        let from = minute(start).filter(|minute| *minute < DAY).ok_or_else(|| wrong(start))?;
        let to = minute(end).ok_or_else(|| wrong(end))?;
        if from == to {
            return Err(ScheduleError::EmptyHours { time: text(from) });
        }
        Ok(Self { start: from, end: to, zone })
    }

    /// Returns the time of day at which they start: `09:00`.
    pub fn start(&self) -> String {
        text(self.start)
    }

    /// Returns the time of day at which they have ended: `17:30`.
    pub fn end(&self) -> String {
        text(self.end)
    }

    /// Returns the zone whose clocks count.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether an instant is within them. None after the year 4999 is.
    pub fn is_active(&self, at: Timestamp) -> bool {
        second(at).is_some_and(|second| self.contains(self.zone.civil(second).time()))
    }

    /// Returns the first instant within them from another on: that one itself if it is; the end of time
    /// if there is none.
    pub fn next_active(&self, at: Timestamp) -> Timestamp {
        if self.is_active(at) {
            return at;
        }
        self.opening(at).unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    /// Looks for an instant in each stretch of time in which the clocks are not changed.
    fn opening(&self, at: Timestamp) -> Option<Timestamp> {
        let mut stretch = self.zone.stretch(second(at)?);
        for _ in 0..MAX_CHANGES {
            let civil = stretch.civil();
            if self.contains(civil.time()) {
                // The clocks were set into the hours.
                return Some(timestamp(stretch.start));
            }
            if let Some(opening) = stretch.find(self.start_after(civil)?) {
                return Some(timestamp(opening));
            }
            stretch = self.zone.stretch(stretch.end?);
        }
        None
    }

    /// Returns the next start after a civil time.
    fn start_after(&self, civil: civil::DateTime) -> Option<civil::DateTime> {
        let (hour, minute) =
            (i8::try_from(self.start / 60).ok()?, i8::try_from(self.start % 60).ok()?);
        let today = civil.date().at(hour, minute, 0, 0);
        if today > civil {
            Some(today)
        } else {
            Some(today.date().tomorrow().ok()?.at(hour, minute, 0, 0))
        }
    }

    fn contains(&self, time: civil::Time) -> bool {
        let minute =
            u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

impl fmt::Display for ActiveHours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{} {}", self.start(), self.end(), self.zone)
    }
}

/// Reads hours and minutes, of two digits each, as minutes after midnight.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|it| it.is_ascii_digit());
        if is_number { digits.parse::<u16>().ok() } else { None }
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY).then_some(total)
}

/// Returns minutes after midnight as hours and minutes.
fn text(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests;
