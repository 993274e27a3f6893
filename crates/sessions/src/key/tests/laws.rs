//! The laws of session keys, over random texts.

use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};

use super::ops;
use crate::key::{KeyError, ParsedKey, agent_of, resolve_key};

/// Texts that are made of the words on which the grammar turns.
fn keys() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "agent",
        "Agent",
        "main",
        "MAIN",
        "work",
        "signal",
        "Signal",
        "group",
        "Group",
        "matrix",
        "Matrix",
        "channel",
        "thread",
        "THREAD",
        "heartbeat",
        "Heartbeat",
        "cron",
        "run",
        "subagent",
        "incognito-1",
        "direct",
        "AbC",
        "ΑΣ",
        "İ",
        "K",
        "",
        " ",
        "é",
        "x\u{1}",
    ]);
    prop::collection::vec(word, 0..9).prop_map(|words| words.join(":"))
}

fn texts() -> impl Strategy<Value = String> {
    proptest::prop_oneof![4 => keys(), 1 => any::<String>(), 1 => "(?i)agent:[a-zA-Z]{1,3}:\\PC*"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_canonical_key_resolves_to_itself(text in texts()) {
        if let Ok(key) = resolve_key(&text, Some(&ops())) {
            prop_assert_eq!(resolve_key(key.as_str(), None), Ok(key.clone()));
            prop_assert_eq!(resolve_key(&format!(" {key}\t"), Some(&ops())), Ok(key.clone()));
            let parsed = ParsedKey::of(&key).unwrap();
            prop_assert_eq!(
                key.as_str(),
                format!("agent:{}:{}", parsed.agent(), parsed.rest())
            );
            let _class = parsed.class();
            let _route = parsed.route();
            prop_assert!(key.as_str().len() <= 512);
        }
    }

    #[test]
    fn an_agent_head_is_kept_or_refused(text in texts()) {
        let scoped = format!("aGent:{text}");
        match resolve_key(&scoped, Some(&ops())) {
            Ok(key) => {
                let named = text.split(':').next().unwrap().to_lowercase();
                prop_assert_eq!(agent_of(&key).unwrap().to_string(), named);
            }
            Err(KeyError::AgentRequired { .. }) => prop_assert!(false, "{} has a head", scoped),
            Err(
                KeyError::MalformedAgent { .. }
                | KeyError::NoSession { .. }
                | KeyError::SessionStart { .. }
                | KeyError::Text(_),
            ) => {}
        }
    }

    #[test]
    fn a_bare_key_is_scoped_or_refused(text in texts()) {
        let trimmed = text.trim();
        if !trimmed.to_lowercase().starts_with("agent:") {
            prop_assert!(resolve_key(&text, None).is_err());
            if let Ok(key) = resolve_key(&text, Some(&ops())) {
                prop_assert_eq!(agent_of(&key), Ok(ops()));
            }
        }
    }

    #[test]
    fn only_opaque_ids_keep_their_case(text in "[a-zA-Z:]{1,40}", id in "[a-zA-Z0-9+/=]{1,20}") {
        if let Ok(key) = resolve_key(&text, Some(&ops())) {
            let lower = key.as_str().to_lowercase();
            let opaque = ["matrix:channel:", "matrix:group:", "signal:group:"];
            if !opaque.iter().any(|marker| lower.contains(marker)) {
                prop_assert_eq!(key.as_str(), lower);
                prop_assert_eq!(resolve_key(&text.to_uppercase(), Some(&ops())), Ok(key));
            }
        }
        let of = |text: String| resolve_key(&text, Some(&ops())).unwrap().to_string();
        prop_assert_eq!(of(format!("Signal:Group:{id}:THREAD:{id}")),
            format!("agent:ops:signal:group:{id}:thread:{}", id.to_lowercase()));
        prop_assert_eq!(of(format!("MATRIX:channel:!{id}:S.org:Thread:${id}")),
            format!("agent:ops:matrix:channel:!{id}:S.org:thread:${id}"));
    }
}
