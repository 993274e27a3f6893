//! Runs that somebody asks for, what is left out while one works, and what is cancelled.

use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, at, every, of, once, spec};
use crate::{Asked, JobError, Outcome, Switch};

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
    let expected = ["60s ran", &format!("120s {skipped}"), &format!("180s {skipped}"), "240s claimed"];
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
    assert_eq!((job.failures, job.not_before), (0, None), "a request tells nothing of the schedule");
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

/// A job that is removed does nothing more: what waits is not begun, what works goes on to its end and is not
/// tried again.
#[tokio::test]
async fn what_is_removed_comes_to_its_end() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("waits", once(MINUTE))).await;
    clockwork.add(spec("works", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    clockwork.remove("waits").await;
    let begun = clockwork.begin().await;
    let run = clockwork.only(&begun);
    clockwork.remove("works").await;
    assert_eq!(clockwork.told("waits").await, ["60s cancelled job-removed"]);
    clockwork.end(&run, RunStatus::Error, "overloaded").await;
    clockwork.pass(HOUR);
    assert_eq!(clockwork.look().await, []);
    assert_eq!(clockwork.told("works").await, ["60s failed error"]);
    assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 0);
    let gone = clockwork.store().job(&of("works")).unwrap_err();
    assert_eq!(gone, crate::ActError::Failed(JobError::Unknown("works".into())));
}
