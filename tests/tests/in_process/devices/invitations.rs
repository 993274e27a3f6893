//! Invitations: good once, for one key, never more than whoever made them, and not for long.

use std::time::Duration;

use openclaw_pairing::{InvitationCode, InvitationSecret, Link};
use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Refusal, TestGateway, loopback, names};
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{World, counted, devices, records};

async fn invite(client: &Client, scopes: &[Scope]) -> Result<v1::Invitation, Refusal> {
    let request = v1::InviteRequest { scopes: names(scopes), ..Default::default() };
    let made = client.devices().invite(request).await;
    made.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// How an invitation that is not good is refused, whatever it is that is not good about it.
#[track_caller]
fn is_not_good(refusal: &Refusal) {
    let told = (refusal.message.as_str(), refusal.fact("kind"), refusal.next.as_str());
    let expected =
        ("the invitation is not good", "not-paired", "ask for a new one: openclaw devices invite");
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
    assert_eq!((told, refusal.metadata.len(), refusal.retry), (expected, 1, None), "{refusal:?}");
}

#[tokio::test]
//= docs/threat-model.md#T30
//= docs/threat-model.md#T31
async fn an_invitation_is_good_once() {
    let stage = Stage::new().await;
    let made = invite(&stage.owner, &[Scope::Read]).await.unwrap();
    let invited = Attempt::invited(&made.code);
    let (first, second) = (stage.device(), stage.device());
    let connected = first.connect(&stage.gateway, &invited).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.read"]);
    let listed = devices(&stage.owner).await;
    let known = listed.devices.iter().find(|known| known.id == first.id().to_string()).unwrap();
    let provenance = known.provenance.clone().unwrap();
    assert_eq!((provenance.via.as_str(), &provenance.via_id), ("invitation", &made.id));
    assert_eq!(provenance.approved_by, "owner");
    let world = World::of(&stage.gateway, &stage.owner).await;

    // Whoever comes second is told what whoever never had one is told.
    is_not_good(&second.connect(&stage.gateway, &invited).await.unwrap_err());
    let unknown = Attempt { invitation: vec![7; 12], ..Attempt::default() };
    is_not_good(&second.connect(&stage.gateway, &unknown).await.unwrap_err());
    for invitation in [vec![7; 11], vec![7; 13], vec![7; 4096]] {
        let none = Attempt { invitation, ..Attempt::default() };
        is_not_good(&second.connect(&stage.gateway, &none).await.unwrap_err());
    }
    // A device that is known gets nothing by a bad one either, not even in.
    is_not_good(&first.connect(&stage.gateway, &unknown).await.unwrap_err());
    // The answer may have been lost: the same key again is in, and has no more than before.
    for attempt in [&invited, &Attempt { wish: ScopeSet::ALL, ..invited.clone() }] {
        let again = first.connect(&stage.gateway, attempt).await.unwrap();
        assert_eq!(again.answer.scopes, ["operator.read"]);
    }
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "a used invitation");

    // Once what it gave was taken away, it gives nothing back.
    let revoke = v1::RevokeDeviceRequest { device: first.id().to_string(), role: String::new() };
    stage.owner.devices().revoke(revoke).await.unwrap();
    let refusal = first.connect(&stage.gateway, &invited).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"), "{refusal:?}");
    let remove = v1::RemoveDeviceRequest { device: first.id().to_string() };
    stage.owner.devices().remove(remove).await.unwrap();
    let refusal = first.connect(&stage.gateway, &invited).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
    // Two keys at once: one of them is in.
    let made = invite(&stage.owner, &[Scope::Read]).await.unwrap();
    let invited = Attempt::invited(&made.code);
    let (one, other) = (stage.device(), stage.device());
    let both = tokio::join!(
        one.connect(&stage.gateway, &invited),
        other.connect(&stage.gateway, &invited)
    );
    assert_eq!(u8::from(both.0.is_ok()) + u8::from(both.1.is_ok()), 1, "{both:?}");
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn an_invitation_is_no_more_than_its_issuer() {
    let stage = Stage::new().await;
    let held = ScopeSet::of(&[Scope::Pairing, Scope::Read, Scope::Approvals]);
    let (issuer, connected) = stage.connected(held).await;
    let (client, id) = (&connected.client, issuer.id().to_string());
    #[rustfmt::skip]
    let asked: [(&[Scope], &str, &str); 4] = [
        (&[Scope::Write],                "APPROVER_TOO_NARROW", "operator.write"),
        (&[Scope::Admin],                "APPROVER_TOO_NARROW", "operator.admin"),
        (&[Scope::Read, Scope::Talk],    "APPROVER_TOO_NARROW", "operator.talk"),
        // Without a word: what a new device is proposed, which is more than it holds.
        (&[],                            "APPROVER_TOO_NARROW", "operator.write"),
    ];
    for (scopes, reason, missing) in asked {
        let refusal = invite(client, scopes).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, reason), "{refusal:?}");
        assert_eq!(refusal.fact("missingScopes"), missing);
    }
    let (_, reader) = stage.connected(Scope::Write.into()).await;
    let refusal = invite(&reader.client, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");

    let (kept, narrowed) =
        (invite(client, &[Scope::Read]).await, invite(client, &[Scope::Approvals]).await);
    let (kept, narrowed) = (kept.unwrap(), narrowed.unwrap());
    let invited =
        stage.device().connect(&stage.gateway, &Attempt::invited(&kept.code)).await.unwrap();
    assert_eq!(invited.answer.approved_scopes, ["operator.read"]);
    // Judged again when it is shown: what its issuer lost meanwhile is lost.
    let rotate = v1::RotateDeviceRequest {
        device: id.clone(),
        scopes: names(&[Scope::Pairing, Scope::Read]),
        ..Default::default()
    };
    stage.owner.devices().rotate(rotate).await.unwrap();
    let late = stage.device();
    is_not_good(
        &late.connect(&stage.gateway, &Attempt::invited(&narrowed.code)).await.unwrap_err(),
    );
    // So is all of it when it may not let devices in any more.
    let keeps = v1::RotateDeviceRequest {
        device: id.clone(),
        scopes: names(&[Scope::Read]),
        ..Default::default()
    };
    let again = issuer
        .prove(&connected.bare, stage.gateway.fingerprint(), &Attempt::default())
        .await
        .unwrap();
    let made = invite(&again.client, &[Scope::Read]).await.unwrap();
    stage.owner.devices().rotate(keeps).await.unwrap();
    is_not_good(&late.connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap_err());
    let back = v1::RotateDeviceRequest {
        device: id.clone(),
        scopes: names(&[Scope::Pairing, Scope::Read]),
        ..Default::default()
    };
    stage.owner.devices().rotate(back).await.unwrap();
    // And all of it once the issuer's grant has ended, also when it gets another one afterwards.
    let again = issuer
        .prove(&connected.bare, stage.gateway.fingerprint(), &Attempt::default())
        .await
        .unwrap();
    let made = invite(&again.client, &[Scope::Read]).await.unwrap();
    let revoke = v1::RevokeDeviceRequest { device: id, role: String::new() };
    stage.owner.devices().revoke(revoke).await.unwrap();
    is_not_good(&late.connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap_err());
    let request = stage.asks(&issuer, held).await;
    stage.approve(&request, held).await;
    is_not_good(&late.connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap_err());
    // The device that was invited before stays: that was an approval.
    invited.client.gateway().status(v1::StatusRequest {}).await.unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn an_invitation_lapses() {
    let stage = Stage::new().await;
    let made = |ttl| {
        let ttl = Some(openclaw_proto::to_duration(ttl));
        let request = v1::InviteRequest { ttl, ..v1::InviteRequest::default() };
        let mut devices = stage.owner.devices();
        async move { devices.invite(request).await.map(tonic::Response::into_inner) }
    };
    let short = made(Duration::from_millis(1)).await.unwrap();
    stage.passed(&short.expires_at.unwrap()).await;
    let device = stage.device();
    is_not_good(&device.connect(&stage.gateway, &Attempt::invited(&short.code)).await.unwrap_err());
    let day = Duration::from_hours(24);
    made(day).await.unwrap();
    for wrong in
        [Duration::ZERO, Duration::from_nanos(1), day + Duration::from_millis(1), Duration::MAX]
    {
        let status = made(wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{wrong:?}: {status:?}");
    }
    let negative = v1::InviteRequest {
        ttl: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..Default::default()
    };
    let status = stage.owner.devices().invite(negative).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

/// The code can be typed by hand, and the link holds the same and where to go.
#[tokio::test]
async fn a_typed_code_is_as_good_as_a_link() {
    let stage = Stage::new().await;
    let made = invite(&stage.owner, &[]).await.unwrap();
    assert_eq!(made.scopes, ["operator.write"], "what is proposed, in its shortest form");
    let typed = made.code.replace('-', " ").to_uppercase().replace('0', "o").replace('1', "l");
    let connected =
        stage.device().connect(&stage.gateway, &Attempt::invited(&typed)).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.write"]);
    let link: Link = made.link.parse().unwrap();
    assert_eq!(link.code.to_string(), made.code);
    assert_eq!(link.code.pin, stage.gateway.fingerprint().pin());
    let addresses: Vec<_> = link.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, [stage.gateway.address().to_string()]);
    assert_eq!(made.addresses, addresses);
    // A slip of a finger is found before anything is sent.
    let mut wrong = made.code.clone();
    wrong.replace_range(0..1, if wrong.starts_with('z') { "y" } else { "z" });
    assert!(wrong.parse::<InvitationCode>().is_err());
    let several = ["gateway.example.org:1", "[::1]:65535"].map(str::to_owned).to_vec();
    let request = v1::InviteRequest { addresses: several.clone(), ..Default::default() };
    let made = stage.owner.devices().invite(request).await.unwrap().into_inner();
    assert_eq!(made.addresses, several);
    for addresses in
        [vec!["nowhere".to_owned()], vec!["a b:1".to_owned()], vec!["h:1".to_owned(); 9]]
    {
        let request = v1::InviteRequest { addresses, ..Default::default() };
        let status = stage.owner.devices().invite(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

/// Ten guesses from an address, and it has to wait: with any secret and any key, also with good ones.
#[tokio::test]
//= docs/threat-model.md#T30
async fn guesses_are_limited() {
    let stage = Stage::new().await;
    let made = invite(&stage.owner, &[Scope::Read]).await.unwrap();
    let seen = stage.gateway.fingerprint();
    let known = stage.approved(Scope::Read.into()).await;
    let from = async |number| stage.gateway.dial_from(loopback(number)).await;
    for guess in 0..10 {
        let invitation = InvitationSecret([guess; 12]).0.to_vec();
        let attempt = Attempt { invitation, ..Attempt::default() };
        is_not_good(&stage.device().prove(&from(60).await, seen, &attempt).await.unwrap_err());
    }
    let invited = Attempt::invited(&made.code);
    for device in [stage.device(), known.clone()] {
        let refusal = device.prove(&from(60).await, seen, &invited).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::ResourceExhausted, "RATE_LIMITED"), "{refusal:?}");
        assert!(refusal.retry.is_some_and(|retry| retry <= Duration::from_secs(300)));
    }
    // Devices that are known come and go there, and elsewhere the invitation is as good as it was.
    known.prove(&from(60).await, seen, &Attempt::default()).await.unwrap();
    stage.device().prove(&from(61).await, seen, &invited).await.unwrap();
    let gateway = stage.gateway.restart().await;
    let owner = gateway.owner().await;
    assert_eq!(counted(&owner, "system:doorkeeper", "invitation-not-good").await, 10);
    let peer = format!("peer:{}", loopback(60));
    assert_eq!(counted(&owner, &peer, "too many failed credentials").await, 2);
}

/// With the listener off nobody could use one; whoever may invite is told which two lines to write.
#[tokio::test]
async fn without_a_listener_there_is_nothing_to_invite_to() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let refusal = invite(&owner, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.code, Code::FailedPrecondition, "{refusal:?}");
    assert!(
        refusal.next.contains("`[listen]`") && refusal.next.contains("`tcp = \""),
        "{refusal:?}"
    );
    let log = records(&owner, v1::ListAuditRequest::default()).await;
    assert!(log.is_empty(), "nothing was made: {log:?}");
    let refusal =
        invite(&gateway.narrowed(&[Scope::Write]).await, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.reason, "MISSING_SCOPE", "{refusal:?}");
}

/// An invitation that went to the wrong place is withdrawn by whoever could have made it.
#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T32
async fn an_invitation_is_withdrawn() {
    let stage = Stage::new().await;
    let owner = &stage.owner;
    let list = async |client: &Client| {
        let listed = client.devices().list_invitations(v1::ListInvitationsRequest {}).await;
        listed.map(|listed| listed.into_inner().invitations).map_err(Refusal::from)
    };
    let withdraw = async |client: &Client, invitation: &str| {
        let request = v1::RevokeInvitationRequest { invitation: invitation.into() };
        let gone = client.devices().revoke_invitation(request).await;
        gone.map(tonic::Response::into_inner).map_err(Refusal::from)
    };
    let (kept, made) = (
        invite(owner, &[Scope::Read]).await.unwrap(),
        invite(owner, &[Scope::Approvals]).await.unwrap(),
    );
    let listed = list(owner).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, [kept.id.as_str(), made.id.as_str()]);
    for open in &listed {
        assert_eq!((open.link.as_str(), open.code.as_str()), ("", ""), "the secret was told once");
        assert!(open.issuer == "owner" && open.created_at.is_some(), "{open:?}");
    }

    let manager = stage.gateway.narrowed(&[Scope::Pairing, Scope::Read]).await;
    let reader = stage.gateway.narrowed(&[Scope::Read]).await;
    assert_eq!(list(&manager).await.unwrap().len(), 2);
    for refusal in
        [list(&reader).await.unwrap_err(), withdraw(&reader, &kept.id).await.unwrap_err()]
    {
        assert_eq!(refusal.reason, "MISSING_SCOPE", "{refusal:?}");
    }
    let refusal = withdraw(&manager, &made.id).await.unwrap_err();
    assert_eq!(refusal.reason, "APPROVER_TOO_NARROW", "it holds less than is in it: {refusal:?}");
    assert_eq!(withdraw(&reader, "inv_none").await.unwrap_err().reason, "MISSING_SCOPE");
    let unknown = withdraw(owner, "inv_none").await.unwrap_err();
    assert_eq!(
        (unknown.code, unknown.next.as_str()),
        (Code::NotFound, "openclaw devices invitations")
    );
    assert_eq!(list(owner).await.unwrap(), listed, "nothing has changed");

    assert_eq!(withdraw(owner, &made.id).await.unwrap().id, made.id);
    withdraw(owner, &made.id).await.unwrap();
    is_not_good(
        &stage.device().connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap_err(),
    );
    // What was used is a device by now, and is revoked as one.
    let device = stage.device();
    device.connect(&stage.gateway, &Attempt::invited(&kept.code)).await.unwrap();
    assert_eq!(withdraw(owner, &kept.id).await.unwrap_err().code, Code::NotFound);
    device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
    assert_eq!(list(owner).await.unwrap(), []);
    let method = "device.invite.revoke".into();
    let log = records(owner, v1::ListAuditRequest { method, ..Default::default() }).await;
    let withdrawn = format!("invitation {}", made.id);
    let done = |it: &&v1::AuditRecord| it.target == withdrawn && it.decision() == Decision::Allowed;
    assert_eq!(log.iter().filter(done).count(), 1, "{log:?}");
}
