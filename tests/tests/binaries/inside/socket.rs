//! Every way to the socket is closed to a run, and every attempt is written down.

use serde_json::Value;

use super::super::harness::{Home, Script, Signal, eventually, kernel_at_least, program};
use super::{has_sandbox, printed};

/// The words of the gateway's refusal.
const INSIDE_RUN: &str = "INSIDE_RUN";

/// Whether the kernel itself keeps commands from sockets in the file system.
fn kernel_closes_sockets() -> bool {
    kernel_at_least(7, 1)
}

/// Puts the command line into the workspace, where a sandboxed command can run it.
fn bring_along(home: &Home) {
    std::fs::copy(program("openclaw"), home.workspace().join("openclaw")).unwrap();
}

/// Returns the methods that were refused to a principal.
async fn refused_to(home: &Home, principal: &str) -> Vec<String> {
    let list =
        home.run(&format!("audit list --denied --principal {principal} --json")).await.json();
    let records: Vec<Value> = list["records"].as_array().unwrap().clone();
    records.iter().map(|record| record["method"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_socket_is_closed_to_a_run() {
    let mut home = Home::new();
    let socket = home.socket();
    let at = format!("--gateway unix:{}", socket.display());
    let attempts = [
        format!("./openclaw {at} status --json"),
        format!("./openclaw {at} health --json"),
        format!("./openclaw {at} sessions list --json"),
        format!("./openclaw {at} agent -m hi --json"),
        format!("./openclaw {at} access explain agent --json"),
        format!("setsid ./openclaw {at} runs list --json"),
        format!("./openclaw --state-dir {} audit list --json", home.state().display()),
    ];
    let script = attempts.map(|attempt| format!("{attempt}; echo code $?")).join("; ");
    home.play(&Script::default().command("try", &script).tell_results());
    bring_along(&home);
    let daemon = home.start().await;
    let text = printed(&home, "inside", "try").await;
    if !has_sandbox() {
        assert!(text.contains("sandbox"), "{text}");
        return;
    }
    assert!(!text.contains("\"version\""), "{text}");
    assert!(!text.contains("\"sessions\""), "{text}");
    if !kernel_closes_sockets() {
        // The last attempt may already fail on the client's own files, which it cannot read.
        assert!(text.matches(INSIDE_RUN).count() >= 6, "{text}");
        assert!(text.matches("code 77").count() >= 6 && !text.contains("\ncode 0"), "{text}");
        let refused = refused_to(&home, "run:inside").await;
        for method in ["status", "health", "sessions.list", "agent", "access.explain", "runs.list"]
        {
            assert!(refused.iter().any(|refused| refused == method), "{method}: {refused:?}");
        }
        assert!(refused.len() >= 6, "{refused:?}");
    }
    // Nothing was done for it, and the gateway serves on.
    let runs = home.run("runs list --json").await.json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    assert_eq!(home.run("audit verify").await.code, 0);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn without_a_sandbox_the_socket_stays_closed() {
    let mut home = Home::new();
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    let (program, socket) = (program("openclaw"), home.socket());
    let connect = format!("{} --gateway unix:{}", program.display(), socket.display());
    let outside = home.path("home/outside");
    let attempt = format!(
        "echo written > {}; cat {}/openclaw.toml; {connect} status --json; \
         {connect} agent -m hi --json; (setsid {connect} runs list --json); echo tried",
        outside.display(),
        home.state().display(),
    );
    // Without a sandbox a command can kill its own supervisor; what it left behind is the daemon's.
    let escape = format!(
        "setsid sh -c 'touch escaped; while [ ! -e go ]; do sleep 0.02; done; {connect} sessions list --json > answer 2>&1; touch answered' & \
         while [ ! -e escaped ]; do sleep 0.02; done; kill -9 $PPID; sleep 600"
    );
    home.play(
        &Script::default().command("try", &attempt).command("escape", &escape).tell_results(),
    );
    let workspace = home.workspace();
    let daemon = home.start().await;
    let text = printed(&home, "open", "try").await;
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "written\n", "{text}");
    assert!(text.contains("sandbox = \"off\"") && text.contains("tried"), "{text}");
    assert_eq!(text.matches(INSIDE_RUN).count(), 3, "{text}");
    assert_eq!(refused_to(&home, "run:open").await, ["runs.list", "agent", "status"]);

    let told = home.tell(&["agent", "-m", "escape", "--idempotency-key", "away"]).await;
    assert_eq!(told.code, 0, "{told}");
    std::fs::write(workspace.join("go"), "").unwrap();
    let answer = eventually("what escaped has tried", async || {
        workspace
            .join("answered")
            .exists()
            .then(|| std::fs::read_to_string(workspace.join("answer")).unwrap())
    });
    let answer = answer.await;
    assert!(answer.contains(INSIDE_RUN), "{answer}");
    assert_eq!(refused_to(&home, "run:unknown").await, ["sessions.list"]);
    assert_eq!(home.run("audit verify").await.code, 0);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// The first refusals of a minute are told one by one, the rest as a number.
#[tokio::test]
async fn a_flood_of_attempts_is_counted() {
    let mut home = Home::new();
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    let attempt = format!(
        "for i in $(seq 30); do {} --gateway unix:{} status > /dev/null 2>&1 || echo \"code $?\"; done",
        program("openclaw").display(),
        home.socket().display(),
    );
    home.play(&Script::default().command("flood", &attempt).tell_results());
    let daemon = home.start().await;
    let text = printed(&home, "flood", "flood").await;
    assert_eq!(text.matches("code 77").count(), 30, "{text}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let daemon = home.start().await;
    let list = home.run("audit list --denied --principal run:flood --json").await.json();
    let counts =
        list["records"].as_array().unwrap().iter().map(|record| record["count"].as_u64().unwrap());
    let counts: Vec<_> = counts.collect();
    // A new minute may begin in between, and with it a new count.
    assert_eq!(counts.iter().sum::<u64>(), 30, "{counts:?}");
    assert!((21..=30).contains(&counts.len()), "{counts:?}");
    assert_eq!(home.run("audit verify").await.code, 0);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// A command that numbers its processes anew is still the process that the gateway started.
#[tokio::test]
async fn a_namespace_is_no_way_out() {
    let mut home = Home::new();
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    let (program, socket) = (program("openclaw"), home.socket());
    let attempt = format!(
        "unshare -Urpf true 2> /dev/null || exit 0; \
         unshare -Urpf {} --gateway unix:{} status --json; echo attempted",
        program.display(),
        socket.display(),
    );
    home.play(&Script::default().command("leave", &attempt).tell_results());
    let daemon = home.start().await;
    let text = printed(&home, "leave", "leave").await;
    if text.contains("attempted") {
        assert!(text.contains(INSIDE_RUN), "{text}");
        assert_eq!(refused_to(&home, "run:leave").await, ["status"]);
    } else {
        println!("this machine lets nobody make namespaces");
    }
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
