//! Grants that end: who is told of it and when, and what rests on them still.

use std::sync::{Arc, Mutex};

use openclaw_scopes::method::StartRun;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{Caller, Denial, Epoch, Grant, Scope, ScopeSet};
use rusqlite::Connection;

use super::super::groups::hold;
use super::super::{Bed, accept, owner, run_id};
use super::{OPERATOR, admit, bearer, caller, doorkeeper, holder, named, program, scopes, token};
use crate::error::Fault;
use crate::{
    Accepted, ActError, DeviceError, End, Ended, Options, Peek, Precedence, RemoveDevice,
    RenameDevice, RevokeAll, RevokeDevice, RevokeToken, RotateDevice, RunError, Store, StoreError,
};

/// What was told of each end, with the epoch that was on disk by then.
type Told = Arc<Mutex<Vec<(Ended, u64)>>>;

/// A store whose listener looks at the disk.
fn listening(bed: &Bed) -> (Store, Told) {
    let (told, path) = (Told::default(), bed.path("gateway.db"));
    let heard = Arc::clone(&told);
    let listener = move |ended: &[Ended]| {
        let disk = crate::open::connect_read_only(&path).unwrap();
        for ended in ended {
            let sql = "SELECT epoch FROM grants WHERE holder = ?1";
            let epoch = disk.query_row(sql, [ended.holder.to_string()], |row| row.get(0)).unwrap();
            heard.lock().unwrap().push((ended.clone(), epoch));
        }
    };
    let now = bed.now();
    let options =
        Options { on_ended: Some(Arc::new(listener)), ..Options::new(Arc::new(move || now)) };
    (Store::open(bed.dir.path(), &options).unwrap(), told)
}

fn taken(told: &Told) -> Vec<(String, End, u64)> {
    let told = std::mem::take(&mut *told.lock().unwrap());
    told.into_iter().map(|(ended, epoch)| (ended.holder.to_string(), ended.how, epoch)).collect()
}

fn rotate(device: u8, scopes: Option<ScopeSet>) -> RotateDevice {
    RotateDevice { device: named(device), role: OPERATOR, scopes }
}

fn revoke(device: u8) -> RevokeDevice {
    RevokeDevice { device: named(device), role: OPERATOR }
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn an_end_is_told_when_it_is_on_disk_and_before_the_answer() {
    let bed = Bed::new();
    let (store, told) = listening(&bed);
    let manager = scopes(&[Scope::Pairing, Scope::Read]);
    for device in 1..=3 {
        bed.pair(&store, device, manager).await;
    }
    let by = caller(&store, 1, ScopeSet::ALL);
    store.act(&by, token("ci", Scope::Read.into(), &store), bed.now()).await.unwrap();
    assert_eq!(taken(&told), [], "nothing has ended");
    let (one, two, three) = (holder(1).to_string(), holder(2).to_string(), holder(3).to_string());

    store.act(&owner(), rotate(1, None), bed.now()).await.unwrap();
    assert_eq!(taken(&told), [(one.clone(), End::Replaced, 2)]);
    store.act(&owner(), revoke(1), bed.now()).await.unwrap();
    let program = "token:tok_ci".to_owned();
    assert_eq!(taken(&told), [(program, End::Withdrawn, 2), (one, End::Withdrawn, 3)]);
    store.act(&owner(), RemoveDevice { device: named(2) }, bed.now()).await.unwrap();
    assert_eq!(taken(&told), [(two, End::Withdrawn, 2)]);
    store.act(&owner(), RevokeAll, bed.now()).await.unwrap();
    assert_eq!(taken(&told), [(three, End::Withdrawn, 2)]);
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn what_was_not_done_is_not_told() {
    let bed = Bed::new();
    let (store, told) = listening(&bed);
    bed.pair(&store, 1, Scope::Read.into()).await;
    bed.pair(&store, 2, Scope::Read.into()).await;
    // Refused, impossible, or done before.
    let by = caller(&store, 2, ScopeSet::ALL);
    store.act(&by, revoke(1), bed.now()).await.unwrap_err();
    store.act(&owner(), rotate(1, Some(Scope::Write.into())), bed.now()).await.unwrap_err();
    store.act(&owner(), revoke(2), bed.now()).await.unwrap();
    assert_eq!(taken(&told).len(), 1);
    store.act(&owner(), revoke(2), bed.now()).await.unwrap();
    store.act(&owner(), rotate(2, None), bed.now()).await.unwrap_err();
    assert_eq!(taken(&told), []);
    // Done, and undone because it could not be recorded: by itself, or with its whole group.
    for undo in ["ABORT", "ROLLBACK"] {
        let (bad, before) = (bed.raw(), bed.dump());
        let sql = format!(
            "CREATE TRIGGER no_room BEFORE INSERT ON audit BEGIN SELECT raise({undo}, 'no room'); END"
        );
        bad.execute_batch(&sql).unwrap();
        let failed = store.act(&owner(), revoke(1), bed.now()).await.unwrap_err();
        assert!(matches!(failed, ActError::Store(_)), "{failed:?}");
        bad.execute_batch("DROP TRIGGER no_room").unwrap();
        assert_eq!((taken(&told), bed.dump()), (Vec::new(), before));
    }
    store.act(&owner(), revoke(1), bed.now()).await.unwrap();
    assert_eq!(taken(&told), [(holder(1).to_string(), End::Withdrawn, 2)]);
}

/// Revokes a device in one group with `work`.
async fn revoke_beside(
    bed: &Bed,
    store: &Store,
    work: fn(&Connection) -> Result<(), Fault<()>>,
) -> bool {
    let (release, by, now) = (hold(store).await, owner(), bed.now());
    let (revoked, failed, ()) = tokio::join!(biased;
        store.act(&by, revoke(1), now), store.step(work), async { drop(release) });
    failed.unwrap_err();
    match revoked {
        Ok(_) => true,
        Err(ActError::Store(StoreError::Io(_))) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn a_group_that_is_lost_tells_once_what_came_of_it() {
    let bed = Bed::new();
    let (store, told) = listening(&bed);
    bed.pair(&store, 1, Scope::Read.into()).await;
    // The commit fails: nothing was done, and nobody is told.
    let dangling = |connection: &Connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO idempotency VALUES ('nobody', 'm', 'k', zeroblob(32), '', 0)",
        )?;
        Ok(())
    };
    assert!(!revoke_beside(&bed, &store, dangling).await);
    assert_eq!((taken(&told), store.epoch(&holder(1)).unwrap()), (Vec::new(), Some(Epoch(1))));
    // The engine undoes the group: it is done again, and told once.
    let undone = |connection: &Connection| {
        connection.execute_batch("ROLLBACK")?;
        Err(Fault::Store(rusqlite::Error::InvalidQuery))
    };
    assert!(revoke_beside(&bed, &store, undone).await);
    assert_eq!(taken(&told), [(holder(1).to_string(), End::Withdrawn, 2)]);
    bed.verify(&store);
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn epochs_rise_when_authority_ends_and_never_fall() {
    let bed = Bed::new();
    let store = bed.open();
    let epoch = || store.epoch(&holder(1)).unwrap().map(|epoch| epoch.0);
    bed.pair(&store, 1, Scope::Read.into()).await;
    assert_eq!(epoch(), Some(1));
    let (_, now) = (bed.pair(&store, 1, Scope::Write.into()).await, bed.now());
    store.act(&owner(), RenameDevice { device: named(1), label: "x".into() }, now).await.unwrap();
    store.act(&doorkeeper(), admit(1, now), now).await.unwrap();
    assert_eq!(epoch(), Some(1), "being given more ends nothing");
    store.act(&owner(), rotate(1, None), now).await.unwrap();
    assert_eq!(epoch(), Some(2));
    store.act(&owner(), revoke(1), now).await.unwrap();
    assert_eq!(epoch(), None);
    let refused = store.act(&doorkeeper(), admit(1, now), now).await.map(drop).unwrap_err();
    assert_eq!(refused, ActError::Failed(DeviceError::Revoked));
    let paired = bed.pair(&store, 1, Scope::Talk.into()).await;
    assert_eq!((epoch(), paired.baseline.approved()), (Some(4), Scope::Talk.into()));
    store.act(&owner(), RemoveDevice { device: named(1) }, now).await.unwrap();
    bed.pair(&store, 1, Scope::Read.into()).await;
    assert_eq!(epoch(), Some(6), "a device that is forgotten does not begin anew");
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn a_run_rests_on_what_it_was_accepted_under_and_no_more() {
    let bed = Bed::new();
    let store = bed.open();
    bed.pair(&store, 1, scopes(&[Scope::Write, Scope::Approvals])).await;
    let write = ScopeSet::from(Scope::Write).closed();
    let by = caller(&store, 1, write);
    for (run, precedence) in [("works", Precedence::Start), ("waits", Precedence::Wait)] {
        let accepted = store.act(&by, accept(run, "a", precedence), bed.now()).await.unwrap();
        assert!(!matches!(accepted, Accepted::Existing(_)));
    }
    let now_held =
        |run| store.grant_of_run(&run_id(run)).unwrap().map(|grant: Grant| grant.scopes());
    assert_eq!((now_held("works"), now_held("waits")), (Some(write), Some(write)));
    bed.pair(&store, 1, Scope::Admin.into()).await;
    assert_eq!(now_held("works"), Some(write), "more for the device is no more for its run");
    store.act(&owner(), rotate(1, None), bed.now()).await.unwrap();
    assert_eq!((now_held("works"), now_held("waits")), (None, None));
    let Accepted::Waiting(_, ticket) = store
        .act(&caller(&store, 1, write), accept("late", "a", Precedence::Wait), bed.now())
        .await
        .unwrap()
    else {
        panic!("it starts")
    };
    store.act(&owner(), revoke(1), bed.now()).await.unwrap();
    let ended = store.start_run(ticket, bed.now()).await.unwrap_err();
    assert_eq!(ended, ActError::Failed(RunError::GrantEnded(run_id("late"))));
}

/// Whoever showed a token before its issuer had less is told to show it again.
#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T32
async fn a_token_is_never_more_than_its_issuer_is_now() {
    let bed = Bed::new();
    let (store, told) = listening(&bed);
    let all = scopes(&[Scope::Pairing, Scope::Write]);
    bed.pair(&store, 1, all).await;
    let by = caller(&store, 1, ScopeSet::ALL);
    store.act(&by, token("ci", Scope::Write.into(), &store), bed.now()).await.unwrap();
    let shown = program(&store, "ci", bed.now());
    let start = SessionTarget::unowned(super::super::key("a"));
    let starts = async |by: &Caller| {
        store.view(by, &Peek::<StartRun>(start.clone()), bed.now()).await.map(drop)
    };
    assert_eq!(starts(&shown).await, Ok(()));

    store.act(&owner(), rotate(1, None), bed.now()).await.unwrap();
    assert_eq!((starts(&shown).await, taken(&told).len()), (Ok(()), 1), "the same for the token");
    let less = scopes(&[Scope::Pairing, Scope::Read]);
    store.act(&owner(), rotate(1, Some(less)), bed.now()).await.unwrap();
    let replaced = ("token:tok_ci".to_owned(), End::Replaced, 2);
    assert_eq!(taken(&told), [(holder(1).to_string(), End::Replaced, 3), replaced]);
    assert_eq!(starts(&shown).await, Err(ActError::Denied(Denial::GrantReplaced)));

    let shown = program(&store, "ci", bed.now());
    assert_eq!(shown.grant().scopes().reduced(), Scope::Read.into());
    let lacks = Denial::MissingScope(Scope::Write.into());
    assert_eq!(starts(&shown).await, Err(ActError::Denied(lacks)));
    store.act(&owner(), rotate(1, Some(all)), bed.now()).await.unwrap();
    assert_eq!(starts(&program(&store, "ci", bed.now())).await, Ok(()));
    store.act(&owner(), RevokeToken("ci".into()), bed.now()).await.unwrap();
    assert!(store.token(&bearer("ci", &store), bed.now()).unwrap().is_none());
}
