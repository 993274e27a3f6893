//! Commands of jobs, run by the real programs: they end with whatever they belong to, and leave nothing behind.

use std::time::Duration;

use openclaw_client::Client;
use openclaw_client::v1::occurrence::Outcome;
use openclaw_client::v1::{CancelJobRequest, ListOccurrencesRequest, Occurrence};
use serde_json::Value;
use tokio::time::Instant;

use super::harness::{Daemon, Home, Signal, eventually, processes_with};

/// What a command waits for, and by which it is known.
const HELD: &str = "sh -c 'echo begun; while [ ! -e go ]; do sleep 0.02; done; echo over'";

fn home() -> Home {
    let mut home = Home::new();
    // So that it works where the kernel has no sandbox, too.
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    home
}

async fn add(home: &Home, name: &str, command: &str, more: &[&str]) {
    let line = ["cron", "add", "--name", name, "--every", "24h", "--command", command];
    home.tell(&[&line[..], more].concat()).await.ok();
}

async fn newest(client: &Client, job: &str) -> Option<Occurrence> {
    let request = ListOccurrencesRequest { job: job.into(), ..Default::default() };
    client.cron().runs(request).await.unwrap().into_inner().occurrences.into_iter().next()
}

async fn settled(client: &Client, job: &str) -> Occurrence {
    eventually("it has come to its end", async || {
        newest(client, job).await.filter(|it| it.outcome() != Outcome::Claimed)
    })
    .await
}

fn held(home: &Home) -> Vec<u32> {
    let mark = home.workspace().canonicalize().unwrap();
    let is_here =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == mark);
    processes_with("[ ! -e go ]").into_iter().filter(is_here).collect()
}

async fn begun(home: &Home, daemon: &mut Daemon<'_>) -> Client {
    let client = daemon.connect().await;
    home.tell(&["cron", "run", "held"]).await.ok();
    eventually("the command runs", async || (!held(home).is_empty()).then_some(())).await;
    client
}

async fn none_is_held(home: &Home) {
    eventually("the command is gone", async || held(home).is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_a_command_said_and_how_it_ended() {
    let home = home();
    let daemon = home.start().await;
    add(&home, "well", "sh -c 'echo one; pwd; echo \"$0 $SECRET\"' 'two words'", &[]).await;
    let said = home.tell(&["cron", "run", "well", "--wait"]).await.ok();
    let place = home.workspace().canonicalize().unwrap();
    assert_eq!(said, format!("one\n{}\ntwo words\n", place.display()));
    // No shell reads it: a dollar sign is one.
    add(&home, "plain", "echo $HOME ; ls", &[]).await;
    assert_eq!(home.tell(&["cron", "run", "plain", "--wait"]).await.ok(), "$HOME ; ls\n");
    for (name, command, more, says) in [
        ("bad", "sh -c 'echo \"no way\" >&2; exit 3'", &[][..], "error: exit code 3\\nno way"),
        ("slow", "sleep 60", &["--timeout", "1s"], "timeout: its time was up, and it was killed"),
        ("none", "no-such-program", &[], "and there is no such program"),
    ] {
        add(&home, name, command, more).await;
        let told = home.tell(&["cron", "run", name, "--wait"]).await;
        assert_eq!(told.code, 1, "{}", told.err);
        assert!(told.err.contains("failed: ") && told.err.contains(says), "{}", told.err);
    }
    // What is long is told by its end.
    add(&home, "long", "seq 1 100000", &[]).await;
    let told = home.tell(&["cron", "run", "long", "--wait"]).await.ok();
    assert!(told.len() <= 2_001 && told.ends_with("\n99999\n100000\n"), "{told}");
    let runs = home.tell(&["cron", "runs", "bad", "--json"]).await.json();
    assert_eq!(runs["occurrences"][0]["runId"], "");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn cancel_ends_all_of_it_at_once() {
    let home = home();
    let mut daemon = home.start().await;
    // A shell that starts another in the background.
    add(&home, "held", &format!("sh -c \"{HELD} & wait\""), &[]).await;
    let client = begun(&home, &mut daemon).await;
    let started = Instant::now();
    let request = CancelJobRequest { job: "held".into() };
    let cancelled = client.cron().cancel(request).await.unwrap().into_inner();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(cancelled.outcome(), Outcome::Cancelled);
    assert_eq!(held(&home), Vec::<u32>::new(), "it is dead when the answer comes");
    let ended = settled(&client, "held").await;
    assert_eq!((ended.outcome(), ended.reason.as_str()), (Outcome::Cancelled, "by-request"));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// What the gateway's end took with it is lost, and told as that after the next start; no process is left.
#[tokio::test]
async fn what_a_stop_interrupts_is_lost() {
    for how in ["stop", "kill"] {
        let mut home = home();
        home.configure("[gateway]\ndrainSeconds = 1\n");
        let mut daemon = home.start().await;
        add(&home, "held", HELD, &[]).await;
        drop(begun(&home, &mut daemon).await);
        match how {
            "stop" => drop(daemon.stop(Signal::Terminate).await),
            _ => daemon.kill().await,
        }
        none_is_held(&home).await;
        let mut daemon = home.start().await;
        let lost = settled(&daemon.connect().await, "held").await;
        assert_eq!((lost.outcome(), lost.reason.as_str()), (Outcome::Lost, "interrupted"), "{how}");
        assert!(held(&home).is_empty());
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    }
}

/// A stop waits for a command as for a turn.
#[tokio::test]
async fn a_stop_waits_for_a_command() {
    let home = home();
    let mut daemon = home.start().await;
    add(&home, "held", HELD, &[]).await;
    drop(begun(&home, &mut daemon).await);
    let stopping = daemon.stop(Signal::Terminate);
    let going = async {
        std::fs::write(home.workspace().join("go"), "").unwrap();
    };
    let (code, ()) = tokio::join!(stopping, going);
    assert_eq!(code, 0);
    let mut daemon = home.start().await;
    let ran = settled(&daemon.connect().await, "held").await;
    assert_eq!((ran.outcome(), ran.text.as_str()), (Outcome::Ran, "begun\nover"));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// What is exported and given again changes nothing, to the last digit.
#[tokio::test]
async fn what_is_exported_is_given_again() {
    let home = home();
    let daemon = home.start().await;
    for line in [
        &[
            "--name",
            "brief",
            "--key",
            "brief",
            "--cron",
            "0 * * * *",
            "--tz",
            "Asia/Tokyo",
            "--message",
            "Sum it up.\nNow.",
        ][..],
        &[
            "--name",
            "look",
            "--key",
            "look",
            "--every",
            "90s",
            "--stagger",
            "20h",
            "--active",
            "09:00-17:00",
            "--tz",
            "Europe/Berlin",
            "--command",
            "git pull 'a b'",
            "--timeout",
            "30s",
        ],
        &[
            "--name",
            "ping",
            "--key",
            "ping",
            "--at",
            "5h",
            "--webhook",
            "https://x.example/y",
            "--webhook-payload",
            "{\"up\": 1}",
        ],
        &[
            "--name",
            "tea",
            "--key",
            "tea",
            "--cron",
            "@daily",
            "--system-event",
            "Tea.",
            "--disabled",
            "--no-deliver",
        ],
    ] {
        // What is disabled is told beside the answer.
        let told = home.tell(&[&["cron", "add"][..], line].concat()).await;
        assert_eq!(told.code, 0, "{}", told.err);
    }
    let path = home.path("jobs.toml");
    let file = path.display().to_string();
    let export = || home.tell(&["cron", "export"]);
    let text = export().await.ok();
    std::fs::write(&path, &text).unwrap();
    let same = "unchanged brief (brief)\nunchanged look (look)\nunchanged ping (ping)\nunchanged tea (tea)\n\
                0 added, 0 changed, 4 unchanged";
    let tried = home.tell(&["cron", "apply", &file, "--dry-run"]).await.ok();
    assert_eq!(tried, format!("{same}; nothing is done: it was only tried\n"));
    assert_eq!(home.tell(&["cron", "apply", &file]).await.ok(), format!("{same}\n"));
    assert_eq!(export().await.ok(), text);
    std::fs::write(&path, text.replace("git", "hg")).unwrap();
    for arguments in [&["cron", "apply", &file, "--dry-run"][..], &["cron", "apply", &file]] {
        let told = home.tell(arguments).await.ok();
        assert!(told.contains("\nchanged look (look)\n  ~ command = "), "{told}");
    }
    let shown: Value = home.tell(&["cron", "show", "look", "--json"]).await.json();
    assert_eq!(shown["payload"]["command"]["argv"], serde_json::json!(["hg", "pull", "a b"]));
    std::fs::write(&path, "[[job]]\nname = \"x\"\n").unwrap();
    let told = home.tell(&["cron", "apply", &file]).await;
    assert_eq!(told.code, 2, "{}", told.err);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
