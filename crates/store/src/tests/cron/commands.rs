//! Commands and posts: begun once, ended once, and never with less than an administrator's word.

use openclaw_scopes::{Caller, Denial, Scope, ScopeSet};

use super::clockwork::Clockwork;
use super::{MINUTE, SECOND, add, every, of, once, refusal, spec};
use crate::tests::access::{OPERATOR, caller, holder, named};
use crate::tests::owner;
use crate::{
    ActError, CancelJob, CommandEnd, CommandFence, GetDelivery, JobDelivery, JobPatch, JobSpec,
    Outcome, Payload, RemoveJob, RotateDevice, RunJob, UpdateJob,
};

const WRITE: ScopeSet = ScopeSet::of(&[Scope::Write]);

fn command() -> Payload {
    Payload::Command { argv: vec!["git".into(), "pull".into()] }
}

fn post() -> Payload {
    Payload::Webhook { body: r#"{"up": true}"#.into() }
}

fn hooked(of: JobSpec) -> JobSpec {
    JobSpec { delivery: JobDelivery::Webhook("https://x.example/y".into()), ..of }
}

fn end(outcome: Outcome, text: &str) -> CommandEnd {
    let reason = if outcome == Outcome::Ran { "" } else { "error" };
    CommandEnd { outcome, reason, text: text.into() }
}

impl Clockwork {
    /// Time passes, and the one command that is due begins.
    async fn command(&mut self, after: i64) -> CommandFence {
        self.pass(after);
        self.look().await;
        let fence = self.commands.pop().unwrap();
        assert!(self.commands.is_empty());
        fence
    }

    async fn ends(&self, fence: &CommandFence, end: CommandEnd) -> bool {
        self.store().command_ended(fence.clone(), end, self.now).await.unwrap()
    }

    fn deliveries(&self) -> i64 {
        self.count("SELECT count(*) FROM outbox")
    }
}

/// What comes of a command is its row of the ledger; what ran well leaves.
#[tokio::test]
async fn the_end_of_a_command_is_one_change() {
    for (outcome, text, row, sent) in [
        (Outcome::Ran, "All is well.", "60s ran", 1),
        (Outcome::Ran, "  ", "60s ran", 0),
        (Outcome::Ran, "NO_REPLY", "60s ran", 0),
        (Outcome::Failed, "exit code 3", "60s failed error", 0),
        (Outcome::Cancelled, "", "60s cancelled error", 0),
    ] {
        let mut clockwork = Clockwork::new();
        clockwork.add(hooked(JobSpec { payload: command(), ..spec("j", every(MINUTE)) })).await;
        let fence = clockwork.command(MINUTE).await;
        assert_eq!(clockwork.told("j").await, ["60s claimed"]);
        clockwork.check().await;
        assert!(clockwork.ends(&fence, end(outcome, text)).await);
        assert!(!clockwork.ends(&fence, end(Outcome::Ran, "again")).await, "once");
        assert_eq!(clockwork.told("j").await, [row], "{text}");
        assert_eq!(clockwork.deliveries(), sent, "{text}");
        let last = clockwork.job("j").last.unwrap();
        assert_eq!((last.run, last.session, last.text.as_str()), (None, None, text));
        assert_eq!(last.delivery.is_some(), sent == 1);
        clockwork.check().await;
    }
}

/// What somebody else has ended, or what was begun anew, is nobody's any more.
#[tokio::test]
async fn who_comes_too_late_says_nothing() {
    let mut clockwork = Clockwork::new();
    clockwork.add(hooked(JobSpec { payload: command(), ..spec("j", every(MINUTE)) })).await;
    let fence = clockwork.command(MINUTE).await;
    clockwork.store().act(&owner(), CancelJob(of("j")), clockwork.now).await.unwrap();
    assert!(!clockwork.ends(&fence, end(Outcome::Ran, "late")).await);
    assert_eq!(clockwork.told("j").await, ["60s cancelled by-request"]);
    assert_eq!(clockwork.deliveries(), 0);
    // A one-shot that a stop interrupted is begun once more; the first attempt is over.
    clockwork.add(JobSpec { payload: command(), ..spec("once", once(2 * MINUTE)) }).await;
    clockwork
        .disk
        .execute("UPDATE cron_jobs SET next_at = NULL, disabled = 'by-request' WHERE job = 'j'", [])
        .unwrap();
    let first = clockwork.command(MINUTE).await;
    clockwork.crash().await;
    assert_eq!(clockwork.told("once").await, ["120s claimed interrupted"]);
    let second = clockwork.command(MINUTE).await;
    assert!(!clockwork.ends(&first, end(Outcome::Ran, "the first")).await);
    assert!(clockwork.ends(&second, end(Outcome::Ran, "the second")).await);
    assert_eq!(clockwork.job("once").last.unwrap().attempts, 2);
    clockwork.check().await;
}

/// A stop is told as one, and a command that failed by itself is not done again by itself.
#[tokio::test]
async fn lost_and_failed_commands() {
    let mut clockwork = Clockwork::new();
    clockwork.add(JobSpec { payload: command(), ..spec("often", every(MINUTE)) }).await;
    clockwork.command(MINUTE).await;
    clockwork.crash().await;
    assert_eq!(clockwork.told("often").await, ["60s lost interrupted"]);
    let last = clockwork.job("often").last.unwrap();
    assert!(last.text.contains("stopped while the command was at work"), "{last:?}");
    clockwork.check().await;

    let mut clockwork = Clockwork::new();
    clockwork.add(JobSpec { payload: command(), ..spec("once", once(MINUTE)) }).await;
    let fence = clockwork.command(MINUTE).await;
    assert!(clockwork.ends(&fence, end(Outcome::Failed, "exit code 1")).await);
    assert_eq!(clockwork.told("once").await, ["60s failed error"]);
    assert_eq!(clockwork.disabled("once"), "one-shot-failed");
    clockwork.check().await;
}

/// What is posted is in the outbox with the ledger's row, once for each instant, and exactly what was given.
#[tokio::test]
async fn a_post_is_a_delivery_of_its_instant() {
    let mut clockwork = Clockwork::new();
    clockwork.add(hooked(JobSpec { payload: post(), ..spec("ping", every(MINUTE)) })).await;
    for minute in 1..=2 {
        clockwork.pass(MINUTE);
        clockwork.look().await;
        assert_eq!(clockwork.deliveries(), minute);
        let last = clockwork.job("ping").last.unwrap();
        assert_eq!((last.outcome, last.run), (Outcome::Ran, None));
        let (id, _) = last.delivery.unwrap();
        let delivery =
            clockwork.store().view(&owner(), &GetDelivery(id), clockwork.now).await.unwrap();
        assert_eq!(delivery.text, r#"{"up": true}"#);
        assert_eq!((delivery.to.channel.as_str(), delivery.to.kind.as_str()), ("webhook", "body"));
        assert_eq!(delivery.to.peer, "https://x.example/y");
        let at = last.scheduled_at.as_millis();
        assert_eq!(delivery.source, format!("cron:ping:{at}"));
    }
    clockwork.crash().await;
    assert_eq!(clockwork.told("ping").await, ["60s ran", "120s ran"]);
    clockwork.check().await;
}

/// Whoever may only write neither adds nor changes, runs, cancels or removes what reaches programs, also if it is
/// theirs; and with the word goes the work.
#[tokio::test]
//= docs/threat-model.md#T16
async fn they_need_an_administrator() {
    let needs_admin = Denial::MissingScope(Scope::Admin.into());
    for payload in [command(), post()] {
        let mut clockwork = Clockwork::new();
        clockwork.bed.pair(clockwork.store(), 1, Scope::Admin.into()).await;
        let by = |clockwork: &Clockwork, scopes: ScopeSet| caller(clockwork.store(), 1, scopes);
        let (writer, admin) = (by(&clockwork, WRITE), by(&clockwork, ScopeSet::ALL));
        let far = hooked(JobSpec { payload: payload.clone(), ..spec("far", every(MINUTE)) });
        let refused = clockwork.try_add(&writer, add(far.clone())).await.unwrap_err();
        assert_eq!(refusal(refused), needs_admin);
        clockwork.try_add(&writer, add(spec("near", every(MINUTE)))).await.unwrap();
        let patch = JobPatch { payload: Some(payload.clone()), ..JobPatch::default() };
        let update = |job: &str, patch: &JobPatch| UpdateJob {
            job: of(job),
            patch: patch.clone(),
            expected: None,
        };
        let done = clockwork.store().act(&writer, update("near", &patch), clockwork.now).await;
        assert_eq!(refusal(done.unwrap_err()), needs_admin);
        // Under its key it is changed by adding it again.
        let keyed = |of: JobSpec| crate::AddJob { key: "k".into(), ..add(of) };
        clockwork.try_add(&writer, keyed(spec("keyed", every(MINUTE)))).await.unwrap();
        let again = JobSpec { payload: payload.clone(), ..spec("other", every(MINUTE)) };
        let refused = clockwork.try_add(&writer, keyed(again)).await.unwrap_err();
        assert_eq!(refusal(refused), needs_admin);
        clockwork.try_add(&admin, add(far)).await.unwrap();
        refuses_all(&clockwork, &writer, needs_admin).await;
        // A scope that is taken away is taken away from what waits, too.
        let ask = RotateDevice { device: named(1), role: OPERATOR, scopes: Some(WRITE) };
        clockwork.store().act(&owner(), ask, clockwork.now).await.unwrap();
        clockwork.pass(MINUTE);
        clockwork.look().await;
        assert!(clockwork.commands.is_empty());
        assert_eq!(clockwork.deliveries(), 0);
        assert_eq!(clockwork.told("far").await, ["60s skipped creator-revoked"]);
        assert_eq!(clockwork.disabled("far"), "creator-revoked");
        assert_eq!(clockwork.disabled("near"), "", "what an agent does goes on");
    }
}

async fn refuses_all(clockwork: &Clockwork, writer: &Caller, why: Denial) {
    let (store, now) = (clockwork.store(), clockwork.now);
    assert_eq!(clockwork.job("far").owner, holder(1), "it is their own");
    let name = JobPatch { name: Some("x".into()), ..JobPatch::default() };
    let update = UpdateJob { job: of("far"), patch: name, expected: None };
    let run = RunJob {
        job: of("far"),
        idempotency_key: openclaw_scopes::IdempotencyKey::parse("r").unwrap(),
    };
    assert_eq!(refusal(store.act(writer, update, now).await.unwrap_err()), why);
    assert_eq!(refusal(store.act(writer, run, now).await.unwrap_err()), why);
    assert_eq!(refusal(store.act(writer, CancelJob(of("far")), now).await.unwrap_err()), why);
    assert_eq!(refusal(store.act(writer, RemoveJob(of("far")), now).await.unwrap_err()), why);
}

/// A job that has become another since it was looked at begins nothing.
#[tokio::test]
async fn what_has_changed_is_not_begun() {
    let mut clockwork = Clockwork::new();
    clockwork.add(JobSpec { payload: command(), ..spec("j", every(MINUTE)) }).await;
    clockwork.pass(MINUTE + SECOND);
    clockwork.settle().await;
    let claimed = clockwork.store().startable_jobs(clockwork.now, 9).unwrap().remove(0);
    let other = Payload::Command { argv: vec!["true".into()] };
    let patch = JobPatch { payload: Some(other), ..JobPatch::default() };
    let update = UpdateJob { job: of("j"), patch, expected: None };
    clockwork.store().act(&owner(), update, clockwork.now).await.unwrap();
    clockwork.fire(claimed).await;
    assert!(clockwork.commands.is_empty(), "it is looked at again");
    clockwork.begin().await;
    assert_eq!(clockwork.commands.len(), 1);
    let failed = clockwork.store().act(&owner(), CancelJob(of("absent")), clockwork.now).await;
    assert!(matches!(failed, Err(ActError::Failed(_))));
}
