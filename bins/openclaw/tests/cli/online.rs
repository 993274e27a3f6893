//! Verbs that talk to a gateway.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tonic_health::ServingStatus;

use crate::fake::{self, Fake};
use crate::process::{openclaw, parts, run};

/// Runs a test beside the fake gateway.
pub(crate) async fn beside<F: Future<Output = ()>>(
    test: impl FnOnce(std::path::PathBuf, Fake) -> F,
) {
    let directory = tempfile::tempdir().unwrap();
    let (fake, served) = fake::serve(directory.path());
    tokio::select! {
        () = served => panic!("the gateway ended"),
        () = test(directory.path().to_owned(), fake) => {}
    }
}

#[tokio::test]
#[rustfmt::skip]
async fn turns() {
    let refused = "error: missing scope: operator.write\nnext: openclaw access explain agent\n";
    let refused_json = "{\"error\":{\"code\":\"PERMISSION_DENIED\",\"reason\":\"MISSING_SCOPE\",\"message\":\"missing scope: operator.write\",\"missingScopes\":[\"operator.write\"],\"requestId\":\"\",\"grant\":\"operator.write\",\"next\":\"openclaw access explain agent\"}}\n";
    let document = "{\"runId\":\"k\",\"sessionKey\":\"agent:main:main\",\"status\":\"ok\",\"text\":\"You said: hi\",\"usage\":{\"inputTokens\":5,\"outputTokens\":2,\"cachedTokens\":0}}\n";
    let failed_document = "{\"runId\":\"k\",\"sessionKey\":\"agent:main:main\",\"status\":\"error\",\"text\":\"\",\"usage\":{\"inputTokens\":5,\"outputTokens\":2,\"cachedTokens\":0}}\n";
    let failed = "error: run `k` failed: the model is on fire\nnext: openclaw sessions history agent:main:main\n";
    let failed_json = "{\"error\":{\"code\":\"FAILED\",\"reason\":\"\",\"message\":\"run `k` failed: the model is on fire\",\"missingScopes\":[],\"requestId\":\"\",\"grant\":\"\",\"next\":\"openclaw sessions history agent:main:main\"}}\n";
    let cut = "error: the answer ended before the run; run `k` may still be at work\nnext: openclaw runs wait k\n";
    let busy = "error: slow down\nnext: openclaw access explain agent\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("-m hi",          0,  "You said: hi\n", ""),
            ("-m hi --json",   0,  document,         ""),
            ("-m deny",        77, "",               refused),
            ("-m deny --json", 77, "",               refused_json),
            ("-m busy",        75, "",               busy),
            ("-m fail",        1,  "",               failed),
            ("-m fail --json", 1,  failed_document,  failed_json),
            ("-m cut",         69, "",               cut),
        ] {
            let line = format!("agent --idempotency-key k {line}");
            let told = run(&state, &line).await;
            assert_eq!(told, (code, out.to_owned(), err.to_owned()), "{line}");
        }
    }).await;
}

#[tokio::test]
async fn each_event_is_a_line() {
    beside(async |state, _| {
        let line = "agent -m hi --json-stream --idempotency-key k";
        let (code, out, err) = run(&state, line).await;
        assert_eq!((code, err.as_str()), (0, ""));
        let lines: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["accepted"]["run"]["status"], "queued");
        assert_eq!(lines[1]["text"]["text"], "You said: ");
        assert_eq!(lines[3]["final"]["status"], "ok");
        assert_eq!(lines.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_message_from_standard_input() {
    beside(async |state, _| {
        for (input, code, expected) in
            [(&b"from a pipe"[..], 0, "You said: from a pipe\n"), (b" \n", 2, ""), (b"\xff", 2, "")]
        {
            let mut command = openclaw(&state, "agent -m -");
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input).await.unwrap();
            drop(stdin);
            let (told, out, err) = parts(&child.wait_with_output().await.unwrap());
            assert_eq!((told, out.as_str()), (code, expected), "{err}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_interrupt_ends_the_run() {
    beside(async |state, _| {
        let mut child = openclaw(&state, "agent -m hang --json-stream").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap();
        interrupt(child.id().unwrap()).await;
        let mut last = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            last = line;
        }
        assert!(last.contains("\"status\":\"aborted\""), "{last}");
        assert_eq!(child.wait().await.unwrap().code(), Some(130));
    })
    .await;
}

async fn interrupt(pid: u32) {
    let kill = ["-INT".to_owned(), pid.to_string()];
    assert!(tokio::process::Command::new("kill").args(kill).status().await.unwrap().success());
}

#[tokio::test]
async fn chat_goes_on_after_a_failure() {
    beside(async |state, _| {
        let mut child = openclaw(&state, "chat").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\n\nfail\ntwo\n/quit\nthree\n").await.unwrap();
        let (code, out, err) = parts(&child.wait_with_output().await.unwrap());
        // Who feeds it from a script learns of the turn that failed.
        assert_eq!((code, out.as_str()), (1, "You said: one\nYou said: two\n"));
        assert!(err.contains("the model is on fire"), "{err}");
    })
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn lists_and_single_things() {
    let table = "KEY                        LABEL        RUNS  NOW   USED\n\
                 agent:main:main            a\\u{1b}[2Jb  3     idle  -\n\
                 agent:main:explicit:notes  a\\u{1b}[2Jb  3     idle  -\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("sessions list",           0,  table,     ""),
            ("sessions show x",         1,  "",        "error: no session `x\\u{1b}[2J`\n"),
            ("runs list",               0,  "",        "no runs\n"),
            ("runs wait r",             0,  "Done.\n", ""),
            ("runs wait bad",           1,  "",        "error: run `bad` failed: the model is on fire\nnext: openclaw sessions history agent:main:main\n"),
            ("runs wait absent",        1,  "",        "error: no run `absent`\n"),
            ("runs abort r",            0,  "run r is running\n", ""),
            ("audit list",              0,  "",        "no decisions\n"),
            ("agents rm notes",         2,  "",        "error: agent `notes` would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE agents rm notes --yes\n"),
            ("runs wait slow --timeout 0", 75, "",     "error: run `slow` is still running\nnext: openclaw --state-dir STATE runs wait slow\n"),
        ] {
            let (told, stdout, stderr) = run(&state, line).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        }
        let (code, out, _) = run(&state, "sessions list --json --limit 1").await;
        let list: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &list["nextPageToken"]), (0, &"2".into()));
        assert_eq!(list["sessions"][0]["label"], "a\u{1b}[2Jb");
        assert_eq!(out.lines().count(), 1);
    }).await;
}

#[tokio::test]
async fn health() {
    beside(async |state, fake| {
        for (status, code, out) in [
            (ServingStatus::Serving, 0, "serving\n"),
            (ServingStatus::NotServing, 75, "not serving\n"),
        ] {
            fake.set_health(status).await;
            assert_eq!(run(&state, "health").await, (code, out.to_owned(), String::new()));
        }
        let (code, out, _) = run(&state, "health --json").await;
        assert_eq!((code, out.as_str()), (75, "{\"status\":\"notServing\"}\n"));
        let waiting = openclaw(&state, "health --wait 30s").output();
        let (told, ()) = tokio::join!(waiting, fake.set_health(ServingStatus::Serving));
        assert_eq!(parts(&told.unwrap()).0, 0);
    })
    .await;
}

#[tokio::test]
async fn the_decision_log() {
    beside(async |state, _| {
        let (code, out, err) = run(&state, "audit export").await;
        assert_eq!((code, out.lines().count(), err.as_str()), (0, 3, "head 3:ab\n"));
        let file = state.join("log.jsonl");
        let line = format!("audit export --output {}", file.display());
        let (code, out, _) = run(&state, &line).await;
        assert_eq!((code, out.as_str()), (0, ""));
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 3);
        let line = format!("audit export --output {}", state.join("absent/log").display());
        assert_eq!(run(&state, &line).await.0, 1);

        assert_eq!(run(&state, "audit verify").await.0, 0);
        let line = format!("audit verify --head 9:{}", "ab".repeat(32));
        let (code, out, _) = run(&state, &line).await;
        assert_eq!(code, 1);
        assert!(out.contains("head-missing"), "{out}");
    })
    .await;
}
