//! Report #21655: a gateway that refuses its own work for lack of a scope, and what is different here.

use openclaw_platforms::{Discord, WebSink};
use openclaw_proto::v1;
use openclaw_proto::v1::delivery::State;
use openclaw_scopes::Scope;
use openclaw_tests::{
    Attempt, Connected, Device, Log, Refusal, Setup, TestGateway, ask, names, request, soon,
};
use tonic::Code;

use super::cron::{add, settled, turn};
use super::delivery::{announce, delivered, on_discord};

/// What the original gives every new device.
const REPORTED: [Scope; 3] = [Scope::Admin, Scope::Approvals, Scope::Pairing];

async fn gateway() -> TestGateway {
    Setup::new().network().start().await
}

async fn devices(gateway: &TestGateway) -> v1::ListDevicesResponse {
    let owner = gateway.owner().await;
    owner.devices().list(v1::ListDevicesRequest { own: false }).await.unwrap().into_inner()
}

async fn approve(gateway: &TestGateway, named: &str, scopes: &[Scope]) -> v1::Device {
    let approve = v1::ApproveDeviceRequest { request: named.into(), scopes: names(scopes) };
    gateway.owner().await.devices().approve(approve).await.unwrap().into_inner()
}

/// Runs a turn, and waits for it by its id, as `agent` and `agent.wait` do.
async fn works(connected: &Connected, run: &str) {
    let asked = ask(&connected.client, request(run, "main", "Hello.")).await.unwrap();
    assert_eq!(asked.status(), v1::RunStatus::Ok);
    let wait = v1::WaitRunRequest { run_id: run.into(), timeout: None };
    let run = soon(connected.client.runs().wait(wait)).await.unwrap().into_inner();
    assert_eq!(run.status(), v1::RunStatus::Ok);
}

async fn status(connected: &Connected) -> Result<v1::StatusResponse, Refusal> {
    let answer = connected.client.gateway().status(v1::StatusRequest {}).await;
    answer.map(tonic::Response::into_inner).map_err(Refusal::from)
}

/// Whether it listens on the network or not: the owner works at once, and nobody was paired for that.
#[tokio::test]
async fn a_fresh_gateway_has_no_device_and_needs_none() {
    for setup in [Setup::new(), Setup::new().network()] {
        let gateway = setup.start().await;
        let owner = gateway.owner().await;
        assert_eq!(devices(&gateway).await, v1::ListDevicesResponse::default());
        let asked = ask(&owner, request("r", "main", "Hello.")).await.unwrap();
        assert_eq!(asked.status(), v1::RunStatus::Ok);
        let wait = v1::WaitRunRequest { run_id: "r".into(), timeout: None };
        assert_eq!(owner.runs().wait(wait).await.unwrap().into_inner(), *asked.run());
        assert_eq!(devices(&gateway).await, v1::ListDevicesResponse::default());

        let all = v1::ListAuditRequest { all: true, ..v1::ListAuditRequest::default() };
        let records = owner.audit().list(all).await.unwrap().into_inner().records;
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((record.method.as_str(), record.on_behalf_of.as_str()), ("agent", "owner"));
    }
}

/// What was approved, whatever was wished for; and without a word in an invitation, reading and writing.
#[tokio::test]
async fn a_new_device_gets_what_was_approved() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let device = Device::new(1);
    let asks = Attempt::asking(&Scope::ALL);
    let refusal = device.connect(&gateway, &asks).await.unwrap_err();
    let request = refusal.fact("request").to_owned();
    let nothing = v1::ApproveDeviceRequest { request: request.clone(), scopes: Vec::new() };
    let refusal = Refusal::from(owner.devices().approve(nothing).await.unwrap_err());
    assert_eq!(refusal.code, Code::InvalidArgument, "no default stands in: {refusal:?}");
    approve(&gateway, &request, &[Scope::SessionsRead, Scope::Approvals]).await;
    let connected = device.connect(&gateway, &Attempt::default()).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.approvals", "operator.sessions.read"]);
    assert_eq!(connected.answer.approved_scopes, connected.answer.scopes);

    let invite = v1::InviteRequest {
        addresses: vec!["gateway.example:18789".into()],
        ..v1::InviteRequest::default()
    };
    let invitation = owner.devices().invite(invite).await.unwrap().into_inner();
    assert_eq!(invitation.scopes, ["operator.write"], "reading is implied");
    let invited = Attempt::invited(&invitation.code);
    let connected = Device::new(2).connect(&gateway, &invited).await.unwrap();
    assert_eq!(connected.answer.scopes, ["operator.write"]);
    assert_eq!(connected.answer.approved_scopes, ["operator.write"]);
}

/// Approved, rotated down, upgraded, revoked, asking: each start finds it as it was.
#[tokio::test]
async fn grants_survive_a_restart() {
    let gateway = gateway().await;
    let (working, rotated, asking, revoked) =
        (Device::new(1), Device::new(2), Device::new(3), Device::new(4));
    working.paired(&gateway, &[Scope::Admin, Scope::Approvals]).await;
    for device in [&rotated, &asking, &revoked] {
        device.paired(&gateway, &[Scope::Write]).await;
    }
    let owner = gateway.owner().await;
    let rotate = v1::RotateDeviceRequest {
        device: rotated.id().to_string(),
        role: "operator".into(),
        scopes: names(&[Scope::Read]),
        keep: false,
    };
    owner.devices().rotate(rotate).await.unwrap();
    let asked = asking.connect(&gateway, &Attempt::asking(&REPORTED)).await.unwrap();
    let waits = asked.answer.pending.unwrap();
    let revoke = v1::RevokeDeviceRequest { device: revoked.id().to_string(), role: String::new() };
    owner.devices().revoke(revoke).await.unwrap();
    let before = devices(&gateway).await;
    let fingerprint = gateway.gateway().fingerprint();

    let mut gateway = gateway;
    for _ in 0..2 {
        gateway = gateway.restart().await;
        assert_eq!(gateway.gateway().fingerprint(), fingerprint);
        assert_eq!(devices(&gateway).await, before);
    }
    for (device, granted, approved) in [
        (&working, "operator.admin", "operator.admin"),
        (&rotated, "operator.read", "operator.write"),
        (&asking, "operator.write", "operator.write"),
    ] {
        let connected = device.connect(&gateway, &Attempt::default()).await.unwrap();
        assert_eq!(connected.answer.scopes, [granted]);
        assert_eq!(connected.answer.approved_scopes, [approved]);
    }
    let again = asking.connect(&gateway, &Attempt::asking(&REPORTED)).await.unwrap();
    assert_eq!(again.answer.pending.unwrap().id, waits.id, "the request waits on");
    let refusal = revoked.connect(&gateway, &Attempt::default()).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "DEVICE_REVOKED"));
}

/// The device of the report, which could do everything but what was asked of it.
#[tokio::test]
async fn admin_approvals_pairing_may_write() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &REPORTED).await;
    assert_eq!(connected.answer.approved_scopes, ["operator.admin"], "which implies the others");
    works(&connected, "r1").await;
    // As the original connects for each method: with the least scope, and asking for what is missing.
    let least = device.connect(&gateway, &Attempt::asking(&[Scope::Write])).await.unwrap();
    assert_eq!(least.answer.scopes, ["operator.write"]);
    assert_eq!(least.answer.pending, None);
    works(&least, "r2").await;
    assert_eq!(devices(&gateway).await.pending, []);
    let explain = v1::ExplainRequest { method: "agent".into(), ..v1::ExplainRequest::default() };
    let told = connected.client.access().explain(explain).await.unwrap().into_inner();
    assert!(told.verdicts[0].allowed && told.verdicts[0].requires == "operator.write", "{told:?}");
}

/// Once for each request and each change of it, and not for the scopes of the report.
#[tokio::test]
async fn an_upgrade_is_logged_once() {
    let (log, _guard) = Log::listen();
    let said = || log.said("device access upgrade requested");
    let gateway = gateway().await;
    let full = Device::new(1);
    full.paired(&gateway, &REPORTED).await;
    let connected = full.connect(&gateway, &Attempt::asking(&[Scope::Write])).await.unwrap();
    works(&connected, "r1").await;
    assert_eq!(said(), []);

    let reader = Device::new(2);
    reader.paired(&gateway, &[Scope::Read]).await;
    let asks = Attempt::asking(&[Scope::Write]);
    let connected = reader.connect(&gateway, &asks).await.unwrap();
    let waits = connected.answer.pending.clone().unwrap();
    let (logged, id) = (said(), reader.id().to_string());
    let [line] = logged.as_slice() else { panic!("{logged:?}") };
    assert_eq!(line.level.as_str(), "WARN");
    for (name, value) in [
        ("reason", "scope-upgrade"),
        ("device.id", id.get(..12).unwrap()),
        ("scopes.from", "operator.read"),
        ("scopes.to", "operator.write"),
        ("request.id", &waits.id),
        ("request.revision", "1"),
    ] {
        assert_eq!(line.fact(name), value, "{name}");
    }
    // Retries, on whichever way.
    for attempt in [&asks, &asks] {
        reader.connect(&gateway, attempt).await.unwrap();
    }
    let scopes = names(&[Scope::Write]);
    connected.client.devices().request_upgrade(v1::RequestUpgradeRequest { scopes }).await.unwrap();
    let asking = connected.client.with("openclaw-request-access", "1");
    ask(&asking, request("r2", "main", "Hello.")).await.unwrap_err();
    assert_eq!(said(), logged);
    // Another wish is something new to look at.
    reader.connect(&gateway, &Attempt::asking(&REPORTED)).await.unwrap();
    let again = said();
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(again[1].fact("request.id"), waits.id);
    assert_eq!(
        (again[1].fact("request.revision"), again[1].fact("scopes.to")),
        ("2", "operator.admin")
    );
}

/// A lack of scopes is told as one, to a device that goes on; "pairing required" is for strangers.
#[tokio::test]
async fn a_missing_scope_leaves_the_connection_alone() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &[Scope::Read]).await;
    let watch = openclaw_client::health::HealthCheckRequest::default();
    let mut watched = connected.client.health().watch(watch).await.unwrap().into_inner();
    soon(watched.message()).await.unwrap().unwrap();
    for _ in 0..3 {
        let refusal = ask(&connected.client, request("r", "main", "Hello.")).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
        assert_eq!(refusal.message, "missing scope: operator.write");
        assert_eq!((refusal.fact("grant"), refusal.fact("requestId")), ("operator.write", ""));
        assert_eq!(refusal.next, "openclaw access explain agent");
        status(&connected).await.unwrap();
    }
    let asking = connected.client.with("openclaw-request-access", "1");
    let refusal = ask(&asking, request("r", "main", "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    let waits = devices(&gateway).await.pending;
    assert_eq!(refusal.fact("requestId"), waits[0].id);
    status(&connected).await.unwrap();
    // The stream that was open all the while is open still: it tells that the gateway stops.
    let stranger = Device::new(2);
    let refusal = stranger.connect(&gateway, &Attempt::asking(&[Scope::Write])).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "PAIRING_REQUIRED"));
    assert_eq!(refusal.fact("kind"), "not-paired");
    assert!(devices(&gateway).await.pending.iter().any(|it| it.id == refusal.fact("requestId")));
    let stopping = openclaw_tests::background(gateway.stop());
    let last = soon(watched.message()).await.unwrap().unwrap();
    assert_ne!(last.status, 1, "not serving any more");
    drop((watched, connected));
    soon(stopping).await.unwrap();
}

/// The command that the report found; it made the device fit for its work, and does nothing worse here.
#[tokio::test]
async fn the_rotate_command_of_the_report() {
    let gateway = gateway().await;
    let device = Device::new(1);
    let connected = device.paired(&gateway, &REPORTED).await;
    let listed = devices(&gateway).await.devices;
    let [found] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(found.id, device.id().to_string());
    let rotate = v1::RotateDeviceRequest {
        device: found.id.get(..8).unwrap().to_owned(),
        role: "operator".into(),
        scopes: names(&[Scope::Admin, Scope::Approvals, Scope::Pairing, Scope::Write]),
        keep: false,
    };
    let rotated = gateway.owner().await.devices().rotate(rotate).await.unwrap().into_inner();
    assert_eq!(rotated.granted_scopes, ["operator.admin"]);
    assert_eq!(rotated.approved_scopes, ["operator.admin"]);
    let refusal = status(&connected).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "TOKEN_REVOKED"));
    let again = device.connect(&gateway, &Attempt::default()).await.unwrap();
    assert_eq!(again.answer.scopes, ["operator.admin"]);
    works(&again, "r").await;
}

/// Fresh state, no device, nothing paired, no listener: a job with a delivery to Discord, the announce of a
/// sub-agent to a Discord channel, and a webhook all arrive; nothing is dialed and nothing is paired for it.
#[tokio::test]
async fn jobs_announces_and_webhooks_arrive_on_a_fresh_install() {
    let (discord, sink) = (Discord::start().await, WebSink::start().await);
    let address = sink.address();
    let config = format!("channels.webhook.allowAddresses = [\"{address}\"]");
    let gateway = on_discord(&discord).config(&config).start().await;
    let owner = gateway.owner().await;
    let (log, _guard) = Log::listen();
    // The job.
    let job =
        add(&owner, announce(turn("news", "Any news?"), "discord", "channel:1")).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(delivered(&owner, &ran.delivery_id).await.state(), State::Sent);
    assert_eq!(discord.sent()[0].channel, "1");
    // The announce, in the literal conversation of the report.
    let literal = "agent:main:discord:channel:1469556013123502103";
    let create = v1::CreateSessionRequest {
        idempotency_key: "literal".into(),
        key: literal.into(),
        ..v1::CreateSessionRequest::default()
    };
    owner.sessions().create(create).await.unwrap();
    let spawn = v1::SpawnRequest {
        idempotency_key: "child".into(),
        session_key: literal.into(),
        task: "Look at the sky.".into(),
        ..v1::SpawnRequest::default()
    };
    owner.subagents().spawn(spawn).await.unwrap();
    soon(discord.wait_for(2)).await;
    let announced = &discord.sent()[1];
    assert_eq!(announced.channel, "1469556013123502103");
    assert!(announced.text.contains("Look at the sky."), "{announced:?}");
    // The webhook.
    let message = v1::SendMessageRequest {
        idempotency_key: "hook".into(),
        channel: "webhook".into(),
        to: format!("{}/hook", sink.url()),
        text: "Hello.".into(),
        ..v1::SendMessageRequest::default()
    };
    let sent = owner.messages().send(message).await.unwrap().into_inner();
    assert_eq!(delivered(&owner, &sent.id).await.state(), State::Sent);
    assert_eq!(sink.received().len(), 1);
    // Nobody was paired, asked to be, or refused.
    assert_eq!(devices(&gateway).await, v1::ListDevicesResponse::default());
    let all = v1::ListAuditRequest { all: true, page_size: 1000, ..Default::default() };
    let records = owner.audit().list(all).await.unwrap().into_inner().records;
    assert!(
        records.iter().all(|record| record.decision() == v1::audit_record::Decision::Allowed),
        "{records:?}"
    );
    assert!(records.iter().any(|record| record.method == "cron.fire"), "{records:?}");
    assert!(log.said("pairing required").is_empty());
}
