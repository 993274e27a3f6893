//! A day of heartbeats that run commands, delegate and leave things behind: no more turns than looks, and what
//! happened outside. The clock of the process is moved from one due instant to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_platforms::{Answer, Telegram};
use openclaw_proto::v1;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Behavior, Client, Provider, Setup, alone, request, soon, start};

use super::cron::{job, settled};
use super::delivery::{delivered, on_telegram};
use super::events::Watched;
use super::stage::Stage;

const KEY: &str = "heartbeat:main";
/// Looks of a day, at one every half hour.
const LOOKS: usize = 48;
const EVERY: Duration = Duration::from_secs(30 * 60);
/// What one look may use, in tokens.
const BUDGET: u64 = 60_000;
const SCRIPT: &str = r#"
[[reply]]
match = "Count the files."
text = "There are three."
# It answers after the look that asked is over.
chunks = 2
delayMs = 20

[[reply]]
match = "System events have come in"
text = "Noted."

[[reply]]
match = "Look around."
toolCalls = [
  { name = "exec", arguments = { command = "echo looked", background = true } },
  { name = "sessions_spawn", arguments = { task = "Count the files." } },
]

[[reply]]
afterTool = "*"
text = "HEARTBEAT_OK"
"#;

/// Every run that was ever seen: what is cleaned away in the evening has been counted in the morning.
#[derive(Default)]
struct Seen(BTreeMap<String, v1::Run>);

impl Seen {
    /// Waits until there were so many looks and events, and nothing is at work.
    async fn until(&mut self, client: &Client, looks: usize, events: usize) {
        soon(async {
            loop {
                let request = v1::ListRunsRequest { page_size: 1_000, ..Default::default() };
                let runs = client.runs().list(request).await.unwrap().into_inner().runs;
                let is_quiet = runs.iter().all(|run| run.ended_at.is_some());
                self.0.extend(runs.into_iter().map(|run| (run.run_id.clone(), run)));
                let (looked, heard) = (self.count("heartbeat-"), self.count("event-"));
                if is_quiet && looked >= looks && heard >= events {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    fn count(&self, prefix: &str) -> usize {
        self.0.keys().filter(|id| id.starts_with(prefix)).count()
    }
}

async fn is_due_at(client: &Client) -> Duration {
    let next = job(client, KEY).await.next_at.unwrap();
    let seconds = Duration::from_secs(next.seconds.try_into().unwrap());
    seconds + Duration::from_nanos(next.nanos.try_into().unwrap())
}

/// A clock that this test and the gateway share.
struct Clock(Duration);

impl Clock {
    /// Moves to an instant, since the epoch.
    fn move_to(&mut self, at: Duration) {
        let by = at.saturating_sub(openclaw_tests::since_epoch() + self.0);
        openclaw_gateway::advance_clock(by);
        self.0 += by;
    }
}

async fn lives_a_day() {
    let setup = Setup::new().script(SCRIPT).config(&format!(
        "tools.exec.sandbox = \"off\"\ntools.exec.ask = \"off\"\n\
         [agents.defaults.heartbeat]\nevery = \"30m\"\nprompt = \"Look around.\"\n\
         tools = [\"exec\", \"sessions_spawn\"]\nbudget = {BUDGET}"
    ));
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    let (mut seen, mut clock) = (Seen::default(), Clock(Duration::ZERO));
    let first = is_due_at(&owner).await;
    for look in 0..LOOKS {
        let due = is_due_at(&owner).await;
        assert_eq!(due, first + EVERY * u32::try_from(look).unwrap());
        // Not a quarter of an hour before.
        clock.move_to(due - EVERY / 2);
        if look % 16 == 0 {
            // What happens outside is heard, once each.
            let event = v1::SystemEventRequest {
                idempotency_key: format!("event-{look}"),
                session_key: "main".into(),
                text: format!("The door has opened {look} times."),
                ..Default::default()
            };
            owner.system().event(event).await.unwrap();
        }
        let events = look / 16 + 1;
        seen.until(&owner, look, events).await;
        assert_eq!(seen.count("heartbeat-"), look);
        clock.move_to(due);
        seen.until(&owner, look + 1, events).await;
        let looked = settled(&owner, KEY).await;
        assert_eq!(looked.outcome(), Outcome::Ran, "{looked:?}");
    }
    let (looks, events) = (seen.count("heartbeat-"), seen.count("event-"));
    assert_eq!((looks, events), (LOOKS, 3));
    // What a look began has ended, and has woken nobody: neither sub-agents nor commands.
    assert_eq!(seen.count("told-"), 0);
    let children = seen.0.values().filter(|run| run.session_key.contains(":subagent:")).count();
    assert_eq!(children, LOOKS);
    assert_eq!(seen.0.len(), looks + events + children);
    assert!(seen.0.values().all(|run| run.status() == v1::RunStatus::Ok), "{:?}", seen.0);
    let used = seen.0.values().filter_map(|run| run.usage);
    let used: u64 = used.map(|used| used.input_tokens + used.output_tokens).sum();
    assert!((1..=BUDGET * 51).contains(&used), "{used}");
}

/// Nothing of what each look has to say arrives: its reader has blocked the bot, or the platform fails.
async fn speaks_in_vain() {
    let telegram = Telegram::start().await;
    let blocked = Answer::Refused { status: 403, text: "Forbidden: bot was blocked".into() };
    let answers = [blocked, Answer::Status(502), Answer::AcceptThenClose];
    telegram.script("sendMessage", answers);
    let said = ["One.", "Two.", "Three.", "Four."];
    let provider = Provider::openai(said.map(Behavior::text)).await;
    // No owner reads there, who would be told of it.
    let setup = Setup::new().provider(&provider).config(
        "agents.defaults.heartbeat = { every = \"30m\", target = \"telegram\", to = \"7\" }",
    );
    let gateway = on_telegram(setup, &telegram).start().await;
    let owner = gateway.owner().await;
    let (mut seen, mut clock) = (Seen::default(), Clock(Duration::ZERO));
    let first = is_due_at(&owner).await;
    let mut fates = Vec::new();
    for look in 0..said.len() {
        let due = is_due_at(&owner).await;
        assert_eq!(due, first + EVERY * u32::try_from(look).unwrap());
        clock.move_to(due);
        seen.until(&owner, look + 1, 0).await;
        let looked = settled(&owner, KEY).await;
        assert_eq!(looked.outcome(), Outcome::Ran, "{looked:?}");
        fates.push(delivered(&owner, &looked.delivery_id).await.state());
    }
    use v1::delivery::State::{Dead, Sent, Unknown};
    assert_eq!(fates, [Dead, Unknown, Unknown, Sent]);
    assert!(telegram.sent().iter().any(|it| it.text == "Four."), "{:?}", telegram.sent());
}

#[test]
fn what_a_look_says_and_does_not_arrive_holds_up_no_other_look() {
    if alone("in_process::day::what_a_look_says_and_does_not_arrive_holds_up_no_other_look") {
        runtime().block_on(speaks_in_vain());
    }
}

/// Nobody looks at what waits, and nobody decides it.
async fn waits_in_vain() {
    let setup = Setup::new().config("tools.exec.ask = \"always\"").script(
        "[[reply]]\nmatch = \"run\"\n\
         toolCalls = [{ name = \"exec\", arguments = { command = \"echo hello\" } }]\n\
         [[reply]]\ntext = \"Hello.\"",
    );
    let stage = Stage::of(setup).await;
    let owner = &stage.owner;
    stage.asks(&stage.device(), ScopeSet::of(&[Scope::Read])).await;
    let mut watched = Watched::open(owner, v1::WatchEventsRequest::default()).await.unwrap();
    let turn = start(owner, request("asks", "main", "run it")).await.unwrap();
    let asked = watched.until("approval.requested").await;
    openclaw_gateway::advance_clock(EVERY);
    let ended = watched.until("approval.resolved").await;
    assert_eq!((&ended.subject, &*ended.state), (&asked.subject, "expired"));
    openclaw_gateway::advance_clock(EVERY);
    assert_eq!(watched.until("pairing.resolved").await.state, "expired");
    drop(turn);
}

#[test]
fn what_nobody_decides_ends_on_time_and_is_told() {
    if alone("in_process::day::what_nobody_decides_ends_on_time_and_is_told") {
        runtime().block_on(waits_in_vain());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_day_of_heartbeats_has_no_more_turns_than_looks_and_events() {
    if alone("in_process::day::a_day_of_heartbeats_has_no_more_turns_than_looks_and_events") {
        runtime().block_on(lives_a_day());
    }
}
