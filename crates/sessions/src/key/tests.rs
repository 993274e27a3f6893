//! The grammar of session keys, as tables.

mod laws;

use std::fmt::Write as _;

use expect_test::expect;
use openclaw_scopes::{AgentId, SessionKey};

use super::{KeyError, ParsedKey, agent_of, classify, is_main, resolve_key};

fn ops() -> AgentId {
    AgentId::parse("ops").unwrap()
}

fn table(keys: &[&str]) -> String {
    let mut table = String::new();
    for text in keys {
        let line = match resolve_key(text, Some(&ops())) {
            Ok(key) => format!("{:<15} {key}", format!("{:?}", classify(&key))),
            Err(error) => format!("refused: {error}"),
        };
        writeln!(table, "{:<44} {line}", format!("{text:?}")).unwrap();
    }
    table
}

#[test]
fn every_shape_has_a_canonical_form_and_a_class() {
    expect![[r#"
        "main"                                       Main            agent:ops:main
        "  MAIN\n"                                   Main            agent:ops:main
        "agent:work:main"                            Main            agent:work:main
        "AGENT:Work:Main"                            Main            agent:work:main
        "agent:main:main"                            Main            agent:main:main
        "global"                                     Global          agent:ops:global
        "unknown"                                    Unknown         agent:ops:unknown
        "release notes"                              Other           agent:ops:release notes
        "Ünïcode ÄÖ"                                 Other           agent:ops:ünïcode äö
        "agent"                                      Other           agent:ops:agent
        "direct:+4912345"                            Direct          agent:ops:direct:+4912345
        "agent:ops:dm:Alice"                         Direct          agent:ops:dm:alice
        "Telegram:direct:42"                         Direct          agent:ops:telegram:direct:42
        "telegram:Bot2:direct:42"                    Direct          agent:ops:telegram:bot2:direct:42
        "telegram:bot2:group:42"                     Other           agent:ops:telegram:bot2:group:42
        "whatsapp:group:120363@G.us"                 Group           agent:ops:whatsapp:group:120363@g.us
        "discord:channel:99"                         Channel         agent:ops:discord:channel:99
        "irc:room:#Rust"                             Channel         agent:ops:irc:room:#rust
        "slack:channel:C1:THREAD:17.5"               Thread          agent:ops:slack:channel:c1:thread:17.5
        "main:thread:7"                              Thread          agent:ops:main:thread:7
        "telegram:group:-100:topic:7"                Group           agent:ops:telegram:group:-100:topic:7
        "signal:GROUP:AbC+/="                        Group           agent:ops:signal:group:AbC+/=
        "signal:group:AbC=:Thread:XyZ"               Thread          agent:ops:signal:group:AbC=:thread:xyz
        "signal:direct:AbC"                          Direct          agent:ops:signal:direct:abc
        "Matrix:Channel:!RoOm:Example.org"           Channel         agent:ops:matrix:channel:!RoOm:Example.org
        "matrix:group:!RoOm:Ex.org:Thread:$EvEnT"    Thread          agent:ops:matrix:group:!RoOm:Ex.org:thread:$EvEnT
        "matrix:channel:!A:THREAD:x:THREAD:Y"        Thread          agent:ops:matrix:channel:!A:THREAD:x:thread:Y
        "qa:channel:thread:QA-1"                     Channel         agent:ops:qa:channel:thread:qa-1
        "subagent:8F3A"                              Subagent        agent:ops:subagent:8f3a
        "subagent:a:subagent:b"                      Subagent        agent:ops:subagent:a:subagent:b
        "acp:codex:1"                                Acp             agent:ops:acp:codex:1
        "cron:Nightly"                               Cron            agent:ops:cron:nightly
        "cron:nightly:run:1"                         CronRun         agent:ops:cron:nightly:run:1
        "cron:nightly:run:"                          Cron            agent:ops:cron:nightly:run:
        "cron:heartbeat"                             Cron            agent:ops:cron:heartbeat
        "cron:run:heartbeat"                         Cron            agent:ops:cron:run:heartbeat
        "cron:nightly:heartbeat"                     Heartbeat       agent:ops:cron:nightly:heartbeat
        "hook:1"                                     Hook            agent:ops:hook:1
        "explicit:Notes"                             Explicit        agent:ops:explicit:notes
        "explicit:model-run-1"                       Explicit        agent:ops:explicit:model-run-1
        "dashboard:1"                                Dashboard       agent:ops:dashboard:1
        "dashboard:INCOGNITO-1"                      Incognito       agent:ops:dashboard:incognito-1
        "subagent:incognito-1:heartbeat"             Incognito       agent:ops:subagent:incognito-1:heartbeat
        "internal-session-effects:run-00ff"          InternalEffects agent:ops:internal-session-effects:run-00ff
        "internal-session-effects:incognito-1"       Incognito       agent:ops:internal-session-effects:incognito-1
        "main:heartbeat"                             Heartbeat       agent:ops:main:heartbeat
        "main:Heartbeat:heartbeat:HEARTBEAT"         Heartbeat       agent:ops:main:heartbeat
        "heartbeat"                                  Other           agent:ops:heartbeat
        "heartbeat:heartbeat:heartbeat"              Heartbeat       agent:ops:heartbeat:heartbeat
        "telegram:group:1:thread:2:heartbeat"        Heartbeat       agent:ops:telegram:group:1:thread:2:heartbeat
        "harness:codex:1"                            Harness         agent:ops:harness:codex:1
        "plugin:memory-core:x"                       Plugin          agent:ops:plugin:memory-core:x
        "hook:"                                      Other           agent:ops:hook:
        "a::b"                                       Other           agent:ops:a::b
    "#]].assert_eq(&table(&[
        "main",
        "  MAIN\n",
        "agent:work:main",
        "AGENT:Work:Main",
        "agent:main:main",
        "global",
        "unknown",
        "release notes",
        "Ünïcode ÄÖ",
        "agent",
        "direct:+4912345",
        "agent:ops:dm:Alice",
        "Telegram:direct:42",
        "telegram:Bot2:direct:42",
        "telegram:bot2:group:42",
        "whatsapp:group:120363@G.us",
        "discord:channel:99",
        "irc:room:#Rust",
        "slack:channel:C1:THREAD:17.5",
        "main:thread:7",
        "telegram:group:-100:topic:7",
        "signal:GROUP:AbC+/=",
        "signal:group:AbC=:Thread:XyZ",
        "signal:direct:AbC",
        "Matrix:Channel:!RoOm:Example.org",
        "matrix:group:!RoOm:Ex.org:Thread:$EvEnT",
        "matrix:channel:!A:THREAD:x:THREAD:Y",
        "qa:channel:thread:QA-1",
        "subagent:8F3A",
        "subagent:a:subagent:b",
        "acp:codex:1",
        "cron:Nightly",
        "cron:nightly:run:1",
        "cron:nightly:run:",
        "cron:heartbeat",
        "cron:run:heartbeat",
        "cron:nightly:heartbeat",
        "hook:1",
        "explicit:Notes",
        "explicit:model-run-1",
        "dashboard:1",
        "dashboard:INCOGNITO-1",
        "subagent:incognito-1:heartbeat",
        "internal-session-effects:run-00ff",
        "internal-session-effects:incognito-1",
        "main:heartbeat",
        "main:Heartbeat:heartbeat:HEARTBEAT",
        "heartbeat",
        "heartbeat:heartbeat:heartbeat",
        "telegram:group:1:thread:2:heartbeat",
        "harness:codex:1",
        "plugin:memory-core:x",
        "hook:",
        "a::b",
    ]));
}

#[test]
fn malformed_keys_are_refused() {
    let long_agent = format!("agent:{}:main", "a".repeat(65));
    expect![[r#"
        ""                                           refused: session key is empty
        " \t"                                        refused: session key is empty
        "agent:"                                     refused: session key `agent:` names no valid agent
        "agent::"                                    refused: session key `agent::` names no valid agent
        "agent::main"                                refused: session key `agent::main` names no valid agent
        "agent:work"                                 refused: session key `agent:work` names an agent but no session: write `agent:<id>:<name>`
        "agent:work:"                                refused: session key `agent:work:` names an agent but no session: write `agent:<id>:<name>`
        "Agent:work: "                               refused: session key `Agent:work:` names an agent but no session: write `agent:<id>:<name>`
        "agent:work::x"                              refused: the session in key `agent:work::x` may not begin with a colon or a space
        "agent:work: main"                           refused: the session in key `agent:work: main` may not begin with a colon or a space
        "agent:my work:main"                         refused: session key `agent:my work:main` names no valid agent
        "agent: work:main"                           refused: session key `agent: work:main` names no valid agent
        "agent:wörk:main"                            refused: session key `agent:wörk:main` names no valid agent
        "agent:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:main" refused: session key `agent:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` names no valid agent
        ":main"                                      refused: the session in key `:main` may not begin with a colon or a space
        "a\nb"                                       refused: session key `a\nb` has a character other than printable characters
        "agent:work:\u{7f}"                          refused: session key `agent:work:\u{7f}` has a character other than printable characters
    "#]].assert_eq(&table(&[
        "",
        " \t",
        "agent:",
        "agent::",
        "agent::main",
        "agent:work",
        "agent:work:",
        "Agent:work: ",
        "agent:work::x",
        "agent:work: main",
        "agent:my work:main",
        "agent: work:main",
        "agent:wörk:main",
        &long_agent,
        ":main",
        "a\nb",
        "agent:work:\u{7f}",
    ]));
    let at_limit = "x".repeat(512 - "agent:ops:".len());
    assert!(resolve_key(&at_limit, Some(&ops())).is_ok());
    assert!(matches!(resolve_key(&format!("{at_limit}x"), Some(&ops())), Err(KeyError::Text(_))));
    // `Ⱥ` is two bytes, and its lower-case form three.
    let grows = "Ⱥ".repeat(200);
    assert!(matches!(resolve_key(&grows, Some(&ops())), Err(KeyError::Text(_))));
}

#[test]
fn a_bare_key_needs_an_agent_and_a_scoped_one_keeps_its_own() {
    expect!["agent selection required: session key `main` names no agent"]
        .assert_eq(&resolve_key(" main ", None).unwrap_err().to_string());
    assert_eq!(resolve_key("agent:work:x", None).unwrap().as_str(), "agent:work:x");
    assert_eq!(resolve_key("agent:work:x", Some(&ops())).unwrap().as_str(), "agent:work:x");
    // `main` is an agent like others: a key that names it is not lent to the chosen agent.
    let main = resolve_key("agent:main:main", Some(&ops())).unwrap();
    assert_eq!(agent_of(&main).unwrap().as_str(), "main");
}

#[test]
fn a_key_that_was_never_resolved_has_no_agent() {
    for text in ["main", "agent:", "agent:ops", "agent:Ö:x"] {
        let key = SessionKey::parse(text).unwrap();
        assert!(agent_of(&key).is_err(), "{text}");
        assert!(!is_main(&key), "{text}");
        assert_eq!(classify(&key), super::KeyClass::Other, "{text}");
    }
}

#[test]
fn routes_lead_to_a_conversation() {
    let mut table = String::new();
    for text in [
        "main",
        "direct:alice",
        "telegram:direct:42",
        "telegram:dm:42",
        "telegram:bot2:direct:42",
        "telegram:direct:direct:42",
        "telegram:bot2:group:42",
        "telegram:group:-100:topic:7",
        "slack:channel:c1:thread:17.5:heartbeat",
        "matrix:channel:!A:b.c:thread:$E",
        "telegram:group:",
        "telegram::direct:1",
        "cron:direct:1",
        "subagent:a:subagent:b:thread:1",
    ] {
        let key = resolve_key(text, Some(&ops())).unwrap();
        let parsed = ParsedKey::of(&key).unwrap();
        let route = parsed.route().map_or_else(
            || "-".to_owned(),
            |route| {
                let (account, thread) = (route.account.unwrap_or("-"), route.thread.unwrap_or("-"));
                format!("{} {account} {:?} {} {thread}", route.channel, route.kind, route.peer)
            },
        );
        let depth = parsed.subagent_depth();
        let chat = parsed.chat_type();
        writeln!(table, "{text:<40} {depth} {:<13} {route}", format!("{chat:?}")).unwrap();
    }
    expect![[r#"
        main                                     0 None          -
        direct:alice                             0 Some(Direct)  -
        telegram:direct:42                       0 Some(Direct)  telegram - Direct 42 -
        telegram:dm:42                           0 Some(Direct)  telegram - Direct 42 -
        telegram:bot2:direct:42                  0 Some(Direct)  telegram bot2 Direct 42 -
        telegram:direct:direct:42                0 Some(Direct)  telegram - Direct direct:42 -
        telegram:bot2:group:42                   0 None          -
        telegram:group:-100:topic:7              0 Some(Group)   telegram - Group -100:topic:7 -
        slack:channel:c1:thread:17.5:heartbeat   0 Some(Channel) slack - Channel c1 17.5
        matrix:channel:!A:b.c:thread:$E          0 Some(Channel) matrix - Channel !A:b.c $E
        telegram:group:                          0 None          -
        telegram::direct:1                       0 None          -
        cron:direct:1                            0 None          -
        subagent:a:subagent:b:thread:1           2 None          -
    "#]]
    .assert_eq(&table);
}
