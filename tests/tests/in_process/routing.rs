//! Routing: whoever writes gets the conversation that the configuration says, and the answer goes to
//! where the message came from.

use std::collections::BTreeMap;

use openclaw_proto::v1;
use openclaw_tests::{Behavior, Client, Provider, Refusal, Setup, TestGateway, ask, request};
use serde_json::json;
use tonic::Code;

fn from(channel: &str, account: &str, peer: &str) -> v1::MessageOrigin {
    v1::MessageOrigin {
        channel: channel.into(),
        account_id: account.into(),
        peer_id: peer.into(),
        ..v1::MessageOrigin::default()
    }
}

fn group(channel: &str, id: &str, thread: &str) -> v1::MessageOrigin {
    v1::MessageOrigin {
        peer_kind: "group".into(),
        thread_id: thread.into(),
        ..from(channel, "", id)
    }
}

fn message(key: &str, origin: v1::MessageOrigin, text: &str) -> v1::StartRunRequest {
    v1::StartRunRequest { origin: Some(origin), ..request(key, "", text) }
}

/// Says something from somewhere; returns the run.
async fn say(client: &Client, key: &str, origin: v1::MessageOrigin, text: &str) -> v1::Run {
    ask(client, message(key, origin, text)).await.unwrap().run().clone()
}

/// Where six messages end up, by their session.
async fn sessions(gateway: &TestGateway) -> Vec<String> {
    let owner = gateway.owner().await;
    let mut keys = Vec::new();
    for (number, origin) in [
        from("telegram", "", "42"),
        from("telegram", "work", "42"),
        from("telegram", "", "7"),
        from("discord", "", "42"),
        group("telegram", "99", ""),
        group("telegram", "99", "5"),
    ]
    .into_iter()
    .enumerate()
    {
        keys.push(say(&owner, &format!("r{number}"), origin, "Hello.").await.session_key);
    }
    keys
}

#[tokio::test]
async fn every_setting_keeps_apart_what_it_says() {
    let expect: BTreeMap<&str, [&str; 4]> = BTreeMap::from([
        ("main", ["main"; 4]),
        ("per-peer", ["direct:42", "direct:42", "direct:7", "direct:42"]),
        (
            "per-channel-peer",
            ["telegram:direct:42", "telegram:direct:42", "telegram:direct:7", "discord:direct:42"],
        ),
        (
            "per-account-channel-peer",
            [
                "telegram:default:direct:42",
                "telegram:work:direct:42",
                "telegram:default:direct:7",
                "discord:default:direct:42",
            ],
        ),
    ]);
    for (scope, direct) in expect {
        let config = format!("session.dmScope = \"{scope}\"");
        let gateway = Setup::new().config(&config).start().await;
        let groups = ["telegram:group:99", "telegram:group:99:thread:5"];
        let wanted: Vec<_> =
            direct.iter().chain(&groups).map(|rest| format!("agent:main:{rest}")).collect();
        assert_eq!(sessions(&gateway).await, wanted, "{scope}");
    }
}

/// What a model was shown when it was asked something: everything that was sent with that request.
fn shown(provider: &Provider, question: &str) -> Vec<String> {
    let received = provider.received();
    let texts = received.iter().map(|it| it.body.to_string());
    texts.filter(|text| text.contains(question)).collect()
}

/// Two people write to one agent; what the first planted, and what the second asks for by every way that a
/// model has, is looked for in whatever the model is shown for the second, and in what they are answered.
async fn leaks(scope: &str, channels: [&str; 2], accounts: [&str; 2]) -> bool {
    const CANARY: &str = "canary-5b1f";
    let first = match scope {
        "main" => "main".to_owned(),
        "per-peer" => "direct:1".to_owned(),
        "per-channel-peer" => format!("{}:direct:1", channels[0]),
        _ => format!("{}:{}:direct:1", channels[0], accounts[0]),
    };
    let first = format!("agent:main:{first}");
    let look = json!({ "sessionKey": first });
    let provider = Provider::openai([
        Behavior::text("Noted."),
        Behavior::call("sessions_list", json!({})),
        Behavior::call("sessions_history", look),
        Behavior::call("subagents", json!({ "action": "list" })),
        Behavior::text("I know nothing."),
    ])
    .await;
    let config = format!("session.dmScope = \"{scope}\"");
    let gateway = Setup::new().provider(&provider).config(&config).start().await;
    let owner = gateway.owner().await;
    let planted = from(channels[0], accounts[0], "1");
    let run = say(&owner, "plant", planted, &format!("Remember {CANARY}.")).await;
    assert_eq!((run.status(), run.session_key), (v1::RunStatus::Ok, first), "{scope}");
    let other = from(channels[1], accounts[1], "2");
    let run = say(&owner, "other", other, "What did the others say?").await;
    assert_eq!((run.status(), run.text.as_str()), (v1::RunStatus::Ok, "I know nothing."));
    let prompts = shown(&provider, "What did the others say?");
    assert!(prompts.len() >= 4, "{}", prompts.len());
    prompts.iter().any(|prompt| prompt.contains(CANARY))
}

//= docs/threat-model.md#T36
#[tokio::test]
async fn what_one_person_planted_is_never_shown_to_another() {
    let apart = ["per-peer", "per-channel-peer", "per-account-channel-peer"];
    let places = [
        (["telegram", "telegram"], ["default", "default"]),
        (["telegram", "discord"], ["default", "default"]),
        (["telegram", "telegram"], ["default", "work"]),
    ];
    for (channels, accounts) in places {
        for scope in apart {
            assert!(!leaks(scope, channels, accounts).await, "{scope} {channels:?} {accounts:?}");
        }
        assert!(leaks("main", channels, accounts).await, "the control: main joins them");
    }
}

#[tokio::test]
async fn an_answer_goes_to_where_its_message_came_from() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let (home, work) = (from("telegram", "", "42"), from("discord", "work", "7"));
    let first = say(&owner, "first", home.clone(), "Hello.").await;
    let second = say(&owner, "second", work, "Hello.").await;
    assert_eq!(first.session_key, second.session_key, "one conversation, two places");
    let at = |run: &v1::Run| {
        let to = run.reply_to.clone().unwrap();
        [to.channel, to.account_id, to.peer_kind, to.peer_id, to.thread_id].join(" ")
    };
    assert_eq!(at(&first), "telegram  direct 42 ");
    assert_eq!(at(&second), "discord work direct 7 ");
    let third = say(&owner, "third", group("telegram", "99", "5"), "Hello.").await;
    assert_eq!(at(&third), "telegram  group 99 5");

    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let wait = v1::WaitRunRequest { run_id: "first".into(), timeout: None };
    let found = owner.runs().wait(wait).await.unwrap().into_inner();
    assert_eq!(at(&found), "telegram  direct 42 ", "it is bound to the message");
    assert_eq!(say(&owner, "first", home.clone(), "Hello.").await, first, "asked again: the same");
    let other = ask(&owner, message("first", from("telegram", "", "43"), "Hello.")).await;
    assert_eq!(other.unwrap_err().kind(), (Code::AlreadyExists, "IDEMPOTENCY_CONFLICT"));
    let plain = ask(&owner, request("plain", "main", "Hello.")).await.unwrap();
    assert_eq!(plain.run().reply_to, None, "not from a channel");
}

#[tokio::test]
async fn a_binding_decides_the_agent() {
    let config = "
        agents.entries.ops = {}

        [[bindings]]
        agentId = \"ops\"
        match = { channel = \"telegram\", peer = { kind = \"group\", id = \"99\" } }

        [[bindings]]
        agentId = \"ops\"
        session = { dmScope = \"per-peer\" }
        match = { channel = \"discord\" }";
    let gateway = Setup::new().config(config).start().await;
    let owner = gateway.owner().await;
    let table = [
        (group("telegram", "99", ""), "agent:ops:telegram:group:99"),
        (group("telegram", "98", ""), "agent:main:telegram:group:98"),
        (from("discord", "", "7"), "agent:ops:direct:7"),
        (from("telegram", "", "7"), "agent:main:main"),
    ];
    for (number, (origin, key)) in table.into_iter().enumerate() {
        let run = say(&owner, &format!("r{number}"), origin, "Hello.").await;
        assert_eq!(run.session_key, key);
        assert_eq!(run.agent_id, key.split(':').nth(1).unwrap());
    }
}

#[tokio::test]
async fn an_origin_that_could_be_mistaken_is_refused() {
    let config = "session.dmScope = \"per-channel-peer\"\n\
                  session.identityLinks = { alice = [\"telegram:1\"] }";
    let gateway = Setup::new().config(config).start().await;
    let owner = gateway.owner().await;
    let kind = |kind: &str| v1::MessageOrigin { peer_kind: kind.into(), ..from("x", "", "1") };
    let table = [
        (from("", "", "1"), ""),
        (from("telegram", "", ""), ""),
        (kind("crowd"), ""),
        (from("telegram:direct", "", "1"), "MALFORMED_KEY"),
        (from("telegram", "a:b", "1"), "MALFORMED_KEY"),
        (from("telegram", "", "1:thread:5"), "MALFORMED_KEY"),
        (from("telegram", "", " 1"), "MALFORMED_KEY"),
        (from("telegram", "", "alice"), "MALFORMED_KEY"),
    ];
    for (origin, reason) in table {
        let told = format!("{origin:?}");
        let refusal = ask(&owner, message("bad", origin, "Hello.")).await.unwrap_err();
        assert_eq!(refusal.kind(), (Code::InvalidArgument, reason), "{told}");
        assert!(!refusal.next.is_empty(), "{told}");
    }
    let mut both = message("bad", from("telegram", "", "1"), "Hello.");
    both.session_key = "main".into();
    let refusal: Refusal = ask(&owner, both).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::InvalidArgument, ""));
    let list = owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    assert_eq!(list.into_inner().sessions, [], "nothing of it is there");
}
