//! Report #71581: where direct messages are one conversation, so is all that happens there.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_proto::v1::occurrence::Outcome;
use openclaw_tests::{Client, Setup, TestGateway, ask, post, request, soon};

use super::chats::said;
use super::cron::{add, event, settled, turn};
use super::delivery::{delivered, on_telegram};

/// The conversation of the report, which nobody reads.
const LITERAL: &str = "agent:main:telegram:default:direct:42";
const MAIN: &str = "agent:main:main";

async fn gateway(telegram: &Telegram, config: &str) -> TestGateway {
    let setup = Setup::new().hooks().variable("DOOR", TOKEN);
    on_telegram(setup, telegram).config(config).start().await
}

async fn keys(owner: &Client) -> Vec<String> {
    let listed = owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    listed.into_inner().sessions.into_iter().map(|session| session.key).collect()
}

async fn history(client: &Client, session: &str) -> Vec<v1::HistoryEntry> {
    let request = v1::SessionHistoryRequest { key: session.into(), ..Default::default() };
    match client.sessions().history(request).await {
        Ok(history) => history.into_inner().entries,
        Err(_unknown) => Vec::new(),
    }
}

/// Waits until a conversation was told something.
async fn told(client: &Client, session: &str, words: &str) -> String {
    soon(async {
        loop {
            let entries = history(client, session).await;
            if let Some(entry) = entries.into_iter().find(|entry| entry.text.contains(words)) {
                return entry.text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A hook that names the conversation.
const HOOK: &str = "hooks.entries.door = { token = { env = \"DOOR\" }, action = \"wake\", \
    sessionKey = \"agent:main:telegram:default:direct:42\" }";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Lets somebody in by an approval, as `openclaw pairing approve` does.
async fn approve(telegram: &Telegram, owner: &Client, who: i64) {
    let before = telegram.sent().len();
    telegram.say(&Tell::direct(who, "Let me in."));
    telegram.wait_for(before + 1).await;
    let listed = owner.channels().list_people(v1::ListPeopleRequest::default()).await.unwrap();
    let people = listed.into_inner().people;
    let code = people.into_iter().find(|it| it.sender_id == who.to_string()).unwrap().code;
    let channel = "telegram".to_owned();
    let request = v1::ApprovePersonRequest { channel, code, share_main: true, owner: false };
    owner.channels().approve_person(request).await.unwrap();
}

/// Who is let in.
#[derive(Clone, Copy, Debug)]
enum People {
    /// One, by the configuration.
    Listed,
    /// One, by an approval.
    Approved,
    /// One, who owns the gateway and is listed nowhere else.
    Owner,
    /// One by each.
    Two,
    /// Everybody.
    Everybody,
    /// Nobody.
    Nobody,
}

impl People {
    const fn config(self) -> &'static str {
        match self {
            Self::Listed | Self::Two => "channels.telegram.allowFrom = [\"42\"]",
            Self::Owner => "commands.ownerAllowFrom = [\"telegram:42\"]",
            Self::Everybody => {
                "channels.telegram.allowFrom = [\"*\"]\nchannels.telegram.dmPolicy = \"open\""
            }
            Self::Approved | Self::Nobody => "",
        }
    }
}

/// Whatever happens: what is told and what is woken are one conversation, and the answer goes to where the
/// conversation of the event leads.
#[tokio::test]
//= docs/threat-model.md#T36
async fn what_happens_in_a_direct_chat_is_told_where_its_owner_reads() {
    use People::{Approved, Everybody, Listed, Nobody, Owner, Two};
    #[rustfmt::skip]
    let table = [
        // dmScope                     people      told in
        ("main",                       Listed,     MAIN),
        ("main",                       Approved,   MAIN),
        ("main",                       Owner,      MAIN),
        ("main",                       Two,        LITERAL),
        ("main",                       Everybody,  LITERAL),
        ("main",                       Nobody,     LITERAL),
    ];
    // What keeps people apart leaves everything where it is, whoever is let in.
    let apart = ["per-peer", "per-channel-peer", "per-account-channel-peer"];
    let apart =
        apart.into_iter().flat_map(|scope| table.map(|(_, people, _)| (scope, people, LITERAL)));
    for (scope, people, expected) in table.into_iter().chain(apart) {
        let place = format!("{scope} {people:?}");
        let telegram = Telegram::start().await;
        let config = format!("session.dmScope = \"{scope}\"\n{}\n{HOOK}", people.config());
        let gateway = gateway(&telegram, &config).await;
        let owner = gateway.owner().await;
        match people {
            Approved => approve(&telegram, &owner, 42).await,
            Two => approve(&telegram, &owner, 43).await,
            Everybody | Listed | Nobody | Owner => {}
        }
        // A job, an event and a hook that name the conversation.
        let job = v1::JobSpec { session: Some(LITERAL.into()), ..event("tea", "Tea is ready.") };
        let job = add(&owner, job).await.unwrap();
        let ran = settled(&owner, &job.id).await;
        assert_eq!((ran.outcome(), ran.session_key.as_str()), (Outcome::Ran, expected), "{place}");
        told(&owner, expected, "> Tea is ready.").await;
        let happened = v1::SystemEventRequest {
            idempotency_key: "happened".into(),
            session_key: LITERAL.into(),
            text: "The door is open.".into(),
            ..v1::SystemEventRequest::default()
        };
        let happened = owner.system().event(happened).await.unwrap().into_inner();
        assert_eq!(happened.session_key, expected, "{place}");
        told(&owner, expected, "> The door is open.").await;
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str())];
        let posted = post(gateway.hooks(), "POST /hooks/door", &headers, "The bell rings.").await;
        assert_eq!((posted.status, posted.text("sessionKey")), (200, expected), "{place}");
        told(&owner, expected, "> The bell rings.").await;
        // A turn of a job that names it.
        let spec = v1::JobSpec { session: Some(LITERAL.into()), ..turn("news", "Any news?") };
        let job = add(&owner, spec).await.unwrap();
        let ran = settled(&owner, &job.id).await;
        assert_eq!((ran.outcome(), ran.session_key.as_str()), (Outcome::Ran, expected), "{place}");
        // What each of them leads to is answered where the conversation leads that was named.
        for words in ["Tea is ready.", "The door is open.", "The bell rings.", "Any news?"] {
            let is_there =
                || telegram.sent().iter().any(|it| it.chat == "42" && it.text.contains(words));
            soon(async {
                while !is_there() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        // Where several write in one conversation, the audit says so.
        let audit = v1::SecurityAuditRequest::default();
        let findings = owner.security().audit(audit).await.unwrap().into_inner().findings;
        let is_found = findings.iter().any(|it| it.id == "channels.dm.scope_main_multiuser");
        let shares = scope == "main" && matches!(people, Two | Everybody);
        assert_eq!(is_found, shares, "{place}: {findings:?}");
        // What the other conversation was never told, nobody opened.
        let other = if expected == MAIN { LITERAL } else { MAIN };
        assert!(!keys(&owner).await.contains(&other.to_owned()), "{place}");
        assert!(history(&owner, other).await.is_empty(), "{place}");
    }
}

/// A sub-agent that takes its time.
const SCRIPT: &str = r#"
[[reply]]
match = "Begin."
toolCalls = [{ name = "sessions_spawn", arguments = { task = "Count to three." } }]

[[reply]]
match = "Count to three."
text = "One two three."
chunks = 2
delayMs = 100

[[reply]]
match = "One two three."
text = "It has counted."

[[reply]]
match = "Look around."
text = "HEARTBEAT_OK"

[[reply]]
afterTool = "*"
text = "Begun."
"#;

/// The end of a sub-agent is told where everything else is, and answered in the chat, while a heartbeat looks around
/// beside it. (The end of a command needs a gateway of its own: `binaries/background.rs`.)
#[tokio::test]
async fn what_ends_is_told_where_its_owner_reads_beside_a_heartbeat() {
    use People::{Approved, Everybody, Listed, Owner, Two};
    #[rustfmt::skip]
    let table = [
        ("main",             Listed,    MAIN),
        ("main",             Approved,  MAIN),
        ("main",             Owner,     MAIN),
        ("main",             Two,       LITERAL),
        ("main",             Everybody, LITERAL),
        ("per-peer",         Listed,    LITERAL),
        ("per-channel-peer", Owner,     LITERAL),
    ];
    for (scope, people, expected) in table {
        let place = format!("{scope} {people:?}");
        let telegram = Telegram::start().await;
        let config = format!(
            "session.dmScope = \"{scope}\"\n{}\n\
             agents.defaults.heartbeat = {{ every = \"24h\", prompt = \"Look around.\" }}",
            people.config()
        );
        let gateway =
            on_telegram(Setup::new().script(SCRIPT), &telegram).config(&config).start().await;
        let owner = gateway.owner().await;
        match people {
            Approved => approve(&telegram, &owner, 42).await,
            Two => approve(&telegram, &owner, 43).await,
            Everybody | Listed | People::Nobody | Owner => {}
        }
        // It looks around as fast as it can.
        let looks = owner.clone();
        let racing = openclaw_tests::background(async move {
            for number in 0..20 {
                let request = v1::RunJobRequest {
                    job: "heartbeat:main".into(),
                    idempotency_key: format!("look-{number}"),
                };
                // One that asks too fast is told so.
                drop(looks.cron().run(request).await);
                tokio::task::yield_now().await;
            }
        });
        let begun = ask(&owner, request("begin", LITERAL, "Begin.")).await.unwrap();
        assert_eq!(begun.text, "Begun.", "{place}");
        told(&owner, expected, "One two three.").await;
        racing.await.unwrap();
        soon(async {
            while !telegram.sent().iter().any(|it| it.chat == "42" && it.text == "It has counted.")
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let runs =
            owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
        let in_literal = runs.iter().filter(|run| run.session_key == LITERAL).count();
        let told = runs.iter().filter(|run| run.run_id.starts_with("told-")).collect::<Vec<_>>();
        assert!(told.iter().all(|run| run.session_key == expected), "{place}: {told:?}");
        assert_eq!(told.len(), 1, "{place}: {told:?}");
        let asked = if expected == LITERAL { 1 + told.len() } else { 1 };
        assert_eq!(in_literal, asked, "{place}: {runs:?}");
    }
}

/// Inbound messages are one conversation with it, and the answer goes to the chat.
#[tokio::test]
async fn what_comes_in_is_answered_in_its_chat() {
    let telegram = Telegram::start().await;
    let gateway = gateway(&telegram, People::Listed.config()).await;
    let owner = gateway.owner().await;
    telegram.say(&Tell::direct(42, "Hello."));
    said(&telegram, 1).await;
    assert_eq!(keys(&owner).await, [MAIN]);
    // What a job says that names the chat's conversation goes to the chat, from the main conversation.
    let spec = v1::JobSpec { session: Some(LITERAL.into()), ..turn("news", "Any news?") };
    let spec = super::delivery::announce(spec, "telegram", "42");
    let job = add(&owner, spec).await.unwrap();
    let ran = settled(&owner, &job.id).await;
    assert_eq!(ran.session_key, MAIN);
    let sent = delivered(&owner, &ran.delivery_id).await;
    assert_eq!(sent.to.unwrap().peer_id, "42");
    assert!(said(&telegram, 2).await.contains("Any news?"));
    assert_eq!(keys(&owner).await, [MAIN]);
}

/// The key of another agent is that agent's, whoever is let in.
#[tokio::test]
async fn the_conversation_of_another_agent_is_left_alone() {
    let telegram = Telegram::start().await;
    let config = format!("{}\nagents.entries.ops.identity.name = \"Ops\"", People::Listed.config());
    let gateway = gateway(&telegram, &config).await;
    let owner = gateway.owner().await;
    let happened = |key: &str, session: &str| v1::SystemEventRequest {
        idempotency_key: key.into(),
        session_key: session.into(),
        text: format!("It is {key}."),
        ..v1::SystemEventRequest::default()
    };
    for (key, named, expected) in [
        ("a", "agent:ops:telegram:default:direct:42", "agent:ops:main"),
        ("b", "agent:ops:explicit:x", "agent:ops:explicit:x"),
        ("c", "agent:main:telegram:direct:42", MAIN),
        ("d", "agent:main:telegram:direct:43", "agent:main:telegram:direct:43"),
        ("e", "agent:main:telegram:group:-5", "agent:main:telegram:group:-5"),
    ] {
        let event = owner.system().event(happened(key, named)).await.unwrap().into_inner();
        assert_eq!(event.session_key, expected, "{named}");
    }
}
