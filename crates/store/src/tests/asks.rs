//! Every operation: allowed, refused, failed, repeated.

use std::fmt::Debug;

use openclaw_scopes::method::{CreateAgent, ListAgents};
use openclaw_scopes::target::{AgentTarget, AuditRange, Whole};
use openclaw_scopes::{AgentId, Caller, Denial};

use super::{Bed, accept, create, key, owner, recovery, retention, run_id, stale, tools};
use crate::{
    AbortRun, AbortedRun, Accepted, ActError, Ask, AuditFilter, Decision, Entry, GetRun,
    GetSession, GetStatus, History, Note, Peek, Precedence, Query, RecoverRuns, RunError,
    RunFilter, SealAudit, SessionError, SessionFilter, Store, StoreError,
};

fn log_filter() -> AuditFilter {
    AuditFilter {
        range: AuditRange::All,
        before: None,
        limit: 10,
        method: String::new(),
        principal: String::new(),
        decision: None,
    }
}

fn agent() -> AgentTarget {
    AgentTarget(AgentId::parse("main").unwrap())
}

/// A refused mutation changes nothing but the log, which gains exactly one row.
pub(super) async fn denied<A: Ask + Clone>(
    bed: &Bed,
    store: &Store,
    caller: &Caller,
    ask: A,
) -> Denial
where
    A::Output: Debug,
    A::Error: Debug,
{
    let (before, rows) = (bed.dump(), bed.audit(store).await.len());
    let error = store.act(caller, ask, bed.now()).await.unwrap_err();
    expect_denied(bed, store, &before, rows, error).await
}

pub(super) async fn unread<Q: Query>(bed: &Bed, store: &Store, caller: &Caller, query: Q) -> Denial
where
    Q::Output: Debug,
    Q::Error: Debug,
{
    let (before, rows) = (bed.dump(), bed.audit(store).await.len());
    let error = store.scan(caller, query, bed.now()).await.unwrap_err();
    expect_denied(bed, store, &before, rows, error).await
}

async fn expect_denied<E: Debug>(
    bed: &Bed,
    store: &Store,
    before: &std::collections::BTreeMap<String, Vec<String>>,
    rows: usize,
    error: ActError<E>,
) -> Denial {
    let ActError::Denied(denial) = error else { panic!("not refused: {error:?}") };
    assert_eq!(&bed.dump(), before);
    let audit = bed.audit(store).await;
    assert_eq!(audit.len(), rows + 1);
    let last = audit.last().unwrap();
    assert_eq!((last.decision, &last.reason), (Decision::Denied, &denial.to_string()));
    denial
}

#[tokio::test]
async fn denied_means_untouched() {
    let bed = Bed::new();
    let store = bed.open();
    bed.wait(&store, "queued", "a").await;
    let (b, s) = (&bed, &store);
    for caller in [&stale(), &tools(), &recovery()] {
        denied(b, s, caller, create("b")).await;
        denied(b, s, caller, accept("other", "a", Precedence::Wait)).await;
        denied(b, s, caller, accept("other", "b", Precedence::Start)).await;
        denied(b, s, caller, AbortRun(run_id("queued"))).await;
        unread(b, s, caller, GetSession(key("a"))).await;
        unread(b, s, caller, GetSession(key("unknown"))).await;
        unread(b, s, caller, SessionFilter::default()).await;
        unread(b, s, caller, History { session: key("a"), before: None, limit: 9 }).await;
        unread(b, s, caller, GetRun(run_id("queued"))).await;
        unread(b, s, caller, RunFilter::default()).await;
        unread(b, s, caller, log_filter()).await;
        unread(b, s, caller, GetStatus).await;
        unread(b, s, caller, Peek::<ListAgents>(Whole)).await;
    }
    for caller in [&owner(), &stale(), &tools(), &retention()] {
        denied(b, s, caller, RecoverRuns).await;
    }
    for caller in [&owner(), &stale(), &tools(), &recovery()] {
        denied(b, s, caller, SealAudit { before: bed.now() }).await;
    }
    let error = store.act(&tools(), Note::<CreateAgent>(agent()), bed.now()).await.unwrap_err();
    assert_eq!(error, ActError::Denied(Denial::Internal));
    bed.verify(&store);
}

#[tokio::test]
async fn allowed_operations_answer_and_are_recorded_once() {
    let bed = Bed::new();
    let store = bed.open();
    let now = bed.now();
    let session = store.act(&owner(), create("a"), now).await.unwrap();
    assert_eq!((session.label.as_str(), session.created_at), ("Label of a", now));
    assert_eq!(store.view(&owner(), &GetSession(key("a")), now).await, Ok(session));
    let witness = store.act(&owner(), Note::<CreateAgent>(agent()), now).await.unwrap();
    assert_eq!(witness.target(), &agent());
    let witness = store.view(&owner(), &Peek::<ListAgents>(Whole), now).await.unwrap();
    assert_eq!(witness.target(), &Whole);
    let status = store.view(&owner(), &GetStatus, now).await.unwrap();
    assert_eq!((status.sessions, status.queued_runs, status.audit_head.seq), (1, 0, 2));
    assert_eq!(store.audit_head().unwrap(), status.audit_head);
    let audit = bed.audit(&store).await;
    let lines: Vec<_> = audit.iter().map(|row| (row.method.as_str(), row.decision)).collect();
    let allowed = Decision::Allowed;
    assert_eq!(lines, [("sessions.create", allowed), ("agents.create", allowed)]);
    let first = &audit[0];
    assert_eq!((first.seq, first.at, first.count), (1, now, 1));
    assert_eq!(first.target, "session agent:main:a");
    assert_eq!(
        [&first.principal, &first.on_behalf_of, &first.cause],
        ["owner:1000", "owner", "request"]
    );
}

#[tokio::test]
async fn a_failure_is_recorded_and_changes_nothing() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    bed.wait(&store, "one", "a").await;
    let before = bed.dump();
    let other = |mut ask: crate::CreateSession| {
        ask.request_digest = [8; 32];
        ask
    };
    let failed = store.act(&owner(), other(create("a")), bed.now()).await;
    assert_eq!(failed.unwrap_err(), ActError::Failed(SessionError::IdempotencyConflict));
    let conflict = || ActError::Failed(RunError::IdempotencyConflict);
    for session in ["a", "new"] {
        let mut ask = accept("one", session, Precedence::Wait);
        ask.request_digest = [8; 32];
        assert_eq!(store.act(&owner(), ask, bed.now()).await.unwrap_err(), conflict());
    }
    let unknown = store.act(&owner(), AbortRun(run_id("nobody")), bed.now()).await;
    assert_eq!(unknown.unwrap_err(), ActError::Failed(RunError::Unknown(run_id("nobody"))));
    assert_eq!(bed.dump(), before);
    let audit = bed.audit(&store).await;
    let failed: Vec<_> = audit.iter().filter(|row| row.decision == Decision::Failed).collect();
    let reasons: Vec<_> = failed.iter().map(|row| row.reason.as_str()).collect();
    let conflict = "idempotency-conflict";
    assert_eq!(reasons, [conflict, conflict, conflict, "unknown-run"]);
    // Reads that find nothing say so, and are not recorded.
    let missing = store.view(&owner(), &GetSession(key("no")), bed.now()).await;
    assert_eq!(missing, Err(ActError::Failed(SessionError::Unknown(key("no")))));
    let missing = store.view(&owner(), &GetRun(run_id("no")), bed.now()).await;
    assert_eq!(missing, Err(ActError::Failed(RunError::Unknown(run_id("no")))));
    let history = History { session: key("no"), before: None, limit: 9 };
    store.view(&owner(), &history, bed.now()).await.unwrap_err();
    assert_eq!(bed.audit(&store).await.len(), audit.len());
    bed.verify(&store);
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_retry_is_the_same_request_also_after_a_restart() {
    let bed = Bed::new();
    let mut store = bed.open();
    bed.create(&store, "a").await;
    bed.wait(&store, "queued", "a").await;
    let started = bed.start(&store, "done", "b").await;
    store.end_run(&started.fence, super::answered(&started, "Hi."), bed.now()).await.unwrap();
    let rows = bed.audit(&store).await.len();
    for _ in 0..2 {
        let before = bed.dump();
        let session = store.act(&owner(), create("a"), bed.now()).await.unwrap();
        assert_eq!(session.key, key("a"));
        for (run, text) in [("queued", ""), ("done", "Hi.")] {
            for precedence in [Precedence::Start, Precedence::Wait] {
                // The retry may even name another conversation by the same digest: it opens none.
                for session in ["a", "b", "never-opened"] {
                    let ask = accept(run, session, precedence);
                    let Accepted::Existing(view) =
                        store.act(&owner(), ask, bed.now()).await.unwrap()
                    else {
                        panic!("accepted twice");
                    };
                    assert_eq!(view.text, text);
                }
            }
        }
        assert_eq!(bed.dump(), before);
        assert_eq!(bed.audit(&store).await.len(), rows);
        store.close();
        store = bed.open();
    }
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn somebody_elses_key_is_another_request() {
    let bed = Bed::new();
    let store = bed.open();
    bed.wait(&store, "one", "a").await;
    let sql = "INSERT INTO grants (holder, epoch) VALUES ('token:t', 1);
               UPDATE runs SET on_behalf_of = 'token:t'";
    bed.raw().execute_batch(sql).unwrap();
    let error = store.act(&owner(), accept("one", "a", Precedence::Wait), bed.now()).await;
    assert_eq!(error.unwrap_err(), ActError::Failed(RunError::IdempotencyConflict));
}

#[tokio::test]
//= docs/threat-model.md#T17
async fn the_grant_is_asked_where_the_effect_is() {
    let bed = Bed::new();
    let store = bed.open();
    let ticket = bed.wait(&store, "one", "a").await;
    let replace = "UPDATE grants SET epoch = 2 WHERE holder = 'owner'";
    bed.raw().execute(replace, []).unwrap();
    let error = store.act(&owner(), create("b"), bed.now()).await.unwrap_err();
    assert_eq!(error, ActError::Denied(Denial::GrantReplaced));
    let error = store.start_run(ticket, bed.now()).await.unwrap_err();
    assert_eq!(error, ActError::Failed(RunError::GrantEnded(run_id("one"))));
    store.end_waiting_run(run_id("one"), "the grant has ended".into(), bed.now()).await.unwrap();
    let sql = "SELECT status || ' ' || error FROM runs";
    let line: String = bed.raw().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(line, "aborted the grant has ended");
}

#[tokio::test]
//= docs/threat-model.md#T21
async fn refusals_are_single_then_counted() {
    let bed = Bed::new();
    let store = bed.open();
    for _ in 0..25 {
        let error = store.act(&tools(), create("a"), bed.now()).await.unwrap_err();
        assert!(matches!(error, ActError::Denied(_)));
    }
    assert_eq!(bed.audit(&store).await.len(), 20);
    // A minute later, the writer writes the rest; any operation makes it look.
    bed.advance(60_000);
    bed.create(&store, "b").await;
    bed.create(&store, "c").await;
    let audit = bed.audit(&store).await;
    let counts: Vec<_> = audit.iter().map(|row| row.count).filter(|count| *count > 1).collect();
    assert_eq!(counts, [5]);
    // Strangers are only ever counted; closing writes what is pending.
    for source in ["uid:7", "uid:7", "uid:8"] {
        let entry = Entry {
            principal: source.into(),
            on_behalf_of: String::new(),
            method: "connect",
            target: "socket".into(),
            decision: Decision::Denied,
            reason: "unknown-peer".into(),
            cause: "request".into(),
            count: 1,
        };
        store.refuse_stranger(entry, bed.now()).await;
    }
    assert_eq!(bed.audit(&store).await.len(), audit.len());
    store.close();
    let store = bed.open();
    let audit = bed.audit(&store).await;
    let strangers: Vec<_> = audit
        .iter()
        .filter(|row| row.method == "connect")
        .map(|row| (row.principal.as_str(), row.count))
        .collect();
    assert_eq!(strangers, [("uid:7", 2), ("uid:8", 1)]);
    bed.verify(&store);
}

#[tokio::test]
//= docs/threat-model.md#T19
async fn what_cannot_be_recorded_is_not_done() {
    let bed = Bed::new();
    let store = bed.open();
    let ticket = bed.wait(&store, "one", "a").await;
    bed.raw()
        .execute_batch(
            "CREATE TRIGGER no_room BEFORE INSERT ON audit
             BEGIN SELECT raise(ABORT, 'no room'); END",
        )
        .unwrap();
    let (before, head) = (bed.dump(), store.audit_head().unwrap());
    let io = |error: Option<StoreError>| assert!(matches!(error, Some(StoreError::Io(_))));
    io(store_error(store.act(&owner(), create("b"), bed.now()).await));
    io(store_error(store.act(&owner(), AbortRun(run_id("one")), bed.now()).await));
    io(store_error(store.act(&owner(), AbortRun(run_id("unknown")), bed.now()).await));
    io(store_error(store.act(&tools(), create("c"), bed.now()).await));
    io(store_error(store.view(&tools(), &GetStatus, bed.now()).await));
    let started = accept("two", "b", Precedence::Start);
    io(store_error(store.act(&owner(), started, bed.now()).await));
    assert_eq!((bed.dump(), store.audit_head().unwrap()), (before, head));
    // Continuations write no record, so they go on.
    let started = store.start_run(ticket, bed.now()).await.unwrap().unwrap();
    bed.raw().execute_batch("DROP TRIGGER no_room").unwrap();
    let aborted = store.act(&owner(), AbortRun(run_id("one")), bed.now()).await.unwrap();
    assert!(matches!(aborted, AbortedRun::Works(_)));
    store.end_run(&started.fence, super::interrupted(), bed.now()).await.unwrap();
    bed.verify(&store);
}

fn store_error<T, E>(result: Result<T, ActError<E>>) -> Option<StoreError> {
    match result {
        Err(ActError::Store(error)) => Some(error),
        Err(ActError::Denied(_) | ActError::Failed(_)) | Ok(_) => None,
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let bed = Bed::new();
    let store = bed.open();
    let clone = store.clone();
    store.close();
    let error = store_error(clone.act(&owner(), create("a"), bed.now()).await);
    assert_eq!(error, Some(StoreError::Closed));
    drop(clone);
    assert!(bed.open().audit_head().is_ok());
}
