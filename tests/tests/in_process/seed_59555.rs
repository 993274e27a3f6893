//! Report #59555: each call negotiates its own scopes, and the second cannot be had. Here it can.

mod spawn;

use std::sync::Arc;

use openclaw_client::{Asks, Code as ClientCode, DeviceKey, Identity, Options, Target, Trust};
use openclaw_proto::v1;
use openclaw_proto::v1::pairing_request::State;
use openclaw_scopes::method::{ActorRule, Surface, TABLE};
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{
    Attempt, Device, PATIENCE, Refusal, Setup, TestGateway, ask, background, names, request, soon,
};
use tonic::Code;

async fn gateway() -> TestGateway {
    Setup::new().network().start().await
}

async fn pending(gateway: &TestGateway) -> Vec<v1::PairingRequest> {
    let owner = gateway.owner().await;
    owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap().into_inner().pending
}

async fn approve(gateway: &TestGateway, request: &v1::PairingRequest, scopes: &[Scope]) {
    let request = format!("{}@{}", request.id, request.revision);
    let approve = v1::ApproveDeviceRequest { request, scopes: names(scopes) };
    gateway.owner().await.devices().approve(approve).await.unwrap();
}

/// A client as programs have it: it connects, renews and waits by itself.
async fn client(
    gateway: &TestGateway,
    seed: u8,
    options: Options,
) -> Result<openclaw_client::Client, openclaw_client::ConnectError> {
    let address = gateway.gateway().listens_on().unwrap();
    let target: Target = format!("https://{address}").parse().unwrap();
    let identity = Identity::Device(Arc::new(DeviceKey::from_seed([seed; 32]).unwrap()));
    let trust = Some(Trust::Fingerprint(gateway.gateway().fingerprint().unwrap()));
    openclaw_client::Client::connect(&target, identity, &Options { trust, ..options }).await
}

fn notes() -> v1::CreateAgentRequest {
    v1::CreateAgentRequest {
        idempotency_key: "notes".into(),
        id: "notes".into(),
        ..v1::CreateAgentRequest::default()
    }
}

/// `sessions.list` is the least of methods, and `agents.create` the most; between them `agent`.
#[tokio::test]
async fn the_first_call_does_not_bind_the_next() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Admin]).await;
    for round in 0..2 {
        let client = &connected.client;
        client.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
        ask(client, request(&format!("r{round}"), "main", "Hello.")).await.unwrap();
        let id = format!("notes-{round}");
        let create = v1::CreateAgentRequest { idempotency_key: id.clone(), id, ..notes() };
        client.agents().create(create).await.unwrap();
    }
    // A connection for a little decides nothing about the next one, in either order.
    for (wish, carries) in [
        (Scope::SessionsRead, "operator.sessions.read"),
        (Scope::Admin, "operator.admin"),
        (Scope::Write, "operator.write"),
        (Scope::Admin, "operator.admin"),
    ] {
        let connected = device.connect(&gateway, &Attempt::asking(&[wish])).await.unwrap();
        assert_eq!(connected.answer.scopes, [carries]);
        assert_eq!(connected.answer.approved_scopes, ["operator.admin"]);
    }
    assert_eq!(pending(&gateway).await, []);
}

/// `reason=scope-upgrade scopesFrom=operator.read scopesTo=operator.admin`, and nothing closes.
#[tokio::test]
async fn a_reader_asks_for_admin_and_goes_on_reading() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let mut reading = device.paired(&gateway, &[Scope::Read]).await;
    let fingerprint = gateway.gateway().fingerprint().unwrap();
    let asks = Attempt::asking(&[Scope::Admin]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let asked = device.prove(&reading.bare, fingerprint, &asks).await.unwrap();
        assert_eq!(asked.answer.scopes, ["operator.read"]);
        let waits = asked.answer.pending.clone().unwrap();
        assert_eq!((waits.kind.as_str(), waits.revision), ("scope-upgrade", 1));
        assert_eq!(waits.requested_scopes, ["operator.admin"]);
        assert_eq!(waits.approved_scopes, ["operator.read"]);
        ids.push(waits.id);
        asked.client.gateway().status(v1::StatusRequest {}).await.unwrap();
        let refusal = asked.client.agents().create(notes()).await.unwrap_err();
        assert_eq!(Refusal::from(refusal).kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
        reading = asked;
    }
    let waiting = pending(&gateway).await;
    let [waits] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert!(ids.iter().all(|id| *id == waits.id), "{ids:?}");
    approve(&gateway, waits, &[Scope::Admin]).await;
    // Over the connection that was open all the while; the token from before reads on.
    reading.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    let upgraded = device.prove(&reading.bare, fingerprint, &Attempt::default()).await.unwrap();
    assert_eq!(upgraded.answer.scopes, ["operator.admin"]);
    upgraded.client.agents().create(notes()).await.unwrap();
}

/// Nobody sits beside it: the refused call asks, the client waits, and the next call succeeds.
#[tokio::test]
async fn a_headless_client_waits_for_its_upgrade() {
    let gateway = gateway().await;
    let asking = Options { asks: Asks::Upgrade, wish: Scope::Read.into(), ..Options::default() };
    let refused = client(&gateway, 7, asking).await.unwrap_err();
    assert_eq!(refused.reason(), Some("PAIRING_REQUIRED"));
    approve(&gateway, &pending(&gateway).await[0], &[Scope::Read]).await;

    let options = Options { request_access: true, ..Options::default() };
    let client = client(&gateway, 7, options).await.unwrap();
    let refused = client.agents().create(notes()).await.unwrap_err();
    let refused = openclaw_client::CallError::from(refused);
    assert_eq!(refused.code(), ClientCode::PermissionDenied);
    assert_eq!(refused.missing_scopes(), ["operator.admin"]);
    let id = refused.request_id().unwrap().to_owned();

    let waiting = client.clone();
    let named = id.clone();
    let waiting = background(async move { waiting.wait_upgrade(&named, PATIENCE).await });
    client.gateway().status(v1::StatusRequest {}).await.unwrap();
    let waits = pending(&gateway).await;
    assert_eq!((waits.len(), &waits[0].id), (1, &id));
    approve(&gateway, &waits[0], &[Scope::Admin]).await;
    let decided = soon(waiting).await.unwrap().unwrap();
    assert_eq!(decided.state(), State::Approved);
    client.agents().create(notes()).await.unwrap();

    // Who is turned down learns that as well, and is not worse off.
    let scopes = names(&[Scope::Admin]);
    let upgrade = v1::RequestUpgradeRequest { scopes };
    let refusal = Refusal::from(client.devices().request_upgrade(upgrade).await.unwrap_err());
    assert_eq!(refusal.code, Code::FailedPrecondition, "it has that: {refusal:?}");
}

/// Pinned to `operator.admin`, a wish is a wish: whoever has less gets less, and never silently more.
#[tokio::test]
//= docs/threat-model.md#T31
async fn a_wish_narrows_and_never_widens() {
    let gateway = gateway().await;
    let stranger = Device::new(1);
    let wish = Attempt::wishing(&[Scope::Admin]);
    let refusal = stranger.connect(&gateway, &wish).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"));

    let device = Device::new(2);
    let approved = ScopeSet::of(&[Scope::Write, Scope::Pairing]);
    device.paired(&gateway, &[Scope::Write, Scope::Pairing]).await;
    for scope in Scope::ALL {
        let wish = ScopeSet::from(scope);
        let connected = device.connect(&gateway, &Attempt::wishing(&[scope])).await;
        let carries = connected.unwrap().answer.scopes;
        let expected = approved.attenuate(wish).reduced();
        let expected: Vec<_> = expected.iter().map(|scope| scope.name().to_owned()).collect();
        assert_eq!(carries, expected, "{scope:?}");
    }
    // With a wish for nothing but reading it cannot write, although it was approved for it.
    let narrow = device.connect(&gateway, &Attempt::wishing(&[Scope::Read])).await.unwrap();
    let refusal = ask(&narrow.client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    assert_eq!(pending(&gateway).await, [], "nobody asked for anything");
}

/// It may do nearly everything, and is never taken for somebody else.
#[tokio::test]
async fn an_admin_device_is_not_the_owner() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Admin]).await;
    let id = format!("device:{}", device.id());
    let status = connected.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    assert_eq!(status.into_inner().principal, id);
    ask(&connected.client, request("r", "main", "Hello.")).await.unwrap();
    let own = v1::ListAuditRequest { all: true, ..v1::ListAuditRequest::default() };
    let records = connected.client.audit().list(own).await.unwrap().into_inner().records;
    let run = records.iter().find(|record| record.method == "agent").unwrap();
    assert_eq!((&run.principal, &run.on_behalf_of), (&id, &id));
    assert!(run.cause.starts_with("request:127.0.0.1:"), "{run:?}");

    // What is for the gateway's own work is beyond it, by every rule there is.
    for row in TABLE {
        let method = row.name.to_owned();
        let explain = v1::ExplainRequest { method, ..v1::ExplainRequest::default() };
        let told = connected.client.access().explain(explain).await.unwrap().into_inner();
        for (verdict, case) in told.verdicts.iter().zip(row.cases) {
            let is_for_clients =
                matches!(case.actor, ActorRule::CapabilityOrScope(_) | ActorRule::Never);
            assert_eq!(verdict.allowed, is_for_clients, "{} {verdict:?}", row.name);
            // The one thing that the gateway does itself on a method of clients.
            let is_reaping = (row.name, case.when) == ("sessions.delete", "passing session");
            let is_rpc = matches!(row.surface, Surface::Rpc(_));
            assert!(is_for_clients || !is_rpc || is_reaping, "{}", row.name);
        }
    }
    // And what it may, ends with what was approved for it, which the owner's does not.
    let revoke = v1::RevokeDeviceRequest { device: device.id().to_string(), role: String::new() };
    gateway.owner().await.devices().revoke(revoke).await.unwrap();
    let refusal = connected.client.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(refusal).kind(), (Code::PermissionDenied, "DEVICE_REVOKED"));
    gateway.owner().await.gateway().status(v1::StatusRequest {}).await.unwrap();
}
