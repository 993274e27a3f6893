//! `access explain`: what a method needs, what is held, what is missing.

use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_scopes::method::{ActorRule, Surface, TABLE};
use openclaw_tests::{Client, Refusal, TestGateway, ask, request};
use tonic::Code;

async fn explain(
    client: &Client,
    method: &str,
    principal: &str,
    target: &str,
) -> Result<v1::ExplainResponse, Refusal> {
    let (method, principal, target) = (method.into(), principal.into(), target.into());
    let answer = client.access().explain(v1::ExplainRequest { method, principal, target }).await;
    answer.map(tonic::Response::into_inner).map_err(Refusal::from)
}

#[tokio::test]
async fn one_learns_what_one_lacks() {
    let gateway = TestGateway::start().await;
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let told = explain(&reader, "agent", "", "").await.unwrap();
    assert_eq!((told.method.as_str(), told.path.as_str()), ("agent", "/openclaw.v1.Runs/Start"));
    assert!(told.principal.starts_with("owner:") && told.on_behalf_of == "owner", "{told:?}");
    assert_eq!(told.held_scopes, ["operator.read"]);
    let [verdict] = told.verdicts.as_slice() else { panic!("{told:?}") };
    assert_eq!((verdict.allowed, verdict.requires.as_str()), (false, "operator.write"));
    assert_eq!(verdict.denial, "missing scope: operator.write");
    assert_eq!(verdict.smallest_grant, ["operator.write"]);
    assert_eq!(explain(&reader, "/openclaw.v1.Runs/Start", "", "").await.unwrap(), told);

    let both = explain(&reader, "audit.list", "", "").await.unwrap().verdicts;
    let both: Vec<_> = both.iter().map(|line| (line.when.as_str(), line.allowed)).collect();
    assert_eq!(both, [("own rows", true), ("all rows", false)]);
    let one = explain(&reader, "audit.list", "", "all rows").await.unwrap().verdicts;
    assert_eq!(one.len(), 1);
}

/// What is explained is what is done: every line, for the owner and for somebody with less.
#[tokio::test]
async fn the_explanation_is_the_policy() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for row in TABLE {
        let told = explain(&owner, row.name, "", "").await.unwrap();
        assert_eq!(told.verdicts.len(), row.cases.len(), "{}", row.name);
        for (verdict, case) in told.verdicts.iter().zip(row.cases) {
            // What the gateway does itself on a method of clients, the owner does not.
            let is_internal = !matches!(row.surface, Surface::Event | Surface::Rpc(_))
                || matches!(case.actor, ActorRule::Capability(_) | ActorRule::Nobody);
            assert_eq!(verdict.allowed, !is_internal, "{} {verdict:?}", row.name);
        }
        let has_no_path = matches!(row.surface, Surface::Event | Surface::Internal);
        assert_eq!(told.path.is_empty(), has_no_path);
    }
}

#[tokio::test]
async fn others_are_explained_to_whoever_manages_them() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    ask(&gateway.narrowed(&[Scope::Write]).await, request("r", "main", "Hello.")).await.unwrap();
    let run = explain(&owner, "tools.invoke", "run:r", "").await.unwrap();
    assert_eq!((run.principal.as_str(), run.on_behalf_of.as_str()), ("run:r", "owner"));
    assert!(run.held_capabilities.contains(&"files:read".to_owned()), "{run:?}");
    assert_eq!(run.never_delegated, ["cron:own", "exec:unsandboxed"]);
    let writes = run.verdicts.iter().find(|verdict| verdict.when == "files:write").unwrap();
    assert!(writes.allowed, "{writes:?}");
    let run = explain(&owner, "sessions.create", "run:r", "").await.unwrap();
    assert!(!run.verdicts[0].allowed && run.verdicts[0].internal == "never", "{run:?}");

    for (name, capability) in [("recovery", "runs:recover"), ("retention", "audit:seal")] {
        let system = explain(&owner, "status", &format!("system:{name}"), "").await.unwrap();
        assert_eq!(system.held_capabilities, [capability]);
        assert_eq!((system.on_behalf_of.as_str(), system.held_scopes.len()), ("gateway", 0));
        assert!(!system.verdicts[0].allowed);
        assert!(system.verdicts[0].smallest_grant.is_empty(), "no scope would help");
    }
    let recovers = explain(&owner, "runs.recover", "system:recovery", "").await.unwrap();
    assert!(recovers.verdicts[0].allowed);
    assert!(explain(&owner, "status", "owner", "").await.unwrap().verdicts[0].allowed);

    let manager = gateway.narrowed(&[Scope::Pairing]).await;
    assert!(explain(&manager, "status", "owner", "").await.is_ok());
    let lacks = |refusal: &Refusal| refusal.metadata["missingScopes"].clone();
    assert_eq!(lacks(&explain(&manager, "status", "", "").await.unwrap_err()), "operator.read");
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let refusal = explain(&reader, "status", "owner", "").await.unwrap_err();
    assert_eq!(lacks(&refusal), "operator.pairing");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for method in ["", "no.such", "agent ", "\u{1b}[31mred", &"x".repeat(10_000)] {
        let refusal = explain(&owner, method, "", "").await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::InvalidArgument, "UNKNOWN_METHOD"), "{method:?}");
        assert!(refusal.message.len() < 200 && !refusal.message.contains('\u{1b}'), "{refusal:?}");
    }
    for principal in
        ["nobody", "system:nobody", "run:nobody", "run:", "owner:0", "\n", &"p".repeat(10_000)]
    {
        let refusal = explain(&owner, "status", principal, "").await.unwrap_err();
        assert_eq!(refusal.code, Code::NotFound, "{principal:?}");
        assert!(refusal.message.len() < 200 && !refusal.next.is_empty(), "{refusal:?}");
    }
    let refusal = explain(&owner, "audit.list", "", "some rows").await.unwrap_err();
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert!(refusal.message.contains("own rows"), "{refusal:?}");
}
