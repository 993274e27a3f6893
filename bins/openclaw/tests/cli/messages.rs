//! Verbs about what leaves the gateway, and what conversations are told.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::online::beside;
use crate::process::{openclaw, parts, run};

const REFUSED: &str = "error: missing scope: operator.write\nnext: openclaw access explain agent\n";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
#[rustfmt::skip]
async fn sending() {
    let failed = |id: &str, what: &str| format!("error: delivery `{id}` is {what}\nnext: openclaw --state-dir STATE delivery show {id}\n");
    let dead = failed("dl-dead", "dead: it did not arrive: status 403, 50001: \\u{1b}[2JMissing Access");
    let partial = failed("dl-partial", "partial: not all of it arrived: rate limited");
    let unknown = failed("dl-unknown", "unknown: whether it arrived cannot be told: no answer in time");
    let discarded = failed("dl-given-up", "discarded");
    let slow = failed("dl-slow", "still waiting");
    let empty = "error: the message is empty\nnext: openclaw message send --help\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("--message ok",                            0,  "dl-ok is waiting\n", ""),
            ("--message ok --wait 10s",                 0,  "dl-ok is sent\n", ""),
            ("--message dead",                          0,  "dl-dead is waiting\n", ""),
            ("--message dead --wait 10s",               1,  "", dead.as_str()),
            ("--message dead --idempotency-key again",  1,  "", &dead),
            ("--message ok --idempotency-key again",    0,  "dl-ok is sent\n", ""),
            ("--message slow --idempotency-key again",  0,  "dl-slow is waiting\n", ""),
            ("--message partial --wait 10s",            1,  "", &partial),
            ("--message unknown --wait 10s",            1,  "", &unknown),
            ("--message given-up --wait 10s",           1,  "", &discarded),
            ("--message slow --wait 1ms",               75, "", &slow),
            ("--message deny",                          77, "", REFUSED),
            ("--message deny --channel webhook",        77, "", REFUSED),
            ("--message=",                              2,  "", empty),
        ] {
            let (told, stdout, stderr) = run(&state, &format!("message send --target 1 {line}")).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        }
    }).await;
}

#[tokio::test]
async fn a_message_as_it_was_said() {
    let line = "message send --json --channel telegram --to -100123 --thread 7 --account default \
                --message - --media https://x.example/y.png --reply-to 5 --idempotency-key k";
    beside(async |state, _| {
        let mut child = openclaw(&state, line).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"It is\nbuilt.").await.unwrap();
        drop(stdin);
        let (code, out, err) = parts(&child.wait_with_output().await.unwrap());
        assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1));
        let sent = json(&out);
        for (pointer, expected) in [
            ("/state", "\"waiting\""),
            ("/source", "\"send:owner:k:5\""),
            (
                "/to",
                r#"{"accountId":"default","channel":"telegram","peerId":"-100123","peerKind":"","threadId":"7"}"#,
            ),
            ("/text", r#""It is\nbuilt.""#),
            ("/mediaUrl", "\"https://x.example/y.png\""),
            ("/nextAt", "null"),
            ("/receipts", "[]"),
        ] {
            assert_eq!(sent.pointer(pointer).unwrap().to_string(), expected, "{pointer}");
        }
        // Media alone says enough.
        let (code, out, _) = run(&state, "message send --to 1 --media https://x.example/y").await;
        assert_eq!((code, out.as_str()), (0, "dl- is waiting\n"));
        // A failure has its document, too.
        let line = "message send --to 1 --message dead --wait 10s --json";
        let (code, out, err) = run(&state, line).await;
        assert_eq!((code, &json(&out)["state"]), (1, &"dead".into()));
        assert_eq!(json(&err)["error"]["code"], "FAILED");
    })
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn a_poll_as_it_was_asked() {
    let line = "message poll --json --channel telegram --to -100123 --thread 7 --account default --question Lunch? --option Pizza \
                --option Soup --reply-to 5 --idempotency-key k";
    let shown = "id:            dl-poll\n\
                 state:         sent\n\
                 channel:       telegram\n\
                 account:       default\n\
                 to:            -100123:topic:7\n\
                 text:          Lunch\\u{1b}[2J? (Pizza / Soup)\n\
                 poll:          any number of options, anonymous, open for 1h30m, silent\n\
                 of:            send:owner:k\n\
                 on behalf of:  owner\n\
                 parts:         2 of 2 arrived\n\
                 receipts:      1 2\n\
                 tried:         3\n";
    beside(async |state, _| {
        for (more, pointer, expected) in [
            ("",                    "/state", "\"waiting\""),
            ("",                    "/source", "\"send:owner:k:5\""),
            ("",                    "/to", r#"{"accountId":"default","channel":"telegram","peerId":"-100123","peerKind":"","threadId":"7"}"#),
            ("",                    "/poll/question", "\"Lunch?\""),
            ("",                    "/poll/options", r#"["Pizza","Soup"]"#),
            ("",                    "/poll/maxSelections", "null"),
            ("",                    "/poll/duration", "null"),
            ("",                    "/poll/isAnonymous", "null"),
            ("",                    "/poll/silent", "false"),
            ("--multi",             "/poll/maxSelections", "2"),
            ("--max-selections 1",  "/poll/maxSelections", "1"),
            ("--duration 2d",       "/poll/duration", "\"172800s\""),
            ("--anonymous",         "/poll/isAnonymous", "true"),
            ("--public",            "/poll/isAnonymous", "false"),
            ("--silent",            "/poll/silent", "true"),
        ] {
            let (code, out, err) = run(&state, &format!("{line} {more}")).await;
            assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1), "{more}");
            assert_eq!(json(&out).pointer(pointer).unwrap_or(&Value::Null).to_string(), expected, "{more}");
        }
        let ask = |rest: &str| format!("message poll --to 1 --question {rest}");
        for (line, code, out) in [
            (ask("ok --option a --option b"),                        0,  "dl-ok is waiting\n"),
            (ask("ok --option a --option b --wait 10s"),             0,  "dl-ok is sent\n"),
            (ask("ok --poll-option a --poll-option b --poll-multi"), 0,  "dl-ok is waiting\n"),
            (ask("dead --option a --option b --wait 10s"),           1,  ""),
            (ask("slow --option a --option b --wait 1ms"),           75, ""),
            (ask("deny --option a --option b"),                      77, ""),
            (ask("ok"),                                              2,  ""),
            (ask("ok --option a --multi --max-selections 1"),        2,  ""),
            (ask("ok --option a --anonymous --public"),              2,  ""),
            (ask("ok --option a --duration soon"),                   2,  ""),
            ("delivery show dl-poll".to_owned(),                     0,  shown),
        ] {
            let (told, stdout, stderr) = run(&state, &line).await;
            assert_eq!((told, stdout.as_str()), (code, out), "{line}: {stderr}");
        }
    }).await;
}

#[tokio::test]
#[rustfmt::skip]
async fn deliveries() {
    let list = "ID          CHANNEL   TO               STATE    TRIED  WRITTEN  ERROR         TEXT\n\
                dl-ok       telegram  -100123:topic:7  sent     3      -        -             It is \\u{1b}[2Jbuilt.\n\
                dl-partial  telegram  -100123:topic:7  partial  3      -        rate limited  It is \\u{1b}[2Jbuilt.\n";
    let shown = "id:            dl-partial\n\
                 state:         partial\n\
                 error:         rate limited\n\
                 channel:       telegram\n\
                 account:       default\n\
                 to:            -100123:topic:7\n\
                 text:          It is \\u{1b}[2Jbuilt.\n\
                 of:            send:owner:k\n\
                 on behalf of:  owner\n\
                 parts:         1 of 2 arrived\n\
                 receipts:      1\n\
                 tried:         3\n";
    let hint = "The parts that arrived are not sent again. To send it again: openclaw --state-dir STATE delivery retry dl-partial; to give it up: openclaw --state-dir STATE delivery discard dl-partial --yes\n";
    let absent = "error: no delivery `absent`\nnext: openclaw access explain agent\n";
    let settled = "error: delivery `dl-ok` is sent: there is nothing to do about it\n";
    let unsure = "error: delivery `dl-dead` would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE delivery discard dl-dead --yes\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("list",                       0, list,  ""),
            ("ls --channel discord",       0, "",    "no deliveries\n"),
            ("show dl-partial",            0, shown, hint),
            ("get absent",                 1, "",    absent),
            ("retry dl-dead",              0, "dl-dead is waiting\n", ""),
            ("retry dl-ok",                1, "",    settled),
            ("discard dl-dead",            2, "",    unsure),
            ("discard dl-partial --dry-run", 0, shown, ""),
            ("discard absent --dry-run",   1, "",    absent),
            ("discard dl-dead --yes",      0, "dl-dead is discarded\n", ""),
            ("discard absent --yes",       1, "",    absent),
        ] {
            let (told, stdout, stderr) = run(&state, &format!("delivery {line}")).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        }
    }).await;
}

#[tokio::test]
#[rustfmt::skip]
async fn events() {
    let failed = |id: &str, what: &str| format!("error: event `{id}` is {what}\nnext: openclaw --state-dir STATE system show {id}\n");
    let dead = failed("ev-dead", "dead: too many events waited; it gave way to newer ones");
    let gone = failed("ev-gone", "discarded");
    let slow = failed("ev-slow", "still waiting");
    let shown = "id:           ev-ok\n\
                 state:        told\n\
                 session:      agent:main:main\n\
                 text:         The door\\u{1b}[2J is open.\n\
                 told in run:  told-1\n";
    let told_line = "ev-ok is told in agent:main:main in run told-1\n";
    let absent = "error: no event `absent`\nnext: openclaw access explain agent\n";
    let empty = "error: the event says nothing\nnext: openclaw system event --help\n";
    beside(async |state, _| {
        for (line, code, out, err) in [
            ("event --text ok",                            0,  "ev-ok is waiting in agent:main:main\n", ""),
            ("event --text ok --session x --agent ops",    0,  "ev-ok is waiting in agent:ops:x\n", ""),
            ("event --text ok --wait 10s",                 0,  told_line, ""),
            ("event --text ok --idempotency-key again",    0,  told_line, ""),
            ("event --text dead --wait 10s",               1,  "", dead.as_str()),
            ("event --text dead --idempotency-key again",  1,  "", &dead),
            ("event --text gone --wait 10s",               1,  "", &gone),
            ("event --text slow --wait 1ms",               75, "", &slow),
            ("event --text deny",                          77, "", REFUSED),
            ("event --text=",                              2,  "", empty),
            ("show ev-ok",                                 0,  shown, ""),
            ("event-status absent",                        1,  "", absent),
            ("wake",                                       0,  "agent:main:main is woken; 2 wait there\n", ""),
            ("wake --session x --agent ops",               0,  "agent:ops:x is woken; 2 wait there\n", ""),
        ] {
            let (told, stdout, stderr) = run(&state, &format!("system {line}")).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (code, out, err), "{line}");
        }
    }).await;
}

#[tokio::test]
async fn documents() {
    beside(async |state, _| {
        for (line, pointer, expected) in [
            ("message send --to 1 --message ok --wait 10s", "/receipts", r#"["1","2"]"#),
            ("delivery list", "/deliveries/1/state", "\"partial\""),
            ("delivery list --limit 1", "/nextPageToken", "\"2\""),
            ("delivery list --state dead", "/deliveries/0/id", "\"dl-dead\""),
            ("delivery list --channel discord", "/deliveries", "[]"),
            ("delivery show dl-ok", "/parts", "2"),
            ("delivery retry dl-unknown", "/state", "\"waiting\""),
            ("delivery discard dl-dead --dry-run", "/state", "\"dead\""),
            ("delivery discard dl-dead --yes", "/state", "\"discarded\""),
            ("system event --text ok --context door", "/text", "\"ok door\""),
            ("system event --text ok --wait 10s", "/toldInRunId", "\"told-1\""),
            ("system get ev-dead", "/state", "\"dead\""),
            ("system wake", "/waiting", "2"),
        ] {
            let (code, out, err) = run(&state, &format!("{line} --json")).await;
            assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1), "{line}");
            assert_eq!(json(&out).pointer(pointer).unwrap().to_string(), expected, "{line}");
        }
    })
    .await;
}
