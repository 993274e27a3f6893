//! Cron expressions: a calendar of civil times, and our own rule for what the clocks make of them.

use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil;
use openclaw_scopes::Timestamp;

use crate::error::shown;
use crate::zone::{SECOND, Shown, second, timestamp};
use crate::{ScheduleError, Zone};

/// How many bytes a cron expression may have: several times what sets of every minute would take.
pub const MAX_EXPRESSION: usize = 256;

/// The last year in which a cron expression is due: the calendar behind it ends with it.
pub const LAST_YEAR: i16 = 4999;

/// What happens to cron jobs when the clocks are changed, to be shown with each of them.
pub const DST_POLICY: &str = "when the clocks change, a job at fixed hours runs once: at the change if \
     its time is skipped (not at all if the whole day is), the first time if its time comes twice; a job \
     whose hour is `*` follows the clock, in both passes of an hour that comes twice and in none that is \
     skipped";

/// The names that stand for an expression.
const NAMES: [&str; 6] = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];

/// How many civil times are tried before a search ends: more days in a row than any zone has skipped,
/// and more changes of clocks than lie between two leap days on one weekday (40 years).
const MAX_TRIES: usize = 256;

/// The year from which every kind of year is looked at once, and how many years that takes: the weekdays
/// of the calendar repeat after 28 years.
const EVERY_KIND_OF_YEAR: std::ops::Range<i16> = 2000..2028;

/// A cron expression on the clocks of a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CronSchedule {
    /// The calendar; shared, because it is some kilobytes.
    calendar: Arc<Cron>,
    expression: String,
    hours: Hours,
    zone: Zone,
}

/// How the hour field is meant, which decides what a change of clocks does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hours {
    /// These hours of a day: each once a day.
    Fixed,
    /// As the clock goes.
    Wildcard,
}

impl CronSchedule {
    /// Reads an expression: minute, hour, day of month, month and day of week, with seconds before them
    /// if there are six fields, or a name such as `@daily`.
    ///
    /// If both day fields are set, a day that matches either is meant, and with `+` before the second one
    /// only a day that matches both.
    pub(crate) fn parse(text: &str, zone: Zone) -> Result<Self, ScheduleError> {
        if text.len() > MAX_EXPRESSION {
            return Err(ScheduleError::ExpressionLength { length: text.len() });
        }
        let expression = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wrong =
            |reason: String| ScheduleError::Expression { expression: shown(&expression), reason };
        if !expression.is_ascii() || expression.chars().any(|it| it.is_ascii_control()) {
            return Err(wrong("it has characters that no expression has".to_owned()));
        }
        let count = text.split_whitespace().count();
        if expression.starts_with('@') {
            if !NAMES.iter().any(|name| name.eq_ignore_ascii_case(&expression)) {
                return Err(wrong(format!("the names are {}", NAMES.join(", "))));
            }
        } else if !(5..=6).contains(&count) {
            return Err(wrong(format!("it has {count} fields, not 5 or 6")));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let calendar = parser.parse(&expression).map_err(|error| wrong(reason(&error)))?;
        if has_empty_field(&calendar) {
            return Err(wrong("a field names nothing".to_owned()));
        }
        let fields = Fields::of(&calendar);
        let hours = if fields.hour.starts_with('*') { Hours::Wildcard } else { Hours::Fixed };
        if !is_possible(&calendar) {
            return Err(ScheduleError::NeverDue { expression: shown(&expression) });
        }
        Ok(Self { calendar: Arc::new(calendar), expression, hours, zone })
    }

    /// Returns the expression as it was written, with single spaces.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Returns the zone whose clocks it is read on.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is due at the top of many hours, as most jobs are whose author had no minute in mind.
    pub(crate) fn is_top_of_hour(&self) -> bool {
        let fields = Fields::of(&self.calendar);
        fields.minute == "0" && fields.hour.contains('*')
    }

    /// Returns its first instant strictly after another; none after [`LAST_YEAR`].
    pub(crate) fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        let Some(after) = second(after) else {
            return Ok(None);
        };
        let next = match self.hours {
            Hours::Fixed => self.next_fixed(after),
            Hours::Wildcard => self.next_wildcard(after),
        };
        Ok(next?.map(timestamp))
    }

    /// Looks for a civil time, and then for the instant that stands for it.
    fn next_fixed(&self, after: jiff::Timestamp) -> Result<Option<jiff::Timestamp>, ScheduleError> {
        let Some(mut from) = self.zone.unseen(after) else {
            return Ok(None);
        };
        for _ in 0..MAX_TRIES {
            let Some(civil) = self.next_civil(from)? else {
                return Ok(None);
            };
            let skipped = match self.zone.find(civil) {
                None => return Ok(None),
                Some(Shown::First(at)) if at > after => return Ok(Some(at)),
                Some(Shown::First(_)) => civil.checked_add(SECOND).ok(),
                Some(Shown::Never { change, from, until }) => {
                    let day = civil.date().to_datetime(civil::Time::midnight());
                    let next_day = civil.date().tomorrow().ok();
                    let next_day = next_day.map(|it| it.to_datetime(civil::Time::midnight()));
                    let is_whole_day = from <= day && next_day.is_some_and(|it| it <= until);
                    match is_whole_day {
                        false if change > after => return Ok(Some(change)),
                        false => Some(until),
                        true => next_day,
                    }
                }
            };
            match skipped {
                Some(skipped) => from = skipped,
                None => return Ok(None),
            }
        }
        Err(self.lost())
    }

    /// Looks for an instant in each stretch of time in which the clocks are not changed.
    fn next_wildcard(
        &self,
        after: jiff::Timestamp,
    ) -> Result<Option<jiff::Timestamp>, ScheduleError> {
        let mut stretch = self.zone.stretch(after + SECOND);
        for _ in 0..MAX_TRIES {
            let Some(civil) = self.next_civil(stretch.civil())? else {
                return Ok(None);
            };
            match (stretch.find(civil), stretch.end) {
                (Some(at), _) => return Ok(Some(at)),
                (None, None) => return Ok(None),
                (None, Some(end)) => stretch = self.zone.stretch(end),
            }
        }
        Err(self.lost())
    }

    /// Returns the first civil time that matches, from another on; none after [`LAST_YEAR`].
    fn next_civil(&self, from: civil::DateTime) -> Result<Option<civil::DateTime>, ScheduleError> {
        if from.year() > LAST_YEAR {
            return Ok(None);
        }
        match self.calendar.find_next_occurrence(&from, true) {
            Ok(civil) if civil.year() > LAST_YEAR => Ok(None),
            Ok(civil) => Ok(Some(civil)),
            // Every expression here is due again and again, so it is the calendar that has ended.
            Err(CronError::TimeSearchLimitExceeded) => Ok(None),
            Err(error) => Err(ScheduleError::Search {
                expression: shown(&self.expression),
                reason: reason(&error),
            }),
        }
    }

    fn lost(&self) -> ScheduleError {
        ScheduleError::Search {
            expression: shown(&self.expression),
            reason: format!("none of {MAX_TRIES} times fits its zone"),
        }
    }
}

/// The fields that say how an expression is meant, with names such as `@hourly` written out.
struct Fields<'a> {
    minute: &'a str,
    hour: &'a str,
}

impl<'a> Fields<'a> {
    fn of(calendar: &'a Cron) -> Self {
        let pattern = calendar.pattern.as_str();
        let with_seconds = pattern.split_whitespace().count() == 6;
        let mut fields = pattern.split_whitespace().skip(usize::from(with_seconds));
        Self { minute: fields.next().unwrap_or(""), hour: fields.next().unwrap_or("") }
    }
}

/// Whether a field that only lists numbers lists none, as `,` does. A search for such a time would go
/// through every second of a year.
fn has_empty_field(calendar: &Cron) -> bool {
    let pattern = &calendar.pattern;
    let fields = [&pattern.seconds, &pattern.minutes, &pattern.hours, &pattern.months];
    fields.into_iter().any(|field| field.values().is_empty())
}

/// Whether any year has a day that matches. To find none costs some thousand looks at a day, where a
/// search through the calendar looks at every day up to the year 5000.
fn is_possible(calendar: &Cron) -> bool {
    let pattern = &calendar.pattern;
    EVERY_KIND_OF_YEAR.flat_map(days_of_year).any(|day| {
        let month = u32::from(day.month().unsigned_abs());
        let weekday = u32::from(day.weekday().to_sunday_zero_offset().unsigned_abs());
        pattern.month_match(month).unwrap_or(false)
            && pattern
                .day_match(
                    i32::from(day.year()),
                    month,
                    u32::from(day.day().unsigned_abs()),
                    croner::Weekday::from_days_from_sunday(weekday),
                )
                .unwrap_or(false)
    })
}

fn days_of_year(year: i16) -> impl Iterator<Item = civil::Date> {
    let first = civil::Date::new(year, 1, 1).ok();
    std::iter::successors(first, |day| day.tomorrow().ok()).take_while(move |it| it.year() == year)
}

/// Returns what an error says, in the form that ours have.
fn reason(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.clone(),
        CronError::EmptyPattern
        | CronError::InvalidDate
        | CronError::InvalidTime
        | CronError::TimeSearchLimitExceeded => error.to_string(),
    };
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
