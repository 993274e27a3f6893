//! Rows of authority that are damaged: they count for less, or for nothing, and never for more.

use openclaw_scopes::target::Listed;
use openclaw_scopes::{Scope, ScopeSet};

use super::super::{Bed, owner};
use super::{admit, bearer, caller, doorkeeper, holder, scopes, token};
use crate::{ActError, ListDevices, Store, StoreError};

fn held(store: &Store, device: u8) -> ScopeSet {
    store.grant(&holder(device), ScopeSet::ALL).unwrap().unwrap().scopes()
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn what_a_row_grants_beyond_what_was_approved_counts_for_nothing() {
    let bed = Bed::new();
    let store = bed.open();
    let approved = scopes(&[Scope::Pairing, Scope::Read]).closed();
    bed.pair(&store, 1, approved).await;
    let by = caller(&store, 1, ScopeSet::ALL);
    store.act(&by, token("ci", Scope::Read.into(), &store), bed.now()).await.unwrap();
    bed.raw()
        .execute_batch(
            "UPDATE device_roles SET granted = 'operator.admin';
             UPDATE tokens SET scopes = 'operator.admin'",
        )
        .unwrap();
    assert_eq!(held(&store, 1), approved);
    let admitted = store.act(&doorkeeper(), admit(1, bed.now()), bed.now()).await.unwrap();
    assert_eq!(admitted.grant.scopes(), approved);
    assert_eq!(admitted.device.baseline.granted(), approved);
    let shown = store.token(&bearer("ci", &store), bed.now()).unwrap().unwrap();
    assert_eq!(shown.grant.scopes(), approved);
}

#[tokio::test]
//= docs/threat-model.md#T23
async fn scopes_that_cannot_be_read_are_damage() {
    let bed = Bed::new();
    let store = bed.open();
    bed.pair(&store, 1, Scope::Pairing.into()).await;
    bed.pair(&store, 2, Scope::Read.into()).await;
    let by = caller(&store, 1, ScopeSet::ALL);
    store.act(&by, token("ci", Scope::Pairing.into(), &store), bed.now()).await.unwrap();
    let corrupt = |error: StoreError| assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    for column in ["approved", "granted"] {
        let (raw, one) = (bed.raw(), holder(1));
        let set = |text: &str| {
            let sql =
                format!("UPDATE device_roles SET {column} = ?1 WHERE 'device:' || device = ?2");
            raw.execute(&sql, [text, &one.to_string()]).unwrap();
        };
        set("operator.pairing operator.everything");
        corrupt(store.grant(&one, ScopeSet::ALL).unwrap_err());
        corrupt(store.token(&bearer("ci", &store), bed.now()).unwrap_err());
        let list = ListDevices { listed: Listed::All, now: bed.now() };
        for error in [
            store.act(&doorkeeper(), admit(1, bed.now()), bed.now()).await.map(drop).unwrap_err(),
            store.view(&owner(), &list, bed.now()).await.map(drop).unwrap_err(),
        ] {
            let ActError::Store(error) = error else { panic!("{error:?}") };
            corrupt(error);
        }
        // Others go on.
        store.act(&doorkeeper(), admit(2, bed.now()), bed.now()).await.unwrap();
        set("operator.pairing");
    }
    assert_eq!(held(&store, 1), Scope::Pairing.into());
}
