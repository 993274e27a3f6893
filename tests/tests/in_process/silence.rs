//! Send policy: who may say that nothing leaves from a conversation, and that nothing does.

use openclaw_platforms::{Discord, Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_scopes::Scope;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, ask, request, soon};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use super::chats::{said, telegram_gateway};
use super::cron::{add, settled, turn};
use super::delivery::{announce, on_discord, on_telegram};

const MAIN: &str = "agent:main:main";
const OWNER: &str =
    "channels.telegram.allowFrom = [\"42\"]\ncommands.ownerAllowFrom = [\"telegram:42\"]";

fn policy(key: &str, policy: &str) -> v1::PatchSessionRequest {
    v1::PatchSessionRequest {
        key: key.into(),
        send_policy: Some(policy.into()),
        ..v1::PatchSessionRequest::default()
    }
}

async fn patch(client: &Client, request: v1::PatchSessionRequest) -> Result<v1::Session, Refusal> {
    Ok(client.sessions().patch(request).await?.into_inner())
}

async fn session(client: &Client, key: &str) -> v1::Session {
    let request = v1::GetSessionRequest { key: key.into(), ..Default::default() };
    client.sessions().get(request).await.unwrap().into_inner()
}

async fn opened(client: &Client, key: &str) -> v1::Session {
    let (idempotency_key, key) = (format!("open {key}").replace(' ', "-"), key.to_owned());
    let request = v1::CreateSessionRequest { idempotency_key, key, ..Default::default() };
    client.sessions().create(request).await.unwrap().into_inner()
}

/// Waits until so many runs have ended; returns them, the newest first.
async fn ended(client: &Client, count: usize) -> Vec<v1::Run> {
    soon(async {
        loop {
            let runs = client.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            let runs = runs.into_inner().runs;
            let ended = runs.iter().filter(|run| run.ended_at.is_some()).count();
            if ended == count {
                return runs;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn sources(client: &Client) -> Vec<String> {
    let listed = client.messages().list(v1::ListDeliveriesRequest::default()).await.unwrap();
    listed.into_inner().deliveries.into_iter().map(|delivery| delivery.source).collect()
}

async fn send(client: &Client, key: &str, to: &str) -> Result<v1::Delivery, Refusal> {
    let request = v1::SendMessageRequest {
        idempotency_key: key.into(),
        channel: "telegram".into(),
        to: to.into(),
        text: "By hand.".into(),
        ..v1::SendMessageRequest::default()
    };
    Ok(client.messages().send(request).await?.into_inner())
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn only_an_administrator_says_what_leaves() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let writer = gateway.narrowed(&[Scope::Write]).await;
    opened(&owner, "explicit:notes").await;
    let others = session(&owner, "explicit:notes").await;
    let own = opened(&writer, "explicit:mine").await;
    // Of whom it is makes no difference.
    for before in [others, own] {
        let key = before.key.as_str();
        let mixed = v1::PatchSessionRequest {
            label: Some("mixed".into()),
            pinned: Some(true),
            ..policy(key, "deny")
        };
        for request in [policy(key, "deny"), policy(key, "allow"), policy(key, ""), mixed] {
            let refusal = patch(&writer, request).await.unwrap_err();
            assert_eq!(refusal.kind(), (Code::PermissionDenied, "MISSING_SCOPE"));
            assert_eq!(refusal.fact("missingScopes"), "operator.admin");
        }
        // Nothing of what was refused was done; what needs less is done by who has less.
        assert_eq!(session(&owner, key).await, before);
        let label = Some("Notes".to_owned());
        let kept = v1::PatchSessionRequest { key: key.into(), label, ..Default::default() };
        assert_eq!(patch(&writer, kept).await.unwrap().label, "Notes");
        let mixed = v1::PatchSessionRequest { label: Some("Both".into()), ..policy(key, "deny") };
        let after = patch(&owner, mixed).await.unwrap();
        assert_eq!((after.label.as_str(), after.send_policy.as_str()), ("Both", "deny"));
        assert_eq!((&after.owner, after.depth), (&before.owner, before.depth));
        assert_eq!(patch(&owner, policy(key, "")).await.unwrap().send_policy, "");
    }
}

#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    opened(&owner, "main").await;
    for bad in ["block", "Deny", " deny", "inherit", "on", "\u{0}"] {
        let refusal = patch(&owner, policy("main", bad)).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::InvalidArgument, ""), "{bad:?}");
        assert!(refusal.next.contains("send-policy"), "{refusal:?}");
    }
    assert_eq!(session(&owner, "main").await.send_policy, "");
    let absent = patch(&owner, policy("explicit:none", "deny")).await.unwrap_err();
    assert_eq!(absent.code, Code::NotFound);
}

/// Whose a conversation is, and what it came from, is not among what can be asked for.
#[test]
fn lineage_cannot_be_patched() {
    let set = FileDescriptorSet::decode(openclaw_proto::DESCRIPTORS).unwrap();
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let patch = messages.into_iter().find(|it| it.name() == "PatchSessionRequest").unwrap();
    let fields: Vec<_> = patch.field.iter().map(prost_types::FieldDescriptorProto::name).collect();
    let expected = ["key", "agent_id", "label", "category", "pinned", "archived", "model"];
    assert_eq!(fields, [&expected[..], &["send_policy"]].concat());
}

#[tokio::test]
async fn what_is_said_stays_while_nothing_leaves() {
    let telegram = Telegram::start().await;
    let gateway = telegram_gateway(&telegram, OWNER).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "One."));
    assert!(said(&telegram, 1).await.contains("One."));
    telegram.wait_for_call("sendChatAction", 1).await;
    patch(&owner, policy("main", "deny")).await.unwrap();
    let typed = telegram.received("sendChatAction").len();
    telegram.say(&Tell::direct(42, "Two."));
    let runs = ended(&owner, 2).await;
    let silent = &runs[0];
    assert_eq!(
        (silent.status(), silent.withheld.as_str()),
        (v1::RunStatus::Ok, "send-policy-deny")
    );
    assert!(silent.text.contains("Two."), "{silent:?}");
    assert_eq!(runs[1].withheld, "");
    let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
    let history = owner.sessions().history(history).await.unwrap().into_inner().entries;
    assert!(history.iter().any(|entry| entry.text == silent.text), "it is kept");
    let left = [format!("run:{}", runs[1].run_id)];
    assert_eq!(sources(&owner).await, left);
    assert_eq!(telegram.received("sendChatAction").len(), typed, "nor does it show that it writes");
    // Nobody sends there either, as somebody or by a retry; elsewhere they do.
    let poll = v1::PollRequest {
        idempotency_key: "poll".into(),
        channel: "telegram".into(),
        to: "42".into(),
        poll: Some(v1::Poll {
            question: "Lunch?".into(),
            options: vec!["Pizza".into(), "Soup".into()],
            ..v1::Poll::default()
        }),
        ..v1::PollRequest::default()
    };
    let asked: Refusal = owner.messages().poll(poll).await.unwrap_err().into();
    let refusal = send(&owner, "a", "42").await.unwrap_err();
    assert_eq!(asked.message, refusal.message);
    assert_eq!(refusal.kind(), (Code::FailedPrecondition, ""));
    assert!(refusal.message.contains("send policy is `deny`"), "{refusal:?}");
    assert_eq!(refusal.next, format!("openclaw sessions send-policy {MAIN} allow"));
    assert_eq!(sources(&owner).await, left);
    send(&owner, "b", "-100").await.unwrap();
    assert_eq!(said(&telegram, 2).await, "By hand.");
    // What the gateway itself answers is not what the agent says.
    telegram.say(&Tell::direct(42, "/status"));
    assert!(said(&telegram, 3).await.contains("offline/offline"));
    // It holds after a start, until it is taken back.
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "Three."));
    assert_eq!(ended(&owner, 3).await[0].withheld, "send-policy-deny");
    patch(&owner, policy("main", "")).await.unwrap();
    telegram.say(&Tell::direct(42, "Four."));
    assert!(said(&telegram, 4).await.contains("Four."));
    assert_eq!(telegram.sent().len(), 4, "what was withheld is not sent later");
}

/// A bridge tells what it is given: so it is told that this is not to be told.
#[tokio::test]
async fn a_bridge_is_told() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let from = |key: &str| {
        let (channel, peer_id) = ("irc".into(), "ada".into());
        let origin = v1::MessageOrigin { channel, peer_id, ..Default::default() };
        v1::StartRunRequest { origin: Some(origin), ..request(key, "", "Hello.") }
    };
    assert_eq!(ask(&owner, from("a")).await.unwrap().run().withheld, "");
    patch(&owner, policy("main", "deny")).await.unwrap();
    let run = ask(&owner, from("b")).await.unwrap().run().clone();
    assert_eq!(run.withheld, "send-policy-deny");
    assert!(run.text.contains("Hello."));
    // Who asks themselves has their answer.
    let own = ask(&owner, request("c", "main", "Hello.")).await.unwrap().run().clone();
    assert_eq!((own.withheld.as_str(), own.reply_to), ("", None));
}

#[tokio::test]
async fn rules_decide_where_a_conversation_does_not() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    let setup = on_telegram(on_discord(&discord), &telegram).config(OWNER).config(
        "[[session.sendPolicy.rules]]\naction = \"deny\"\nmatch = { keyPrefix = \"cron:\" }\n\
         [[session.sendPolicy.rules]]\naction = \"deny\"\n\
         match = { channel = \"telegram\", chatType = \"group\" }",
    );
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    let job = announce(turn("news", "Say hello."), "discord", "channel:7");
    let job = add(&owner, job).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!((ran.outcome(), ran.delivery_state.as_str()), (Outcome::Ran, "withheld"), "{ran:?}");
    assert!(ran.text.contains("Say hello.") && ran.delivery_id.is_empty(), "{ran:?}");
    let refusal = send(&owner, "a", "-100").await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::FailedPrecondition, ""));
    assert!(refusal.message.contains("`session.sendPolicy` denies it"), "{refusal:?}");
    telegram.say(&Tell::direct(42, "Hello."));
    assert!(said(&telegram, 1).await.contains("Hello."));
    send(&owner, "b", "42").await.unwrap();
    assert_eq!(said(&telegram, 2).await, "By hand.");
    assert!(discord.sent().is_empty());
    // What is said of the conversation itself goes before.
    opened(&owner, "telegram:group:-100").await;
    patch(&owner, policy("telegram:group:-100", "allow")).await.unwrap();
    send(&owner, "c", "-100").await.unwrap();
    assert_eq!(said(&telegram, 3).await, "By hand.");
}

/// Jobs that a turn has added work for its conversation.
#[tokio::test]
async fn what_a_silent_conversation_has_planned_does_not_leave() {
    let telegram = Telegram::start().await;
    let script = "[[reply]]\nmatch = \"Plan\"\n\
        toolCalls = [{ name = \"cron\", arguments = { action = \"add\", name = \"later\", \
        at = \"2s\", session = \"isolated\", message = \"It is time.\" } }]\n\
        [[reply]]\nafterTool = \"cron\"\ntext = \"Planned.\"\n\
        [[reply]]\nmatch = \"It is time\"\ntext = \"Time.\"\n";
    let setup = on_telegram(Setup::new().script(script), &telegram).config(OWNER);
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "Plan."));
    assert_eq!(said(&telegram, 1).await, "Planned.");
    patch(&owner, policy("main", "deny")).await.unwrap();
    let runs = ended(&owner, 2).await;
    assert!(runs[0].session_key.starts_with("agent:main:cron:"), "{runs:?}");
    assert_eq!((runs[0].text.as_str(), runs[0].withheld.as_str()), ("Time.", "send-policy-deny"));
    assert_eq!(telegram.sent().len(), 1);
}
