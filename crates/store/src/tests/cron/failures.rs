//! What a run that ended means for its job.

use openclaw_scheduler::{BACK_OFF, CatchUp, MAX_FAILURES, MAX_RETRIES, Rules};
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, every, millis, once, spec};
use crate::{AfterRun, JobSpec, Outcome, Switch};

const FAILED: (RunStatus, &str) = (RunStatus::Error, "overloaded: come back later");
const GOOD: (RunStatus, &str) = (RunStatus::Ok, "Done.");

/// How a one-shot that begins once ends, and what is left of it.
#[tokio::test]
async fn a_one_shot_that_began() {
    use RunStatus::{Aborted, Error, Ok};
    let cases = [
        (Ok, "Done.", AfterRun::Keep, "60s ran", "finished"),
        (Ok, "auth: as a word", AfterRun::Keep, "60s ran", "finished"),
        (Ok, "Done.", AfterRun::Delete, "60s ran", "gone"),
        (Aborted, "", AfterRun::Keep, "60s cancelled aborted", "finished"),
        (Aborted, "", AfterRun::Delete, "60s cancelled aborted", "finished"),
        (Error, "auth: no key", AfterRun::Keep, "60s failed error", "one-shot-failed"),
        (Error, "auth: no key", AfterRun::Delete, "60s failed error", "one-shot-failed"),
        (Error, "billing: no money", AfterRun::Keep, "60s failed error", "one-shot-failed"),
        (Error, "budget: used up", AfterRun::Keep, "60s failed error", "one-shot-failed"),
        (Error, "invalid-request", AfterRun::Keep, "60s failed error", "one-shot-failed"),
        (Error, "model-not-found: x", AfterRun::Keep, "60s failed error", "one-shot-failed"),
    ];
    for (status, text, after_run, row, left) in cases {
        let mut clockwork = Clockwork::new();
        clockwork.add(JobSpec { after_run, ..spec("j", once(MINUTE)) }).await;
        assert_eq!(clockwork.look().await, []);
        clockwork.pass(MINUTE);
        assert_eq!(clockwork.round(status, text).await, 1);
        assert_eq!(clockwork.told("j").await, [row], "{status:?} {text}");
        let gone = clockwork.store().job(&super::of("j")).is_err();
        let left_is = if gone { "gone" } else { clockwork.disabled("j") };
        assert_eq!(left_is, left, "{status:?} {text} {after_run:?}");
        assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), i64::from(!gone));
        let [last] = &*clockwork.ledger("j").await else { panic!("one row") };
        assert_eq!((&*last.text, last.attempts), (text, 1));
        assert!(last.run.is_some() && last.session.is_some() && last.ended_at.is_some());
        clockwork.pass(DAY);
        assert_eq!(clockwork.look().await, [], "once is once");
    }
}

/// What others may mend is tried again after 30 s, 60 s and 5 min, and given up then.
#[tokio::test]
async fn a_one_shot_is_tried_again() {
    let waits = &BACK_OFF[..usize::try_from(MAX_RETRIES).unwrap()];
    assert_eq!(waits, [millis(30 * SECOND), millis(MINUTE), millis(5 * MINUTE)]);
    for ends_well in [None, Some(0), Some(2)] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", once(MINUTE))).await;
        clockwork.pass(MINUTE);
        for (attempt, wait) in waits.iter().enumerate() {
            let begun = clockwork.look().await;
            let run = clockwork.only(&begun);
            let (status, text) = if ends_well == Some(attempt) { GOOD } else { FAILED };
            clockwork.pass(SECOND);
            clockwork.end(&run, status, text).await;
            if ends_well == Some(attempt) {
                break;
            }
            assert_eq!(clockwork.told("j").await, ["60s claimed error"]);
            assert_eq!(clockwork.disabled("j"), "");
            let due = clockwork.now.saturating_add(*wait);
            assert_eq!(clockwork.store().next_job_at().unwrap(), Some(due));
            clockwork.set(due.saturating_sub(millis(1)));
            assert_eq!(clockwork.look().await, [], "not before it is time");
            clockwork.pass(1);
        }
        if ends_well.is_none() {
            assert_eq!(clockwork.round(FAILED.0, FAILED.1).await, 1);
            assert_eq!(clockwork.told("j").await, ["60s failed error"]);
            assert_eq!(clockwork.disabled("j"), "one-shot-failed");
            assert_eq!(clockwork.ledger("j").await[0].attempts, MAX_RETRIES + 1);
        } else {
            assert_eq!(clockwork.told("j").await, ["60s ran"]);
            assert_eq!(clockwork.disabled("j"), "finished");
        }
        let runs = clockwork.count("SELECT count(*) FROM runs WHERE occurrence IS NOT NULL");
        assert_eq!(runs, ends_well.map_or(4, |attempt| i64::try_from(attempt).unwrap() + 1));
        clockwork.pass(DAY);
        assert_eq!(clockwork.look().await, []);
        clockwork.check().await;
    }
}

/// A stop in the middle is a failure that others may mend; a run that goes on is none.
#[tokio::test]
async fn a_one_shot_that_a_stop_interrupts() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    clockwork.crash().await;
    assert_eq!(clockwork.told("j").await, ["60s claimed"]);
    assert!(clockwork.working.contains_key(&run), "it goes on where it was");
    assert_eq!(clockwork.working[&run].job.as_ref().unwrap().max_tokens, 0);
    clockwork.crash().await;
    assert_eq!(clockwork.told("j").await, ["60s claimed interrupted"]);
    clockwork.pass(30 * SECOND);
    assert_eq!(clockwork.round(GOOD.0, GOOD.1).await, 1);
    assert_eq!(clockwork.told("j").await, ["60s ran"]);
    clockwork.check().await;
}

/// After each failure instants are left out for so long; what goes well ends that.
#[tokio::test]
async fn what_comes_again_waits_after_failures() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(10 * SECOND))).await;
    let steps = [
        // fails, instants left out, failures in a row
        (FAILED, 2, 1),
        (FAILED, 5, 2),
        (FAILED, 29, 3),
        (GOOD, 0, 0),
        (FAILED, 2, 1),
        ((RunStatus::Error, "auth: no key"), 5, 2),
        ((RunStatus::Timeout, ""), 29, 3),
        ((RunStatus::Aborted, ""), 0, 3),
        (FAILED, 89, 4),
        (GOOD, 0, 0),
    ];
    let mut expected = Vec::new();
    let mut after = 0;
    for ((status, text), left_out, failures) in steps {
        after += 10;
        clockwork.set(super::at(after * SECOND));
        assert_eq!(clockwork.round(status, text).await, 1, "at {after}");
        expected.push((after, 1, status != RunStatus::Ok && status != RunStatus::Aborted));
        let job = clockwork.job("j");
        assert_eq!(job.failures, failures, "at {after}");
        for _ in 0..left_out {
            after += 10;
            clockwork.set(super::at(after * SECOND));
            assert_eq!(clockwork.look().await, [], "at {after}");
        }
    }
    let rows = clockwork.ledger("j").await;
    let begun: Vec<_> = rows.iter().filter(|row| row.outcome != Outcome::Skipped).collect();
    let told = begun.iter().map(|row| {
        let after = (row.scheduled_at.as_millis() - super::START) / SECOND;
        (after, row.count, row.outcome == Outcome::Failed)
    });
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let skipped = rows.iter().filter(|row| row.outcome == Outcome::Skipped);
    assert!(skipped.clone().all(|row| row.reason == "back-off"));
    assert_eq!(skipped.count(), 2 + 5 + 29 + 2 + 5 + 29 + 89);
    clockwork.check().await;
}

#[tokio::test]
async fn ten_failures_in_a_row_are_enough() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.add(spec("other", every(HOUR))).await;
    for failures in 1..=MAX_FAILURES {
        assert_eq!(clockwork.disabled("j"), "");
        clockwork.pass(HOUR);
        for run in clockwork.look().await {
            let is_j = run.as_str().starts_with("cron-j-");
            let (status, text) = if is_j { FAILED } else { GOOD };
            clockwork.end(&run, status, text).await;
        }
        assert_eq!(clockwork.job("j").failures, failures);
        assert_eq!(clockwork.job("other").failures, 0);
    }
    let job = clockwork.job("j");
    assert_eq!((clockwork.disabled("j"), job.next_at), ("consecutive-failures", None));
    clockwork.pass(DAY);
    assert_eq!(clockwork.look().await.len(), 1, "only the other");
    assert_eq!(clockwork.ledger("j").await.len(), 10);

    // It is not caught up with what it was not there for, and begins with a clean slate.
    let job = clockwork.switch("j", Switch::On).await.unwrap();
    assert_eq!((job.failures, job.not_before, job.disabled), (0, None, None));
    assert_eq!(job.next_at, Some(clockwork.later(HOUR)));
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    assert!(begun.iter().any(|run| run.as_str().starts_with("cron-j-")));
    clockwork.check().await;
}

/// Back-off ends when the job is switched on, and not when it is only renamed.
#[tokio::test]
async fn who_switches_on_ends_the_back_off() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(MINUTE))).await;
    for length in [MINUTE, 2 * MINUTE, 3 * MINUTE] {
        clockwork.pass(length);
        clockwork.round(FAILED.0, FAILED.1).await;
    }
    assert_eq!(clockwork.job("j").failures, 3);
    let patch = crate::JobPatch { model: Some("local/x".into()), ..crate::JobPatch::default() };
    let job = clockwork.update("j", patch).await.unwrap();
    assert_eq!((job.failures, job.not_before), (3, Some(clockwork.later(5 * MINUTE))));
    let off = clockwork.switch("j", Switch::Off).await.unwrap();
    assert_eq!((off.failures, off.next_at), (3, None));
    let on = clockwork.switch("j", Switch::On).await.unwrap();
    assert_eq!((on.failures, on.not_before), (0, None));
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await.len(), 1);
}

/// Each of the instants that are caught up counts, and none of them is begun while another works.
#[tokio::test]
async fn what_is_caught_up_is_done_one_after_the_other() {
    for (catch_up, rows) in [
        (CatchUp::None, 0),
        (CatchUp::Last, 1),
        (CatchUp::All(1), 1),
        (CatchUp::All(3), 3),
        (CatchUp::All(100), 24),
    ] {
        let mut clockwork = Clockwork::new();
        let rules = Rules { catch_up, ..every(HOUR) };
        clockwork.add(spec("j", rules)).await;
        clockwork.pass(DAY + 5 * MINUTE);
        let mut begun = Vec::new();
        for _ in 0..400 {
            let now = clockwork.look().await;
            assert!(now.len() <= 1 && clockwork.working.len() <= 1);
            let idle = clockwork.look().await;
            assert_eq!(idle, [], "one works");
            for run in now {
                clockwork.end(&run, RunStatus::Ok, "Done.").await;
                begun.push(run);
            }
            clockwork.pass(SECOND);
        }
        assert_eq!(begun.len(), rows, "{catch_up:?}");
        let missed: u64 = clockwork
            .ledger("j")
            .await
            .iter()
            .filter(|row| row.outcome == Outcome::Missed)
            .map(|row| row.count)
            .sum();
        assert_eq!(missed + u64::try_from(rows).unwrap(), 24, "{catch_up:?}");
        clockwork.check().await;
    }
}

/// What was due when a job was given up has its row all the same.
#[tokio::test]
async fn what_was_due_when_it_was_given_up() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    for _ in 1..MAX_FAILURES {
        clockwork.pass(HOUR);
        clockwork.round(FAILED.0, FAILED.1).await;
    }
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    // The end comes after the next instant, and before anybody has looked.
    clockwork.pass(HOUR);
    clockwork.end(&run, FAILED.0, FAILED.1).await;
    clockwork.settle().await;
    let rows = clockwork.ledger("j").await;
    assert_eq!(rows.last().unwrap().scheduled_at, super::at(11 * HOUR));
}

/// Its owner is told once it fails again and again, and not each time; and when it is due no more.
#[tokio::test]
async fn an_owner_is_told_of_failures() {
    use crate::JobNoticeKind::{Disabled, Failing};
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    let mut told = Vec::new();
    // Instants within the back-off are left out.
    for number in 1..=3 * MAX_FAILURES {
        clockwork.pass(HOUR);
        clockwork.round(FAILED.0, FAILED.1).await;
        for notice in clockwork.store().job_notices(9).unwrap() {
            told.push((number, notice.notice, notice.failures));
            assert!(!notice.reason.is_empty(), "{notice:?}");
            let now = clockwork.now;
            clockwork.store().tell_of_job(notice, None, String::new(), now).await.unwrap();
        }
        clockwork.pass(1);
    }
    let [first, .., last] = &*told else { panic!("{told:?}") };
    assert_eq!(first, &(2, Failing, 2));
    assert_eq!((last.1, last.2), (Disabled, MAX_FAILURES));
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
    assert_eq!(clockwork.store().job_notices(9).unwrap(), []);
}
