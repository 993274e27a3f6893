//! What people think of in a walk: jobs of all kinds, and other ideas about them.

use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::{Caller, ScopeSet};

use super::walk::{Known, Walk};
use super::{DAY, HOUR, MINUTE, SECOND, add, cron, millis, of, rules, spec, within};
use crate::tests::access::caller;
use crate::tests::{key, owner};
use crate::{ActError, AfterRun, JobError, JobPatch, JobPlace, JobSpec, Payload, Switch};

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

impl Walk {
    fn some_rules(&mut self) -> Rules {
        let zone = ZONES[self.below(ZONES.len())];
        let (hour, minute) = (self.dice.below(24), self.dice.below(60));
        let date = 1 + self.dice.below(31);
        // Most are rare, as of so many only a few can be due at each look.
        let rules = match self.dice.below(320) {
            0..20 | 200..220 => {
                let after = self.between(1, 60) * self.between(HOUR, DAY);
                rules(Schedule::at(self.clockwork.later(after)))
            }
            20 => cron(&format!("{minute} * * * *"), zone),
            21 => cron("*/20 * * * 1-5", zone),
            22 => within("09:00", "17:30", zone, self.some_interval(HOUR)),
            23 => within("22:00", "06:00", zone, cron(&format!("{minute} */3 * * *"), zone)),
            24 => self.some_interval(MINUTE),
            25 => self.some_interval(HOUR),
            26..29 => cron(&format!("{minute} {hour} * * *"), zone),
            29..36 => cron(&format!("{minute} {hour} * * {}", date % 7), zone),
            36..70 => cron(&format!("{minute} {hour} {date} * *"), zone),
            70..200 => cron(&format!("{minute} {hour} {date} */3 *"), zone),
            220..225 => self.some_interval(DAY),
            _ => self.some_interval(6 * DAY),
        };
        let catch_up = match self.dice.below(4) {
            0 => CatchUp::None,
            1 => CatchUp::All(1 + u32::try_from(self.dice.below(4)).unwrap()),
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
        JobSpec { agent, payload, place, after_run, ..spec(name, rules) }
    }

    fn somebody(&mut self) -> Caller {
        match self.dice.below(4) {
            0 => caller(self.clockwork.store(), 1, ScopeSet::ALL),
            _ => owner(),
        }
    }

    pub(super) async fn add(&mut self) {
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
    pub(super) fn is_there(&mut self, job: usize) -> bool {
        let is_there = self.clockwork.store().job(&of(&self.jobs[job].name)).is_ok();
        self.jobs[job].is_gone = !is_there;
        is_there
    }

    pub(super) async fn edit(&mut self) {
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

    pub(super) async fn switch(&mut self) {
        let Some(job) = self.a_job() else { return };
        let name = self.jobs[job].name.clone();
        let to = if self.once_in(3) { Switch::Off } else { Switch::On };
        let switched = self.clockwork.switch(&name, to).await;
        self.note(format!("{name} is switched {to:?}"));
        match switched {
            Ok(now) => {
                assert_eq!(now.disabled.is_none(), to == Switch::On);
                assert!(to == Switch::On || now.next_at.is_none());
                self.jobs[job].is_untouched = false;
            }
            Err(ActError::Failed(JobError::Unknown(_))) => assert!(!self.is_there(job)),
            Err(ActError::Failed(JobError::NeverDue(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
        self.came("switched");
    }

    pub(super) async fn request(&mut self) {
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

    pub(super) async fn cancel(&mut self) {
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

    pub(super) async fn remove(&mut self) {
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
}
