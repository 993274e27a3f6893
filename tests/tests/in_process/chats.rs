//! People in chats: who is let in, what their turns may do, and that answers come back to where they wrote.

use std::sync::Arc;

use openclaw_platforms::{Discord, Say, Telegram, Tell};
use openclaw_proto::v1;
use openclaw_scopes::{Caller, Cause, ChatPerson, Component, GrantHolder, Scope};
use openclaw_store::{FilePerson, Options, Store};
use openclaw_tests::{Client, Refusal, Setup, TestGateway, soon};

use super::delivery::{on_discord, on_telegram};

/// A gateway on this Telegram with this in its configuration.
pub(super) async fn telegram_gateway(telegram: &Telegram, config: &str) -> TestGateway {
    on_telegram(Setup::new(), telegram).config(config).start().await
}

/// Waits for so many messages of the bot, and returns the text of the last one.
pub(super) async fn said(telegram: &Telegram, count: usize) -> String {
    telegram.wait_for(count).await;
    telegram.sent()[count - 1].text.clone()
}

async fn sessions(owner: &Client) -> Vec<(String, String)> {
    let listed = owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    let sessions = listed.into_inner().sessions;
    sessions.into_iter().map(|session| (session.key, session.owner)).collect()
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn an_owner_writes_and_is_answered_in_the_main_conversation() {
    let telegram = Telegram::start().await;
    let config =
        "channels.telegram.allowFrom = [\"42\"]\ncommands.ownerAllowFrom = [\"telegram:42\"]";
    let gateway = telegram_gateway(&telegram, config).await;
    let owner = gateway.owner().await;
    let message = telegram.say(&Tell::direct(42, "What is the time?"));
    assert!(said(&telegram, 1).await.contains("What is the time?"));
    let sent = &telegram.sent()[0];
    assert_eq!(sent.chat, "42");
    let answers: serde_json::Value =
        serde_json::from_str(&sent.fields["reply_parameters"]).unwrap();
    assert_eq!(answers["message_id"].to_string(), message);
    assert_eq!(sessions(&owner).await, [("agent:main:main".to_owned(), "owner".to_owned())]);
    // The platform tells of it again: it is the same message.
    telegram.repeat();
    telegram.all_confirmed().await;
    telegram.say(&Tell::direct(42, "And now?"));
    assert!(said(&telegram, 2).await.contains("And now?"));
    let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.on_behalf_of == "owner"));
}

#[tokio::test]
//= docs/threat-model.md#T29
//= docs/threat-model.md#T32
async fn a_stranger_is_given_a_code_once_and_let_in_by_it() {
    let telegram = Telegram::start().await;
    let gateway = telegram_gateway(&telegram, "").await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(7, "Hello?"));
    let told = said(&telegram, 1).await;
    let list = v1::ListPeopleRequest::default();
    let asked = owner.channels().list_people(list.clone()).await.unwrap().into_inner().people;
    let [person] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((person.sender_id.as_str(), person.code.len()), ("7", 8));
    assert!(told.contains(&format!("openclaw pairing approve telegram {}", person.code)), "{told}");
    // Nothing of what they say is heard, and they are not told again.
    telegram.say(&Tell::direct(7, "Is anybody there?"));
    telegram.all_confirmed().await;
    assert_eq!(telegram.sent().len(), 1);
    assert_eq!(sessions(&owner).await, []);
    // What they were told is a code, and who may read deliveries may not list codes by that.
    let reader = gateway.narrowed(&[Scope::Read]).await;
    let listed = reader.messages().list(v1::ListDeliveriesRequest::default()).await.unwrap();
    let [delivery] = listed.into_inner().deliveries.try_into().unwrap();
    let get = v1::GetDeliveryRequest { id: delivery.id.clone() };
    let shown = reader.messages().get(get).await.unwrap().into_inner();
    assert_eq!(shown, delivery);
    assert!(delivery.source.starts_with("door:telegram:7:"), "{delivery:?}");
    assert!(!format!("{delivery:?}").contains(&person.code), "{delivery:?}");

    let approve = v1::ApprovePersonRequest {
        channel: "telegram".into(),
        code: person.code.to_lowercase(),
        ..v1::ApprovePersonRequest::default()
    };
    let approved = owner.channels().approve_person(approve.clone()).await.unwrap().into_inner();
    assert_eq!((approved.approved_by.as_str(), approved.owner), ("owner", false));
    let again = owner.channels().approve_person(approve).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::NotFound, "a code works once");
    telegram.say(&Tell::direct(7, "Now?"));
    assert!(said(&telegram, 2).await.contains("Now?"));
    let holder = "sender:telegram:default:7".to_owned();
    assert_eq!(sessions(&owner).await, [("agent:main:main".to_owned(), holder)]);

    // Another one would share the conversation with them.
    telegram.say(&Tell::direct(8, "Me too!"));
    telegram.wait_for(3).await;
    let asked = owner.channels().list_people(list).await.unwrap().into_inner().people;
    let approve = |share_main| v1::ApprovePersonRequest {
        channel: "telegram".into(),
        code: asked[0].code.clone(),
        share_main,
        owner: false,
    };
    let refusal: Refusal =
        owner.channels().approve_person(approve(false)).await.unwrap_err().into();
    assert!(refusal.message.contains("telegram:default:7"), "{refusal:?}");
    assert!(refusal.next.contains("per-channel-peer"), "{refusal:?}");
    owner.channels().approve_person(approve(true)).await.unwrap();

    // What is taken back ends at once.
    let remove = v1::RemovePersonRequest { channel: "telegram".into(), sender_id: "7".into() };
    owner.channels().remove_person(remove).await.unwrap();
    telegram.say(&Tell::direct(7, "Still?"));
    telegram.wait_for(4).await;
    assert!(telegram.sent()[3].text.contains("I do not know you yet"));
}

/// It is the binding that says with whom a conversation is shared, and each agent has a main one of its own.
#[tokio::test]
async fn who_shares_a_conversation_is_told_by_what_routes_messages() {
    let bound = |session: &str| {
        format!("[[bindings]]\nagentId = \"main\"\nmatch = {{ channel = \"telegram\" }}\n{session}")
    };
    let own = "session = { dmScope = \"per-peer\" }";
    let shared = "session = { dmScope = \"main\" }";
    let other = "[agents.entries.main]\n[agents.entries.work]\n[[bindings]]\n\
                 agentId = \"work\"\nmatch = { channel = \"telegram\", peer = { kind = \"direct\", id = \"7\" } }\n";
    for (name, config, is_shared) in [
        ("apart for this binding", bound(own), false),
        (
            "shared for this binding",
            format!("session.dmScope = \"per-peer\"\n{}", bound(shared)),
            true,
        ),
        ("another agent", format!("{other}{}", bound("")), false),
    ] {
        let telegram = Telegram::start().await;
        let gateway = telegram_gateway(
            &telegram,
            &format!("channels.telegram.allowFrom = [\"42\"]\n{config}"),
        )
        .await;
        let owner = gateway.owner().await;
        telegram.say(&Tell::direct(7, "Hello?"));
        said(&telegram, 1).await;
        let list = v1::ListPeopleRequest::default();
        let asked = owner.channels().list_people(list).await.unwrap().into_inner().people;
        let request = v1::ApprovePersonRequest {
            channel: "telegram".into(),
            code: asked[0].code.clone(),
            share_main: false,
            owner: false,
        };
        let approved = owner.channels().approve_person(request).await;
        assert_eq!(approved.is_err(), is_shared, "{name}: {approved:?}");
        let audit = owner.security().audit(v1::SecurityAuditRequest::default()).await.unwrap();
        let is_found = |it: &v1::SecurityFinding| it.id == "channels.dm.scope_main_multiuser";
        assert!(!audit.into_inner().findings.iter().any(is_found), "{name}");
        if is_shared {
            let request = v1::ApprovePersonRequest {
                channel: "telegram".into(),
                code: asked[0].code.clone(),
                share_main: true,
                owner: false,
            };
            owner.channels().approve_person(request).await.unwrap();
            let audit = owner.security().audit(v1::SecurityAuditRequest::default()).await.unwrap();
            assert!(audit.into_inner().findings.iter().any(is_found), "{name}");
        }
    }
}

/// The storage failed, or the gateway, between the request and the words that tell its code.
#[tokio::test]
//= docs/threat-model.md#T29
async fn a_code_that_was_not_told_is_told_with_the_next_message() {
    let telegram = Telegram::start().await;
    let gateway = on_telegram(Setup::new().network(), &telegram).start().await;
    let told = gateway.dial().await.devices().challenge(v1::ChallengeRequest {}).await;
    let now = openclaw_proto::from_timestamp(&told.unwrap().into_inner().server_time.unwrap());
    let stopped = gateway.stop().await;
    let store = Store::open(&stopped.state(), &Options::new(Arc::new(move || now))).unwrap();
    let who = ChatPerson::new("telegram", "default", "7").unwrap();
    let ask = FilePerson { who, name: "Ada".into(), code: "ABCDEFGH".into() };
    let cause = Cause::Message("pairing".into());
    let epoch = store.epoch(&GrantHolder::Gateway).unwrap().unwrap();
    let doorkeeper = Caller::system(Component::Doorkeeper, cause, epoch);
    store.act(&doorkeeper, ask, now).await.unwrap();
    store.close();
    let gateway = stopped.start().await;
    telegram.say(&Tell::direct(7, "Hello?"));
    assert!(said(&telegram, 1).await.contains("openclaw pairing approve telegram ABCDEFGH"));
    telegram.say(&Tell::direct(7, "Hello again?"));
    telegram.all_confirmed().await;
    assert_eq!(telegram.sent().len(), 1);
    drop(gateway);
}

/// A model that runs a command when it is asked to, and says what came of it.
const SCRIPT: &str = r#"
[[reply]]
match = "run"
toolCalls = [{ name = "exec", arguments = { command = "echo hello" } }]

[[reply]]
match = "list"
toolCalls = [{ name = "list_dir", arguments = { path = "." } }]

[[reply]]
afterTool = "*"
text = "The tool said: {result}"
"#;

#[tokio::test]
//= docs/threat-model.md#T16
async fn turns_of_guests_have_the_tools_that_are_theirs() {
    let telegram = Telegram::start().await;
    let config =
        "channels.telegram.allowFrom = [\"7\"]\nchannels.telegram.tools.allow = [\"list_*\"]";
    let gateway = on_telegram(Setup::new(), &telegram).config(config).script(SCRIPT).start().await;
    telegram.say(&Tell::direct(7, "Please list."));
    let listed = said(&telegram, 1).await;
    assert!(listed.starts_with("The tool said: "), "{listed}");
    telegram.say(&Tell::direct(7, "Please run."));
    let refused = said(&telegram, 2).await;
    assert!(refused.contains("no tool") || refused.contains("exec"), "{refused}");
    assert!(!refused.contains("hello"), "{refused}");
    drop(gateway);
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn commands_are_judged_like_everything_else() {
    let telegram = Telegram::start().await;
    let config = "channels.telegram.allowFrom = [\"42\", \"7\"]\ncommands.ownerAllowFrom = [\"telegram:42\"]";
    let gateway = telegram_gateway(&telegram, config).await;
    let owner = gateway.owner().await;
    let mut count = 0;
    let mut ask = async |who: i64, text: &str| {
        telegram.say(&Tell::direct(who, text));
        count += 1;
        said(&telegram, count).await
    };
    assert!(ask(42, "/help").await.contains("/status"));
    assert!(ask(42, "Hello.").await.contains("Hello."));
    assert!(ask(42, "/status").await.contains("offline/offline"));
    assert!(ask(42, "/usage").await.contains("in 1 turns"));
    assert!(ask(42, "/stop").await.contains("Nothing goes on"));
    assert!(ask(42, "/model none/none").await.contains("No model"));
    assert!(ask(42, "/model offline/offline").await.contains("answers here"));
    assert!(ask(42, "/approve ap-none").await.contains("not done"));
    assert!(ask(42, "/nothing").await.contains("There is no /nothing"));
    assert!(ask(42, "/new").await.contains("begin anew"));
    // The conversation is the owner's: a guest does not begin it anew, approves nothing and chooses nothing.
    assert!(ask(7, "/new").await.contains("missing scope: operator.admin"));
    assert!(ask(7, "/approve ap-none").await.contains("missing scope: operator.approvals"));
    assert!(ask(7, "/model offline/offline").await.contains("Only an owner"));
    let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
    let said = owner.sessions().history(history).await.unwrap().into_inner().entries;
    assert!(said.iter().all(|entry| !entry.text.starts_with('/')), "commands are no turns");
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn a_command_that_is_told_of_twice_is_done_once() {
    let telegram = Telegram::start().await;
    let config =
        "channels.telegram.allowFrom = [\"42\"]\ncommands.ownerAllowFrom = [\"telegram:42\"]";
    let gateway = telegram_gateway(&telegram, config).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "Hello."));
    said(&telegram, 1).await;
    telegram.say(&Tell::direct(42, "/new"));
    assert!(said(&telegram, 2).await.contains("begin anew"));
    telegram.all_confirmed().await;
    telegram.repeat();
    telegram.say(&Tell::direct(42, "And now?"));
    said(&telegram, 3).await;
    telegram.all_confirmed().await;
    let undo = v1::UndoResetRequest { key: "main".into(), ..Default::default() };
    let last = owner.sessions().undo_reset(undo).await.unwrap().into_inner();
    assert_eq!(last.number, 1, "it began anew once");
}

#[tokio::test]
async fn a_command_may_follow_the_name_of_the_bot() {
    let (discord, telegram) = (Discord::start().await, Telegram::start().await);
    let config =
        "channels.discord.groupPolicy = \"open\"\nchannels.telegram.groupPolicy = \"open\"";
    let gateway = on_telegram(on_discord(&discord), &telegram).config(config).start().await;
    discord.wait_for_identify(1).await;
    let say = |text: &str| discord.say(&Say::in_guild("1", "100", "5", text).mentioning_the_bot());
    say("<@100> /help");
    discord.wait_for(1).await;
    assert!(discord.sent()[0].text.contains("/status"));
    // What else stands in angle brackets is what they say.
    say("<3 from me> to you");
    discord.wait_for(2).await;
    assert!(discord.sent()[1].text.contains("<3 from me> to you"), "{:?}", discord.sent()[1]);
    let mention = serde_json::json!([{ "type": "mention", "offset": 0, "length": 9 }]);
    telegram.say(&Tell::in_group(-1, 7, "@test_bot /help").with("entities", mention));
    assert!(said(&telegram, 1).await.contains("/status"));
    drop(gateway);
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn groups_are_heard_where_they_are_listed_and_the_bot_is_meant() {
    let discord = Discord::start().await;
    let config = "channels.discord.groupAllowFrom = [\"5\"]\n\
        channels.discord.groups = { \"100\" = {}, \"200\" = { requireMention = false } }";
    let gateway = on_discord(&discord).config(config).start().await;
    let owner = gateway.owner().await;
    discord.wait_for_identify(1).await;
    let say = |channel: &str, author: &str, text: &str| Say::in_guild("1", channel, author, text);
    discord.say(&say("100", "5", "not meant"));
    discord.say(&say("300", "5", "not listed").mentioning_the_bot());
    discord.say(&say("100", "6", "not let in").mentioning_the_bot());
    discord.say(&say("100", "5", "first").mentioning_the_bot());
    discord.wait_for(1).await;
    discord.say(&say("200", "5", "second"));
    discord.wait_for(2).await;
    let sent = discord.sent();
    assert_eq!((sent[0].channel.as_str(), sent[1].channel.as_str()), ("100", "200"));
    assert!(sent[0].text.contains("first") && sent[1].text.contains("second"), "{sent:?}");
    let keys: Vec<_> = sessions(&owner).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["agent:main:discord:channel:200", "agent:main:discord:channel:100"]);
    let asked = owner.channels().list_people(v1::ListPeopleRequest::default()).await.unwrap();
    assert_eq!(asked.into_inner().people, [], "nobody is given a code in a group");
}

#[tokio::test]
async fn a_channel_without_its_token_says_so_and_holds_up_nothing() {
    let gateway = Setup::new().config("channels.telegram.token.env = \"ABSENT\"").start().await;
    let owner = gateway.owner().await;
    let request = v1::ChannelsStatusRequest {};
    let listed = soon(owner.channels().status(request)).await.unwrap().into_inner().channels;
    let telegram = listed.iter().find(|it| it.channel == "telegram").unwrap();
    assert_eq!(telegram.state, "failed");
    assert!(telegram.error.contains("ABSENT"), "{telegram:?}");
}
