//! Instants as people and models write them.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZoneDatabase;
use openclaw_config::parse_duration;
use openclaw_scopes::Timestamp;

/// Reads an instant: a length from now (`20m`), a time of day (`09:00`, the next one), a date and time in a
/// zone (`2026-12-01 09:00`), or RFC 3339.
///
/// # Errors
/// With what is wrong, in words.
pub(crate) fn instant(text: &str, zone: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(length) = parse_duration(text.strip_prefix("in ").unwrap_or(text)) {
        return Ok(now.saturating_add(length));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(at.as_millisecond()));
    }
    let wrong = || {
        let text: String = text.chars().take(64).collect();
        format!(
            "`{}` is no instant: write `20m`, `09:00`, `2026-12-01 09:00`, or RFC 3339",
            text.escape_debug()
        )
    };
    let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_error| {
        let zone: String = zone.chars().take(64).collect();
        format!("`{}` is no known time zone", zone.escape_debug())
    })?;
    // Nothing longer is a time of day alone.
    if text.len() <= 8
        && text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        let here = jiff::Timestamp::from_millisecond(now.as_millis()).map_err(|_error| wrong())?;
        let here = here.to_zoned(zone.clone());
        let on = |date: jiff::civil::Date| date.to_datetime(time).to_zoned(zone.clone());
        let today = on(here.date()).map_err(|_error| wrong())?;
        let at = if today > here {
            today
        } else {
            here.date().tomorrow().and_then(on).map_err(|_error| wrong())?
        };
        return Ok(Timestamp::from_millis(at.timestamp().as_millisecond()));
    }
    let at = text.parse::<DateTime>().and_then(|at| at.to_zoned(zone)).map_err(|_error| wrong())?;
    Ok(Timestamp::from_millis(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn instants_are_read_as_they_are_meant() {
        let now = at("2026-11-27T08:30:00Z");
        for (text, zone, expected) in [
            ("20m", "UTC", "2026-11-27T08:50:00Z"),
            ("in 1h", "UTC", "2026-11-27T09:30:00Z"),
            ("09:00", "UTC", "2026-11-27T09:00:00Z"),
            ("08:30", "UTC", "2026-11-28T08:30:00Z"),
            ("09:00", "Europe/Berlin", "2026-11-28T08:00:00Z"),
            ("2026-12-01 09:00", "Europe/Berlin", "2026-12-01T08:00:00Z"),
            ("2026-12-01T09:00:00+05:00", "UTC", "2026-12-01T04:00:00Z"),
        ] {
            assert_eq!(instant(text, zone, now), Ok(at(expected)), "{text}");
        }
        for text in ["", "noon", "25:00", "2026-02-30 09:00", "-5m", "9"] {
            assert!(instant(text, "UTC", now).is_err(), "{text}");
        }
        assert!(instant("09:00", "Mars/Base", now).unwrap_err().contains("zone"));
    }
}
