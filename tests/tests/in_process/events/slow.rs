//! Whoever does not read: nothing is lost that is kept, and what is not is said to be gone.

use std::sync::Arc;

use openclaw_scopes::{DeviceId, Timestamp};
use openclaw_store::{Options, Presence, Store};
use tokio::task::JoinSet;

use super::*;

const MANY: u64 = 10_000;

/// Writes many events at once, beside the gateway.
async fn write(gateway: &TestGateway, at: i64) -> Store {
    let at = Timestamp::from_millis(at);
    let store = Store::open(&gateway.state(), &Options::new(Arc::new(move || at))).unwrap();
    let mut writes = JoinSet::new();
    for number in 0..MANY {
        let (store, device) = (store.clone(), DeviceId::parse(&format!("d{number}")).unwrap());
        writes.spawn(async move { store.note_presence(device, Presence::Online, at).await });
    }
    assert!(writes.join_all().await.iter().all(Result::is_ok));
    store
}

#[tokio::test]
async fn nothing_is_lost_by_reading_late() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut watched = Watched::open(&owner, since(0)).await.unwrap();
    watched.bookmark().await;
    write(&gateway, 1).await.close();
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    // Meanwhile the gateway does what it is asked, and holds one page of it.
    owner.gateway().status(v1::StatusRequest {}).await.unwrap();
    for seq in 1..=MANY + 4 {
        assert_eq!(watched.event().await.unwrap().unwrap().seq, seq);
    }
}

#[tokio::test]
async fn what_went_meanwhile_is_said_to_be_gone() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut late = Watched::open(&owner, since(0)).await.unwrap();
    late.bookmark().await;
    let store = write(&gateway, 1).await;
    while store
        .sweep_events(Timestamp::from_millis(2), Timestamp::from_millis(i64::MAX))
        .await
        .unwrap()
    {}
    store.close();
    ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    let gone = late.error().await;
    assert_eq!(gone.code, Code::OutOfRange);
    let words = format!("events before {} are gone; list anew and watch from", MANY + 1);
    assert!(gone.message.starts_with(&words), "{}", gone.message);
    assert!(gone.next.contains("--follow --since-seq"), "{}", gone.next);
    // And so is whoever comes back with a number that is too old.
    for seq in [1, MANY - 1] {
        let gone = Watched::open(&owner, since(seq)).await.map(drop).unwrap_err();
        assert_eq!((gone.code(), gone.message().starts_with(&words)), (Code::OutOfRange, true));
    }
    assert_eq!(kept(&owner, since(MANY)).await.0.len(), 4);
    assert_eq!(kept(&owner, since(0)).await.0.len(), 4, "the oldest that is kept");
}
