//! What a command of a run can reach: its workspace, and neither the gateway nor its state.

use serde_json::Value;

use super::harness::{
    Home, Script, Signal, eventually, finish, kernel_at_least, processes_with, program,
};

/// The words of the gateway's refusal.
const INSIDE_RUN: &str = "INSIDE_RUN";

/// Whether this kernel can keep a command in its workspace; where it cannot, `exec` is refused.
fn has_sandbox() -> bool {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm");
    let can = kernel_at_least(6, 2) && modules.map_or(true, |lsm| lsm.contains("landlock"));
    if !can {
        println!("this kernel has no sandbox: only the refusal of `exec` is looked at");
    }
    can
}

/// Whether the kernel itself keeps commands from sockets in the file system.
fn kernel_closes_sockets() -> bool {
    kernel_at_least(7, 1)
}

/// Puts the command line into the workspace, where a sandboxed command can run it.
fn bring_along(home: &Home) {
    std::fs::copy(program("openclaw"), home.workspace().join("openclaw")).unwrap();
}

/// Runs the message as one run and returns what its command printed.
async fn printed(home: &Home, key: &str, message: &str) -> String {
    let told = home.tell(&["agent", "-m", message, "--idempotency-key", key]).await;
    assert_eq!(told.code, 0, "{told}");
    told.out
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
async fn the_state_is_closed_to_a_run() {
    let mut home = Home::new();
    home.configure("[agents.entries.other]\n");
    let state = home.state();
    let state = state.display();
    let gateway = "read -r _ _ _ gateway _ < /proc/$PPID/stat";
    let files = [
        format!("{state}/gateway.db"),
        format!("{state}/gateway.db-wal"),
        format!("{state}/audit.key"),
        format!("{state}/audit.head"),
        format!("{state}/openclaw.toml"),
        format!("{state}/gateway.lock"),
        format!("{state}/agents/other/workspace/diary"),
        "../../other/workspace/diary".to_owned(),
        "link".to_owned(),
        home.path("home/letter").display().to_string(),
        home.path("script.toml").display().to_string(),
        "/proc/$gateway/environ".to_owned(),
        "/proc/$gateway/mem".to_owned(),
        format!("/proc/$gateway/root/{state}/audit.key"),
        "/proc/$gateway/fd/0".to_owned(),
    ];
    let read = format!(
        "{gateway}; for file in {}; do if head -c 1 \"$file\" > taken 2> /dev/null && [ -s taken ]; then echo \"READ $file\"; else echo \"kept $file\"; fi; done",
        files.iter().map(|file| format!("\"{file}\"")).collect::<Vec<_>>().join(" "),
    );
    let write = format!(
        "for file in {state}/openclaw.toml {state}/gateway.db {state}/new {state}/agents/other/workspace/new; do \
         if (echo x >> \"$file\") 2> /dev/null; then echo \"WROTE $file\"; else echo \"kept $file\"; fi; done; \
         rm -f {state}/audit.key {state}/gateway.sock 2> /dev/null && echo REMOVED; ls {state} 2> /dev/null && echo LISTED; \
         echo mine > own && cat own"
    );
    home.play(&Script::default().command("read", &read).command("write", &write).tell_results());
    let other = home.state().join("agents/other/workspace");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("diary"), "dear diary").unwrap();
    std::fs::write(home.path("home/letter"), "dear friend").unwrap();
    std::os::unix::fs::symlink(home.state().join("audit.key"), home.workspace().join("link"))
        .unwrap();
    let daemon = home.start().await;
    let (read, wrote) = (printed(&home, "r", "read").await, printed(&home, "w", "write").await);
    if has_sandbox() {
        assert_eq!(read.matches("kept ").count(), files.len(), "{read}");
        assert!(!read.contains("READ "), "{read}");
        assert_eq!(wrote.matches("kept ").count(), 4, "{wrote}");
        assert!(wrote.contains("mine"), "{wrote}");
        for leak in ["WROTE ", "REMOVED", "LISTED"] {
            assert!(!wrote.contains(leak), "{leak}: {wrote}");
        }
    }
    assert!(home.state().join("audit.key").exists() && home.socket().exists());
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn the_daemon_survives_the_signals_of_a_run() {
    let kill = "read -r _ _ _ gateway _ < /proc/$PPID/stat; \
        for pid in $gateway $PPID; do for signal in 0 TERM STOP KILL; do kill -$signal $pid 2> /dev/null && echo SENT $signal; done; done; \
        echo still here";
    let home = Home::with(&Script::default().command("kill", kill).tell_results());
    let daemon = home.start().await;
    let pid = daemon.pid();
    if has_sandbox() && kernel_at_least(6, 12) {
        let text = printed(&home, "k", "kill").await;
        assert!(text.contains("still here") && !text.contains("SENT"), "{text}");
    }
    assert_eq!(home.run("status --json").await.json()["pid"], pid);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn nothing_of_a_run_outlives_it() {
    let mark = format!("mark-{}", openclaw_client::fresh_key().unwrap());
    let stay = format!(
        "(setsid sh -c 'while [ ! -e go ]; do sleep 0.02; done; touch late # {mark}' &) ; \
         (sh -c '(exec sleep 600.5) & sh -c \"sleep 601.5\" & # {mark}' &); nohup sleep 602.5 > /dev/null 2>&1 & \
         touch left; while [ -e wait ]; do sleep 0.02; done; echo gone"
    );
    for sandbox in ["workspace", "off"] {
        let mut home = Home::with(
            &Script::default()
                .command("stay", &stay)
                .command("long", &format!("{stay}; sleep 600 # {mark}"))
                .tell_results(),
        );
        home.configure(&format!("[tools.exec]\nsandbox = \"{sandbox}\"\n"));
        if sandbox == "workspace" && !has_sandbox() {
            continue;
        }
        let workspace = home.workspace();
        std::fs::write(workspace.join("wait"), "").unwrap();
        let daemon = home.start().await;
        let run = home.openclaw(&["agent", "-m", "stay"]).spawn().unwrap();
        eventually("the command has left its children", async || {
            workspace.join("left").exists().then_some(())
        })
        .await;
        eventually("they are seen", async || (processes_with(&mark).len() >= 2).then_some(()))
            .await;
        std::fs::remove_file(workspace.join("wait")).unwrap();
        let told = finish(run).await;
        assert!(told.out.contains("gone"), "{told}");
        // The run has ended, so nothing is there: nobody has to wait for it.
        assert_eq!(processes_with(&mark), Vec::<u32>::new(), "{sandbox}");
        std::fs::write(workspace.join("go"), "").unwrap();
        assert_eq!(
            processes_with(&workspace.display().to_string()),
            Vec::<u32>::new(),
            "{sandbox}"
        );
        assert!(!workspace.join("late").exists(), "{sandbox}");

        // The same for a run that is ended from outside.
        std::fs::remove_file(workspace.join("go")).unwrap();
        let run =
            home.openclaw(&["agent", "-m", "long", "--idempotency-key", "l"]).spawn().unwrap();
        eventually("they are seen", async || (processes_with(&mark).len() >= 2).then_some(()))
            .await;
        assert_eq!(home.run("runs abort l --json").await.json()["status"], "aborted");
        drop(finish(run).await);
        assert_eq!(processes_with(&mark), Vec::<u32>::new(), "{sandbox}");

        // And when the gateway itself is killed under it.
        let run = home.openclaw(&["agent", "-m", "long"]).spawn().unwrap();
        eventually("they are seen", async || (processes_with(&mark).len() >= 2).then_some(()))
            .await;
        daemon.kill().await;
        drop(finish(run).await);
        eventually("they end with the gateway", async || {
            processes_with(&mark).is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_sandbox_the_socket_stays_closed() {
    let mut home = Home::new();
    home.configure("[tools.exec]\nsandbox = \"off\"\n");
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

#[tokio::test]
async fn a_command_sees_little_of_the_environment() {
    let mut home = Home::with(
        &Script::default()
            .command(
                "look",
                "env; env -0 | tr '\\0' '\\n'; cat /proc/$PPID/environ | tr '\\0' '\\n'",
            )
            .tell_results(),
    );
    home.configure("[tools.exec]\nenvAllow = [\"FRIENDLY\"]\n");
    home.variable("BANK_TOKEN", "bank-secret");
    home.variable("OPENAI_API_KEY", "openai-secret");
    home.variable("FRIENDLY", "good-day");
    let daemon = home.start().await;
    let text = printed(&home, "look", "look").await;
    if has_sandbox() {
        assert!(text.contains("FRIENDLY=good-day") && text.contains("PATH="), "{text}");
        assert!(!text.contains("secret") && !text.contains("OPENCLAW"), "{text}");
        let own_home = format!("HOME={}", home.path("home").display());
        assert!(!text.contains(&own_home), "{text}");
    }
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
