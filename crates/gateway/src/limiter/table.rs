//! The buckets of failures: bounded, and the least worth keeping goes first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use openclaw_scopes::Timestamp;

use super::{Key, MAX_BUCKETS, WINDOW};

/// How many buckets are for what is not locked: were there none, two that fail in turns would push
/// each other out and never be locked.
const FOR_OPEN: usize = 1_000;

/// The buckets, and the order in which they lose their worth.
///
/// It has a time of its own, which a clock that is set back stops for that moment and never turns
/// back: so no lock is ever farther from its end than it was when it began.
#[derive(Debug, Default)]
pub(super) struct Table {
    buckets: BTreeMap<Key, Bucket>,
    /// Buckets that are locked, by the end of the lock.
    locked: BTreeSet<(Duration, Key)>,
    /// Buckets that are not, by their last failure.
    open: BTreeSet<(Duration, Key)>,
    elapsed: Duration,
    seen: Option<Timestamp>,
}

/// What is kept for one key.
#[derive(Debug)]
enum Bucket {
    /// Locked until then.
    Locked(Duration),
    /// The failures that still count, oldest first; never empty.
    Open(VecDeque<Duration>),
}

impl Table {
    /// Returns the table's own time when the clock shows `now`.
    pub(super) fn at(&mut self, now: Timestamp) -> Duration {
        let step = self.seen.map_or(Duration::ZERO, |seen| now.since(seen));
        self.seen = Some(now);
        self.elapsed = self.elapsed.saturating_add(step);
        self.elapsed
    }

    /// Returns how long the key is still locked, if it is.
    pub(super) fn locked(&self, key: &Key, now: Duration) -> Option<Duration> {
        match self.buckets.get(key)? {
            Bucket::Locked(until) => until.checked_sub(now).filter(|left| !left.is_zero()),
            Bucket::Open(_) => None,
        }
    }

    /// Counts a failure; `most` of them within the window lock the key for a time. A lock is not made longer.
    pub(super) fn fail(&mut self, key: Key, most: usize, lock: Duration, now: Duration) {
        self.prune(now);
        let mut failures = match self.buckets.remove(&key) {
            Some(Bucket::Locked(until)) => {
                self.buckets.insert(key, Bucket::Locked(until));
                return;
            }
            Some(Bucket::Open(failures)) => {
                let last = failures.back().copied().unwrap_or_default();
                self.open.remove(&(last, key));
                failures
            }
            None => {
                self.make_room();
                VecDeque::new()
            }
        };
        failures.retain(|failure| now.saturating_sub(*failure) < WINDOW);
        failures.push_back(now);
        if failures.len() >= most {
            let until = now.saturating_add(lock);
            self.locked.insert((until, key));
            self.buckets.insert(key, Bucket::Locked(until));
        } else {
            self.open.insert((now, key));
            self.buckets.insert(key, Bucket::Open(failures));
        }
    }

    /// Forgets the key.
    pub(super) fn forget(&mut self, key: &Key) {
        match self.buckets.remove(key) {
            Some(Bucket::Locked(until)) => {
                self.locked.remove(&(until, *key));
            }
            Some(Bucket::Open(failures)) => {
                let last = failures.back().copied().unwrap_or_default();
                self.open.remove(&(last, *key));
            }
            None => {}
        }
    }

    /// Forgets what no longer counts.
    fn prune(&mut self, now: Duration) {
        while let Some((_, key)) = self.locked.first().copied().filter(|(until, _)| *until <= now) {
            self.forget(&key);
        }
        let is_over = |last: Duration| now.saturating_sub(last) >= WINDOW;
        while let Some((_, key)) = self.open.first().copied().filter(|(last, _)| is_over(*last)) {
            self.forget(&key);
        }
    }

    /// Forgets one key if there is no room for another: of those that are not locked the one that
    /// failed longest ago, or when nearly all are locked, the one whose lock ends first.
    fn make_room(&mut self) {
        if self.buckets.len() < MAX_BUCKETS {
            return;
        }
        let order = if self.open.len() > FOR_OPEN { &self.open } else { &self.locked };
        if let Some((_, key)) = order.first().copied() {
            self.forget(&key);
        }
    }

    /// Returns how many keys there are, after checking that all of them are in order.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.buckets.len(), self.open.len() + self.locked.len());
        self.buckets.len()
    }
}
