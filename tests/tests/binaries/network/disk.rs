//! What lies on disk afterwards: keys for their owner alone, and secrets nowhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use openclaw_client::Link;

use super::super::harness::{Home, Signal};
use super::{first, gateway_home, invite, reached, told_with};

/// Every file below a directory.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn keys_are_private_and_secrets_are_kept_nowhere() {
    let (home, laptop) = (gateway_home(), Home::new());
    let daemon = home.start().await;
    let (url, fingerprint) = reached(&home).await;
    let text = invite(&home, "operator.write").await;
    let wrong = invite(&home, "operator.write").await;
    laptop.run(&format!("connect {text}")).await.ok();
    laptop.tell(&["agent", "-m", "hello"]).await.ok();
    let token = home.run("tokens create --name ci --scopes operator.read --ttl 1d --json").await;
    let token = token.json()["secret"].as_str().unwrap().to_owned();
    let variables = [
        ("OPENCLAW_GATEWAY", url.as_str()),
        ("OPENCLAW_GATEWAY_FINGERPRINT", &fingerprint),
        ("OPENCLAW_GATEWAY_TOKEN", &token),
    ];
    told_with(&laptop, &variables, "status").await.ok();
    assert_eq!(told_with(&laptop, &variables, "agents add notes").await.code, 77);

    let link: Link = text.parse().unwrap();
    let code = link.code.to_string();
    let device_key = std::fs::read_to_string(laptop.state().join("device.key")).unwrap();
    let seed = device_key.lines().last().unwrap().split_whitespace().last().unwrap();
    assert!(seed.len() >= 43, "32 bytes, however they are written");
    let open: Link = wrong.parse().unwrap();
    let secrets: [(&str, Vec<u8>); 7] = [
        ("the token", token.clone().into_bytes()),
        ("the token's secret", token.trim_start_matches("oct_").to_owned().into_bytes()),
        ("the device's seed", seed.to_owned().into_bytes()),
        ("the code", code.clone().into_bytes()),
        ("the code's secret part", first(&code, 19).to_owned().into_bytes()),
        ("the invitation's secret", link.code.secret.0.to_vec()),
        ("that of the open one", open.code.secret.0.to_vec()),
    ];
    let exported = home.run("audit export").await;
    assert_eq!(exported.code, 0, "{exported}");
    let shown = [
        ("the export", exported.out),
        ("the log", home.log()),
        ("devices", home.run("devices list --json").await.ok()),
        ("tokens", home.run("tokens list --json").await.ok()),
        ("the configuration", home.run("config show").await.ok()),
    ];
    for (what, text) in &shown {
        assert!(!text.is_empty(), "{what}");
        for (secret, bytes) in &secrets {
            assert!(!holds(text.as_bytes(), bytes), "{what} holds {secret}");
        }
    }
    // While it runs, with everything that SQLite leaves beside its file; and when it has stopped.
    let clean = || {
        let own = files(&home.state());
        assert!(own.iter().any(|path| path.ends_with("gateway.db")), "{own:?}");
        for path in own.iter().chain(&files(&home.path("home"))).chain(&files(&home.path("tmp"))) {
            let bytes = std::fs::read(path).unwrap();
            for (secret, part) in &secrets {
                assert!(!holds(&bytes, part), "{} holds {secret}", path.display());
            }
        }
        for path in files(&laptop.state()).iter().filter(|path| !path.ends_with("device.key")) {
            let bytes = std::fs::read(path).unwrap();
            for (secret, part) in &secrets {
                assert!(!holds(&bytes, part), "{} holds {secret}", path.display());
            }
        }
    };
    clean();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    clean();
    for (home, name) in [
        (&laptop, "device.key"),
        (&laptop, "contexts.toml"),
        (&home, "token.key"),
        (&home, "tls/key.pem"),
        (&home, "audit.key"),
        (&home, "gateway.db"),
    ] {
        let mode = std::fs::metadata(home.state().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
