//! What `[session]` and `[[bindings]]` say, and what is said about their mistakes.

use expect_test::expect;

use crate::{DmScope, GroupScope, parse};

#[test]
fn sessions_and_bindings_are_read() {
    let config = parse("").unwrap();
    assert_eq!(config.session().dm_scope, DmScope::Main);
    assert_eq!(config.session().group_scope, GroupScope::PerGroup);
    assert!(config.session().identity_links.is_empty());
    assert!(config.bindings().is_empty());

    let text = "\
[agents.entries.ops]

[session]
dmScope = 'per-channel-peer'
groupScope = 'main'
identityLinks = { Alice = ['telegram:42', 'matrix:@al:ex.org'], 'b o' = ['7', '7'] }

[[bindings]]
agentId = 'ops'
match = { channel = 'telegram' }

[[bindings]]
agentId = 'main'
session = { dmScope = 'per-peer', groupScope = 'per-group' }

[bindings.match]
channel = 'discord'
accountId = '*'
guildId = '1'
roles = ['r', 'r', 's']
teamId = 't'
peer = { kind = 'channel', id = 'C:1' }
";
    let shown = crate::to_toml_redacted(&parse(text).unwrap());
    let (_, rest) = shown.split_once("\n[session]").unwrap();
    let (shown, _) = rest.split_once("\n[tools.exec]").unwrap();
    expect![[r#"

        dmScope = "per-channel-peer"
        groupScope = "main"
        identityLinks = { alice = ["telegram:42", "matrix:@al:ex.org"], "b o" = ["7"] }
        reset = { mode = "none" }
        maintenance.pruneAfter = "30d"
        maintenance.maxDiskBytes = 10737418240
        sendPolicy.default = "allow"
        sendPolicy.rules = []

        [[bindings]]
        agentId = "ops"
        match = { channel = "telegram", accountId = "default" }
        # session: as in `session`

        [[bindings]]
        agentId = "main"
        match = { channel = "discord", accountId = "*", peer = { kind = "channel", id = "C:1" }, guildId = "1", roles = ["r", "s"], teamId = "t" }
        session = { dmScope = "per-peer", groupScope = "per-group" }

        [messages.inbound]
        debounceMs = 300
        byChannel = {}
        maxMediaBytes = 268435456

        [messages.queue]
        mode = "steer"
        byChannel = {}
        debounceMs = 500
        cap = 20
        drop = "new"

        [cron]
        enabled = true
        maxConcurrentRuns = 8

        [commands]
        ownerAllowFrom = []

        [channels.webhook]
        # secret: webhooks are not signed
        allowAddresses = []

        [hooks]
        enabled = false
        listen = "127.0.0.1:18790"
    "#]].assert_eq(shown);
}

#[test]
fn mistakes_are_located_and_explained() {
    let text = "\
[agents.entries.ops]

[session]
dm_scope = 'main'
dmScope = 'per-chanel-peer'
groupScope = 'each'

[session.identityLinks]
alice = ['telegram:42', 'x']
Alice = []
bob = ['Telegram:42', ' y', 7]
'a:b' = ['z']
\"a\\nb\" = []
carol = 'telegram:1'

[[bindings]]
agentID = 'ops'
match = { chanel = 'telegram', peer = { kind = 'room', name = '1' } }

[[bindings]]
agentId = 'opz'
match = { channel = 'Telegram', accountId = 'a:b', peer = {}, roles = ['r'] }
session = { dmScope = 'main', reset = 'daily' }

[[bindings]]
agentId = 'nobody at all'
match = { channel = 'telegram', roles = [1], guildId = '', peer = 'x' }
";
    let errors = parse(text).unwrap_err();
    expect![[r#"
        line 4, column 1: unknown key `dm_scope` in `session`; did you mean `dmScope`?
        line 5, column 11: `session.dmScope` must be one of `main`, `per-peer`, `per-channel-peer`, `per-account-channel-peer`; did you mean `per-channel-peer`?
        line 6, column 14: `session.groupScope` must be one of `per-group`, `main`
        line 10, column 1: `Alice` is already set above
        line 11, column 7: `session.identityLinks.bob`: `Telegram:42` is already linked above
        line 11, column 23: `session.identityLinks.bob[1]` must be 1 to 128 characters on one line, without spaces around
        line 11, column 29: `session.identityLinks.bob[2]` must be a text in quotes, not a number
        line 12, column 1: `session.identityLinks.a:b` must be 1 to 128 characters on one line, without `:` or spaces around
        line 13, column 1: `session.identityLinks.a\nb` must be 1 to 128 characters on one line, without `:` or spaces around
        line 14, column 9: `session.identityLinks.carol` must be a list, not a text
        line 16, column 1: `bindings[0]` needs `agentId`, for example `agentId = "main"`
        line 17, column 1: unknown key `agentID` in `bindings[0]`; did you mean `agentId`?
        line 18, column 1: `bindings[0].match` needs `channel`, for example `channel = "telegram"`
        line 18, column 11: unknown key `chanel` in `bindings[0].match`; did you mean `channel`?
        line 18, column 32: `bindings[0].match.peer` needs `id`, for example `id = "*"`
        line 18, column 48: `bindings[0].match.peer.kind` must be one of `direct`, `group`, `channel`
        line 18, column 56: unknown key `name` in `bindings[0].match.peer`; did you mean `agents.defaults.identity.name`?
        line 21, column 11: `bindings[1].agentId` names the agent `opz`, which is not configured; did you mean `ops`?
        line 22, column 1: `bindings[1].match` needs `guildId`, for example `guildId = "1234"`
        line 22, column 21: `bindings[1].match.channel` must be the name of a channel: 1 to 64 of the characters a-z, 0-9, `-` and `_`
        line 22, column 45: `bindings[1].match.accountId` must be 1 to 128 characters on one line, without `:` or spaces around
        line 22, column 52: `bindings[1].match.peer` needs `kind`, for example `kind = "group"`
        line 22, column 52: `bindings[1].match.peer` needs `id`, for example `id = "*"`
        line 23, column 31: unknown key `reset` in `bindings[1].session`; did you mean `session.reset.mode`?
        line 26, column 11: `bindings[2].agentId` names the agent `nobody at all`, which is not configured
        line 27, column 42: `bindings[2].match.roles[0]` must be a text in quotes, not a number
        line 27, column 56: `bindings[2].match.guildId` must be 1 to 128 characters on one line, without spaces around
        line 27, column 67: `bindings[2].match.peer` must be a table, not a text
    "#]].assert_eq(&format!("{errors}\n"));
    for (text, message) in [
        ("bindings = {}", "line 1, column 12: `bindings` must be a list, not a table"),
        ("bindings = [1]", "line 1, column 13: `bindings[0]` must be a table, not a number"),
        ("session = []", "line 1, column 11: `session` must be a table, not a list"),
        ("[[agents]]", "line 1, column 1: `agents` must be a table, not a list"),
        (
            "[binding]",
            "line 1, column 2: unknown key `binding` at the top level; did you mean `bindings`?",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
}

/// An agent that messages are bound to is not removed from under them.
#[test]
fn a_bound_agent_stays() {
    let text = "\
[agents.entries.ops]

[[bindings]]
agentId = 'ops'
match = { channel = 'telegram' }
";
    let ops = openclaw_scopes::AgentId::parse("ops").unwrap();
    let error = crate::remove_agent(text, &ops).unwrap_err();
    let crate::EditError::Refused { errors } = error else { panic!("{error}") };
    expect![
        "line 3, column 11: `bindings[0].agentId` names the agent `ops`, which is not configured"
    ]
    .assert_eq(&errors.to_string());
}

#[test]
fn what_leaves() {
    let shown = |text: &str| match parse(text) {
        Ok(config) => {
            let shown = crate::to_toml_redacted(&config);
            assert_eq!(crate::to_toml_redacted(&parse(&shown).unwrap()), shown);
            let lines = shown.lines().filter(|line| line.starts_with("sendPolicy"));
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    };
    expect![[r#"
        sendPolicy.default = "allow"
        sendPolicy.rules = []"#]]
    .assert_eq(&shown(""));
    let text = "\
[session.sendPolicy]
default = 'deny'

[[session.sendPolicy.rules]]
action = 'allow'
match = { channel = 'telegram', chatType = 'dm' }

[[session.sendPolicy.rules]]
action = 'deny'
match = { keyPrefix = 'cron:', rawKeyPrefix = 'agent:main:' }

[[session.sendPolicy.rules]]
action = 'allow'
";
    expect![[r#"
        sendPolicy.default = "deny"
        sendPolicy.rules = [{ action = "allow", match = { channel = "telegram", chatType = "direct" } }, { action = "deny", match = { keyPrefix = "cron:", rawKeyPrefix = "agent:main:" } }, { action = "allow", match = {} }]"#]].assert_eq(&shown(text));
    let text = "\
[session.sendPolicy]
default = 'block'
rules = [{ match = { channel = 'Telegram', chatType = 'crowd', keyPrefix = '', peer = '1' } }, 1]
";
    expect![[r#"
        line 2, column 11: `session.sendPolicy.default` must be one of `allow`, `deny`
        line 3, column 10: `session.sendPolicy.rules[0]` needs `action`, for example `action = "deny"`
        line 3, column 32: `session.sendPolicy.rules[0].match.channel` must be the name of a channel: 1 to 64 of the characters a-z, 0-9, `-` and `_`
        line 3, column 55: `session.sendPolicy.rules[0].match.chatType` must be one of `direct`, `dm`, `group`, `channel`
        line 3, column 76: `session.sendPolicy.rules[0].match.keyPrefix` must be how a key begins: 1 to 128 characters on one line, without spaces around
        line 3, column 80: unknown key `peer` in `session.sendPolicy.rules[0].match`; did you mean `bindings[].match.peer.kind`?
        line 3, column 96: `session.sendPolicy.rules[1]` must be a table, not a number"#]].assert_eq(&shown(text));
}
