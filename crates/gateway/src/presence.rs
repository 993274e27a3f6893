//! Which devices are there: told when the first connection of one opens, and some time after its last has closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_scopes::DeviceId;
use openclaw_store::{Presence, Store};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::task::Tasks;

/// How long a device is away until it has gone: one that connects again in between was there all the time.
const AWAY: Duration = Duration::from_secs(5);
/// How long after it has come it may come again: one that comes and goes writes no more than that.
const AGAIN: Duration = Duration::from_secs(30);

/// Which devices are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attendance(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    devices: Mutex<BTreeMap<DeviceId, Visit>>,
    moved: Notify,
}

/// A device as long as it is there, and a while after.
#[derive(Clone, Copy, Debug, Default)]
struct Visit {
    connections: usize,
    /// Since when it has none; absent while it has some.
    left_at: Option<Instant>,
    /// When it was last told to have come.
    came_at: Option<Instant>,
    /// Whether it is told to be there.
    is_told: bool,
}

/// What is to be done about a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// It can be forgotten.
    Forget,
    /// Nothing, until something moves.
    Rest,
    /// This is to be told.
    Tell(Presence),
    /// Nothing, until then.
    Wait(Instant),
}

impl Visit {
    fn step(&self, now: Instant) -> Step {
        let again = self.came_at.and_then(|at| at.checked_add(AGAIN));
        let early = again.filter(|again| now < *again);
        match (self.left_at, self.is_told) {
            (None, true) => Step::Rest,
            (None, false) => early.map_or(Step::Tell(Presence::Online), Step::Wait),
            (Some(left), true) => match left.checked_add(AWAY) {
                Some(gone) if now < gone => Step::Wait(gone),
                Some(_) | None => Step::Tell(Presence::Offline),
            },
            (Some(_), false) => early.map_or(Step::Forget, Step::Wait),
        }
    }
}

impl Attendance {
    fn devices(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Visit>> {
        // A poisoned map is still one: nothing is half-done in it.
        self.0.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection of a device, until what is returned is dropped.
    pub(crate) fn enter(&self, device: &DeviceId) -> Present {
        let mut devices = self.devices();
        let visit = devices.entry(device.clone()).or_default();
        visit.connections = visit.connections.saturating_add(1);
        visit.left_at = None;
        self.0.moved.notify_one();
        Present { attendance: self.clone(), device: device.clone() }
    }

    /// Returns what is to be told now, and when to look again at the latest.
    fn due(&self, now: Instant) -> (Vec<(DeviceId, Presence)>, Option<Instant>) {
        let (mut told, mut next) = (Vec::new(), None);
        self.devices().retain(|device, visit| {
            loop {
                match visit.step(now) {
                    Step::Forget => return false,
                    Step::Rest => return true,
                    Step::Tell(presence) => {
                        visit.is_told = presence == Presence::Online;
                        if visit.is_told {
                            visit.came_at = Some(now);
                        }
                        told.push((device.clone(), presence));
                    }
                    Step::Wait(until) => {
                        next = Some(next.map_or(until, |next: Instant| next.min(until)));
                        return true;
                    }
                }
            }
        });
        (told, next)
    }
}

/// A connection of a device.
#[derive(Debug)]
pub(crate) struct Present {
    attendance: Attendance,
    device: DeviceId,
}

impl Present {
    /// Returns whose it is.
    pub(crate) const fn device(&self) -> &DeviceId {
        &self.device
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut devices = self.attendance.devices();
        if let Some(visit) = devices.get_mut(&self.device) {
            visit.connections = visit.connections.saturating_sub(1);
            if visit.connections == 0 {
                visit.left_at = Some(Instant::now());
                self.attendance.0.moved.notify_one();
            }
        }
    }
}

/// Tells that whoever was there at the last stop has gone.
pub(crate) async fn end(store: &Store) {
    if let Err(error) = store.end_presence(clock::now()).await {
        tracing::error!(?error, "devices of the last start are still told to be there");
    }
}

/// Starts telling.
pub(crate) fn keep(
    tasks: &Tasks,
    store: &Store,
    attendance: &Attendance,
    stop: &CancellationToken,
) {
    let (store, attendance, stop) = (store.clone(), attendance.clone(), stop.clone());
    tasks.spawn(async move {
        loop {
            let (told, next) = attendance.due(Instant::now());
            for (device, presence) in told {
                if let Err(error) = store.note_presence(device, presence, clock::now()).await {
                    tracing::error!(?error, ?presence, "a device's presence could not be told");
                }
            }
            let wait = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = attendance.0.moved.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(attendance: &Attendance) -> Vec<Presence> {
        attendance.due(Instant::now()).0.into_iter().map(|(_, presence)| presence).collect()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_connection_and_the_last() {
        use Presence::{Offline, Online};
        let (attendance, device) = (Attendance::default(), DeviceId::parse("d").unwrap());
        let first = attendance.enter(&device);
        assert_eq!((told(&attendance), told(&attendance)), (vec![Online], vec![]));
        let second = attendance.enter(&device);
        drop(first);
        pass(60).await;
        assert_eq!(told(&attendance), []);
        drop(second);
        pass(4).await;
        assert_eq!(told(&attendance), []);
        pass(1).await;
        assert_eq!((told(&attendance), told(&attendance)), (vec![Offline], vec![]));
        assert!(attendance.devices().is_empty(), "what has gone for good is forgotten");
    }

    /// One that comes and goes all the time writes one pair in 30 seconds at most.
    #[tokio::test(start_paused = true)]
    //= docs/threat-model.md#T38
    async fn a_device_that_flaps_writes_little() {
        for (there, away, most) in [(0, 1, 1), (1, 1, 1), (1, 6, 21), (0, 5, 21), (2, 40, 15)] {
            let (attendance, device) = (Attendance::default(), DeviceId::parse("d").unwrap());
            let (mut rows, began) = (Vec::new(), Instant::now());
            while began.elapsed() < Duration::from_secs(600) {
                let connection = attendance.enter(&device);
                for _ in 0..there {
                    rows.extend(told(&attendance));
                    pass(1).await;
                }
                rows.extend(told(&attendance));
                drop(connection);
                for _ in 0..away {
                    rows.extend(told(&attendance));
                    pass(1).await;
                }
            }
            let came = rows.iter().filter(|presence| **presence == Presence::Online).count();
            assert!((1..=most).contains(&came), "{there} {away}: {came}");
            assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "{there} {away}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_soon_was_there_all_the_time() {
        let (attendance, device) = (Attendance::default(), DeviceId::parse("d").unwrap());
        drop(attendance.enter(&device));
        assert_eq!(told(&attendance), [], "it was gone before anybody looked");
        let connection = attendance.enter(&device);
        assert_eq!(told(&attendance), [Presence::Online]);
        drop(connection);
        pass(3).await;
        let connection = attendance.enter(&device);
        pass(60).await;
        assert_eq!(told(&attendance), []);
        drop(connection);
        assert_eq!(attendance.due(Instant::now()).1, Some(Instant::now() + AWAY));
    }
}
