//! Starts that must not succeed: exit code 78, the cause, and what to do.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Home, Script, Signal, finish, signal};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The daemon ends with 78 and says all of this.
async fn refused(home: &Home, parts: &[&str]) {
    let told = home.refuses_to_start().await;
    assert_eq!((told.code, told.out.as_str()), (78, ""), "{told}");
    for part in parts {
        assert!(told.err.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_second_gateway_is_told_who_has_the_directory() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let daemon = home.start().await;
    let pid = format!("process {}", daemon.pid());
    refused(&home, &[&pid]).await;
    // The first one is not disturbed, and its socket is still its own.
    assert_eq!(home.tell(&["agent", "-m", "hi"]).await.ok(), "hello\n");
    assert_eq!(home.run("status --json").await.json()["pid"], daemon.pid());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let next = home.start().await;
    assert_eq!(next.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_directory_that_is_not_private() {
    let home = Home::new();
    for mode in [0o755, 0o750, 0o701] {
        set_mode(&home.state(), mode);
        let advice = format!("chmod 700 {}", home.state().display());
        refused(&home, &[&advice, &format!("{mode:o}")]).await;
    }
    assert!(!home.state().join("gateway.lock").exists());
}

/// A user who is not root cannot give a directory away, and root is not stopped by its mode: each
/// sees the case that exists for it.
#[tokio::test]
async fn a_directory_that_cannot_be_used() {
    let home = Home::new();
    if is_root() {
        std::os::unix::fs::chown(home.state(), Some(12345), None).unwrap();
        refused(&home, &["belongs to uid 12345", "this process is uid 0"]).await;
        std::os::unix::fs::chown(home.state(), Some(0), None).unwrap();
    } else {
        set_mode(&home.state(), 0o500);
        refused(&home, &["cannot be"]).await;
        set_mode(&home.state(), 0o700);
    }
    let daemon = home.start().await;
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_directory() {
    let home = Home::new();
    std::fs::remove_dir(home.state()).unwrap();
    std::fs::write(home.state(), "").unwrap();
    refused(&home, &["cannot be used"]).await;
}

#[tokio::test]
async fn a_path_that_no_socket_can_have() {
    let home = Home::new();
    let long = home.state().join("x".repeat(100));
    let mut command = home.bare_gateway();
    command.env("OPENCLAW_STATE_DIR", &long);
    let told = finish(command.spawn().unwrap()).await;
    assert_eq!(told.code, 78, "{told}");
    assert!(
        told.err.contains("too long for a socket") && told.err.contains("--state-dir"),
        "{told}"
    );
    assert!(!long.exists());
}

#[tokio::test]
async fn an_installation_of_the_original_is_left_alone() {
    for name in ["openclaw.json", "state/openclaw.sqlite"] {
        let home = Home::new();
        let path = home.state().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        refused(&home, &["Node.js OpenClaw", "--state-dir"]).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        let mine: Vec<PathBuf> =
            std::fs::read_dir(home.state()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        let told = home.run("status").await;
        assert_eq!(told.code, 78, "{told}");
    }
}

#[tokio::test]
#[rustfmt::skip]
async fn a_configuration_that_is_not_right() {
    for (toml, parts) in [
        ("[gateway]\ndrain_seconds = 3\n",       &["line 2, column 1:",  "`drain_seconds`", "`drainSeconds`"][..]),
        ("[gateway]\ndrainSecond = 3\n",         &["line 2, column 1:",  "`drainSecond`",   "`drainSeconds`"]),
        ("\n[gatway]\n",                         &["line 2, column 2:",  "`gatway`",        "`gateway`"]),
        ("[gateway]\ndrainSeconds = \"soon\"\n", &["line 2, column 16:", "drainSeconds"]),
        ("[gateway\n",                           &["line 1, column "]),
        ("[tools.exec]\nsandbox = \"none\"\n",   &["line 2, column 11:", "workspace"]),
        ("[agents.defaults]\ntimeout_seconds = 1\n", &["line 2, column 1:", "`timeoutSeconds`"]),
    ] {
        let mut home = Home::new();
        home.configure(toml);
        let file = home.state().join("openclaw.toml");
        refused(&home, &[file.to_str().unwrap()]).await;
        refused(&home, parts).await;
        // The check without a gateway says the same.
        let told = home.run("config check").await;
        assert_eq!(told.code, 78, "{told}");
        for part in parts {
            assert!(told.err.contains(part), "{part}: {told}");
        }
        assert!(!home.state().join("gateway.db").exists());
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_there() {
    let home = Home::new();
    let mut command = home.bare_gateway();
    command.arg("--config").arg(home.path("absent.toml")).arg("--state-dir").arg(home.state());
    let told = finish(command.spawn().unwrap()).await;
    assert_eq!(told.code, 78, "{told}");
    assert!(told.err.contains("absent.toml"), "{told}");
}

#[tokio::test]
async fn a_database_that_is_none() {
    let home = Home::new();
    std::fs::write(home.state().join("gateway.db"), "garbage ".repeat(4096)).unwrap();
    refused(&home, &["damaged"]).await;
    let kept = std::fs::read_to_string(home.state().join("gateway.db")).unwrap();
    assert!(kept.starts_with("garbage "), "it was changed");
}

#[tokio::test]
async fn rows_without_their_key() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let daemon = home.start().await;
    home.tell(&["agent", "-m", "hi"]).await.ok();
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let (key, aside) = (home.state().join("audit.key"), home.path("audit.key"));
    std::fs::rename(&key, &aside).unwrap();
    refused(&home, &["audit.key is missing", "put the key back"]).await;
    assert!(!key.exists(), "a new key hides the loss of the old one");
    std::fs::rename(&aside, &key).unwrap();
    let daemon = home.start().await;
    assert_eq!(home.run("audit verify --json").await.json()["ok"], true);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// A database that was put back from a copy: the log ends before the head that was told last.
#[tokio::test]
async fn a_log_that_was_cut_is_noticed() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let (database, copy) = (home.state().join("gateway.db"), home.path("copy.db"));
    for _ in 0..2 {
        let daemon = home.start().await;
        home.tell(&["agent", "-m", "hi"]).await.ok();
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
        if !copy.exists() {
            std::fs::copy(&database, &copy).unwrap();
        }
    }
    assert_eq!(home.run("audit verify").await.code, 0);
    std::fs::rename(&copy, &database).unwrap();
    let found = async |kind: &str| {
        let told = home.run("audit verify --json").await;
        assert_eq!((told.code, told.err.as_str()), (1, ""), "{told}");
        let mut report: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!((&report["ok"], &report["findings"][0]["sequence"]), (&json!(false), &json!(2)));
        assert_eq!(report["findings"][0]["kind"].take(), kind, "{told}");
    };
    found("truncated").await;
    // A gateway that starts on it goes on, and what it adds does not hide what is gone.
    let daemon = home.start().await;
    found("truncated").await;
    home.tell(&["agent", "-m", "hi"]).await.ok();
    found("rewritten").await;
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    found("rewritten").await;
}

#[tokio::test]
async fn the_command_line_becomes_the_daemon() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let mut daemon = home.openclaw(&["gateway", "run", "--", "--log", "warn"]).spawn().unwrap();
    assert_eq!(home.run("health --wait 60s").await.ok(), "serving\n");
    let pid = daemon.id().unwrap();
    assert_eq!(home.run("status --json").await.json()["pid"], pid);
    assert_eq!(home.tell(&["agent", "-m", "hi"]).await.ok(), "hello\n");
    signal(pid, Signal::Terminate);
    assert_eq!(daemon.wait().await.unwrap().code(), Some(0));
}
