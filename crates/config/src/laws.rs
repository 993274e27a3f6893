//! What holds for every text: no panic, places within the text, and showing loses nothing.

use openclaw_scopes::AgentId;
use proptest::prelude::*;

use crate::{EXAMPLES, NewAgent, add_agent, parse, reference, remove_agent, to_toml_redacted};

/// Parses, and checks whatever comes of it.
fn check(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(config) => {
            let shown = to_toml_redacted(&config);
            prop_assert_eq!(parse(&shown), Ok(config), "{}", shown);
        }
        Err(errors) => {
            prop_assert!(errors.iter().next().is_some());
            let lines: Vec<&str> = text.split('\n').collect();
            for error in &errors {
                let line = lines.get(error.position.line - 1);
                let width = line.map(|line| line.chars().count());
                prop_assert!(
                    width.is_some_and(|width| (1..=width + 1).contains(&error.position.column)),
                    "{error} is outside of {text:?}"
                );
                let message = error.to_string();
                prop_assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
    }
    Ok(())
}

/// Gives a key a value: one in a list of tables stands in the first of them.
pub(crate) fn setting(path: &str, value: &str) -> String {
    match path.split_once("[].") {
        Some((list, path)) => format!("{list} = [{{ {path} = {value} }}]"),
        None => format!("{path} = {value}"),
    }
}

/// Values of every type, those that are accepted somewhere among them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        (-10_i64..100_000).prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "'offline'",
            "'openai-completions'",
            "'anthropic-messages'",
            "'http://localhost:1/v1'",
            "'https://api.example.com'",
            "'KEY'",
            "'offline/x'",
            "'p/m'",
            "['p/m', 'offline/y']",
            "['*']",
            "['exec', '*_file']",
            "[]",
            "'Ada'",
            "\"\\u0007\"",
            "'/srv/x'",
            "'~/\"x\"'",
            "'workspace'",
            "'main'",
            "'per-channel-peer'",
            "'group'",
            "['telegram:1', '2']",
            "'off'",
            "['HOME']",
            "{ certPath = '/c', keyPath = '~/k' }",
            "['[::1]:80', '10.0.0.1:8080']",
            "'400d'",
            "'36h'",
            "true",
            "1.5",
            "{}",
            "{ env = 'KEY' }",
            "1979-05-27",
            "'''\na'''",
        ])
        .prop_map(str::to_owned),
    ]
}

/// A text of some of the keys, with values that may or may not fit.
fn text() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = reference().iter().map(|key| key.path).collect();
    let id = prop::sample::select(vec!["p", "offline", "main", "x-1", "Bad"]);
    let line = (prop::sample::select(keys), id, value())
        .prop_map(|(path, id, value)| setting(&path.replace("<id>", id), &value) + "\n");
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
}

/// Settings that fit, one for each of some keys, so that most texts are accepted.
fn valid_text() -> impl Strategy<Value = String> {
    let some = |line: &'static str| prop_oneof![Just(""), Just(line)];
    let provider = prop::sample::select(vec![
        "models.providers.p.api = 'anthropic-messages'\n",
        "models.providers.p = { api = 'openai-completions', baseUrl = 'http://localhost/', apiKeys = [{ env = 'K1' }, { env = 'K2' }], models = [{ id = 'm/x:y', input = ['text', 'image'] }, { id = 'n' }] }\n",
        "models.providers.p = { api = 'offline', script = '~/ä \\x' }\n",
    ]);
    let number = |path: &'static str, min: u64, max: u64| {
        (min..=max).prop_map(move |number| format!("{path} = {number}\n"))
    };
    let agents = (
        "[^\\p{C}\\p{Z}]{1,64}",
        some("agents.defaults.model.fallbacks = ['offline/a/b', 'p/m']\n"),
        some("agents.defaults.tools.deny = ['exec', '*_dir']\n"),
        some("agents.entries.x.tools.deny = ['web_fetch', 'exec']\n"),
        some("agents.entries.x.model.primary = 'offline/z'\n"),
        some("agents.entries.main.workspace = \"/srv/\\\"'\"\n"),
        some("agents.entries.y.timeoutSeconds = 0\n"),
        some("agents.entries.x.subagents.allowAgents = ['*', 'main']\n"),
        some("agents.entries.x.budget = { run.tokens = 5, tree.seconds = 60, day = { tokens = 0, cost = 0 } }\n"),
        some("models.prices.'p/m' = { input = 3, output = 0.25, cacheRead = 1.000001 }\n"),
    )
        .prop_map(|(name, a, b, c, d, e, f, g, h, i)| {
            let name = toml_edit::Value::from(name);
            format!("agents.entries.y.identity.name = {name}\n{a}{b}{c}{d}{e}{f}{g}{h}{i}")
        });
    let rest = (
        number("gateway.drainSeconds", 0, 3_600),
        number("gateway.maxMessageBytes", 65_536, 67_108_864),
        number("agents.defaults.maxConcurrent", 1, 10_000),
        number("agents.defaults.subagents.maxSpawnDepth", 0, 5),
        number("agents.defaults.timeoutSeconds", 0, 31_536_000),
        (86_400_u64..1_000_000_000).prop_map(|number| format!("audit.retention = '{number}s'\n")),
        some("listen.tcp = '[::]:0'\nlisten.advertise = ['a.example:1', '[::1]:2']\n"),
        some(
            "tools.exec = { sandbox = 'off', envAllow = ['A', 'B', 'A'], notifyOnExit = false, ask = 'always', unattended = 'wait', allow = [['a', 'b', 'b'], ['/c']] }\n",
        ),
        some("tools.subagents.tools = { allow = ['*_file', 'exec'], deny = ['exec'] }\ntools.webFetch.allowAddresses = ['[0::1]:80', '10.0.0.1:1']\n"),
        some("session = { reset = { mode = 'daily', atHour = 5, idleMinutes = 60 }, maintenance = { pruneAfter = 'never', maxDiskBytes = 0 }, groupScope = 'main', identityLinks = { 'Al B' = ['irc:\"', '2'] } }\n"),
        some("messages.inbound = { debounceMs = 0, byChannel = { IRC = 1500 }, maxMediaBytes = 0 }\nmessages.queue = { mode = 'collect', byChannel = { IRC = 'steer' }, cap = 7, drop = 'old', debounceMs = 0 }\n"),
        (bindings(), some("channels = { discord = { token.env = 'D', dmPolicy = 'open', allowFrom = ['*', '1'], groups = { '*' = {}, \"a'b\" = { requireMention = false } }, tools.allow = ['read_*'], gatewayUrl = 'ws://x' }, webhook = { secret.env = 'W', allowAddresses = ['127.0.0.1:1'] } }\ncommands.ownerAllowFrom = ['discord:1']\n"), some("cron = { enabled = false, maxConcurrentRuns = 3 }\nevents.retention = '90m'\n")),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j, k, (l, m, n))| {
            [a, b, c, d, e, f, g.into(), h.into(), i.into(), j.into(), k.into(), l, m.into(), n.into()].concat()
        });
    (provider, agents, rest).prop_map(|(provider, agents, rest)| {
        format!("agents.defaults.model.primary = 'p/m'\n{provider}{agents}{rest}")
    })
}

/// Bindings to agents that always exist.
fn bindings() -> impl Strategy<Value = String> {
    let matches = prop::sample::select(vec![
        "channel = 'telegram'",
        "channel = 'irc', accountId = '*', teamId = 'T\\'",
        "channel = 'x', guildId = '1', roles = ['a', \"\\\"\"], peer = { kind = 'channel', id = '*' }",
    ]);
    let session = prop::sample::select(vec![
        "",
        ", session.dmScope = 'per-peer'",
        ", session = { dmScope = 'main', groupScope = 'per-group' }",
    ]);
    let one = (matches, session).prop_map(|(matches, session)| {
        format!("{{ agentId = 'main', match = {{ {matches} }}{session} }}")
    });
    prop::collection::vec(one, 0..4).prop_map(|all| format!("bindings = [{}]\n", all.join(", ")))
}

/// One of the examples with some characters replaced, or cut out.
fn mutated_example() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..8_usize, "[\\[\\]{}=.'\"\n #a1ä\r\u{0}]{0,3}");
    (prop::sample::select(EXAMPLES.to_vec()), prop::collection::vec(change, 1..4)).prop_map(
        |(example, changes)| {
            let mut text: Vec<char> = example.text.chars().collect();
            for (at, cut, with) in changes {
                let at = at.index(text.len() + 1);
                let end = text.len().min(at + cut);
                text.splice(at..end, with.chars());
            }
            text.into_iter().collect()
        },
    )
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_text_that_looks_like_toml(text in "([a-z.]{1,9} ?= ?|\\[|\\]|\\{|\\}|'|\"|\n|,|[0-9a-z]{1,4}|#|\r|ä){0,40}") {
        check(&text)?;
    }

    #[test]
    fn any_keys_and_values(text in text()) {
        check(&text)?;
    }

    #[test]
    fn any_valid_text(text in valid_text()) {
        let parsed = parse(&text);
        let errors = parsed.as_ref().err().map(ToString::to_string).unwrap_or_default();
        prop_assert!(parsed.is_ok(), "{errors}\n{text}");
        check(&text)?;
    }

    #[test]
    fn any_mutation_of_an_example(text in mutated_example()) {
        check(&text)?;
    }

    #[test]
    fn removing_undoes_adding(text in prop_oneof![mutated_example(), valid_text()], name in ".{1,9}") {
        let id = AgentId::parse("added").map_err(|error| TestCaseError::fail(error.to_string()))?;
        let settings = NewAgent { name: Some(name), ..NewAgent::default() };
        if let Ok(with) = add_agent(&text, &id, settings) {
            let without = remove_agent(&with, &id).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(parse(&without), parse(&text), "{}", without);
        }
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "agents.".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
    ] {
        assert!(parse(&text).is_err());
    }
}
