//! The one place that reads the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openclaw_scopes::Timestamp;
use tokio::sync::Notify;

/// How far the clock of this process is ahead of the system's, in milliseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);
/// Wakes whoever waits for an instant when the clock was moved.
static MOVED: Notify = Notify::const_new();

/// Returns the present instant.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time as an argument")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let real = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    real.saturating_add(ahead())
}

/// Moves the clock of this process ahead, for good: a simulation of days in minutes.
///
/// Every gateway in the process sees it as it sees a system's clock that is set: what is due meanwhile is due
/// at once. Only instants move; lengths of time (how long a command takes, a provider is waited for) are real.
///
/// A client outside the process, whose proofs carry the time, is then too far behind to be believed.
pub fn advance(by: Duration) {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    // It never goes round: whoever asks for the end of time stays there.
    let _former = AHEAD
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |ahead| Some(ahead.saturating_add(by)));
    MOVED.notify_waiters();
}

/// Returns how far the clock was moved.
pub(crate) fn ahead() -> Duration {
    Duration::from_millis(AHEAD.load(Ordering::SeqCst))
}

/// Ends when the clock is moved, counted from this call.
pub(crate) fn moved() -> tokio::sync::futures::Notified<'static> {
    MOVED.notified()
}

/// Writes an instant as people and models read it.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map(|at| at.to_string()).unwrap_or_default()
}
