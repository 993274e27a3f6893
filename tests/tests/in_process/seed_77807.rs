//! Report #77807: a token that holds all scopes, a rotation that is denied, and a scope that is not seen.

mod spawn;

use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_tests::{
    Attempt, Client, Connected, Device, Refusal, Setup, TestGateway, ask, names, request, soon,
};
use tonic::Code;

/// The full scopes of the report, as it lists them.
const SIX: [Scope; 6] =
    [Scope::Admin, Scope::Approvals, Scope::Pairing, Scope::Read, Scope::TalkSecrets, Scope::Write];

async fn gateway() -> TestGateway {
    Setup::new().network().start().await
}

async fn rotate(client: &Client, device: &Device, scopes: &[Scope]) -> Result<v1::Device, Refusal> {
    let rotate = v1::RotateDeviceRequest {
        device: device.id().to_string(),
        role: "operator".into(),
        scopes: names(scopes),
        keep: false,
    };
    let answer = client.devices().rotate(rotate).await;
    answer.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn status(connected: &Connected) -> Result<v1::StatusResponse, Refusal> {
    let answer = connected.client.gateway().status(v1::StatusRequest {}).await;
    answer.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// By the owner, by another device that holds the six, and by the device itself; in any order.
#[tokio::test]
async fn the_rotate_command_with_all_six_scopes() {
    let gateway = gateway().await;
    let (device, manager) = (Device::new(1), Device::new(2));
    device.paired(&gateway, &SIX).await;
    let managing = manager.paired(&gateway, &SIX).await;
    let mut backwards = SIX;
    backwards.reverse();
    let owner = gateway.owner().await;
    for (client, scopes) in [(&owner, SIX), (&owner, backwards), (&managing.client, SIX)] {
        let rotated = rotate(client, &device, &scopes).await.unwrap();
        assert_eq!(rotated.granted_scopes, ["operator.admin"], "the shortest form of the six");
        assert_eq!(rotated.approved_scopes, ["operator.admin"]);
    }
    let own = device.connect(&gateway, &Attempt::default()).await.unwrap();
    let rotated = rotate(&own.client, &device, &SIX).await.unwrap();
    assert_eq!(rotated.granted_scopes, ["operator.admin"]);
    assert_eq!(status(&own).await.unwrap_err().reason, "TOKEN_REVOKED", "its own token, too");
    let again = device.connect(&gateway, &Attempt::wishing(&SIX)).await.unwrap();
    assert_eq!(again.answer.scopes, ["operator.admin"]);
    status(&again).await.unwrap();
    // Without `operator.admin`, the shortest form of the rest.
    let rotated = rotate(&owner, &device, &SIX[1..]).await.unwrap();
    let shortest =
        ["operator.approvals", "operator.pairing", "operator.talk.secrets", "operator.write"];
    assert_eq!(rotated.granted_scopes, shortest);
}

/// "device token rotation denied" is not all that one is told, whether one hands out too much, takes away
/// too much, or may not do it at all.
#[tokio::test]
async fn a_refused_rotation_says_what_is_missing() {
    let gateway = gateway().await;
    let (device, weak) = (Device::new(1), Device::new(2));
    let before = device.paired(&gateway, &SIX).await;
    let pairing = weak.paired(&gateway, &[Scope::Pairing]).await;
    let refusal = rotate(&pairing.client, &device, &SIX).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");
    assert_eq!(refusal.message, "missing scope: operator.admin");
    assert_eq!(refusal.fact("missingScopes"), "operator.admin", "which implies the others");
    assert_eq!(refusal.fact("grant"), "operator.admin");
    assert_eq!(refusal.next, "openclaw access explain device.token.rotate");
    // Less is not better: it would take away what it does not hold.
    let refusal = rotate(&pairing.client, &device, &[]).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "APPROVER_TOO_NARROW"), "{refusal:?}");

    // Where nothing implies the others, each is named.
    let broad = Device::new(5);
    broad.paired(&gateway, &SIX[1..]).await;
    let refusal = rotate(&pairing.client, &broad, &[Scope::Pairing]).await.unwrap_err();
    let missing = "operator.approvals operator.talk.secrets operator.write";
    assert_eq!(refusal.fact("missingScopes"), missing, "{refusal:?}");
    assert_eq!(refusal.fact("grant"), missing);

    let (writer, other) = (Device::new(3), Device::new(4));
    let writing = writer.paired(&gateway, &[Scope::Write]).await;
    other.paired(&gateway, &[Scope::Read]).await;
    let refusal = rotate(&writing.client, &other, &[Scope::Read]).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"), "{refusal:?}");
    assert_eq!(refusal.fact("missingScopes"), "operator.pairing");
    assert_eq!(refusal.fact("grant"), "operator.pairing");
    // Beyond what was approved is another matter, which no grant of the caller would mend.
    let owner = gateway.owner().await;
    let refusal = rotate(&owner, &other, &SIX).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::FailedPrecondition, "OUTSIDE_BASELINE"), "{refusal:?}");
    assert!(refusal.fact("scopes").contains("operator.admin"), "{refusal:?}");
    status(&before).await.expect("what is refused changes nothing");
}

/// The control test of the report, with the same result for each of its ways.
#[tokio::test]
async fn six_scopes_start_a_run() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let first = device.paired(&gateway, &SIX).await;
    rotate(&gateway.owner().await, &device, &SIX).await.unwrap();
    assert_eq!(status(&first).await.unwrap_err().reason, "TOKEN_REVOKED");
    for (round, attempt) in
        [Attempt::default(), Attempt::wishing(&SIX), Attempt::wishing(&[Scope::Write])]
            .iter()
            .enumerate()
    {
        let connected = device.connect(&gateway, attempt).await.unwrap();
        let run = format!("r{round}");
        let session = format!("explicit:fresh-{round}");
        let asked = ask(&connected.client, request(&run, &session, "Hello.")).await.unwrap();
        assert_eq!(
            (asked.status(), asked.run().run_id.as_str()),
            (v1::RunStatus::Ok, run.as_str())
        );
        let wait = v1::WaitRunRequest { run_id: run, timeout: None };
        soon(connected.client.runs().wait(wait)).await.unwrap();
    }
    // What counts is what is granted when a call comes, by a connection that was there before too.
    let connected = device.connect(&gateway, &Attempt::default()).await.unwrap();
    rotate(&gateway.owner().await, &device, &[Scope::Read]).await.unwrap();
    let refusal = ask(&connected.client, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"));
    rotate(&gateway.owner().await, &device, &SIX).await.unwrap();
    let fingerprint = gateway.gateway().fingerprint().unwrap();
    let again = device.prove(&connected.bare, fingerprint, &Attempt::default()).await.unwrap();
    ask(&again.client, request("r", "main", "Hello.")).await.unwrap();
}
