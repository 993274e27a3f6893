//! Runs that the gateway's stop interrupts: begun again once, or not at all.

use openclaw_sessions::{RESUMED, RunStatus, Usage};

use super::super::{key, owner};
use super::family::{Family, of};
use crate::{ActError, Archive, DeleteSession, FenceError, FoundAt, HandOver, Interrupted};

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn a_run_is_begun_again_once() {
    // By a crash, and by a stop in order.
    for in_order in [false, true] {
        let mut family = Family::new().await;
        let first = family.bed.start(&family.store, "r", "main").await;
        if in_order {
            let now = family.bed.now();
            let came = family
                .store
                .interrupt_run(&first.fence, Usage::default(), FoundAt::Work, now)
                .await;
            assert_eq!(came.unwrap(), Interrupted::Suspended);
        }
        drop(family.store);
        family.store = family.bed.open();
        let mut recovered = family.bed.recover(&family.store).await;
        assert_eq!((recovered.interrupted, recovered.resumed), (0, u64::from(!in_order)));
        let ticket = recovered.waiting.pop().unwrap();
        let again = family.store.start_run(ticket, family.bed.now()).await.unwrap().unwrap();
        assert_eq!((again.message.as_str(), again.view.run.as_str()), (RESUMED, "r"));
        let late = family.store.append(&first.fence, Vec::new(), family.bed.now()).await;
        assert_eq!(late.unwrap_err(), ActError::Failed(FenceError));
        drop(family.store);
        family.store = family.bed.open();
        let recovered = family.bed.recover(&family.store).await;
        assert_eq!((recovered.interrupted, recovered.resumed), (1, 0));
        let view = family.bed.view(&family.store, "r").await;
        assert_eq!(view.status, RunStatus::Interrupted);
        assert!(view.error.ends_with("it is not begun once more"), "{}", view.error);
        family.rests();
    }
}

/// Who waits for a person is not at fault, and may come back as often, and as late, as it takes.
#[tokio::test]
async fn a_run_that_waited_for_an_approval_goes_on_every_time() {
    let mut family = Family::new().await;
    let mut started = family.bed.start(&family.store, "r", "main").await;
    for _ in 0..3 {
        family.bed.advance(2 * HOUR);
        let now = family.bed.now();
        let at = FoundAt::Approval;
        let came = family.store.interrupt_run(&started.fence, Usage::default(), at, now).await;
        assert_eq!(came.unwrap(), Interrupted::Suspended);
        drop(family.store);
        family.store = family.bed.open();
        let mut recovered = family.bed.recover(&family.store).await;
        let ticket = recovered.waiting.pop().unwrap();
        started = family.store.start_run(ticket, family.bed.now()).await.unwrap().unwrap();
        assert_eq!(started.message, RESUMED);
    }
    // At work it may be begun again once, as any other.
    let family = family.restart().await;
    assert_eq!(family.bed.view(&family.store, "r").await.status, RunStatus::Queued);
}

#[tokio::test]
async fn a_run_of_long_ago_is_not_begun_again() {
    for (waited, status) in [(HOUR - 1000, "queued"), (HOUR + 1000, "interrupted")] {
        let family = Family::new().await;
        family.bed.start(&family.store, "r", "main").await;
        family.bed.advance(waited);
        let family = family.restart().await;
        let view = family.bed.view(&family.store, "r").await;
        assert_eq!(view.status.name(), status, "{}", view.error);
        assert_eq!(view.error.contains("too long ago"), status == "interrupted");
    }
}

#[tokio::test]
async fn a_run_of_a_sub_agent_is_interrupted_and_its_parent_told() {
    for in_order in [false, true] {
        let family = Family::new().await;
        let child = family.child("c", &key("main")).await;
        if in_order {
            let now = family.bed.now();
            let came = family
                .store
                .interrupt_run(&child.fence, Usage::default(), FoundAt::Work, now)
                .await;
            assert!(matches!(came.unwrap(), Interrupted::Ended(_)));
        }
        let family = family.restart().await;
        assert_eq!(family.get("c").run.status, RunStatus::Interrupted);
        assert_eq!(family.store.all_due().unwrap(), [key("main")]);
        let told = "the gateway stopped while the run was at work";
        assert_eq!(family.hears("r").await, [("c".into(), "interrupted", told.into())]);
        family.rests();
    }
}

/// The middle has the next word, as always.
#[tokio::test]
async fn a_stop_interrupts_a_sub_agent_and_its_own() {
    let family = Family::new().await;
    let middle = family.child("c", &key("main")).await;
    family.child_of(&middle, "g").await;
    let family = family.restart().await;
    assert_eq!(
        (family.hand_over("g"), family.hand_over("c")),
        (HandOver::Waiting, HandOver::Ahead)
    );
    let next = family.told_now("told-1", &of("c")).await;
    family.end(&next, "It was cut short.").await;
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "It was cut short.".into())]);
    family.rests();
}

/// The row of a run that is gone may be another's by now.
#[tokio::test]
async fn who_was_deleted_interrupts_nobody_else() {
    let family = Family::new().await;
    let late = family.bed.start(&family.store, "r", "a").await;
    let ask = DeleteSession { key: key("a"), archive: Archive::Drop, unused_since: None };
    family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    family.bed.wait(&family.store, "waits", "b").await;
    let before = family.bed.dump();
    let came = family
        .store
        .interrupt_run(&late.fence, Usage::default(), FoundAt::Work, family.bed.now())
        .await;
    assert_eq!(came.unwrap_err(), ActError::Failed(FenceError));
    assert_eq!(family.bed.dump(), before);
}
