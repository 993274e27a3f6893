//! The commands of the reports #21655 and #77807, as they are written there.

use openclaw_client::v1;
use serde_json::json;

use super::super::harness::{Home, Signal};
use super::{first, gateway_home, join, words};

/// From #21655: what made the service's device fit for its work.
const FOUR: &str = "devices rotate --device ID --role operator --scope operator.admin \
                    --scope operator.approvals --scope operator.pairing --scope operator.write";

/// From #77807: the documented command with the full scopes.
const SIX: &str = "devices rotate --device ID --role operator --scope operator.admin \
                   --scope operator.approvals --scope operator.pairing --scope operator.read \
                   --scope operator.talk.secrets --scope operator.write";

#[tokio::test]
async fn the_commands_of_the_reports_work_as_they_are_written() {
    let (home, service) = (gateway_home(), Home::new());
    let (manager, weak, writer) = (Home::new(), Home::new(), Home::new());
    let daemon = home.start().await;
    let three = "operator.admin,operator.approvals,operator.pairing";
    let id = join(&home, &service, three).await;
    let listed = home.run("devices list --json").await.json();
    assert_eq!(listed["devices"][0]["id"], json!(id), "as the report finds it");
    join(&home, &manager, "operator.admin").await;
    join(&home, &weak, "operator.pairing").await;
    join(&home, &writer, "operator.write").await;

    for command in [FOUR, SIX] {
        for id in [id.as_str(), first(&id, 12), first(&id, 6)] {
            let command = command.replace("ID", id);
            // The owner, another machine that holds it all, and the device itself.
            for machine in [&home, &manager, &service] {
                let rotated = machine.run(&format!("{command} --json")).await.json();
                assert_eq!(words(&rotated["grantedScopes"]), ["operator.admin"]);
                let said = machine.run(&command).await.ok();
                assert!(said.ends_with("it carries operator.admin\n"), "{said}");
            }
            // With `openclaw gateway restart` or without it.
            assert_eq!(service.tell(&["agent", "-m", "hello"]).await.ok(), "You said hello\n");
            for (machine, reason, missing) in [
                (&weak, "APPROVER_TOO_NARROW", "operator.admin"),
                (&writer, "MISSING_SCOPE", "operator.pairing"),
            ] {
                let refused = machine.run(&format!("{command} --json")).await.error(77);
                assert_eq!(refused["reason"], reason, "{refused}");
                assert_eq!(refused["missingScopes"], json!([missing]), "{refused}");
                assert_eq!(refused["message"], format!("missing scope: {missing}"));
                let told = machine.run(&command).await;
                let first = format!("error: missing scope: {missing}\n");
                assert!(told.code == 77 && told.err.starts_with(&first), "{told}");
            }
        }
    }
    assert_eq!(service.tell(&["agent", "-m", "hello"]).await.ok(), "You said hello\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// "Direct full-scope … succeeded", and the command did not. They are one method, and have one answer.
#[tokio::test]
async fn the_command_and_the_call_agree() {
    let (home, device) = (gateway_home(), Home::new());
    let mut daemon = home.start().await;
    let id = join(&home, &device, "operator.admin").await;
    let command = SIX.replace("ID", &id);
    let told = home.run(&format!("{command} --json")).await.ok();
    for secret in ["oca_", "oct_", "token", "secret"] {
        assert!(!told.contains(secret), "no token comes with it: {told}");
    }
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let scopes = command.split(' ').filter(|word| word.starts_with("operator."));
    let request = v1::RotateDeviceRequest {
        device: id.clone(),
        role: "operator".into(),
        scopes: scopes.map(str::to_owned).collect(),
        keep: false,
    };
    let client = daemon.connect().await;
    let called = client.devices().rotate(request.clone()).await.unwrap().into_inner();
    assert_eq!((called.id.as_str(), told["id"].as_str().unwrap()), (id.as_str(), id.as_str()));
    assert_eq!(called.granted_scopes, words(&told["grantedScopes"]));
    assert_eq!(called.approved_scopes, words(&told["approvedScopes"]));
    assert_eq!(called.epoch, told["epoch"].as_u64().unwrap() + 1);
    let provenance = called.provenance.unwrap();
    assert_eq!(json!(provenance.approved_by), told["provenance"]["approvedBy"]);
    assert_eq!(json!(provenance.via_id), told["provenance"]["viaId"]);

    // And where the one is refused, so is the other, with the same words.
    let other = v1::RotateDeviceRequest { device: "f".repeat(64), ..request };
    let called =
        openclaw_client::CallError::from(client.devices().rotate(other).await.unwrap_err());
    let told = home.run(&format!("{} --json", SIX.replace("ID", &"f".repeat(64)))).await.error(1);
    assert_eq!(told["message"], called.message());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
