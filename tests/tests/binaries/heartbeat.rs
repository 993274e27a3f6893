//! A day of heartbeats that run commands, delegate and leave things behind: no more turns than looks, and what
//! happened outside.

use openclaw_client::Client;
use openclaw_client::v1::occurrence::Outcome;
use openclaw_client::v1::{
    ListOccurrencesRequest, ListRunsRequest, Occurrence, Run, RunJobRequest, RunStatus,
    SystemEventRequest,
};

use super::harness::{Home, Script, Signal, eventually, quoted};

const KEY: &str = "heartbeat:main";
/// Looks of a day, at one every half hour.
const LOOKS: usize = 48;

fn home(script: &Script, more: &str) -> Home {
    let mut home = Home::with(script);
    // So that it works where the kernel has no sandbox, too.
    home.configure(&format!(
        "[tools.exec]\nsandbox = \"off\"\nask = \"off\"\n\
         [agents.defaults.heartbeat]\nevery = \"24h\"\nprompt = \"Look around.\"\n\
         tools = [\"exec\", \"sessions_spawn\"]\n{more}\n"
    ));
    home
}

fn call(tool: &str, arguments: &str) -> String {
    format!("{{ name = \"{tool}\", arguments = {{ {arguments} }} }}")
}

/// Has the agent look around; returns what came of it.
async fn look(client: &Client, number: usize) -> Occurrence {
    let idempotency_key = format!("look-{number}");
    let request = RunJobRequest { job: KEY.into(), idempotency_key };
    let begun = client.cron().run(request).await.unwrap().into_inner();
    eventually("the look is over", async || {
        let request = ListOccurrencesRequest { job: KEY.into(), ..Default::default() };
        let rows = client.cron().runs(request).await.unwrap().into_inner().occurrences;
        let row = rows.into_iter().find(|row| row.scheduled_at == begun.scheduled_at)?;
        (row.outcome() != Outcome::Claimed).then_some(row)
    })
    .await
}

async fn runs(client: &Client) -> Vec<Run> {
    let request = ListRunsRequest { page_size: 1_000, ..Default::default() };
    client.runs().list(request).await.unwrap().into_inner().runs
}

fn count(runs: &[Run], prefix: &str) -> usize {
    runs.iter().filter(|run| run.run_id.starts_with(prefix)).count()
}

/// Waits until nothing works and nothing waits.
async fn quiet(client: &Client) -> Vec<Run> {
    eventually("all is quiet", async || {
        let runs = runs(client).await;
        runs.iter().all(|run| run.ended_at.is_some()).then_some(runs)
    })
    .await
}

#[tokio::test]
async fn a_day_of_heartbeats_has_no_more_turns_than_looks_and_events() {
    let exec = call("exec", "command = \"echo looked\", background = true");
    let spawn = call("sessions_spawn", "task = \"Count the files.\"");
    let script = Script::default()
        .answer("Count the files.", "There are three.")
        .answer("System events have come in", "Noted.")
        .reply(&[("match", quoted("Look around.")), ("toolCalls", format!("[{exec}, {spawn}]"))])
        .reply(&[("afterTool", quoted("*")), ("text", quoted("HEARTBEAT_OK"))]);
    let home = home(&script, "");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    for number in 0..LOOKS {
        let looked = look(&client, number).await;
        assert_eq!(looked.outcome(), Outcome::Ran, "{looked:?}");
        if number % 16 == 0 {
            // What happens outside is heard, once each.
            let event = SystemEventRequest {
                idempotency_key: format!("event-{number}"),
                session_key: "main".into(),
                text: format!("The door has opened {number} times."),
                ..Default::default()
            };
            client.system().event(event).await.unwrap();
            quiet(&client).await;
        }
    }
    let all = quiet(&client).await;
    let (looks, events) = (count(&all, "heartbeat-"), count(&all, "event-"));
    assert_eq!((looks, events), (LOOKS, 3));
    // What it began has ended, and has woken nobody: neither sub-agents nor commands.
    assert_eq!(count(&all, "told-"), 0);
    let children = all.iter().filter(|run| run.session_key.contains(":subagent:")).count();
    assert_eq!(children, LOOKS);
    assert_eq!(all.len(), looks + events + children);
    assert!(all.iter().all(|run| run.status() == RunStatus::Ok), "{all:?}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}

#[tokio::test]
async fn a_look_that_does_not_end_ends_with_its_budget() {
    let exec = call("exec", "command = \"echo again\"");
    let again =
        |key: &'static str, value: &str| [(key, quoted(value)), ("toolCalls", format!("[{exec}]"))];
    let script =
        Script::default().reply(&again("match", "Look around.")).reply(&again("afterTool", "*"));
    let home = home(&script, "budget = 3000");
    let mut daemon = home.start().await;
    let client = daemon.connect().await;
    let looked = look(&client, 0).await;
    assert_eq!(looked.outcome(), Outcome::Failed, "{looked:?}");
    let all = quiet(&client).await;
    let [run] = all.as_slice() else { panic!("{all:?}") };
    assert!(run.error.contains("budget"), "{run:?}");
    let usage = run.usage.unwrap();
    let used = usage.input_tokens + usage.output_tokens;
    // It ends before the next answer, so at most one is beyond.
    assert!((1..6_000).contains(&used), "{used}");
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
}
