//! Commands in the background: they outlive the turn that began them, their ends are told once, and they
//! end with whatever they belong to.

use openclaw_client::Client;
use openclaw_client::v1::history_entry::Kind;
use openclaw_client::v1::{
    DeleteSessionRequest, ListRunsRequest, ResetSessionRequest, Run, RunStatus,
    SessionHistoryRequest, StartRunRequest, run_event,
};

use super::harness::{Home, Script, Signal, eventually, processes_with, quoted};

/// Exec in the background, until the file `go` is in the workspace.
const HELD: &str = "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo over";

fn call(tool: &str, arguments: &str) -> String {
    format!("{{ name = \"{tool}\", arguments = {{ {arguments} }} }}")
}

fn exec(command: &str, more: &str) -> String {
    call("exec", &format!("command = {}, {more}", quoted(command)))
}

fn home() -> Home {
    let poll = call("process", "action = \"poll\", timeoutSeconds = 60");
    let kill = call("process", "action = \"kill\"");
    let list = call("process", "action = \"list\"");
    let held = exec(HELD, "background = true");
    let calls = |part: &str, calls: &[&str]| {
        [("match", quoted(part)), ("toolCalls", format!("[{}]", calls.join(", ")))]
    };
    let script = Script::default()
        .answer("in the background have ended", "Heard: {message}")
        .reply(&calls("leave", &[&held]))
        .reply(&calls("slow", &[&exec(HELD, "yieldMs = 1")]))
        .reply(&calls("poll", &[&exec("echo once", "background = true"), &poll]))
        .reply(&calls("kill", &[&held, &list, &kill]))
        .reply(&calls("fail", &[&exec("exit 3", "background = true")]))
        .reply(&calls("silent", &[&exec("true", "background = true"), &list]))
        .reply(&calls("many", &[held.as_str(); 11]))
        .reply(&calls("child", &[&held]))
        .reply(&calls(
            "delegate",
            &[&call("sessions_spawn", "task = \"child\""), &call("subagents", "action = \"wait\"")],
        ))
        .tell_results();
    let mut home = Home::with(&script);
    // So that it works where the kernel has no sandbox, too.
    home.configure("[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n");
    home
}

async fn ask(client: &Client, key: &str, session: &str, message: &str) -> Run {
    let request = StartRunRequest {
        idempotency_key: key.to_owned(),
        session_key: session.to_owned(),
        message: message.to_owned(),
        ..StartRunRequest::default()
    };
    let mut events = client.runs().start(request).await.unwrap().into_inner();
    loop {
        if let run_event::Event::Final(run) =
            events.message().await.unwrap().unwrap().event.unwrap()
        {
            assert_eq!(run.status(), RunStatus::Ok, "{run:?}");
            return run;
        }
    }
}

async fn runs(client: &Client) -> Vec<Run> {
    client.runs().list(ListRunsRequest::default()).await.unwrap().into_inner().runs
}

/// Waits for the turn in which a conversation is told.
async fn told(client: &Client) -> Run {
    eventually("the conversation is told", async || {
        let told = runs(client).await.into_iter().find(|run| run.run_id.starts_with("told-"))?;
        (told.status() == RunStatus::Ok).then_some(told)
    })
    .await
}

fn go(home: &Home) {
    std::fs::write(home.workspace().join("go"), "").unwrap();
}

fn held(home: &Home) -> Vec<u32> {
    // What only such a command has in its environment or on its line, beside where it works.
    let mark = home.workspace().display().to_string();
    processes_with("[ ! -e go ]")
        .into_iter()
        .filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|cwd| cwd.display().to_string() == mark)
        })
        .collect()
}

async fn is_held(home: &Home) {
    eventually("the command runs", async || (!held(home).is_empty()).then_some(())).await;
}

async fn none_is_held(home: &Home) {
    eventually("the command is gone", async || held(home).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_command_outlives_its_turn_and_is_told_once() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    for (key, session, message) in
        [("a", "explicit:a", "leave it"), ("b", "explicit:b", "slow one")]
    {
        let run = ask(&client, key, session, message).await;
        assert!(run.text.contains("goes on in the background as `exec-"), "{run:?}");
    }
    is_held(&home).await;
    assert_eq!(runs(&client).await.len(), 2);
    go(&home);
    let all = eventually("both are told", async || {
        let runs = runs(&client).await;
        let told = |run: &&Run| run.run_id.starts_with("told-") && run.status() == RunStatus::Ok;
        (runs.iter().filter(told).count() == 2).then_some(runs)
    })
    .await;
    for session in ["agent:main:explicit:a", "agent:main:explicit:b"] {
        let told =
            all.iter().find(|run| run.session_key == session && run.run_id.starts_with("told-"));
        let text = &told.unwrap().text;
        assert!(
            text.starts_with("Heard:") && text.contains(", code 0) :: begun\n> over"),
            "{text}"
        );
    }
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    assert_eq!(runs(&client).await.len(), 4, "nothing more after a start");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Report #71581: where direct messages are one conversation, the end of a command is told there, whichever key it
/// was begun under.
#[tokio::test]
async fn the_end_of_a_command_is_told_where_its_owner_reads() {
    const LITERAL: &str = "agent:main:telegram:default:direct:42";
    const MAIN: &str = "agent:main:main";
    #[rustfmt::skip]
    let table = [
        // dmScope                   who is let in                             told in
        ("main",                     "allowFrom = [\"42\"]",                   MAIN),
        ("main",                     "allowFrom = [\"42\", \"43\"]",           LITERAL),
        ("main",                     "allowFrom = [\"*\"]\ndmPolicy = \"open\"", LITERAL),
        ("per-peer",                 "allowFrom = [\"42\"]",                   LITERAL),
        ("per-channel-peer",         "allowFrom = [\"42\"]",                   LITERAL),
        ("per-account-channel-peer", "allowFrom = [\"42\"]",                   LITERAL),
    ];
    for (scope, people, expected) in table {
        let mut home = home();
        home.configure(&format!(
            "[channels.telegram]\ntoken.env = \"ABSENT\"\n{people}\n\
             [session]\ndmScope = \"{scope}\"\n\
             [models.providers.looks]\napi = \"offline\"\n\
             [agents.defaults.heartbeat]\nevery = \"24h\"\nmodel = \"looks/any\"\n"
        ));
        let mut daemon = home.start().await;
        let client = daemon.connect().await;
        ask(&client, "a", LITERAL, "leave it").await;
        go(&home);
        let told = told(&client).await;
        assert_eq!(told.session_key, expected, "{scope} {people}");
        let history = SessionHistoryRequest { key: expected.into(), ..Default::default() };
        let said = client.sessions().history(history).await.unwrap().into_inner().entries;
        let text = &said.iter().find(|entry| entry.text.contains("Exec completed (")).unwrap().text;
        let (id, rest) = text.split_once("Exec completed (").unwrap().1.split_once(", ").unwrap();
        assert_eq!(id.len(), 8, "{text}");
        assert!(rest.starts_with("code 0) :: begun\n> over"), "{text}");
        // The model that looks around has answered: the other would have said that it heard.
        assert!(!told.text.starts_with("Heard:"), "{told:?}");
        let runs = runs(&client).await;
        let literal = runs.iter().filter(|run| run.session_key == LITERAL).count();
        assert_eq!(literal, if expected == MAIN { 1 } else { 2 }, "{scope} {people}: {runs:?}");
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    }
}

/// Whoever has looked is not told; neither is anybody of a command that was ended, or had nothing to say.
#[tokio::test]
async fn what_was_seen_is_not_told() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    let polled = ask(&client, "p", "explicit:p", "poll it").await.text;
    assert!(polled.contains("\"end\":\"exit code 0\""), "{polled}");
    assert!(polled.contains("\"status\":\"ended\""), "{polled}");
    let killed = ask(&client, "k", "explicit:k", "kill it").await.text;
    assert!(killed.contains("\"end\":\"killed\""), "{killed}");
    none_is_held(&home).await;
    ask(&client, "s", "explicit:s", "silent").await;
    // A failure is told, and stands after the others: then they were not told before it.
    ask(&client, "f", "explicit:f", "fail").await;
    let told = told(&client).await;
    assert!(told.text.contains("Exec failed (") && told.text.contains(", code 3)"), "{told:?}");
    assert_eq!(told.session_key, "agent:main:explicit:f");
    assert_eq!(runs(&client).await.len(), 5);
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// What the gateway's end took with it is told after the next start.
#[tokio::test]
async fn a_lost_command_is_told_after_the_start() {
    for how in ["stop", "kill"] {
        let home = home();
        let mut daemon = home.start().await;
        ask(&daemon.connect().await, "a", "explicit:a", "leave it").await;
        is_held(&home).await;
        match how {
            "stop" => assert_eq!(daemon.stop(Signal::Terminate).await, 0, "nobody waits for it"),
            _ => daemon.kill().await,
        }
        none_is_held(&home).await;
        let mut daemon = home.start().await;
        let told = told(&daemon.connect().await).await;
        assert!(told.text.contains("interrupted") && told.text.contains("stopped"), "{told:?}");
        assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    }
}

/// With a conversation go its commands, and nobody is told of them.
#[tokio::test]
async fn commands_end_with_their_conversation() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    ask(&client, "a", "explicit:a", "leave it").await;
    is_held(&home).await;
    let delete = DeleteSessionRequest { key: "explicit:a".to_owned(), ..Default::default() };
    client.sessions().delete(delete).await.unwrap();
    assert_eq!(held(&home), Vec::<u32>::new(), "they are dead when the answer comes");
    let listed = ask(&client, "a2", "explicit:a", "silent").await.text;
    assert!(!listed.contains("echo begun"), "nor are they seen under the same key: {listed}");
    ask(&client, "b", "explicit:b", "leave it").await;
    is_held(&home).await;
    let reset = ResetSessionRequest { key: "explicit:b".to_owned(), ..Default::default() };
    client.sessions().reset(reset).await.unwrap();
    assert_eq!(held(&home), Vec::<u32>::new());
    ask(&client, "c", "explicit:c", "leave it").await;
    is_held(&home).await;
    let abort = openclaw_client::v1::AbortRunRequest { run_id: "c".to_owned() };
    client.runs().abort(abort).await.unwrap();
    assert_eq!(held(&home), Vec::<u32>::new(), "and with the run that is taken back");
    assert!(runs(&client).await.iter().all(|run| !run.run_id.starts_with("told-")));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

/// Ten in one conversation, and none for a sub-agent, which could not be told of it.
#[tokio::test]
async fn there_are_limits() {
    let home = home();
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    ask(&client, "m", "explicit:m", "many").await;
    let history = SessionHistoryRequest {
        key: "explicit:m".to_owned(),
        page_size: 100,
        ..Default::default()
    };
    let entries = client.sessions().history(history).await.unwrap().into_inner().entries;
    let results: Vec<_> = entries.iter().filter(|it| it.kind() == Kind::ToolResult).collect();
    assert_eq!(results.iter().filter(|it| it.outcome == "ok").count(), 10);
    assert!(results[10].text.contains("10 commands of this conversation run"), "{:?}", results[10]);
    let child = ask(&client, "d", "explicit:d", "delegate").await;
    assert!(
        child.text.contains("commands are waited for here")
            || child.text.contains("there is no tool"),
        "{child:?}"
    );
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    none_is_held(&home).await;
}
