//! What the owner can do while the gateway is stopped, and the key that outlives its certificate.

use serde_json::json;

use super::super::harness::{Home, Signal};
use super::{gateway_home, join, reached, waits, words};

/// There is always somebody who can approve, and nothing has to be edited for it.
#[tokio::test]
async fn approving_works_while_the_gateway_is_stopped() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let connect = format!("connect {url} --fingerprint {fingerprint} --wait 0s");
    assert_eq!(laptop.run(&connect).await.code, 75);
    let (named, request) = waits(&home).await;
    let approve = format!("devices approve {named} --scopes operator.read --offline");
    let device = request["deviceId"].as_str().unwrap().to_owned();
    let revoke = format!("devices revoke {device} --offline --yes");
    for line in
        ["devices list --offline", &approve, &revoke, "devices revoke --all --offline --yes"]
    {
        let told = home.run(line).await;
        let is_refused = told.code == 78 && told.out.is_empty();
        assert!(is_refused && told.err.contains("leave out --offline"), "{line}: {told}");
    }
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);

    let listed = home.run("devices list --offline --json").await.json();
    assert_eq!(listed["devices"], json!([]));
    assert_eq!(listed["pending"][0]["id"], request["id"]);
    assert_eq!(listed["pending"][0]["requestedScopes"], request["requestedScopes"]);
    let vague = home.run(&format!("devices approve {named} --offline")).await;
    assert_eq!(vague.code, 2, "it names scopes: {vague}");
    let stale = approve.replace("@1", "@2");
    let refused = home.run(&stale).await;
    assert!(refused.code == 1 && refused.err.contains("\nnext: openclaw devices"), "{refused}");
    let refused = home.run("devices revoke ffffff --offline --yes --json").await.error(1);
    assert_eq!(refused["message"], "no device `ffffff`");
    assert_eq!(refused["next"], "openclaw devices list --offline");
    let approved = home.run(&format!("{approve} --json")).await.json();
    assert_eq!(words(&approved["approvedScopes"]), ["operator.read"]);

    let daemon = home.start().await;
    let (url, same) = reached(&home).await;
    assert_eq!(same, fingerprint);
    laptop.run(&format!("connect {url} --fingerprint {fingerprint} --wait 0s")).await.ok();
    laptop.run("sessions list --json").await.json();
    let log = home.run("audit list --method device.pair.approve --json").await.json();
    assert!(log["records"][0]["principal"].as_str().unwrap().starts_with("owner:"), "{log}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);

    assert!(home.run(&revoke).await.ok().contains(&device), "{revoke}");
    let daemon = home.start().await;
    let (url, _) = reached(&home).await;
    let line = format!("--gateway {url} --fingerprint {fingerprint} status --json");
    assert_eq!(laptop.run(&line).await.error(77)["reason"], "DEVICE_REVOKED");
    join(&home, &laptop, "operator.read").await;
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let gone = home.run("devices revoke --all --offline --yes --json").await.json();
    assert_eq!(gone["devices"], json!(1), "{gone}");
    assert_eq!(home.run("audit verify").await.code, 0);
}

/// Running and stopped, after a restart and with a renewed certificate: it is the key's.
#[tokio::test]
//= docs/threat-model.md#T27
async fn the_fingerprint_is_that_of_the_key() {
    let (home, laptop) = (gateway_home(), Home::new());
    let never = home.run("gateway fingerprint").await;
    assert_eq!(never.code, 78, "it was never on the network: {never}");
    let daemon = home.start().await;
    let fingerprint = home.run("gateway fingerprint").await.ok();
    assert_eq!(fingerprint.trim().len(), 64);
    let document = home.run("gateway fingerprint --json").await.json();
    assert_eq!(document, json!({"fingerprint": fingerprint.trim()}));
    join(&home, &laptop, "operator.read").await;
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    assert_eq!(home.run("gateway fingerprint").await.ok(), fingerprint);
    assert_eq!(home.run("gateway fingerprint --json").await.json(), document);

    let cert = home.state().join("tls/cert.pem");
    let before = std::fs::read(&cert).unwrap();
    std::fs::remove_file(&cert).unwrap();
    let daemon = home.start().await;
    assert_ne!(std::fs::read(&cert).unwrap(), before, "it is renewed");
    assert_eq!(home.run("gateway fingerprint").await.ok(), fingerprint);
    let (url, _) = reached(&home).await;
    laptop.run(&format!("--gateway {url} --fingerprint {} status", fingerprint.trim())).await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);

    // A new key is a new gateway, which the device refuses.
    std::fs::remove_dir_all(home.state().join("tls")).unwrap();
    let daemon = home.start().await;
    let (url, other) = reached(&home).await;
    assert_ne!(other, fingerprint.trim());
    let line = format!("--gateway {url} --fingerprint {} status --json", fingerprint.trim());
    assert_eq!(laptop.run(&line).await.error(77)["reason"], "FINGERPRINT_MISMATCH");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
