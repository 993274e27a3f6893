//! The dependency rule: which package may name which, and which doors lead to third parties.

use super::{Report, Tree};
use crate::workspace::{Package, Workspace};

const LAYER: &str = "layer";
const DOOR: &str = "door";

/// What the domain crates share: nothing but the rules.
const RULES: &[&str] = &["openclaw-scopes"];

/// The domain crates, which know the rules and not each other.
const DOMAIN: &[&str] = &[
    "openclaw-config",
    "openclaw-pairing",
    "openclaw-plugins",
    "openclaw-scheduler",
    "openclaw-sessions",
];

/// The crates at the edge, which know the domain and not each other.
const EDGE: &[&str] =
    &["openclaw-agents", "openclaw-channels", "openclaw-plugin-host", "openclaw-store"];

/// A package and the lists that hold every workspace package it may name.
type Layer = (&'static str, &'static [&'static [&'static str]]);

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    ("openclaw-scopes",         &[]),
    ("openclaw-config",         &[RULES, &["openclaw-scheduler"]]),
    ("openclaw-pairing",        &[RULES]),
    ("openclaw-plugins",        &[RULES]),
    ("openclaw-scheduler",      &[RULES]),
    ("openclaw-sessions",       &[RULES]),
    ("openclaw-memory-core",    &[RULES, &["openclaw-plugins"]]),
    ("openclaw-proto",          &[RULES]),
    ("openclaw-agents",         &[RULES, DOMAIN]),
    ("openclaw-channels",       &[RULES, DOMAIN, &["openclaw-platforms"]]),
    ("openclaw-plugin-host",    &[RULES, DOMAIN]),
    ("openclaw-store",          &[RULES, DOMAIN]),
    ("openclaw-client",         &[RULES, &["openclaw-pairing", "openclaw-proto"]]),
    ("openclaw-gateway",        &[RULES, DOMAIN, EDGE, &["openclaw-memory-core", "openclaw-proto"]]),
    ("openclaw",                &[RULES, &["openclaw-client", "openclaw-proto"]]),
    ("openclaw-gateway-daemon", &[RULES, &["openclaw-agents", "openclaw-gateway"]]),
];

/// The packages that may name every other one.
const OUTSIDE: &[&str] = &["openclaw-bench", "openclaw-platforms", "openclaw-tests", "xtask"];

/// A third-party package and the only packages that may name it.
#[rustfmt::skip]
const DOORS: &[(&str, &[&str])] = &[
    ("anyhow",   &["openclaw", "openclaw-bench", "openclaw-gateway-daemon", "openclaw-tests", "xtask"]),
    ("clap",     &["openclaw", "openclaw-bench", "openclaw-gateway-daemon", "xtask"]),
    ("landlock", &["openclaw-agents"]),
    ("reqwest",  &["openclaw-agents", "openclaw-channels"]),
    ("rusqlite", &["openclaw-bench", "openclaw-store"]),
];

/// What no domain crate names, in its tests neither: they decide, the edge acts.
const EDGE_ONLY: &[&str] = &["reqwest", "rusqlite", "tokio", "tonic"];

pub(super) fn check(tree: &Tree, packages: &[Package], workspace: &Workspace, report: &mut Report) {
    for package in packages {
        let manifest = workspace.relative(&package.manifest_path).display().to_string();
        let line = |key: &str| tree.file(&manifest).map_or(1, |file| file.line_of_key(key));
        for (dependency, rule, message) in broken(package, packages) {
            report.problem((&manifest, line(&dependency)), rule, message);
        }
    }
}

/// The dependencies of `package` that break a rule.
fn broken(package: &Package, packages: &[Package]) -> Vec<(String, &'static str, String)> {
    let name = package.name.as_str();
    let mut broken = Vec::new();
    let mut found = |dependency: &str, rule, message| {
        broken.push((dependency.to_owned(), rule, message));
    };
    let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
    if layer.is_none() && !OUTSIDE.contains(&name) {
        found("name", LAYER, format!("`{name}` has no layer in xtask/src/tidy/layers.rs"));
    }
    let names_rules = package.dependencies.iter().any(|it| RULES.contains(&it.name.as_str()));
    if !names_rules && name != "xtask" && !RULES.contains(&name) {
        found("[dependencies]", LAYER, format!("`{name}` does not depend on openclaw-scopes"));
    }
    for dependency in &package.dependencies {
        let to = dependency.name.as_str();
        let is_ours = packages.iter().any(|package| package.name == to);
        if let Some((_, lists)) = layer
            && is_ours
            && !lists.iter().any(|list| list.contains(&to))
        {
            found(to, LAYER, format!("`{name}` may not depend on `{to}`"));
        }
        if let Some((_, doors)) = DOORS.iter().find(|(door, _)| *door == to)
            && !doors.contains(&name)
        {
            found(to, DOOR, format!("only {} may name `{to}`", doors.join(", ")));
        }
        if DOMAIN.contains(&name) && EDGE_ONLY.contains(&to) {
            found(to, DOOR, format!("a domain crate does not know `{to}`"));
        }
        let is_dev = dependency.kind.as_deref() == Some("dev");
        if RULES.contains(&name) && !is_dev && to != "thiserror" {
            found(to, DOOR, "scopes names nothing but thiserror".to_owned());
        }
    }
    broken
}

#[cfg(test)]
mod tests;
