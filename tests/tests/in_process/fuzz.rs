//! Parsers under a hail of bad texts: the corpus, and 10 000 seeded mutations of it each.
//!
//! A failure prints the seed and the text; `OPENCLAW_FUZZ_SEED` repeats a run.

mod mutate;

use std::panic::catch_unwind;
use std::path::Path;

use openclaw_scopes::AgentId;
use openclaw_store::AuditHead;

use mutate::Mutator;

/// Mutations of each target's corpus.
const MUTATIONS: usize = 10_000;

/// Holds `law` against every text of the target's corpus and against mutations of them.
fn fuzz(target: &str, law: fn(&str)) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(corpus.len() > 2, "the corpus of {target} is there");
    let seed = std::env::var("OPENCLAW_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_260_101);
    println!("{target}: seed {seed}");
    let hold = |text: &str, whence: &str| {
        if catch_unwind(|| law(text)).is_err() {
            panic!("{target}, {whence}, seed {seed}: the law does not hold for {text:?}");
        }
    };
    for (file, bytes) in files.iter().zip(&corpus) {
        hold(&String::from_utf8_lossy(bytes), &file.display().to_string());
    }
    let mut mutator = Mutator::new(seed, corpus);
    for number in 0..MUTATIONS {
        let bytes = mutator.next();
        hold(&String::from_utf8_lossy(&bytes), &format!("mutation {number}"));
    }
}

#[test]
fn session_keys() {
    fuzz("session-key", |text| {
        let agent = AgentId::parse("main").unwrap();
        let Ok(key) = openclaw_sessions::resolve_key(text, Some(&agent)) else { return };
        let again = openclaw_sessions::resolve_key(key.as_str(), None);
        assert_eq!(again.as_ref(), Ok(&key), "a canonical key is its own");
        let owner = openclaw_sessions::agent_of(&key).unwrap();
        assert!(key.as_str().starts_with(&format!("agent:{owner}:")));
        assert!(!key.as_str().chars().any(char::is_control) && key.as_str().len() <= 4096);
    });
}

#[test]
fn configurations() {
    fuzz("config", |text| match openclaw_config::parse(text) {
        Ok(config) => {
            let shown = openclaw_config::to_toml_redacted(&config);
            let again = openclaw_config::parse(&shown).unwrap();
            assert_eq!(
                openclaw_config::to_toml_redacted(&again),
                shown,
                "what is shown is in force"
            );
        }
        Err(errors) => {
            let lines = text.split('\n').count();
            assert!(errors.iter().next().is_some());
            for error in &errors {
                assert!((1..=lines).contains(&error.position.line), "{error}");
                assert!(error.position.column >= 1 && !error.to_string().is_empty());
            }
        }
    });
}

#[test]
fn audit_heads() {
    fuzz("audit-head", |text| {
        let Ok(head) = text.parse::<AuditHead>() else { return };
        let shown = head.to_string();
        assert_eq!(shown.parse(), Ok(head));
        assert!(shown.eq_ignore_ascii_case(text), "{text:?} is another spelling of {shown}");
    });
}

#[test]
fn offline_scripts() {
    fuzz("offline-script", |text| {
        if let Err(error) = openclaw_agents::OfflineScript::parse(text) {
            assert!((1..=text.split('\n').count()).contains(&error.line), "{error}");
            assert!(error.column >= 1 && !error.problem.is_empty(), "{error}");
        }
    });
}
