//! Jobs as a file says: all of them or none, and nothing where nothing differs.

use openclaw_scopes::{Denial, JobId, Scope, ScopeSet};

use super::clockwork::Clockwork;
use super::{HOUR, MINUTE, add, every, of, once, refusal, spec};
use crate::tests::access::{caller, holder};
use crate::tests::owner;
use crate::{
    ActError, AppliedJob, ApplyJobs, GivenJob, JobError, JobFate, JobSpec, Rehearsal, Switch,
};

fn given(key: &str, spec: JobSpec) -> GivenJob {
    let id = JobId::parse(&format!("id-{}", key.replace(':', "-"))).unwrap();
    GivenJob { key: key.into(), id, spec, switch: None, seen: None }
}

impl Clockwork {
    /// Gives jobs as they are seen now.
    async fn apply(
        &self,
        jobs: &[GivenJob],
        rehearsal: Rehearsal,
    ) -> Result<Vec<AppliedJob>, ActError<JobError>> {
        let seen = |job: &GivenJob| GivenJob {
            seen: self.store().job_of_key(&job.key).unwrap().map(|seen| seen.revision),
            ..job.clone()
        };
        let ask = ApplyJobs { jobs: jobs.iter().map(seen).collect(), rehearsal };
        self.store().act(&owner(), ask, self.now).await
    }
}

fn fates(applied: &[AppliedJob]) -> Vec<JobFate> {
    applied.iter().map(|job| job.fate).collect()
}

#[tokio::test]
async fn once_more_changes_nothing() {
    use JobFate::{Added, Changed, Unchanged};
    let clockwork = Clockwork::new();
    let jobs = [given("a", spec("a", every(MINUTE))), given("b", spec("b", every(HOUR)))];
    for (rehearsal, expected) in [
        (Rehearsal::Yes, [Added, Added]),
        (Rehearsal::No, [Added, Added]),
        (Rehearsal::No, [Unchanged, Unchanged]),
        (Rehearsal::Yes, [Unchanged, Unchanged]),
    ] {
        let applied = clockwork.apply(&jobs, rehearsal).await.unwrap();
        assert_eq!(fates(&applied), expected, "{rehearsal:?}");
        let there = clockwork.count("SELECT count(*) FROM cron_jobs");
        assert_eq!(
            there,
            if expected == [Added; 2] && rehearsal == Rehearsal::Yes { 0 } else { 2 }
        );
        clockwork.check().await;
    }
    let before = clockwork.job("a");
    let mut other = jobs.clone();
    other[0].spec.model = "a/b".into();
    for rehearsal in [Rehearsal::Yes, Rehearsal::No] {
        let applied = clockwork.apply(&other, rehearsal).await.unwrap();
        assert_eq!(fates(&applied), [Changed, Unchanged]);
        assert_eq!(applied[0].before, Some(before.clone()), "{rehearsal:?}");
        assert_eq!(applied[0].after.spec.as_ref().unwrap().model, "a/b");
    }
    let after = clockwork.job("a");
    assert_eq!((after.revision, after.next_at, after.id), (2, before.next_at, before.id));
    clockwork.check().await;
}

/// Whether a job is due at all changes only where that is said, and differs.
#[tokio::test]
async fn switches() {
    let clockwork = Clockwork::new();
    let job = given("a", spec("a", every(MINUTE)));
    for (switch, fate, disabled) in [
        (Some(Switch::Off), JobFate::Added, "by-request"),
        (Some(Switch::Off), JobFate::Unchanged, "by-request"),
        (None, JobFate::Unchanged, "by-request"),
        (Some(Switch::On), JobFate::Changed, ""),
        (Some(Switch::On), JobFate::Unchanged, ""),
        (None, JobFate::Unchanged, ""),
        (Some(Switch::Off), JobFate::Changed, "by-request"),
    ] {
        let applied = clockwork.apply(&[GivenJob { switch, ..job.clone() }], Rehearsal::No).await;
        assert_eq!(fates(&applied.unwrap()), [fate], "{switch:?}");
        assert_eq!(clockwork.disabled("a"), disabled, "{switch:?}");
        clockwork.check().await;
    }
    // One that is over stays so, and is the same.
    let clockwork = {
        let mut clockwork = Clockwork::new();
        clockwork.apply(&[given("o", spec("o", once(MINUTE)))], Rehearsal::No).await.unwrap();
        clockwork.pass(MINUTE);
        clockwork.round(openclaw_sessions::RunStatus::Ok, "Done.").await;
        clockwork
    };
    assert_eq!(clockwork.disabled("o"), "finished");
    let again = GivenJob { switch: Some(Switch::Off), ..given("o", spec("o", once(MINUTE))) };
    let applied = clockwork.apply(&[again], Rehearsal::No).await.unwrap();
    assert_eq!(fates(&applied), [JobFate::Unchanged]);
    assert_eq!(clockwork.disabled("o"), "finished");
}

/// One that cannot be takes all others with it, and is named.
#[tokio::test]
async fn all_or_none() {
    let mut clockwork = Clockwork::new();
    clockwork.apply(&[given("a", spec("a", every(MINUTE)))], Rehearsal::No).await.unwrap();
    clockwork.pass(HOUR);
    let mut changed = given("a", spec("a", every(HOUR)));
    changed.spec.name = "another".into();
    let heartbeat = given("heartbeat:main", spec("h", every(MINUTE)));
    for bad in [given("past", spec("past", once(MINUTE))), heartbeat] {
        for rehearsal in [Rehearsal::Yes, Rehearsal::No] {
            let jobs = [given("new", spec("new", every(MINUTE))), changed.clone(), bad.clone()];
            let error = clockwork.apply(&jobs, rehearsal).await.unwrap_err();
            let ActError::Failed(JobError::In { key, .. }) = &error else { panic!("{error:?}") };
            assert_eq!(key, &bad.key);
            assert_eq!(clockwork.count("SELECT count(*) FROM cron_jobs"), 1, "{rehearsal:?}");
            assert_eq!(clockwork.job("a").name, "a");
            clockwork.check().await;
        }
    }
}

/// What is made of a job that has changed since counts for nothing.
#[tokio::test]
async fn what_was_seen_counts() {
    let clockwork = Clockwork::new();
    clockwork.apply(&[given("a", spec("a", every(MINUTE)))], Rehearsal::No).await.unwrap();
    let other = given("a", spec("other", every(MINUTE)));
    for (key, seen, says) in [
        ("a", None, "is at revision 1 by now"),
        ("a", Some(2), "is at revision 1 by now"),
        ("gone", Some(1), "no job `gone`"),
    ] {
        let job = GivenJob { key: key.into(), seen, ..other.clone() };
        let ask = ApplyJobs { jobs: vec![job], rehearsal: Rehearsal::No };
        let error = clockwork.store().act(&owner(), ask, clockwork.now).await.unwrap_err();
        let ActError::Failed(error) = error else { panic!("{error:?}") };
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().starts_with(&format!("job `{key}`: ")), "{error}");
    }
}

/// It is an administrator's, whosever the jobs are; and it lends a job of others no more than that one has.
#[tokio::test]
//= docs/threat-model.md#T16
async fn it_is_for_administrators() {
    let clockwork = Clockwork::new();
    clockwork.bed.pair(clockwork.store(), 1, Scope::Admin.into()).await;
    let write = ScopeSet::of(&[Scope::Write]);
    let writer = caller(clockwork.store(), 1, write);
    let own = crate::AddJob { key: "a".into(), ..add(spec("a", every(MINUTE))) };
    clockwork.try_add(&writer, own).await.unwrap();
    for rehearsal in [Rehearsal::Yes, Rehearsal::No] {
        let jobs = vec![GivenJob { seen: Some(1), ..given("a", spec("x", every(MINUTE))) }];
        let ask = ApplyJobs { jobs, rehearsal };
        let refused = clockwork.store().act(&writer, ask, clockwork.now).await.unwrap_err();
        assert_eq!(refusal(refused), Denial::MissingScope(Scope::Admin.into()));
    }
    clockwork.apply(&[given("a", spec("x", every(MINUTE)))], Rehearsal::No).await.unwrap();
    let job = clockwork.store().job(&of("a")).unwrap();
    assert_eq!(
        (job.name.as_str(), job.owner, job.scopes.closed()),
        ("x", holder(1), write.closed())
    );
}
