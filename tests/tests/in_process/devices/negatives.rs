//! What must never happen, by name: each was a defect of the original, or would be one of the same kind.

mod floods;

use openclaw_pairing::Asks;
use openclaw_proto::v1;
use openclaw_scopes::{DeviceRole, Scope, ScopeSet};
use openclaw_tests::{Attempt, Refusal, ask, loopback, request};
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{World, devices};

/// A paired read device reconnects with a wish for everything: it keeps what it has, and there is one
/// request that somebody has to decide.
#[tokio::test]
//= docs/threat-model.md#T31
async fn silent_scope_upgrade_reconnect() {
    let stage = Stage::new().await;
    let device = stage.approved(Scope::Read.into()).await;
    let before = devices(&stage.owner).await;
    for (asks, wish) in [
        (Asks::Upgrade, Scope::Admin.into()),
        (Asks::Upgrade, Scope::Admin.into()),
        (Asks::Upgrade, ScopeSet::ALL),
        (Asks::Nothing, ScopeSet::ALL),
    ] {
        let attempt = Attempt { wish, asks, ..Attempt::default() };
        let connected = device.connect(&stage.gateway, &attempt).await.unwrap();
        assert_eq!(connected.answer.scopes, ["operator.read"]);
        assert_eq!(connected.answer.approved_scopes, ["operator.read"]);
        assert_eq!(connected.answer.pending.is_some(), asks == Asks::Upgrade);
        let refusal = ask(&connected.client, request("r", "main", "Hello.")).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");
        let renewed = connected.client.devices().renew(v1::RenewRequest {}).await.unwrap();
        assert_eq!(renewed.into_inner().scopes, ["operator.read"]);

        let listed = devices(&stage.owner).await;
        let [waits] = listed.pending.as_slice() else { panic!("one, never more: {listed:?}") };
        assert_eq!((waits.kind.as_str(), waits.revision), ("scope-upgrade", 1), "{waits:?}");
        assert_eq!(waits.requested_scopes, ["operator.admin"]);
        assert_eq!(waits.approved_scopes, ["operator.read"]);
        let approved = |list: &v1::ListDevicesResponse| {
            let of =
                |known: &v1::Device| (known.id.clone(), known.approved_scopes.clone(), known.epoch);
            list.devices.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(approved(&listed), approved(&before));
    }
}

/// Over the network this machine is a stranger like any other.
#[tokio::test]
//= docs/threat-model.md#T35
async fn loopback_is_not_trusted() {
    let stage = Stage::new().await;
    let seen = stage.gateway.fingerprint();
    for from in [loopback(1), loopback(2)] {
        for attempt in
            [Attempt::default(), Attempt::asking(&[Scope::Read]), Attempt::asking(&Scope::ALL)]
        {
            let bare = stage.gateway.dial_from(from).await;
            let device = stage.device();
            let refusal = device.prove(&bare, seen, &attempt).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
            let status = bare.gateway().status(v1::StatusRequest {}).await.unwrap_err();
            assert_eq!(Refusal::from(status).reason, "PAIRING_REQUIRED");
            let known = devices(&stage.owner).await.devices;
            assert!(known.iter().all(|known| known.id != device.id().to_string()), "{known:?}");
        }
    }
    let listed = devices(&stage.owner).await.pending;
    assert_eq!(listed.len(), 4, "those who asked, and nobody approved them: {listed:?}");
}

/// What a client calls itself is a label.
#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T35
async fn self_declared_gateway_client_gets_nothing() {
    let stage = Stage::new().await;
    let seen = stage.gateway.fingerprint();
    let names = [
        "gateway-client",
        "openclaw-control-ui",
        "cli",
        "owner",
        "system:doorkeeper",
        "operator.admin",
    ];
    for name in names {
        let bare = stage.gateway.dial().await;
        let bare = bare.with("openclaw-client", name).with("x-openclaw-mode", "backend");
        let device = stage.device().called(name);
        let refusal = device.prove(&bare, seen, &Attempt::default()).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
        let request = stage.asks(&device, Scope::Read.into()).await;
        stage.approve(&request, Scope::Read.into()).await;
        let wish = Attempt::wishing(&Scope::ALL);
        let connected = device.prove(&bare, seen, &wish).await.unwrap();
        assert_eq!(connected.answer.scopes, ["operator.read"], "{name}");
        let refusal =
            ask(&connected.client, self::request("r", "main", "Hello.")).await.unwrap_err();
        assert_eq!(refusal.reason, "MISSING_SCOPE", "{name}");
    }
}

/// What was approved for one role says nothing of another, and there is nothing of it to be rotated or
/// withdrawn.
#[tokio::test]
//= docs/threat-model.md#T31
async fn a_role_is_approved_by_itself() {
    let stage = Stage::new().await;
    let (device, connected) = stage.connected(ScopeSet::ALL).await;
    let world = World::of(&stage.gateway, &stage.owner).await;
    for attempt in [Attempt::default(), Attempt::asking(&Scope::ALL)] {
        let node = Attempt { role: DeviceRole::Node, ..attempt };
        let refusal = device.connect(&stage.gateway, &node).await.unwrap_err();
        assert_eq!(refusal.code, Code::Unimplemented, "{refusal:?}");
    }
    let device = device.id().to_string();
    for client in [&connected.client, &stage.owner] {
        for (role, code) in [("node", Code::NotFound), ("admin", Code::InvalidArgument)] {
            let (device, role) = (device.clone(), role.to_owned());
            let revoke = v1::RevokeDeviceRequest { device: device.clone(), role: role.clone() };
            let status = client.devices().revoke(revoke).await.unwrap_err();
            assert_eq!(status.code(), code, "{status:?}");
            for keep in [true, false] {
                let scopes = if keep { Vec::new() } else { vec![Scope::Read.name().to_owned()] };
                let (device, role) = (device.clone(), role.clone());
                let rotate = v1::RotateDeviceRequest { device, role, scopes, keep };
                let status = client.devices().rotate(rotate).await.unwrap_err();
                assert_eq!(status.code(), code, "{status:?}");
            }
        }
    }
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "attempts on another role");
    connected.client.gateway().status(v1::StatusRequest {}).await.unwrap();
}
