//! Decides how long a commit waits for company: a commit costs much, and one more operation in it
//! little.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crate::writer::{GROUP, Message, Queued};

/// How long a group waits for its next operation.
const GAP: Duration = Duration::from_micros(100);
/// How often it waits: together about as long as a commit takes, so that it is worth it.
const WAITS: u32 = 4;
/// Operations that a group waits for at most. With more, all who ask would wait for one commit
/// while nobody works; so, some work while others are written.
const MOST: usize = 12;
/// Groups that were filled before a larger one is tried.
const PROBE_AFTER: u8 = 8;
/// Operations in a group from which on a larger one is tried each time.
const MANY: usize = 4;

/// How many operations come together at present, as the last groups tell.
///
/// Whoever asks alone never waits: a group of one expects no other. Several who ask again as soon
/// as they are answered soon share one commit instead of making one each.
#[derive(Debug, Default)]
pub(crate) struct Company {
    expected: usize,
    filled: u8,
}

impl Company {
    /// Takes what waits into the group, and what is expected soon; tells whether the queue is
    /// still open.
    pub(crate) fn gather(&mut self, queue: &Receiver<Message>, group: &mut Vec<Queued>) -> bool {
        let mut waits = WAITS;
        while group.len() < GROUP {
            let next = match queue.try_recv() {
                Err(TryRecvError::Empty) if group.len() < self.expected && waits > 0 => {
                    waits = waits.saturating_sub(1);
                    queue.recv_timeout(GAP)
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Ok(message) => Ok(message),
            };
            match next {
                Ok(Message::Do(job, permit)) => group.push((job, permit)),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        self.learn(group.len());
        true
    }

    /// Takes note of how many came.
    fn learn(&mut self, came: usize) {
        if came < self.expected {
            // A hiccup is not yet a change, so most of what was expected still is.
            let most = self.expected.saturating_sub(self.expected / 4).saturating_sub(1);
            (self.expected, self.filled) = (came.max(most), 0);
        } else {
            self.filled = self.filled.saturating_add(1);
        }
        // Where a few come together, one more is tried for seldom; where many do, a wait in vain
        // costs each of them little.
        let probe = came > self.expected || came >= MANY || self.filled >= PROBE_AFTER;
        if came > 1 && came >= self.expected && probe {
            (self.expected, self.filled) = (came.saturating_add(came / 4).saturating_add(1), 0);
        }
        // One that asks alone is not kept waiting for another.
        self.expected = if came > 1 { self.expected.min(MOST) } else { 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_alone_never_waits() {
        let mut company = Company::default();
        for _ in 0..100 {
            company.learn(1);
            assert_eq!(company.expected, 1);
        }
    }

    #[test]
    fn several_are_waited_for_and_forgotten_again() {
        let mut company = Company::default();
        company.learn(2);
        assert_eq!(company.expected, 3);
        for _ in 0..200 {
            // Thirty ask again and again.
            company.learn(company.expected.min(30));
        }
        assert_eq!(company.expected, MOST);
        company.learn(1);
        assert_eq!(company.expected, 1);
    }

    #[test]
    fn a_pair_is_kept_waiting_seldom() {
        let mut company = Company::default();
        let waits = (0..1000)
            .filter(|_| {
                company.learn(2);
                company.expected > 2
            })
            .count();
        assert!(waits < 150, "{waits} of 1000 groups waited for a third");
    }
}
