//! `openclaw events`.

use crate::online::beside;
use crate::process::run;

const TABLE: &str = "\
SEQ  AT                    KIND       STATE  SUBJECT  SESSION          OWNER
2    2026-01-01T00:00:00Z  run.ended  ok     r2       agent:main:main  owner
3    2026-01-01T00:00:00Z  run.ended  ok     r3       agent:main:main  owner
";
const FIRST: &str =
    "5       2026-01-01T00:00:00Z  run.ended          ok         r5  agent:main:main  owner\n";
const SECOND: &str =
    "6       2026-01-01T00:00:00Z  run.ended          ok         r6  agent:main:main  owner\n";
const GONE: &str = "error: events before 9 are gone; list anew and watch from 12\n\
                    next: openclaw events, then go on\n";

#[tokio::test]
async fn what_is_kept() {
    beside(async |state, _| {
        let told = run(&state, "events --limit 2").await;
        assert_eq!(told, (0, TABLE.to_owned(), String::new()));
        assert_eq!(run(&state, "events --kind none").await.2, "no events\n");
        assert_eq!(run(&state, "events --since-seq 1").await, (1, String::new(), GONE.into()));
        for line in ["events --limit 0", "events --follow --limit 5", "events --kind="] {
            assert_eq!(run(&state, line).await.0, 2, "{line}");
        }
        let (code, out, _) = run(&state, "events --json").await;
        let list: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, list["events"].as_array().unwrap().len()), (0, 3));
        let first = serde_json::json!({
            "seq": 1, "at": "2026-01-01T00:00:00Z", "kind": "run.ended", "subject": "r1",
            "sessionKey": "agent:main:main", "agentId": "main", "state": "ok", "owner": "owner",
        });
        assert_eq!(list["events"][0], first);
        let (_, out, _) = run(&state, "events --json --kind none").await;
        assert_eq!(out, "{\"events\":[]}\n");
    })
    .await;
}

/// A stream that breaks goes on from where it was; one that cannot says why.
#[tokio::test]
async fn what_comes() {
    beside(async |state, _| {
        let (code, out, err) = run(&state, "events -f").await;
        assert_eq!((code, out), (1, format!("{FIRST}{SECOND}")));
        let note = "the stream broke, and goes on after event 5: stopping\n";
        assert_eq!(err, format!("{note}{GONE}"));
        let (code, out, err) = run(&state, "events --follow --json").await;
        let seen: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((code, seen.len()), (1, 2));
        assert_eq!((&seen[0]["subject"], &seen[1]["subject"]), (&"r5".into(), &"r6".into()));
        let error: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!(error["error"]["code"], "OUT_OF_RANGE");
    })
    .await;
}
