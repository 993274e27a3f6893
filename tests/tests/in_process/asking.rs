//! Approvals are asked for in the chat of whoever can give them, also when nobody follows the turn.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_tests::{Client, Setup, TestGateway, soon};

use super::chats::said;
use super::cron::{add, turn};
use super::delivery::{announce, on_telegram};

/// A model that runs a command when it is asked to, and says what came of it.
const SCRIPT: &str = r#"
[[reply]]
match = "run"
toolCalls = [{ name = "exec", arguments = { command = "echo hello" } }]

[[reply]]
match = "The gateway stopped"
toolCalls = [{ name = "exec", arguments = { command = "echo hello" } }]

[[reply]]
afterTool = "*"
text = "The tool said: {result}"
"#;

const CONFIG: &str = "channels.telegram.allowFrom = [\"7\"]\n\
    channels.telegram.tools.allow = [\"exec\"]\n\
    channels.telegram.groups = { \"-100\" = {} }\n\
    commands.ownerAllowFrom = [\"telegram:42\"]\n\
    tools.exec.ask = \"always\"\n\
    tools.exec.unattended = \"wait\"";

async fn gateway(telegram: &Telegram) -> TestGateway {
    on_telegram(Setup::new(), telegram).config(CONFIG).script(SCRIPT).start().await
}

/// Waits for what is asked; returns the ids.
async fn pending(client: &Client, count: usize) -> Vec<String> {
    soon(async {
        loop {
            let list = v1::ListApprovalsRequest { all: false };
            let list = client.approvals().list(list).await.unwrap().into_inner().approvals;
            if list.len() >= count {
                return list.into_iter().map(|approval| approval.id).collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn deny(client: &Client, id: &str) {
    let request = v1::DenyCallRequest { id: id.into(), reason: String::new() };
    client.approvals().deny(request).await.unwrap();
}

fn chats(telegram: &Telegram) -> Vec<String> {
    telegram.sent().into_iter().map(|message| message.chat).collect()
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn an_owner_is_asked_where_they_wrote_and_once() {
    let telegram = Telegram::start().await;
    let gateway = gateway(&telegram).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "Please run."));
    let asked = said(&telegram, 1).await;
    let [id] = pending(&owner, 1).await.try_into().unwrap();
    assert!(asked.contains("I need an approval") && asked.contains("echo hello"), "{asked}");
    let sent = &telegram.sent()[0];
    for word in [format!("/approve {id}"), format!("/deny {id}")] {
        assert!(sent.fields["reply_markup"].contains(&word), "{sent:?}");
    }
    telegram.press(42, 42, sent.id.parse().unwrap(), &format!("/deny {id}"));
    assert!(said(&telegram, 2).await.contains("denied"));
    assert!(said(&telegram, 3).await.contains("not approved"));
    assert_eq!(chats(&telegram), ["42", "42", "42"]);
    let listed = owner.messages().list(v1::ListDeliveriesRequest::default()).await.unwrap();
    let listed = listed.into_inner().deliveries;
    let question = listed.iter().find(|it| it.source == format!("approval:{id}")).unwrap();
    assert_eq!(question.on_behalf_of, "gateway", "{question:?}");
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn a_job_asks_an_owner_and_never_those_who_read_its_answer() {
    let telegram = Telegram::start().await;
    let gateway = gateway(&telegram).await;
    let owner = gateway.owner().await;
    for (number, to) in ["-100", "7", "42"].into_iter().enumerate() {
        let before = telegram.sent().len();
        let name = format!("job-{number}");
        add(&owner, announce(turn(&name, "Please run."), "telegram", to)).await.unwrap();
        let asked = said(&telegram, before + 1).await;
        let [id] = pending(&owner, 1).await.try_into().unwrap();
        assert_eq!(chats(&telegram)[before], "42", "{to}");
        assert!(asked.contains("echo hello") && asked.contains(&id), "{asked}");
        let is_told_where = asked.contains("In this conversation") && asked.contains(":cron:");
        assert_eq!(is_told_where, to != "42", "{asked}");
        deny(&owner, &id).await;
        // The answer goes where the job says, and the question did not.
        said(&telegram, before + 2).await;
        assert_eq!(chats(&telegram)[before..], ["42", to]);
    }
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn what_a_guest_wants_is_asked_of_nobody_while_they_wait() {
    let telegram = Telegram::start().await;
    let gateway = gateway(&telegram).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(7, "Please run."));
    let [id] = pending(&owner, 1).await.try_into().unwrap();
    deny(&owner, &id).await;
    assert!(said(&telegram, 1).await.contains("not approved"));
    assert_eq!(chats(&telegram), ["7"]);
    // Nobody follows it any more after a start: then the owner is asked, and told on whose behalf.
    telegram.say(&Tell::direct(7, "Please run again."));
    let [id] = pending(&owner, 1).await.try_into().unwrap();
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let asked = said(&telegram, 2).await;
    assert_eq!(pending(&owner, 1).await, std::slice::from_ref(&id));
    assert_eq!(chats(&telegram), ["7", "42"]);
    assert!(asked.contains("sender:telegram:default:7") && asked.contains(&id), "{asked}");
    deny(&owner, &id).await;
    assert!(said(&telegram, 3).await.contains("not approved"));
    assert_eq!(chats(&telegram), ["7", "42", "7"]);
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn a_question_stands_in_the_chat_and_is_not_repeated_after_a_start() {
    let telegram = Telegram::start().await;
    let gateway = gateway(&telegram).await;
    telegram.say(&Tell::direct(42, "Please run."));
    said(&telegram, 1).await;
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    // It has come back to the question when it has called the tool again.
    let calls = async {
        loop {
            let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
            let entries = owner.sessions().history(history).await.unwrap().into_inner().entries;
            if entries.iter().flat_map(|entry| &entry.tool_calls).count() >= 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(calls).await;
    telegram.say(&Tell::direct(42, "/status"));
    said(&telegram, 2).await;
    let told: Vec<_> = telegram.sent().into_iter().map(|message| message.text).collect();
    let asked = told.iter().filter(|text| text.contains("I need an approval"));
    assert_eq!(asked.count(), 1, "{told:#?}");
    assert_eq!(pending(&owner, 1).await.len(), 1);
}
