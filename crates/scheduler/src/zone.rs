//! Time zones: what the clocks of a place show at an instant, and when they show it.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use openclaw_scopes::Timestamp;

use crate::ScheduleError;
use crate::error::shown;

/// The resolution of civil time here.
// INVARIANT: what is calculated with lies between the years 1 and 5000, millennia away from the ends of
// the calendar, so that a second more or less does not overflow.
pub(crate) const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The first second that is calculated with, 0001-01-03 00:00:00 UTC: two days after the first year's
/// beginning, so that no zone's clocks show an earlier year.
const FIRST_SECOND: i64 = -62_135_424_000;

/// The second after the last that is calculated with, 5000-01-01 00:00:00 UTC.
const END_SECOND: i64 = 95_617_584_000;

/// How many changes of clocks are looked through for the one that began a second pass. Those that are
/// no change of the offset are listed too, but never more than a few so close together.
const MAX_CHANGES: usize = 8;

/// Returns the whole second that an instant lies in, at the earliest the first that is calculated with;
/// none after the last.
pub(crate) fn second(at: Timestamp) -> Option<jiff::Timestamp> {
    let second = at.as_millis().div_euclid(1000).max(FIRST_SECOND);
    if second >= END_SECOND {
        return None;
    }
    jiff::Timestamp::from_second(second).ok()
}

/// Returns an instant as the rest of the program knows it.
pub(crate) fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

/// The IANA time zone of a schedule, by a name that the bundled data know.
#[derive(Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated Universal Time, whose clocks never change.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Returns the zone of this IANA name, whichever way its letters are cased.
    ///
    /// # Errors
    /// When the bundled data know no such zone.
    pub fn parse(name: &str) -> Result<Self, ScheduleError> {
        // A zone whose clocks nobody knows would be read as UTC, and runs would come hours late.
        let known = |zone: &TimeZone| zone.iana_name().is_some() && !zone.is_unknown();
        match TimeZoneDatabase::bundled().get(name) {
            Ok(zone) if known(&zone) => Ok(Self(zone)),
            // All that can be wrong is that the name is not there.
            Ok(_) | Err(_) => Err(ScheduleError::Zone { name: shown(name) }),
        }
    }

    /// Returns its name, spelled as IANA spells it.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns what its clocks show, for people: `2026-03-29 03:00:00 +02:00[Europe/Berlin]`.
    ///
    /// An instant outside the years -9999 to 9999 is returned as its number of milliseconds.
    pub fn local(&self, at: Timestamp) -> String {
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.as_millis()) else {
            return at.to_string();
        };
        instant.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %:z[%Q]").to_string()
    }

    /// Returns what its clocks show at an instant.
    pub(crate) fn civil(&self, at: jiff::Timestamp) -> civil::DateTime {
        self.0.to_datetime(at)
    }

    /// Returns the time from an instant on in which the clocks are not changed.
    pub(crate) fn stretch(&self, start: jiff::Timestamp) -> Stretch {
        let offset = self.0.to_offset(start);
        // The data also list changes of the clocks' name alone.
        let change = self.0.following(start).find(|change| change.offset() != offset);
        Stretch { start, offset, end: change.map(|change| change.timestamp()) }
    }

    /// Returns the first civil time after an instant that the clocks have not shown by then.
    pub(crate) fn unseen(&self, at: jiff::Timestamp) -> Option<civil::DateTime> {
        let civil = self.civil(at);
        let next = civil.checked_add(SECOND).ok();
        let AmbiguousOffset::Fold { before, after } = self.0.to_ambiguous_timestamp(civil).offset()
        else {
            return next;
        };
        if self.0.to_offset(at) != after {
            return next;
        }
        // The clocks show this for the second time. What they had reached is what the offset of the
        // first pass makes of the instant at which they were set back.
        let set_back = self
            .0
            .preceding(at + SECOND)
            .take(MAX_CHANGES)
            .find(|change| self.0.to_offset(change.timestamp() - SECOND) == before);
        set_back.map_or(next, |change| Some(before.to_datetime(change.timestamp())))
    }

    /// Returns what becomes of a civil time; none if it is outside the calendar.
    pub(crate) fn find(&self, civil: civil::DateTime) -> Option<Shown> {
        Some(match self.0.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset: first }
            | AmbiguousOffset::Fold { before: first, .. } => {
                Shown::First(first.to_timestamp(civil).ok()?)
            }
            AmbiguousOffset::Gap { before, after } => {
                // With the offset that follows, a skipped time reads as an instant before the change.
                let earlier = after.to_timestamp(civil).ok()?;
                let mut changes = self.0.following(earlier);
                let change = changes.find(|change| change.offset() == after)?.timestamp();
                Shown::Never {
                    change,
                    from: before.to_datetime(change),
                    until: after.to_datetime(change),
                }
            }
        })
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Zone").field(&self.name()).finish()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Eq for Zone {}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// A time in which the clocks of a zone are not changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Its first instant.
    pub(crate) start: jiff::Timestamp,
    /// How far the clocks are from UTC.
    pub(crate) offset: Offset,
    /// The instant at which they are changed; never if absent.
    pub(crate) end: Option<jiff::Timestamp>,
}

impl Stretch {
    /// Returns what the clocks show at its first instant.
    pub(crate) fn civil(&self) -> civil::DateTime {
        self.offset.to_datetime(self.start)
    }

    /// Returns when the clocks show a civil time in this stretch, which is not before its beginning.
    pub(crate) fn find(&self, civil: civil::DateTime) -> Option<jiff::Timestamp> {
        let at = self.offset.to_timestamp(civil).ok()?;
        self.end.is_none_or(|end| at < end).then_some(at)
    }
}

/// What becomes of a civil time in a zone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// The clocks show it, at this instant for the first time.
    First(jiff::Timestamp),
    /// The clocks are set past it.
    Never {
        /// When they are set.
        change: jiff::Timestamp,
        /// The first civil time that is skipped.
        from: civil::DateTime,
        /// The first that is not skipped any more.
        until: civil::DateTime,
    },
}
