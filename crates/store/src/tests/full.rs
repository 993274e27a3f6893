//! A full disk, under load: refused work is absent, acknowledged work is there.

use openclaw_scopes::Timestamp;
use tokio::task::JoinSet;

use super::{Bed, accept, create, owner, retention, run_id};
use crate::{ActError, GetRun, Precedence, SealAudit, Store, StoreError};

async fn accept_until_full(
    store: Store,
    worker: u32,
    now: Timestamp,
) -> (Vec<String>, Vec<String>) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for index in 0..10_000 {
        let run = format!("run-{worker}-{index}");
        let mut ask = accept(&run, &format!("s{worker}"), Precedence::Wait);
        ask.message = "x".repeat(700 * (1 + index % 3));
        match store.act(&owner(), ask, now).await {
            Ok(_) => accepted.push(run),
            Err(ActError::Store(StoreError::Full)) => refused.push(run),
            Err(error) => panic!("{error:?}"),
        }
        if refused.len() == 5 {
            break;
        }
    }
    (accepted, refused)
}

#[tokio::test]
//= docs/threat-model.md#T22
async fn nothing_is_lost_and_nothing_half_written() {
    let bed = Bed::new();
    drop(bed.open());
    let pages: u32 = bed.raw().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let store = bed.try_open(Some(pages + 60)).unwrap();
    for index in 0..40 {
        bed.create(&store, &format!("before{index}")).await;
    }
    let mut workers = JoinSet::new();
    for worker in 0..8 {
        workers.spawn(accept_until_full(store.clone(), worker, bed.now()));
    }
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    while let Some(done) = workers.join_next().await {
        let (yes, no) = done.unwrap();
        accepted.extend(yes);
        refused.extend(no);
    }
    assert_eq!(refused.len(), 40);
    assert!(accepted.len() > 20, "{}", accepted.len());
    bed.verify(&store);
    // It still answers reads, and refuses work with a typed error …
    let full = store.act(&owner(), create(&"n".repeat(100)), bed.now()).await;
    assert!(matches!(full, Ok(_) | Err(ActError::Store(StoreError::Full))), "{full:?}");
    // … and serves again when pages come free.
    let sealed = store.act(&retention(), SealAudit { before: bed.now() }, bed.now()).await;
    assert!(sealed.unwrap() > 60);
    bed.create(&store, "served-again").await;
    bed.verify(&store);
    drop(store);
    let store = bed.open();
    for run in &accepted {
        store.view(&owner(), &GetRun(run_id(run)), bed.now()).await.unwrap();
    }
    for run in &refused {
        let absent = store.view(&owner(), &GetRun(run_id(run)), bed.now()).await;
        assert!(matches!(absent, Err(ActError::Failed(_))), "{run}: {absent:?}");
        let again = accept(run, "s0", Precedence::Wait);
        store.act(&owner(), again, bed.now()).await.unwrap();
    }
    bed.verify(&store);
}
