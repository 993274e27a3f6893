//! Requests: how many wait, how long, and which of them is meant.

use openclaw_pairing::ApproveError;
use openclaw_scopes::target::Listed;
use openclaw_scopes::{Scope, ScopeSet, Timestamp};

use super::super::{Bed, owner};
use super::{DAY, HOUR, caller, doorkeeper, file, invitation, named, redeem, request};
use crate::{
    ActError, ApproveRequest, DeviceError, DeviceRef, FileRequest, ListDevices, Novelty,
    RejectRequest, RemoveDevice, RequestUpgrade, RevokeAll, Store,
};

fn failed<T: std::fmt::Debug>(result: Result<T, ActError<DeviceError>>) -> DeviceError {
    match result.unwrap_err() {
        ActError::Failed(error) => error,
        error => panic!("{error:?}"),
    }
}

fn from(address: &str, device: u8) -> FileRequest {
    let ask = file(&format!("pr_{device}"), device, Scope::Read.into());
    FileRequest { address: address.into(), ..ask }
}

async fn waiting(bed: &Bed, store: &Store) -> usize {
    let query = ListDevices { listed: Listed::All, now: bed.now() };
    store.view(&owner(), &query, bed.now()).await.unwrap().pending.len()
}

#[tokio::test]
//= docs/threat-model.md#T29
async fn strangers_leave_room_for_others() {
    let bed = Bed::new();
    let store = bed.open();
    let ask = async |ask| store.act(&doorkeeper(), ask, bed.now()).await;
    bed.pair(&store, 200, Scope::Read.into()).await;
    for device in 0..64 {
        let address = format!("192.0.2.{}", device / 8);
        ask(from(&address, device)).await.unwrap();
        if device == 7 {
            assert_eq!(
                failed(ask(from(&address, 99)).await),
                DeviceError::TooMany,
                "of one address"
            );
        }
    }
    assert_eq!(failed(ask(from("198.51.100.1", 99)).await), DeviceError::TooMany, "of all");
    assert_eq!(waiting(&bed, &store).await, 64);
    // Whoever waits already, is paired, or was invited, takes no place.
    assert_eq!(ask(from("192.0.2.0", 0)).await.unwrap().novelty, Novelty::Found);
    let by = caller(&store, 200, ScopeSet::ALL);
    let (fresh, address) = (request("pr_more"), "192.0.2.0".into());
    let more = RequestUpgrade { fresh, scopes: Scope::Write.into(), address };
    store.act(&by, more, bed.now()).await.unwrap();
    let far = Timestamp::from_millis(i64::MAX);
    let invite = invitation("guest", Scope::Read.into(), far, &store);
    store.act(&owner(), invite, bed.now()).await.unwrap();
    let guest = redeem("guest", 201, &store, bed.now());
    store.act(&doorkeeper(), guest, bed.now()).await.unwrap();
    // What was decided, and what has lapsed, makes room.
    let reject = RejectRequest { id: request("pr_0"), revision: None };
    store.act(&owner(), reject, bed.now()).await.unwrap();
    ask(from("192.0.2.0", 99)).await.unwrap();
    assert_eq!(failed(ask(from("192.0.2.0", 100)).await), DeviceError::TooMany);
    bed.advance(HOUR);
    ask(from("192.0.2.0", 100)).await.unwrap();
    assert_eq!(waiting(&bed, &store).await, 1);
}

#[tokio::test]
//= docs/threat-model.md#T29
async fn a_request_waits_an_hour_and_not_a_moment_more() {
    let bed = Bed::new();
    let store = bed.open();
    let read = ScopeSet::from(Scope::Read);
    let approve =
        |name: &str| ApproveRequest { id: request(name), revision: 1, scopes: Scope::Read.into() };
    let filed_at = bed.now();
    for device in [1, 2] {
        let ask = file(&format!("pr_{device}"), device, read);
        store.act(&doorkeeper(), ask, filed_at).await.unwrap();
    }
    let after = |millis| Timestamp::from_millis(filed_at.as_millis() + millis);
    store.act(&owner(), approve("pr_1"), after(HOUR - 1)).await.unwrap();
    let late = store.act(&owner(), approve("pr_2"), after(HOUR)).await;
    assert_eq!(failed(late), DeviceError::Approve(ApproveError::Expired));
    let reject = || RejectRequest { id: request("pr_2"), revision: None };
    let late = store.act(&owner(), reject(), after(HOUR)).await;
    assert_eq!(failed(late), DeviceError::Approve(ApproveError::Expired));
    // What has lapsed was not turned down by anybody.
    let all = store.act(&owner(), RevokeAll, after(HOUR)).await.unwrap();
    assert_eq!((all.devices, all.requests), (1, 0));
    let late = store.act(&owner(), reject(), after(HOUR)).await;
    assert_eq!(failed(late), DeviceError::Approve(ApproveError::Expired));
    let again = store.act(&doorkeeper(), file("pr_3", 2, read), after(HOUR)).await.unwrap();
    assert_eq!((again.novelty, again.view.pending.id), (Novelty::New, request("pr_3")));
}

#[tokio::test]
//= docs/threat-model.md#T29
async fn another_wish_makes_a_former_approval_stale() {
    let bed = Bed::new();
    let store = bed.open();
    bed.file(&store, "pr_1", 1, Scope::Read.into()).await;
    let changed = bed.file(&store, "pr_other", 1, Scope::Admin.into()).await;
    let pending = &changed.view.pending;
    assert_eq!((changed.novelty, pending.wish.revision), (Novelty::Changed, 2));
    assert_eq!((&pending.id, pending.history.len()), (&request("pr_1"), 1));
    let stale = DeviceError::Approve(ApproveError::Stale { current: 2 });
    let approve = ApproveRequest { id: request("pr_1"), revision: 1, scopes: Scope::Read.into() };
    assert_eq!(failed(store.act(&owner(), approve.clone(), bed.now()).await), stale);
    let reject = RejectRequest { id: request("pr_1"), revision: Some(1) };
    assert_eq!(failed(store.act(&owner(), reject, bed.now()).await), stale);
    let approve = ApproveRequest { revision: 2, ..approve };
    let device = store.act(&owner(), approve.clone(), bed.now()).await.unwrap();
    assert_eq!(device.baseline.granted().reduced(), Scope::Read.into());
    // The same approval again is the same; another one comes too late.
    assert_eq!(store.act(&owner(), approve.clone(), bed.now()).await, Ok(device));
    for other in [
        ApproveRequest { scopes: Scope::Admin.into(), ..approve.clone() },
        ApproveRequest { revision: 1, ..approve },
    ] {
        let late = failed(store.act(&owner(), other, bed.now()).await);
        assert_eq!(late, DeviceError::Decided("approved"));
    }
}

#[tokio::test]
//= docs/threat-model.md#T29
async fn what_was_rejected_is_not_asked_again_in_its_hour() {
    let bed = Bed::new();
    let store = bed.open();
    let filed_at = bed.now();
    let ask = async |name, scope: Scope, at| {
        store.act(&doorkeeper(), file(name, 1, scope.into()), at).await
    };
    ask("pr_1", Scope::Read, filed_at).await.unwrap();
    let reject = RejectRequest { id: request("pr_1"), revision: None };
    store.act(&owner(), reject, filed_at).await.unwrap();
    // Not for something else either, and not with a clock that was set back.
    for (scope, after) in [(Scope::Read, 0), (Scope::Write, -500), (Scope::Talk, HOUR - 1)] {
        let at = Timestamp::from_millis(filed_at.as_millis() + after);
        assert_eq!(failed(ask("pr_2", scope, at).await), DeviceError::Rejected);
    }
    let later = Timestamp::from_millis(filed_at.as_millis() + HOUR);
    let filed = ask("pr_3", Scope::Write, later).await.unwrap();
    let again = ask("pr_4", Scope::Write, later).await.unwrap();
    assert_eq!((&again.view.pending.id, again.novelty), (&filed.view.pending.id, Novelty::Found));
}

#[tokio::test]
async fn a_decided_request_is_kept_for_a_month() {
    let bed = Bed::new();
    let store = bed.open();
    let filed_at = bed.now();
    for scope in [Scope::Read, Scope::Write] {
        store.act(&doorkeeper(), file("pr_1", 1, scope.into()), filed_at).await.unwrap();
    }
    let reject = RejectRequest { id: request("pr_1"), revision: None };
    store.act(&owner(), reject, filed_at).await.unwrap();
    let counts = || {
        let sql = "SELECT (SELECT count(*) FROM pairing_requests WHERE id = 'pr_1'),
                          (SELECT count(*) FROM pairing_history)";
        bed.raw().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    for (device, after, left) in [(2, 30 * DAY - 1, (1, 1)), (3, 30 * DAY, (0, 0))] {
        let at = Timestamp::from_millis(filed_at.as_millis() + after);
        let ask = file(&format!("pr_{device}"), device, Scope::Read.into());
        store.act(&doorkeeper(), ask, at).await.unwrap();
        assert_eq!(counts(), left, "{after} ms after");
    }
}

#[tokio::test]
async fn a_device_is_named_by_a_beginning_that_no_other_has() {
    let bed = Bed::new();
    let store = bed.open();
    let (f, e, f63) = ("f".repeat(64), "e".repeat(64), "f".repeat(63));
    let ids =
        [f.clone(), format!("{f63}e"), e.clone(), format!("0{}", "e".repeat(63)), "0".repeat(64)];
    for (index, id) in ids.iter().enumerate() {
        let sql = format!(
            "INSERT INTO grants (holder, epoch) VALUES ('device:{id}', 1);
             INSERT INTO devices (id, holder, public_key, created_at)
             VALUES ('{id}', 'device:{id}', unhex('{}'), 1);
             INSERT INTO device_roles VALUES ('{id}', 'operator', 'operator.read', 'operator.read',
                 'owner', 1, 'request', 'pr', NULL)",
            format!("{index:02}").repeat(32)
        );
        bed.raw().execute_batch(&sql).unwrap();
    }
    let zeros = "0".repeat(64);
    for (text, found) in [
        ("eeeeee", Ok(e.as_str())),
        ("device:EEEEEEE", Ok(&e)),
        (&e, Ok(&e)),
        (&"e".repeat(63), Ok(&e)),
        ("0eeeee", Ok(&ids[3])),
        ("000000", Ok(&zeros)),
        (&ids[1], Ok(&ids[1])),
        ("ffffff", Err(DeviceError::Ambiguous("ffffff".into()))),
        (&f63, Err(DeviceError::Ambiguous(f63.clone()))),
        (&f, Ok(&f)),
        ("fffffe", Err(DeviceError::Unknown("fffffe".into()))),
        ("00000f", Err(DeviceError::Unknown("00000f".into()))),
        ("abcde", Err(DeviceError::Malformed)),
        ("abcdeg", Err(DeviceError::Malformed)),
        ("token:abcdef", Err(DeviceError::Malformed)),
        (&format!("{f}f"), Err(DeviceError::Malformed)),
        ("", Err(DeviceError::Malformed)),
    ] {
        let removed = match DeviceRef::parse(text) {
            Err(error) => Err(error),
            Ok(device) => {
                let ask = crate::RenameDevice { device, label: "found".into() };
                let renamed = store.act(&owner(), ask, bed.now()).await;
                renamed.map(|device| device.id.to_string()).map_err(|error| match error {
                    ActError::Failed(error) => error,
                    error => panic!("{error:?}"),
                })
            }
        };
        assert_eq!(removed.as_deref(), found.as_ref().copied(), "{text}");
    }
    let gone = store.act(&owner(), RemoveDevice { device: named(1) }, bed.now()).await;
    assert!(matches!(failed(gone), DeviceError::Unknown(_)));
}
