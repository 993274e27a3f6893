//! The decision log over the wire: listed by whom it concerns, exported, and verified.

use openclaw_proto::v1;
use openclaw_proto::v1::audit_record::Decision;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Client, Refusal, TestGateway, ask, request, soon};
use tonic::Code;

async fn list(client: &Client, request: v1::ListAuditRequest) -> v1::ListAuditResponse {
    client.audit().list(request).await.unwrap().into_inner()
}

async fn export(client: &Client, from_sequence: u64) -> Vec<v1::AuditRecord> {
    let request = v1::ExportAuditRequest { from_sequence };
    let mut stream = client.audit().export(request).await.unwrap().into_inner();
    let mut records = Vec::new();
    while let Some(record) = soon(stream.message()).await.unwrap() {
        records.push(record);
    }
    records
}

async fn verify(client: &Client, head: Option<v1::AuditHead>) -> v1::VerifyAuditResponse {
    let request = v1::VerifyAuditRequest { head };
    client.audit().verify(request).await.unwrap().into_inner()
}

/// A gateway with some decisions of each kind.
async fn prepared() -> (TestGateway, Client) {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for number in 0..6 {
        ask(&owner, request(&format!("r{number}"), "main", "Hello.")).await.unwrap();
    }
    let nobody = gateway.within(ScopeSet::EMPTY).await;
    nobody.gateway().status(v1::StatusRequest {}).await.unwrap_err();
    let main = v1::DeleteAgentRequest { idempotency_key: "k".into(), id: "main".into() };
    owner.agents().delete(main).await.unwrap_err();
    (gateway, owner)
}

#[tokio::test]
async fn the_log_is_listed_newest_first_and_filtered() {
    let (gateway, owner) = prepared().await;
    let all = |filter: v1::ListAuditRequest| v1::ListAuditRequest { all: true, ..filter };
    let whole = list(&owner, all(v1::ListAuditRequest::default())).await.records;
    assert!(whole.windows(2).all(|pair| pair[0].sequence == pair[1].sequence + 1), "{whole:?}");
    assert_eq!(whole.last().unwrap().sequence, 1);

    let mut request = all(v1::ListAuditRequest { page_size: 4, ..Default::default() });
    let mut paged = Vec::new();
    loop {
        let page = list(&owner, request.clone()).await;
        paged.extend(page.records);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, whole);

    let count = async |filter: v1::ListAuditRequest| list(&owner, all(filter)).await.records.len();
    let method =
        |method: &str| v1::ListAuditRequest { method: method.into(), ..Default::default() };
    let decided = |decision: Decision| v1::ListAuditRequest {
        decision: decision.into(),
        ..Default::default()
    };
    let uid = whole.iter().find(|record| record.method == "agent").unwrap().principal.clone();
    assert!(uid.starts_with("owner:"), "{uid}");
    let principal = v1::ListAuditRequest { principal: uid, ..Default::default() };
    assert_eq!(count(method("agent")).await, 6);
    assert_eq!(count(method("status")).await, 1, "reads are recorded when they are refused");
    let unknown = owner.audit().list(all(method("no.such"))).await.unwrap_err();
    assert_eq!(Refusal::from(unknown).reason, "UNKNOWN_METHOD", "that would look like an answer");
    assert_eq!(count(decided(Decision::Denied)).await, 1);
    assert_eq!(count(decided(Decision::Failed)).await, 1);
    assert!(count(principal).await >= 8);

    // Own rows are those of the caller's grant: not what the gateway does for itself.
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let own = list(&reader, v1::ListAuditRequest::default()).await.records;
    assert!(own.iter().all(|record| record.on_behalf_of == "owner"), "{own:?}");
    let others = whole.iter().filter(|record| record.on_behalf_of != "owner").count();
    assert_eq!(own.len() + others, whole.len());
    let refused = reader.audit().list(all(v1::ListAuditRequest::default())).await.unwrap_err();
    assert_eq!(Refusal::from(refused).metadata["missingScopes"], "operator.admin");
    let unknown = v1::ListAuditRequest { decision: 9, ..Default::default() };
    assert_eq!(owner.audit().list(unknown).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_was_exported_is_found_again() {
    let (gateway, owner) = prepared().await;
    let records = export(&owner, 0).await;
    assert!(records.iter().zip(1..).all(|(record, at)| record.sequence == at), "{records:?}");
    let last = records.last().unwrap();
    assert_eq!(last.method, "audit.export", "the export itself is on record");
    let head = v1::AuditHead { sequence: last.sequence, digest: last.digest.clone() };
    let verified = verify(&owner, Some(head.clone())).await;
    assert!(verified.ok && verified.findings.is_empty(), "{verified:?}");
    assert_eq!(verified.head, Some(head.clone()));
    let rest = export(&owner, head.sequence).await;
    assert_eq!((&rest[0], rest.len()), (last, 2), "from the head on, with the new export");

    // More is written, the gateway starts anew: the old head still stands in the chain.
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    ask(&owner, request("later", "main", "Hello.")).await.unwrap();
    let verified = verify(&owner, Some(head.clone())).await;
    assert!(verified.ok, "{verified:?}");
    assert!(verified.checked > head.sequence);
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.audit_head, verified.head, "the status tells the head");

    // A head that never was, one beyond the end, and one that is none.
    let other = v1::AuditHead { digest: "ab".repeat(32), ..head.clone() };
    let verified = verify(&owner, Some(other)).await;
    assert!(!verified.ok && !verified.findings.is_empty(), "{verified:?}");
    let beyond = v1::AuditHead { sequence: 1_000_000, ..head };
    let verified = verify(&owner, Some(beyond)).await;
    assert!(!verified.ok, "{verified:?}");
    for digest in ["", "xyz", "é"] {
        let head = Some(v1::AuditHead { sequence: 1, digest: digest.into() });
        let status = owner.audit().verify(v1::VerifyAuditRequest { head }).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{digest}");
    }
}

#[tokio::test]
async fn a_long_log_is_exported_whole() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut creates = tokio::task::JoinSet::new();
    for number in 0..1100 {
        let mut sessions = owner.sessions();
        let (idempotency_key, key) = (format!("k{number}"), format!("explicit:{number}"));
        let request = v1::CreateSessionRequest { idempotency_key, key, ..Default::default() };
        creates.spawn(async move { sessions.create(request).await.map(drop) });
    }
    assert!(creates.join_all().await.iter().all(Result::is_ok));
    let records = export(&owner, 0).await;
    assert!(records.len() > 1100);
    assert!(records.iter().zip(1..).all(|(record, at)| record.sequence == at));
    assert!(verify(&owner, None).await.ok);
}
