//! The smoke test of the report, to the letter, by those who have just enough for it: and the control beside it.

use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_tests::{Device, Refusal, Setup, ask, post, request, soon};
use tonic::Code;

use super::super::spawning::{Decoy, SCRIPT, Turn, is_delegated};

const TOOLS: [&str; 2] = ["sessions_spawn", "write_file"];
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// `operator.write` is what the report lacked although it was there. Nothing else is needed, or gained by it.
#[tokio::test]
//= docs/threat-model.md#T16
async fn a_device_that_only_writes_delegates() {
    let config = "agents.defaults.tools.allow = [\"sessions_spawn\", \"write_file\"]";
    let gateway = Setup::new().network().script(SCRIPT).config(config).start().await;
    let (device, reader) = (Device::new(1), Device::new(2));
    let connected = device.paired(&gateway, &[Scope::Write]).await;
    let reads = reader.paired(&gateway, &[Scope::Read]).await;
    assert_eq!(connected.answer.scopes, ["operator.write"]);
    let decoy = Decoy::of(&gateway);
    ask(&connected.client, request("r", "main", "Delegate.")).await.unwrap();
    let holder = format!("device:{}", device.id());
    // The control, with the same token: `agent` over gRPC, under a key that nobody has used.
    let fresh = ask(&connected.client, request("fresh", "explicit:fresh", "Hello.")).await.unwrap();
    assert_eq!((fresh.status(), &fresh.run().on_behalf_of), (v1::RunStatus::Ok, &holder));
    // Who has less is told what is missing, and no name of anything: there is nothing.
    let spawn = v1::SpawnRequest {
        idempotency_key: "less".into(),
        session_key: "main".into(),
        task: "Smoke test.".into(),
        ..Default::default()
    };
    let refused = Refusal::from(reads.client.subagents().spawn(spawn).await.unwrap_err());
    assert_eq!(refused.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
    assert_eq!(refused.fact("missingScopes"), "operator.write");
    assert_eq!((refused.fact("runId"), refused.fact("childSessionKey")), ("", ""));
    let turn = Turn { run: "r", holder: &holder, tools: &TOOLS };
    is_delegated(gateway, decoy, turn).await;
}

/// A turn that a post began works for its hook, and so does what it delegates.
#[tokio::test]
//= docs/threat-model.md#T16
async fn a_turn_of_a_hook_delegates() {
    let config = "hooks.entries.ci = { token.env = \"CI\", tools.allow = [\"sessions_spawn\", \"write_file\"] }";
    let setup = Setup::new().hooks().variable("CI", TOKEN).script(SCRIPT).config(config);
    let gateway = setup.start().await;
    let decoy = Decoy::of(&gateway);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = r#"{"message":"Delegate."}"#;
    let done = post(gateway.hooks(), "POST /hooks/ci", &headers, body).await;
    assert_eq!(done.status, 200, "{done:?}");
    let run = done.text("id").to_owned();
    let turn = Turn { run: &run, holder: "hook:ci", tools: &TOOLS };
    let gateway = is_delegated(gateway, decoy, turn).await;
    // The control: the same credential again.
    let body = r#"{"message":"Hello."}"#;
    let done = post(gateway.hooks(), "POST /hooks/ci", &headers, body).await;
    let wait = v1::WaitRunRequest { run_id: done.text("id").into(), timeout: None };
    let ended = soon(gateway.owner().await.runs().wait(wait)).await.unwrap().into_inner();
    assert_eq!((ended.status(), ended.on_behalf_of.as_str()), (v1::RunStatus::Ok, "hook:ci"));
}
