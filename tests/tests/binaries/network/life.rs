//! One device, from its invitation to its revocation.

use serde_json::{Value, json};

use super::super::harness::{Home, Signal, eventually, finish};
use super::{gateway_home, invite, waits, words};

/// Everything the guide says, in its order; and what the log tells of it in the end.
#[tokio::test]
//= docs/threat-model.md#T32
async fn a_second_machine_from_invitation_to_revocation() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let link = invite(&home, "operator.read,operator.write").await;
    assert!(link.starts_with("openclaw://connect/127.0.0.1:"), "{link}");
    let connected = laptop.run(&format!("connect {link} --json")).await.json();
    let id = connected["deviceId"].as_str().unwrap().to_owned();
    assert_eq!(connected["approvedScopes"], json!(["operator.write"]));
    let fingerprint = home.run("gateway fingerprint").await.ok();
    assert_eq!(connected["fingerprint"], fingerprint.trim());
    // Once: for the same machine it is a reconnection, for another one nothing.
    laptop.run(&format!("connect {link}")).await.ok();
    let refused = Home::new().run(&format!("connect {link} --json")).await.error(77);
    assert_eq!(refused["reason"], "PAIRING_REQUIRED");

    let status = laptop.run("status --json").await.json();
    assert_eq!(
        (&status["principal"], &status["pid"]),
        (&json!(format!("device:{id}")), &json!(daemon.pid()))
    );
    assert_eq!(laptop.tell(&["agent", "-m", "hello"]).await.ok(), "You said hello\n");

    // More: refused, asked for, approved, done.
    let refused = laptop.run("agents add notes --json").await.error(77);
    assert_eq!((&refused["reason"], &refused["requestId"]), (&json!("MISSING_SCOPE"), &json!("")));
    let told = laptop.run("agents add notes --request-access").await;
    let (named, request) = waits(&home).await;
    let next = format!("openclaw devices approve {named} --scopes operator.admin");
    let (asked, _revision) = named.split_once('@').unwrap();
    let said = format!("error: missing scope: operator.admin\nrequest: {asked}\nnext: {next}\n");
    assert_eq!((told.code, told.err), (77, said));
    assert_eq!(words(&request["requestedScopes"]), ["operator.admin"]);
    assert_eq!(laptop.tell(&["agent", "-m", "hello again"]).await.ok(), "You said hello again\n");
    home.run(&format!("devices approve {named} --scopes operator.admin")).await.ok();
    laptop.run("agents add notes").await.ok();
    let shown = home.run(&format!("access show {id} --json")).await.json();
    // Who approved what: the invitation first, and what was added since.
    let origin = |part: usize| shown["parts"][part]["origin"].as_str().unwrap();
    assert!(origin(0).starts_with("approved by owner through invitation"), "{shown}");
    assert!(origin(1).starts_with("approved by owner:") && origin(1).ends_with(asked), "{shown}");

    // Less: it proves its key again, and goes on with what is left.
    let line =
        format!("devices rotate --device {id} --role operator --scope operator.write --json");
    let rotated = home.run(&line).await.json();
    assert_eq!(words(&rotated["grantedScopes"]), ["operator.write"]);
    assert_eq!(words(&rotated["approvedScopes"]), ["operator.admin"]);
    assert_eq!(laptop.tell(&["agent", "-m", "hello"]).await.ok(), "You said hello\n");
    assert_eq!(laptop.run("agents add more --json").await.error(77)["reason"], "MISSING_SCOPE");

    // No more, in the middle of an answer.
    let following =
        laptop.openclaw(&["agent", "-m", "slow", "--idempotency-key", "last", "--json"]);
    let following = { following }.spawn().unwrap();
    eventually("the run works", async || {
        let runs = home.run("runs list --status running --json").await.json();
        runs["runs"].as_array().unwrap().iter().any(|run| run["runId"] == "last").then_some(())
    })
    .await;
    home.run(&format!("devices revoke {id} --yes")).await.ok();
    assert_eq!(finish(following).await.error(77)["reason"], "DEVICE_REVOKED");
    let ended = home.run("runs wait last --json").await;
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["status"], "aborted");
    for line in [
        "status",
        "health",
        "agent -m hello",
        "sessions list",
        "runs list",
        "audit list --own",
        "access show",
        "access explain agent",
        "devices list",
        "devices list --own",
        "devices upgrade --scopes operator.write",
        "tokens list",
        "security audit",
    ] {
        let refused = laptop.run(&format!("{line} --json")).await.error(77);
        assert_eq!(refused["reason"], "DEVICE_REVOKED", "{line}");
    }

    let log = home.run("audit list --limit 1000 --json").await.json();
    tells_it_all(log["records"].as_array().unwrap(), &id, asked);
    assert_eq!(home.run("audit verify --json").await.json()["ok"], json!(true));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    assert_eq!(home.run("audit verify").await.code, 0);
}

/// Who, what, about whom and through what: of each step, in order.
fn tells_it_all(records: &[Value], id: &str, asked: &str) {
    let device = format!("device:{id}");
    let mut oldest_first = records.iter().rev();
    for (principal, method, target, decision) in [
        ("owner:", "device.invite", "invitation inv_", "allowed"),
        ("system:doorkeeper", "device.pair.redeem", "through invitation inv_", "allowed"),
        ("system:doorkeeper", "device.connect", &device, "allowed"),
        (&device, "agent", "session agent:main:main", "allowed"),
        (&device, "agents.create", "notes", "denied"),
        (&device, "agents.create", "notes", "denied"),
        (&device, "device.scopes.requestUpgrade", "own access", "allowed"),
        ("owner:", "device.pair.approve", asked, "allowed"),
        (&device, "agents.create", "notes", "allowed"),
        ("owner:", "device.token.rotate", &device, "allowed"),
        (&device, "agents.create", "more", "denied"),
        (&device, "agent", "session agent:main:main", "allowed"),
        ("owner:", "device.token.revoke", &device, "allowed"),
    ] {
        let found = oldest_first.find(|record| {
            let text = |name: &str| record[name].as_str().unwrap();
            text("principal").starts_with(principal)
                && text("method") == method
                && text("target").contains(target)
                && text("decision") == decision
        });
        assert!(found.is_some(), "{principal} {method} {target} {decision}");
    }
}
