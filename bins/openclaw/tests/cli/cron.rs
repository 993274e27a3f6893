//! Verbs about jobs.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::online::beside;
use crate::process::{openclaw, parts, run};

/// Runs the program with arguments that have spaces in them.
async fn with(state: &std::path::Path, arguments: &[&str]) -> (i32, String, String) {
    parts(&openclaw(state, "cron").args(arguments).output().await.unwrap())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
#[rustfmt::skip]
async fn verbs() {
    let jobs = "NAME         ID         SCHEDULE                   NEXT  STATE    OWNER\n\
                a\\u{1b}[2Jb  job-brief  0 9 * * * Pacific/Chatham  -     enabled  owner\n";
    let status = "jobs run:                   no: `cron.enabled` is false, or OPENCLAW_SKIP_CRON is set\n\
                  jobs:                       3\n\
                  due at all:                 2\n\
                  disabled by the scheduler:  1\n\
                  at work:                    0\n\
                  waiting:                    0\n\
                  behind:                     1m30s\n";
    let runs = "JOB      SCHEDULED                                           OUTCOME  REASON    STARTED  TOOK  RUN  DELIVERY  TEXT\n\
                job-tea  2026-12-01T07:00:00Z x2 until 2026-12-01T08:00:00Z  skipped  back-off  -        -     -    -         -\n";
    let failed = "error: job `job-bad` did not run well: failed: error: the model is on fire\nnext: openclaw --state-dir STATE cron runs job-bad\n";
    let slow = "error: job `job-slow` has not come to its end yet\nnext: openclaw --state-dir STATE cron runs job-slow\n";
    let gone = "error: the ledger has nothing of job `job-gone` any more\n";
    let unsure = "error: job `brief` would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE cron rm brief --yes\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("list",                          0,  jobs,   ""),
            ("list --search nothing",         0,  "",     "no jobs\n"),
            ("enable brief",                  0,  "brief (job-brief) is enabled\n", ""),
            ("disable brief",                 0,  "brief (job-brief) is disabled: by-request\n", ""),
            ("show absent",                   1,  "",     "error: no job `absent`\nnext: openclaw access explain agent\n"),
            ("rm brief",                      2,  "",     unsure),
            ("rm brief --yes",                0,  "removed brief (job-brief)\n", ""),
            ("run brief",                     0,  "job-brief is due at 2026-12-01T09:00:00Z\n", ""),
            ("run brief --wait",              0,  "All is \u{1b}[2Jwell.\n", ""),
            ("run bad --wait",                1,  "",     failed),
            ("run slow --wait --wait-timeout 0", 75, "",  slow),
            ("run gone --wait",               1,  "",     gone),
            ("runs",                          0,  runs,   ""),
            ("runs brief --outcome missed",   0,  "",     "nothing was due\n"),
            ("cancel brief",                  0,  "job-brief, due at 2026-12-01T09:00:00Z, is cancelled\n", ""),
            ("status",                        0,  status, ""),
            ("edit brief",                    2,  "",     "error: nothing was said that would change\nnext: openclaw cron edit --help\n"),
            ("edit brief --name x --expected-revision 2", 1, "", "error: the job is at revision 3 by now\n"),
        ] {
            let (told, stdout, stderr) = run(&state, &format!("cron {line}")).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        }
    }).await;
}

#[tokio::test]
async fn what_was_understood() {
    let add = ["add", "--name", "brief", "--message", "Sum it up.", "--cron", "0 9 * * *"];
    let told = "added brief (job-new)\n\
                schedule:  0 9 * * *\n\
                zone:      Pacific/Chatham (ZONE)\n\
                catch-up:  last\n\
                clocks:    a skipped time is made up for\n\
                NEXT   UTC\n\
                day 0  2026-12-01T09:00:00Z\n";
    beside(async |state, _| {
        for (machine, zone) in
            [("Pacific/Chatham", "this machine's zone"), ("Asia/Tokyo", "the gateway's zone")]
        {
            let mut command = openclaw(&state, "cron");
            let output = command.env("TZ", machine).args(add).output().await.unwrap();
            let (code, out, err) = parts(&output);
            let told = told.replace("ZONE", zone);
            assert_eq!((code, out.as_str(), err.as_str()), (0, told.as_str(), ""));
        }
        let (code, out, err) =
            with(&state, &[&add[..], &["--key", "k", "--disabled"]].concat()).await;
        assert!(out.starts_with("changed brief (job-new)\n"), "{out}");
        assert_eq!(
            (code, err.as_str()),
            (0, "it is disabled: it is not due until it is enabled\n")
        );

        let (_, out, _) = with(
            &state,
            &[&add[..], &["--announce", "--channel", "telegram", "--to", "-1"]].concat(),
        )
        .await;
        assert!(out.contains("\ndelivers:  to telegram -1\n"), "{out}");

        let (code, _, err) = with(&state, &["edit", "never", "--exact"]).await;
        let unknown = "when it will be due could not be told: it is never active\n";
        assert_eq!((code, err.as_str()), (0, unknown));

        let line = ["preview", "--at", "2026-12-01 09:00", "--tz", "Europe/Berlin", "--count", "1"];
        let told = "schedule:  at 2026-12-01T08:00:00Z\n\
                    zone:      Europe/Berlin\n\
                    catch-up:  last\n\
                    NEXT   UTC\n\
                    day 0  2026-12-01T09:00:00Z\n";
        assert_eq!(with(&state, &line).await, (0, told.to_owned(), String::new()));
    })
    .await;
}

#[tokio::test]
async fn a_job_as_it_was_said() {
    let line = [
        "automations",
        "create",
        "--json",
        "--name",
        "look",
        "--every",
        "30m",
        "--tz",
        "Europe/Berlin",
        "--active",
        "09:00-17:00",
        "--exact",
        "--catch-up",
        "all:3",
        "--agent",
        "ops",
        "--session",
        "isolated",
        "--message",
        "-",
        "--model",
        "a/b",
        "--tools",
        "read_file,list_dir",
        "--tools",
        "web_fetch",
        "--timeout",
        "10m",
        "--budget",
        "5000",
        "--delete-after-run",
        "--key",
        "k",
    ];
    beside(async |state, _| {
        for (input, expected) in [("Look\naround.", 0), (" \n", 2)] {
            let mut command = openclaw(&state, "");
            let mut child = command.args(line).stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).await.unwrap();
            drop(stdin);
            let (code, out, err) = parts(&child.wait_with_output().await.unwrap());
            assert_eq!(code, expected, "{err}");
            if expected != 0 {
                continue;
            }
            let added = json(&out);
            let job = &added["job"];
            let schedule = &job["schedule"];
            for (told, expected) in [
                (&added["created"], "false"),
                (&job["name"], "\"look\""),
                (&job["key"], "\"k\""),
                (&job["agentId"], "\"ops\""),
                (&job["enabled"], "true"),
                (&job["payload"], r#"{"agentTurn":"Look\naround."}"#),
                (&job["session"], "\"isolated\""),
                (&job["model"], "\"a/b\""),
                (&job["tools"], r#"{"all":false,"names":["read_file","list_dir","web_fetch"]}"#),
                (&job["timeout"], "\"600s\""),
                (&job["budget"], "5000"),
                (&job["deleteAfterRun"], "true"),
                (&schedule["every"], "\"1800s\""),
                (&schedule["timeZone"], "\"Europe/Berlin\""),
                (&schedule["stagger"], "\"0s\""),
                (&schedule["activeFrom"], "\"09:00\""),
                (&schedule["activeUntil"], "\"17:00\""),
                (&schedule["catchUp"], "\"all:3\""),
            ] {
                assert_eq!(told.to_string(), expected);
            }
        }
    })
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn what_changes_is_said_and_nothing_else() {
    beside(async |state, _| {
        for (flags, field, expected) in [
            ("--enable",                  "/enabled",         "true"),
            ("--disable",                 "/enabled",         "false"),
            ("--all-tools",               "/tools",           r#"{"all":true,"names":[]}"#),
            ("--delete-after-run",        "/deleteAfterRun",  "true"),
            ("--delete-after-run=false",  "/deleteAfterRun",  "false"),
            ("--timeout 0",               "/timeout",         "\"0s\""),
            ("--active 00:00-24:00",      "/schedule/activeUntil", "\"24:00\""),
            ("--stagger 1m",              "/schedule/stagger", "\"60s\""),
            ("--name x",                  "/schedule",        "null"),
            ("--system-event -v",         "/payload",         r#"{"systemEvent":"-v"}"#),
            ("--at 2026-12-01T10:00:00+01:00", "/schedule/at", "\"2026-12-01T09:00:00Z\""),
            ("--name x --expected-revision 3", "/revision",   "3"),
            ("--name x",                  "/delivery",        "null"),
            ("--no-deliver",              "/delivery",        r#"{"none":true}"#),
            ("--webhook https://x.example/y", "/delivery",    r#"{"webhook":"https://x.example/y"}"#),
            ("--announce --to -100123",   "/delivery",        r#"{"announce":{"accountId":"","channel":"","threadId":"","to":"-100123"}}"#),
            ("--announce --channel telegram --to 1 --thread 7 --account a", "/delivery/announce/threadId", "\"7\""),
        ] {
            let (code, out, err) = run(&state, &format!("cron edit brief --json {flags}")).await;
            assert_eq!(code, 0, "{flags}: {err}");
            assert_eq!(json(&out).pointer(field).unwrap().to_string(), expected, "{flags}");
        }
        for (at, zone) in [("soon", "UTC"), ("2026-03-29 02:30", "Europe/Berlin"), ("2026-12-01 09:00", "Nowhere")] {
            assert_eq!(with(&state, &["edit", "brief", "--at", at, "--tz", zone]).await.0, 2, "{at}");
        }
    }).await;
}

#[tokio::test]
async fn documents() {
    beside(async |state, _| {
        for (line, pointer, expected) in [
            ("list", "/jobs/0/id", "\"job-brief\""),
            ("list", "/nextPageToken", "\"\""),
            ("list --all --limit 1", "/nextPageToken", "\"2\""),
            ("get brief", "/last/outcome", "\"failed\""),
            ("enable brief", "/enabled", "true"),
            ("delete brief --dry-run", "/id", "\"job-brief\""),
            ("remove brief --yes", "/id", "\"job-brief\""),
            ("run brief", "/outcome", "\"claimed\""),
            ("run brief --wait", "/outcome", "\"ran\""),
            ("runs brief --limit 2", "/occurrences/1/outcome", "\"ran\""),
            ("runs", "/nextPageToken", "\"\""),
            ("cancel brief", "/outcome", "\"cancelled\""),
            ("preview brief --count 3", "/instants/2/local", "\"day 2\""),
            ("status", "/suspendedJobs", "1"),
            ("export", "/jobs/1/id", "\"job-tea\""),
            ("export brief", "/jobs/0/id", "\"job-brief\""),
        ] {
            let (code, out, err) = run(&state, &format!("cron {line} --json")).await;
            assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1), "{line}");
            assert_eq!(json(&out).pointer(pointer).unwrap().to_string(), expected, "{line}");
        }
        let (_, out, _) = run(&state, "cron runs brief").await;
        assert!(out.contains("  1m30s  cron-1  dead      All is \\u{1b}[2Jwell."), "{out}");
        let (_, out, _) = run(&state, "cron show brief").await;
        for fact in [
            "asks:      Sum it up.\\u{1b}[2J\n",
            "delivers:  to telegram -100123 thread 7\n",
            "it was:    failed: error\n",
            "delivery:  sent (dl-1)\n",
        ] {
            assert!(out.contains(fact), "{out}");
        }
        let (_, out, _) = run(&state, "cron export").await;
        let file: toml::Table = out.parse().unwrap();
        let jobs = file["job"].as_array().unwrap();
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[0]["message"].as_str(), Some("Sum it up.\u{1b}[2J"));
        assert_eq!(jobs[0]["schedule"]["tz"].as_str(), Some("Pacific/Chatham"));
        assert_eq!(jobs[0]["delivery"]["to"].as_str(), Some("-100123"));
        assert_eq!(jobs[1]["disabledReason"].as_str(), Some("by-request"));
        assert_eq!(jobs[1]["problem"].as_str(), Some("its schedule is torn"));
    })
    .await;
}
