//! A device from its first word to its last: paired, upgraded, rotated, revoked.

use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_tests::{Attempt, Device, Refusal, Setup, TestGateway, ask, names, request, soon};
use tonic::Code;

async fn gateway() -> TestGateway {
    Setup::new().network().start().await
}

/// What the rest of the tests rests on: nothing, a request, an approval, and exactly what was approved.
#[tokio::test]
async fn a_device_gets_what_was_approved() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let refusal = device.connect(&gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
    assert_eq!((refusal.fact("kind"), refusal.fact("requestId")), ("not-paired", ""));

    let asks = Attempt::asking(&[Scope::Write, Scope::Pairing]);
    let refusal = device.connect(&gateway, &asks).await.unwrap_err();
    let named = refusal.fact("request").to_owned();
    assert!(named.ends_with("@1") && refusal.next.contains(&named), "{refusal:?}");
    let again = device.connect(&gateway, &asks).await.unwrap_err();
    assert_eq!(again.fact("request"), named, "the id stays");

    let owner = gateway.owner().await;
    let approve = v1::ApproveDeviceRequest { request: named, scopes: names(&[Scope::Read]) };
    let approved = owner.devices().approve(approve.clone()).await.unwrap().into_inner();
    assert_eq!(approved.approved_scopes, ["operator.read"]);
    assert_eq!(owner.devices().approve(approve).await.unwrap().into_inner(), approved, "a retry");

    let connected = device.connect(&gateway, &Attempt::default()).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.read"]);
    let status = connected.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    assert_eq!(status.into_inner().principal, format!("device:{}", device.id()));
    let refusal = ask(&connected.client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    assert_eq!(refusal.fact("missingScopes"), "operator.write");
    let bare = connected.bare.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(bare).kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"));
}

#[tokio::test]
async fn an_upgrade_reaches_who_waits_and_work_goes_on_meanwhile() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Read]).await;
    let client = connected.client.with("openclaw-request-access", "1");
    let refusal = ask(&client, request("r", "main", "Hello.")).await.unwrap_err();
    let id = refusal.fact("requestId").to_owned();
    assert!(!id.is_empty(), "{refusal:?}");
    let again = ask(&client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(again.fact("requestId"), id);

    let wait = v1::WaitUpgradeRequest { request_id: id, timeout: None };
    let mut devices = client.devices();
    let waiting = openclaw_tests::background(async move { devices.wait_upgrade(wait).await });
    client.gateway().status(v1::StatusRequest {}).await.unwrap();
    let owner = gateway.owner().await;
    let request_ref = refusal.fact("request").to_owned();
    let approve = v1::ApproveDeviceRequest { request: request_ref, scopes: names(&[Scope::Write]) };
    owner.devices().approve(approve).await.unwrap();
    let decided = soon(waiting).await.unwrap().unwrap().into_inner();
    assert_eq!(decided.state(), v1::pairing_request::State::Approved);
    // The token that was issued before is as good as it was; a new proof gets what was approved.
    client.gateway().status(v1::StatusRequest {}).await.unwrap();
    let upgraded = device.connect(&gateway, &Attempt::default()).await.unwrap();
    assert_eq!(upgraded.answer.scopes, ["operator.write"]);
    ask(&upgraded.client, request("r2", "main", "Hello.")).await.unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn rotation_locks_nobody_out() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Write, Scope::Approvals]).await;
    let owner = gateway.owner().await;
    let rotate = v1::RotateDeviceRequest {
        device: device.id().to_string(),
        role: "operator".into(),
        scopes: names(&[Scope::Read]),
        keep: false,
    };
    let rotated = owner.devices().rotate(rotate).await.unwrap().into_inner();
    assert_eq!(rotated.granted_scopes, ["operator.read"]);
    assert_eq!(rotated.approved_scopes, ["operator.approvals", "operator.write"]);
    let refusal = connected.client.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(refusal).kind(), (Code::Unauthenticated, "TOKEN_REVOKED"));
    // On the same connection, it proves its key again and goes on.
    let fingerprint = gateway.gateway().fingerprint().unwrap();
    let again = device.prove(&connected.bare, fingerprint, &Attempt::default()).await.unwrap();
    assert_eq!(again.answer.scopes, ["operator.read"]);
    again.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    assert!(again.answer.epoch > connected.answer.epoch);
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn revocation_ends_open_streams() {
    let gateway = Setup::new()
        .network()
        .script("[[reply]]\nmatch = \"\"\ntext = \"a b c\"\nchunks = 3\ndelayMs = 30000\n")
        .start()
        .await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Write]).await;
    let mut events =
        connected.client.runs().start(request("r", "main", "Hello.")).await.unwrap().into_inner();
    soon(events.message()).await.unwrap().unwrap();
    let owner = gateway.owner().await;
    let revoke = v1::RevokeDeviceRequest { device: device.id().to_string(), role: String::new() };
    let revoked = owner.devices().revoke(revoke).await.unwrap().into_inner();
    assert_eq!(revoked.status(), v1::device::Status::Revoked);
    let status = loop {
        match soon(events.message()).await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(Refusal::from(status).kind(), (Code::PermissionDenied, "DEVICE_REVOKED"));
    // The run that it had started has ended too.
    let wait = v1::WaitRunRequest { run_id: "r".into(), timeout: None };
    let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
    assert_eq!(run.status(), v1::RunStatus::Aborted);
    let refusal = device.connect(&gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"));
}

/// What a rotation took, a rotation gives back: no request can, and whoever meets it is told so.
#[tokio::test]
async fn a_device_that_was_rotated_down_is_told_the_way_back() {
    let gateway = gateway().await;
    let device = Device::new(1);
    device.paired(&gateway, &[Scope::Write]).await;
    let owner = gateway.owner().await;
    let rotate = |scopes: &[Scope]| v1::RotateDeviceRequest {
        device: device.id().to_string(),
        role: "operator".into(),
        scopes: names(scopes),
        keep: false,
    };
    owner.devices().rotate(rotate(&[Scope::Read])).await.unwrap();
    let connected = device.connect(&gateway, &Attempt::default()).await.unwrap();
    let way = format!(
        "on the gateway's machine: openclaw devices rotate {} --scopes operator.write",
        device.beginning(12)
    );

    let client = connected.client.with("openclaw-request-access", "1");
    let refusal = ask(&client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    assert_eq!((refusal.message.as_str(), &refusal.next), ("missing scope: operator.write", &way));
    let wish = v1::RequestUpgradeRequest { scopes: names(&[Scope::Write]) };
    let refusal = client.devices().request_upgrade(wish).await.unwrap_err();
    let refusal = Refusal::from(refusal);
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    assert_eq!((refusal.fact("missingScopes"), &refusal.next), ("operator.write", &way));
    let explain = async |method: &str| {
        let method = method.into();
        let about = v1::ExplainRequest { method, principal: String::new(), target: String::new() };
        let explained = client.access().explain(about).await.unwrap().into_inner();
        explained.verdicts.into_iter().map(|verdict| verdict.next).collect::<Vec<_>>()
    };
    assert_eq!(explain("agent").await, [way]);
    assert_eq!(
        explain("agents.create").await,
        ["on the device: openclaw devices upgrade --scopes operator.admin --wait"]
    );
    assert_eq!(explain("status").await, [""]);
    let own = v1::ListDevicesRequest { own: false };
    let listed = owner.devices().list(own).await.unwrap().into_inner();
    assert!(listed.pending.is_empty(), "nothing to approve: {listed:?}");

    owner.devices().rotate(rotate(&[Scope::Write])).await.unwrap();
    let again = device.connect(&gateway, &Attempt::default()).await.unwrap();
    ask(&again.client, request("r2", "main", "Hello.")).await.unwrap();
}

/// An approval that changes nothing would tell whoever waits that it was granted.
#[tokio::test]
async fn an_approval_adds_something() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Read]).await;
    let wish = v1::RequestUpgradeRequest { scopes: names(&[Scope::Write]) };
    let filed = connected.client.devices().request_upgrade(wish).await.unwrap().into_inner();
    let owner = gateway.owner().await;
    let before = owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap();
    let named = format!("{}@{}", filed.id, filed.revision);
    let approve = |scopes: &[Scope]| {
        let scopes = names(scopes);
        v1::ApproveDeviceRequest { request: named.clone(), scopes }
    };
    let refusal = owner.devices().approve(approve(&[Scope::Read])).await.unwrap_err();
    let refusal = Refusal::from(refusal);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.message, "the device has it already: operator.read");
    assert!(refusal.next.contains("openclaw devices reject"), "{refusal:?}");
    let after = owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap();
    assert_eq!(after.into_inner(), before.into_inner(), "it waits as it did");
    owner.devices().approve(approve(&[Scope::Write])).await.unwrap();
}
