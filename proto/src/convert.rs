//! Between the wire's shared nouns and those of `openclaw-scopes`.

use std::time::Duration;

use openclaw_scopes::{ScopeSet, Timestamp};

/// Returns an instant as the wire writes it.
pub fn to_timestamp(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0).saturating_mul(1_000_000);
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

/// Returns an instant that came over the wire, to the millisecond.
pub fn from_timestamp(at: &prost_types::Timestamp) -> Timestamp {
    let millis = at.seconds.saturating_mul(1000);
    Timestamp::from_millis(millis.saturating_add(i64::from(at.nanos / 1_000_000)))
}

/// Returns a length of time as the wire writes it, at most the longest that it can.
pub fn to_duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).unwrap_or(0),
    }
}

/// Returns a length of time that came over the wire; `None` when it is negative.
pub fn from_duration(length: &prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(length.seconds).ok()?;
    Some(Duration::new(seconds, u32::try_from(length.nanos).ok()?))
}

/// Returns the names of the shortest set that means the same.
pub fn scope_names(scopes: ScopeSet) -> Vec<String> {
    scopes.reduced().iter().map(|scope| scope.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_wire() {
        for millis in [0, 1, 999, 1000, -1, -1001, 1_795_000_000_123] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(from_timestamp(&to_timestamp(at)), at);
        }
        let length = Duration::from_millis(90_500);
        assert_eq!(from_duration(&to_duration(length)), Some(length));
        assert_eq!(from_duration(&prost_types::Duration { seconds: -1, nanos: 0 }), None);
    }
}
