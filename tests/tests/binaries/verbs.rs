//! The command line against a real daemon: shapes, streams and exit codes.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::harness::{Home, Script, Signal, finish};

/// What the model says in the tests of the command line.
pub(super) fn script() -> Script {
    Script::default()
        .slowly("slow", 30)
        .reply(&[("match", "\"broken\"".into()), ("failure", "\"billing\"".into())])
        .reply(&[("match", "\"hello\"".into()), ("text", "\"You said {message}\"".into())])
}

#[tokio::test]
async fn a_conversation_from_the_first_word_to_its_history() {
    let home = Home::with(&script());
    let daemon = home.start().await;
    // Piped: the answer and nothing else, and no color.
    assert_eq!(home.tell(&["agent", "--message", "hello 1"]).await.ok(), "You said hello 1\n");
    let document =
        home.tell(&["agent", "-m", "hello 2", "--idempotency-key", "k2", "--json"]).await;
    let mut document = document.json();
    assert!(document["usage"].take()["inputTokens"].as_u64().unwrap() > 0);
    let expected = json!({
        "runId": "k2", "sessionKey": "agent:main:main", "status": "ok",
        "text": "You said hello 2", "usage": null,
    });
    assert_eq!(document, expected);

    let lines = home.tell(&["agent", "-m", "hello 3", "--json-stream"]).await.ok();
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> =
        events.iter().map(|event| event.as_object().unwrap().keys().next().unwrap()).collect();
    assert_eq!(
        (kinds.first().unwrap().as_str(), kinds.last().unwrap().as_str()),
        ("accepted", "final")
    );
    let text: String = events.iter().filter_map(|event| event["text"]["text"].as_str()).collect();
    assert_eq!(text, "You said hello 3");

    // The same key asks for the same run; with another message it is refused.
    let again = home.tell(&["agent", "-m", "hello 2", "--idempotency-key", "k2"]).await;
    assert_eq!(again.ok(), "You said hello 2\n");
    let other = home.tell(&["agent", "-m", "hello X", "--idempotency-key", "k2", "--json"]).await;
    assert_eq!(other.error(1)["reason"], "IDEMPOTENCY_CONFLICT");

    home.tell(&["sessions", "new", "explicit:notes", "--label", "My notes"]).await.ok();
    let sessions = home.run("sessions list --json").await.json();
    let keys: Vec<_> = sessions["sessions"].as_array().unwrap().iter().map(|s| &s["key"]).collect();
    assert_eq!(keys, ["agent:main:explicit:notes", "agent:main:main"]);
    let table = home.run("sessions list").await.ok();
    assert!(
        table.starts_with("KEY ") && table.contains("My notes") && !table.contains('\x1b'),
        "{table}"
    );
    let shown = home.run("sessions show main --json").await.json();
    assert_eq!((&shown["totalRuns"], &shown["activeRunId"]), (&json!(3), &json!("")));
    let history = home.run("sessions history main --json").await.json();
    let kinds: Vec<_> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["user", "assistant", "final"].repeat(3));
    let said = home.run("sessions history main").await.ok();
    assert!(said.starts_with("> hello 1\nYou said hello 1\n"), "{said}");

    let runs = home.run("runs list --json").await.json();
    assert_eq!(
        (runs["runs"].as_array().unwrap().len(), &runs["runs"][1]["runId"]),
        (3, &json!("k2"))
    );
    let page = home.run("runs list --limit 2 --json").await.json();
    let token = page["nextPageToken"].as_str().unwrap();
    let rest = home.run(&format!("runs list --page-token {token} --json")).await.json();
    assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["nextPageToken"]), (1, &json!("")));
    assert_eq!(home.run("runs wait k2").await.ok(), "You said hello 2\n");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn what_the_gateway_tells_of_itself() {
    let mut home = Home::with(&script());
    home.configure("[agents.entries.helper]\n");
    let daemon = home.start().await;
    home.tell(&["agent", "-m", "hello"]).await.ok();

    let status = home.run("status --json").await.json();
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!((&status["phase"], &status["sessions"]), (&json!("serving"), &json!(1)));
    assert!(status["principal"].as_str().unwrap().starts_with("owner:"), "{status}");
    let table = home.run("status").await.ok();
    assert!(table.contains(&format!("pid {}", daemon.pid())) && !table.contains('\x1b'), "{table}");

    let access = home.run("access explain sessions.create --json").await.json();
    assert_eq!(
        (&access["verdicts"][0]["allowed"], &access["verdicts"][0]["requires"]),
        (&json!(true), &json!("operator.write"))
    );
    let system =
        home.run("access explain sessions.create --as system:recovery --json").await.json();
    assert_eq!(system["verdicts"][0]["allowed"], json!(false));

    let agents = home.run("agents list --json").await.json();
    let ids: Vec<_> =
        agents["agents"].as_array().unwrap().iter().map(|agent| &agent["id"]).collect();
    assert_eq!(ids, ["helper", "main"]);
    std::fs::write(home.workspace().join("SOUL.md"), "Be brief, and blue.").unwrap();
    let prompt = home.run("agents show main --prompt").await.ok();
    assert!(prompt.contains("Be brief, and blue.") && prompt.contains("`exec`"), "{prompt}");
    home.tell(&["agents", "add", "second", "--name", "Ada"]).await.ok();
    assert!(home.run("agents show second --prompt").await.ok().starts_with("You are Ada,"));
    let answered = home.tell(&["agent", "-m", "hello", "--agent", "second", "--json"]).await.json();
    assert_eq!(answered["sessionKey"], "agent:second:main");
    let looked = home.run("agents rm second --dry-run").await.ok();
    assert!(looked.starts_with("would remove agent second"), "{looked}");
    home.run("agents rm second --yes").await.ok();
    assert_eq!(home.run("agents show second").await.code, 1);
    assert_eq!(home.run("agents rm main --yes").await.code, 1);

    let models = home.run("models list --json").await.json();
    assert_eq!(
        (&models["models"][0]["name"], &models["models"][0]["credential"]),
        (&json!("offline/offline"), &json!("none"))
    );
    assert_eq!(home.run("models test --json").await.json()["ok"], json!(true));

    assert!(home.run("config check").await.ok().ends_with("openclaw.toml: ok\n"));
    let shown = home.run("config show").await.ok();
    assert!(
        shown.contains("[agents.entries.helper]") && shown.contains("drainSeconds = 25"),
        "{shown}"
    );
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn the_decision_log() {
    let home = Home::with(&script());
    let daemon = home.start().await;
    for n in 0..3 {
        home.tell(&["agent", "-m", &format!("hello {n}")]).await.ok();
    }
    let list = home.run("audit list --json").await.json();
    let records = list["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| record["method"] == "agent" && record["decision"] == "allowed")
    );
    assert!(home.run("audit list").await.ok().starts_with("SEQUENCE"));
    assert_eq!(home.run("audit list --denied --json").await.json()["records"], json!([]));

    let verified = home.run("audit verify --json").await.json();
    assert_eq!((&verified["ok"], &verified["checked"]), (&json!(true), &json!(3)));
    let head = format!(
        "{}:{}",
        verified["head"]["sequence"],
        verified["head"]["digest"].as_str().unwrap()
    );

    // To a file, the note about the head apart from it.
    let file = home.path("log.jsonl");
    let told = home.tell(&["audit", "export", "--output", file.to_str().unwrap()]).await;
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{told}");
    let exported = std::fs::read_to_string(&file).unwrap();
    let rows: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The export itself is a decision, and stands at its end.
    let methods: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["agent", "agent", "agent", "audit.export"]);
    let last = format!("{}:{}", rows[3]["sequence"], rows[3]["digest"].as_str().unwrap());
    assert!(told.err.contains(&last), "{told}");

    for head in [&head, &last] {
        assert!(home.run(&format!("audit verify --head {head}")).await.code == 0);
    }
    let foreign = format!("3:{}", "0".repeat(64));
    assert_eq!(home.run(&format!("audit verify --head {foreign} --json")).await.code, 1);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    // The same without a gateway.
    for head in [&head, &last] {
        assert_eq!(home.run(&format!("audit verify --head {head}")).await.code, 0);
    }
    assert_eq!(home.run(&format!("audit verify --head {foreign}")).await.code, 1);
}

#[tokio::test]
async fn chat_reads_lines_and_answers_each() {
    let home = Home::with(&script());
    let daemon = home.start().await;
    let mut chat = home.openclaw(&["chat", "--session", "explicit:talk"]);
    let mut chat = chat.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = chat.stdin.take().unwrap();
    input.write_all(b"hello there\n\nbroken\nhello again\n/quit\nhello never\n").await.unwrap();
    let told = finish(chat).await;
    assert_eq!(
        (told.code, told.out.as_str()),
        (1, "You said hello there\nYou said hello again\n"),
        "a script learns that one failed: {told}"
    );
    assert!(told.err.starts_with("error: run `") && !told.err.contains('\x1b'), "{told}");
    drop(input);
    let session = home.run("sessions show explicit:talk --json").await.json();
    assert_eq!(session["totalRuns"], 3);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
