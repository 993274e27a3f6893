//! Managing devices: who approves what, which device is meant, and what a device does for itself.

mod ending;
mod shown;

use std::collections::BTreeMap;

use openclaw_proto::v1;
use openclaw_proto::v1::pairing_request::State;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Connected, Device, Refusal, names};
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{World, devices};

async fn approve(client: &Client, request: &str, scopes: &[Scope]) -> Result<v1::Device, Refusal> {
    let request = v1::ApproveDeviceRequest { request: request.into(), scopes: names(scopes) };
    let approved = client.devices().approve(request).await;
    approved.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn reject(client: &Client, request: &str) -> Result<v1::PairingRequest, Refusal> {
    let request = v1::RejectDeviceRequest { request: request.into() };
    let rejected = client.devices().reject(request).await;
    rejected.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn rotate(client: &Client, device: &str, scopes: &[Scope]) -> Result<v1::Device, Refusal> {
    let (device, scopes) = (device.to_owned(), names(scopes));
    let request = v1::RotateDeviceRequest { device, scopes, role: String::new(), keep: false };
    let rotated = client.devices().rotate(request).await;
    rotated.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn revoke(client: &Client, device: &str) -> Result<v1::Device, Refusal> {
    let request = v1::RevokeDeviceRequest { device: device.into(), role: String::new() };
    let revoked = client.devices().revoke(request).await;
    revoked.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn rename(client: &Client, device: &str, label: &str) -> Result<v1::Device, Refusal> {
    let request = v1::RenameDeviceRequest { device: device.into(), label: label.into() };
    let renamed = client.devices().rename(request).await;
    renamed.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// What was looked at is what is approved, once; whoever comes second finds it decided.
#[tokio::test]
//= docs/threat-model.md#T29
async fn approvals_race_with_changes() {
    let stage = Stage::new().await;
    let (owner, device) = (&stage.owner, stage.device());
    let first = stage.asks(&device, Scope::Read.into()).await;
    let id = first.strip_suffix("@1").unwrap();
    let second = stage.asks(&device, Scope::Admin.into()).await;
    assert_eq!(second, format!("{id}@2"), "it is replaced, under the same id");
    let stale = approve(owner, &first, &[Scope::Read]).await.unwrap_err();
    assert_eq!(stale.kind(), (Code::Aborted, ""), "{stale:?}");
    assert_eq!(reject(owner, &first).await.unwrap_err().code, Code::Aborted);
    let [waits] = devices(owner).await.pending.try_into().unwrap();
    assert_eq!(waits.requested_scopes, ["operator.admin"], "never a union");
    assert_eq!(waits.history[0].requested_scopes, ["operator.read"]);
    let world = World::of(&stage.gateway, owner).await;
    #[rustfmt::skip]
    let wrong: [(&str, &[Scope], Code); 6] = [
        (id,                   &[Scope::Read], Code::InvalidArgument),
        (&second,              &[],            Code::InvalidArgument),
        (&format!("{id}@3"),   &[Scope::Read], Code::Aborted),
        (&format!("{id}@-1"),  &[Scope::Read], Code::InvalidArgument),
        ("pr_none@1",          &[Scope::Read], Code::NotFound),
        ("\u{1b}[2J@1",        &[Scope::Read], Code::InvalidArgument),
    ];
    for (request, scopes, code) in wrong {
        let refusal = approve(owner, request, scopes).await.unwrap_err();
        assert_eq!(refusal.code, code, "{request:?} {refusal:?}");
    }
    let third = stage.asks(&device, Scope::Read.into()).await;
    assert_eq!(third, format!("{id}@3"), "a wish of before is another change");
    let beyond = approve(owner, &third, &[Scope::Write]).await.unwrap_err();
    assert_eq!(beyond.kind(), (Code::InvalidArgument, ""), "{beyond:?}");
    assert_eq!(beyond.message, "not asked for: operator.write");
    World::of(&stage.gateway, owner)
        .await
        .expect_same_but_for_requests(&world, "approvals of what has changed");

    let approved = approve(owner, &third, &[Scope::SessionsRead]).await.unwrap();
    assert_eq!(approved.approved_scopes, ["operator.sessions.read"], "a part is enough");
    for late in [
        approve(owner, &third, &[Scope::Read]).await,
        approve(owner, &second, &[Scope::SessionsRead]).await,
    ] {
        assert_eq!(late.unwrap_err().kind(), (Code::FailedPrecondition, ""));
    }
    assert_eq!(reject(owner, &third).await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(approve(owner, &third, &[Scope::SessionsRead]).await.unwrap(), approved, "a retry");
}

/// Of an approval and a rejection at once one is done, and the other is told so.
#[tokio::test]
//= docs/threat-model.md#T29
async fn a_request_is_decided_once() {
    let stage = Stage::new().await;
    let other = stage.gateway.owner().await;
    let mut won = BTreeMap::<&str, u32>::new();
    for round in 0..20 {
        let device = stage.device();
        let request = stage.asks(&device, Scope::Read.into()).await;
        let (approved, rejected) = if round % 2 == 0 {
            tokio::join!(approve(&stage.owner, &request, &[Scope::Read]), reject(&other, &request))
        } else {
            let (rejected, approved) = tokio::join!(
                reject(&other, &request),
                approve(&stage.owner, &request, &[Scope::Read])
            );
            (approved, rejected)
        };
        let connected = device.connect(&stage.gateway, &Attempt::default()).await;
        match (approved, rejected) {
            (Ok(approved), Err(refusal)) => {
                assert_eq!(refusal.code, Code::FailedPrecondition, "{refusal:?}");
                assert_eq!(connected.unwrap().answer.scopes, approved.granted_scopes);
                *won.entry("approved").or_default() += 1;
            }
            (Err(refusal), Ok(rejected)) => {
                assert_eq!(refusal.code, Code::FailedPrecondition, "{refusal:?}");
                assert_eq!(rejected.state(), State::Rejected);
                assert_eq!(connected.unwrap_err().reason, "PAIRING_REQUIRED");
                // Whoever was turned down cannot ask again for a while, not for something else either.
                let wish = [Scope::Read, Scope::Talk][usize::from(round % 4 < 2)];
                let again = device.connect(&stage.gateway, &Attempt::asking(&[wish])).await;
                let again = again.unwrap_err();
                assert_eq!(again.kind(), (Code::PermissionDenied, "PAIRING_REJECTED"), "{again:?}");
                assert!(again.retry.is_some(), "{again:?}");
                *won.entry("rejected").or_default() += 1;
            }
            both => panic!("{both:?}"),
        }
    }
    assert_eq!(won.values().sum::<u32>(), 20, "{won:?}");
}

/// Whoever approves holds it all; what is approved of a wish may be what the approver holds of it.
#[tokio::test]
//= docs/threat-model.md#T31
async fn an_approver_hands_out_what_it_holds() {
    let stage = Stage::new().await;
    let held = ScopeSet::of(&[Scope::Pairing, Scope::Read]);
    let (manager, Connected { client, .. }) = stage.connected(held).await;
    let (_, Connected { client: writer, .. }) = stage.connected(Scope::Write.into()).await;
    let device = stage.device();
    let request = stage.asks(&device, ScopeSet::of(&[Scope::Write, Scope::Approvals])).await;
    for (scopes, missing) in [
        (&[Scope::Write][..], "operator.write"),
        (&[Scope::Read, Scope::Approvals], "operator.approvals"),
        (&[Scope::Talk], "operator.talk"),
    ] {
        let refusal = approve(&client, &request, scopes).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");
        assert_eq!(refusal.fact("missingScopes"), missing);
    }
    let refusal = approve(&writer, &request, &[Scope::Write]).await.unwrap_err();
    assert_eq!(refusal.fact("missingScopes"), "operator.pairing");
    // Its own request is no exception.
    let upgrade = v1::RequestUpgradeRequest { scopes: names(&[Scope::Admin]) };
    let own = client.devices().request_upgrade(upgrade).await.unwrap().into_inner();
    let own = format!("{}@{}", own.id, own.revision);
    for scopes in [&[Scope::Admin][..], &[Scope::Write], &[Scope::Read, Scope::Talk]] {
        let refusal = approve(&client, &own, scopes).await.unwrap_err();
        assert_eq!(refusal.reason, "APPROVER_TOO_NARROW", "{refusal:?}");
    }
    let approved = approve(&client, &request, &[Scope::Read]).await.unwrap();
    assert_eq!(approved.approved_scopes, ["operator.read"]);
    let provenance = approved.provenance.unwrap();
    assert_eq!(provenance.approved_by, format!("device:{}", manager.id()));
    let id = approved.id;
    // What it may manage is what it holds: not even what a wider device is called is its business.
    let wide = stage.approved(Scope::Write.into()).await.id().to_string();
    let remove = v1::RemoveDeviceRequest { device: wide.clone() };
    for refusal in [
        rotate(&client, &wide, &[Scope::Read]).await.unwrap_err(),
        revoke(&client, &wide).await.unwrap_err(),
        client.devices().remove(remove).await.unwrap_err().into(),
        rename(&client, &wide, "somebody's").await.unwrap_err(),
    ] {
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");
        assert!(refusal.fact("missingScopes").contains("operator.write"), "{refusal:?}");
    }
    rename(&client, &id, "somebody's").await.unwrap();
    rotate(&client, &id, &[Scope::SessionsRead]).await.unwrap();
    revoke(&client, &id).await.unwrap();
}

/// A device needs nothing to give up what it has, and cannot get more by managing itself.
#[tokio::test]
//= docs/threat-model.md#T31
async fn a_device_manages_itself() {
    let stage = Stage::new().await;
    let (device, Connected { client, bare, .. }) = stage.connected(Scope::Write.into()).await;
    let other = stage.approved(Scope::Read.into()).await.id().to_string();
    let (id, seen) = (device.id().to_string(), stage.gateway.fingerprint());
    let own =
        client.devices().list(v1::ListDevicesRequest { own: true }).await.unwrap().into_inner();
    let [listed] = own.devices.as_slice() else { panic!("its own and no other: {own:?}") };
    assert_eq!((&listed.id, own.pending.len()), (&id, 0));
    let all = client.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap_err();
    assert_eq!(Refusal::from(all).fact("missingScopes"), "operator.pairing");
    for refusal in [
        rename(&client, &other, "mine").await.unwrap_err(),
        revoke(&client, &other).await.unwrap_err(),
        rotate(&client, &other, &[Scope::Read]).await.unwrap_err(),
    ] {
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");
    }
    rename(&client, &device.beginning(6), "kitchen").await.unwrap();
    let refusal = rotate(&client, &id, &[Scope::Admin]).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");
    // A connection that wished for less cannot set what it does not carry.
    let narrow = device.connect(&stage.gateway, &Attempt::wishing(&[Scope::Read])).await.unwrap();
    let refusal = rotate(&narrow.client, &id, &[Scope::Write]).await.unwrap_err();
    assert_eq!(refusal.reason, "APPROVER_TOO_NARROW", "{refusal:?}");

    let rotated = rotate(&client, &id, &[Scope::Read]).await.unwrap();
    assert_eq!(
        (rotated.label.as_str(), &rotated.granted_scopes[..]),
        ("kitchen", &["operator.read".to_owned()][..])
    );
    let refusal = rotate(&client, &id, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
    let again = device.prove(&bare, seen, &Attempt::default()).await.unwrap();
    let refusal = rotate(&again.client, &id, &[Scope::Write]).await.unwrap_err();
    assert_eq!(refusal.reason, "APPROVER_TOO_NARROW", "what it gave up it has not: {refusal:?}");
    // The owner gives it back, within what was approved.
    let outside = rotate(&stage.owner, &id, &[Scope::Admin]).await.unwrap_err();
    assert_eq!(outside.kind(), (Code::FailedPrecondition, "OUTSIDE_BASELINE"), "{outside:?}");
    rotate(&stage.owner, &id, &[Scope::Write]).await.unwrap();
    let back = device.prove(&bare, seen, &Attempt::default()).await.unwrap();
    assert_eq!(back.answer.scopes, ["operator.write"]);
    let revoked = revoke(&back.client, &id).await.unwrap();
    assert_eq!(revoked.status(), v1::device::Status::Revoked);
    let refusal = device.connect(&stage.gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.reason, "DEVICE_REVOKED", "{refusal:?}");
}

/// An upgrade gives back nothing that a rotation took, be it asked for before or after.
#[tokio::test]
//= docs/threat-model.md#T31
async fn an_upgrade_does_not_undo_a_rotation() {
    let stage = Stage::new().await;
    let (device, Connected { bare, client, .. }) = stage.connected(Scope::Write.into()).await;
    let (id, seen) = (device.id().to_string(), stage.gateway.fingerprint());
    let upgrade = v1::RequestUpgradeRequest { scopes: names(&[Scope::Approvals]) };
    let before = client.devices().request_upgrade(upgrade.clone()).await.unwrap().into_inner();
    assert_eq!(before.requested_scopes, ["operator.approvals", "operator.write"]);
    rotate(&stage.owner, &id, &[Scope::Read]).await.unwrap();
    // What was looked at before the rotation is stale.
    let request = format!("{}@{}", before.id, before.revision);
    let stale = approve(&stage.owner, &request, &[Scope::Approvals]).await.unwrap_err();
    assert_eq!(stale.code, Code::Aborted, "{stale:?}");
    let again = device.prove(&bare, seen, &Attempt::default()).await.unwrap();
    let after = again.client.devices().request_upgrade(upgrade).await.unwrap().into_inner();
    assert_eq!((&after.id, after.revision), (&before.id, before.revision + 1));
    assert_eq!(after.requested_scopes, ["operator.approvals", "operator.read"]);
    let request = format!("{}@{}", after.id, after.revision);
    let beyond = approve(&stage.owner, &request, &[Scope::Approvals, Scope::Write]).await;
    assert_eq!(beyond.unwrap_err().code, Code::InvalidArgument);
    let approved = approve(&stage.owner, &request, &[Scope::Approvals, Scope::Read]).await.unwrap();
    assert_eq!(approved.granted_scopes, ["operator.approvals", "operator.read"]);
    assert_eq!(approved.approved_scopes, ["operator.approvals", "operator.write"]);
    // What is approved and not carried is not asked for; whoever manages gives it back.
    let write = v1::RequestUpgradeRequest { scopes: names(&[Scope::Write]) };
    let status = again.client.devices().request_upgrade(write).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
}

/// The beginning of an id is enough when it is long enough and no other device has it.
#[tokio::test]
async fn a_device_is_named_by_a_beginning_that_no_other_has() {
    let stage = Stage::new().await;
    let mut seen = BTreeMap::new();
    let twins = (1_u64 << 32..).find_map(|number| {
        let device = Device::new(number);
        let beginning = device.beginning(6);
        seen.insert(beginning, number).map(|other| (Device::new(other), device))
    });
    let (one, other) = twins.unwrap();
    for device in [&one, &other] {
        let request = stage.asks(device, Scope::Read.into()).await;
        stage.approve(&request, Scope::Read.into()).await;
    }
    let (id, seventh) = (one.id().to_string(), other.id().to_string());
    let apart = id.bytes().zip(seventh.bytes()).position(|(a, b)| a != b).unwrap();
    #[rustfmt::skip]
    let named = [
        (id.clone(),                      None),
        (id.to_uppercase(),               None),
        (format!("device:{id}"),          None),
        (one.beginning(apart + 1),        None),
        (one.beginning(6),                Some(Code::InvalidArgument)),
        (one.beginning(5),                Some(Code::InvalidArgument)),
        (String::new(),                   Some(Code::InvalidArgument)),
        (format!("{id}0"),                Some(Code::InvalidArgument)),
        ("%".repeat(6),                   Some(Code::InvalidArgument)),
        ("a test's device".into(),        Some(Code::InvalidArgument)),
        ("f".repeat(64),                  Some(Code::NotFound)),
        ("0123456789".into(),             Some(Code::NotFound)),
    ];
    for (name, code) in named {
        let told = rename(&stage.owner, &name, "found").await;
        match (told, code) {
            (Ok(renamed), None) => assert_eq!(renamed.id, id, "{name}"),
            (Err(refusal), Some(code)) => assert_eq!(refusal.code, code, "{name}: {refusal:?}"),
            (told, _) => panic!("{name}: {told:?}"),
        }
    }
    let listed = devices(&stage.owner).await.devices;
    let other = listed.iter().find(|device| device.id == seventh).unwrap();
    assert_eq!(other.label, "", "the other one was never meant");
    for label in ["\u{1b}[31mred", "a\nb", "a\u{202e}b", "\u{200b}", " a", "a ", &"x".repeat(65)] {
        let refusal = rename(&stage.owner, &id, label).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{label:?} {refusal:?}");
        assert!(!refusal.message.contains('\u{1b}'), "{refusal:?}");
    }
    for label in ["", "Küche 漢字 🦀", &"é".repeat(64)] {
        assert_eq!(rename(&stage.owner, &id, label).await.unwrap().label, label);
    }
}
