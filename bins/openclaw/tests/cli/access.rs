//! Verbs about devices, tokens and authority, here and from another machine.

use std::path::Path;

use crate::network::{DEVICE, Fake};
use crate::process::{openclaw, parts, run};

#[tokio::test]
#[rustfmt::skip]
async fn here() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::serve(directory.path()).await;
    let next = |scopes: &str| format!("next: openclaw --state-dir STATE devices approve {scopes}\n");
    let devices = "DEVICE        NAME    ROLE      STATUS  APPROVED                          CARRIES        REQUESTED  USED  APPROVED BY  THROUGH\n\
                   abcdef012345  Laptop  operator  active  operator.approvals operator.read  operator.read  -          -     -            -\n";
    let requests = "REQUEST  DEVICE                            NAME  KIND           REQUESTED       BEFORE  APPROVED  FROM  ASKED  LAPSES\n\
                    r1@2     abcdef0123456789abcdef0123456789  -     not-paired     operator.admin  -       nothing   -     -      -\n\
                    r2@2     abcdef0123456789abcdef0123456789  -     scope-upgrade  operator.write  -       nothing   -     -      -\n";
    let bare = format!("error: an approval names the revision that was looked at: r1@2\n{}", next("r1@2 --scopes operator.write"));
    let upgrade = format!("error: name what the device gets beside what it has\n{}", next("r2@2 --scopes operator.write"));
    let id = DEVICE;
    for (line, code, out, err, call) in [
        ("devices list",                  0, format!("{devices}\n{requests}").as_str(), "", ""),
        ("devices pending",               0, requests, "", ""),
        ("devices approve r1@2",          0, "approved device abcdef012345 (Laptop) for operator.write\n", "left out: operator.admin; name it with --scopes to grant it\n", "approve r1@2 operator.write"),
        ("devices approve r1@1 --scope operator.admin", 0, "approved device abcdef012345 (Laptop) for operator.admin\n", "", "approve r1@1 operator.admin"),
        ("devices approve r1@2 --all-requested", 0, "approved device abcdef012345 (Laptop) for operator.admin\n", "", "approve r1@2 operator.admin"),
        ("devices approve r1",            2, "", &bare, ""),
        ("devices approve r2@2",          2, "", &upgrade, ""),
        ("devices approve r7@1",          1, "", "error: no request `r7@1` waits\nnext: openclaw --state-dir STATE devices pending\n", ""),
        ("devices reject r1",             0, "rejected request r1@2\n", "", "reject r1"),
        ("devices rotate abcdef",         0, "rotated device abcdef012345 (Laptop); it carries operator.read\n", "", "rotate abcdef operator [] true"),
        ("devices rotate abcdef --no-scopes", 0, "rotated device abcdef012345 (Laptop); it carries operator.read\n", "", "rotate abcdef operator [] false"),
        ("devices revoke abcdef",         2, "", "error: the authority of device `abcdef` would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE devices revoke abcdef --yes\n", ""),
        ("devices revoke abcdef --dry-run", 0, "would revoke device abcdef012345 (Laptop)\n", "", ""),
        ("devices revoke abcdef --yes",   0, "revoked device abcdef012345 (Laptop)\n", "", "revoke abcdef operator"),
        ("devices revoke --all --dry-run", 0, "would revoke 1 devices, 1 tokens and 1 invitations, and turn down 2 requests\n", "", ""),
        ("devices revoke --all --yes",    0, "revoked 1 devices, 0 tokens and 0 invitations, and turned down 0 requests\n", "", "revoke all"),
        ("devices rm abcdef --yes",       0, "removed device abcdef012345 (Laptop)\n", "", "remove abcdef"),
        ("devices rename abcdef Desk",    0, "renamed device abcdef012345 (Laptop)\n", "", "rename abcdef Desk"),
        ("devices rename --device abcdef Desk", 0, "renamed device abcdef012345 (Laptop)\n", "", "rename abcdef Desk"),
        ("devices rename Desk",           2, "", "error: name one device and one label\nnext: openclaw devices rename DEVICE LABEL\n", ""),
        ("devices invite --ttl 1d --address home:1", 0, "link:  openclaw://connect/home:1/x\ncode:  x\nfor:   operator.read operator.write\n", "On the other machine: openclaw connect LINK. It is good once; whoever has it first is let in.\n", "invite operator.read operator.write 86400 home:1"),
        ("devices uninvite inv_1",        2, "", "error: invitation `inv_1` would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE devices uninvite inv_1 --yes\n", ""),
        ("devices uninvite inv_1 --dry-run", 0, "would withdraw invitation inv_1 for operator.read\n", "", ""),
        ("devices uninvite inv_1 --yes",  0, "withdrew invitation inv_1 for nothing\n", "", "uninvite inv_1"),
        ("devices uninvite inv_2 --yes",  1, "", "error: no invitation `inv_2` is open\nnext: openclaw --state-dir STATE devices invitations\n", ""),
        ("tokens create --name ci --scopes operator.read --ttl 30d", 0, "oct_secret\n", "token ci for operator.read\nThe secret is not told again; keep it where only its user reads it.\n", "token ci operator.read 30"),
        ("tokens create --name ci --ttl 30d", 2, "", "error: a token needs scopes\nnext: openclaw --state-dir STATE tokens create --name NAME --scopes operator.read --ttl 30d\n", ""),
        ("tokens revoke ci --dry-run",    0, "would revoke token ci\n", "", ""),
        ("tokens revoke ci --yes",        0, "revoked token ci\n", "", "revoke token ci"),
        ("security audit",                1, "9 checks, 1 findings\n\nSEVERITY  CHECK               ABOUT  FOUND  MENDED BY\nwarn      devices.never_used  -      -      openclaw devices remove abcdef\n", "", ""),
    ] {
        fake.seen().calls.clear();
        let (told, stdout, stderr) = run(directory.path(), line).await;
        let stderr = stderr.replace(&directory.path().display().to_string(), "STATE");
        assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        assert_eq!(fake.seen().calls.join(","), call, "{line}");
    }
    let fingerprint = format!("{}\n", fake.fingerprint);
    assert_eq!(run(directory.path(), "gateway fingerprint").await, (0, fingerprint, String::new()));
    let (_, out, _) = run(directory.path(), "devices show abcd --json").await;
    assert!(out.contains(id) && out.contains("\"status\":\"active\""), "{out}");
    for (line, call) in [("access show abcdef", "show device:abcdef"), ("access explain agent --as owner", "explain owner")] {
        fake.seen().calls.clear();
        assert_eq!(run(directory.path(), line).await.0, 0, "{line}");
        assert_eq!(fake.seen().calls, [call]);
    }
    // The command of the report, as it stands there.
    fake.seen().calls.clear();
    let line = format!("devices rotate --device {id} --role operator --scope operator.admin --scope operator.approvals --scope operator.pairing --scope operator.write");
    assert_eq!(run(directory.path(), &line).await.0, 0);
    let scopes = r#"["operator.admin", "operator.approvals", "operator.pairing", "operator.write"]"#;
    assert_eq!(fake.seen().calls, [format!("rotate {id} operator {scopes} false")]);
}

/// Pairs a state directory with the gateway.
async fn pair(state: &Path, fake: &Fake) {
    let line = format!("connect https://{} --fingerprint {}", fake.address, fake.fingerprint);
    let (code, out, err) = run(state, &line).await;
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test]
async fn connecting_remembers_the_gateway() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    let state = here.path().join("state");
    let secret = openclaw_client::InvitationSecret([5; 12]);
    let code = openclaw_client::InvitationCode::new(secret, &fake.fingerprint);
    let line =
        format!("connect openclaw://connect/127.0.0.1:1,{}/{code} --name home", fake.address);
    let (told, out, err) = run(&state, &line).await;
    assert_eq!((told, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("approved for:  operator.write"), "{out}");
    let contexts = std::fs::read_to_string(state.join("contexts.toml")).unwrap();
    assert!(contexts.contains(&fake.fingerprint.to_string()), "{contexts}");
    assert!(contexts.contains("current = \"home\""), "{contexts}");

    fake.seen().calls.clear();
    assert_eq!(run(&state, "status --request-access").await.0, 0);
    assert_eq!(fake.seen().calls, ["status 1 Bearer oca_1"]);

    // Again, and as JSON; and never over another gateway of that name.
    let (told, out, _) = run(&state, &format!("{line} --json")).await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((told, &json["context"]), (0, &"home".into()));
    assert_eq!(json["approvedScopes"][0], "operator.write");
    let other = Fake::serve(&here.path().join("state")).await;
    let line = format!(
        "connect https://{} --fingerprint {} --name home",
        other.address, other.fingerprint
    );
    let (told, _, err) = run(&state, &line).await;
    assert_eq!(told, 2, "{err}");
}

#[tokio::test]
//= docs/threat-model.md#T27
async fn another_gateway_is_refused() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    let line = format!(
        "--gateway https://{} --fingerprint {} status --json",
        fake.address,
        "ab".repeat(32)
    );
    let (code, _, err) = run(here.path(), &line).await;
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, &error["error"]["reason"]), (77, &"FINGERPRINT_MISMATCH".into()));
    assert!(fake.seen().connects.is_empty());
}

#[tokio::test]
//= docs/threat-model.md#T28
async fn a_device_without_an_invitation_asks_and_waits() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    fake.seen().unpaired = 1;
    pair(here.path(), &fake).await;
    let asked = [("operator.admin", "nothing"), ("operator.read operator.write", "upgrade")];
    let asked = asked.map(|(wish, asks)| (wish.to_owned(), asks.to_owned()));
    assert_eq!(fake.seen().connects, asked);

    fake.seen().unpaired = 9;
    let line =
        format!("connect https://{} --fingerprint {} --wait 0", fake.address, fake.fingerprint);
    let (code, _, err) = run(here.path(), &line).await;
    assert_eq!(code, 75, "{err}");
    let command = "openclaw devices approve r9@1 --scopes operator.read";
    assert!(err.contains(&format!("on the gateway's machine: {command}\n")), "{err}");
    // Other verbs do not ask.
    let (code, _, err) = run(here.path(), "status").await;
    assert_eq!((code, err), (77, format!("error: not now\nrequest: r9\nnext: {command}\n")));
    assert_eq!(fake.seen().connects.last().unwrap().1, "nothing");
}

#[tokio::test]
#[rustfmt::skip]
//= docs/threat-model.md#T31
async fn each_verb_connects_with_the_least_it_needs() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    pair(here.path(), &fake).await;
    for (line, wishes) in [
        ("status",                                    &["operator.read"][..]),
        ("sessions list",                             &["operator.sessions.read"]),
        ("agent -m hi",                               &["operator.write"]),
        ("audit list --own",                          &["operator.read"]),
        ("audit list",                                &["operator.admin"]),
        ("health",                                    &["operator.sessions.read"]),
        ("devices list",                              &["operator.pairing"]),
        ("devices list --own",                        &["operator.sessions.read"]),
        ("devices upgrade --scopes operator.write",   &["operator.sessions.read"]),
        ("devices rename abcdef Desk",                &["operator.pairing"]),
        ("devices approve r1@2 --scopes operator.read", &["operator.pairing operator.read"]),
        ("devices rotate abcdef --scope operator.talk", &["operator.pairing", "operator.approvals operator.pairing operator.read operator.talk"]),
        ("devices revoke abcdef --yes",               &["operator.pairing", "operator.approvals operator.pairing operator.read"]),
        ("devices invite --scopes operator.approvals", &["operator.approvals operator.pairing"]),
        ("devices uninvite inv_1 --yes",              &["operator.pairing", "operator.pairing operator.read"]),
        ("tokens create --name ci --scopes operator.read --ttl 1d", &["operator.pairing operator.read"]),
        ("tokens revoke ci --yes",                    &["operator.pairing", "operator.pairing operator.write"]),
        ("message send --to 1 -m hi --wait 1s",       &["operator.write"]),
        ("message send --channel webhook --to https://x -m hi", &["operator.admin"]),
        ("message poll --to 1 --question hi --option a --option b", &["operator.write"]),
        ("delivery list",                             &["operator.read"]),
        ("delivery retry dl-1",                       &["operator.read", "operator.admin"]),
        ("delivery discard dl-1 --yes",               &["operator.read", "operator.admin"]),
        ("delivery discard dl-1 --dry-run",           &["operator.read"]),
        ("channels status",                           &["operator.read"]),
        ("pairing list",                              &["operator.pairing"]),
        ("pairing approve telegram CODE",             &["operator.pairing operator.write"]),
        ("pairing remove telegram 1 --yes",           &["operator.pairing operator.write"]),
        ("pairing remove telegram 1 --dry-run",       &["operator.pairing"]),
        ("system event --text hi --wait 1s",          &["operator.write"]),
        ("system show e1",                            &["operator.read"]),
        ("system wake",                               &["operator.write"]),
        ("cron add --name n --every 5m --message hi", &["operator.write"]),
        ("cron add --name n --every 5m --message hi --announce --to 1", &["operator.write"]),
        ("cron add --name n --every 5m --message hi --webhook https://x", &["operator.admin"]),
    ] {
        fake.seen().connects.clear();
        run(here.path(), line).await;
        let seen = fake.seen();
        let told: Vec<_> = seen.connects.iter().map(|(wish, _)| wish.as_str()).collect();
        assert_eq!(told, wishes, "{line}");
        assert!(seen.connects.iter().all(|(_, asks)| asks == "nothing"), "{line}");
    }
    // What is on its own behalf, a device decides about with operator.write.
    fake.seen().connects.clear();
    run(here.path(), "delivery retry own").await;
    assert_eq!(fake.seen().connects[1].0, "operator.write");
    // A device manages itself without operator.pairing.
    let line = format!("connect https://{} --fingerprint {} --json", fake.address, fake.fingerprint);
    let (_, out, _) = run(here.path(), &line).await;
    let own: serde_json::Value = serde_json::from_str(&out).unwrap();
    fake.seen().connects.clear();
    let line = format!("devices rotate {} --scope operator.read", own["deviceId"].as_str().unwrap());
    assert_eq!(run(here.path(), &line).await.0, 0);
    assert_eq!(fake.seen().connects[1].0, "operator.read operator.write");
}

#[tokio::test]
async fn upgrades_and_refusals_name_their_request() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    pair(here.path(), &fake).await;
    let line = "devices upgrade --scopes operator.write";
    let (code, out, err) = run(here.path(), line).await;
    assert_eq!((code, out.as_str()), (0, "request r3@2 for operator.write: pending\n"));
    assert!(err.contains("openclaw devices approve r3@2 --scopes operator.write"), "{err}");
    let (code, _, err) = run(here.path(), &format!("{line} --wait")).await;
    assert_eq!(code, 77, "{err}");
    fake.seen().refuses = true;
    let (code, _, err) = run(here.path(), "status --json").await;
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, &error["error"]["requestId"]), (77, &"r9".into()));
    assert_eq!(error["error"]["missingScopes"][0], "operator.read");
    let (_, _, err) = run(here.path(), "status").await;
    assert_eq!(err, "error: not now\nrequest: r9\nnext: openclaw devices approve r9\n");
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn a_token_in_the_environment() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fake = Fake::serve(there.path()).await;
    let secret = format!("oct_{}", "A".repeat(43));
    let remote =
        format!("--gateway https://{} --fingerprint {} status", fake.address, fake.fingerprint);
    for (state, line) in [(here.path(), remote.as_str()), (there.path(), "status")] {
        let mut command = openclaw(state, line);
        let told = command.env("OPENCLAW_GATEWAY_TOKEN", &secret).output().await.unwrap();
        assert_eq!(parts(&told).0, 0);
        assert_eq!(fake.seen().calls.pop().unwrap(), format!("status 0 Bearer {secret}"));
    }
    assert!(fake.seen().connects.is_empty());
    assert!(!here.path().join("device.key").exists());
    let mut command = openclaw(there.path(), "status");
    let told = command.env("OPENCLAW_GATEWAY_TOKEN", "oct_wrong").output().await.unwrap();
    let (code, _, err) = parts(&told);
    assert_eq!(code, 78);
    assert!(!err.contains("oct_wrong"), "{err}");
}
