//! A store in a temporary directory, and what the tests of this crate ask of it.

mod access;
mod asks;
mod authority;
mod cron;
mod damage;
mod delegation;
mod fresh;
mod full;
mod groups;
mod joined;
mod leaving;
mod paging;
mod random;
mod runs;
mod unused;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use openclaw_scopes::{
    Caller, CapabilitySet, Cause, Component, Epoch, Grant, IdempotencyKey, RunId, SessionKey,
    Timestamp,
};
use openclaw_sessions::{
    AssistantMessage, Dropped, QueueMode, Queued, RunStatus, SendRules, Usage,
};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::{
    AcceptRun, Accepted, AuditFilter, AuditRecord, CreateSession, Ending, GetRun, OpenError,
    Options, Precedence, RecoverRuns, Recovered, RunView, Started, Store, Ticket,
};

/// A state directory, and a clock that moves a millisecond whenever it is looked at.
pub(crate) struct Bed {
    clock: Arc<AtomicI64>,
    pub(crate) dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        Self { clock, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn try_open(&self, max_pages: Option<u32>) -> Result<Store, OpenError> {
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || {
            Timestamp::from_millis(clock.fetch_add(1, Ordering::Relaxed).saturating_add(1))
        });
        Store::open(self.dir.path(), &Options { max_pages, ..Options::new(clock) })
    }

    pub(crate) fn open(&self) -> Store {
        self.try_open(None).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Takes over what another one would leave behind if its process ended now.
    pub(crate) fn continue_from(&self, other: &Self) {
        self.clock.store(other.now().as_millis(), Ordering::Relaxed);
        for file in std::fs::read_dir(other.dir.path()).unwrap().map(Result::unwrap) {
            // What only holds while a process is there does not outlive it.
            let is_shared = file.file_name().to_string_lossy().ends_with("-shm");
            if file.file_type().unwrap().is_file() && !is_shared {
                std::fs::copy(file.path(), self.dir.path().join(file.file_name())).unwrap();
            }
        }
    }

    pub(crate) fn advance(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// A connection behind the store's back.
    pub(crate) fn raw(&self) -> Connection {
        crate::open::connect(&self.path("gateway.db")).unwrap()
    }

    /// Every row of every table but those of the audit log.
    pub(crate) fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let connection = self.raw();
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'audit%'";
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let rows = |name: &str| {
            let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                let values = (0..columns).map(|column| row.get::<_, Value>(column).unwrap());
                Ok(format!("{:?}", values.collect::<Vec<_>>()))
            });
            rows.unwrap().map(Result::unwrap).collect()
        };
        names.map(Result::unwrap).map(|name| (name.clone(), rows(&name))).collect()
    }

    pub(crate) async fn audit(&self, store: &Store) -> Vec<AuditRecord> {
        let all = AuditFilter {
            range: openclaw_scopes::target::AuditRange::All,
            before: None,
            limit: 1_000_000,
            method: String::new(),
            principal: String::new(),
            decision: None,
        };
        let mut records = store.scan(&owner(), all, self.now()).await.unwrap().records;
        records.reverse();
        records
    }

    pub(crate) async fn create(&self, store: &Store, name: &str) {
        let ask = create(name);
        store.act(&owner(), ask, self.now()).await.unwrap();
    }

    pub(crate) async fn start(&self, store: &Store, run: &str, session: &str) -> Started {
        let ask = accept(run, session, Precedence::Start);
        match store.act(&owner(), ask, self.now()).await.unwrap() {
            Accepted::Started(started) => *started,
            other => panic!("not started: {other:?}"),
        }
    }

    pub(crate) async fn wait(&self, store: &Store, run: &str, session: &str) -> Ticket {
        let ask = accept(run, session, Precedence::Wait);
        match store.act(&owner(), ask, self.now()).await.unwrap() {
            Accepted::Waiting(_, ticket) => ticket,
            other => panic!("not waiting: {other:?}"),
        }
    }

    pub(crate) async fn recover(&self, store: &Store) -> Recovered {
        store.act(&recovery(), RecoverRuns, self.now()).await.unwrap()
    }

    pub(crate) async fn view(&self, store: &Store, run: &str) -> RunView {
        store.view(&owner(), &GetRun(run_id(run)), self.now()).await.unwrap()
    }

    #[track_caller]
    pub(crate) fn verify(&self, store: &Store) {
        let verify = || store.verify_audit(None).unwrap();
        let mut verification = verify();
        // The file of the head is written right after the answer to the very first record.
        for _ in 0..1_000 {
            match &*verification.findings {
                [one] if one.kind == crate::FindingKind::HeadMissing => verification = verify(),
                _ => break,
            }
        }
        assert_eq!(verification.findings, [], "{verification:?}");
    }
}

pub(crate) fn owner() -> Caller {
    caller_as_of(Epoch(1))
}

/// An owner whose grant has been replaced since, or not yet been given.
pub(crate) fn stale() -> Caller {
    caller_as_of(Epoch(7))
}

#[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
fn caller_as_of(epoch: Epoch) -> Caller {
    Caller::assertion(1000, Cause::Request, epoch)
}

pub(crate) fn recovery() -> Caller {
    Caller::system(Component::Recovery, Cause::Startup, Epoch(1))
}

pub(crate) fn retention() -> Caller {
    Caller::system(Component::Retention, Cause::Timer, Epoch(1))
}

/// The tools of a run: capable of nothing.
pub(crate) fn tools() -> Caller {
    let grant = Grant::owner(Epoch(1));
    Caller::run(run_id("tools"), key("tools"), grant, CapabilitySet::EMPTY)
}

pub(crate) fn key(name: &str) -> SessionKey {
    SessionKey::parse(&format!("agent:main:{name}")).unwrap()
}

pub(crate) fn run_id(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

pub(crate) fn create(name: &str) -> CreateSession {
    CreateSession {
        idempotency_key: IdempotencyKey::parse(&format!("create-{name}")).unwrap(),
        request_digest: [7; 32],
        key: key(name),
        label: format!("Label of {name}"),
    }
}

pub(crate) fn accept(run: &str, session: &str, precedence: Precedence) -> AcceptRun {
    AcceptRun {
        queue: QueueMode::Followup,
        dropped: Dropped::default(),
        join: None,
        fresh_since: None,
        run: run_id(run),
        request_digest: [7; 32],
        session: key(session),
        message: format!("question of {run}"),
        timeout: None,
        precedence,
        reply_to: String::new(),
    }
}

pub(crate) fn answered(started: &Started, text: &str) -> Ending {
    let usage = Usage { input_tokens: 3, output_tokens: 2, cached_tokens: 1 };
    let answer = AssistantMessage { text: text.into(), usage, ..AssistantMessage::default() };
    Ending {
        terminal: started.running.finish(),
        answer: Some(answer),
        error: String::new(),
        usage,
        send_rules: SendRules::default(),
    }
}

pub(crate) fn interrupted() -> Ending {
    Ending {
        terminal: Queued.interrupt(),
        answer: None,
        error: "stopped".into(),
        usage: Usage::default(),
        send_rules: SendRules::default(),
    }
}

/// Numbers that a seed determines.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(crate) fn is_live(status: RunStatus) -> bool {
    matches!(status, RunStatus::Queued | RunStatus::Running)
}
