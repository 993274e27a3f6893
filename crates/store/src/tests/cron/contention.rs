//! Several that look at the same page before any of them writes: each instant has one row and one run.

use openclaw_scheduler::{CatchUp, Mode, Rules, Schedule, Spread, TickLimits, tick};
use openclaw_scopes::{Caller, Cause, Component};
use openclaw_sessions::RunStatus;
use tokio::task::JoinSet;

use super::clockwork::{Clockwork, run_of};
use super::{HOUR, MINUTE, every, once, spec};
use crate::tests::Dice;
use crate::{FireJob, Fired, JobSpec, NotFired, Payload, Switch};

const JOBS: usize = 40;

async fn with_jobs(dice: &mut Dice) -> Clockwork {
    let clockwork = Clockwork::new();
    for number in 0..JOBS {
        let catch_up = [CatchUp::None, CatchUp::Last, CatchUp::All(3)][number % 3];
        let schedule = match dice.below(3) {
            0 => once(MINUTE),
            1 => every(HOUR),
            _ => every(MINUTE),
        };
        let payload = match dice.below(4) {
            0 => Payload::SystemEvent { text: format!("Event {number}.") },
            _ => Payload::AgentTurn { message: "Go on.".into() },
        };
        let rules = Rules { catch_up, ..schedule };
        clockwork.add(JobSpec { payload, ..spec(&format!("j{number}"), rules) }).await;
    }
    clockwork
}

/// All settle what all have read, and then begin what all have read, at the same time.
#[tokio::test]
async fn each_instant_has_one_row_and_one_run() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let workers = 2 + dice.below(4);
        let mut clockwork = with_jobs(&mut dice).await;
        for _ in 0..6 {
            clockwork.pass([MINUTE, 3 * MINUTE, HOUR][usize::try_from(dice.below(3)).unwrap()]);
            let mut tasks = JoinSet::new();
            for _ in 0..workers {
                let (due, unreadable) = clockwork.store().due_jobs(clockwork.now, 256).unwrap();
                let (store, now) = (clockwork.store().clone(), clockwork.now);
                tasks.spawn(async move {
                    let limits = TickLimits {
                        mode: Mode::Enabled,
                        spread: Spread::default(),
                        ..TickLimits::default()
                    };
                    let decisions = tick(&due, &limits, now);
                    let rows: usize = decisions.iter().map(|decision| decision.rows.len()).sum();
                    (rows, store.settle_due(decisions, unreadable, now).await.unwrap())
                });
            }
            let all = tasks.join_all().await;
            let new: u64 = all.iter().map(|(_, new)| new).sum();
            assert_eq!(new, u64::try_from(all[0].0).unwrap(), "what one of them would write");
            begin_all(&mut clockwork, workers).await;
            // What works may be at it for long.
            for run in clockwork.working.keys().cloned().collect::<Vec<_>>() {
                if dice.below(3) > 0 {
                    clockwork.end(&run, RunStatus::Ok, "Done.").await;
                }
            }
            clockwork.check().await;
        }
        let rows = "SELECT count(*) FROM cron_occurrences WHERE run LIKE 'cron-%' AND session LIKE '%:run:%'";
        let runs = "SELECT count(*) FROM runs WHERE occurrence IS NOT NULL";
        assert_eq!(clockwork.count(rows), clockwork.count(runs));
        assert!(clockwork.count(runs) > 20, "something ran");
        let twice = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE occurrence IS NOT NULL
                         GROUP BY occurrence HAVING count(*) > 1)";
        assert_eq!(clockwork.count(twice), 0);
        for job in 0..JOBS {
            let name = format!("j{job}");
            let (job, rows) = (clockwork.job(&name), clockwork.ledger(&name).await);
            clockwork.check_dense(&job, &rows, None);
        }
    }
}

/// All begin what all have read.
async fn begin_all(clockwork: &mut Clockwork, workers: u64) {
    let pages: Vec<_> = (0..workers)
        .map(|_| clockwork.store().startable_jobs(clockwork.now, 256).unwrap())
        .collect();
    let mut tasks = JoinSet::new();
    let expected = pages[0].len();
    for page in pages {
        let asks: Vec<_> = page
            .into_iter()
            .map(|claimed| {
                let spec = claimed.spec.clone().unwrap();
                let run = run_of(&claimed);
                let session = clockwork.session_of(&spec, &claimed, &run);
                let work = clockwork.work(&claimed, &spec, &run, session);
                let cause = Cause::Job(claimed.job.as_str().into());
                let grant = claimed.grant.clone().unwrap();
                let by = Caller::delegate(Component::Scheduler, grant, cause);
                let (occurrence, revision, job) =
                    (claimed.occurrence, claimed.revision, claimed.job);
                (by, FireJob { occurrence, job, revision, work })
            })
            .collect();
        let (store, now) = (clockwork.store().clone(), clockwork.now);
        tasks.spawn(async move {
            let mut begun = Vec::new();
            for (by, ask) in asks {
                let occurrence = ask.occurrence;
                match store.act(&by, ask, now).await.unwrap() {
                    Fired::Gone => {
                        // Who was too late and says so changes nothing.
                        let why = NotFired::Failed("too late".into());
                        store.not_fired(occurrence, why, now).await.unwrap();
                    }
                    fired => begun.push(fired),
                }
            }
            begun
        });
    }
    let begun: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(begun.len(), expected, "each is begun by one of them");
    for fired in begun {
        if let Fired::Accepted(accepted) = fired {
            let crate::Accepted::Started(started) = *accepted else { panic!("it has a turn") };
            clockwork.working.insert(started.view.run.clone(), *started);
        }
    }
}

/// What was decided about a job that is another by now is dropped.
#[tokio::test]
async fn who_decides_late_decides_nothing() {
    for change in ["edit", "edit, earlier", "off", "off and on", "remove", "settled"] {
        let mut clockwork = Clockwork::new();
        // From the first minute on, however far the clock is set back.
        let rules = |every| {
            let schedule = Schedule::every(super::millis(every), super::at(MINUTE));
            super::rules(schedule.unwrap())
        };
        clockwork.add(spec("j", rules(MINUTE))).await;
        clockwork.pass(MINUTE);
        let (due, unreadable) = clockwork.store().due_jobs(clockwork.now, 9).unwrap();
        let decisions = tick(&due, &TickLimits::default(), clockwork.now);
        match change {
            "edit" => {
                let rules = Some(every(HOUR));
                let patch = crate::JobPatch { rules, ..crate::JobPatch::default() };
                clockwork.update("j", patch).await.unwrap();
            }
            // The clock was set back meanwhile, so that it is due at the same time as before.
            "edit, earlier" => {
                clockwork.pass(-HOUR);
                let rules = Some(Rules { catch_up: CatchUp::None, ..rules(MINUTE) });
                let patch = crate::JobPatch { rules, ..crate::JobPatch::default() };
                clockwork.update("j", patch).await.unwrap();
                clockwork.pass(HOUR);
                assert_eq!(clockwork.job("j").next_at, Some(super::at(MINUTE)));
            }
            "off" => {
                clockwork.switch("j", Switch::Off).await.unwrap();
            }
            "off and on" => {
                clockwork.switch("j", Switch::Off).await.unwrap();
                clockwork.switch("j", Switch::On).await.unwrap();
            }
            "remove" => clockwork.remove("j").await,
            _ => assert_eq!(clockwork.settle().await, 1),
        }
        let before = (clockwork.bed.dump(), clockwork.told("j").await);
        let rows = clockwork.store().settle_due(decisions, unreadable, clockwork.now).await;
        assert_eq!(rows.unwrap(), 0, "{change}");
        assert_eq!((clockwork.bed.dump(), clockwork.told("j").await), before, "{change}");
    }
}
