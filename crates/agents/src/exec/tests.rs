//! Tests with real processes: this test program is its own helper.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use landlock::{CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use openclaw_scopes::RunId;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::wire::{CommandOrder, Order, OuterOrder};
use super::*;
use crate::tool::{Tool as _, ToolError};
use crate::tools::{ExecOptions, ExecTool, Workspace};

/// What only a helper's command line has. It filters nothing out, as no test has this name.
const MARK: &str = "--skip=run-as-exec-helper";

#[test]
fn acts_as_helper() {
    if std::env::args().any(|argument| argument == MARK) {
        helper_main();
    }
}

fn helper() -> HelperPath {
    let arguments = ["--exact", "exec::tests::acts_as_helper", "--nocapture", MARK];
    HelperPath {
        arguments: arguments.map(str::to_owned).to_vec(),
        program: std::env::current_exe().unwrap(),
    }
}

/// A workspace inside a state directory full of secrets, and another agent's workspace beside it.
struct Place {
    dir: tempfile::TempDir,
    options: ExecOptions,
}

const SECRETS: &[&str] = &["audit.key", "device.key", "gateway.db", "workspaces/other/notes"];

fn place(sandbox: SandboxMode) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let root = state.join("workspaces/main");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(state.join("workspaces/other")).unwrap();
    fs::create_dir(dir.path().join("tmp")).unwrap();
    for secret in SECRETS {
        fs::write(state.join(secret), "a secret").unwrap();
    }
    let environment = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("HOME", "/root"),
        ("API_KEY", "secret"),
        ("LD_PRELOAD", "/nowhere.so"),
        ("CARGO_HOME", "/cargo"),
    ];
    let options = ExecOptions {
        allow: Vec::new(),
        ask: crate::tools::AskMode::Off,
        env_allow: vec!["CARGO_HOME".to_owned()],
        environment: Arc::new(
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ),
        helper: helper(),
        limits: Limits::default(),
        max_time: Duration::from_secs(60),
        registry: HelperRegistry::new(),
        sandbox,
        tcp: TcpMode::Open,
        temp_root: dir.path().join("tmp"),
        time: Duration::from_secs(60),
        workspace: Arc::new(Workspace::open(&root, std::slice::from_ref(&state)).unwrap()),
    };
    Place { dir, options }
}

impl Place {
    async fn call(
        &self,
        arguments: Value,
        cancel: &CancellationToken,
    ) -> Result<String, ToolError> {
        ExecTool::new(self.options.clone(), RunId::parse("run-1").unwrap())
            .call(arguments, cancel)
            .await
    }

    async fn exec(&self, command: &str) -> String {
        self.call(json!({ "command": command }), &CancellationToken::new()).await.unwrap()
    }

    fn root(&self) -> &Path {
        self.options.workspace.root()
    }

    fn state(&self) -> String {
        self.dir.path().join("state").to_str().unwrap().to_owned()
    }

    /// Waits until the command wrote a number into a file of the workspace.
    async fn number(&self, file: &str) -> i32 {
        for _ in 0..2000 {
            let text = fs::read_to_string(self.root().join(file)).unwrap_or_default();
            if let Some(number) = text.strip_suffix('\n') {
                return number.parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{file} was never written");
    }

    async fn settled(&self) {
        self.options.registry.settled().await;
        assert_eq!(self.options.registry.alive(), 0);
        let left: Vec<_> = fs::read_dir(self.dir.path().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_command_ends_with_its_code_and_output() {
    let place = place(SandboxMode::Workspace);
    assert_eq!(place.exec("echo out; echo err >&2; exit 3").await, "exit code 3\n\nout\nerr\n");
    assert_eq!(place.exec("kill -9 $$").await, "killed by signal 9\n\n");
    assert_eq!(place.exec("cat; printf 'a\\377b'").await, "exit code 0\n\na\u{fffd}b");
    fs::create_dir(place.root().join("sub")).unwrap();
    let arguments = json!({ "command": "pwd -P", "cwd": "sub" });
    let text = place.call(arguments, &CancellationToken::new()).await.unwrap();
    assert_eq!(text, format!("exit code 0\n\n{}/sub\n", place.root().display()));
    place.settled().await;
}

#[tokio::test]
async fn arguments_are_checked_before_anything_starts() {
    let mut place = place(SandboxMode::Workspace);
    place.options.helper.program = "/nowhere".into();
    let check = async |arguments: Value, expected: &str| {
        let error = place.call(arguments, &CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(json!({}), "`command` is missing").await;
    check(json!({ "command": " " }), "is not a command").await;
    check(json!({ "command": "a\0b" }), "is not a command").await;
    check(json!({ "command": "x".repeat(200_000) }), "write a script").await;
    check(json!({ "command": "x", "timeoutSeconds": 61 }), "limit of 60 seconds").await;
    check(json!({ "command": "x", "cwd": "../other" }), "outside the workspace").await;
    check(json!({ "command": "x", "shell": "zsh" }), "`shell` is not an argument").await;
    check(json!({ "command": "x" }), "cannot run `the command`").await;
}

#[tokio::test]
async fn a_helper_that_is_none_is_noticed() {
    let mut place = place(SandboxMode::Workspace);
    place.options.helper = HelperPath { arguments: vec![], program: "/bin/false".into() };
    let call = place.call(json!({ "command": "x" }), &CancellationToken::new()).await;
    assert!(matches!(call, Err(ToolError::Io { .. })), "{call:?}");
    place.settled().await;
}

#[tokio::test]
//= docs/threat-model.md#T15
async fn only_allowed_variables_are_seen() {
    let place = place(SandboxMode::Workspace);
    let text = place.exec("env").await;
    let (_, text) = text.split_once("\n\n").unwrap();
    let variables: BTreeMap<_, _> =
        text.lines().map(|line| line.split_once('=').unwrap()).collect();
    // The shell adds some of its own.
    let names: Vec<_> = variables
        .keys()
        .copied()
        .filter(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"))
        .collect();
    assert_eq!(names, ["CARGO_HOME", "HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"]);
    assert_eq!(variables["HOME"], variables["TMPDIR"]);
    assert!(Path::new(variables["HOME"]).starts_with(place.dir.path().join("tmp")));
}

#[tokio::test]
async fn output_is_bounded() {
    let place = place(SandboxMode::Workspace);
    let text = place.exec("echo start; head -c 3000000 /dev/zero | tr '\\0' x; echo end").await;
    assert!(text.len() < 64 * 1024, "a result holds it all: {}", text.len());
    assert!(text.starts_with("exit code 0\n\nstart\nxxx"));
    assert!(text.ends_with("xxxend\n"));
    assert!(text.contains(&format!("{} bytes were dropped", 3_000_010 - 2 * 30 * 1024)));
}

#[tokio::test]
//= docs/threat-model.md#T7
async fn nothing_survives_the_end() {
    let place = place(SandboxMode::Workspace);
    let text = place
        .exec(
            "sleep 1000 & echo $! > one
             setsid sh -c 'setsid sleep 1000 & echo $! > two; wait' &
             (setsid sh -c '(trap \"\" TERM HUP; echo $$ > three; while :; do sleep 1000; done) &' &)
             while ! [ -s two ] || ! [ -s three ]; do :; done; echo done",
        )
        .await;
    assert_eq!(text, "exit code 0\n\ndone\n");
    for file in ["one", "two", "three"] {
        let pid = place.number(file).await;
        assert!(!is_alive(pid), "{file}");
    }
    place.settled().await;
}

#[tokio::test]
async fn a_command_that_keeps_forking_is_caught() {
    let place = place(SandboxMode::Workspace);
    // Each link of the chain starts the next one and exits.
    fs::write(place.root().join("chain"), "echo $$ > last\nsetsid sh ./chain &\n").unwrap();
    let text = place.exec("setsid sh ./chain & while ! [ -s last ]; do :; done").await;
    assert_eq!(text, "exit code 0\n\n");
    place.settled().await;
    let last = fs::read_to_string(place.root().join("last")).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fs::read_to_string(place.root().join("last")).unwrap(), last);
}

#[tokio::test]
async fn time_kills() {
    let place = place(SandboxMode::Workspace);
    let command = "sleep 1000 & echo $! > pid; echo so far; wait";
    let arguments = json!({ "command": command, "timeoutSeconds": 1 });
    let text = place.call(arguments, &CancellationToken::new()).await.unwrap();
    assert_eq!(text, "timed out after 1 seconds, and was killed\n\nso far\n");
    assert!(!is_alive(place.number("pid").await));
    place.settled().await;
}

#[tokio::test]
async fn cancellation_kills() {
    let place = place(SandboxMode::Workspace);
    let cancel = CancellationToken::new();
    let command = "echo $PPID > helper; setsid sleep 1000 & echo $! > pid; wait";
    let call = place.call(json!({ "command": command }), &cancel);
    let watch = async {
        let pid = place.number("pid").await;
        assert!(is_alive(pid));
        // A peer that descends from this process is recognized by it.
        let helper = place.number("helper").await;
        assert_eq!(place.options.registry.run_of(helper), Some(RunId::parse("run-1").unwrap()));
        assert_eq!(place.options.registry.run_of(pid), None);
        cancel.cancel();
        (pid, helper)
    };
    let (called, (pid, helper)) = tokio::join!(call, watch);
    assert!(matches!(called, Err(ToolError::Canceled)), "{called:?}");
    assert!(!is_alive(pid) && !is_alive(helper));
    assert_eq!(place.options.registry.run_of(helper), None);
    place.settled().await;
}

#[tokio::test]
async fn a_dropped_call_kills() {
    let place = place(SandboxMode::Workspace);
    let cancel = CancellationToken::new();
    let command = "echo $PPID > helper; setsid sleep 1000 & echo $! > pid; wait";
    let (pid, helper) = tokio::select! {
        called = place.call(json!({ "command": command }), &cancel) => panic!("{called:?}"),
        seen = async { (place.number("pid").await, place.number("helper").await) } => seen,
    };
    place.settled().await;
    assert!(!is_alive(pid) && !is_alive(helper));
}

/// Without a sandbox a command may kill its own helper. What it leaves behind is killed all the same.
#[tokio::test]
async fn a_killed_helper_takes_its_group_along() {
    let place = place(SandboxMode::Off);
    let command = "sleep 1000 & echo $! > pid; kill -9 $PPID; wait";
    let called = place.call(json!({ "command": command }), &CancellationToken::new()).await;
    assert!(matches!(called, Err(ToolError::Io { .. })), "{called:?}");
    let pid = place.number("pid").await;
    // Somebody else's child by now, so its end is somebody else's to collect.
    for _ in 0..2000 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{pid} is alive");
}

/// The gateway's death closes its end of the control socket, whatever it died of.
#[tokio::test]
//= docs/threat-model.md#T7
async fn the_end_of_the_gateway_kills() {
    let place = place(SandboxMode::Workspace);
    let (mut control, theirs) = UnixStream::pair().unwrap();
    let mut outer = Command::new(helper().program)
        .args(helper().arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let order = Order::Outer(Box::new(OuterOrder {
        command: CommandOrder {
            binary: "/bin/sh".into(),
            argv: ["sh", "-c", "setsid sleep 1000 & echo $! > pid; wait"]
                .map(str::to_owned)
                .to_vec(),
            cwd: place.root().to_owned(),
            environment: BTreeMap::new(),
            limits: Limits::default(),
            parent: 0,
            private_dir: PathBuf::new(),
            protected: Vec::new(),
            sandbox: SandboxMode::Workspace,
            tcp: TcpMode::Open,
            workspace: place.root().to_owned(),
        },
        helper_arguments: helper().arguments,
        output_bytes: 1000,
        temp_root: place.dir.path().join("tmp"),
        time_limit_millis: 60_000,
    }));
    serde_json::to_writer(&control, &order).unwrap();
    control.write_all(b"\n").unwrap();
    let pid = place.number("pid").await;
    drop(control);
    outer.wait().unwrap();
    assert!(!is_alive(pid));
    place.settled().await;
}

#[tokio::test]
//= docs/threat-model.md#T6
async fn secrets_are_out_of_sight() {
    let boxed = place(SandboxMode::Workspace);
    let open = place(SandboxMode::Off);
    for secret in SECRETS {
        let path = |place: &Place| format!("{}/{secret}", place.state());
        let text = boxed.exec(&format!("cat {}", path(&boxed))).await;
        assert!(text.starts_with("exit code 1\n") && !text.contains("a secret"), "{text}");
        assert_eq!(open.exec(&format!("cat {}", path(&open))).await, "exit code 0\n\na secret");
        // A link in the workspace leads no further than its target may be seen.
        let command = format!("ln -s {} way && cat way; rm way", path(&boxed));
        assert!(!boxed.exec(&command).await.contains("a secret"));
    }
    for path in [boxed.state(), "/root".into(), "/home".into(), "/tmp".into(), "/var".into()] {
        let text = boxed.exec(&format!("ls {path}")).await;
        assert!(text.starts_with("exit code 2\n"), "{path}: {text}");
    }
    for path in ["/etc/passwd", "/proc/self/status", "/usr/bin/env", "/dev/null"] {
        let text = boxed.exec(&format!("cat {path} > /dev/null")).await;
        assert_eq!(text, "exit code 0\n\n", "{path}");
    }
    let text = boxed.exec("cat /etc/shadow").await;
    assert!(text.starts_with("exit code 1\n"), "{text}");
}

#[tokio::test]
//= docs/threat-model.md#T6
async fn writing_is_for_the_workspace_and_the_private_directory() {
    let place = place(SandboxMode::Workspace);
    let state = place.state();
    let command = "echo x > file && mkdir -p a/b && mv file a/b/ && ln a/b/file c && rm c \
        && echo '#!/bin/sh\necho ran' > $TMPDIR/p && chmod +x $TMPDIR/p && $TMPDIR/p \
        && stat -c %a $TMPDIR && mkdir $TMPDIR/locked && touch $TMPDIR/locked/f && chmod 0 $TMPDIR/locked";
    assert_eq!(place.exec(command).await, "exit code 0\n\nran\n700\n");
    for path in [
        format!("{state}/new"),
        format!("{state}/audit.key"),
        format!("{state}/workspaces/other/new"),
        "/etc/openclaw-test".into(),
        "/usr/openclaw-test".into(),
        "/tmp/openclaw-test".into(),
        "/dev/openclaw-test".into(),
        "/proc/sys/kernel/core_pattern".into(),
    ] {
        let text = place.exec(&format!("echo x > {path}")).await;
        assert!(text.starts_with("exit code 2\n"), "{path}: {text}");
    }
    for command in [
        format!("mv a/b/file {state}/new"),
        format!("ln {state}/audit.key stolen"),
        format!("mv {state}/audit.key stolen"),
        format!("rm {state}/audit.key"),
        format!("truncate -s 0 {state}/audit.key"),
        format!("ln -s {state} way && echo x > way/new"),
    ] {
        let text = place.exec(&command).await;
        assert!(!text.starts_with("exit code 0\n"), "{command}: {text}");
    }
    assert_eq!(fs::read_to_string(format!("{state}/audit.key")).unwrap(), "a secret");
    assert!(!Path::new(&format!("{state}/new")).exists());
    place.settled().await;
}

#[tokio::test]
async fn other_processes_are_out_of_reach() {
    let boxed = place(SandboxMode::Workspace);
    let open = place(SandboxMode::Off);
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = stranger.id();
    let me = std::process::id();
    for file in ["environ", "mem", "maps", "fd/0", "root/etc/passwd"] {
        for process in [me.to_string(), pid.to_string(), "$PPID".to_owned()] {
            let text = boxed.exec(&format!("head -c 1 /proc/{process}/{file}")).await;
            assert!(!text.starts_with("exit code 0\n"), "{process}/{file}: {text}");
        }
    }
    assert!(open.exec(&format!("head -c 1 /proc/{me}/environ")).await.starts_with("exit code 0\n"));
    let kill = |signal| format!("kill -{signal} {pid}");
    assert_eq!(open.exec(&kill(0)).await, "exit code 0\n\n");
    let scoped =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal);
    if scoped.is_ok() {
        let text = boxed.exec(&kill(9)).await;
        assert!(text.contains("Operation not permitted"), "{text}");
        let text = boxed.exec("kill -9 $PPID; echo alive").await;
        assert!(text.ends_with("alive\n"), "{text}");
    }
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn privileges_do_not_come_back() {
    let command =
        "grep -E '^(CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs)' /proc/self/status; ulimit -c";
    let none = "0000000000000000";
    let boxed = place(SandboxMode::Workspace).exec(command).await;
    assert_eq!(
        boxed,
        format!(
            "exit code 0\n\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\n\
             NoNewPrivs:\t1\n0\n"
        )
    );
    let open = place(SandboxMode::Off).exec(command).await;
    assert!(open.contains("NoNewPrivs:\t1\n0\n"), "{open}");
}
