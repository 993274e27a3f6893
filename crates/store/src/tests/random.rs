//! Random operations against a small model, with restarts in between.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_scopes::Timestamp;
use openclaw_sessions::{Record, RunStatus};

use super::{Bed, Dice, accept, answered, key, owner, run_id};
use crate::{
    AbortRun, AbortedRun, Accepted, ActError, History, Precedence, RunFilter, Started, Store,
    Ticket,
};

const SESSIONS: u64 = 4;

/// What the store should know.
#[derive(Default)]
struct Model {
    runs: BTreeMap<String, (u64, RunStatus)>,
    /// The runs that were begun again.
    resumed: BTreeSet<String>,
    entries: [u64; 4],
}

/// What the callers hold.
#[derive(Default)]
struct Held {
    started: BTreeMap<String, Started>,
    stale: Vec<Started>,
    tickets: Vec<Ticket>,
}

impl Model {
    fn is_idle(&self, session: u64) -> bool {
        !self.runs.values().any(|(at, status)| *at == session && *status == RunStatus::Running)
    }

    fn session_of(&self, run: &str) -> usize {
        usize::try_from(self.runs[run].0).unwrap()
    }

    fn set(&mut self, run: &str, status: RunStatus, entries: u64) {
        let session = self.session_of(run);
        self.runs.get_mut(run).unwrap().1 = status;
        self.entries[session] += entries;
    }
}

async fn step(bed: &Bed, store: &Store, dice: &mut Dice, model: &mut Model, held: &mut Held) {
    let now = bed.now();
    match dice.below(7) {
        0 | 1 => accept_one(store, dice, model, held, now).await,
        2 => {
            let Some(ticket) = held.tickets.pop() else { return };
            let run = ticket.run.to_string();
            if model.is_idle(model.runs[&run].0) {
                let started = store.start_run(ticket, now).await.unwrap();
                let waits = model.runs[&run].1 == RunStatus::Queued;
                assert_eq!(started.is_some(), waits, "{run}");
                if let Some(started) = started {
                    model.set(&run, RunStatus::Running, 1);
                    held.started.insert(run, started);
                }
            } else {
                held.tickets.insert(0, ticket);
            }
        }
        3 => {
            let Some((run, started)) = held.started.first_key_value() else { return };
            let record = Record::UserMessage { text: "more".into() };
            let count = dice.below(3);
            let records = (0..count).map(|_| record.clone()).collect();
            store.append(&started.fence, records, now).await.unwrap();
            model.set(&run.clone(), RunStatus::Running, count);
        }
        4 => {
            let Some((run, started)) = held.started.pop_last() else { return };
            store.end_run(&started.fence, answered(&started, "Hi."), now).await.unwrap();
            model.set(&run, RunStatus::Ok, 2);
            held.stale.push(started);
        }
        5 => {
            let Some(stale) = held.stale.last() else { return };
            let late = store.end_run(&stale.fence, answered(stale, "late"), now).await;
            assert!(matches!(late, Err(ActError::Failed(_))));
        }
        _ => {
            let place = dice.below(1 + u64::try_from(model.runs.len()).unwrap());
            let Some(run) = model.runs.keys().nth(usize::try_from(place).unwrap()).cloned() else {
                return;
            };
            let aborted = store.act(&owner(), AbortRun(run_id(&run)), now).await.unwrap();
            match aborted {
                AbortedRun::Works(view) => assert_eq!(view.status, RunStatus::Running),
                AbortedRun::Ended(_) if model.runs[&run].1 == RunStatus::Queued => {
                    model.set(&run, RunStatus::Aborted, 0);
                }
                AbortedRun::Ended(view) => assert_eq!(view.status, model.runs[&run].1),
            }
        }
    }
}

async fn accept_one(
    store: &Store,
    dice: &mut Dice,
    model: &mut Model,
    held: &mut Held,
    now: Timestamp,
) {
    let (run, session) = (format!("r{}", dice.below(40)), dice.below(SESSIONS));
    let precedence = if model.is_idle(session) { Precedence::Start } else { Precedence::Wait };
    let ask = accept(&run, &format!("s{session}"), precedence);
    let known = model.runs.get(&run).map(|(_, status)| *status);
    let (status, entries) = match (store.act(&owner(), ask, now).await.unwrap(), known) {
        (Accepted::Existing(view), Some(status)) => return assert_eq!(view.status, status),
        (Accepted::Started(started), None) => {
            held.started.insert(run.clone(), *started);
            (RunStatus::Running, 1)
        }
        (Accepted::Waiting(_, ticket), None) => {
            held.tickets.push(ticket);
            (RunStatus::Queued, 0)
        }
        (accepted, known) => panic!("{known:?} became {accepted:?}"),
    };
    model.runs.insert(run.clone(), (session, status));
    model.set(&run, status, entries);
}

async fn restart(bed: &Bed, store: Store, model: &mut Model, held: &mut Held) -> Store {
    drop(store);
    let store = bed.open();
    let recovered = bed.recover(&store).await;
    for run in model.runs.clone().keys() {
        if model.runs[run].1 == RunStatus::Running {
            let is_first = model.resumed.insert(run.clone());
            model.set(run, if is_first { RunStatus::Queued } else { RunStatus::Interrupted }, 1);
        }
    }
    held.stale.extend(std::mem::take(&mut held.started).into_values());
    held.tickets = recovered.waiting;
    let queued = model.runs.values().filter(|(_, status)| *status == RunStatus::Queued).count();
    assert_eq!(held.tickets.len(), queued);
    store
}

async fn compare(bed: &Bed, store: &Store, model: &Model) {
    let all = RunFilter { limit: 1000, ..RunFilter::default() };
    let page = store.view(&owner(), &all, bed.now()).await.unwrap();
    let stored: BTreeMap<_, _> =
        page.runs.iter().map(|run| (run.run.to_string(), run.status)).collect();
    let expected: BTreeMap<_, _> =
        model.runs.iter().map(|(run, (_, status))| (run.clone(), *status)).collect();
    assert_eq!(stored, expected);
    for (session, entries) in model.entries.iter().enumerate() {
        let query = History { session: key(&format!("s{session}")), before: None, limit: 100_000 };
        let count = store.view(&owner(), &query, bed.now()).await.map_or(0, |page| {
            let finals =
                |entry: &&crate::JournalEntry| matches!(entry.record, Record::Final { .. });
            let mut ends: Vec<_> =
                page.entries.iter().filter(finals).map(|entry| &entry.run).collect();
            let all = ends.len();
            let again = ends.iter().filter(|run| model.resumed.contains(run.as_str())).count();
            ends.dedup();
            assert!(ends.len() >= all - again, "one end a run, and one more if it was begun again");
            page.entries.len()
        });
        assert_eq!(u64::try_from(count).unwrap(), *entries, "session {session}");
    }
    bed.verify(store);
}

#[tokio::test]
async fn random_work_and_restarts_agree_with_the_model() {
    for seed in 1..=12 {
        println!("seed {seed}");
        let (mut dice, bed) = (Dice(seed), Bed::new());
        let (mut model, mut held, mut store) = (Model::default(), Held::default(), bed.open());
        for _ in 0..120 {
            if dice.below(25) == 0 {
                compare(&bed, &store, &model).await;
                store = restart(&bed, store, &mut model, &mut held).await;
            }
            step(&bed, &store, &mut dice, &mut model, &mut held).await;
        }
        compare(&bed, &store, &model).await;
    }
}
