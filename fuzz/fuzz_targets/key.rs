//! Whatever names a session: no panic, one canonical form, and no way into another agent's sessions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_scopes::AgentId;
use openclaw_sessions::{ParsedKey, agent_of, resolve_key};

fuzz_target!(|text: &str| {
    let Ok(agent) = AgentId::parse("main") else { return };
    let scoped = resolve_key(text, Some(&agent));
    if let Ok(key) = resolve_key(text, None) {
        assert_eq!(scoped.as_ref(), Ok(&key), "an agent that is named is kept");
    }
    let Ok(key) = scoped else { return };
    assert_eq!(resolve_key(key.as_str(), None).as_ref(), Ok(&key), "canonical is canonical");
    let head = text.trim().get(..6);
    let names_agent = head.is_some_and(|head| head.eq_ignore_ascii_case("agent:"));
    assert!(names_agent || agent_of(&key) == Ok(agent), "only a key that names an agent leaves it");
    let parsed = ParsedKey::of(&key).expect("a canonical key has its parts");
    assert_eq!(format!("agent:{}:{}", parsed.agent(), parsed.rest()), key.as_str());
    let _parts = (parsed.class(), parsed.is_main(), parsed.is_cron_run(), parsed.is_incognito());
    let _more = (parsed.subagent_depth(), parsed.heartbeat_base(), parsed.split_thread());
    let _route = (parsed.chat_type(), parsed.route());
});
