//! Commands in chats: each by each kind of sender, and what they may.

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_tests::{Client, Setup, post, soon};

use super::chats::said;
use super::delivery::on_telegram;

/// Who writes.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// An owner, in a direct message.
    Owner,
    /// Somebody who is let in, in a direct message.
    Paired,
    /// An owner, in a group.
    OwnerInGroup,
    /// Somebody who is let in there, in a group.
    Member,
    /// Somebody who has a code, and is not let in.
    Unpaired,
    /// Somebody who is not let in, in a group.
    Stranger,
}

fn in_group(who: i64, text: &str) -> Tell {
    let mention = serde_json::json!([{ "type": "mention", "offset": 0, "length": 9 }]);
    Tell::in_group(-100, who, &format!("@test_bot {text}")).with("entities", mention)
}

impl Who {
    fn tell(self, text: &str) -> Tell {
        match self {
            Self::Owner => Tell::direct(42, text),
            Self::Paired => Tell::direct(7, text),
            Self::OwnerInGroup => in_group(42, text),
            Self::Member => in_group(8, text),
            Self::Unpaired => Tell::direct(9, text),
            Self::Stranger => in_group(10, text),
        }
    }
}

const CONFIG: &str = "channels.telegram.allowFrom = [\"7\"]\n\
    channels.telegram.groupAllowFrom = [\"8\"]\n\
    channels.telegram.groups = { \"-100\" = {} }\n\
    commands.ownerAllowFrom = [\"telegram:42\"]\n\
    hooks.entries.main = { token = { env = \"HOOK\" }, sessionKey = \"main\" }\n\
    hooks.entries.event = { token = { env = \"HOOK\" }, action = \"wake\" }";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What each is answered; nothing for who is not heard.
#[rustfmt::skip]
const TABLE: [(&str, [&str; 4]); 9] = [
    // command                  owner               paired                             owner in a group    member
    ("/help",                   ["/status",         "/status",                         "/status",          "/status"]),
    ("/status",                 ["offline/offline", "offline/offline",                 "offline/offline",  "offline/offline"]),
    ("/usage",                  ["turns",           "turns",                           "turns",            "turns"]),
    ("/stop",                   ["Nothing goes on", "Nothing goes on",                 "Nothing goes on",  "Nothing goes on"]),
    ("/model offline/offline",  ["answers here",    "Only an owner",                   "answers here",     "Only an owner"]),
    ("/approve ap-none",        ["not done",        "missing scope: operator.approvals", "not done",       "missing scope: operator.approvals"]),
    ("/deny ap-none",           ["not done",        "missing scope: operator.approvals", "not done",       "missing scope: operator.approvals"]),
    ("/new",                    ["begin anew",      "missing scope: operator.admin",   "begin anew",       "missing scope: operator.admin"]),
    ("/reset",                  ["begin anew",      "missing scope: operator.admin",   "begin anew",       "missing scope: operator.admin"]),
];

/// Waits until so many turns of hooks have ended.
async fn hooked(owner: &Client, count: usize) {
    soon(async {
        loop {
            let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            let runs = runs.into_inner().runs.into_iter();
            let ended = runs.filter(|run| run.status() == v1::RunStatus::Ok);
            if ended.filter(|run| run.on_behalf_of.starts_with("hook:")).count() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T37
async fn each_command_by_each_kind_of_sender() {
    let telegram = Telegram::start().await;
    let setup = Setup::new().hooks().variable("HOOK", TOKEN);
    let setup = on_telegram(setup, &telegram).config(CONFIG);
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    let (mut count, mut hooks) = (0, 0);
    let mut ask = async |who: Who, text: &str| {
        telegram.say(&who.tell(text));
        count += 1;
        said(&telegram, count).await
    };
    // Both conversations are the owner's.
    ask(Who::Owner, "Hello.").await;
    ask(Who::OwnerInGroup, "Hello.").await;
    let code = ask(Who::Unpaired, "Hello.").await;
    assert!(code.contains("openclaw pairing approve"), "{code}");
    let resets = async || {
        let mut resets = Vec::new();
        for key in ["agent:main:main", "agent:main:telegram:group:-100"] {
            let get = v1::GetSessionRequest { key: key.into(), ..Default::default() };
            let session = owner.sessions().get(get).await.unwrap().into_inner();
            resets.push((session.model, session.total_runs));
        }
        resets
    };
    for (command, expected) in TABLE {
        let before = resets().await;
        for (who, expected) in
            [Who::Paired, Who::Member].into_iter().zip([expected[1], expected[3]])
        {
            let answer = ask(who, command).await;
            assert!(answer.contains(expected), "{command} by {who:?}: {answer}");
        }
        // Who is not let in is not heard at all.
        for who in [Who::Unpaired, Who::Stranger] {
            telegram.say(&who.tell(command));
        }
        telegram.all_confirmed().await;
        assert_eq!(resets().await, before, "{command} by those who may not");
        // To a hook it is a text like any other, and an agent is told it.
        for hook in ["main", "event"] {
            let line = format!("POST /hooks/{hook}");
            let bearer = format!("Bearer {TOKEN}");
            let headers = [("authorization", bearer.as_str())];
            let posted = post(gateway.hooks(), &line, &headers, command).await;
            assert_eq!((posted.status, posted.text("sessionKey")), (200, "agent:main:main"));
            hooks += 1;
            hooked(&owner, hooks).await;
        }
        let after = resets().await;
        assert_eq!(after[0].1, before[0].1 + 2, "{command} by a hook is a turn, and nothing else");
        assert_eq!((&after[0].0, &after[1]), (&before[0].0, &before[1]));
        for (who, expected) in
            [Who::Owner, Who::OwnerInGroup].into_iter().zip([expected[0], expected[2]])
        {
            let answer = ask(who, command).await;
            assert!(answer.contains(expected), "{command} by {who:?}: {answer}");
        }
    }
    let told: Vec<_> = telegram.sent().into_iter().map(|message| message.chat).collect();
    assert_eq!(told.iter().filter(|chat| *chat == "9").count(), 1, "a code, and nothing else");
}
