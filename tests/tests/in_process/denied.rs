//! What the policy refuses is refused on every route, told, recorded once, and has no effect.

use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::method::{Case, Row, Surface, TABLE};
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Client, Refusal, TestGateway, ask, request};
use tonic::Code;

use super::calls::call;

/// No scope, each scope alone, and all ten.
fn grants() -> Vec<ScopeSet> {
    let mut grants = vec![ScopeSet::EMPTY];
    grants.extend(Scope::ALL.map(ScopeSet::from));
    grants.push(ScopeSet::ALL);
    grants
}

/// Every line of the policy that clients can reach.
fn lines() -> impl Iterator<Item = (&'static Row, &'static Case)> {
    let rows = TABLE.iter().filter(|row| matches!(row.surface, Surface::Rpc(_)));
    rows.flat_map(|row| row.cases.iter().map(move |case| (*row, case)))
}

/// The scope that a grant lacks for a line; `None` when the line lets it pass.
fn lacks(grant: ScopeSet, case: &Case) -> Option<Scope> {
    case.requires.scope().filter(|scope| !grant.satisfies(*scope))
}

/// Everything but the audit log, as the owner sees it.
#[derive(Debug, PartialEq)]
struct World {
    agents: Vec<v1::Agent>,
    config: String,
    effective: String,
    history: Vec<v1::HistoryEntry>,
    runs: Vec<v1::Run>,
    sessions: Vec<v1::Session>,
}

impl World {
    async fn of(gateway: &TestGateway, owner: &Client) -> Self {
        let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
        Self {
            agents: owner
                .agents()
                .list(v1::ListAgentsRequest {})
                .await
                .unwrap()
                .into_inner()
                .agents,
            config: gateway.config_text(),
            effective: {
                let got = owner.gateway().get_config(v1::GetConfigRequest {}).await.unwrap();
                got.into_inner().toml
            },
            history: owner.sessions().history(history).await.unwrap().into_inner().entries,
            runs: owner
                .runs()
                .list(v1::ListRunsRequest::default())
                .await
                .unwrap()
                .into_inner()
                .runs,
            sessions: {
                let listed =
                    owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
                listed.into_inner().sessions
            },
        }
    }
}

/// The newest records of the audit log, the newest first.
async fn records(owner: &Client) -> Vec<v1::AuditRecord> {
    let request = v1::ListAuditRequest { all: true, page_size: 1000, ..Default::default() };
    owner.audit().list(request).await.unwrap().into_inner().records
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
    let (gateway, owner) = prepared().await;
    let world = World::of(&gateway, &owner).await;
    let mut seen = records(&owner).await.len();
    let (mut refused, mut passed) = (0, 0);
    for grant in grants() {
        let client = gateway.within(grant).await;
        for (row, case) in lines() {
            let Some(missing) = lacks(grant, case) else {
                passed += 1;
                continue;
            };
            let place = format!("{} on `{}` with {grant:?}", row.name, case.when);
            let status = call(&client, row.name, case.when, "denied").await.expect_err(&place);
            let refusal = Refusal::from(status);
            assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{place}");
            assert_eq!(refusal.message, format!("missing scope: {missing}"), "{place}");
            assert_eq!(refusal.metadata["missingScopes"], missing.name(), "{place}");
            assert_eq!(refusal.metadata["grant"], missing.name(), "{place}");
            assert_eq!(refusal.next, format!("openclaw access explain {}", row.name), "{place}");

            let log = records(&owner).await;
            assert_eq!(log.len(), seen + 1, "one record a refusal: {place}");
            seen = log.len();
            let record = &log[0];
            assert_eq!(record.decision(), Decision::Denied, "{place}");
            assert_eq!((record.method.as_str(), record.count), (row.name, 1), "{place}");
            assert_eq!(record.reason, refusal.message, "{place}");
            assert_eq!(record.on_behalf_of, "owner", "{place}");
            refused += 1;
        }
        assert_eq!(World::of(&gateway, &owner).await, world, "{grant:?}");
    }
    assert!(refused > 150 && passed > 80, "{refused} {passed}");
}

#[tokio::test]
async fn what_the_policy_allows_passes() {
    let (gateway, owner) = prepared().await;
    for (number, grant) in grants().into_iter().enumerate() {
        let client = gateway.within(grant).await;
        for (row, case) in lines().filter(|(_, case)| lacks(grant, case).is_none()) {
            let tag = format!("{number}");
            if row.name == "agents.delete" {
                let id = format!("spare-{tag}");
                let idempotency_key = format!("spare-{tag}");
                let spare = v1::CreateAgentRequest { idempotency_key, id, ..Default::default() };
                owner.agents().create(spare).await.unwrap();
            }
            let called = call(&client, row.name, case.when, &tag).await;
            assert!(called.is_ok(), "{} on `{}` with {grant:?}: {called:?}", row.name, case.when);
        }
    }
    let log = records(&owner).await;
    assert!(log.iter().all(|record| record.decision() == Decision::Allowed), "{log:?}");
}

/// Whether a thing exists is no matter for whoever may not ask: what is there and what is not are
/// refused alike, and both refusals are recorded.
#[tokio::test]
async fn refusals_do_not_tell_what_exists() {
    let (gateway, owner) = prepared().await;
    let before = records(&owner).await.len();
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
    assert_eq!(records(&owner).await.len(), before + calls);
}

/// The first twenty equal refusals of a minute stand singly; the others are one row.
//= docs/threat-model.md#T21
#[tokio::test]
async fn a_flood_of_refusals_is_counted() {
    let (gateway, owner) = prepared().await;
    let before = records(&owner).await.len();
    let nobody = gateway.within(ScopeSet::EMPTY).await;
    for _ in 0..50 {
        let status = nobody.gateway().status(v1::StatusRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    assert_eq!(records(&owner).await.len(), before + 20);
    // The row of the rest is written when the gateway stops, at the latest.
    let gateway = gateway.restart().await;
    let log = records(&gateway.owner().await).await;
    let denied: Vec<_> = log.iter().filter(|row| row.decision() == Decision::Denied).collect();
    assert_eq!((denied.len(), denied.iter().map(|row| row.count).sum::<u64>()), (21, 50));
}
