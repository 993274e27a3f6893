//! What ends when a device's authority is withdrawn: all of it, at once, and nothing comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{
    Attempt, Behavior, Connected, Device, Provider, Refusal, Setup, request, soon, start,
};
use tokio::task::JoinSet;
use tonic::Code;

use super::revoke;
use crate::in_process::stage::Stage;
use crate::in_process::world::{devices, records, tokens};

/// What was revoked needs a new approval, which begins from nothing.
#[tokio::test]
//= docs/threat-model.md#T32
async fn a_revoked_device_begins_anew() {
    let stage = Stage::new().await;
    let held = ScopeSet::of(&[Scope::Write, Scope::Pairing]);
    let (device, Connected { client, answer, .. }) = stage.connected(held).await;
    let upgrade = v1::RequestUpgradeRequest { scopes: vec!["operator.admin".into()] };
    let waits = client.devices().request_upgrade(upgrade).await.unwrap().into_inner();
    stage.token(&client, Scope::Write.into()).await;
    let create = v1::CreateSessionRequest {
        idempotency_key: "k".into(),
        key: "explicit:its".into(),
        ..Default::default()
    };
    client.sessions().create(create).await.unwrap();
    let revoked = revoke(&stage.owner, device.id().as_str()).await.unwrap();
    assert!(revoked.approved_scopes.is_empty() && revoked.granted_scopes.is_empty(), "{revoked:?}");
    assert_eq!(
        revoke(&stage.owner, device.id().as_str()).await.unwrap(),
        revoked,
        "once is enough"
    );
    let listed = tokens(&stage.owner).await;
    assert!(listed.iter().all(|token| token.status() == v1::token::Status::Revoked), "{listed:?}");
    let named = format!("{}@{}", waits.id, waits.revision);
    let refusal = super::approve(&stage.owner, &named, &[Scope::Admin]).await.unwrap_err();
    assert_eq!(refusal.code, Code::FailedPrecondition, "{refusal:?}");

    for attempt in [Attempt::default(), Attempt::wishing(&[Scope::Read])] {
        let refusal = device.connect(&stage.gateway, &attempt).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"), "{refusal:?}");
    }
    let refusal =
        super::rotate(&stage.owner, device.id().as_str(), &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.reason, "DEVICE_REVOKED", "rotating brings nothing back: {refusal:?}");
    // It may ask, as a stranger.
    let request = stage.asks(&device, Scope::Read.into()).await;
    let asked = devices(&stage.owner).await.pending.remove(0);
    assert_eq!((asked.kind.as_str(), asked.approved_scopes.len()), ("not-paired", 0));
    let refusal = device.connect(&stage.gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.reason, "DEVICE_REVOKED", "asking is nothing: {refusal:?}");
    let approved = stage.approve(&request, Scope::Read.into()).await;
    assert_eq!(approved.approved_scopes, ["operator.read"], "nothing of before");
    assert!(approved.epoch > revoked.epoch, "{approved:?}");
    let again = device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
    assert_eq!(again.answer.scopes, ["operator.read"]);
    let get = v1::GetSessionRequest { key: "explicit:its".into(), ..Default::default() };
    let session = again.client.sessions().get(get).await.unwrap().into_inner();
    assert_eq!(session.owner, format!("device:{}", device.id()), "what it owned is its still");
    // The token of before does not call any more, on whatever connection.
    let old = again.bare.bearing(&answer.access_token);
    let status = old.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(status).reason, "TOKEN_REVOKED");
}

/// Runs that a device had begun, and those that wait for their turn; of nobody else.
#[tokio::test]
//= docs/threat-model.md#T32
async fn runs_of_a_revoked_device_end() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = Setup::new().network().provider(&provider).start().await;
    let (owner, device) = (gateway.owner().await, Device::new(1));
    let client = device.paired(&gateway, &[Scope::Write]).await.client;
    let running = start(&client, request("its-running", "main", "Hello.")).await.unwrap();
    provider.requests(1).await;
    let queued = start(&client, request("its-queued", "main", "Hello.")).await.unwrap();
    let behind = start(&owner, request("behind", "main", "Hello.")).await.unwrap();
    let beside = start(&owner, request("beside", "explicit:b", "Hello.")).await.unwrap();
    provider.requests(2).await;
    revoke(&owner, device.id().as_str()).await.unwrap();
    for events in [running, queued] {
        let refusal = Refusal::from(events.rest().await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"), "{refusal:?}");
    }
    for run in ["its-running", "its-queued"] {
        let wait = v1::WaitRunRequest { run_id: run.into(), timeout: None };
        let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
        assert_eq!(run.status(), v1::RunStatus::Aborted, "{run:?}");
    }
    // Whoever stood behind them has the turn; what went on beside them went on.
    provider.requests(3).await;
    provider.release(3);
    for events in [behind, beside] {
        assert_eq!(events.rest().await.unwrap().status(), v1::RunStatus::Ok);
    }
    assert_eq!(provider.received().len(), 3, "the one in the queue never had its turn");
}

/// A rotation ends what goes on, and the device itself goes on.
#[tokio::test]
//= docs/threat-model.md#T32
async fn a_rotation_ends_open_streams() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = Setup::new().network().provider(&provider).start().await;
    let (owner, device) = (gateway.owner().await, Device::new(1));
    let Connected { client, bare, .. } = device.paired(&gateway, &[Scope::Write]).await;
    let health = openclaw_client::health::HealthCheckRequest::default();
    let mut watched = client.health().watch(health).await.unwrap().into_inner();
    soon(watched.message()).await.unwrap().unwrap();
    let running = start(&client, request("r", "main", "Hello.")).await.unwrap();
    provider.requests(1).await;
    super::rotate(&owner, device.id().as_str(), &[Scope::Write]).await.unwrap();
    for refusal in [
        Refusal::from(running.rest().await.unwrap_err()),
        Refusal::from(soon(watched.message()).await.unwrap_err()),
    ] {
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
    }
    let wait = v1::WaitRunRequest { run_id: "r".into(), timeout: None };
    let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
    assert_eq!(run.status(), v1::RunStatus::Aborted, "what it rested on was replaced");
    provider.release(1);
    let again = device.prove(&bare, gateway.fingerprint(), &Attempt::default()).await.unwrap();
    let events = start(&again.client, request("r2", "main", "Hello.")).await.unwrap();
    provider.release(1);
    assert_eq!(events.rest().await.unwrap().status(), v1::RunStatus::Ok);
}

/// The command for the worst case: everything that was handed out, in one step.
#[tokio::test]
//= docs/threat-model.md#T32
async fn withdrawing_all_ends_everything() {
    let stage = Stage::new().await;
    let (device, Connected { client, .. }) = stage.connected(ScopeSet::ALL).await;
    let (_, secret) = stage.token(&stage.owner, ScopeSet::ALL).await;
    stage.token(&client, ScopeSet::ALL).await;
    let request = stage.asks(&stage.device(), Scope::Read.into()).await;
    let made = client.devices().invite(v1::InviteRequest::default()).await.unwrap().into_inner();
    let (_, Connected { client: writer, .. }) = stage.connected(Scope::Write.into()).await;
    let status = writer.devices().revoke_all(v1::RevokeAllRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(status).fact("missingScopes"), "operator.admin");

    // By a device that may: it is told what was done, and ends with the rest.
    let done = client.devices().revoke_all(v1::RevokeAllRequest {}).await.unwrap().into_inner();
    let counts = (done.devices, done.tokens, done.invitations, done.requests);
    assert_eq!(counts, (3, 2, 1, 1), "the stagehand's device is one");
    let listed = devices(&stage.owner).await;
    assert!(listed.pending.is_empty(), "{listed:?}");
    for known in &listed.devices {
        assert_eq!(known.status(), v1::device::Status::Revoked, "{known:?}");
        assert!(known.approved_scopes.is_empty() && known.granted_scopes.is_empty(), "{known:?}");
    }
    let program = stage.gateway.dial().await.bearing(&secret);
    let status = program.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    assert_eq!(Refusal::from(status).reason, "TOKEN_REVOKED");
    let invited = Attempt::invited(&made.code);
    let refusal = Device::new(9).connect(&stage.gateway, &invited).await.unwrap_err();
    assert_eq!(refusal.message, "the invitation is not good");
    let refusal = super::approve(&stage.owner, &request, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.code, Code::FailedPrecondition, "{refusal:?}");
    let refusal = device.connect(&stage.gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.reason, "DEVICE_REVOKED");
    // The owner has no device to lose, and begins anew; twice there is nothing left to do.
    let again = stage.owner.devices().revoke_all(v1::RevokeAllRequest {}).await.unwrap();
    assert_eq!(again.into_inner(), v1::RevokeAllResponse::default());
    device.paired(&stage.gateway, &[Scope::Read]).await;
}

/// A call that begins after the revocation was answered has no effect, whatever was under way.
#[tokio::test]
//= docs/threat-model.md#T32
async fn nothing_begins_after_a_revocation() {
    let stage = Stage::new().await;
    let (device, Connected { client, .. }) = stage.connected(Scope::Write.into()).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut racing = JoinSet::new();
    for caller in 0..16 {
        let (client, is_over) = (client.clone(), Arc::clone(&is_over));
        racing.spawn(async move {
            let mut done = 0_u32;
            loop {
                let began_late = is_over.load(Ordering::SeqCst);
                let key = format!("explicit:{caller}-{done}");
                let create = v1::CreateSessionRequest {
                    idempotency_key: key.clone(),
                    key,
                    ..v1::CreateSessionRequest::default()
                };
                match client.sessions().create(create).await {
                    Ok(_) if began_late => panic!("it was revoked before this began"),
                    Ok(_) => done += 1,
                    Err(status) => return (done, Refusal::from(status)),
                }
            }
        });
    }
    // In the midst of it.
    let list = v1::ListSessionsRequest::default();
    let busy = async {
        while stage.owner.sessions().list(list.clone()).await.unwrap().into_inner().sessions.len()
            < 40
        {}
    };
    soon(busy).await;
    revoke(&stage.owner, device.id().as_str()).await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    let ended = soon(racing.join_all()).await;
    for (_, refusal) in &ended {
        // Told, or cut off: the connection is closed soon after.
        assert!(refusal.reason == "DEVICE_REVOKED" || refusal.reason.is_empty(), "{refusal:?}");
    }
    let log = records(&stage.owner, v1::ListAuditRequest::default()).await;
    let revoked = log.iter().find(|row| row.method == "device.token.revoke").unwrap();
    let holder = format!("device:{}", device.id());
    let after = log.iter().filter(|row| row.sequence > revoked.sequence);
    let late: Vec<_> = after
        .filter(|row| row.principal == holder && row.decision() == Decision::Allowed)
        .collect();
    assert!(late.is_empty(), "{late:?}");
}
