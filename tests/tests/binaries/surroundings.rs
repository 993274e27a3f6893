//! The daemon among other things of the machine: sockets, supervisor, secrets.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::UnixDatagram;

use super::harness::{Home, PATIENCE, Script, Signal, eventually, quoted};

/// Returns the inodes of the sockets that a process holds.
fn sockets_of(pid: u32) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let inode = |target: std::path::PathBuf| {
        Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    targets.filter_map(inode).collect()
}

/// Returns the rows of one table of `/proc/PID/net` that belong to the process's own sockets.
fn own_rows(pid: u32, table: &str) -> Vec<String> {
    let own = sockets_of(pid);
    assert!(!own.is_empty(), "the daemon has no socket at all");
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let is_own = |line: &&str| line.split_whitespace().any(|word| own.contains(word));
    text.lines().skip(1).filter(is_own).map(str::to_owned).collect()
}

#[tokio::test]
async fn nothing_listens_on_the_network() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let daemon = home.start().await;
    home.tell(&["agent", "-m", "hi"]).await.ok();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        assert_eq!(own_rows(daemon.pid(), table), Vec::<String>::new(), "{table}");
    }
    // What it does have is found by the same look.
    let unix = own_rows(daemon.pid(), "unix");
    assert!(unix.iter().any(|row| row.ends_with("gateway.sock")), "{unix:?}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Returns how many connections to the socket the kernel knows, the listening end not counted.
fn connections(pid: u32, socket: &Path) -> usize {
    let socket = socket.to_str().unwrap();
    let rows = own_rows(pid, "unix").into_iter().filter(|row| row.ends_with(socket));
    // The fourth column has the flag of a socket that listens.
    rows.filter(|row| row.split_whitespace().nth(3) != Some("00010000")).count()
}

#[tokio::test]
async fn the_gateway_never_dials_itself() {
    let await_file = |made: &str, awaited: &str| {
        format!("touch {made}; while [ ! -e {awaited} ]; do sleep 0.02; done; echo {made}")
    };
    let again = quoted(&await_file("second", "on"));
    let script = Script::default()
        .command("work", &await_file("first", "go"))
        .reply(&[
            ("afterTool", quoted("exec")),
            ("toolCalls", format!("[{{ name = \"exec\", arguments = {{ command = {again} }} }}]")),
            ("times", "1".to_owned()),
        ])
        .tell_results();
    let home = Home::with(&script);
    let workspace = home.workspace();
    let daemon = home.start().await;
    let mut client =
        home.openclaw(&["agent", "-m", "work", "--idempotency-key", "w"]).spawn().unwrap();
    eventually("the command works", async || workspace.join("first").exists().then_some(())).await;
    assert_eq!(connections(daemon.pid(), &home.socket()), 1, "the client's is not seen");
    client.kill().await.unwrap();
    eventually("the client's connection is gone", async || {
        (connections(daemon.pid(), &home.socket()) == 0).then_some(())
    })
    .await;
    // The run goes on from one command over the model to the next, and nobody is connected.
    std::fs::write(workspace.join("go"), "").unwrap();
    eventually("the next command works", async || {
        let seen = connections(daemon.pid(), &home.socket());
        assert_eq!(seen, 0, "somebody dialed the gateway during a run");
        workspace.join("second").exists().then_some(())
    })
    .await;
    std::fs::write(workspace.join("on"), "").unwrap();
    assert!(home.run("runs wait w").await.ok().contains("second"));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn the_supervisor_is_told() {
    let mut home = Home::new();
    let path = home.path("notify.sock");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    home.variable("NOTIFY_SOCKET", path.to_str().unwrap());
    let daemon = home.spawn();
    let mut buffer = vec![0; 4096];
    let mut told = async || {
        let received = tokio::time::timeout(PATIENCE, supervisor.recv(&mut buffer)).await;
        let length = received.expect("the supervisor hears nothing").unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert!(told().await.lines().any(|line| line == "READY=1"));
    // Ready means ready: the next request is served without waiting.
    assert_eq!(home.run("health").await.ok(), "serving\n");
    let stopped = daemon.stop(Signal::Terminate);
    let (code, message) = tokio::join!(stopped, told());
    assert!(message.lines().any(|line| line == "STOPPING=1"), "{message}");
    assert_eq!(code, 0);
}

#[tokio::test]
async fn the_key_of_a_provider_is_never_shown() {
    let secret = "sk-very-secret-0123456789";
    let mut home = Home::new();
    home.variable("PROVIDER_KEY", secret);
    // A port that nobody listens on: every call fails, and errors must not show the key either.
    home.configure(
        "[models.providers.far]\napi = \"openai-completions\"\nbaseUrl = \"http://127.0.0.1:1/v1\"\n\
         apiKey = { env = \"PROVIDER_KEY\" }\n[agents.defaults]\nmodel = { primary = \"far/model\" }\n",
    );
    home.variable("OPENCLAW_LOG", "trace");
    let daemon = home.start().await;
    let mut seen = String::new();
    for line in [
        "config show",
        "config show --json",
        "status --json",
        "models list --json",
        "agents show main --prompt",
        "models test --json",
        "models test",
        "agent -m hi --timeout 2s --json-stream",
        "runs list --json",
        "sessions history main --json",
        "audit export",
        "agents show main --json",
        "config check --json",
    ] {
        let told = home.run(line).await;
        assert_ne!((told.out.as_str(), told.err.as_str()), ("", ""), "{line}: {told}");
        seen.push_str(&told.to_string());
    }
    assert!(seen.contains("PROVIDER_KEY"), "the reference is shown");
    assert!(seen.contains("\"credential\":\"present\""), "{seen}");
    assert!(!seen.contains(secret) && !seen.contains("very-secret"), "{seen}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    assert!(home.log().contains("ready") && !home.log().contains("very-secret"), "the log has it");
    for entry in std::fs::read_dir(home.state()).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("very-secret"), "{:?} has it", entry.path());
    }
}

#[tokio::test]
async fn the_state_is_private() {
    let home = Home::with(&Script::default().answer("hi", "hello"));
    let daemon = home.start().await;
    home.tell(&["agent", "-m", "hi"]).await.ok();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.state()), 0o700);
    for name in ["gateway.sock", "audit.key", "audit.head", "gateway.lock"] {
        eventually(name, async || home.state().join(name).exists().then_some(())).await;
        assert_eq!(mode(&home.state().join(name)), 0o600, "{name}");
    }
    let holder = std::fs::read_to_string(home.state().join("gateway.lock")).unwrap();
    assert_eq!(holder.trim(), daemon.pid().to_string());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
