//! What a command leaves behind: nothing.

use super::super::harness::{Home, Script, eventually, finish, processes_with};
use super::has_sandbox;

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
        home.configure(&format!("[tools.exec]\nask = \"off\"\nsandbox = \"{sandbox}\"\n"));
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
