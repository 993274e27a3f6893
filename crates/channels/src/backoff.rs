//! How long to wait before the next attempt to connect.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The wait before a new attempt: it doubles from the first one up to the longest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    /// The wait before the second attempt.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Default for Backoff {
    /// From 2 s up to 30 s.
    ///
    /// Reason: the reference's, for the gateway of Discord; every platform allows that pace.
    fn default() -> Self {
        Self { first: Duration::from_secs(2), most: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Returns the wait after so many failed attempts in a row, not counting the last one.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// Whether a wait was waited out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waited {
    /// It was broken off.
    Cancelled,
    /// It is over.
    Over,
}

/// Waits, unless it is told to stop.
pub(crate) async fn wait(time: Duration, cancel: &CancellationToken) -> Waited {
    tokio::select! {
        () = cancel.cancelled() => Waited::Cancelled,
        () = tokio::time::sleep(time) => Waited::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let backoff = Backoff::default();
        let waits = [0, 1, 2, 3, 4, 5, 40, u32::MAX].map(|n| backoff.after(n).as_secs());
        assert_eq!(waits, [2, 4, 8, 16, 30, 30, 30, 30]);
    }
}
