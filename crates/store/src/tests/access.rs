//! Handing out authority and taking it away: who may, what is written of it, and what it leaves.

mod damage;
mod ended;
mod invited;
mod requests;

use openclaw_pairing::{
    Asks, Bearer, BearerKind, Claim, DeviceKey, Expected, Fingerprint, Hashed, InvitationSecret,
    Nonce, Proven, verify,
};
use openclaw_scopes::target::Listed;
use openclaw_scopes::{
    Caller, Cause, Component, DeviceId, DeviceRole, Epoch, GrantHolder, IdempotencyKey,
    InvitationId, PairingId, Scope, ScopeSet, Timestamp, TokenId,
};

use super::asks::{denied, unread};
use super::{Bed, owner, recovery, stale, tools};
use crate::{
    ActError, AdmitDevice, ApproveRequest, CreateInvitation, CreateToken, Decision, Device,
    DeviceError, DeviceRef, FileRequest, Filed, GetRequest, ListDevices, ListTokens, ReadFacts,
    RedeemInvitation, RejectRequest, RemoveDevice, RenameDevice, RenewDevice, RequestUpgrade,
    RevokeAll, RevokeDevice, RevokeInvitation, RevokeToken, RotateDevice, ShowAccess, Store, Whose,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
pub(super) const OPERATOR: DeviceRole = DeviceRole::Operator;

fn doorkeeper() -> Caller {
    Caller::system(Component::Doorkeeper, Cause::Startup, Epoch(1))
}

fn key(device: u8) -> DeviceKey {
    DeviceKey::from_seed([device; 32]).unwrap()
}

fn id(device: u8) -> DeviceId {
    key(device).public().device_id().unwrap()
}

pub(super) fn holder(device: u8) -> GrantHolder {
    GrantHolder::Device(id(device))
}

pub(super) fn named(device: u8) -> DeviceRef {
    DeviceRef::parse(id(device).as_str()).unwrap()
}

fn request(name: &str) -> PairingId {
    PairingId::parse(name).unwrap()
}

fn prove(device: u8, wish: ScopeSet, now: Timestamp) -> Proven {
    let (nonce, gateway) = (Nonce([1; 32]), Fingerprint([2; 32]));
    let (device, key) = (id(device), key(device));
    let claim =
        Claim { nonce, gateway, device, role: OPERATOR, wish, asks: Asks::Nothing, at: now };
    let claim = claim.encode();
    let expected = Expected { nonce: Some(nonce), gateway, now };
    verify(&claim, &key.sign(&claim), &key.public().0, &expected).unwrap()
}

fn admit(device: u8, now: Timestamp) -> AdmitDevice {
    let proven = prove(device, ScopeSet::ALL, now);
    AdmitDevice { proven, name: "laptop".into(), address: "192.0.2.7:1".into() }
}

fn file(name: &str, device: u8, wish: ScopeSet) -> FileRequest {
    FileRequest {
        fresh: request(name),
        device: id(device),
        public_key: key(device).public(),
        role: OPERATOR,
        wish,
        name: "laptop".into(),
        address: "192.0.2.7".into(),
    }
}

fn bearer(token: &str, store: &Store) -> Hashed {
    let mut secret = [0; 32];
    secret[..token.len()].copy_from_slice(token.as_bytes());
    Bearer::new(BearerKind::Api, secret).hash(store.hash_key(), b"")
}

fn token(name: &str, scopes: ScopeSet, store: &Store) -> CreateToken {
    CreateToken {
        idempotency_key: IdempotencyKey::parse(&format!("create-{name}")).unwrap(),
        request_digest: [7; 32],
        id: TokenId::parse(&format!("tok_{name}")).unwrap(),
        name: name.into(),
        hash: bearer(name, store),
        scopes,
        expires_at: Timestamp::from_millis(i64::MAX),
    }
}

fn secret(invitation: &str, store: &Store) -> Hashed {
    let mut secret = InvitationSecret([0; 12]);
    secret.0[..invitation.len()].copy_from_slice(invitation.as_bytes());
    secret.hash(store.hash_key())
}

fn invitation(
    name: &str,
    scopes: ScopeSet,
    expires_at: Timestamp,
    store: &Store,
) -> CreateInvitation {
    let id = InvitationId::parse(&format!("inv_{name}")).unwrap();
    CreateInvitation { id, hash: secret(name, store), scopes, expires_at }
}

fn redeem(name: &str, device: u8, store: &Store, now: Timestamp) -> RedeemInvitation {
    let (name, hash) = ("laptop".into(), secret(name, store));
    RedeemInvitation {
        hash,
        proven: prove(device, ScopeSet::ALL, now),
        name,
        address: "192.0.2.7".into(),
    }
}

/// The device as the identity layer makes it a caller now, wishing so much.
#[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
pub(super) fn caller(store: &Store, device: u8, wish: ScopeSet) -> Caller {
    let grant = store.grant(&holder(device), wish).unwrap().unwrap();
    Caller::device(id(device), OPERATOR, grant, Cause::Request)
}

/// The program that shows a token's secret now.
#[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
fn program(store: &Store, name: &str, now: Timestamp) -> Caller {
    let found = store.token(&bearer(name, store), now).unwrap().unwrap();
    Caller::token(found.id, found.grant, Cause::Request)
}

impl Bed {
    async fn file(&self, store: &Store, name: &str, device: u8, wish: ScopeSet) -> Filed {
        store.act(&doorkeeper(), file(name, device, wish), self.now()).await.unwrap()
    }

    /// Pairs a device, or gives it more, through a request that the owner grants.
    pub(super) async fn pair(&self, store: &Store, device: u8, scopes: ScopeSet) -> Device {
        let at = self.now();
        let filed = self.file(store, &format!("pr_{}", at.as_millis()), device, scopes).await;
        let pending = filed.view.pending;
        let (id, revision) = (pending.id, pending.wish.revision);
        let ask = ApproveRequest { id, revision, scopes: pending.wish.scopes };
        store.act(&owner(), ask, self.now()).await.unwrap()
    }
}

fn scopes(of: &[Scope]) -> ScopeSet {
    ScopeSet::of(of)
}

#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T34
async fn denied_means_untouched() {
    let (bed, read) = (Bed::new(), ScopeSet::from(Scope::Read));
    let store = bed.open();
    let (b, s) = (&bed, &store);
    bed.pair(s, 1, read).await;
    bed.pair(s, 2, scopes(&[Scope::Pairing, Scope::Read])).await;
    bed.pair(s, 3, Scope::Admin.into()).await;
    bed.pair(s, 6, Scope::Admin.into()).await;
    bed.file(s, "pr_waits", 4, Scope::Write.into()).await;
    s.act(&owner(), token("ci", Scope::Admin.into(), s), bed.now()).await.unwrap();
    let far = Timestamp::from_millis(i64::MAX);
    s.act(&owner(), invitation("here", read, far, s), bed.now()).await.unwrap();
    s.act(&owner(), invitation("wide", Scope::Write.into(), far, s), bed.now()).await.unwrap();
    let (old, all) = (caller(s, 3, ScopeSet::ALL), ScopeSet::ALL);
    let keep = RotateDevice { device: named(3), role: OPERATOR, scopes: None };
    s.act(&owner(), keep.clone(), bed.now()).await.unwrap();

    let strange = [stale(), tools(), recovery(), old, program(s, "ci", bed.now())];
    let narrow = [caller(s, 1, all), caller(s, 2, all), caller(s, 3, read)];
    let write = Scope::Write.into();
    for who in strange.iter().chain(&narrow) {
        let approve = |scopes| ApproveRequest { id: request("pr_waits"), revision: 1, scopes };
        denied(b, s, who, approve(write)).await;
        denied(b, s, who, ApproveRequest { id: request("pr_no"), ..approve(write) }).await;
        denied(b, s, who, RotateDevice { device: named(6), ..keep.clone() }).await;
        denied(b, s, who, RotateDevice { scopes: Some(write), ..keep.clone() }).await;
        denied(b, s, who, RevokeDevice { device: named(6), role: OPERATOR }).await;
        denied(b, s, who, RemoveDevice { device: named(6) }).await;
        denied(b, s, who, RevokeAll).await;
        denied(b, s, who, invitation("more", write, far, s)).await;
        denied(b, s, who, token("more", write, s)).await;
        denied(b, s, who, RevokeToken("ci".into())).await;
        denied(b, s, who, RevokeInvitation(InvitationId::parse("inv_wide").unwrap())).await;
        bed.advance(60_000);
    }
    for who in strange[..4].iter().chain(&narrow) {
        unread(b, s, who, ShowAccess(Whose::Owner)).await;
        unread(b, s, who, ReadFacts(bed.now())).await;
    }
    for who in strange.iter().chain(&narrow[..1]) {
        denied(b, s, who, RejectRequest { id: request("pr_waits"), revision: None }).await;
        denied(b, s, who, RenameDevice { device: named(2), label: "mine".into() }).await;
        unread(b, s, who, ListDevices { listed: Listed::All, now: bed.now() }).await;
        unread(b, s, who, ListTokens).await;
    }
    for who in &strange {
        let (fresh, address) = (request("pr_more"), String::new());
        denied(b, s, who, RequestUpgrade { fresh, scopes: write, address }).await;
        unread(b, s, who, ListDevices { listed: Listed::Own, now: bed.now() }).await;
        unread(b, s, who, GetRequest { id: request("pr_waits"), now: bed.now() }).await;
        unread(b, s, who, RenewDevice).await;
    }
    // Only the doorkeeper stands at the door.
    for who in [&owner(), &tools(), &recovery(), &narrow[0]] {
        denied(b, s, who, admit(1, bed.now())).await;
        denied(b, s, who, file("pr_more", 5, write)).await;
        denied(b, s, who, redeem("here", 5, s, bed.now())).await;
    }
    bed.verify(s);
}

#[tokio::test]
//= docs/threat-model.md#T21
async fn what_strangers_fail_at_is_counted() {
    let bed = Bed::new();
    let store = bed.open();
    bed.pair(&store, 1, Scope::Read.into()).await;
    let (before, rows) = (bed.dump(), bed.audit(&store).await.len());
    for _ in 0..25 {
        let failed = store.act(&doorkeeper(), admit(9, bed.now()), bed.now()).await.unwrap_err();
        assert_eq!(failed, ActError::Failed(DeviceError::NotPaired));
        let failed = store.act(&doorkeeper(), redeem("no", 9, &store, bed.now()), bed.now()).await;
        assert_eq!(failed.unwrap_err(), ActError::Failed(DeviceError::Invitation));
        let again = file("pr_more", 1, Scope::Read.into());
        let failed = store.act(&doorkeeper(), again, bed.now()).await.unwrap_err();
        assert_eq!(failed, ActError::Failed(DeviceError::AlreadyApproved(Scope::Read.into())));
    }
    assert_eq!((bed.dump(), bed.audit(&store).await.len()), (before, rows));
    store.close();
    let store = bed.open();
    let audit = bed.audit(&store).await;
    let mut counted: Vec<_> = audit[rows..]
        .iter()
        .map(|row| (row.method.as_str(), row.reason.as_str(), row.decision, row.count))
        .collect();
    counted.sort_unstable_by_key(|row| row.0);
    let failed = Decision::Failed;
    assert_eq!(
        counted,
        [
            ("device.connect", "not-paired", failed, 25),
            ("device.pair.redeem", "invitation-not-good", failed, 25),
            ("device.pair.request", "already-approved", failed, 25),
        ]
    );
    bed.verify(&store);
}
