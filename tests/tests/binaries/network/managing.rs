//! Looking after devices: seeing, naming, forgetting, and ending everything at once.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::super::harness::{Home, Signal};
use super::{first, gateway_home, join, reached, waits, words};

#[tokio::test]
async fn devices_are_seen_named_and_forgotten() {
    let (home, laptop, other) = (gateway_home(), Home::new(), Home::new());
    let daemon = home.start().await;
    let id = join(&home, &laptop, "operator.write,operator.approvals").await;
    join(&home, &other, "operator.read").await;
    assert_eq!(laptop.tell(&["devices", "upgrade", "--scopes", "operator.pairing"]).await.code, 0);

    home.tell(&["devices", "rename", first(&id, 6), "My laptop"]).await.ok();
    home.tell(&["devices", "rename", "--device", &id, "Her laptop"]).await.ok();
    let table = home.run("devices list").await.ok();
    for part in
        ["Her laptop", first(&id, 12), "operator.approvals", "operator.pairing", "invitation"]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
    let (named, request) = waits(&home).await;
    assert_eq!(request["kind"], "scope-upgrade");
    let pending = home.run("devices pending").await.ok();
    assert!(pending.contains(&named) && pending.contains(first(&id, 12)), "{pending}");
    let shown = home.run(&format!("devices show {} --json", first(&id, 6))).await.json();
    assert_eq!((&shown["id"], &shown["label"]), (&json!(id), &json!("Her laptop")));
    assert_eq!(words(&shown["approvedScopes"]), ["operator.approvals", "operator.write"]);
    assert_eq!(home.run("devices show ffffff").await.code, 1);
    let own = laptop.run("devices list --own --json").await.json();
    assert_eq!(
        (own["devices"].as_array().unwrap().len(), &own["devices"][0]["id"]),
        (1, &json!(id))
    );
    assert_eq!(
        laptop.run("devices list --json").await.error(77)["missingScopes"],
        json!(["operator.pairing"])
    );

    let shown = laptop.run("access show --json").await.json();
    assert_eq!(words(&shown["effectiveScopes"]), ["operator.read"], "this command needs no more");
    let shown = home.run(&format!("access show {id} --json")).await.json();
    assert_eq!(words(&shown["effectiveScopes"]), ["operator.approvals", "operator.write"]);
    let kinds: Vec<_> = shown["parts"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["baseline", "grant"]);
    for (method, is_allowed) in [("agent", true), ("agents.create", false)] {
        let told = home
            .run(&format!("access explain {method} --as {} --json", first(&id, 8)))
            .await
            .json();
        assert_eq!(told["principal"], json!(format!("device:{id}")));
        assert_eq!(told["verdicts"][0]["allowed"], json!(is_allowed), "{told}");
    }

    assert_eq!(home.run(&format!("devices remove {id}")).await.code, 2);
    let looked = home.run(&format!("devices remove {id} --dry-run")).await.ok();
    assert!(looked.starts_with("would remove") && looked.contains("Her laptop"), "{looked}");
    home.run(&format!("devices remove {id} --yes")).await.ok();
    let left = home.run("devices list --json").await.json();
    assert_eq!((left["devices"].as_array().unwrap().len(), &left["pending"]), (1, &json!([])));
    let refused = laptop.run("status --json").await.error(77);
    assert_eq!(refused["reason"], "PAIRING_REQUIRED", "it is as if it had never been here");
    // The log does not forget, and finds it by as much of its id as tables show.
    let of = async |who: &str| {
        let log = home.run(&format!("audit list --principal {who} --json")).await.json();
        log["records"].as_array().unwrap().len()
    };
    let all = of(&format!("device:{id}")).await;
    assert!(all > 0);
    for who in [&format!("device:{}", first(&id, 12)), first(&id, 12), first(&id, 6)] {
        assert_eq!(of(who).await, all, "{who}");
    }
    assert_eq!((of(first(&id, 5)).await, of("ffffff").await), (0, 0));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// A device that manages itself is told what it did.
#[tokio::test]
async fn a_device_manages_itself() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let id = join(&home, &laptop, "operator.write").await;
    laptop.tell(&["devices", "rename", &id, "Mine"]).await.ok();
    let rotated = laptop.run(&format!("devices rotate {id} --scopes operator.read")).await.ok();
    assert!(rotated.ends_with("it carries operator.read\n"), "{rotated}");
    let log = home.run("audit list --method device.token.rotate --json").await.json();
    assert_eq!(log["records"].as_array().unwrap().len(), 1, "once: {log}");
    assert_eq!(laptop.tell(&["agent", "-m", "hello"]).await.code, 77);
    assert!(
        laptop.run(&format!("devices revoke {id} --yes")).await.ok().starts_with("revoked device")
    );
    let refused = laptop.run("status --json").await.error(77);
    assert_eq!(refused["reason"], "DEVICE_REVOKED");
    assert!(refused["next"].as_str().unwrap().starts_with("openclaw connect on the device"));
    // It can ask again, as if it had never been approved; of a changed wish both are shown. The gateway
    // is the one that the device knows, whether it is named again or not.
    let (url, _) = reached(&home).await;
    assert_eq!(laptop.run("connect --wait 0s").await.code, 75);
    let changed = format!("connect {url} --wait 0s --scopes operator.admin");
    assert_eq!(laptop.run(&changed).await.code, 75);
    let (named, request) = waits(&home).await;
    assert_eq!((&request["kind"], &request["approvedScopes"]), (&json!("not-paired"), &json!([])));
    let pending = home.run("devices pending").await.ok();
    for part in [&named, "operator.admin", "revision 1: operator.write", "127.0.0.1"] {
        assert!(pending.contains(part), "{part}: {pending}");
    }
    home.run(&format!("devices approve {named} --scopes operator.admin")).await.ok();
    let connected = laptop.run("connect --json").await.json();
    assert_eq!(connected["context"], "127.0.0.1", "its context is the same as before");
    laptop.run("agents list").await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// A part of what was wanted is an answer, and not success.
#[tokio::test]
async fn an_upgrade_in_part_is_told() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    join(&home, &laptop, "operator.read").await;
    let upgrade = "devices upgrade --scopes operator.write,operator.admin --wait=30s";
    let (told, ()) = tokio::join!(laptop.run(upgrade), async {
        let (named, _) = waits(&home).await;
        let nothing = home.run(&format!("devices approve {named} --scopes operator.read")).await;
        assert!(nothing.err.contains("the device has it already: operator.read"), "{nothing}");
        home.run(&format!("devices approve {named} --scopes operator.write")).await.ok();
    });
    assert!(told.code == 77 && told.out.contains("operator.write: approved"), "{told}");
    assert!(told.err.contains("approved in part, without operator.admin"), "{told}");
    laptop.run("agent -m hello").await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn everything_ends_in_one_step() {
    let (home, laptop, phone) = (gateway_home(), Home::new(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    join(&home, &laptop, "operator.admin").await;
    let open = super::invite(&home, "operator.read").await;
    home.run("tokens create --name ci --scopes operator.read --ttl 1d --json").await.json();
    let connect = format!("connect {url} --fingerprint {fingerprint} --wait 0s");
    assert_eq!(phone.run(&connect).await.code, 75);

    let vague = home.run("devices revoke --all").await;
    assert!(vague.code == 2 && vague.err.contains("--all --yes"), "{vague}");
    let gone = json!({"devices": 1, "tokens": 1, "invitations": 1, "requests": 1});
    assert_eq!(home.run("devices revoke --all --dry-run --json").await.json(), gone);
    laptop.run("status").await.ok();
    assert_eq!(home.run("devices revoke --all --yes --json").await.json(), gone);
    assert_eq!(laptop.run("status --json").await.error(77)["reason"], "DEVICE_REVOKED");
    assert_eq!(Home::new().run(&format!("connect {open}")).await.code, 77);
    let listed = home.run("devices list --json").await.json();
    assert_eq!(
        (&listed["devices"][0]["status"], &listed["pending"]),
        (&json!("revoked"), &json!([]))
    );
    let tokens = home.run("tokens list --json").await.json();
    assert!(tokens["tokens"].as_array().unwrap().iter().all(|it| it["status"] == "revoked"));
    assert_eq!(phone.run(&connect).await.code, 77, "turned down");
    home.run("status").await.ok();
    join(&home, &laptop, "operator.read").await;
    laptop.run("status").await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn the_security_audit_finds_what_should_be_mended() {
    let (home, laptop) = (gateway_home(), Home::new());
    let path = home.state().join("openclaw.toml");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let daemon = home.start().await;
    let clean = home.run("security audit --json").await.json();
    assert_eq!(clean["findings"], json!([]), "{clean}");
    let id = join(&home, &laptop, "operator.admin").await;
    let told = home.run("security audit --json").await;
    assert_eq!(told.code, 1, "{told}");
    let findings: Value = serde_json::from_str(&told.out).unwrap();
    let [finding] = findings["findings"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!(
        (&finding["id"], &finding["severity"]),
        (&json!("devices.admin_scope"), &json!("warn"))
    );
    assert_eq!(finding["subject"], json!(format!("device:{id}")));
    // What mends it, as it says.
    let fix = finding["fix"].as_str().unwrap().strip_prefix("openclaw ").unwrap();
    home.run(fix).await.ok();
    home.run("security audit").await.ok();
    assert_eq!(laptop.run("security audit --json").await.error(77)["reason"], "MISSING_SCOPE");
    std::fs::set_permissions(home.state().join("token.key"), Permissions::from_mode(0o640))
        .unwrap();
    let told = home.run("security audit").await;
    assert!(told.code == 1 && told.out.contains("critical  fs.key_mode"), "{told}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
