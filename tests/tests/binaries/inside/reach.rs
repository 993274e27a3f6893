//! What a command can read, write, signal and see.

use super::super::harness::{Home, Script, Signal, kernel_at_least};
use super::{has_sandbox, printed};

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
