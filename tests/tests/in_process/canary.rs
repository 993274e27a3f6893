//! Two people on one agent: what one of them planted reaches the other only where the configuration says that they share
//! a conversation. Planted is what they wrote, what a tool returned to them, and what their sub-agent was told and said.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::subagent::Delivery;
use openclaw_tests::{Behavior, Client, Provider, Received, Setup, soon};
use serde_json::json;

use super::chats::said;
use super::delivery::on_telegram;

/// A person: where they write, and what is in all that is theirs.
#[derive(Clone, Copy)]
struct Person {
    chat: i64,
    canary: &'static str,
}

const ALICE: Person = Person { chat: 42, canary: "canary-a1ce" };
const BOB: Person = Person { chat: 43, canary: "canary-b0b" };

/// Both are let in, and their turns may read files and delegate.
fn config(scope: &str) -> String {
    format!(
        "session.dmScope = \"{scope}\"\nchannels.telegram.allowFrom = [\"42\", \"43\"]\n\
         channels.telegram.tools.allow = [\"sessions_*\", \"subagents\", \"list_dir\"]"
    )
}

async fn all_told(owner: &Client, count: usize) {
    soon(async {
        loop {
            let list = owner.subagents().list(v1::ListSubagentsRequest::default()).await.unwrap();
            let all = list.into_inner().subagents;
            let told = all.iter().filter(|child| child.delivery() == Delivery::Told).count();
            let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            let is_quiet = runs.into_inner().runs.iter().all(|run| run.ended_at.is_some());
            if told == count && is_quiet {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What of a provider's requests came of which person: by whom the newest question is from, or whom the task is for.
fn asked_for(received: &[Received], person: Person) -> Vec<String> {
    let by = format!("{}.", person.chat);
    let bodies = received.iter().map(|received| received.body["messages"].to_string());
    bodies
        .filter(|body| body.rsplit_once("I am ").is_some_and(|(_, last)| last.starts_with(&by)))
        .collect()
}

#[tokio::test]
//= docs/threat-model.md#T36
async fn what_one_planted_the_other_never_reads_unless_they_share() {
    for scope in ["main", "per-peer", "per-channel-peer", "per-account-channel-peer"] {
        let telegram = Telegram::start().await;
        let delegate = |person: Person| {
            let task = format!("I am {}. Look for {}-task.", person.chat, person.canary);
            let label = format!("{}-label", person.canary);
            let calls = vec![
                ("list_dir".to_owned(), json!({ "path": "." })),
                ("sessions_spawn".to_owned(), json!({ "task": task, "label": label })),
                ("subagents".to_owned(), json!({ "action": "wait" })),
            ];
            // The sub-agent's answer, the end of the turn, and a turn that is told, in whichever order.
            let said = |what: &str| Behavior::text(&format!("{what} {}-said.", person.canary));
            [Behavior::Calls(calls), said("Found"), said("So it is")]
        };
        let end = Behavior::text("I know of nothing.");
        let behaviors = delegate(ALICE).into_iter().chain(delegate(BOB)).chain([end]);
        let provider = Provider::openai(behaviors).await;
        let setup = Setup::new().provider(&provider).config(&config(scope));
        let gateway = on_telegram(setup, &telegram).start().await;
        let owner = gateway.owner().await;
        let mut sent = 0;
        for (number, person) in [ALICE, BOB].into_iter().enumerate() {
            let words = format!("I am {}. My word is {}-word.", person.chat, person.canary);
            telegram.say(&Tell::direct(person.chat, &words));
            sent += 1;
            said(&telegram, sent).await;
            all_told(&owner, number + 1).await;
            sent = telegram.sent().len();
        }
        for person in [ALICE, BOB] {
            telegram.say(&Tell::direct(
                person.chat,
                &format!("I am {}. What do you know?", person.chat),
            ));
            sent += 1;
            said(&telegram, sent).await;
        }
        let received = provider.received();
        let chats = telegram.sent();
        for (person, other) in [(ALICE, BOB), (BOB, ALICE)] {
            let own = asked_for(&received, person);
            assert!(own.len() >= 4, "{scope}: {}", own.len());
            let reads = |canary: &str| own.iter().any(|body| body.contains(canary));
            for part in ["word", "label", "said", "task"] {
                assert!(reads(&format!("{}-{part}", person.canary)), "{scope}: their own {part}");
            }
            // Alice's were there before Bob came, and Alice came back: where they share, each reads the other's.
            assert_eq!(reads(other.canary), scope == "main", "{scope}: {}", person.chat);
            let told = chats.iter().filter(|it| it.chat == person.chat.to_string());
            let told: Vec<_> = told.map(|it| it.text.as_str()).collect();
            assert!(told.len() >= 2, "{scope}: {told:?}");
            assert!(!told.iter().any(|text| text.contains(other.canary)), "{scope}: {told:?}");
        }
        // Who looks at one conversation finds nothing of the other either.
        let sessions = owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
        let direct = sessions.into_inner().sessions.into_iter().map(|session| session.key);
        let direct: Vec<_> = direct.filter(|key| key.contains("direct")).collect();
        assert_eq!(direct.len(), if scope == "main" { 0 } else { 2 }, "{direct:?}");
        for key in direct {
            let get = v1::SessionHistoryRequest {
                key: key.clone(),
                page_size: 1000,
                ..Default::default()
            };
            let entries = owner.sessions().history(get).await.unwrap().into_inner().entries;
            let text = format!("{entries:?}");
            let (own, other) = if key.ends_with(":42") { (ALICE, BOB) } else { (BOB, ALICE) };
            assert!(text.contains(own.canary) && !text.contains(other.canary), "{scope}: {key}");
        }
    }
}
