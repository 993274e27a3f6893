//! Invitations: good once, for one key, in time, and while whoever made them could make them still.

use openclaw_scopes::{Scope, ScopeSet, Timestamp};

use super::super::{Bed, owner};
use super::{OPERATOR, caller, doorkeeper, holder, invitation, named, redeem, scopes};
use crate::{
    ActError, DeviceError, RemoveDevice, RevokeAll, RevokeDevice, RotateDevice, Store, Via,
};

const FAR: Timestamp = Timestamp::from_millis(i64::MAX);

async fn try_redeem(bed: &Bed, store: &Store, name: &str, device: u8) -> Result<(), DeviceError> {
    try_redeem_at(store, name, device, bed.now()).await
}

async fn try_redeem_at(
    store: &Store,
    name: &str,
    device: u8,
    at: Timestamp,
) -> Result<(), DeviceError> {
    let redeemed = store.act(&doorkeeper(), redeem(name, device, store, at), at).await;
    redeemed.map_err(|error| match error {
        ActError::Failed(error) => error,
        error => panic!("{error:?}"),
    })
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn an_invitation_is_good_once_and_for_one_key() {
    let bed = Bed::new();
    let store = bed.open();
    let read = ScopeSet::from(Scope::Read);
    store.act(&owner(), invitation("a", read, FAR, &store), bed.now()).await.unwrap();
    assert_eq!(
        try_redeem(&bed, &store, "b", 1).await,
        Err(DeviceError::Invitation),
        "another secret"
    );
    assert_eq!(try_redeem(&bed, &store, "a", 1).await, Ok(()));
    let before = bed.dump();
    assert_eq!(try_redeem(&bed, &store, "a", 1).await, Ok(()), "its answer may have been lost");
    assert_eq!(try_redeem(&bed, &store, "a", 2).await, Err(DeviceError::Invitation), "another key");
    assert_eq!(bed.dump(), before);
    // Showing it again brings nothing back.
    let revoke = RevokeDevice { device: named(1), role: OPERATOR };
    let revoked = store.act(&owner(), revoke, bed.now()).await.unwrap();
    assert_eq!(
        (revoked.provenance.via, revoked.provenance.via_id.as_str()),
        (Via::Invitation, "inv_a")
    );
    assert_eq!(try_redeem(&bed, &store, "a", 1).await, Ok(()));
    assert_eq!(store.grant(&holder(1), ScopeSet::ALL).unwrap(), None);
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn an_invitation_is_good_until_it_lapses() {
    let bed = Bed::new();
    let store = bed.open();
    let made_at = bed.now();
    let until = Timestamp::from_millis(made_at.as_millis() + 600_000);
    for name in ["a", "b"] {
        let ask = invitation(name, Scope::Read.into(), until, &store);
        store.act(&owner(), ask, made_at).await.unwrap();
    }
    let last = Timestamp::from_millis(until.as_millis() - 1);
    assert_eq!(try_redeem_at(&store, "a", 1, until).await, Err(DeviceError::Invitation));
    assert_eq!(try_redeem_at(&store, "a", 1, last).await, Ok(()));
    assert_eq!(try_redeem_at(&store, "b", 2, until).await, Err(DeviceError::Invitation));
}

/// What is in it is added to what the device has, and takes nothing away.
#[tokio::test]
async fn an_invitation_adds_to_what_was_approved() {
    let bed = Bed::new();
    let store = bed.open();
    bed.pair(&store, 1, Scope::Approvals.into()).await;
    store.act(&owner(), invitation("a", Scope::Read.into(), FAR, &store), bed.now()).await.unwrap();
    assert_eq!(try_redeem(&bed, &store, "a", 1).await, Ok(()));
    let held = store.grant(&holder(1), ScopeSet::ALL).unwrap().unwrap();
    assert_eq!(held.scopes().reduced(), scopes(&[Scope::Approvals, Scope::Read]));
    assert_eq!(held.epoch().0, 1);
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn an_invitation_is_never_more_than_whoever_made_it_is_now() {
    let (all, less) =
        (scopes(&[Scope::Pairing, Scope::Write]), scopes(&[Scope::Pairing, Scope::Read]));
    let rotate = |scopes| RotateDevice { device: named(1), role: OPERATOR, scopes: Some(scopes) };
    let revoke = || RevokeDevice { device: named(1), role: OPERATOR };
    for how in ["narrowed", "revoked", "removed", "all revoked"] {
        let bed = Bed::new();
        let store = bed.open();
        bed.pair(&store, 1, all).await;
        let by = caller(&store, 1, ScopeSet::ALL);
        for (name, scope) in [("write", Scope::Write), ("read", Scope::Read)] {
            store.act(&by, invitation(name, scope.into(), FAR, &store), bed.now()).await.unwrap();
        }
        let refused = Err(DeviceError::Invitation);
        match how {
            "narrowed" => {
                store.act(&owner(), rotate(less), bed.now()).await.unwrap();
                assert_eq!(try_redeem(&bed, &store, "write", 2).await, refused);
                assert_eq!(
                    try_redeem(&bed, &store, "read", 2).await,
                    Ok(()),
                    "it could make that one"
                );
                continue;
            }
            "revoked" => drop(store.act(&owner(), revoke(), bed.now()).await.unwrap()),
            "removed" => {
                let ask = RemoveDevice { device: named(1) };
                store.act(&owner(), ask, bed.now()).await.unwrap();
            }
            _ => {
                let revoked = store.act(&owner(), RevokeAll, bed.now()).await.unwrap();
                assert_eq!(revoked.invitations, 2);
            }
        }
        // It does not come back with its maker.
        bed.pair(&store, 1, all).await;
        for name in ["write", "read"] {
            assert_eq!(try_redeem(&bed, &store, name, 2).await, refused, "{how}");
        }
    }
}
