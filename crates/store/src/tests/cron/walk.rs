//! A clock that does what it likes, people who change their minds, and a machine that goes down.

use std::collections::{BTreeMap, VecDeque};

use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::{Caller, Scope, ScopeSet, Timestamp};
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, START, add, cron, millis, rules, spec, within};
use crate::tests::access::{OPERATOR, caller, holder, named};
use crate::tests::{Dice, key, owner};
use crate::{
    ActError, AfterRun, JobError, JobPatch, JobPlace, JobSpec, Payload, RotateDevice, Switch,
};

/// Steps that are told when something goes wrong.
const TOLD: usize = 40;
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

/// Whether rows that are older than they are kept are removed in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ledger {
    Kept,
    Swept,
}

/// What is known of a job beside the store.
struct Known {
    name: String,
    is_gone: bool,
    /// Whether it is still what it was added as.
    is_untouched: bool,
}

pub(super) struct Walk {
    pub(super) clockwork: Clockwork,
    dice: Dice,
    jobs: Vec<Known>,
    max_jobs: usize,
    ledger: Ledger,
    /// By how much the clock is wrong.
    wrong_by: i64,
    steps: VecDeque<String>,
    names: u32,
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
    pub(super) async fn new(seed: u64, max_jobs: usize, ledger: Ledger) -> Self {
        let mut clockwork = Clockwork::new();
        clockwork.bed.pair(clockwork.store(), 1, Scope::Admin.into()).await;
        // BUG: a request in the very millisecond of an instant takes that instant's row. The clock here never
        // shows a whole second, so that this does not happen; see `a_request_in_the_moment_in_which_the_job_is_due`.
        clockwork.pass(500);
        Self {
            clockwork,
            dice: Dice(seed),
            jobs: Vec::new(),
            max_jobs,
            ledger,
            wrong_by: 0,
            steps: VecDeque::new(),
            names: 0,
            tally: BTreeMap::new(),
        }
    }

    fn note(&mut self, step: impl Into<String>) {
        let at = self.clockwork.now.as_millis() - START;
        self.steps.push_back(format!("{:9}s {}", at / SECOND, step.into()));
        while self.steps.len() > TOLD {
            self.steps.pop_front();
        }
    }

    fn came(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap();
        low + i64::try_from(self.dice.below(span)).unwrap()
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(end).unwrap())).unwrap()
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    /// How many days have passed, by a clock that is right.
    pub(super) fn days(&self) -> i64 {
        (self.clockwork.now.as_millis() - self.wrong_by - START) / DAY
    }

    /// A job that was not removed.
    fn a_job(&mut self) -> Option<usize> {
        let there: Vec<_> = (0..self.jobs.len()).filter(|job| !self.jobs[*job].is_gone).collect();
        if there.is_empty() { None } else { Some(there[self.below(there.len())]) }
    }

    fn some_rules(&mut self) -> Rules {
        let zone = ZONES[self.below(ZONES.len())];
        let (hour, minute) = (self.dice.below(24), self.dice.below(60));
        let date = 1 + self.dice.below(31);
        let rules = match self.dice.below(40) {
            0..6 => {
                let after = self.between(1, 60) * self.between(HOUR, DAY);
                rules(Schedule::at(self.clockwork.later(after)))
            }
            6 => cron(&format!("{minute} * * * *"), zone),
            7 => cron("*/20 * * * 1-5", zone),
            8..11 => cron(&format!("{minute} {hour} * * *"), zone),
            11..16 => cron(&format!("{minute} {hour} * * {}", date % 7), zone),
            16..24 => cron(&format!("{minute} {hour} {date} * *"), zone),
            24 => within("09:00", "17:30", zone, self.some_interval(HOUR)),
            25 => within("22:00", "06:00", zone, cron(&format!("{minute} */3 * * *"), zone)),
            26 => self.some_interval(MINUTE),
            27..30 => self.some_interval(HOUR),
            _ => self.some_interval(DAY),
        };
        let catch_up = match self.dice.below(4) {
            0 => CatchUp::None,
            1 => CatchUp::All(1 + u32::try_from(self.dice.below(5)).unwrap()),
            _ => CatchUp::Last,
        };
        let stagger = if self.once_in(4) { self.between(1, 300) * SECOND } else { 0 };
        Rules { catch_up, stagger: millis(stagger), ..rules }
    }

    fn some_interval(&mut self, unit: i64) -> Rules {
        let every = self.between(5, 60) * unit;
        let anchor = self.clockwork.later(self.dice.below(1_000_000).cast_signed());
        rules(Schedule::every(millis(every), anchor).unwrap())
    }

    fn some_spec(&mut self, name: &str) -> JobSpec {
        let rules = self.some_rules();
        let (payload, place) = match self.dice.below(10) {
            0 => (Payload::SystemEvent { text: format!("{name}!") }, JobPlace::Main),
            1 => (Payload::AgentTurn { message: "Go on.".into() }, JobPlace::Main),
            2 => (
                Payload::AgentTurn { message: "Go on.".into() },
                JobPlace::Session(key("cron:shared")),
            ),
            _ => (Payload::AgentTurn { message: "Go on.".into() }, JobPlace::Isolated),
        };
        let after_run = if self.once_in(8) { AfterRun::Delete } else { AfterRun::Keep };
        let agent = if self.once_in(40) { "stranger" } else { "main" };
        let agent = agent.parse().unwrap();
        JobSpec { payload, place, after_run, agent, ..spec(name, rules) }
    }

    fn somebody(&mut self) -> Caller {
        match self.dice.below(4) {
            0 => caller(self.clockwork.store(), 1, ScopeSet::ALL),
            _ => owner(),
        }
    }

    /// Everything that happens between two looks at the clock.
    pub(super) async fn step(&mut self) {
        self.time().await;
        let (rows, begun) = (self.clockwork.settle().await, self.clockwork.begin().await);
        self.note(format!("{rows} rows, {} begun", begun.len()));
        if self.ledger == Ledger::Swept && self.once_in(5) {
            while self.clockwork.store().sweep_ledger(self.clockwork.now).await.unwrap() {}
        }
        self.work().await;
        for _ in 0..1 + self.max_jobs / 100 {
            self.somebody_acts().await;
        }
    }

    async fn time(&mut self) {
        let length = match self.dice.below(10) {
            0..4 => self.between(1, 60) * MINUTE,
            4..7 => self.between(1, 24) * HOUR,
            _ => self.between(1, 5) * DAY,
        };
        self.clockwork.pass(length);
        if self.wrong_by != 0 && self.once_in(4) {
            // Somebody sets it right.
            self.clockwork.pass(-self.wrong_by);
            self.wrong_by = 0;
            self.note("the clock is right again");
        } else if self.once_in(25) {
            let wrong_by = match self.dice.below(8) {
                0 => -365 * DAY,
                // After this nothing that was there before is due for a year.
                1 if self.days() > 330 => 365 * DAY,
                1..5 => -HOUR,
                _ => HOUR,
            };
            self.clockwork.pass(wrong_by);
            self.wrong_by += wrong_by;
            self.note(format!("the clock is set by {} hours", wrong_by / HOUR));
            let far = wrong_by.abs() > DAY;
            self.came(if far { "the clock was set by a year" } else { "the clock was set" });
        }
        if self.once_in(20) {
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
            0..14 => self.clockwork.check_reads().await,
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

    async fn add(&mut self) {
        for _ in 0..4 {
            self.names += 1;
            let name = format!("j{}", self.names);
            let (ask, by) = (add(self.some_spec(&name)), self.somebody());
            match self.clockwork.try_add(&by, ask).await {
                Ok(_) => {}
                // It is never due within its hours.
                Err(ActError::Failed(JobError::Schedule(_))) => continue,
                Err(error) => panic!("{error:?}"),
            }
            self.jobs.push(Known { name, is_gone: false, is_untouched: true });
        }
    }

    /// Whether a job that goes by itself is there still.
    fn is_there(&mut self, job: usize) -> bool {
        let is_there = self.clockwork.store().job(&super::of(&self.jobs[job].name)).is_ok();
        self.jobs[job].is_gone = !is_there;
        is_there
    }

    async fn edit(&mut self) {
        let Some(job) = self.a_job() else { return };
        let name = self.jobs[job].name.clone();
        let rules = if self.once_in(3) { None } else { Some(self.some_rules()) };
        let patch = JobPatch { rules, max_tokens: Some(self.dice.below(9)), ..JobPatch::default() };
        let edited = self.clockwork.update(&name, patch).await;
        self.note(format!("{name} is changed: {:?}", edited.as_ref().map(|job| job.next_at)));
        match edited {
            Ok(_) => self.jobs[job].is_untouched = false,
            Err(ActError::Failed(JobError::Unknown(_))) => assert!(!self.is_there(job)),
            Err(ActError::Failed(JobError::NeverDue(_) | JobError::Schedule(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
        self.came("changed");
    }

    async fn switch(&mut self) {
        let Some(job) = self.a_job() else { return };
        let name = self.jobs[job].name.clone();
        let to = if self.once_in(3) { Switch::Off } else { Switch::On };
        let switched = self.clockwork.switch(&name, to).await;
        self.note(format!("{name} is switched {to:?}"));
        match switched {
            Ok(now) => {
                assert_eq!((now.disabled.is_none(), now.next_at.is_some()), (to == Switch::On, to == Switch::On));
                self.jobs[job].is_untouched = false;
            }
            Err(ActError::Failed(JobError::Unknown(_))) => assert!(!self.is_there(job)),
            Err(ActError::Failed(JobError::NeverDue(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
        self.came("switched");
    }

    async fn request(&mut self) {
        let Some(job) = self.a_job() else { return };
        if !self.is_there(job) {
            return;
        }
        let name = self.jobs[job].name.clone();
        let times = 1 + self.dice.below(2);
        for _ in 0..times {
            let asked = self.clockwork.request(&name).await;
            self.note(format!("{name} is asked for at {}", asked.scheduled_at));
        }
        self.came("asked for");
    }

    async fn cancel(&mut self) {
        let sql = "SELECT count(*) FROM cron_occurrences WHERE state = 'claimed'";
        if self.clockwork.count(sql) == 0 {
            return;
        }
        let sql = "SELECT j.job FROM cron_occurrences o JOIN cron_jobs j ON j.id = o.job
                   WHERE o.state = 'claimed' AND j.deleted_at IS NULL ORDER BY o.id DESC LIMIT 1";
        let found = self.clockwork.disk.query_row(sql, [], |row| row.get::<_, String>(0));
        let Ok(name) = found else { return };
        let cancelled = self.clockwork.cancel(&name).await.unwrap();
        self.note(format!("{name} is cancelled, {} with it", cancelled.ended.len()));
        self.came("cancelled");
    }

    async fn remove(&mut self) {
        if self.jobs.len() < self.max_jobs / 2 {
            return;
        }
        let Some(job) = self.a_job() else { return };
        if self.is_there(job) {
            let name = self.jobs[job].name.clone();
            self.clockwork.remove(&name).await;
            self.note(format!("{name} is removed"));
            self.jobs[job].is_gone = true;
            self.came("removed");
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
            self.clockwork.check_dense(&job, &rows, None);
            checked += 1;
        }
        checked
    }

    /// Everything comes to its end.
    pub(super) async fn come_to_rest(&mut self) {
        self.clockwork.pass(-self.wrong_by);
        for _ in 0..3 {
            self.clockwork.pass(HOUR);
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
