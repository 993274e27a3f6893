//! When conversations begin anew by themselves.

use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};
use openclaw_config::ResetPolicy;
use openclaw_scopes::Timestamp;

/// Returns since when somebody has to have asked something for a conversation to go on; `None` when it always
/// does.
pub(crate) fn since(policy: ResetPolicy, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let idle = policy.idle.map(|idle| now.saturating_sub(idle));
    let daily = policy.at_hour.and_then(|hour| last(hour, now, zone));
    idle.into_iter().chain(daily).max()
}

/// Returns when it last was this hour of the day.
fn last(hour: i8, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let now = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?.to_zoned(zone.clone());
    let on = |day: &Zoned| day.date().at(hour, 0, 0, 0).to_zoned(zone.clone()).ok();
    let today = on(&now)?;
    let last = if today <= now { today } else { on(&now.checked_sub(1.day()).ok()?)? };
    Some(Timestamp::from_millis(last.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn what_comes_first_counts() {
        let idle = Some(Duration::from_secs(3_600));
        let daily = |hour| ResetPolicy { at_hour: Some(hour), idle: None };
        assert_eq!(since(ResetPolicy::default(), at("2026-11-27T12:00:00Z"), &TimeZone::UTC), None);
        for (policy, now, expected) in [
            (daily(4), "2026-11-27T12:00:00Z", "2026-11-27T04:00:00Z"),
            (daily(4), "2026-11-27T04:00:00Z", "2026-11-27T04:00:00Z"),
            (daily(4), "2026-11-27T03:59:59Z", "2026-11-26T04:00:00Z"),
            (ResetPolicy { at_hour: None, idle }, "2026-11-27T12:00:00Z", "2026-11-27T11:00:00Z"),
            (
                ResetPolicy { at_hour: Some(4), idle },
                "2026-11-27T12:00:00Z",
                "2026-11-27T11:00:00Z",
            ),
            (
                ResetPolicy { at_hour: Some(4), idle },
                "2026-11-27T04:30:00Z",
                "2026-11-27T04:00:00Z",
            ),
        ] {
            assert_eq!(since(policy, at(now), &TimeZone::UTC), Some(at(expected)), "{now}");
        }
    }

    /// A spring leaves an hour out, and an autumn has one twice.
    #[test]
    fn every_day_has_the_hour_once() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let policy = ResetPolicy { at_hour: Some(2), idle: None };
        for (now, expected) in [
            ("2026-03-28T12:00:00Z", "2026-03-28T01:00:00Z"),
            ("2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("2026-03-30T12:00:00Z", "2026-03-30T00:00:00Z"),
            ("2026-10-25T12:00:00Z", "2026-10-25T00:00:00Z"),
        ] {
            assert_eq!(since(policy, at(now), &zone), Some(at(expected)), "{now}");
        }
    }
}
