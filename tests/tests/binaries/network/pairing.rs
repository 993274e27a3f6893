//! Pairing without an invitation, and never with another gateway than the one that is meant.

use serde_json::json;

use super::super::harness::{Home, Signal, finish};
use super::{gateway_home, invite, join, reached, waits, words};

/// It files a request, says what to compare and what to do, and goes on by itself.
#[tokio::test]
//= docs/threat-model.md#T29
async fn a_device_waits_and_goes_on_by_itself() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let waiting = laptop
        .openclaw(&["connect", &url, "--fingerprint", &fingerprint, "--wait", "1m", "--json"])
        .spawn()
        .unwrap();
    let (named, request) = waits(&home).await;
    assert_eq!((&request["kind"], &request["revision"]), (&json!("not-paired"), &json!(1)));
    assert_eq!(words(&request["requestedScopes"]), ["operator.write"], "what the guide proposes");
    assert_eq!(home.run("devices list --json").await.json()["devices"], json!([]));
    let device = request["deviceId"].as_str().unwrap();
    home.run(&format!("devices approve {named} --scopes operator.read")).await.ok();
    let told = finish(waiting).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""), "a program gets one document: {told}");
    let connected: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(connected["deviceId"], device);
    assert_eq!(words(&connected["approvedScopes"]), ["operator.read"]);
    assert_eq!(connected["pendingRequest"], json!(""), "what was left out is not asked for again");

    // The same again succeeds, as does everything else that it may do.
    laptop.run(&format!("connect {url} --fingerprint {fingerprint}")).await.ok();
    let contexts = laptop.run("context list --json").await.json();
    assert_eq!(contexts["contexts"][0]["fingerprint"], json!(fingerprint));
    laptop.run("sessions list --json").await.json();
    assert_eq!(laptop.tell(&["agent", "-m", "hello"]).await.code, 77);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn who_is_turned_down_is_told_so_and_who_is_overlooked_too() {
    let home = gateway_home();
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let connect = format!("connect {url} --fingerprint {fingerprint}");
    let overlooked = Home::new().run(&format!("{connect} --wait 0s --json")).await;
    assert_eq!(overlooked.code, 75, "{overlooked}");
    let (named, _) = waits(&home).await;
    assert!(overlooked.err.contains(&format!("openclaw devices approve {named}")), "{overlooked}");
    home.run(&format!("devices reject {named}")).await.ok();

    let laptop = Home::new();
    let words: Vec<_> = connect.split(' ').collect();
    let waiting = laptop.openclaw(&words).spawn().unwrap();
    let (named, _) = waits(&home).await;
    home.run(&format!("devices reject {named}")).await.ok();
    let told = finish(waiting).await;
    assert_eq!(told.code, 77, "{told}");
    assert_eq!(laptop.run(&format!("{connect} --wait 0s")).await.code, 77, "the answer stays");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Nothing is sent to another gateway, so nothing is filed there and nothing is logged.
#[tokio::test]
//= docs/threat-model.md#T27
async fn another_fingerprint_is_another_gateway() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let wrong = "ab".repeat(32);
    let refused = laptop.run(&format!("connect {url} --fingerprint {wrong} --json")).await;
    let refused = refused.error(77);
    assert_eq!(refused["reason"], "FINGERPRINT_MISMATCH");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains(&fingerprint) && message.contains(&wrong), "{message}");
    let refused = laptop.run(&format!("connect {url} --json")).await.error(78);
    assert_eq!((&refused["code"], &refused["reason"]), (&json!("CONFIGURATION"), &json!("")));
    assert!(refused["next"].as_str().unwrap().contains("gateway fingerprint"), "{refused}");
    for line in ["status", "agent -m hello", "devices upgrade --scopes operator.read"] {
        let refused = laptop.run(&format!("--gateway {url} {line} --json")).await;
        assert_eq!(refused.code, 78, "{line}: {refused}");
        let line = format!("--gateway {url} --fingerprint {wrong} {line} --json");
        assert_eq!(laptop.run(&line).await.error(77)["reason"], "FINGERPRINT_MISMATCH", "{line}");
    }
    assert!(!laptop.state().join("contexts.toml").exists());
    assert_eq!(home.run("devices list --json").await.json(), json!({"devices": [], "pending": []}));
    assert_eq!(home.run("audit list --json").await.json()["records"], json!([]));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
//= docs/threat-model.md#T27
async fn a_context_is_one_gateway_and_no_other() {
    let (first, second, laptop) = (gateway_home(), gateway_home(), Home::new());
    let (one, two) = (first.start().await, second.start().await);
    let ((url, fingerprint), (other, another)) = (reached(&first).await, reached(&second).await);
    assert_ne!(fingerprint, another);
    let id = join(&first, &laptop, "operator.read").await;
    // The same host is not the same gateway: the second needs a name of its own.
    let link = invite(&second, "operator.read").await;
    let refused = laptop.run(&format!("connect {link} --name 127.0.0.1 --json")).await.error(2);
    assert!(refused["next"].as_str().unwrap().ends_with("context rm 127.0.0.1"), "{refused}");
    let refused =
        laptop.run(&format!("connect {link} --scopes operator.read --json")).await.error(2);
    assert_eq!(refused["message"], "an invitation says itself what it grants");
    let connected = laptop.run(&format!("connect {link} --json")).await.json();
    assert_eq!(connected["deviceId"], json!(id), "one machine is one device");
    assert_eq!(connected["context"], "127.0.0.1-2", "and its invitation was good still");
    laptop.run(&format!("connect {other} --fingerprint {another} --name second")).await.ok();
    let contexts = laptop.run("context list --json").await.json();
    assert_eq!(contexts["current"], "second");
    for (name, url) in [("127.0.0.1", &url), ("second", &other)] {
        let status = laptop.run(&format!("--gateway {name} status --json")).await.json();
        assert_eq!(format!("https://{}", status["listen"].as_str().unwrap()), *url);
    }

    // Somebody else answers where the first one was.
    let path = laptop.state().join("contexts.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let address = |url: &str| url.trim_start_matches("https://").to_owned();
    std::fs::write(&path, text.replace(&address(&url), &address(&other))).unwrap();
    let refused = laptop.run("--gateway 127.0.0.1 status --json").await.error(77);
    assert_eq!(refused["reason"], "FINGERPRINT_MISMATCH");
    laptop.run("--gateway second status").await.ok();
    assert_eq!(one.stop(Signal::Terminate).await, 0);
    assert_eq!(two.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn without_a_listener_nobody_is_invited() {
    let home = Home::new();
    let daemon = home.start().await;
    let refused = home.run("devices invite --json").await.error(1);
    let next = refused["next"].as_str().unwrap();
    assert!(next.contains("`[listen]`") && next.contains("`tcp = \"0.0.0.0:18789\"`"), "{next}");
    assert_eq!(home.run("gateway fingerprint").await.code, 1);
    assert!(!home.state().join("tls").exists());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
