//! The life of runs: one writer a session, one end a run, also across restarts.

use std::time::Duration;

use openclaw_sessions::{Record, RunStatus, Usage};

use super::{Bed, accept, answered, interrupted, is_live, key, owner, recovery, run_id};
use crate::{
    AbortRun, AbortedRun, Accepted, ActError, Ending, FenceError, GetSession, History,
    JournalEntry, Precedence, RecoverRuns, RunFilter, Store, StoreError,
};

async fn history(bed: &Bed, store: &Store, session: &str) -> Vec<JournalEntry> {
    let query = History { session: key(session), before: None, limit: 1000 };
    store.view(&owner(), &query, bed.now()).await.unwrap().entries
}

fn kinds(entries: &[JournalEntry]) -> Vec<&'static str> {
    let kind = |entry: &JournalEntry| match entry.record {
        Record::AssistantMessage(_) => "answer",
        Record::Final { .. } => "final",
        Record::Notices { .. } => "notices",
        Record::Steered { .. } => "steered",
        Record::Summary { .. } => "summary",
        Record::ToolResult(_) => "result",
        Record::UserMessage { .. } => "question",
    };
    entries.iter().map(kind).collect()
}

#[tokio::test]
async fn a_run_that_starts_at_once() {
    let bed = Bed::new();
    let store = bed.open();
    let mut ask = accept("one", "a", Precedence::Start);
    ask.timeout = Some(Duration::from_secs(60));
    let now = bed.now();
    let accepted = store.act(&owner(), ask, now).await.unwrap();
    let Accepted::Started(started) = accepted else { panic!("{accepted:?}") };
    assert_eq!(started.message, "question of one");
    assert_eq!(started.running.deadline, Some(now.saturating_add(Duration::from_secs(60))));
    assert_eq!(started.view, bed.view(&store, "one").await, "the view made is the view stored");
    assert_eq!(started.view.status, RunStatus::Running);
    let session = store.view(&owner(), &GetSession(key("a")), bed.now()).await.unwrap();
    assert_eq!((session.active_run, session.total_runs), (Some(run_id("one")), 1));
    let note = Record::AssistantMessage(openclaw_sessions::AssistantMessage::default());
    let entry = store.append(&started.fence, vec![note.clone(), note], bed.now()).await.unwrap();
    assert_eq!(entry, 3);
    let (ending, at) = (answered(&started, "Hi."), bed.now());
    assert_eq!(store.end_run(&started.fence, ending.clone(), at).await.unwrap(), 5);
    let view = bed.view(&store, "one").await;
    assert_eq!(view, started.view.ended(&ending, at));
    assert_eq!((view.status, view.text.as_str()), (RunStatus::Ok, "Hi."));
    let entries = history(&bed, &store, "a").await;
    assert_eq!(kinds(&entries), ["question", "answer", "answer", "answer", "final"]);
    assert!(entries.iter().zip(1..).all(|(entry, place)| entry.entry == place));
    let recent = store.recent(&started.fence, 4, 2).unwrap();
    assert_eq!(recent, entries[1..3]);
    let session = store.view(&owner(), &GetSession(key("a")), bed.now()).await.unwrap();
    assert_eq!((session.active_run, session.usage), (None, ending.usage));
    // Continuations write no audit row.
    assert_eq!(bed.audit(&store).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_waits_and_starts() {
    let bed = Bed::new();
    let store = bed.open();
    let mut ask = accept("one", "a", Precedence::Wait);
    ask.timeout = Some(Duration::from_micros(1));
    let accepted = store.act(&owner(), ask, bed.now()).await.unwrap();
    let Accepted::Waiting(view, ticket) = accepted else { panic!("{accepted:?}") };
    assert_eq!(view, bed.view(&store, "one").await);
    let session = store.view(&owner(), &GetSession(key("a")), bed.now()).await.unwrap();
    assert_eq!((session.queued_runs, session.total_runs, session.active_run), (1, 1, None));
    assert_eq!(session.updated_at, view.accepted_at);
    let started = store.start_run(ticket, bed.now()).await.unwrap().unwrap();
    assert_eq!(started.view, bed.view(&store, "one").await);
    assert_eq!((started.message.as_str(), started.entry), ("question of one", 1));
    assert!(started.running.deadline.is_some(), "a short limit is not none");
    let session = store.view(&owner(), &GetSession(key("a")), bed.now()).await.unwrap();
    assert_eq!((session.queued_runs, session.total_runs), (0, 1));
    store.end_run(&started.fence, interrupted(), bed.now()).await.unwrap();
    assert_eq!(kinds(&history(&bed, &store, "a").await), ["question", "final"]);
}

#[tokio::test]
async fn a_waiting_run_is_aborted_and_never_starts() {
    let bed = Bed::new();
    let store = bed.open();
    let ticket = bed.wait(&store, "one", "a").await;
    for _ in 0..2 {
        let aborted = store.act(&owner(), AbortRun(run_id("one")), bed.now()).await.unwrap();
        let AbortedRun::Ended(view) = aborted else { panic!("{aborted:?}") };
        assert_eq!(view.status, RunStatus::Aborted);
    }
    assert!(store.start_run(ticket, bed.now()).await.unwrap().is_none());
    assert_eq!(history(&bed, &store, "a").await, []);
    let rows = bed.audit(&store).await;
    assert_eq!(rows.len(), 2, "aborting twice is recorded once");
}

#[tokio::test]
async fn only_the_newest_writer_writes() {
    let bed = Bed::new();
    let store = bed.open();
    let one = bed.start(&store, "one", "a").await;
    let second = accept("two", "a", Precedence::Start);
    let error = store.act(&owner(), second, bed.now()).await.unwrap_err();
    assert!(matches!(error, ActError::Store(StoreError::Corrupt(_))), "two writers");
    store.end_run(&one.fence, interrupted(), bed.now()).await.unwrap();
    let fenced = |error| assert_eq!(error, ActError::Failed(FenceError));
    let record = || vec![Record::UserMessage { text: "late".into() }];
    for started in [None, Some(bed.start(&store, "two", "a").await)] {
        let before = bed.dump();
        fenced(store.append(&one.fence, record(), bed.now()).await.unwrap_err());
        fenced(store.end_run(&one.fence, interrupted(), bed.now()).await.unwrap_err());
        assert_eq!(bed.dump(), before);
        if let Some(two) = started {
            store.append(&two.fence, record(), bed.now()).await.unwrap();
            store.end_run(&two.fence, interrupted(), bed.now()).await.unwrap();
        }
    }
    assert_eq!(history(&bed, &store, "a").await.len(), 5);
}

#[tokio::test]
async fn a_restart_ends_what_worked_and_finds_what_waited() {
    let bed = Bed::new();
    let store = bed.open();
    let done = bed.start(&store, "done", "a").await;
    store.end_run(&done.fence, answered(&done, "Hi."), bed.now()).await.unwrap();
    let works = bed.start(&store, "works", "a").await;
    bed.wait(&store, "next", "a").await;
    bed.start(&store, "other", "b").await;
    bed.wait(&store, "last", "a").await;
    drop(store);
    let store = bed.open();
    let recovered = bed.recover(&store).await;
    assert_eq!((recovered.interrupted, recovered.resumed), (0, 2));
    let waiting: Vec<_> = recovered.waiting.iter().map(|ticket| ticket.run.as_str()).collect();
    assert_eq!(waiting, ["works", "other", "next", "last"], "what was begun is first");
    for run in ["works", "other"] {
        let view = bed.view(&store, run).await;
        assert_eq!((view.status, view.error.as_str()), (RunStatus::Queued, ""));
    }
    let entries = history(&bed, &store, "a").await;
    assert_eq!(kinds(&entries), ["question", "answer", "final", "question", "final"]);
    store.append(&works.fence, Vec::new(), bed.now()).await.unwrap_err();
    for ticket in recovered.waiting {
        let started = store.start_run(ticket, bed.now()).await.unwrap().unwrap();
        store.end_run(&started.fence, answered(&started, "Yes."), bed.now()).await.unwrap();
    }
    // A second recovery finds nothing to do, and writes no record.
    let rows = bed.audit(&store).await.len();
    let again = store.act(&recovery(), RecoverRuns, bed.now()).await.unwrap();
    assert_eq!((again.interrupted, again.waiting.len()), (0, 0));
    assert_eq!(bed.audit(&store).await.len(), rows);
    let all = RunFilter { limit: 100, ..RunFilter::default() };
    let page = store.view(&owner(), &all, bed.now()).await.unwrap();
    assert!(page.runs.iter().all(|run| !is_live(run.status)));
    bed.verify(&store);
}

/// A provider that claims absurd numbers must not make the end of a run impossible.
#[tokio::test]
async fn absurd_usage_is_bounded() {
    let bed = Bed::new();
    let store = bed.open();
    let usage = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, cached_tokens: u64::MAX };
    for run in ["one", "two", "three"] {
        let started = bed.start(&store, run, "a").await;
        let ending = Ending { usage, ..answered(&started, "Hi.") };
        store.end_run(&started.fence, ending, bed.now()).await.unwrap();
    }
    let session = store.view(&owner(), &GetSession(key("a")), bed.now()).await.unwrap();
    assert_eq!(session.usage.input_tokens, (1 << 53) - 1);
}

/// What is asked often, or on the way of every turn, reads no table from end to end.
#[test]
fn frequent_queries_use_an_index() {
    let bed = Bed::new();
    drop(bed.open());
    let connection = bed.raw();
    let sessions = format!("{} WHERE s.key = 'k'", crate::sessions::SELECT);
    let status = crate::status::COUNTS.to_owned();
    for sql in [sessions, status, crate::runs::RUNNING.into(), crate::runs::WAITING.into()] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = plan.map(Result::unwrap).collect();
        let scans = |line: &String| {
            (line.starts_with("SCAN")
                && !line.contains("CONSTANT ROW")
                && !line.contains("sessions"))
                || line.contains("runs_by_session")
        };
        assert!(!plan.iter().any(scans), "{sql}: {plan:?}");
    }
}
