//! Looking at something again and again, until it has come to its end or the time is up.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;

/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Looks until `is_open` says no, or the time is up, and returns what was seen last.
pub(crate) async fn until<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, Failure>,
    is_open: impl Fn(&T) -> bool,
) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        let seen = look().await?;
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() || !is_open(&seen) {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK.min(left)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[rustfmt::skip]
    async fn as_many_looks_as_the_time_has_room_for() {
        for (limit, closed_after, looks) in [
            (0,    9, 1),
            (1000, 9, 3),
            (1200, 9, 4),
            (1000, 2, 2),
            (1000, 1, 1),
        ] {
            let mut seen = 0;
            let look = async || {
                seen += 1;
                Ok(seen)
            };
            let limit = Duration::from_millis(limit);
            let last = until(limit, look, |seen| *seen < closed_after).await.unwrap();
            assert_eq!(last, looks, "{limit:?} {closed_after}");
        }
    }
}
