//! Durations as people write them: a number and a unit.

use std::time::Duration;

/// The longest duration that may be written: a hundred years.
const MAX_SECONDS: u64 = 36_525 * 86_400;

/// The units and their seconds, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseDurationError {
    /// It is not a number and a unit.
    #[error("a duration is a whole number and one of `s`, `m`, `h`, `d`, for example `30m`")]
    Form,
    /// It is zero, or longer than a hundred years.
    #[error("a duration must be longer than zero and at most 36525d")]
    Range,
}

/// Parses a duration such as `90s`, `30m`, `24h` or `7d`.
///
/// # Errors
/// When the text is not a whole number and a unit, or is zero or longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)))
        .ok_or(ParseDurationError::Form)?;
    if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
        return Err(ParseDurationError::Form);
    }
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit));
    match seconds {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err(ParseDurationError::Range),
    }
}

/// Writes the whole seconds of a duration in the largest unit that divides them.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, size) in UNITS {
        if seconds >= size && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds.checked_div(size).unwrap_or(seconds));
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds, back) in [
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("30m", 1_800, "30m"),
            ("24h", 86_400, "1d"),
            ("7d", 604_800, "7d"),
            ("36525d", MAX_SECONDS, "36525d"),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(format_duration(Duration::from_secs(seconds)), back);
        }
        for text in ["", "s", "90", "9 s", "-1s", "+1s", "1.5h", "1w", "1S", "1h30m", "٣s"] {
            assert_eq!(parse_duration(text), Err(ParseDurationError::Form), "{text}");
        }
        for text in ["0s", "36526d", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), Err(ParseDurationError::Range), "{text}");
        }
    }
}
