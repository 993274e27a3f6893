//! Lengths of time as people write them: `30s`, `10m`, `1h30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// Parses a length of time; `0` is allowed.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let length = text.parse::<SignedDuration>().ok().map(Duration::try_from);
    match length {
        Some(Ok(length)) => Ok(length),
        Some(Err(_)) | None => {
            Err("a length of time is written `30s`, `10m` or `1h30m`".to_owned())
        }
    }
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
