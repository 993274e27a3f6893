//! What is shown of authority and of requests: to whom, with where each part comes from.

use std::sync::Arc;
use std::time::Duration;

use openclaw_proto::v1;
use openclaw_proto::v1::pairing_request::State;
use openclaw_scopes::{
    Caller, Cause, Component, DeviceRole, GrantHolder, PairingId, Scope, ScopeSet, Timestamp,
};
use openclaw_store::{FileRequest, Options, Store};
use openclaw_tests::{Attempt, Client, Connected, Device, Refusal, background, names, soon};
use tonic::Code;

use super::{approve, reject, rotate};
use crate::in_process::stage::Stage;
use crate::in_process::world::devices;

async fn show(client: &Client, principal: &str) -> Result<v1::ShowAccessResponse, Refusal> {
    let request = v1::ShowAccessRequest { principal: principal.into() };
    let shown = client.access().show(request).await;
    shown.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// The parts of somebody's authority: what each is, and what it allows.
fn parts(shown: &v1::ShowAccessResponse) -> Vec<(&str, String)> {
    shown.parts.iter().map(|part| (part.kind.as_str(), part.scopes.join(" "))).collect()
}

#[tokio::test]
async fn access_is_shown_with_its_origins() {
    let stage = Stage::new().await;
    let held = ScopeSet::of(&[Scope::Write, Scope::Pairing]);
    let (device, Connected { bare, .. }) = stage.connected(held).await;
    let (id, owner) = (device.id().to_string(), &stage.owner);
    rotate(owner, &id, &[Scope::Read, Scope::Pairing]).await.unwrap();
    let wish = Attempt::wishing(&[Scope::Read]);
    let narrow = device.prove(&bare, stage.gateway.fingerprint(), &wish).await.unwrap();

    let own = show(&narrow.client, "").await.unwrap();
    assert_eq!(own.principal, format!("device:{id}"));
    assert_eq!(own.effective_scopes, ["operator.read"]);
    let baseline = ("baseline", "operator.pairing operator.write".to_owned());
    let grant = ("grant", "operator.pairing operator.read".to_owned());
    let connection = ("connection", "operator.read".to_owned());
    assert_eq!(parts(&own), [baseline.clone(), grant.clone(), connection]);
    assert!(own.parts[0].origin.starts_with("approved by owner:"), "{own:?}");
    assert!(own.parts[0].origin.contains("through request pr_") && own.parts[0].since.is_some());
    assert!(own.methods.contains(&"status".into()) && !own.methods.contains(&"agent".into()));
    let refusal = show(&narrow.client, "owner").await.unwrap_err();
    assert_eq!(refusal.fact("missingScopes"), "operator.admin");

    // The whole of it, to whoever may see that, however the device is named.
    for name in [id.clone(), format!("device:{id}"), device.beginning(8)] {
        let shown = show(owner, &name).await.unwrap();
        assert_eq!(shown.effective_scopes, ["operator.pairing", "operator.read"]);
        assert_eq!((parts(&shown), shown.epoch), (vec![baseline.clone(), grant.clone()], 2));
        assert!(shown.methods.contains(&"device.pair.approve".into()), "{shown:?}");
    }
    let (name, secret) = stage.token(owner, Scope::Write.into()).await;
    let shown = show(owner, &format!("token:{name}")).await.unwrap();
    assert_eq!(parts(&shown), [("token", "operator.write".to_owned())]);
    assert!(shown.parts[0].origin.contains("on behalf of owner") && shown.parts[0].until.is_some());
    assert!(!shown.methods.iter().any(|method| method.starts_with("tokens.")), "{shown:?}");
    let own = show(&stage.gateway.dial().await.bearing(&secret), "").await.unwrap();
    assert_eq!(
        (own.on_behalf_of.as_str(), own.effective_scopes.len()),
        (shown.principal.as_str(), 1)
    );

    super::revoke(owner, &id).await.unwrap();
    let shown = show(owner, &id).await.unwrap();
    assert_eq!((shown.effective_scopes.len(), shown.epoch, shown.methods.len()), (0, 0, 0));
    assert_eq!(shown.parts[1].origin, "withdrawn");
    for (name, code) in [
        ("device:ffffff", Code::NotFound),
        ("token:none", Code::NotFound),
        ("nobody", Code::InvalidArgument),
        ("run:\u{1b}", Code::InvalidArgument),
    ] {
        assert_eq!(show(owner, name).await.unwrap_err().code, code, "{name}");
    }
    let refusal = show(owner, "token:none").await.unwrap_err();
    let told = (refusal.message.as_str(), refusal.next.as_str());
    assert_eq!(told, ("no token `none`", "openclaw tokens list"));
}

/// What is explained of a device or a token is what would be decided.
#[tokio::test]
async fn a_device_is_explained_to_whoever_manages_it() {
    let stage = Stage::new().await;
    let (device, connected) = stage.connected(Scope::Read.into()).await;
    let (name, _) = stage.token(&stage.owner, ScopeSet::ALL).await;
    let explain = async |client: &Client, method: &str, principal: &str| {
        let (method, principal) = (method.to_owned(), principal.to_owned());
        let request = v1::ExplainRequest { method, principal, target: String::new() };
        client.access().explain(request).await.map(tonic::Response::into_inner)
    };
    let manager = stage.gateway.narrowed(&[Scope::Pairing]).await;
    let id = device.id().to_string();
    #[rustfmt::skip]
    let told: [(&str, &str, bool, &str); 6] = [
        ("status",            &device.beginning(12),  true,  ""),
        ("agent",             &id,                    false, "missing scope: operator.write"),
        ("device.token.rotate", &format!("device:{id}"), true, ""),
        ("tokens.list",       &id,                    false, "missing scope: operator.pairing"),
        ("agents.create",     &format!("token:{name}"), true, ""),
        ("tokens.create",     &format!("token:{name}"), false, "an API token can neither pair nor hand out authority"),
    ];
    for (method, principal, allowed, denial) in told {
        let explained = explain(&manager, method, principal).await.unwrap();
        let verdict = &explained.verdicts[0];
        assert_eq!((verdict.allowed, verdict.denial.as_str()), (allowed, denial), "{explained:?}");
    }
    let own = explain(&connected.client, "agent", "").await.unwrap();
    assert_eq!(
        (own.principal, own.held_scopes),
        (format!("device:{id}"), vec!["operator.read".into()])
    );
    let status = explain(&connected.client, "agent", "owner").await.unwrap_err();
    assert_eq!(Refusal::from(status).fact("missingScopes"), "operator.pairing");
    // Of whoever has no grant any more nothing is allowed, not even what any grant would do for.
    super::revoke(&stage.owner, &id).await.unwrap();
    let (expired, _) = stage.expired_token(ScopeSet::ALL).await;
    for principal in [id, format!("token:{expired}")] {
        for method in ["health", "status", "device.renew"] {
            let explained = explain(&manager, method, &principal).await.unwrap();
            let verdict = &explained.verdicts[0];
            let told = (verdict.allowed, verdict.denial.as_str(), verdict.smallest_grant.len());
            assert_eq!(told, (false, "the grant has ended", 0), "{explained:?}");
        }
        let shown = show(&stage.owner, &principal).await.unwrap();
        assert_eq!((shown.effective_scopes.len(), shown.methods.len()), (0, 0), "{shown:?}");
    }
}

/// Whoever waits is told of the decision, and of nobody else's request.
#[tokio::test]
async fn a_device_waits_for_its_own_request() {
    let stage = Stage::new().await;
    let (_, Connected { client, .. }) = stage.connected(Scope::Read.into()).await;
    let (_, Connected { client: other, .. }) = stage.connected(ScopeSet::ALL).await;
    let upgrade = v1::RequestUpgradeRequest { scopes: names(&[Scope::Write]) };
    let waits = client.devices().request_upgrade(upgrade.clone()).await.unwrap().into_inner();
    assert_eq!(waits.requested_scopes, ["operator.write"]);
    assert_eq!(client.devices().request_upgrade(upgrade).await.unwrap().into_inner(), waits);
    let waiting = |client: &Client, request_id: &str, millis: i32| {
        let timeout = Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
        let request = v1::WaitUpgradeRequest { request_id: request_id.into(), timeout };
        let mut devices = client.devices();
        async move { devices.wait_upgrade(request).await.map(tonic::Response::into_inner) }
    };
    for (client, id, code) in [
        (&other, waits.id.as_str(), Code::NotFound),
        (&stage.owner, &waits.id, Code::NotFound),
        (&client, "pr_none", Code::NotFound),
        (&client, "", Code::InvalidArgument),
        (&client, "\u{1b}", Code::InvalidArgument),
    ] {
        let status = waiting(client, id, 1).await.unwrap_err();
        assert_eq!(status.code(), code, "{id:?} {status:?}");
    }
    assert_eq!(waiting(&client, &waits.id, 1).await.unwrap().state(), State::Pending);
    let waiter = background(waiting(&client, &waits.id, 900));
    reject(&stage.owner, &waits.id).await.unwrap();
    let told = soon(waiter).await.unwrap().unwrap();
    assert_eq!((told.state(), told.granted_scopes.len()), (State::Rejected, 0));
    for scopes in [vec![], vec!["operator.root".to_owned()]] {
        let request = v1::RequestUpgradeRequest { scopes };
        let status = client.devices().request_upgrade(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let held = v1::RequestUpgradeRequest { scopes: names(&[Scope::SessionsRead]) };
    let status = client.devices().request_upgrade(held).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "it has that: {status:?}");
}

/// Files a request as the doorkeeper would have done it `ago`.
async fn file(store: &Store, device: &Device, now: Timestamp, ago: Duration) {
    let epoch = store.epoch(&GrantHolder::Gateway).unwrap().unwrap();
    let doorkeeper = Caller::system(Component::Doorkeeper, Cause::Request, epoch);
    let ask = FileRequest {
        fresh: PairingId::parse(&format!("pr_{}", ago.as_secs())).unwrap(),
        device: device.id(),
        public_key: device.key().public(),
        role: DeviceRole::Operator,
        wish: Scope::Write.into(),
        name: "patient".into(),
        address: "192.0.2.1".into(),
    };
    store.act(&doorkeeper, ask, now.saturating_sub(ago)).await.unwrap();
}

/// A request lives for an hour: then nobody can decide it, whoever waits is told, and it can be made
/// anew.
#[tokio::test]
//= docs/threat-model.md#T29
async fn a_request_lapses() {
    let stage = Stage::new().await;
    let (paired, late, soon_late) =
        (stage.approved(Scope::Read.into()).await, stage.device(), stage.device());
    let told = stage.gateway.dial().await.devices().challenge(v1::ChallengeRequest {}).await;
    let now = openclaw_proto::from_timestamp(&told.unwrap().into_inner().server_time.unwrap());
    let stopped = stage.gateway.stop().await;
    let store = Store::open(&stopped.state(), &Options::new(Arc::new(move || now))).unwrap();
    file(&store, &paired, now, Duration::from_secs(3700)).await;
    file(&store, &late, now, Duration::from_secs(3601)).await;
    file(&store, &soon_late, now, Duration::from_secs(3000)).await;
    store.close();
    let gateway = stopped.start().await;
    let owner = gateway.owner().await;
    let waits = devices(&owner).await.pending;
    let ids: Vec<_> = waits.iter().map(|waits| waits.id.as_str()).collect();
    assert_eq!(ids, ["pr_3000"], "only what has not lapsed can be decided");
    for id in ["pr_3700", "pr_3601"] {
        let named = format!("{id}@1");
        for refusal in [
            approve(&owner, &named, &[Scope::Write]).await.unwrap_err(),
            reject(&owner, &named).await.unwrap_err(),
        ] {
            assert_eq!(
                refusal.kind(),
                (Code::FailedPrecondition, "PAIRING_EXPIRED"),
                "{refusal:?}"
            );
        }
    }
    let connected = paired.connect(&gateway, &Attempt::default()).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.read"]);
    let wait = v1::WaitUpgradeRequest { request_id: "pr_3700".into(), timeout: None };
    let told = soon(connected.client.devices().wait_upgrade(wait)).await.unwrap().into_inner();
    assert_eq!(told.state(), State::Expired);
    // Asking again is another request, and an hour of its own.
    let refusal = late.connect(&gateway, &Attempt::asking(&[Scope::Write])).await.unwrap_err();
    assert_ne!(refusal.fact("requestId"), "pr_3601", "{refusal:?}");
    // Asking for the same does not make one younger.
    let refusal = soon_late.connect(&gateway, &Attempt::asking(&[Scope::Write])).await.unwrap_err();
    assert_eq!(refusal.fact("request"), "pr_3000@1", "{refusal:?}");
    let waits = devices(&owner).await.pending;
    let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().unwrap().seconds;
    assert_eq!(seconds(&waits[0].expires_at) - seconds(&waits[0].created_at), 3600);
    approve(&owner, "pr_3000@1", &[Scope::Read]).await.unwrap();
    soon_late.connect(&gateway, &Attempt::default()).await.unwrap();
}
