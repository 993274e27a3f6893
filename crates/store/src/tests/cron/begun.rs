//! What is left out or cannot begin, and what is over as soon as it has begun.

use openclaw_scheduler::Mode;

use super::clockwork::Clockwork;
use super::{MINUTE, every, of, once, spec};
use crate::tests::key;
use crate::{AfterRun, JobSpec, NotFired, Payload};

/// Where nothing can begin: the instant has its row, and a job that comes again goes on.
#[tokio::test]
async fn what_is_not_begun_has_its_row() {
    let cases = [
        (NotFired::Skipped("unknown-agent"), "60s skipped unknown-agent", "", 0),
        (NotFired::Failed("no".into()), "60s failed not-begun", "", 1),
        (NotFired::Failed("model-not-found: x".into()), "60s failed not-begun", "", 1),
        (NotFired::Suspended, "60s skipped creator-revoked", "creator-revoked", 0),
    ];
    for (why, row, disabled, failures) in cases {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", every(MINUTE))).await;
        clockwork.pass(MINUTE);
        clockwork.settle().await;
        let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
        for _ in 0..2 {
            let why = why.clone();
            clockwork.store().not_fired(claimed.occurrence, why, clockwork.now).await.unwrap();
        }
        assert_eq!(clockwork.told("j").await, [row], "{why:?}");
        assert_eq!(clockwork.disabled("j"), disabled, "{why:?}");
        assert_eq!(clockwork.job("j").failures, failures, "{why:?}");
        // Who comes too late begins nothing.
        assert_eq!(clockwork.fire(claimed).await, None);
        assert_eq!(clockwork.told("j").await, [row], "{why:?}");
        clockwork.check().await;
    }
}

/// The same of a one-shot: nothing is ahead of it, and the list says so.
#[tokio::test]
async fn a_one_shot_that_is_not_begun() {
    let cases = [
        (NotFired::Skipped("unknown-agent"), "finished"),
        (NotFired::Failed("auth: no key".into()), "one-shot-failed"),
        (NotFired::Suspended, "creator-revoked"),
    ];
    for (why, disabled) in cases {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", once(MINUTE))).await;
        clockwork.pass(MINUTE);
        clockwork.settle().await;
        let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
        clockwork.store().not_fired(claimed.occurrence, why.clone(), clockwork.now).await.unwrap();
        assert_eq!(clockwork.disabled("j"), disabled, "{why:?}");
    }
}

/// A conversation that is told has been told: that cannot fail later.
#[tokio::test]
async fn an_event_runs_at_once() {
    let mut clockwork = Clockwork::new();
    let payload = Payload::SystemEvent { text: "Stand up.".into() };
    clockwork.add(JobSpec { payload: payload.clone(), ..spec("often", every(MINUTE)) }).await;
    let after_run = AfterRun::Delete;
    clockwork.add(JobSpec { payload, after_run, ..spec("once", once(MINUTE)) }).await;
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await, [], "no run yet");
    assert_eq!(clockwork.told("often").await, ["60s ran"]);
    assert_eq!(clockwork.told("once").await, ["60s ran"]);
    assert!(clockwork.store().job(&of("once")).is_err());
    let due = clockwork.store().due(&key("main")).unwrap().unwrap();
    assert_eq!(due.run, None);
    clockwork.check().await;
}

/// While no jobs run at all, their instants are left out, and not made up for.
#[tokio::test]
async fn nothing_runs_while_jobs_are_off() {
    let mut clockwork = Clockwork::new();
    clockwork.mode = Mode::Disabled;
    clockwork.add(spec("often", every(MINUTE))).await;
    clockwork.add(spec("once", once(MINUTE))).await;
    clockwork.pass(5 * MINUTE);
    assert_eq!(clockwork.look().await, []);
    assert_eq!(clockwork.told("often").await, ["60sx5 skipped disabled"]);
    assert_eq!(clockwork.told("once").await, ["60s skipped disabled"]);
    assert_eq!((clockwork.disabled("often"), clockwork.disabled("once")), ("", "finished"));
    clockwork.mode = Mode::Enabled;
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await.len(), 1);
}
