//! One look at the jobs that are due: what becomes of each of their instants.
//!
//! An instant that is further back than the grace is late: the gateway was not there for it, and the
//! catch-up policy decides. Otherwise it is on time, and one instant on time is claimed. Every instant up
//! to now gets into exactly one row of the ledger, from the oldest to the newest:
//!
//! ```text
//! free      Skip(back-off)  Miss  Claim of the newest late ones  Claim  Skip(still-running)
//! busy      Skip(back-off)  Miss  Skip(still-running) of all that would be claimed
//! disabled  Skip(disabled)
//! ```

mod instants;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use openclaw_scopes::Timestamp;

use crate::{CatchUp, MAX_CATCH_UP, Rules, ScheduleError, hash};

use instants::Instants;

/// How late an instant may be and still be on time: as long as the scheduler sleeps at most
/// (`runtime.md` §4.3 of the reference).
pub const GRACE: Duration = Duration::from_secs(60);

/// How many instants of a job are looked at one by one in a tick. If there are more, the next tick goes
/// on where this one stopped.
pub const MAX_STEPS: usize = 10_000;

/// A job that is due, as it was read from the store.
#[derive(Clone, Debug)]
pub struct DueJob<J> {
    /// Which job.
    pub job: J,
    /// All that says when it is due.
    pub rules: Rules,
    /// The oldest of its instants of which the ledger has nothing yet.
    pub due: Timestamp,
    /// The end of its back-off: instants before it are skipped.
    pub not_before: Option<Timestamp>,
    /// Whether one of its instants is still at work.
    pub is_busy: Busy,
}

/// Whether an earlier instant of a job is still at work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Busy {
    /// One is claimed or running.
    Busy,
    /// None is.
    Free,
}

/// What holds for all jobs of a tick.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TickLimits {
    /// Whether jobs run at all.
    pub mode: Mode,
    /// How late counts as on time.
    pub grace: Duration,
    /// How the instants that are caught up are kept from beginning all at once.
    pub spread: Spread,
}

impl Default for TickLimits {
    fn default() -> Self {
        Self { mode: Mode::default(), grace: GRACE, spread: Spread::default() }
    }
}

/// Whether jobs run at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Their instants are skipped.
    Disabled,
    /// They run.
    #[default]
    Enabled,
}

/// How the instants that are caught up are kept from beginning all at once. Those on time begin at once
/// in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread {
    /// How many were caught up before this page, at the same time: the sum of
    /// [`Decision::caught_up`] of the pages before it.
    pub before: u32,
    /// How many begin at once.
    pub at_once: u32,
    /// How much later than the one before it each further one begins.
    pub gap: Duration,
    /// By less than this much each further one is moved, always the same for a job.
    pub jitter: Duration,
}

impl Default for Spread {
    /// Five at once, and the others five seconds apart (`runtime.md` §4.5 of the reference), moved by less
    /// than a second.
    fn default() -> Self {
        Self { before: 0, at_once: 5, gap: Duration::from_secs(5), jitter: Duration::from_secs(1) }
    }
}

impl Spread {
    /// Returns when a job begins to catch up, the how-manieth it may be.
    fn start(&self, index: u32, job: &str, now: Timestamp) -> Timestamp {
        let Some(further) = index.checked_sub(self.at_once) else {
            return now;
        };
        let gap = self.gap.saturating_mul(further.saturating_add(1));
        let jitter = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        let jitter = hash::stable(job).checked_rem(jitter).unwrap_or(0);
        now.saturating_add(gap.saturating_add(Duration::from_millis(jitter)))
    }
}

/// What becomes of a job that was due.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Decision<J> {
    /// Which job.
    pub job: J,
    /// What the ledger gets, oldest first: each instant from the one that was due in exactly one row.
    pub rows: Vec<LedgerRow>,
    /// When the job is due next.
    pub next: Next,
    /// How many of the claims are of instants that were late, for [`Spread::before`] of the next page.
    pub caught_up: u32,
}

/// A row of the ledger: what became of one instant, or of several in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LedgerRow {
    /// The instant is to run.
    Claim {
        /// The instant.
        at: Timestamp,
        /// When its run begins: later than now for one that is caught up and must wait for others.
        start_at: Timestamp,
    },
    /// The instants passed while the gateway was not there, and are not caught up.
    Miss {
        /// The oldest.
        from: Timestamp,
        /// The newest.
        to: Timestamp,
        /// How many there are.
        count: u64,
    },
    /// The instants do not run, though the gateway was there.
    Skip {
        /// The oldest.
        at: Timestamp,
        /// The newest.
        to: Timestamp,
        /// How many there are.
        count: u64,
        /// Why.
        reason: SkipReason,
    },
}

/// Why an instant does not run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SkipReason {
    /// The job has failed, and waits.
    BackOff,
    /// An earlier instant is still at work.
    Busy,
    /// No jobs run at all.
    Disabled,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::BackOff, Self::Busy, Self::Disabled];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BackOff => "back-off",
            Self::Busy => "still-running",
            Self::Disabled => "disabled",
        }
    }

    /// Returns the reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// When a job is due next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// At this instant. It is not after now if the tick has stopped before all were looked at.
    At(Timestamp),
    /// It is not known, and the ledger got nothing: the job stays due.
    Fault(ScheduleError),
    /// Never again.
    Never,
}

/// What is left of several instants when the clock shows that only some of them have come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Passed {
    /// The newest of those that have come.
    pub newest: Timestamp,
    /// How many they are.
    pub count: u64,
    /// The first that is none of them; `None` when there is none.
    pub next: Option<Timestamp>,
}

/// Counts the instants of a job from one of them until now; `None` when that one has not come. Of instants that
/// have to be found one by one it counts [`MAX_STEPS`] at most: `next` is then not after now.
///
/// # Errors
/// When the schedule cannot tell them.
pub fn passed(
    rules: &Rules,
    from: Timestamp,
    now: Timestamp,
) -> Result<Option<Passed>, ScheduleError> {
    let instants = Instants::until(rules, from, now)?;
    let all = 0..instants.count();
    Ok(span(&instants, all).map(|(_, newest, count)| Passed {
        newest,
        count,
        next: instants.next(),
    }))
}

/// Decides what becomes of each instant that has come, for a page of jobs, the longest overdue first.
pub fn tick<J: AsRef<str> + Clone>(
    page: &[DueJob<J>],
    limits: &TickLimits,
    now: Timestamp,
) -> Vec<Decision<J>> {
    let mut spread = limits.spread;
    let decide = |due: &DueJob<J>| {
        let decision = decide(due, &TickLimits { spread, ..*limits }, now);
        spread.before = spread.before.saturating_add(decision.caught_up);
        decision
    };
    page.iter().map(decide).collect()
}

/// Decides for one job.
fn decide<J: AsRef<str> + Clone>(
    due: &DueJob<J>,
    limits: &TickLimits,
    now: Timestamp,
) -> Decision<J> {
    let instants = match Instants::until(&due.rules, due.due, now) {
        Ok(instants) => instants,
        Err(error) => {
            let next = Next::Fault(error);
            return Decision { job: due.job.clone(), rows: Vec::new(), next, caught_up: 0 };
        }
    };
    let plan = Plan::new(due, limits, &instants, now);
    let mut rows = Vec::new();
    rows.extend(skip(&instants, plan.skipped, plan.reason));
    rows.extend(span(&instants, plan.missed).map(|(from, to, count)| LedgerRow::Miss {
        from,
        to,
        count,
    }));
    let mut caught_up = 0;
    for at in instants.each(plan.caught_up) {
        let index = limits.spread.before.saturating_add(caught_up);
        rows.push(LedgerRow::Claim {
            at,
            start_at: limits.spread.start(index, due.job.as_ref(), now),
        });
        caught_up = caught_up.saturating_add(1);
    }
    rows.extend(instants.each(plan.on_time).map(|at| LedgerRow::Claim { at, start_at: now }));
    rows.extend(skip(&instants, plan.busy.clone(), SkipReason::Busy));
    let next = instants.get(plan.busy.end).or_else(|| instants.next());
    Decision { job: due.job.clone(), rows, next: next.map_or(Next::Never, Next::At), caught_up }
}

/// What becomes of which of a job's instants: ranges of their indexes, each beginning where the one before
/// it ends.
struct Plan {
    skipped: Range<u64>,
    /// Why those before all others are skipped.
    reason: SkipReason,
    missed: Range<u64>,
    caught_up: Range<u64>,
    on_time: Range<u64>,
    busy: Range<u64>,
}

impl Plan {
    fn new<J>(due: &DueJob<J>, limits: &TickLimits, instants: &Instants, now: Timestamp) -> Self {
        let all = instants.count();
        let (skipped, reason) = match (limits.mode, due.not_before) {
            (Mode::Disabled, _) => (all, SkipReason::Disabled),
            (Mode::Enabled, None) => (0, SkipReason::BackOff),
            (Mode::Enabled, Some(end)) => (instants.count_before(end), SkipReason::BackOff),
        };
        let late = instants.count_before(now.saturating_sub(limits.grace)).max(skipped);
        let wanted = match due.rules.catch_up {
            CatchUp::All(count) => u64::from(count.min(MAX_CATCH_UP)),
            CatchUp::Last if late < all => 0,
            CatchUp::Last => 1,
            CatchUp::None => 0,
        };
        let kept = late.saturating_sub(wanted).max(skipped);
        let at = |index| index..index;
        if late == all && instants.is_cut_off() {
            // There are newer ones, and which of these are among the newest that are wanted is not known
            // yet: they are left for the next tick.
            let (missed, none) = (skipped..kept, at(kept));
            let (caught_up, on_time, busy) = (none.clone(), none.clone(), none);
            return Self { skipped: 0..skipped, reason, missed, caught_up, on_time, busy };
        }
        let (caught_up, on_time) = match due.is_busy {
            Busy::Busy => (at(kept), at(kept)),
            Busy::Free => (kept..late, late..all.min(late.saturating_add(1))),
        };
        let busy = on_time.end..all;
        Self { skipped: 0..skipped, reason, missed: skipped..kept, caught_up, on_time, busy }
    }
}

/// Returns the oldest, the newest and the number of some instants; none if there are none.
fn span(instants: &Instants, range: Range<u64>) -> Option<(Timestamp, Timestamp, u64)> {
    let count = range.end.checked_sub(range.start)?;
    let last = range.end.checked_sub(1)?;
    (count > 0).then_some(())?;
    Some((instants.get(range.start)?, instants.get(last)?, count))
}

fn skip(instants: &Instants, range: Range<u64>, reason: SkipReason) -> Option<LedgerRow> {
    let (at, to, count) = span(instants, range)?;
    Some(LedgerRow::Skip { at, to, count, reason })
}

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod tests;
