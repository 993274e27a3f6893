//! System events: each is told once, in order; the same words about the same thing are one.

use openclaw_scopes::{Caller, Cause, Component, Scope, ScopeSet, SessionKey};
use openclaw_sessions::{Record, RunStatus};

use super::clockwork::Clockwork;
use super::{MINUTE, add, every, spec};
use crate::tests::access::caller;
use crate::tests::{accept, key, owner, run_id};
use crate::{
    AcceptRun, Accepted, ContinueSession, Continued, FireJob, FireWork, Fired, JobPlace, JobSpec,
    NewEvent, Payload, Precedence, Started,
};

/// A clockwork with a job that tells `main` what a test has it tell, each minute; one of the owner's and one of
/// a device's.
async fn with_jobs() -> Clockwork {
    let clockwork = Clockwork::new();
    clockwork.bed.pair(clockwork.store(), 1, Scope::Admin.into()).await;
    let device = caller(clockwork.store(), 1, ScopeSet::ALL);
    for (by, name) in [(&owner(), "mine"), (&device, "theirs")] {
        let payload = Payload::SystemEvent { text: "x".into() };
        let told = JobSpec { payload, place: JobPlace::Main, ..spec(name, every(MINUTE)) };
        clockwork.try_add(by, add(told)).await.unwrap();
    }
    clockwork
}

/// What is told: by which job, about what, answered where.
#[derive(Clone, Copy)]
struct Said {
    job: &'static str,
    context: &'static str,
    reply_to: &'static str,
    text: &'static str,
}

const PLAIN: Said = Said { job: "mine", context: "", reply_to: "", text: "Rain." };

impl Clockwork {
    /// Has a job tell a conversation something.
    async fn tell(&mut self, session: &SessionKey, id: &str, said: Said) {
        self.request(said.job).await;
        self.settle().await;
        let claimed = self.store().startable_jobs(self.now, 9).unwrap();
        let claimed = claimed.into_iter().find(|claimed| claimed.job.as_str() == said.job).unwrap();
        let cause = Cause::Job(said.job.into());
        let by = Caller::delegate(Component::Scheduler, claimed.grant.unwrap(), cause);
        let event = NewEvent {
            id: id.into(),
            label: "Weather".into(),
            text: said.text.into(),
            context: said.context.into(),
            reply_to: said.reply_to.into(),
        };
        let work = FireWork::Event { session: session.clone(), event };
        let ask = FireJob {
            occurrence: claimed.occurrence,
            job: claimed.job,
            revision: claimed.revision,
            work,
        };
        let fired = self.store().act(&by, ask, self.now).await.unwrap();
        assert!(matches!(fired, Fired::Told(told) if told == *session));
    }

    /// The events of the conversation that are in a state, in order, with the reason for it.
    fn inbox(&self, state: &str) -> Vec<(String, String)> {
        let sql =
            "SELECT source, reason FROM inbox WHERE state = ?1 AND kind = 'event' ORDER BY id";
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let rows = statement.query_map([state], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn waits(&self) -> Vec<String> {
        self.inbox("waiting").into_iter().map(|(source, _)| source).collect()
    }

    /// What the announcer does when a conversation has something to be told.
    pub(super) async fn announce(&self, run: &str, session: &SessionKey) -> Option<Started> {
        let due = self.store().due(session).unwrap()?;
        assert_eq!(due.run, None, "an event comes of no run");
        let cause = Cause::Event(due.source.as_str().into());
        let by = Caller::delegate(Component::Announcer, due.grant.clone().unwrap(), cause);
        let accept =
            AcceptRun { session: session.clone(), ..accept(run, "main", Precedence::Start) };
        let ask = ContinueSession { accept, source: due.source };
        match self.store().act(&by, ask, self.now).await.unwrap() {
            Continued::Accepted(accepted) => match *accepted {
                Accepted::Started(started) => Some(*started),
                other => panic!("{other:?}"),
            },
            Continued::Nothing => panic!("{run} was due"),
        }
    }

    async fn over(&mut self, started: Started) {
        let run = started.view.run.clone();
        self.working.insert(run.clone(), started);
        self.end(&run, RunStatus::Ok, "Thanks.").await;
    }
}

/// Which of two events in a row are one.
#[tokio::test]
async fn the_same_words_about_the_same_thing_are_one() {
    let about = Said { context: "cron:a", ..PLAIN };
    #[rustfmt::skip]
    let cases: [(&str, &[Said], &[&str]); 13] = [
        ("the same",         &[PLAIN, PLAIN],                                             &["e0"]),
        ("thrice",           &[PLAIN, PLAIN, PLAIN],                                      &["e0"]),
        ("other words",      &[PLAIN, Said { text: "Sun.", ..PLAIN }],                    &["e0", "e1"]),
        ("but for spaces",   &[PLAIN, Said { text: " Rain.\n", ..PLAIN }],                &["e0"]),
        ("not the last",     &[PLAIN, Said { text: "Sun.", ..PLAIN }, PLAIN],             &["e0", "e1", "e2"]),
        ("something between", &[PLAIN, about, PLAIN],                                     &["e0", "e1", "e2"]),
        ("about it",         &[about, about],                                             &["e0"]),
        ("about it, later",  &[about, Said { text: "Sun.", ..about }, about],             &["e0", "e1"]),
        ("about it, and not", &[about, PLAIN, about],                                     &["e0", "e1"]),
        ("about another",    &[about, Said { context: "cron:b", ..about }],               &["e0", "e1"]),
        ("answered there",   &[about, Said { reply_to: "there", ..about }, about],        &["e0", "e1"]),
        ("answered, plain",  &[PLAIN, Said { reply_to: "there", ..PLAIN }],               &["e0", "e1"]),
        ("of another",       &[about, Said { job: "theirs", ..about }, about],            &["e0", "e1"]),
    ];
    for (name, said, waits) in cases {
        let mut clockwork = with_jobs().await;
        for (number, said) in said.iter().enumerate() {
            clockwork.tell(&key("main"), &format!("e{number}"), *said).await;
        }
        assert_eq!(clockwork.waits(), waits, "{name}");
        let ran = "SELECT count(*) FROM cron_occurrences WHERE state = 'ran'";
        let count = i64::try_from(said.len()).unwrap();
        assert_eq!(clockwork.count(ran), count, "{name}: who told it did its work");
    }
}

/// Conversations do not know each other's events; and what was told may be told again.
#[tokio::test]
async fn words_that_were_told_are_told_again() {
    let mut clockwork = with_jobs().await;
    let (main, other) = (key("main"), key("other"));
    clockwork.tell(&main, "e0", PLAIN).await;
    clockwork.tell(&other, "e1", PLAIN).await;
    let told = clockwork.announce("told-1", &main).await.unwrap();
    clockwork.over(told).await;
    clockwork.tell(&main, "e2", PLAIN).await;
    assert_eq!(clockwork.waits(), ["e1", "e2"]);
}

/// The twenty-first has the oldest give way, which stays to be seen.
#[tokio::test]
async fn the_oldest_give_way() {
    let mut clockwork = with_jobs().await;
    let words: Vec<String> = (0..23).map(|number| format!("Event {number}.")).collect();
    let other = Said { text: "Of another conversation.", ..PLAIN };
    clockwork.tell(&key("other"), "other", other).await;
    for (number, text) in words.iter().enumerate() {
        let said = Said { text: text.clone().leak(), context: "cron:a", ..PLAIN };
        clockwork.tell(&key("main"), &format!("e{number}"), said).await;
        let wait = clockwork.waits().len();
        assert_eq!(wait, (number + 1).min(20) + 1);
    }
    let dead: Vec<_> = clockwork.inbox("dead");
    let reason = "too many events waited; it gave way to newer ones";
    assert_eq!(dead, ["e0", "e1", "e2"].map(|it| (it.to_owned(), reason.to_owned())));
    let told = clockwork.announce("told-1", &key("main")).await.unwrap();
    let places: Vec<_> =
        words.iter().map(|text| told.message.find(&format!("\n> {text}"))).collect();
    assert_eq!(places[..3], [None; 3]);
    assert!(places[3..].iter().all(Option::is_some) && places.is_sorted(), "{}", told.message);
    assert_eq!(clockwork.waits(), ["other"]);
    // The words of one that gave way are news again.
    let again = Said { text: words[0].clone().leak(), context: "cron:a", ..PLAIN };
    clockwork.tell(&key("main"), "again", again).await;
    assert_eq!(clockwork.waits(), ["other", "again"]);
    clockwork.over(told).await;
}

/// In order, once, by a turn of its own or by the one at work; what is answered elsewhere is told in another.
#[tokio::test]
async fn events_are_told_in_order_and_once() {
    let mut clockwork = with_jobs().await;
    let main = key("main");
    let said = |text, reply_to| Said { context: "cron:a", reply_to, text, ..PLAIN };
    clockwork.tell(&main, "e0", said("One.", "here")).await;
    clockwork.tell(&main, "e1", said("Two.", "here")).await;
    clockwork.tell(&main, "far", said("Far.", "there")).await;
    assert_eq!(clockwork.store().all_due().unwrap(), [key("main")]);
    let told = clockwork.announce("told-1", &main).await.unwrap();
    assert!(told.message.contains("\n\n[event e0, `Weather`]\n> One."), "{}", told.message);
    assert!(told.message.find("> One.") < told.message.find("> Two."));
    assert!(!told.message.contains("Far."), "{}", told.message);
    assert_eq!(told.view.reply_to, "here");
    assert!(clockwork.announce("told-2", &main).await.is_none());
    // What comes in while a turn is at work is told to that turn.
    clockwork.tell(&main, "e2", said("Three.", "here")).await;
    assert_eq!(clockwork.store().due(&main).unwrap(), None, "somebody is there who will be told");
    let heard = clockwork.store().take_notices(&told.fence, clockwork.now).await.unwrap();
    let [Record::Notices { notices }] = &*heard else { panic!("{heard:?}") };
    let texts: Vec<_> = notices.iter().map(|notice| (&*notice.run, &*notice.text)).collect();
    assert_eq!(texts, [("e2", "Three.")]);
    let heard = clockwork.store().take_notices(&told.fence, clockwork.now).await.unwrap();
    assert_eq!(heard, []);
    clockwork.over(told).await;
    let far = clockwork.announce("told-3", &main).await.unwrap();
    assert!(far.message.contains("> Far.") && !far.message.contains("One."), "{}", far.message);
    assert_eq!(far.view.reply_to, "there");
    clockwork.over(far).await;
    assert_eq!(clockwork.store().due(&main).unwrap(), None);
    assert_eq!(clockwork.waits(), Vec::<String>::new());
    clockwork.check().await;
}

/// A stop forgets nothing, and tells nothing twice.
#[tokio::test]
async fn events_outlive_a_stop() {
    let mut clockwork = with_jobs().await;
    let main = key("main");
    clockwork.tell(&main, "e0", PLAIN).await;
    clockwork.crash().await;
    assert_eq!(clockwork.store().all_due().unwrap(), [key("main")]);
    clockwork.tell(&main, "e1", PLAIN).await;
    assert_eq!(clockwork.waits(), ["e0"], "it is known still");
    let told = clockwork.announce("told-1", &main).await.unwrap();
    drop(told);
    clockwork.crash().await;
    assert_eq!(clockwork.store().due(&main).unwrap(), None, "the turn goes on");
    let run = run_id("told-1");
    assert!(clockwork.working.contains_key(&run));
    clockwork.end(&run, RunStatus::Ok, "Thanks.").await;
    assert_eq!(clockwork.store().due(&main).unwrap(), None);
    let consumed = clockwork.inbox("consumed");
    assert_eq!(consumed, [("e0".to_owned(), String::new())]);
    clockwork.pass(MINUTE);
}

/// What waits under a grant that was replaced since is not told; so it does not stand for what is said anew.
#[tokio::test]
//= docs/threat-model.md#T17
async fn words_of_a_grant_that_has_ended_stand_for_nothing() {
    use crate::tests::access;
    let mut clockwork = with_jobs().await;
    let main = key("main");
    let said = Said { job: "theirs", context: "cron:theirs", ..PLAIN };
    clockwork.tell(&main, "e0", said).await;
    let rotate =
        crate::RotateDevice { device: access::named(1), role: access::OPERATOR, scopes: None };
    clockwork.store().act(&owner(), rotate, clockwork.now).await.unwrap();
    clockwork.tell(&main, "e1", said).await;
    let due = clockwork.store().due(&main).unwrap().unwrap();
    assert_eq!((&*due.source, &due.grant), ("e0", &None), "nobody may be told of it");
    let reason = "the grant that it rests on has ended".to_owned();
    clockwork.store().bury_notices(&due, reason, clockwork.now).await.unwrap();
    let due = clockwork.store().due(&main).unwrap();
    let due = due.expect("what was said under the grant that holds is told");
    assert_eq!((&*due.source, due.grant.unwrap().holder()), ("e1", &access::holder(1)));
}

/// What is told with less authority is not told in a turn that has more.
#[tokio::test]
//= docs/threat-model.md#T36
async fn who_has_less_authority_is_told_of_in_a_turn_of_its_own() {
    let mut clockwork = with_jobs().await;
    let narrow = caller(clockwork.store(), 1, Scope::Write.into());
    let payload = Payload::SystemEvent { text: "x".into() };
    let told = JobSpec { payload, place: JobPlace::Main, ..spec("narrow", every(MINUTE)) };
    clockwork.try_add(&narrow, add(told)).await.unwrap();
    let main = key("main");
    clockwork.tell(&main, "wide", Said { job: "theirs", context: "cron:theirs", ..PLAIN }).await;
    clockwork.tell(&main, "narrow", Said { job: "narrow", context: "cron:narrow", ..PLAIN }).await;
    let turn = clockwork.announce("told-1", &main).await.unwrap();
    let has_more = !turn.grant.scopes().is_subset(narrow.grant().scopes());
    assert!(!(has_more && turn.message.contains("[event narrow,")), "{}", turn.message);
}

/// The end of what a heartbeat began begins no turn, or each look would lead to the next; whoever speaks there next
/// hears of it.
#[tokio::test]
async fn what_a_heartbeat_began_wakes_nobody() {
    let mut clockwork = with_jobs().await;
    let main = key("main");
    // It opens the conversation, and is told.
    clockwork.tell(&main, "e0", PLAIN).await;
    let told = clockwork.announce("told-1", &main).await.unwrap();
    clockwork.over(told).await;
    let sql =
        "INSERT INTO inbox (session, source, child, label, status, text, at, run, on_behalf_of,
                   grant_epoch, grant_scopes, state)
               SELECT id, 'proc-1', '', 'make', 'ok', 'Exec completed', 1, ?2, 'owner', 1,
                   'operator.admin', 'waiting' FROM sessions WHERE key = ?1";
    let by = |run: &str| clockwork.disk.execute(sql, [main.as_str(), run]).unwrap();
    assert_eq!(by("heartbeat-main-60000"), 1);
    assert_eq!(clockwork.store().due(&main).unwrap(), None);
    assert_eq!(clockwork.store().all_due().unwrap(), []);
    let request = accept("mine", "main", Precedence::Start);
    let begun = clockwork.store().act(&owner(), request, clockwork.now).await.unwrap();
    let Accepted::Started(begun) = begun else { panic!("{begun:?}") };
    let heard = clockwork.store().take_notices(&begun.fence, clockwork.now).await.unwrap();
    let [Record::Notices { notices }] = &*heard else { panic!("{heard:?}") };
    assert_eq!(&*notices[0].run, "proc-1");
}
