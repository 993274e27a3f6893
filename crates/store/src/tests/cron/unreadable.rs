//! Jobs that cannot be read any more: they are told of, do nothing, and hold up nobody.

use openclaw_sessions::RunStatus;
use rusqlite::params;

use super::clockwork::Clockwork;
use super::{MINUTE, add, at, every, once, spec};
use crate::tests::owner;
use crate::{AddJob, JobFilter, JobPatch};

/// What may stand where a job stood: other programs, other versions, a zone that is gone.
const GARBAGE: [&str; 7] = [
    "",
    "{}",
    "not JSON",
    "[1, 2",
    r#"{"schedule":{"kind":"never"},"catchUp":"last","payload":{"kind":"agentTurn","message":"x"},"session":"isolated"}"#,
    r#"{"schedule":{"kind":"cron","expression":"0 9 * * *","zone":"Mars/Base"},"catchUp":"last","payload":{"kind":"agentTurn","message":"x"},"session":"isolated"}"#,
    r#"{"schedule":{"kind":"every","everyMs":0,"anchor":0},"catchUp":"last","payload":{"kind":"agentTurn","message":"x"},"session":"isolated"}"#,
];

impl Clockwork {
    fn garble(&self, job: &str, text: &str) {
        let sql = "UPDATE cron_jobs SET spec = ?2 WHERE job = ?1";
        assert_eq!(self.disk.execute(sql, params![job, text]).unwrap(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_listed_and_off() {
    for garbage in GARBAGE {
        let mut clockwork = Clockwork::new();
        for name in ["bad", "good", "once"] {
            let rules = if name == "once" { once(MINUTE) } else { every(MINUTE) };
            clockwork.add(spec(name, rules)).await;
        }
        clockwork.garble("bad", garbage);
        let all = JobFilter { all: true, limit: 9, ..JobFilter::default() };
        let page = clockwork.store().view(&owner(), &all, clockwork.now).await.unwrap();
        let names: Vec<_> = page.jobs.iter().map(|job| (&*job.name, job.spec.is_ok())).collect();
        assert_eq!(names, [("bad", false), ("good", true), ("once", true)], "{garbage}");
        clockwork.pass(MINUTE);
        assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 2, "{garbage}");
        assert_eq!(clockwork.disabled("bad"), "schedule-errors", "{garbage}");
        assert!(!clockwork.job("bad").spec.unwrap_err().is_empty());
        let page = clockwork.store().jobs(&JobFilter { limit: 9, ..JobFilter::default() });
        assert_eq!(page.unwrap().jobs.len(), 1, "{garbage}: the good one");
        let patch = JobPatch { model: Some("a/b".into()), ..JobPatch::default() };
        let changed = clockwork.update("bad", patch).await;
        clockwork.fails(changed, "bad-schedule");
        clockwork.pass(MINUTE);
        assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1, "{garbage}");
        clockwork.remove("bad").await;
        clockwork.check().await;
    }
}

/// A schedule that leads nowhere is looked at three times, a minute apart, and is given up then.
#[tokio::test]
async fn a_schedule_that_leads_nowhere() {
    let nowhere = r#"{"schedule":{"kind":"cron","expression":"0 9 * * *","zone":"UTC"},
        "active":{"from":"10:00","until":"11:00","zone":"UTC"},"catchUp":"last",
        "payload":{"kind":"agentTurn","message":"x"},"session":"isolated"}"#;
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("bad", every(MINUTE))).await;
    clockwork.add(spec("good", every(MINUTE))).await;
    clockwork.garble("bad", nowhere);
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1, "the good one");
    assert_eq!(clockwork.disabled("bad"), "schedule-errors");
    assert_eq!(clockwork.job("bad").next_at, None);
    let never = clockwork.switch("bad", crate::Switch::On).await;
    clockwork.fails(never, "bad-schedule");
    clockwork.check().await;
}

/// Given anew under its key, it is whole again.
#[tokio::test]
async fn what_is_given_anew_can_be_read() {
    let mut clockwork = Clockwork::new();
    let give = |request: &str| AddJob {
        idempotency_key: request.parse().unwrap(),
        key: "k".into(),
        ..add(spec("j", every(MINUTE)))
    };
    clockwork.try_add(&owner(), give("one")).await.unwrap();
    clockwork.garble("j", "{}");
    clockwork.pass(MINUTE);
    clockwork.look().await;
    let again = clockwork.try_add(&owner(), give("two")).await.unwrap().job;
    assert_eq!((again.disabled, again.next_at), (None, Some(at(2 * MINUTE))));
    assert!(again.spec.is_ok());
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await.len(), 1);
    clockwork.check().await;
}

/// Whoever read it when it could not be read decides nothing about what was given anew since.
#[tokio::test]
async fn what_was_given_anew_stays_on() {
    let mut clockwork = Clockwork::new();
    let give = |request: &str| AddJob {
        idempotency_key: request.parse().unwrap(),
        key: "k".into(),
        ..add(spec("j", every(MINUTE)))
    };
    clockwork.try_add(&owner(), give("one")).await.unwrap();
    clockwork.garble("j", "{}");
    clockwork.pass(MINUTE);
    let (due, unreadable) = clockwork.store().due_jobs(clockwork.now, 9).unwrap();
    assert_eq!((due.len(), unreadable.len()), (0, 1));
    clockwork.try_add(&owner(), give("two")).await.unwrap();
    clockwork.store().settle_due(Vec::new(), unreadable, clockwork.now).await.unwrap();
    assert_eq!(clockwork.disabled("j"), "");
}

/// An instant that waits to begin, of a job that cannot be read by then, fails and holds up nobody.
#[tokio::test]
async fn what_waits_cannot_be_read() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("bad", every(MINUTE))).await;
    clockwork.add(spec("good", every(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    clockwork.garble("bad", "{}");
    let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap();
    assert_eq!(claimed.len(), 2);
    for claimed in claimed {
        clockwork.fire(claimed).await;
    }
    let rows = clockwork.ledger("bad").await;
    assert_eq!((rows.len(), rows[0].outcome.name(), &*rows[0].reason), (1, "failed", "not-begun"));
    assert_eq!(clockwork.store().startable_jobs(clockwork.now, 9).unwrap().len(), 0);
    assert_eq!(clockwork.told("good").await, ["60s claimed"]);
}

/// The run of a job that cannot be read any more ends like any other.
#[tokio::test]
async fn what_works_ends_though_its_job_cannot_be_read() {
    for rules in [every(MINUTE), once(MINUTE)] {
        for (status, outcome) in [(RunStatus::Ok, "ran"), (RunStatus::Error, "failed")] {
            let mut clockwork = Clockwork::new();
            clockwork.add(spec("bad", rules.clone())).await;
            clockwork.pass(MINUTE);
            let begun = clockwork.look().await;
            let run = clockwork.only(&begun);
            clockwork.garble("bad", "{}");
            clockwork.end(&run, status, "auth: no key").await;
            assert_eq!(clockwork.ledger("bad").await[0].outcome.name(), outcome);
        }
    }
}

/// After a stop the gateway starts, whatever the job of a run at work has become.
#[tokio::test]
async fn the_gateway_starts_though_a_job_cannot_be_read() {
    for length in [MINUTE, 2 * super::HOUR] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("bad", every(MINUTE))).await;
        clockwork.pass(MINUTE);
        clockwork.look().await;
        clockwork.garble("bad", "{}");
        clockwork.pass(length);
        let recovered = clockwork
            .store()
            .act(&crate::tests::recovery(), crate::RecoverRuns, clockwork.now)
            .await;
        let recovered = recovered.unwrap();
        for ticket in recovered.waiting {
            clockwork.store().start_run(ticket, clockwork.now).await.unwrap();
        }
    }
}

/// What is asked for of a job that cannot be read fails, and is over.
#[tokio::test]
async fn what_is_asked_for_cannot_be_read() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("bad", every(MINUTE))).await;
    clockwork.garble("bad", "{}");
    let ask = crate::RunJob { job: super::of("bad"), idempotency_key: "r".parse().unwrap() };
    clockwork.store().act(&owner(), ask, clockwork.now).await.unwrap();
    let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
    clockwork.fire(claimed).await;
    assert_eq!(clockwork.told("bad").await, ["0s failed not-begun"]);
}
