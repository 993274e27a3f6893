//! Runs that somebody asks for, what is left out while one works, and what is cancelled.

use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, at, every, of, once, spec};
use crate::{AfterRun, Asked, Job, JobSpec, Outcome, Switch};

/// While one works, those that come are left out; they are not done afterwards.
#[tokio::test]
async fn what_comes_while_one_works_is_left_out() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(MINUTE))).await;
    clockwork.pass(MINUTE);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    for _ in 0..2 {
        clockwork.pass(MINUTE);
        assert_eq!(clockwork.look().await, []);
    }
    clockwork.end(&run, RunStatus::Ok, "Done.").await;
    assert_eq!(clockwork.look().await, []);
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await.len(), 1);
    let told = clockwork.told("j").await;
    let skipped = "skipped still-running";
    let expected =
        ["60s ran", &format!("120s {skipped}"), &format!("180s {skipped}"), "240s claimed"];
    assert_eq!(told, expected);
    clockwork.check().await;
}

/// A request is one, however often it is made; and counts for nothing else.
#[tokio::test]
async fn a_request_is_made_once() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.pass(MINUTE);
    let first = clockwork.request_as("j", "one").await.unwrap();
    assert_eq!((first.outcome, first.requested), (Outcome::Claimed, Asked::ByRequest));
    assert_eq!(clockwork.request_as("j", "one").await.unwrap(), first);
    let other = clockwork.request_as("j", "two").await.unwrap();
    assert_ne!(other.scheduled_at, first.scheduled_at, "no two of a job are at the same time");
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    clockwork.pass(SECOND);
    clockwork.end(&run, RunStatus::Error, "overloaded").await;
    let again = clockwork.request_as("j", "one").await.unwrap();
    assert_eq!((again.outcome, again.run), (Outcome::Failed, Some(run)));
    let job = clockwork.job("j");
    assert_eq!(
        (job.failures, job.not_before),
        (0, None),
        "a request tells nothing of the schedule"
    );
    assert_eq!(job.next_at, Some(at(HOUR)));
    // The second waited for the first.
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    assert_eq!(clockwork.look().await, []);
    clockwork.pass(DAY);
    clockwork.check().await;
}

/// Jobs that are off, or have come to their end, do what they are asked.
#[tokio::test]
async fn what_is_not_due_runs_when_it_is_asked_for() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("off", every(HOUR))).await;
    clockwork.switch("off", Switch::Off).await.unwrap();
    clockwork.add(spec("done", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.round(RunStatus::Ok, "Done.").await;
    clockwork.pass(MINUTE);
    for (job, disabled) in [("off", "by-request"), ("done", "finished")] {
        clockwork.request(job).await;
        assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1, "{job}");
        let row = clockwork.ledger(job).await.pop().unwrap();
        assert_eq!((row.outcome, row.requested), (Outcome::Ran, Asked::ByRequest), "{job}");
        assert_eq!(clockwork.disabled(job), disabled, "{job}");
        assert_eq!(clockwork.job(job).next_at, None, "{job}");
    }
    clockwork.remove("off").await;
    let gone = clockwork.request_as("off", "gone").await;
    clockwork.fails(gone, "unknown-job");
}

/// What is asked for tells nothing of the schedule, however it ends: it neither forgives failures, nor is it the
/// one time for which a one-shot is.
#[tokio::test]
async fn a_request_is_not_an_instant_of_the_schedule() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    let after_run = AfterRun::Delete;
    clockwork.add(JobSpec { after_run, ..spec("once", once(DAY)) }).await;
    clockwork.pass(HOUR);
    clockwork.round(RunStatus::Error, "overloaded").await;
    let before = clockwork.job("j");
    assert!(before.failures == 1 && before.not_before.is_some());
    for job in ["j", "once"] {
        for (status, text) in [(RunStatus::Ok, "Done."), (RunStatus::Error, "auth: no key")] {
            clockwork.request(job).await;
            assert_eq!(clockwork.round(status, text).await, 1, "{job}");
        }
    }
    assert_eq!(Job { last: None, ..clockwork.job("j") }, Job { last: None, ..before });
    assert_eq!(clockwork.job("once").next_at, Some(at(DAY)));
    clockwork.pass(DAY);
    clockwork.round(RunStatus::Ok, "Done.").await;
    assert!(clockwork.store().job(&of("once")).is_err());
    clockwork.check().await;
}

/// What is asked for waits for what works, whatever the clock says.
#[tokio::test]
async fn a_request_waits_for_what_works() {
    for set in [0, -HOUR, HOUR / 2] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", every(HOUR))).await;
        clockwork.pass(HOUR);
        let begun = clockwork.look().await;
        let run = clockwork.only(&begun);
        clockwork.pass(set);
        clockwork.request("j").await;
        assert_eq!(clockwork.look().await, [], "{set}");
        clockwork.end(&run, RunStatus::Ok, "Done.").await;
        assert_eq!(clockwork.look().await.len(), 1, "{set}");
        clockwork.check().await;
    }
}

/// The clock was set back: what is asked for still has an instant of its own.
#[tokio::test]
async fn a_request_after_the_clock_was_set_back() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.pass(DAY);
    clockwork.round(RunStatus::Ok, "Done.").await;
    clockwork.pass(-2 * HOUR);
    for _ in 0..3 {
        clockwork.request("j").await;
        assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    }
    let rows = clockwork.ledger("j").await;
    assert_eq!(rows.iter().filter(|row| row.requested == Asked::ByRequest).count(), 3);
    clockwork.check().await;
}

/// What somebody asks for in the very moment in which the job is due is no reason to forget that it was.
#[tokio::test]
async fn a_request_in_the_moment_in_which_the_job_is_due() {
    for is_settled in [false, true] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", every(HOUR))).await;
        clockwork.pass(HOUR);
        if is_settled {
            clockwork.settle().await;
        }
        clockwork.request("j").await;
        while clockwork.round(RunStatus::Ok, "Done.").await > 0 {}
        let rows = clockwork.ledger("j").await;
        let of = |asked| rows.iter().filter(move |row| row.requested == asked).count();
        assert_eq!((of(Asked::ByRequest), of(Asked::BySchedule)), (1, 1), "{is_settled}");
        clockwork.check().await;
    }
}

/// As often as somebody can look through, and no more before it has done what it was asked for.
#[tokio::test]
async fn a_job_is_asked_for_so_often() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    for _ in 0..20 {
        clockwork.request("j").await;
    }
    let ask = crate::RunJob { job: of("j"), idempotency_key: "more".parse().unwrap() };
    let full = clockwork.store().act(&crate::tests::owner(), ask.clone(), clockwork.now).await;
    clockwork.fails(full.map(|_| ()), "too-many-requests");
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    clockwork.store().act(&crate::tests::owner(), ask, clockwork.now).await.unwrap();
}

/// What there is no room for stands before nothing else, and its job's instants keep their order.
#[tokio::test]
async fn what_is_put_off_stands_before_nothing() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("full", every(HOUR))).await;
    clockwork.add(spec("free", every(HOUR))).await;
    clockwork.request("full").await;
    clockwork.request("full").await;
    clockwork.request("free").await;
    let first = clockwork.store().startable_jobs(clockwork.now, 1).unwrap().remove(0);
    assert_eq!(first.job.as_str(), "full");
    let until = clockwork.later(SECOND);
    clockwork.store().put_off(vec![first.occurrence], until).await.unwrap();
    let next = clockwork.store().startable_jobs(clockwork.now, 9).unwrap();
    let jobs: Vec<_> = next.iter().map(|claimed| claimed.job.as_str()).collect();
    assert_eq!(jobs, ["free"]);
    clockwork.pass(SECOND);
    let again = clockwork.store().startable_jobs(clockwork.now, 9).unwrap();
    let again: Vec<_> = again.iter().map(|claimed| claimed.occurrence).collect();
    assert_eq!(again, [next[0].occurrence, first.occurrence]);
}

/// What is begun is the job as it is by then.
#[tokio::test]
async fn a_job_that_changed_since_is_not_begun_as_it_was() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.request("j").await;
    let old = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
    let patch = crate::JobPatch { model: Some("a/b".into()), ..crate::JobPatch::default() };
    clockwork.update("j", patch).await.unwrap();
    clockwork.fire(old).await;
    let new = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
    assert_eq!(new.spec.unwrap().model, "a/b");
}
