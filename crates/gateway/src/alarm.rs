//! Waiting for an instant by the clock on the wall, and for somebody to set that clock.

use std::io::ErrorKind;
use std::time::Duration;

use openclaw_scopes::Timestamp;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

use crate::clock;

/// The longest sleep where the system has no such timer (`runtime.md` §4.3 of the reference): the clock may be set
/// meanwhile.
const BLIND: Duration = Duration::from_secs(60);

/// A timer that goes by the clock on the wall: it is late neither after the machine was suspended nor after the
/// clock was set, and wakes nobody before.
#[derive(Debug)]
// It is read as a pipe is: that is all that the runtime has to know of it.
pub(crate) struct Alarm(Option<Receiver>);

impl Alarm {
    /// Makes a timer; where the system has none, sleeps are short instead.
    pub(crate) fn new() -> Self {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags);
        let timer = timer.map_err(std::io::Error::from);
        let timer = timer.and_then(Receiver::from_owned_fd_unchecked);
        if let Err(error) = &timer {
            tracing::warn!(%error, "there is no timer by the clock on the wall");
        }
        Self(timer.ok())
    }

    /// Waits until the clock shows `at`, or somebody has set it.
    pub(crate) async fn until(&self, at: Timestamp) {
        // From here on no move is missed.
        let moved = clock::moved();
        let at_system = at.saturating_sub(clock::ahead());
        tokio::select! {
            () = self.until_system(at_system) => {}
            () = moved => {}
        }
    }

    /// Waits until the system's clock shows `at`, or somebody has set it.
    async fn until_system(&self, at: Timestamp) {
        let Some(timer) = &self.0 else {
            return blindly(at).await;
        };
        // An instant that is over, or zero, which would stop the timer, is now.
        let millis = at.as_millis().max(1);
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: millis.div_euclid(1_000),
                tv_nsec: millis.rem_euclid(1_000).saturating_mul(1_000_000),
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(timer, flags, &value) {
            // The clock was set since the last wait: who waits looks again.
            Err(rustix::io::Errno::CANCELED) => return,
            Ok(_former) => {}
            Err(error) => {
                tracing::error!(%error, "the timer cannot be set");
                return blindly(at).await;
            }
        }
        loop {
            if let Err(error) = timer.readable().await {
                tracing::error!(%error, "the timer cannot be waited for");
                return tokio::time::sleep(BLIND).await;
            }
            let mut expirations = [0; 8];
            match timer.try_read(&mut expirations) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // It has gone off, or was cancelled by a clock that was set.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

async fn blindly(at: Timestamp) {
    let shown = clock::now().saturating_sub(clock::ahead());
    tokio::time::sleep(at.since(shown).min(BLIND)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_goes_off_when_the_clock_shows_the_instant_and_not_before() {
        let alarm = Alarm::new();
        for millis in [0, 1, 30, 5] {
            let at = clock::now().saturating_add(Duration::from_millis(millis));
            alarm.until(at).await;
            assert!(clock::now() >= at);
        }
        alarm.until(Timestamp::from_millis(-5)).await;
        // A wait that is given up leaves nothing behind that wakes the next one.
        let far = clock::now().saturating_add(Duration::from_secs(3_600));
        let given_up = tokio::time::timeout(Duration::from_millis(5), alarm.until(far)).await;
        assert!(given_up.is_err());
        let at = clock::now().saturating_add(Duration::from_millis(5));
        alarm.until(at).await;
        assert!(clock::now() >= at);
    }
}
