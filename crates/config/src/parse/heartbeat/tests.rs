//! Who looks around, and what of it is a mistake.

use std::time::Duration;

use crate::{HeartbeatTarget, parse, to_toml_redacted};

/// The agents that look around, and how often.
fn look(text: &str) -> Vec<(String, u64)> {
    let config = parse(text).unwrap();
    let rows = config.agents().filter_map(|agent| {
        let heartbeat = agent.heartbeat.as_ref()?;
        Some((agent.id.to_string(), heartbeat.every.as_secs() / 60))
    });
    let rows: Vec<_> = rows.collect();
    // What is shown is the same configuration.
    assert_eq!(parse(&to_toml_redacted(&config)).unwrap(), config, "{text}");
    rows
}

#[test]
fn nobody_looks_unless_it_is_said() {
    let row = |agent: &str, minutes| (agent.to_owned(), minutes);
    let cases: [(&str, Vec<(String, u64)>); 7] = [
        ("", vec![]),
        ("[agents.defaults.heartbeat]", vec![row("main", 30)]),
        ("[agents.defaults]\nheartbeat = { every = '0m' }", vec![]),
        (
            "[agents.defaults.heartbeat]\n[agents.entries.ops]",
            vec![row("main", 30), row("ops", 30)],
        ),
        // If one has its own words, only those look that have.
        (
            "[agents.defaults]\nheartbeat.every = '2h'\n[agents.entries.ops.heartbeat]",
            vec![row("ops", 120)],
        ),
        ("[agents.defaults.heartbeat]\n[agents.entries.ops]\nheartbeat = { every = '0m' }", vec![]),
        ("[agents.entries.ops]\nheartbeat = { every = '1h' }", vec![row("ops", 60)]),
    ];
    for (text, expected) in cases {
        assert_eq!(look(text), expected, "{text}");
    }
}

#[test]
fn an_entry_says_what_is_different() {
    let text = "[agents.defaults.heartbeat]\nprompt = 'Look.'\ntimeoutSeconds = 60\nbudget = 5000\n\
        activeHours = { start = '08:00', end = '22:00', timezone = 'Europe/Berlin' }\n\
        [agents.entries.ops.heartbeat]\ntarget = 'telegram'\nto = '42'\nlightContext = true\n\
        tools = ['list_dir']\nbudget = 0";
    assert_eq!(look(text).len(), 1);
    let config = parse(text).unwrap();
    let ops = config.agents().find(|agent| agent.id.as_str() == "ops").unwrap();
    let heartbeat = ops.heartbeat.as_ref().unwrap();
    assert_eq!((&*heartbeat.prompt, heartbeat.timeout), ("Look.", Some(Duration::from_secs(60))));
    assert_eq!((heartbeat.budget, heartbeat.light_context), (None, true));
    assert_eq!(heartbeat.active.as_ref().unwrap().zone().name(), "Europe/Berlin");
    assert_eq!(heartbeat.tools.len(), 1);
    let to = HeartbeatTarget::Chat { channel: "telegram".into(), to: "42".into() };
    assert_eq!(heartbeat.target, to);
}

#[test]
fn mistakes_are_told() {
    for (line, expected) in [
        ("every = '1'", "a duration is a whole number"),
        ("every = 30", "must be"),
        ("prompt = ' '", "text of 1 to 16384 bytes"),
        ("model = 'none/none'", "none"),
        ("target = 'irc'", "must be one of `owner`, `none`"),
        ("target = 'telegram'", "to"),
        ("to = '42'\ntarget = 'owner'", "absent unless `target` is a channel"),
        ("activeHours = { start = '08:00' }", "end"),
        ("activeHours = { start = '08:00', end = '08:00' }", "two different times"),
        (
            "activeHours = { start = '8', end = '22:00', timezone = 'Nowhere' }",
            "two different times",
        ),
        ("timeoutSeconds = 0", "1"),
        ("tools = ['nothing']", "nothing"),
        ("isolated_session = true", "isolatedSession"),
    ] {
        let text = format!("[agents.defaults.heartbeat]\n{line}\n");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}
