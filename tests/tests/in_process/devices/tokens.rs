//! API tokens: bearers of programs, which never pair and hand out nothing, and never outgrow their issuer.

use std::time::Duration;

use openclaw_proto::v1;
use openclaw_scopes::method::{Surface, TABLE, Tokens};
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Log, Refusal, Setup, ask, names, request, soon};
use tonic::Code;

use crate::in_process::calls::call;
use crate::in_process::stage::Stage;
use crate::in_process::world::{World, newest, records, tokens};

fn asking(name: &str, scopes: &[Scope]) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        idempotency_key: format!("key-{name}"),
        name: name.into(),
        scopes: names(scopes),
        ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
    }
}

async fn create(
    client: &Client,
    request: v1::CreateTokenRequest,
) -> Result<v1::CreateTokenResponse, Refusal> {
    let created = client.tokens().create(request).await;
    created.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn status(client: &Client) -> Result<v1::StatusResponse, Refusal> {
    let status = client.gateway().status(v1::StatusRequest {}).await;
    status.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// Not even one that may do everything: over the network, and on the owner's own connection.
#[tokio::test]
//= docs/threat-model.md#T34
async fn a_token_never_pairs() {
    let stage = Stage::new().await;
    let about = stage.about().await;
    let (_, secret) = stage.token(&stage.owner, ScopeSet::ALL).await;
    let world = World::of(&stage.gateway, &stage.owner).await;
    let rows = TABLE.iter().filter(|row| matches!(row.surface, Surface::Rpc(_)));
    let refused = rows.flat_map(|row| row.cases.iter().map(move |case| (row, case)));
    let mut count = 0;
    for (row, case) in refused.filter(|(_, case)| case.tokens == Tokens::Refused) {
        let remote = stage.gateway.dial().await.bearing(&secret);
        for (client, is_local) in [(remote, false), (stage.owner.bearing(&secret), true)] {
            let refusal =
                Refusal::from(call(&client, row.name, case.when, "t", &about).await.unwrap_err());
            // On the socket there is no connection over the network to be renewed or asked on.
            let needs_network = matches!(row.name, "device.renew" | "device.scopes.requestUpgrade");
            let kind = if is_local && needs_network {
                (Code::FailedPrecondition, "")
            } else {
                (Code::PermissionDenied, "NOT_OWNER")
            };
            assert_eq!(refusal.kind(), kind, "{} {refusal:?}", row.name);
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
    // Nor by showing a proof or an invitation beside it: what it shows there is not looked at.
    let bare = stage.gateway.dial().await.bearing(&secret);
    let device = stage.device();
    let refusal = device.prove(&bare, stage.gateway.fingerprint(), &Attempt::default()).await;
    assert_eq!(refusal.unwrap_err().reason, "PAIRING_REQUIRED");
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "a token's attempts");
}

/// Whoever shows a bearer is whom it stands for, or nobody; on the owner's connection as anywhere.
#[tokio::test]
//= docs/threat-model.md#T34
async fn a_bearer_on_the_socket_narrows() {
    let stage = Stage::new().await;
    let (name, secret) = stage.token(&stage.owner, Scope::Read.into()).await;
    for owner in [stage.owner.clone(), stage.gateway.narrowed(&[Scope::Read]).await] {
        assert!(status(&owner).await.unwrap().principal.starts_with("owner:"));
        let program = owner.bearing(&secret);
        let told = status(&program).await.unwrap();
        assert!(told.principal.starts_with("token:"), "{told:?}");
        let refusal = ask(&program, request("r", "main", "Hello.")).await.unwrap_err();
        assert_eq!(refusal.fact("missingScopes"), "operator.write");
        let record = newest(&stage.owner).await;
        assert_eq!((record.principal, record.method.as_str()), (told.principal, "agent"));
        for bad in
            [format!("oct_{}", "A".repeat(43)), format!("oca_{}", "A".repeat(43)), "x".into()]
        {
            let refusal = status(&owner.bearing(&bad)).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
        }
        status(&owner).await.unwrap();
    }
    stage.owner.tokens().revoke(v1::RevokeTokenRequest { token: name }).await.unwrap();
    let refusal = status(&stage.owner.bearing(&secret)).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
}

/// Time ends what goes on under a token as a withdrawal does.
#[tokio::test]
//= docs/threat-model.md#T32
async fn an_expired_token_ends_what_goes_on() {
    let script = "[[reply]]\nmatch = \"\"\ntext = \"a b c\"\nchunks = 3\ndelayMs = 30000\n";
    let gateway = Setup::new().network().script(script).start().await;
    let owner = gateway.owner().await;
    let ttl = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let asked = v1::CreateTokenRequest { ttl, ..asking("brief", &[Scope::Write]) };
    let program = gateway.dial().await.bearing(&create(&owner, asked).await.unwrap().secret);
    let started = program.runs().start(request("r", "main", "Hello.")).await.unwrap();
    let mut events = started.into_inner();
    let status = loop {
        match soon(events.message()).await {
            Ok(Some(_)) => {}
            other => break Refusal::from(other.unwrap_err()),
        }
    };
    assert_eq!(status.kind(), (Code::PermissionDenied, "TOKEN_REVOKED"), "{status:?}");
    let wait = v1::WaitRunRequest { run_id: "r".into(), timeout: None };
    let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
    assert_eq!(run.status(), v1::RunStatus::Aborted);
    let listed = tokens(&owner).await;
    assert_eq!(listed[0].status(), v1::token::Status::Expired, "{listed:?}");
}

/// What goes on under a token ends with it, and what was begun under it.
#[tokio::test]
//= docs/threat-model.md#T32
async fn a_revoked_token_ends_what_goes_on() {
    let script = "[[reply]]\nmatch = \"\"\ntext = \"a b c\"\nchunks = 3\ndelayMs = 30000\n";
    let gateway = Setup::new().network().script(script).start().await;
    let owner = gateway.owner().await;
    let created = create(&owner, asking("bot", &[Scope::Write])).await.unwrap();
    for (number, bare) in [gateway.dial().await, owner.clone()].into_iter().enumerate() {
        let name = format!("bot-{number}");
        let created = create(&owner, asking(&name, &[Scope::Write])).await.unwrap();
        let program = bare.bearing(&created.secret);
        let (run, session) = (format!("r{number}"), format!("explicit:{number}"));
        let started = program.runs().start(request(&run, &session, "Hello.")).await.unwrap();
        let mut events = started.into_inner();
        soon(events.message()).await.unwrap().unwrap();
        let revoke = v1::RevokeTokenRequest { token: name };
        let revoked = owner.tokens().revoke(revoke.clone()).await.unwrap().into_inner();
        assert_eq!(revoked.status(), v1::token::Status::Revoked);
        let status = loop {
            match soon(events.message()).await {
                Ok(Some(_)) => {}
                other => break Refusal::from(other.unwrap_err()),
            }
        };
        assert_eq!(status.kind(), (Code::PermissionDenied, "TOKEN_REVOKED"), "{status:?}");
        let wait = v1::WaitRunRequest { run_id: run, timeout: None };
        let run = soon(owner.runs().wait(wait)).await.unwrap().into_inner();
        assert_eq!(run.status(), v1::RunStatus::Aborted);
        let refusal =
            self::status(&gateway.dial().await.bearing(&created.secret)).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
        // Twice is no mistake, by its id or name; the name is free again, and is then another one's.
        let again = v1::RevokeTokenRequest { token: revoked.id.clone() };
        owner.tokens().revoke(again).await.unwrap();
        let same = owner.tokens().revoke(revoke.clone()).await.unwrap().into_inner();
        assert_eq!(same.id, revoked.id);
        let idempotency_key = format!("again-{number}");
        let asking = asking(&revoke.token, &[Scope::Read]);
        let asking = v1::CreateTokenRequest { idempotency_key, ..asking };
        let next = create(&owner, asking).await.unwrap().token.unwrap();
        let gone = owner.tokens().revoke(revoke).await.unwrap().into_inner();
        assert_eq!(gone.id, next.id);
    }
    status(&gateway.dial().await.bearing(&created.secret)).await.unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn a_token_is_never_more_than_its_issuer() {
    let stage = Stage::new().await;
    let held = ScopeSet::of(&[Scope::Pairing, Scope::Write]);
    let (issuer, connected) = stage.connected(held).await;
    for (scopes, missing) in
        [(Scope::Admin, "operator.admin"), (Scope::Approvals, "operator.approvals")]
    {
        let refusal = create(&connected.client, asking("more", &[scopes])).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");
        assert_eq!(refusal.fact("missingScopes"), missing);
    }
    let (_, writer) = stage.connected(Scope::Write.into()).await;
    let refusal = create(&writer.client, asking("none", &[Scope::Read])).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");

    let (_, secret) = stage.token(&connected.client, Scope::Write.into()).await;
    let program = stage.gateway.dial().await.bearing(&secret);
    ask(&program, request("r1", "main", "Hello.")).await.unwrap();
    let device = issuer.id().to_string();
    let rotate = |scopes: &[Scope]| v1::RotateDeviceRequest {
        device: device.clone(),
        scopes: names(scopes),
        ..v1::RotateDeviceRequest::default()
    };
    let owner = &stage.owner;
    owner.devices().rotate(rotate(&[Scope::Pairing, Scope::Read])).await.unwrap();
    let program = stage.gateway.dial().await.bearing(&secret);
    let refusal = ask(&program, request("r2", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.fact("missingScopes"), "operator.write", "{refusal:?}");
    status(&program).await.unwrap();
    owner.devices().rotate(rotate(&[])).await.unwrap();
    let program = stage.gateway.dial().await.bearing(&secret);
    assert_eq!(status(&program).await.unwrap_err().reason, "MISSING_SCOPE");
    // Given back, it is what it was: the issuer may do that again.
    owner.devices().rotate(rotate(&[Scope::Pairing, Scope::Write])).await.unwrap();
    let program = stage.gateway.dial().await.bearing(&secret);
    ask(&program, request("r3", "main", "Hello.")).await.unwrap();
    let revoke = v1::RevokeDeviceRequest { device, role: String::new() };
    owner.devices().revoke(revoke).await.unwrap();
    let program = stage.gateway.dial().await.bearing(&secret);
    assert_eq!(status(&program).await.unwrap_err().reason, "TOKEN_REVOKED");
    // For good: a new approval of its issuer is no new token.
    let request = stage.asks(&issuer, held).await;
    stage.approve(&request, held).await;
    assert_eq!(status(&program).await.unwrap_err().reason, "TOKEN_REVOKED");
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn a_token_has_one_name_one_secret_and_an_end() {
    let stage = Stage::new().await;
    let owner = &stage.owner;
    let created = create(owner, asking("bot", &[Scope::Read])).await.unwrap();
    let told = created.token.unwrap();
    let bytes = created.secret.strip_prefix("oct_").unwrap();
    assert!(told.id.starts_with("tok_"), "{told:?}");
    assert_eq!((told.name.as_str(), told.issuer.as_str()), ("bot", "owner"));
    let world = World::of(&stage.gateway, owner).await;
    #[rustfmt::skip]
    let refused = [
        // The same again, whose answer was lost: the secret is not told twice.
        (asking("bot", &[Scope::Read]),                                                   Code::AlreadyExists,   ""),
        (v1::CreateTokenRequest { name: "other".into(), ..asking("bot", &[Scope::Read]) }, Code::AlreadyExists,   "IDEMPOTENCY_CONFLICT"),
        (v1::CreateTokenRequest { idempotency_key: "x".into(), ..asking("bot", &[Scope::Read]) }, Code::AlreadyExists, ""),
        (v1::CreateTokenRequest { idempotency_key: "y".into(), ..asking(&told.id, &[Scope::Read]) }, Code::AlreadyExists, ""),
        (v1::CreateTokenRequest { idempotency_key: String::new(), ..asking("a", &[Scope::Read]) }, Code::InvalidArgument, ""),
        (asking("", &[Scope::Read]),                                                      Code::InvalidArgument, ""),
        (asking("A b\u{1b}", &[Scope::Read]),                                             Code::InvalidArgument, ""),
        (asking(&"x".repeat(65), &[Scope::Read]),                                         Code::InvalidArgument, ""),
        (asking("none", &[]),                                                             Code::InvalidArgument, ""),
        (v1::CreateTokenRequest { scopes: vec!["*".into()], ..asking("all", &[]) },       Code::InvalidArgument, ""),
        (v1::CreateTokenRequest { ttl: None, ..asking("ever", &[Scope::Read]) },          Code::InvalidArgument, ""),
    ];
    for (asked, code, reason) in refused {
        let refusal = create(owner, asked.clone()).await.unwrap_err();
        assert_eq!(refusal.kind(), (code, reason), "{asked:?}: {refusal:?}");
        assert!(!format!("{refusal:?}").contains(bytes));
    }
    let year = Duration::from_hours(24 * 366);
    for ttl in [
        Duration::ZERO,
        Duration::from_nanos(999_999),
        year + Duration::from_secs(1),
        Duration::MAX,
    ] {
        let ttl = Some(openclaw_proto::to_duration(ttl));
        let asked = v1::CreateTokenRequest { ttl, ..asking("long", &[Scope::Read]) };
        let refusal = create(owner, asked).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{refusal:?}");
    }
    World::of(&stage.gateway, owner).await.expect_same(&world, "tokens that were not issued");
    let ttl = Some(openclaw_proto::to_duration(year));
    create(owner, v1::CreateTokenRequest { ttl, ..asking("year", &[Scope::Read]) }).await.unwrap();
}

/// Shown once: not in any list, not in what is logged or recorded, nor in any file of the gateway.
#[tokio::test]
//= docs/threat-model.md#T30
async fn a_secret_is_told_once_and_nowhere_else() {
    let (log, _listening) = Log::listen();
    let stage = Stage::new().await;
    let owner = &stage.owner;
    let (_, secret) = stage.token(owner, Scope::Read.into()).await;
    let program = stage.gateway.dial().await.bearing(&secret);
    status(&program).await.unwrap();
    ask(&program, request("r", "main", "Hello.")).await.unwrap_err();
    let (_, connected) = stage.connected(Scope::Read.into()).await;
    status(&connected.client).await.unwrap();
    let made = owner.devices().invite(v1::InviteRequest::default()).await.unwrap().into_inner();
    let invited =
        stage.device().connect(&stage.gateway, &Attempt::invited(&made.code)).await.unwrap();
    let listed = format!(
        "{log:?} {:?} {:?} {:?}",
        tokens(owner).await,
        World::of(&stage.gateway, owner).await,
        records(owner, v1::ListAuditRequest::default()).await
    );
    let access = [&connected.answer.access_token, &invited.answer.access_token];
    let secrets = [&secret, access[0], access[1]].map(|secret| secret.split_once('_').unwrap().1);
    let code: openclaw_pairing::InvitationCode = made.code.parse().unwrap();
    assert!(secrets.iter().all(|secret| !listed.contains(*secret)) && !listed.contains(&made.code));
    let stopped = stage.gateway.stop().await;
    let mut files = vec![stopped.state()];
    let mut looked_at = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        looked_at += 1;
        let has = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
        for secret in &secrets {
            assert!(!has(secret.as_bytes()), "{} has a secret", path.display());
        }
        assert!(!has(&code.secret.0), "{} has an invitation's secret", path.display());
    }
    assert!(looked_at >= 4, "{looked_at}");
}
