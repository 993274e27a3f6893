//! Lengths of time as people write them: `30s`, `10m`, `1h30m`, `30d`.

use std::time::Duration;

use jiff::SignedDuration;

/// The seconds of a day, which has no daylight saving here.
const DAY: u64 = 86_400;

/// Parses a length of time; `0` is allowed.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    parts(text)
        .ok_or_else(|| "a length of time is written `30s`, `10m`, `1h30m` or `30d`".to_owned())
}

fn parts(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let Some((days, rest)) = text.split_once('d') else { return clock(text) };
    let is_number = !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
    let days: u64 = days.parse().ok().filter(|_| is_number)?;
    let rest = if rest.is_empty() { Duration::ZERO } else { clock(rest)? };
    Duration::from_secs(days.checked_mul(DAY)?).checked_add(rest)
}

fn clock(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

/// Shows a length of time as [`parse`] reads it, to the millisecond.
pub(crate) fn show(length: Duration) -> String {
    let total = length.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes, seconds, length.subsec_millis()) {
        (0, 0, 0, millis) if millis > 0 => format!("{millis}ms"),
        (0, 0, seconds, 0) => format!("{seconds}s"),
        (0, 0, seconds, millis) => {
            let fraction = format!("{millis:03}");
            format!("{seconds}.{}s", fraction.trim_end_matches('0'))
        }
        (0, minutes, 0, _) => format!("{minutes}m"),
        (0, minutes, seconds, _) => format!("{minutes}m{seconds}s"),
        (hours, 0, _, _) => format!("{hours}h"),
        (hours, minutes, _, _) => format!("{hours}h{minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (text, expected) in [
            ("0", millis(0)),
            ("0s", millis(0)),
            ("500ms", millis(500)),
            ("30s", millis(30_000)),
            ("10m", millis(600_000)),
            ("1h30m", millis(5_400_000)),
            ("48h", millis(172_800_000)),
            ("30d", millis(2_592_000_000)),
            ("1d12h", millis(129_600_000)),
            ("d", None),
            ("+1d", None),
            ("1d-5s", None),
            ("1d0", None),
            ("99999999999999999d", None),
            ("10", None),
            ("-5s", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn shown() {
        for (millis, expected) in [
            (0, "0s"),
            (7, "7ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (600_000, "10m"),
            (61_000, "1m1s"),
            (5_400_000, "1h30m"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(show(Duration::from_millis(millis)), expected);
        }
    }
}
