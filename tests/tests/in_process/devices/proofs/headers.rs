//! What a client says of itself beside its proof, and bearers that are not its own.

use openclaw_proto::v1;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Refusal, ask, request};
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{World, devices, newest};

/// What proxies, private networks and the original's clients say; none of it is read.
#[rustfmt::skip]
const SAID: [(&str, &str); 18] = [
    ("cookie",                    "openclaw-session=owner"),
    ("forwarded",                 "for=10.0.0.1;proto=https;by=127.0.0.1"),
    ("openclaw-client",           "gateway-client"),
    ("openclaw-identity",         "owner"),
    ("origin",                    "http://localhost:18789"),
    ("sec-fetch-site",            "same-origin"),
    ("tailscale-user-login",      "owner@example.org"),
    ("x-client-id",               "openclaw-control-ui"),
    ("x-forwarded-for",           "10.0.0.1"),
    ("x-forwarded-user",          "owner"),
    ("x-openclaw-device-id",      "0000000000000000000000000000000000000000000000000000000000000000"),
    ("x-openclaw-password",       "hunter2"),
    ("x-openclaw-role",           "owner"),
    ("x-openclaw-scopes",         "operator.admin,operator.pairing,operator.write"),
    ("x-openclaw-token",          "secret"),
    ("x-openclaw-trusted-proxy",  "1"),
    ("x-real-ip",                 "10.0.0.1"),
    ("x-remote-user",             "owner"),
];

fn saying(client: &Client) -> Client {
    SAID.iter().fold(client.clone(), |client, (name, value)| client.with(name, value))
}

async fn status(client: &Client) -> Result<v1::StatusResponse, Refusal> {
    let status = client.gateway().status(v1::StatusRequest {}).await;
    status.map(tonic::Response::into_inner).map_err(Refusal::from)
}

#[tokio::test]
//= docs/threat-model.md#T35
async fn headers_change_nothing() {
    let stage = Stage::new().await;
    let seen = stage.gateway.fingerprint();
    let bare = saying(&stage.gateway.dial().await);
    let refusal = status(&bare).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
    let stranger = stage.device().called("gateway-client");
    let refusal = stranger.prove(&bare, seen, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"), "{refusal:?}");
    assert!(devices(&stage.owner).await.pending.is_empty(), "and it had asked for nothing");
    let asks = Attempt::asking(&[Scope::Read]);
    stranger.prove(&bare, seen, &asks).await.unwrap_err();
    let waits = devices(&stage.owner).await.pending.remove(0);
    assert_eq!((waits.address.as_str(), waits.kind.as_str()), ("127.0.0.1", "not-paired"));

    let device = stage.approved(Scope::Read.into()).await;
    let connected = device.prove(&bare, seen, &Attempt::default()).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.read"]);
    let told = status(&connected.client).await.unwrap();
    assert_eq!(told.principal, format!("device:{}", device.id()));
    let refusal = ask(&connected.client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.fact("missingScopes"), "operator.write");
    let record = newest(&stage.owner).await;
    assert!(
        record.cause.contains("127.0.0.1:") && !record.cause.contains("10.0.0.1"),
        "{record:?}"
    );
    let known = devices(&stage.owner).await.devices;
    let known = known.iter().find(|known| known.id == device.id().to_string()).unwrap();
    assert!(known.last_address.starts_with("127.0.0.1:"), "{known:?}");
    // The owner's own connection is none the narrower or wider for it.
    assert!(status(&saying(&stage.owner)).await.unwrap().principal.starts_with("owner:"));
    let reader = saying(&stage.gateway.narrowed(&[Scope::Read]).await);
    let refusal = ask(&reader, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.reason, "MISSING_SCOPE");
}

/// Which of two bearers counts must not be a matter of order; and there is one way to write one.
#[tokio::test]
//= docs/threat-model.md#T30
async fn a_request_shows_one_bearer_in_one_form() {
    let stage = Stage::new().await;
    let (_, connected) = stage.connected(ScopeSet::ALL).await;
    let (_, secret) = stage.token(&stage.owner, ScopeSet::ALL).await;
    let access = connected.answer.access_token.as_str();
    let bytes = secret.strip_prefix("oct_").unwrap();
    let world = World::of(&stage.gateway, &stage.owner).await;
    for bare in [connected.bare.clone(), stage.gateway.dial().await, stage.owner.clone()] {
        #[rustfmt::skip]
        let shown = [
            bare.bearing(access).bearing(access),
            bare.bearing(access).bearing(&secret),
            bare.bearing(&secret).bearing(&secret),
            bare.bearing(&secret).bearing("nonsense"),
            bare.bearing("nonsense").bearing(&secret),
            bare.with("authorization", &secret),
            bare.with("authorization", &format!("Basic {secret}")),
            bare.with("authorization", &format!("bearer {secret}")),
            bare.with("authorization", &format!("Bearer  {secret}")),
            bare.with("authorization", &format!("Bearer {secret}, Bearer {secret}")),
            bare.with("authorization", &format!("Bearer {secret}x")),
            bare.with("authorization", &format!("Bearer {bytes}")),
            bare.with("authorization", "Bearer"),
            bare.with("authorization", ""),
        ];
        for client in shown {
            let refusal = status(&client).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
            assert!(!format!("{refusal:?}").contains(bytes), "{refusal:?}");
        }
    }
    World::of(&stage.gateway, &stage.owner).await.expect_same(&world, "bearers that are none");
    status(&connected.client).await.unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn an_access_token_is_good_on_its_connection_only() {
    let stage = Stage::new().await;
    let (device, here) = stage.connected(ScopeSet::ALL).await;
    let there = device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
    let token = &here.answer.access_token.clone();
    status(&here.client).await.unwrap();
    for bare in [there.bare.clone(), stage.gateway.dial().await, stage.owner.clone()] {
        let refusal = status(&bare.bearing(token)).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"), "{refusal:?}");
    }
    // A renewed one is another one; the former goes on beside it, and ends with the one after.
    let renew = async |client: &Client| {
        client.devices().renew(v1::RenewRequest {}).await.unwrap().into_inner().access_token
    };
    let second = here.bare.bearing(&renew(&here.client).await);
    status(&here.client).await.unwrap();
    let third = here.bare.bearing(&renew(&second).await);
    assert_eq!(status(&here.client).await.unwrap_err().reason, "TOKEN_REVOKED");
    status(&second).await.unwrap();
    status(&third).await.unwrap();
    // It ends with its connection.
    drop((here, second, third));
    let refusal = status(&there.bare.bearing(token)).await.unwrap_err();
    assert_eq!(refusal.reason, "TOKEN_REVOKED");
}
