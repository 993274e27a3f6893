//! What happens without a gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::process::Command;

use crate::process::{openclaw, parts, run};

#[tokio::test]
#[rustfmt::skip]
async fn no_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().display().to_string();
    let absent = "error: no gateway listens on `STATE/gateway.sock`\nnext: openclaw --state-dir STATE gateway run\n";
    let unknown = "error: no fingerprint is known of the gateway at `home:1`\nnext: openclaw connect LINK, or --fingerprint with what `openclaw gateway fingerprint` prints on its machine\n";
    for (line, code, out, err) in [
        ("agent -m hi",                       69, "", absent),
        ("sessions list",                     69, "", absent),
        ("status",                            69, "", absent),
        ("health",                            69, "", absent),
        ("health --wait 60ms",                69, "", absent),
        ("--gateway https://home:1 status",   78, "", unknown),
        ("--gateway home status",             78, "", "error: no context is called `home`\nnext: openclaw context list\n"),
        ("config path",                       0,  "STATE/openclaw.toml\n", ""),
        ("context list",                      0,  "", "no contexts\n"),
        ("context list --json",               0,  "{\"current\":\"\",\"contexts\":[]}\n", ""),
    ] {
        let (told, stdout, stderr) = run(directory.path(), line).await;
        let (stdout, stderr) = (stdout.replace(&state, "STATE"), stderr.replace(&state, "STATE"));
        assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
    }
    let (code, _, err) = run(directory.path(), "agent -m hi --json").await;
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, &error["error"]["code"]), (69, &"UNREACHABLE".into()));
}

#[tokio::test]
async fn contexts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("contexts.toml");
    let text = "[contexts.away]\ngateway = \"unix:/nowhere/gateway.sock\"\n";
    std::fs::write(&file, text).unwrap();
    assert_eq!(run(directory.path(), "context use away").await.0, 0);
    let (code, _, err) = run(directory.path(), "status").await;
    assert_eq!(code, 69);
    assert!(err.contains("/nowhere/gateway.sock"), "{err}");
    let (_, out, _) = run(directory.path(), "context list").await;
    assert!(out.contains("*"), "{out}");
    assert_eq!(run(directory.path(), "context rm away").await.0, 2);
    assert_eq!(run(directory.path(), "context rm away --dry-run").await.0, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("away"));
    assert_eq!(run(directory.path(), "context rm away --yes").await.0, 0);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("away"));
    assert_eq!(run(directory.path(), "context use away").await.0, 78);
}

#[tokio::test]
async fn the_originals_state_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("openclaw.json"), "{}").unwrap();
    for line in ["status", "agent -m hi", "gateway run", "config check"] {
        let (code, _, err) = run(directory.path(), line).await;
        assert_eq!(code, 78, "{line}");
        assert!(err.contains("--state-dir") && err.contains("import"), "{err}");
    }
    assert_eq!(run(directory.path(), "completion bash").await.0, 0);
}

/// Both programs in one directory; the daemon is a script that tells how it was called.
fn installed(directory: &Path) -> std::path::PathBuf {
    let program = directory.join("openclaw");
    let built = env!("CARGO_BIN_EXE_openclaw");
    std::fs::hard_link(built, &program)
        .or_else(|_| std::fs::copy(built, &program).map(drop))
        .unwrap();
    let daemon = directory.join("openclaw-gateway");
    std::fs::write(&daemon, "#!/bin/sh\necho \"$@\"\nexit 41\n").unwrap();
    std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
#[rustfmt::skip]
async fn the_daemons_program_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let program = installed(directory.path());
    let digest = "ab".repeat(32);
    let verify = format!("audit verify --head 7:{digest}");
    let verify_passed = format!("offline audit verify --head 7:{digest}");
    for (line, passed) in [
        ("config check",                      "offline config check"),
        ("config check --json",               "offline config check --json"),
        ("audit verify --json",               "offline audit verify --json"),
        ("gateway fingerprint",               "offline fingerprint"),
        ("gateway fingerprint --json",        "offline fingerprint --json"),
        ("devices list --offline",            "offline devices list"),
        ("devices list --offline --json",     "offline devices list --json"),
        ("devices approve r1@2 --scopes operator.read,operator.write --offline", "offline devices approve r1@2 --scopes operator.read,operator.write"),
        ("devices revoke 21fe31 --offline --yes", "offline devices revoke 21fe31"),
        ("devices revoke --all --offline --yes --json", "offline devices revoke --all --json"),
        (verify.as_str(),                     verify_passed.as_str()),
        ("gateway run",                       ""),
        ("gateway run --config x -v",         "--config x -v"),
    ] {
        let mut command = Command::new(&program);
        command.env_clear().args(["--state-dir", "/absent"]).args(line.split_whitespace());
        let (code, out, err) = parts(&command.output().await.unwrap());
        let expected = format!("--state-dir /absent {passed}");
        assert_eq!((code, out.trim_end()), (41, expected.trim_end()), "{line}: {err}");
    }
    // Another gateway than that of the state directory is not verified offline.
    let mut command = Command::new(&program);
    command.env_clear().args(["--state-dir", "/absent", "--gateway", "unix:/absent/x"]);
    let told = command.args(["audit", "verify"]).output().await.unwrap();
    assert_eq!(parts(&told).0, 69);
}

#[tokio::test]
async fn the_plain_things() {
    let directory = tempfile::tempdir().unwrap();
    let version = format!("openclaw {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(directory.path(), "--version").await, (0, version, String::new()));
    assert_eq!(run(directory.path(), "--help").await.0, 0);
    assert_eq!(run(directory.path(), "frobnicate").await.0, 2);
    let (code, _, err) = parts(
        &openclaw(directory.path(), "")
            .env_clear()
            .args(["agent", "-m", ""])
            .output()
            .await
            .unwrap(),
    );
    assert_eq!(code, 2, "{err}");
}
