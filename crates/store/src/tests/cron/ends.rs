//! What is left of the instants of jobs that are cancelled, switched off or removed.

use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{HOUR, MINUTE, at, every, of, once, spec};
use crate::{Asked, JobError, Outcome};

#[tokio::test]
async fn what_works_and_what_waits_is_cancelled() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    let idle = clockwork.cancel("j").await;
    clockwork.fails(idle, "job-idle");
    // One works, one waits.
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    clockwork.pass(MINUTE);
    clockwork.request("j").await;
    let cancelled = clockwork.cancel("j").await.unwrap();
    assert_eq!(cancelled.ended.len(), 1);
    assert_eq!(cancelled.ended[0].run, run);
    assert_eq!(cancelled.occurrence.requested, Asked::ByRequest);
    assert_eq!(
        clockwork.told("j").await,
        ["3600s cancelled aborted", "3660s cancelled by-request"]
    );
    assert!(clockwork.store().run(&run).unwrap().unwrap().status == RunStatus::Aborted);
    assert_eq!(clockwork.look().await, []);
    let idle = clockwork.cancel("j").await;
    clockwork.fails(idle, "job-idle");
    // It is due again as before, and no failure was counted.
    let job = clockwork.job("j");
    assert_eq!((job.failures, job.disabled, job.next_at), (0, None, Some(at(2 * HOUR))));
    // What waits alone.
    clockwork.request("j").await;
    let cancelled = clockwork.cancel("j").await.unwrap();
    assert_eq!((cancelled.ended.len(), cancelled.occurrence.outcome), (0, Outcome::Cancelled));
    clockwork.check().await;
}

/// What is answered is what was ended, and not what was left out meanwhile.
#[tokio::test]
async fn what_was_cancelled_is_told() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    clockwork.pass(HOUR);
    clockwork.settle().await;
    let cancelled = clockwork.cancel("j").await.unwrap();
    assert_eq!(cancelled.ended.len(), 1);
    let occurrence = cancelled.occurrence;
    assert_eq!((occurrence.outcome, occurrence.run), (Outcome::Cancelled, Some(run)));
}

/// A one-shot that is cancelled has come to its end, whether it had begun or not.
#[tokio::test]
async fn a_one_shot_that_is_cancelled() {
    for begins in [true, false] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", once(MINUTE))).await;
        clockwork.pass(MINUTE);
        clockwork.settle().await;
        if begins {
            assert_eq!(clockwork.begin().await.len(), 1);
        }
        clockwork.cancel("j").await.unwrap();
        let [row] = &*clockwork.ledger("j").await else { panic!("one row") };
        assert_eq!(row.outcome, Outcome::Cancelled);
        assert_eq!(clockwork.disabled("j"), "finished", "begun: {begins}");
    }
}

/// The same while it waits to be tried again.
#[tokio::test]
async fn a_one_shot_is_not_tried_again_after_it_was_cancelled() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.round(RunStatus::Error, "overloaded").await;
    clockwork.cancel("j").await.unwrap();
    clockwork.pass(HOUR);
    assert_eq!(clockwork.look().await, []);
    assert_eq!(clockwork.told("j").await, ["60s cancelled by-request"]);
}

/// What waits is not begun when its job is removed.
#[tokio::test]
async fn what_waits_goes_with_its_job() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    clockwork.remove("j").await;
    assert_eq!(clockwork.begin().await, []);
    assert_eq!(clockwork.told("j").await, ["60s cancelled job-removed"]);
    assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 0);
    let gone = clockwork.store().job(&of("j")).unwrap_err();
    assert_eq!(gone, crate::ActError::Failed(JobError::Unknown("j".into())));
}

/// What works goes on to its end when its job is removed, and that is all.
#[tokio::test]
async fn what_works_ends_after_its_job_was_removed() {
    for (rules, status, row) in [
        (once(MINUTE), RunStatus::Ok, "60s ran"),
        (every(MINUTE), RunStatus::Ok, "60s ran"),
        (every(MINUTE), RunStatus::Error, "60s failed error"),
        (once(MINUTE), RunStatus::Error, "60s failed error"),
    ] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", rules)).await;
        clockwork.pass(MINUTE);
        let begun = clockwork.look().await;
        let run = clockwork.only(&begun);
        clockwork.remove("j").await;
        clockwork.end(&run, status, "overloaded").await;
        clockwork.pass(HOUR);
        assert_eq!(clockwork.look().await, []);
        assert_eq!(clockwork.told("j").await, [row]);
        clockwork.check().await;
    }
}

/// What waits of a job that is switched off meanwhile is not begun.
#[tokio::test]
async fn what_waits_when_its_job_is_switched_off() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.round(RunStatus::Error, "overloaded").await;
    clockwork.switch("j", crate::Switch::Off).await.unwrap();
    clockwork.pass(HOUR);
    assert_eq!(clockwork.look().await, []);
}

/// What was due when a job was removed stays in its history.
#[tokio::test]
async fn what_was_due_when_its_job_was_removed() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.pass(HOUR);
    clockwork.remove("j").await;
    assert_eq!(clockwork.ledger("j").await.len(), 1);
}
