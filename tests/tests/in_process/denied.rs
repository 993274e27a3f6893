//! What the policy refuses is refused on every route, told, recorded once, and has no effect.

use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Client, Refusal, TestGateway, ask, request};
use tonic::Code;

use super::calls::{call, touched};
use super::policy::{is_absent, is_idle, is_of_devices, is_there, lacks, lines};
use super::stage::Stage;
use super::world::{World, newest, records};

/// No scope, each scope alone, and all ten.
fn grants() -> Vec<ScopeSet> {
    let mut grants = vec![ScopeSet::EMPTY];
    grants.extend(Scope::ALL.map(ScopeSet::from));
    grants.push(ScopeSet::ALL);
    grants
}

async fn prepared() -> (TestGateway, Client) {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("kept", "main", "Hello.")).await.unwrap();
    (gateway, owner)
}

//= docs/threat-model.md#T19
#[tokio::test]
async fn denied_means_untouched() {
    let stage = Stage::new().await;
    let Stage { gateway, owner, .. } = &stage;
    let about = stage.about().await;
    let world = World::of(gateway, owner).await;
    let mut seen = newest(owner).await.sequence;
    let (mut refused, mut passed) = (0, 0);
    for grant in grants() {
        let client = gateway.within(grant).await;
        for (row, case) in lines().filter(|(row, case)| !is_of_devices(row, case)) {
            let lacking = lacks(grant, case, touched(row.name, case.when));
            let Some((reason, missing)) = lacking else {
                passed += 1;
                continue;
            };
            let place = format!("{} on `{}` with {grant:?}", row.name, case.when);
            let called = call(&client, row.name, case.when, "denied", &about).await;
            let refusal = Refusal::from(called.expect_err(&place));
            assert_eq!(refusal.kind(), (Code::PermissionDenied, reason), "{place}");
            assert_eq!(refusal.message, format!("missing scope: {missing}"), "{place}");
            assert_eq!(refusal.fact("missingScopes"), missing.to_string(), "{place}");
            assert_eq!(refusal.fact("grant"), missing.reduced().to_string(), "{place}");
            assert_eq!(refusal.next, format!("openclaw access explain {}", row.name), "{place}");

            let record = newest(owner).await;
            assert_eq!(record.sequence, seen + 1, "one record a refusal: {place}");
            seen = record.sequence;
            assert_eq!(record.decision(), Decision::Denied, "{place}");
            assert_eq!((record.method.as_str(), record.count), (row.name, 1), "{place}");
            assert_eq!(record.reason, refusal.message, "{place}");
            assert_eq!(record.on_behalf_of, "owner", "{place}");
            refused += 1;
        }
        World::of(gateway, owner).await.expect_same(&world, &format!("{grant:?}"));
    }
    assert!(refused > 300 && passed > 100, "{refused} {passed}");
}

#[tokio::test]
async fn what_the_policy_allows_passes() {
    let stage = Stage::new().await;
    let Stage { gateway, owner, .. } = &stage;
    let about = stage.about().await;
    for (number, grant) in grants().into_iter().enumerate() {
        let client = gateway.within(grant).await;
        for (row, case) in lines().filter(|(row, case)| !is_of_devices(row, case)) {
            let is_last = row.name == "device.revokeAll";
            if is_last || lacks(grant, case, touched(row.name, case.when)).is_some() {
                continue;
            }
            let tag = format!("{number}");
            if row.name == "agents.delete" {
                let id = format!("spare-{tag}");
                let idempotency_key = format!("spare-{tag}");
                let spare = v1::CreateAgentRequest { idempotency_key, id, ..Default::default() };
                owner.agents().create(spare).await.unwrap();
            }
            let about = stage.renewed(&about, row.name).await;
            let called = call(&client, row.name, case.when, &tag, &about).await;
            let is_as_said = match called {
                Ok(()) => !is_idle(row) && !is_absent(row) && !is_there(row),
                Err(ref status) if is_absent(row) => status.code() == Code::NotFound,
                Err(ref status) if is_there(row) => status.code() == Code::AlreadyExists,
                Err(ref status) => is_idle(row) && status.code() == Code::FailedPrecondition,
            };
            assert!(is_as_said, "{} on `{}` with {grant:?}: {called:?}", row.name, case.when);
        }
    }
    for grant in [Scope::Admin.into(), ScopeSet::ALL] {
        let client = gateway.within(grant).await;
        call(&client, "device.revokeAll", "", "", &about).await.unwrap();
    }
    let log = records(owner, v1::ListAuditRequest::default()).await;
    let refused = log.iter().filter(|record| record.decision() != Decision::Allowed);
    // The devices of the stage knock before they are approved; nobody else was refused.
    let is_idle = |reason: &str| {
        [
            "delivery-settled",
            "job-idle",
            "not-changed",
            "not-paired",
            "unknown-person",
            "nothing-to-hand-over",
            "unknown-approval",
        ]
        .contains(&reason)
    };
    let refused: Vec<_> = refused.filter(|record| !is_idle(&record.reason)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// What a device does for itself is nothing that the owner could do: there is no such device.
#[tokio::test]
async fn the_owner_is_no_device() {
    let stage = Stage::new().await;
    let about = stage.about().await;
    #[rustfmt::skip]
    let methods = [
        ("device.renew",                 "",           Code::FailedPrecondition),
        ("device.scopes.requestUpgrade", "",           Code::FailedPrecondition),
        ("device.scopes.waitUpgrade",    "",           Code::NotFound),
        ("device.pair.list",             "own device", Code::FailedPrecondition),
    ];
    for (name, when, code) in methods {
        let status = call(&stage.owner, name, when, "", &about).await.unwrap_err();
        assert_eq!(status.code(), code, "{name}: {status:?}");
    }
}

/// Whether a thing exists is no matter for whoever may not ask: what is there and what is not are
/// refused alike, and both refusals are recorded.
#[tokio::test]
async fn refusals_do_not_tell_what_exists() {
    let (gateway, owner) = prepared().await;
    let before = newest(&owner).await.sequence;
    let nobody = gateway.within(ScopeSet::EMPTY).await;
    let mut wrong = Vec::new();
    let mut calls = 0;
    let mut check = |what: &str, answer: Result<(), tonic::Status>| {
        calls += 1;
        match answer {
            Err(status) if status.code() == Code::PermissionDenied => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    };
    for run_id in ["kept", "no-such-run"] {
        let abort = v1::AbortRunRequest { run_id: run_id.into() };
        check(&format!("abort {run_id}"), nobody.runs().abort(abort).await.map(drop));
        let wait = v1::WaitRunRequest { run_id: run_id.into(), timeout: None };
        check(&format!("wait {run_id}"), nobody.runs().wait(wait).await.map(drop));
    }
    for key in ["main", "explicit:no-such-session"] {
        let get = v1::GetSessionRequest { key: key.into(), ..Default::default() };
        check(&format!("get {key}"), nobody.sessions().get(get).await.map(drop));
        let history = v1::SessionHistoryRequest { key: key.into(), ..Default::default() };
        check(&format!("history {key}"), nobody.sessions().history(history).await.map(drop));
    }
    for id in ["main", "no-such-agent"] {
        let get = v1::GetAgentRequest { id: id.into(), include_prompt: true };
        check(&format!("get agent {id}"), nobody.agents().get(get).await.map(drop));
        let start = v1::StartRunRequest { agent_id: id.into(), ..request("x", "", "Hello.") };
        check(&format!("start {id}"), nobody.runs().start(start).await.map(drop));
        let (agent_id, idempotency_key) = (id.to_owned(), "x".to_owned());
        let (key, label) = ("main".to_owned(), String::new());
        let create = v1::CreateSessionRequest { idempotency_key, key, agent_id, label };
        check(&format!("create session of {id}"), nobody.sessions().create(create).await.map(drop));
        let delete = v1::DeleteAgentRequest { idempotency_key: "x".into(), id: id.into() };
        check(&format!("delete {id}"), nobody.agents().delete(delete).await.map(drop));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(newest(&owner).await.sequence, before + calls);
}

/// The first twenty equal refusals of a minute stand singly; the others are one row.
//= docs/threat-model.md#T21
#[tokio::test]
async fn a_flood_of_refusals_is_counted() {
    let (gateway, owner) = prepared().await;
    let before = newest(&owner).await.sequence;
    let nobody = gateway.within(ScopeSet::EMPTY).await;
    for _ in 0..50 {
        let status = nobody.gateway().status(v1::StatusRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    assert_eq!(newest(&owner).await.sequence, before + 20);
    // The row of the rest is written when the gateway stops, at the latest.
    let gateway = gateway.restart().await;
    let log = records(&gateway.owner().await, v1::ListAuditRequest::default()).await;
    let denied: Vec<_> = log.iter().filter(|row| row.decision() == Decision::Denied).collect();
    assert_eq!((denied.len(), denied.iter().map(|row| row.count).sum::<u64>()), (21, 50));
}
