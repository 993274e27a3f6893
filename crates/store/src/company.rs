//! Decides how long a commit waits for company: a commit costs much, and one more operation in it
//! little.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::writer::{GROUP, Message, Queued};

/// How long a group waits for its next operation: about as long as a commit takes.
const GAP: Duration = Duration::from_micros(200);
/// Operations that a group waits for at most.
const MOST: usize = 64;
/// Groups that were filled before a larger one is tried.
const PROBE_AFTER: u8 = 8;

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
        loop {
            let next = if group.len() < self.expected {
                queue.recv_timeout(GAP)
            } else {
                queue.try_recv().map_err(|_nothing| RecvTimeoutError::Timeout)
            };
            match next {
                Ok(Message::Do(job, permit)) => group.push((job, permit)),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => break,
            }
            if group.len() >= GROUP {
                break;
            }
        }
        self.learn(group.len());
        true
    }

    /// Takes note of how many came.
    fn learn(&mut self, came: usize) {
        if came < self.expected {
            (self.expected, self.filled) = (came, 0);
        } else {
            self.filled = self.filled.saturating_add(1);
        }
        let probe = came > self.expected || self.filled >= PROBE_AFTER;
        if came > 1 && probe {
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
        assert!((30..=38).contains(&company.expected), "{company:?}");
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
