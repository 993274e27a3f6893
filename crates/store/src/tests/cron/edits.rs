//! Jobs that are changed: what was due before stays in the ledger, and nothing is due twice.

use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::IdempotencyKey;
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, add, at, cron, every, of, once, rules, spec, within};
use crate::tests::{key, owner};
use crate::{
    AddJob, AfterRun, Job, JobNovelty, JobPatch, JobPlace, JobSpec, JobTools, Payload, Switch,
    UpdateJob,
};

fn timed(rules: Rules) -> JobPatch {
    JobPatch { rules: Some(rules), ..JobPatch::default() }
}

/// When a job is due first.
#[tokio::test]
async fn the_first_instant() {
    let hourly = every(HOUR);
    #[rustfmt::skip]
    let cases = [
        ("at once",      once(0),                                           Some(0)),
        ("a moment ago", once(-30 * SECOND),                                Some(-30 * SECOND)),
        ("the last",     once(-MINUTE),                                     Some(-MINUTE)),
        ("later",        once(DAY),                                         Some(DAY)),
        ("too late",     once(-MINUTE - SECOND),                            None),
        ("every",        hourly.clone(),                                    Some(HOUR)),
        ("anchored",     rules(Schedule::every(super::millis(HOUR), at(5 * MINUTE)).unwrap()), Some(5 * MINUTE)),
        ("cron",         cron("0 9 * * *", "UTC"),                          Some(9 * HOUR)),
        ("zone",         cron("0 9 * * *", "Asia/Tokyo"),                   Some(DAY)),
        ("hours",        within("08:30", "10:00", "UTC", hourly.clone()),   Some(9 * HOUR)),
        ("staggered",    Rules { stagger: super::millis(MINUTE), ..hourly }, Some(MINUTE)),
    ];
    for (name, rules, first) in cases {
        let clockwork = Clockwork::new();
        let name = name.replace(' ', "-");
        let added = clockwork.try_add(&owner(), add(spec(&name, rules))).await;
        match first {
            Some(first) => {
                let job = added.unwrap().job;
                assert_eq!(job.next_at, Some(at(first)), "{name}");
                assert_eq!((job.revision, job.disabled, job.last), (1, None, None), "{name}");
            }
            None => {
                clockwork.fails(added, "never-due");
                assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 0, "{name}");
            }
        }
    }
}

/// What is written is read back as it was.
#[tokio::test]
async fn all_of_a_job_is_kept() {
    let clockwork = Clockwork::new();
    let session = JobPlace::Session(key("news"));
    let hours =
        within("22:00", "06:30", "America/New_York", cron("*/5 * * * 1-5", "Europe/Berlin"));
    let full = JobSpec {
        payload: Payload::SystemEvent { text: "\"Ü\"\n\u{1f980}".into() },
        place: session,
        model: "local/x".into(),
        tools: JobTools::Only(vec!["read_file".into(), "web_fetch".into()]),
        timeout: super::millis(90 * SECOND),
        max_tokens: u64::MAX,
        after_run: AfterRun::Delete,
        ..spec(
            "full",
            Rules { stagger: super::millis(7 * SECOND), catch_up: CatchUp::All(100), ..hours },
        )
    };
    let few = JobSpec {
        tools: JobTools::Only(Vec::new()),
        place: JobPlace::Main,
        ..spec("few", Rules { catch_up: CatchUp::None, ..once(DAY) })
    };
    for wanted in [full, few, spec("every", every(HOUR))] {
        let job = clockwork.add(wanted.clone()).await;
        assert_eq!(job.spec.as_ref(), Ok(&wanted));
        assert_eq!(clockwork.job(&wanted.name), job);
        // What is changed back to what it was is timed as it was.
        let patch = JobPatch { model: Some("other/y".into()), ..JobPatch::default() };
        let changed = clockwork.update(&wanted.name, patch).await.unwrap();
        assert_eq!((changed.revision, changed.next_at), (2, job.next_at));
        let back = JobPatch { model: Some(wanted.model.clone()), ..JobPatch::default() };
        let back = clockwork.update(&wanted.name, back).await.unwrap();
        assert_eq!(back.spec, Ok(wanted));
    }
}

/// A name, how much time passes, what changes, what the ledger says, and when the job is due then.
type Case = (&'static str, i64, JobPatch, &'static [&'static str], Option<i64>);

/// An instant that has come before the change is the job's as it was due, and stays in the ledger.
#[tokio::test]
async fn an_overdue_instant_stays_in_the_ledger() {
    #[rustfmt::skip]
    let cases: [Case; 8] = [
        ("timed",    HOUR,              timed(every(7 * MINUTE)),                        &["3600s claimed"], Some(63 * MINUTE)),
        ("late",     HOUR + 2 * MINUTE, timed(every(7 * MINUTE)),                        &["3600s claimed"], Some(63 * MINUTE)),
        ("many",     3 * HOUR,          timed(cron("30 * * * *", "UTC")),                &["3600sx2 missed catch-up", "10800s claimed"], Some(3 * HOUR + 30 * MINUTE)),
        ("none",     3 * HOUR + MINUTE * 2, timed(Rules { catch_up: CatchUp::None, ..every(DAY) }), &["3600sx2 missed catch-up", "10800s claimed"], Some(DAY)),
        ("once",     HOUR,              timed(once(DAY)),                                &["3600s claimed"], Some(DAY)),
        ("renamed",  HOUR,              JobPatch { model: Some("a/b".into()), ..JobPatch::default() }, &["3600s claimed"], Some(2 * HOUR)),
        ("off",      HOUR,              JobPatch { switch: Some(Switch::Off), ..JobPatch::default() }, &["3600s skipped by-request"], None),
        ("on",       HOUR,              JobPatch { switch: Some(Switch::On), ..JobPatch::default() }, &["3600s claimed"], Some(2 * HOUR)),
    ];
    for (name, length, patch, told, next) in cases {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", every(HOUR))).await;
        clockwork.pass(length);
        let job = clockwork.update("j", patch).await.unwrap();
        assert_eq!(clockwork.told("j").await, told, "{name}");
        assert_eq!(job.next_at, next.map(at), "{name}");
        assert_eq!(clockwork.settle().await, 0, "{name}: nothing twice");
        // What waits of a job that is off is left out; anything else is done.
        let begun = usize::from(job.disabled.is_none());
        assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, begun, "{name}");
        clockwork.check().await;
    }
}

/// The clock was set back before the change: what has begun does not begin again, and what was missed ahead of
/// the clock is due when it comes.
#[tokio::test]
async fn nothing_is_due_again_after_the_clock_was_set_back() {
    let changes = [
        ("timed", timed(every(30 * MINUTE)), 30 * MINUTE),
        ("the same", timed(Rules { catch_up: CatchUp::None, ..every(HOUR) }), HOUR),
    ];
    for (name, patch, step) in changes {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", every(HOUR))).await;
        clockwork.pass(DAY);
        clockwork.round(RunStatus::Ok, "Done.").await;
        clockwork.pass(-5 * HOUR);
        let job = clockwork.update("j", patch).await.unwrap();
        assert_eq!(job.next_at, Some(at(19 * HOUR + step)), "{name}");
        let off = clockwork.switch("j", Switch::Off).await.unwrap();
        assert_eq!(off.next_at, None);
        let on = clockwork.switch("j", Switch::On).await.unwrap();
        assert_eq!(on.next_at, Some(at(19 * HOUR + step)), "{name}");
        assert_eq!(clockwork.look().await, []);
        clockwork.pass(5 * HOUR);
        assert_eq!(clockwork.look().await, [], "the last one has run");
        clockwork.check().await;
    }
}

/// A one-shot that has had its instant is not on again: it needs another time.
#[tokio::test]
async fn a_one_shot_that_is_over_is_not_switched_on() {
    for length in [HOUR, 30 * SECOND] {
        let mut clockwork = Clockwork::new();
        clockwork.add(spec("j", once(MINUTE))).await;
        clockwork.pass(MINUTE);
        clockwork.round(RunStatus::Ok, "Done.").await;
        clockwork.pass(length);
        let on = clockwork.switch("j", Switch::On).await;
        clockwork.fails(on, "never-due");
        assert_eq!(clockwork.disabled("j"), "finished", "after {length}");
    }
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    clockwork.round(RunStatus::Ok, "Done.").await;
    let patch = JobPatch { switch: Some(Switch::On), ..timed(once(DAY)) };
    let job = clockwork.update("j", patch).await.unwrap();
    assert_eq!((job.disabled, job.next_at), (None, Some(at(DAY))));
    clockwork.pass(DAY);
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    clockwork.check().await;
}

/// While a one-shot works it may be given another time; its end does not take that away.
#[tokio::test]
async fn a_one_shot_at_work_is_given_another_time() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", once(MINUTE))).await;
    clockwork.pass(MINUTE);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    let job = clockwork.update("j", timed(once(DAY))).await.unwrap();
    assert_eq!(job.next_at, Some(at(DAY)));
    clockwork.end(&run, RunStatus::Ok, "Done.").await;
    assert_eq!((clockwork.disabled("j"), clockwork.job("j").next_at), ("", Some(at(DAY))));
    clockwork.pass(DAY);
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    assert_eq!(clockwork.disabled("j"), "finished");
    clockwork.check().await;
}

/// Who has seen an older revision changes nothing; nor does who changes nothing.
#[tokio::test]
async fn who_looked_before_the_change() {
    let clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    let patch = JobPatch { max_tokens: Some(7), ..JobPatch::default() };
    let ask = UpdateJob { job: of("j"), patch: patch.clone(), expected: Some(1) };
    let job = clockwork.store().act(&owner(), ask.clone(), clockwork.now).await.unwrap();
    assert_eq!(job.revision, 2);
    let late = clockwork.store().act(&owner(), ask, clockwork.now).await;
    clockwork.fails(late, "job-changed");
    let before = clockwork.bed.dump();
    assert_eq!(clockwork.update("j", patch).await.unwrap(), job);
    assert_eq!(clockwork.update("j", JobPatch::default()).await.unwrap(), job);
    assert_eq!(clockwork.bed.dump(), before);
    let never = clockwork.update("j", timed(once(-DAY))).await;
    clockwork.fails(never, "never-due");
    assert_eq!(clockwork.job("j"), job);
}

/// What is given again and again under its key is one job.
#[tokio::test]
async fn what_is_given_again_under_its_key() {
    let mut clockwork = Clockwork::new();
    let give = |id: &str, request: &str, rules| AddJob {
        idempotency_key: IdempotencyKey::parse(request).unwrap(),
        key: "plugin:mail".into(),
        ..add(JobSpec { name: "mail".into(), ..spec(id, rules) })
    };
    let first = clockwork.try_add(&owner(), give("one", "r1", every(HOUR))).await.unwrap();
    assert_eq!((first.novelty, first.job.id.as_str()), (JobNovelty::New, "mail"));
    let retried = clockwork.try_add(&owner(), give("one", "r1", every(HOUR))).await.unwrap();
    assert_eq!((retried.novelty, &retried.job), (JobNovelty::Existing, &first.job));
    let other = AddJob { request_digest: [8; 32], ..give("one", "r1", every(HOUR)) };
    let other = clockwork.try_add(&owner(), other).await;
    clockwork.fails(other, "idempotency-conflict");

    clockwork.pass(HOUR);
    let again = AddJob { id: "two".parse().unwrap(), ..give("two", "r2", every(MINUTE)) };
    let again = clockwork.try_add(&owner(), again).await.unwrap();
    assert_eq!(again.novelty, JobNovelty::Existing);
    let Job { id, revision, next_at, created_at, .. } = again.job;
    assert_eq!((id, revision, created_at), (first.job.id, 2, at(0)));
    assert_eq!(next_at, Some(at(HOUR + MINUTE)));
    assert_eq!(clockwork.told("mail").await, ["3600s claimed"], "what was due stays");
    assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 1);

    // The key is free again when the job is gone, and its old request finds what it made.
    clockwork.remove("plugin:mail").await;
    let new = AddJob { id: "three".parse().unwrap(), ..give("three", "r3", every(HOUR)) };
    let new = clockwork.try_add(&owner(), new).await.unwrap();
    assert_eq!((new.novelty, new.job.revision, new.job.id.as_str()), (JobNovelty::New, 1, "three"));
    clockwork.check().await;
}
