//! The guard against writers that do not know that they were superseded.

/// A number that grows with every run that becomes the writer of a session.
///
/// The session remembers the newest one. A run writes under the fence it was started with, so a
/// run that woke up late, after another took its place, is refused.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fence(u64);

impl Fence {
    /// The fence of a session that no run has written yet. It is given to nobody.
    pub const NONE: Self = Self(0);

    /// Reads a fence that was stored.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number to be stored.
    pub const fn as_number(self) -> u64 {
        self.0
    }

    /// Returns the fence of the next writer; nothing when the numbers are used up.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// Decides whether a writer that holds `presented` may write, this fence being the newest.
    ///
    /// A smaller one is stale, and a greater one was never given out.
    #[must_use]
    pub fn admits(self, presented: Self) -> bool {
        self == presented && self != Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_writer_is_admitted() {
        let slow = Fence::NONE.next().unwrap();
        let newest = slow.next().unwrap();
        assert!(newest.admits(newest));
        assert!(!newest.admits(slow), "the slow one woke up late and must not write");
        assert!(!slow.admits(newest), "a fence that was never given out");
        assert!(!Fence::NONE.admits(Fence::NONE), "nobody holds the first one");
        assert_eq!(Fence::from_number(u64::MAX).next(), None);
        assert_eq!(Fence::from_number(newest.as_number()), newest);
    }
}
