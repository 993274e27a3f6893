//! On whose behalf jobs work: with what they were added with and what is held by then, never more than either.

use openclaw_scopes::{Caller, Denial, Scope, ScopeSet};
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{HOUR, MINUTE, add, every, of, spec};
use crate::tests::access::{OPERATOR, caller, holder, named};
use crate::tests::asks::denied;
use crate::tests::{key, owner, recovery, run_id, stale, tools};
use crate::{
    AcceptRun, ActError, CancelJob, FireJob, FireWork, JobPatch, Precedence, RemoveJob,
    RevokeDevice, RotateDevice, RunJob, Switch, UpdateJob,
};

const WRITE: ScopeSet = ScopeSet::of(&[Scope::Write]);

async fn with_device(scopes: ScopeSet) -> Clockwork {
    let clockwork = Clockwork::new();
    clockwork.bed.pair(clockwork.store(), 1, scopes).await;
    clockwork
}

fn device(clockwork: &Clockwork, wish: ScopeSet) -> Caller {
    caller(clockwork.store(), 1, wish)
}

async fn rotate(clockwork: &Clockwork, scopes: Option<ScopeSet>) {
    let ask = RotateDevice { device: named(1), role: OPERATOR, scopes };
    clockwork.store().act(&owner(), ask, clockwork.now).await.unwrap();
}

/// What a job has when it is due: what it was added with, as far as that is still held.
#[tokio::test]
//= docs/threat-model.md#T16
async fn scopes_only_narrow() {
    let (all, read) = (ScopeSet::ALL, ScopeSet::from(Scope::Read));
    let admin = ScopeSet::from(Scope::Admin);
    #[rustfmt::skip]
    let cases = [
        // paired, wished when it is added, rotated to, when it is due
        (admin, all,   None,        Some(admin)),
        (admin, WRITE, None,        Some(WRITE)),
        (admin, WRITE, Some(admin), Some(WRITE)),
        (admin, all,   Some(WRITE), Some(WRITE)),
        (admin, all,   Some(read),  Some(read)),
        (admin, WRITE, Some(read),  Some(read)),
        (WRITE, all,   None,        Some(WRITE)),
    ];
    for (paired, wish, rotated, expected) in cases {
        let mut clockwork = with_device(paired).await;
        let by = device(&clockwork, wish);
        let job = clockwork.try_add(&by, add(spec("j", every(MINUTE)))).await.unwrap().job;
        assert_eq!((&job.owner, job.scopes.closed()), (&holder(1), by.grant().scopes()));
        if rotated.is_some() {
            rotate(&clockwork, rotated).await;
        }
        clockwork.pass(MINUTE);
        clockwork.settle().await;
        let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
        let scopes = claimed.grant.as_ref().map(openclaw_scopes::Grant::scopes);
        assert_eq!(scopes, expected.map(ScopeSet::closed), "{paired} {wish} {rotated:?}");
        // What may not be done with that is not done at all.
        let can_write = expected.is_some_and(|has| has.closed().contains(Scope::Write));
        let run = clockwork.fire(claimed).await;
        assert_eq!(run.is_some(), can_write, "{paired} {wish} {rotated:?}");
        let reason = if can_write { "" } else { "creator-revoked" };
        assert_eq!(clockwork.disabled("j"), reason, "{paired} {wish} {rotated:?}");
    }
}

/// What is held again later is not more than the job was added with, and no less.
#[tokio::test]
//= docs/threat-model.md#T17
async fn a_job_goes_on_with_what_its_owner_has_now() {
    let mut clockwork = with_device(Scope::Admin.into()).await;
    let by = device(&clockwork, ScopeSet::ALL);
    clockwork.try_add(&by, add(spec("j", every(MINUTE)))).await.unwrap();
    for scopes in [None, Some(WRITE), None] {
        rotate(&clockwork, scopes).await;
        clockwork.pass(MINUTE);
        let begun = clockwork.look().await;
        let run = clockwork.only(&begun);
        let epoch = clockwork.store().epoch(&holder(1)).unwrap().unwrap();
        assert_eq!(clockwork.working[&run].grant.epoch(), epoch, "rotated: {scopes:?}");
        clockwork.end(&run, RunStatus::Ok, "Done.").await;
        assert_eq!(clockwork.disabled("j"), "");
    }
    clockwork.check().await;
}

/// Whose grant has ended is not acted for; others are.
#[tokio::test]
//= docs/threat-model.md#T17
async fn nothing_is_done_for_who_may_no_more() {
    let mut clockwork = with_device(WRITE).await;
    let by = device(&clockwork, WRITE);
    clockwork.try_add(&by, add(spec("theirs", every(MINUTE)))).await.unwrap();
    clockwork.add(spec("mine", every(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    let revoke = RevokeDevice { device: named(1), role: OPERATOR };
    clockwork.store().act(&owner(), revoke, clockwork.now).await.unwrap();
    let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap();
    let jobs: Vec<_> = claimed.iter().map(|claimed| claimed.job.as_str()).collect();
    assert_eq!(jobs, ["mine"], "what waited of theirs is left out");
    for claimed in claimed {
        clockwork.fire(claimed).await;
    }
    assert_eq!(clockwork.told("theirs").await, ["60s skipped creator-revoked"]);
    assert_eq!(clockwork.disabled("theirs"), "creator-revoked");
    assert_eq!(clockwork.told("mine").await, ["60s claimed"]);
    clockwork.pass(HOUR);
    clockwork.look().await;
    assert_eq!(clockwork.ledger("theirs").await.len(), 1, "it is due no more");
    // The owner may switch it on; it is still for who may not.
    clockwork.switch("theirs", Switch::On).await.unwrap();
    clockwork.pass(MINUTE);
    assert_eq!(clockwork.look().await, []);
    assert_eq!(clockwork.disabled("theirs"), "creator-revoked");
    clockwork.check().await;
}

/// The grant ends between the look and the deed.
#[tokio::test]
//= docs/threat-model.md#T17
async fn the_grant_is_asked_again_when_it_begins() {
    for is_rotated in [true, false] {
        let mut clockwork = with_device(WRITE).await;
        let by = device(&clockwork, WRITE);
        clockwork.try_add(&by, add(spec("j", every(MINUTE)))).await.unwrap();
        clockwork.pass(MINUTE);
        clockwork.settle().await;
        let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
        if is_rotated {
            rotate(&clockwork, None).await;
        } else {
            let revoke = RevokeDevice { device: named(1), role: OPERATOR };
            clockwork.store().act(&owner(), revoke, clockwork.now).await.unwrap();
        }
        assert_eq!(clockwork.fire(claimed).await, None);
        assert_eq!(clockwork.told("j").await, ["60s skipped creator-revoked"]);
        assert_eq!(clockwork.count("SELECT count(*) FROM runs"), 0);
    }
}

/// Only the scheduler begins what is due; only its owner, or who administers, changes a job.
#[tokio::test]
async fn denied_means_untouched() {
    let mut clockwork = with_device(WRITE).await;
    clockwork.bed.pair(clockwork.store(), 2, Scope::Read.into()).await;
    clockwork.add(spec("mine", every(MINUTE))).await;
    let by = device(&clockwork, WRITE);
    clockwork.try_add(&by, add(spec("theirs", every(MINUTE)))).await.unwrap();
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
    let read = caller(clockwork.store(), 2, ScopeSet::ALL);
    let narrow = device(&clockwork, Scope::Read.into());
    let (b, s) = (&clockwork.bed, clockwork.store());
    let patch = JobPatch { switch: Some(Switch::Off), ..JobPatch::default() };
    let update = |job: &str| UpdateJob { job: of(job), patch: patch.clone(), expected: None };
    let idempotency_key = || "r".parse().unwrap();
    for (who, job) in [
        (&by, "mine"),
        (&read, "mine"),
        (&read, "theirs"),
        (&narrow, "theirs"),
        (&stale(), "mine"),
        (&tools(), "mine"),
        (&recovery(), "theirs"),
        (&by, "unknown"),
        (&read, "unknown"),
    ] {
        if job == "unknown" && who == &by {
            continue;
        }
        denied(b, s, who, update(job)).await;
        denied(b, s, who, RemoveJob(of(job))).await;
        denied(b, s, who, CancelJob(of(job))).await;
        let run = RunJob { job: of(job), idempotency_key: idempotency_key() };
        denied(b, s, who, run).await;
        b.advance(60_000);
    }
    for who in [&read, &narrow, &stale(), &tools(), &recovery()] {
        denied(b, s, who, add(spec("new", every(MINUTE)))).await;
    }
    let accept =
        AcceptRun { session: key("x"), ..crate::tests::accept("x", "x", Precedence::Start) };
    let work = FireWork::Turn(accept);
    let fire = FireJob {
        occurrence: claimed.occurrence,
        job: claimed.job,
        revision: claimed.revision,
        work,
    };
    for who in [&owner(), &by, &read, &stale(), &tools(), &recovery()] {
        denied(b, s, who, fire.clone()).await;
    }
    assert!(s.run(&run_id("x")).unwrap().is_none());
    b.verify(s);
}

/// A key that somebody else's job has is no way to that job.
#[tokio::test]
async fn a_key_is_no_way_to_the_job_of_another() {
    let clockwork = with_device(WRITE).await;
    let of_key = |id: &str| crate::AddJob { key: "shared".into(), ..add(spec(id, every(MINUTE))) };
    clockwork.try_add(&owner(), of_key("mine")).await.unwrap();
    let by = device(&clockwork, WRITE);
    let denied = clockwork.try_add(&by, of_key("theirs")).await.unwrap_err();
    assert!(matches!(denied, ActError::Denied(Denial::MissingScope(_))), "{denied:?}");
    assert_eq!(clockwork.job("shared").revision, 1);
    // Who administers may change it; it stays its owner's.
    clockwork.bed.pair(clockwork.store(), 3, Scope::Admin.into()).await;
    let admin = caller(clockwork.store(), 3, ScopeSet::ALL);
    let again = clockwork.try_add(&admin, of_key("again")).await.unwrap();
    assert_eq!((again.job.id.as_str(), again.job.revision), ("mine", 2));
    assert_eq!(again.job.owner, openclaw_scopes::GrantHolder::Owner);
}

/// Who has less than a job was added with does not make it do something else with more.
#[tokio::test]
//= docs/threat-model.md#T16
async fn who_has_less_lends_a_job_no_more() {
    let mut clockwork = with_device(Scope::Admin.into()).await;
    let wide = device(&clockwork, ScopeSet::ALL);
    let of_key =
        |name: &str, key: &str| crate::AddJob { key: key.into(), ..add(spec(name, every(MINUTE))) };
    clockwork.try_add(&wide, of_key("edited", "")).await.unwrap();
    clockwork.try_add(&wide, of_key("given", "k")).await.unwrap();
    let narrow = device(&clockwork, WRITE);
    let payload = Some(crate::Payload::AgentTurn { message: "Do what I want.".into() });
    let patch = JobPatch { payload, ..JobPatch::default() };
    let ask = UpdateJob { job: of("edited"), patch, expected: None };
    let edited = clockwork.store().act(&narrow, ask, clockwork.now).await;
    let given = clockwork.try_add(&narrow, of_key("again", "k")).await;
    clockwork.pass(MINUTE);
    clockwork.settle().await;
    for claimed in clockwork.store().startable_jobs(clockwork.now, 9).unwrap() {
        let was_changed = match claimed.job.as_str() {
            "edited" => edited.is_ok(),
            _ => given.is_ok(),
        };
        let scopes = claimed.grant.unwrap().scopes();
        let bound = if was_changed { narrow.grant().scopes() } else { wide.grant().scopes() };
        assert!(scopes.is_subset(bound), "{} has {scopes}", claimed.job);
    }
}

/// Whoever comes back has a new grant: what was added under the old one stays suspended, and its owner is told.
#[tokio::test]
//= docs/threat-model.md#T17
async fn what_was_added_before_a_revocation_does_not_come_back() {
    let clockwork = with_device(WRITE).await;
    let by = device(&clockwork, WRITE);
    clockwork.try_add(&by, add(spec("theirs", every(MINUTE)))).await.unwrap();
    clockwork.add(spec("ours", every(MINUTE))).await;
    let revoke = RevokeDevice { device: named(1), role: OPERATOR };
    clockwork.store().act(&owner(), revoke, clockwork.now).await.unwrap();
    assert_eq!(clockwork.disabled("theirs"), "creator-revoked");
    assert_eq!(clockwork.disabled("ours"), "");
    let notices = clockwork.store().job_notices(9).unwrap();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].job.as_str(), "theirs");
}
