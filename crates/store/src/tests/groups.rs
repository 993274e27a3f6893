//! Many operations in one commit, and what one of them does to the others.

use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::Connection;
use tokio::task::JoinSet;

use super::{Bed, create, key, owner};
use crate::act::ActError;
use crate::error::Fault;
use crate::{GetSession, Store, StoreError};

#[tokio::test]
//= docs/threat-model.md#T24
async fn everything_that_was_acknowledged_is_there() {
    let bed = Bed::new();
    let store = bed.open();
    let mut acts = JoinSet::new();
    for index in 0..64 {
        let (store, now) = (store.clone(), bed.now());
        acts.spawn(async move { store.act(&owner(), create(&format!("s{index}")), now).await });
    }
    while let Some(done) = acts.join_next().await {
        done.unwrap().unwrap();
    }
    drop(store);
    let store = bed.open();
    for index in 0..64 {
        let query = GetSession(key(&format!("s{index}")));
        store.view(&owner(), &query, bed.now()).await.unwrap();
    }
    assert_eq!(bed.audit(&store).await.len(), 64);
    bed.verify(&store);
}

/// Keeps the writer busy until the sender is dropped, so that what comes next is one group.
pub(super) async fn hold(store: &Store) -> Sender<()> {
    let (release, held): (Sender<()>, Receiver<()>) = channel();
    let (told, runs) = tokio::sync::oneshot::channel();
    let mut told = Some(told);
    let wait = move |_: &Connection| -> Result<(), Fault<()>> {
        if let Some(told) = told.take() {
            told.send(()).unwrap();
        }
        assert!(held.recv().is_err());
        Ok(())
    };
    let store = store.clone();
    let _waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        drop(runtime.block_on(store.step(wait)));
    });
    runs.await.unwrap();
    release
}

/// Queues, as one group: a conversation, `work`, a conversation.
async fn around(
    bed: &Bed,
    store: &Store,
    work: fn(&Connection) -> Result<(), Fault<()>>,
) -> [Result<(), StoreError>; 3] {
    let release = hold(store).await;
    let act = |name| {
        let (store, now) = (store.clone(), bed.now());
        async move { stored(store.act(&owner(), create(name), now).await.map(drop)) }
    };
    let middle = async { stored(store.step(work).await) };
    let free = async {
        // Polled last: all three are queued by now.
        drop(release);
    };
    let (first, middle, last, ()) = tokio::join!(biased; act("first"), middle, act("last"), free);
    [first, middle, last]
}

/// Only the storage may have failed.
fn stored<T, E: std::fmt::Debug>(result: Result<T, ActError<E>>) -> Result<T, StoreError> {
    result.map_err(|error| match error {
        ActError::Store(error) => error,
        ActError::Denied(denial) => StoreError::Io(denial.to_string()),
        ActError::Failed(error) => StoreError::Io(format!("{error:?}")),
    })
}

#[tokio::test]
async fn an_operation_that_fails_takes_no_other_with_it() {
    let bed = Bed::new();
    let store = bed.open();
    let work = |connection: &Connection| {
        connection.execute("INSERT INTO grants (holder, epoch) VALUES ('half-done', 1)", [])?;
        connection.execute("INSERT INTO grants (holder, epoch) VALUES ('owner', 1)", [])?;
        Ok(())
    };
    let [first, middle, last] = around(&bed, &store, work).await;
    assert_eq!((first, last), (Ok(()), Ok(())));
    assert!(matches!(middle, Err(StoreError::Io(_))));
    let sql = "SELECT count(*) FROM grants WHERE holder = 'half-done'";
    let half: u64 = bed.raw().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!((half, bed.audit(&store).await.len()), (0, 2));
    bed.verify(&store);
}

/// What the engine does by itself when it is out of space, or cannot write.
#[tokio::test]
async fn a_group_that_was_undone_is_done_again_one_by_one() {
    let bed = Bed::new();
    let store = bed.open();
    let work = |connection: &Connection| {
        connection.execute_batch("ROLLBACK")?;
        Err(Fault::Store(rusqlite::Error::InvalidQuery))
    };
    let [first, middle, last] = around(&bed, &store, work).await;
    assert_eq!((first, last), (Ok(()), Ok(())));
    assert!(matches!(middle, Err(StoreError::Io(_))));
    assert_eq!(bed.audit(&store).await.len(), 2);
    bed.verify(&store);
}

#[tokio::test]
async fn a_commit_that_fails_fails_all_and_the_store_goes_on() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "before").await;
    let (before, head) = (bed.dump(), store.audit_head().unwrap());
    // A reference that is only checked at the commit.
    let work = |connection: &Connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO idempotency VALUES ('nobody', 'm', 'k', zeroblob(32), '', 0)",
        )?;
        Ok(())
    };
    for result in around(&bed, &store, work).await {
        assert!(matches!(result, Err(StoreError::Io(_))), "{result:?}");
    }
    assert_eq!((bed.dump(), store.audit_head().unwrap()), (before, head));
    bed.create(&store, "after").await;
    let rows: Vec<_> = bed.audit(&store).await.into_iter().map(|row| row.target).collect();
    assert_eq!(rows, ["session agent:main:before", "session agent:main:after"]);
    bed.verify(&store);
}

/// A reader that stays holds the log's beginning; the log is bounded again once it has left.
#[tokio::test]
async fn the_log_begins_anew_without_waiting_for_readers() {
    let bed = Bed::new();
    let store = bed.open();
    let reader = bed.raw();
    reader.execute_batch("BEGIN; SELECT count(*) FROM audit").unwrap();
    bed.create(&store, "a").await;
    let writer = bed.raw();
    crate::open::restart_log(&writer).unwrap();
    reader.execute_batch("COMMIT").unwrap();
    crate::open::restart_log(&writer).unwrap();
    let frames: i64 =
        writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap();
    bed.create(&store, "b").await;
    let after: i64 =
        writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap();
    assert!(after <= frames.max(40), "{frames} frames before, {after} after");
}
