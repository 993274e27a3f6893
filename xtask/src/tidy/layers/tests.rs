//! Edges that the dependency rule allows and edges that it does not.

use super::{DOOR, LAYER, LAYERS, broken};
use crate::workspace::{Dependency, Package};

fn package(name: &str, dependencies: &[&str]) -> Package {
    let dependency = |name: &&str| match name.strip_prefix("dev:") {
        Some(name) => Dependency { kind: Some("dev".to_owned()), name: name.to_owned() },
        None => Dependency { kind: None, name: (*name).to_owned() },
    };
    Package {
        dependencies: dependencies.iter().map(dependency).collect(),
        manifest_path: "Cargo.toml".into(),
        name: name.to_owned(),
    }
}

#[track_caller]
fn check(name: &str, to: &str, expected: &[&str]) {
    let all = LAYERS.iter().map(|(name, _)| package(name, &[])).collect::<Vec<_>>();
    let rules = if name == "openclaw-scopes" || to == "openclaw-scopes" {
        &[][..]
    } else {
        &["openclaw-scopes"]
    };
    let dependencies = [rules, &[to]].concat();
    let found = broken(&package(name, &dependencies), &all);
    let found = found.iter().map(|(_, rule, _)| *rule).collect::<Vec<_>>();
    assert_eq!(found, expected, "{name} -> {to}");
}

#[test]
#[rustfmt::skip]
fn edges() {
    check("openclaw-gateway",        "openclaw-store",      &[]);
    check("openclaw-gateway",        "openclaw-sessions",   &[]);
    check("openclaw-gateway",        "openclaw-client",     &[LAYER]);
    check("openclaw-gateway",        "dev:openclaw-client", &[LAYER]);
    check("openclaw-store",          "openclaw-sessions",   &[]);
    check("openclaw-store",          "openclaw-agents",     &[LAYER]);
    check("openclaw-store",          "openclaw-proto",      &[LAYER]);
    check("openclaw-sessions",       "openclaw-config",     &[LAYER]);
    check("openclaw-scopes",         "openclaw-sessions",   &[LAYER, DOOR]);
    check("openclaw-client",         "openclaw-pairing",    &[]);
    check("openclaw-client",         "openclaw-sessions",   &[LAYER]);
    check("openclaw",                "openclaw-client",     &[]);
    check("openclaw",                "openclaw-store",      &[LAYER]);
    check("openclaw-gateway-daemon", "openclaw-agents",     &[]);
    check("openclaw-gateway-daemon", "openclaw-store",      &[LAYER]);
    check("openclaw-tests",          "openclaw-store",      &[]);
    check("openclaw-surprise",       "openclaw-scopes",     &[LAYER]);
}

#[test]
#[rustfmt::skip]
fn doors() {
    check("openclaw-store",    "rusqlite",     &[]);
    check("openclaw-gateway",  "rusqlite",     &[DOOR]);
    check("openclaw-tests",    "rusqlite",     &[DOOR]);
    check("openclaw",          "anyhow",       &[]);
    check("openclaw-gateway",  "anyhow",       &[DOOR]);
    check("openclaw-agents",   "reqwest",      &[]);
    check("openclaw-client",   "clap",         &[DOOR]);
    check("openclaw-sessions", "dev:tokio",    &[DOOR]);
    check("openclaw-agents",   "tokio",        &[]);
    check("openclaw-scopes",   "thiserror",    &[]);
    check("openclaw-scopes",   "dev:proptest", &[]);
    check("openclaw-scopes",   "serde",        &[DOOR]);
}

#[test]
fn every_package_but_xtask_knows_the_rules() {
    let lacking = |name| broken(&package(name, &[]), &[]).len();
    assert_eq!([lacking("openclaw-proto"), lacking("openclaw-tests")], [1, 1]);
    assert_eq!([lacking("xtask"), lacking("openclaw-scopes")], [0, 0]);
}
