//! The instants of a job that have come: a list, or for a plain interval a calculation.

use std::ops::Range;
use std::time::Duration;

use openclaw_scopes::Timestamp;

use super::MAX_STEPS;
use crate::{Rules, Schedule, ScheduleError};

/// The instants of a job from the one that is due until now, in order.
#[derive(Debug)]
pub(super) struct Instants {
    /// Those that were found one by one.
    listed: Vec<Timestamp>,
    /// Those that follow them and were calculated.
    grid: Grid,
    /// The first that is none of them.
    next: Option<Timestamp>,
    cut_off: CutOff,
}

/// Instants that are equally far apart.
#[derive(Clone, Copy, Debug)]
struct Grid {
    first: Timestamp,
    every: Duration,
    count: u64,
}

/// Whether the instants end because it was enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum CutOff {
    /// They end with now.
    No,
    /// There were more until now than a tick looks at.
    Yes,
}

impl Instants {
    /// Finds the instants from `due` until `now`, but at most [`MAX_STEPS`] of those that have to be found
    /// one by one.
    pub(super) fn until(
        rules: &Rules,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<Self, ScheduleError> {
        let mut listed = Vec::new();
        let mut next = Some(due);
        let mut grid = Grid { first: due, every: Duration::ZERO, count: 0 };
        while let Some(at) = next
            && at <= now
            && listed.len() < MAX_STEPS
        {
            // What was due is not on the grid if the schedule was changed since; what follows it is.
            if let (Schedule::Every { every, .. }, None, false) =
                (&rules.schedule, &rules.active, listed.is_empty())
            {
                grid = Grid::until(at, *every, now);
                next = grid.get(grid.count);
                break;
            }
            listed.push(at);
            next = rules.next_after(at)?;
        }
        let cut_off = if next.is_some_and(|next| next <= now) { CutOff::Yes } else { CutOff::No };
        Ok(Self { listed, grid, next, cut_off })
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> u64 {
        self.listed_count().saturating_add(self.grid.count)
    }

    /// Returns the first instant that is none of them; none if there is none.
    pub(super) const fn next(&self) -> Option<Timestamp> {
        self.next
    }

    /// Whether the first instant that is none of them has come too.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off == CutOff::Yes
    }

    /// Returns the one of this index.
    pub(super) fn get(&self, index: u64) -> Option<Timestamp> {
        match index.checked_sub(self.listed_count()) {
            None => self.listed.get(usize::try_from(index).ok()?).copied(),
            Some(index) if index < self.grid.count => self.grid.get(index),
            Some(_) => None,
        }
    }

    /// Returns those whose indexes are in a range.
    pub(super) fn each(&self, range: Range<u64>) -> impl Iterator<Item = Timestamp> {
        range.filter_map(|index| self.get(index))
    }

    /// Returns how many are before an instant.
    pub(super) fn count_before(&self, end: Timestamp) -> u64 {
        let listed = self.listed.partition_point(|at| *at < end);
        u64::try_from(listed).unwrap_or(u64::MAX).saturating_add(self.grid.count_before(end))
    }

    fn listed_count(&self) -> u64 {
        u64::try_from(self.listed.len()).unwrap_or(u64::MAX)
    }
}

impl Grid {
    /// The instants from `first` until `now`, which is not before it.
    fn until(first: Timestamp, every: Duration, now: Timestamp) -> Self {
        let mut grid = Self { first, every, count: u64::MAX };
        grid.count = grid.count_before(now.saturating_add(Duration::from_millis(1)));
        grid
    }

    fn get(&self, index: u64) -> Option<Timestamp> {
        let index = i64::try_from(index).ok()?;
        let moved = i64::try_from(self.every.as_millis()).ok()?.checked_mul(index)?;
        self.first.as_millis().checked_add(moved).map(Timestamp::from_millis)
    }

    fn count_before(&self, end: Timestamp) -> u64 {
        let end = end.since(self.first).as_millis();
        // The first is at 0, so all that is not past a multiple of the interval counts one less.
        let count = end.div_ceil(self.every.as_millis().max(1));
        u64::try_from(count).unwrap_or(u64::MAX).min(self.count)
    }
}
