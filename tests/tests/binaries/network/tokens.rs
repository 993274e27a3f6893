//! Programs without a key: an API token over the network, and over the socket.

use serde_json::json;

use super::super::harness::{Home, Signal};
use super::{gateway_home, reached, told_with};

#[tokio::test]
//= docs/threat-model.md#T30
async fn a_program_works_with_a_token_until_it_is_revoked() {
    let (home, container) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let created = home.run("tokens create --name ci --scopes operator.write --ttl 30d").await;
    assert_eq!(created.code, 0, "{created}");
    let secret = created.out.trim().to_owned();
    assert!(secret.starts_with("oct_") && created.out.lines().count() == 1, "{created}");
    assert!(!created.err.contains(&secret), "once: {created}");
    for line in ["tokens list", "tokens list --json", "audit list --json", "audit export"] {
        let told = home.run(line).await;
        assert!(
            told.code == 0 && !told.out.contains(secret.trim_start_matches("oct_")),
            "{line}: {told}"
        );
    }
    assert_eq!(home.run("tokens create --name ci --scopes operator.read --ttl 1d").await.code, 1);

    let all = [
        ("OPENCLAW_GATEWAY", url.as_str()),
        ("OPENCLAW_GATEWAY_FINGERPRINT", &fingerprint),
        ("OPENCLAW_GATEWAY_TOKEN", &secret),
    ];
    let over_network = async |line: &str| told_with(&container, &all, line).await;
    assert_eq!(over_network("agent -m hello").await.ok(), "You said hello\n");
    let status = over_network("status --json").await.json();
    let listed = home.run("tokens list --json").await.json();
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    assert_eq!(status["principal"], json!(format!("token:{id}")));
    assert!(!container.state().join("device.key").exists(), "it needs none");
    assert_eq!(told_with(&container, &all[..1], "status").await.code, 78, "no fingerprint");
    assert_eq!(told_with(&container, &[all[0], all[2]], "status").await.code, 78);

    // Over the socket it narrows: the same token is the same program, and not the owner.
    let over_socket = async |token: &str, line: &str| {
        told_with(&home, &[("OPENCLAW_GATEWAY_TOKEN", token)], line).await
    };
    let status = over_socket(&secret, "status --json").await.json();
    assert_eq!(status["principal"], json!(format!("token:{id}")));
    for line in ["agents add notes --json", "audit list --json", "security audit --json"] {
        for told in [over_network(line).await, over_socket(&secret, line).await] {
            assert_eq!(told.error(77)["missingScopes"], json!(["operator.admin"]), "{line}");
        }
    }
    let connect = over_network(&format!("connect {url}")).await;
    assert!(
        connect.code == 2 && connect.err.contains("OPENCLAW_GATEWAY_TOKEN is set"),
        "{connect}"
    );
    let unknown = format!("oct_{}", "A".repeat(43));
    let refused = over_socket(&unknown, "status --json").await.error(77);
    assert_eq!(refused["reason"], "TOKEN_REVOKED");
    assert_eq!(over_socket("secret", "status").await.code, 78, "not a token at all");
    assert_eq!(over_socket("", "status").await.code, 0, "nothing counts as not set");

    home.run("tokens revoke ci --yes").await.ok();
    for told in [over_network("status --json").await, over_socket(&secret, "status --json").await] {
        assert_eq!(told.error(77)["reason"], "TOKEN_REVOKED");
    }
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Whatever its scopes are: it neither pairs nor hands anything out.
#[tokio::test]
//= docs/threat-model.md#T34
async fn a_token_hands_out_nothing() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let device = super::join(&home, &laptop, "operator.read").await;
    let line = "tokens create --name all --scopes operator.admin --ttl 1h --json";
    let created = home.run(line).await.json();
    let secret = created["secret"].as_str().unwrap();
    for line in [
        "devices invite".to_owned(),
        format!("devices rotate {device} --scopes operator.read"),
        format!("devices revoke {device} --yes"),
        format!("devices remove {device} --yes"),
        "devices approve pr_0000000000000000@1 --scopes operator.read".to_owned(),
        "devices revoke --all --yes".to_owned(),
        "tokens create --name more --scopes operator.read --ttl 1h".to_owned(),
        "tokens revoke all --yes".to_owned(),
    ] {
        let token = [("OPENCLAW_GATEWAY_TOKEN", secret)];
        let refused = told_with(&home, &token, &format!("{line} --json")).await;
        assert_eq!(refused.code, 77, "{line}: {refused}");
    }
    laptop.run("status").await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
