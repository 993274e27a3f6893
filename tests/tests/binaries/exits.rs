//! The command line against a real daemon: exit codes, streams and the ways to a gateway.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::harness::{Home, Signal, Told, eventually, finish};
use super::verbs::script;

#[tokio::test]
async fn exit_codes() {
    let home = Home::with(&script());
    // Nobody is there: how to start one is said, and it is not an error of usage.
    let alone = home.run("status").await;
    let start = format!("next: openclaw --state-dir {} gateway run", home.state().display());
    assert_eq!((alone.code, alone.out.as_str()), (69, ""), "{alone}");
    assert!(alone.err.contains(&start), "{alone}");
    assert_eq!(home.run("health --json").await.error(69)["code"], "UNREACHABLE");

    let daemon = home.start().await;
    assert_eq!(home.run("frobnicate").await.code, 2);
    assert_eq!(home.run("agent").await.code, 2);
    assert_eq!(home.run("agents rm nobody").await.code, 2);
    assert_eq!(home.tell(&["agent", "-m", " "]).await.code, 2);

    let failed = home.tell(&["agent", "-m", "broken"]).await;
    assert_eq!((failed.code, failed.out.as_str()), (1, ""), "{failed}");
    assert!(failed.err.starts_with("error: run `") && failed.err.contains("\nnext: "), "{failed}");
    assert_eq!(home.run("runs wait nobody --json").await.error(1)["code"], "NOT_FOUND");
    assert_eq!(
        home.run("sessions show agent:main --json").await.error(1)["reason"],
        "MALFORMED_KEY"
    );
    let unknown = home.tell(&["agent", "-m", "hello", "--agent", "nobody", "--json"]).await;
    assert_eq!(unknown.error(1)["reason"], "UNKNOWN_AGENT");
    assert_eq!(
        home.run("access explain no.such --json").await.error(1)["reason"],
        "UNKNOWN_METHOD"
    );

    // A run that goes on: come back later.
    let slow = home
        .openclaw(&["agent", "-m", "slow", "--idempotency-key", "s", "--json"])
        .spawn()
        .unwrap();
    eventually("the run works", async || {
        let list = home.run("runs list --status running --json").await.json();
        (list["runs"][0]["runId"] == "s").then_some(())
    })
    .await;
    let waited = home.run("runs wait s --timeout 10ms --json").await;
    assert_eq!(waited.code, 75, "{waited}");
    let aborted = home.run("runs abort s --json").await.json();
    assert_eq!(aborted["status"], "aborted");
    let ended = finish(slow).await;
    assert_eq!(ended.code, 1, "{ended}");
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["status"], "aborted");
    assert_eq!(home.run("runs wait s").await.code, 1);

    // Configuration: a context that is not there, a target that is none.
    assert_eq!(home.run("context use nowhere --json").await.error(78)["code"], "CONFIGURATION");
    assert_eq!(
        home.run("status --gateway https://far:1 --json").await.error(78)["code"],
        "CONFIGURATION"
    );
    assert_eq!(home.run("context list --json").await.json()["contexts"], json!([]));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    assert_eq!(home.run("runs list").await.code, 69);
}

#[tokio::test]
async fn results_and_errors_go_their_own_ways() {
    let mut home = Home::with(&script());
    home.variable("NO_COLOR", "1");
    home.variable("CLICOLOR_FORCE", "1");
    home.variable("TERM", "xterm-256color");
    let daemon = home.start().await;
    for line in [
        "status",
        "sessions list",
        "runs list",
        "audit list",
        "agents list",
        "models list",
        "--help",
        "agent --help",
    ] {
        let told = home.run(line).await;
        assert!(!told.out.contains('\x1b') && !told.err.contains('\x1b'), "{line}: {told}");
        assert_eq!(told.code, 0, "{line}: {told}");
    }
    for line in ["sessions show explicit:nowhere", "nonsense", "agents show nobody"] {
        let told = home.run(line).await;
        assert!(told.out.is_empty() && told.err.starts_with("error: "), "{line}: {told}");
        assert!(!told.err.contains('\x1b'), "{line}: {told}");
    }
    // Where there is nothing to list, standard output stays a list.
    assert_eq!(home.run("runs list --json").await.json()["runs"], json!([]));
    assert_eq!(home.run("runs list").await.out, "");
    assert!(!home.log().contains('\x1b'));
    assert!(
        home.log().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{}",
        home.log()
    );
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// The target by flag, by variable, and by the directory that a variable or `HOME` names.
#[tokio::test]
async fn ways_to_name_the_gateway() {
    let home = Home::new();
    let daemon = home.start().await;
    let state = home.state().display().to_string();
    let socket = format!("unix:{}", home.socket().display());
    let by_flag = (format!("health --gateway {socket}"), format!("health --state-dir {state}"));
    let lost = ("OPENCLAW_STATE_DIR", "/nowhere");
    let serves = async |variables: &[(&str, &str)], line: &str| {
        let told = home.tell_bare(variables, line).await;
        assert!(matches!(told.code, 0 | 69), "{told}");
        told.out == "serving\n"
    };
    assert!(!serves(&[], "health").await);
    assert!(serves(&[], &by_flag.0).await);
    assert!(serves(&[], &by_flag.1).await);
    assert!(serves(&[("OPENCLAW_STATE_DIR", &state)], "health").await);
    assert!(serves(&[("OPENCLAW_GATEWAY", &socket)], "health").await);
    assert!(!serves(&[("OPENCLAW_GATEWAY", "unix:/nowhere")], &by_flag.1).await);
    assert!(serves(&[("OPENCLAW_GATEWAY", "unix:/nowhere")], &by_flag.0).await);
    std::os::unix::fs::symlink(&state, home.path("home/.openclaw")).unwrap();
    assert!(serves(&[], "health").await);
    assert!(!serves(&[lost], "health").await);
    assert!(serves(&[lost], &by_flag.1).await);

    let contexts = format!("current = \"near\"\n[contexts.near]\ngateway = \"{socket}\"\n");
    std::fs::write(home.state().join("contexts.toml"), contexts).unwrap();
    assert!(serves(&[], "health").await);
    let list = home.run("context list --json").await.json();
    let near = json!({ "name": "near", "gateway": socket, "addresses": [], "fingerprint": "" });
    let expected = json!({ "current": "near", "contexts": [near] });
    assert_eq!(list, expected);
    home.run("context rm near --yes").await.ok();
    assert_eq!(home.run("context use near").await.code, 78);
    assert!(serves(&[], "health").await);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Gives the command line something on standard input.
async fn told_on_input(home: &Home, line: &str, input: &[u8]) -> Told {
    let arguments: Vec<_> = line.split_whitespace().collect();
    let mut child = home.openclaw(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let (written, told) = tokio::join!(
        async {
            // Whoever has read enough may close the pipe.
            let written = pipe.write_all(input).await;
            drop(pipe);
            written
        },
        finish(child)
    );
    assert!(written.is_ok() || told.code != 0, "{told}");
    told
}

#[tokio::test]
async fn bad_input_changes_nothing() {
    let home = Home::with(&script());
    let daemon = home.start().await;
    for (input, code) in [
        (b"\xff\xfe".to_vec(), 2),
        (b" \n ".to_vec(), 2),
        (vec![b'a'; 5 << 20], 2),
        // The command line would send it, and the gateway takes no message of this size.
        (vec![b'a'; (4 << 20) - 10], 1),
    ] {
        let told = told_on_input(&home, "agent -m -", &input).await;
        assert_eq!((told.code, told.out.as_str()), (code, ""), "{} bytes: {told}", input.len());
        assert!(told.err.starts_with("error: "), "{told}");
    }
    for (arguments, code) in [
        (&["agent", "-m", "hello", "--session", "a\u{1}b"][..], 1),
        (&["agent", "-m", "hello", "--idempotency-key", ""], 2),
        (&["agent", "-m", "hello", "--timeout", "soon"], 2),
        (&["agent", "-m", "/reset"], 1),
        (&["sessions", "new", "explicit:x", "--label", &"l".repeat(600)], 1),
        (&["audit", "verify", "--head", "nonsense"], 2),
        (&["runs", "list", "--limit", "0"], 2),
        (&["runs", "list", "--page-token", "forged"], 1),
    ] {
        let told = home.tell(arguments).await;
        assert_eq!((told.code, told.out.as_str()), (code, ""), "{arguments:?}: {told}");
        assert!(told.err.starts_with("error: "), "{arguments:?}: {told}");
    }
    assert_eq!(home.run("runs list --json").await.json()["runs"], json!([]));
    assert_eq!(home.run("sessions list --json").await.json()["sessions"], json!([]));
    let told = told_on_input(&home, "agent -m -", b"hello from a pipe").await;
    assert_eq!(told.ok(), "You said hello from a pipe\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn the_daemon_knows_its_flags() {
    let home = Home::new();
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["--frobnicate"], 2),
        (&["--log", "x=y"], 2),
        (&["--log-format", "pink"], 2),
        (&["offline", "audit", "verify", "--head", "nonsense"], 2),
    ] {
        let mut command = home.bare_gateway();
        command.env("OPENCLAW_STATE_DIR", home.state()).args(arguments);
        let told = finish(command.spawn().unwrap()).await;
        assert_eq!(told.code, code, "{arguments:?}: {told}");
        assert_eq!(told.err.is_empty(), code == 0, "{arguments:?}: {told}");
    }
    assert!(!home.state().join("gateway.db").exists());
}
