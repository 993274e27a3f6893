//! A clock that does what it likes, people who change their minds, and a machine that goes down.

use std::collections::{BTreeMap, VecDeque};

use openclaw_scopes::{Scope, Timestamp};
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, START};
use crate::tests::access::{OPERATOR, holder, named};
use crate::tests::{Dice, key, owner};
use crate::{Asked, RotateDevice};

/// Steps that are told when something goes wrong.
const TOLD: usize = 40;
/// Whether rows that are older than they are kept are removed in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ledger {
    Kept,
    Swept,
}

/// What is known of a job beside the store.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) is_gone: bool,
    /// Whether it is still what it was added as.
    pub(super) is_untouched: bool,
}

pub(super) struct Walk {
    pub(super) clockwork: Clockwork,
    pub(super) dice: Dice,
    pub(super) jobs: Vec<Known>,
    pub(super) max_jobs: usize,
    /// How much people read and change in a step.
    acts: usize,
    ledger: Ledger,
    /// By how much the clock is wrong.
    wrong_by: i64,
    steps: VecDeque<String>,
    pub(super) names: u32,
    /// How often something came of a step that does not always.
    pub(super) tally: BTreeMap<&'static str, u32>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.steps.iter().for_each(|step| println!("{step}"));
        }
    }
}

impl Walk {
    pub(super) async fn new(seed: u64, max_jobs: usize, acts: usize, ledger: Ledger) -> Self {
        let clockwork = Clockwork::new();
        clockwork.bed.pair(clockwork.store(), 1, Scope::Admin.into()).await;
        Self {
            clockwork,
            dice: Dice(seed),
            jobs: Vec::new(),
            max_jobs,
            acts,
            ledger,
            wrong_by: 0,
            steps: VecDeque::new(),
            names: 0,
            tally: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, step: impl Into<String>) {
        let at = self.clockwork.now.as_millis() - START;
        self.steps.push_back(format!("{:9}s {}", at / SECOND, step.into()));
        while self.steps.len() > TOLD {
            self.steps.pop_front();
        }
    }

    pub(super) fn came(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap();
        low + i64::try_from(self.dice.below(span)).unwrap()
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(end).unwrap())).unwrap()
    }

    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    /// How many days have passed, by a clock that is right.
    pub(super) fn days(&self) -> i64 {
        (self.clockwork.now.as_millis() - self.wrong_by - START) / DAY
    }

    /// A job that was not removed.
    pub(super) fn a_job(&mut self) -> Option<usize> {
        let there: Vec<_> = (0..self.jobs.len()).filter(|job| !self.jobs[*job].is_gone).collect();
        if there.is_empty() { None } else { Some(there[self.below(there.len())]) }
    }

    /// Everything that happens between two looks at the clock.
    pub(super) async fn step(&mut self) {
        self.time().await;
        self.clockwork.workers = 1 + self.below(5);
        if self.clockwork.rewind().await > 0 {
            self.came("taken back");
        }
        let rows = self.clockwork.settle().await;
        self.may_crash().await;
        let begun = self.clockwork.begin().await;
        self.may_crash().await;
        self.note(format!("{rows} rows, {} begun", begun.len()));
        if self.ledger == Ledger::Swept && self.once_in(5) {
            while self.clockwork.store().sweep_ledger(self.clockwork.now).await.unwrap() {}
        }
        self.work().await;
        for _ in 0..self.acts {
            self.somebody_acts().await;
        }
    }

    async fn time(&mut self) {
        let length = match self.dice.below(10) {
            0..3 => self.between(1, 60) * MINUTE,
            3..6 => self.between(1, 24) * HOUR,
            _ => self.between(1, 9) * DAY,
        };
        self.clockwork.pass(length);
        if self.wrong_by != 0 && self.once_in(4) {
            // Somebody sets it right.
            self.clockwork.pass(-self.wrong_by);
            self.wrong_by = 0;
            self.note("the clock is right again");
        } else if self.once_in(10) {
            let wrong_by = match self.dice.below(8) {
                0 => -365 * DAY,
                1 => 365 * DAY,
                2..5 => -HOUR,
                _ => HOUR,
            };
            self.clockwork.pass(wrong_by);
            self.wrong_by += wrong_by;
            self.note(format!("the clock is set by {} hours", wrong_by / HOUR));
            let far = wrong_by.abs() > DAY;
            self.came(if far { "the clock was set by a year" } else { "the clock was set" });
        }
        self.may_crash().await;
    }

    /// Between any two of the things that happen.
    async fn may_crash(&mut self) {
        if self.once_in(12) {
            self.note("a crash");
            self.came("a crash");
            self.clockwork.crash().await;
        }
    }

    /// What works comes to its end, if it is not at it for long.
    async fn work(&mut self) {
        self.clockwork.resume().await;
        for run in self.clockwork.working.keys().cloned().collect::<Vec<_>>() {
            let (status, text) = match self.dice.below(20) {
                0..13 => (RunStatus::Ok, "Done."),
                13..16 => (RunStatus::Error, "overloaded: come back later"),
                16 => (RunStatus::Error, "auth: no key"),
                17 => (RunStatus::Timeout, "too long"),
                18 => (RunStatus::Aborted, ""),
                _ => continue,
            };
            self.clockwork.end(&run, status, text).await;
            self.came(status.name());
        }
        if self.once_in(4) {
            self.announce().await;
        }
    }

    async fn announce(&mut self) {
        let main = key("main");
        let Some(due) = self.clockwork.store().due(&main).unwrap() else { return };
        let now = self.clockwork.now;
        if due.grant.is_none() {
            let reason = "the grant that it rests on has ended".to_owned();
            self.clockwork.store().bury_notices(&due, reason, now).await.unwrap();
            self.came("buried");
            return;
        }
        self.names += 1;
        let run = format!("heard-{}", self.names);
        let started = self.clockwork.announce(&run, &main).await.unwrap();
        self.clockwork.working.insert(started.view.run.clone(), started);
        self.came("told");
    }

    async fn somebody_acts(&mut self) {
        match self.dice.below(24) {
            0..12 if self.jobs.len() < self.max_jobs => self.add().await,
            0 => self.clockwork.check_reads().await,
            14..16 => self.edit().await,
            16..18 => self.switch().await,
            18..20 => self.request().await,
            20 => self.cancel().await,
            21 => self.remove().await,
            22 if self.once_in(4) => {
                let ask = RotateDevice { device: named(1), role: OPERATOR, scopes: None };
                self.clockwork.store().act(&owner(), ask, self.clockwork.now).await.unwrap();
                assert!(self.clockwork.store().epoch(&holder(1)).unwrap().is_some());
                self.came("rotated");
            }
            _ => {}
        }
    }

    /// What was never changed has each of its instants in the ledger.
    pub(super) async fn check_dense(&mut self) -> usize {
        if self.ledger == Ledger::Swept {
            return 0;
        }
        let mut checked = 0;
        for job in 0..self.jobs.len() {
            if !self.jobs[job].is_untouched || !self.is_there(job) {
                continue;
            }
            let name = &self.jobs[job].name;
            let (job, rows) = (self.clockwork.job(name), self.clockwork.ledger(name).await);
            // A clock that was set back to before a job was added is right: it is due from then on.
            let scheduled = rows.iter().filter(|row| row.requested == Asked::BySchedule);
            let first = scheduled.map(|row| row.scheduled_at).min();
            let first = first.filter(|first| *first <= job.created_at);
            let is_early = rows.is_empty() && job.created_at > self.clockwork.now;
            let first = first.or_else(|| job.next_at.filter(|_| is_early));
            self.clockwork.check_dense(&job, &rows, first);
            checked += 1;
        }
        checked
    }

    /// Everything comes to its end.
    pub(super) async fn come_to_rest(&mut self) {
        self.clockwork.pass(-self.wrong_by);
        for _ in 0..3 {
            self.clockwork.pass(HOUR);
            self.clockwork.rewind().await;
            self.clockwork.look().await;
            self.clockwork.resume().await;
            for run in self.clockwork.working.keys().cloned().collect::<Vec<_>>() {
                self.clockwork.end(&run, RunStatus::Ok, "Done.").await;
            }
        }
        let due = "SELECT count(*) FROM cron_jobs WHERE next_at <= ";
        let now: Timestamp = self.clockwork.now;
        assert_eq!(self.clockwork.count(&format!("{due}{}", now.as_millis())), 0);
    }
}
