//! The policy table as text: the golden matrix and `docs/policy.md`.

use std::fmt;

use crate::method::{ActorRule, Requirement, Row, Surface, TABLE};
use crate::{Scope, ScopeSet};

/// Returns the scopes that no row names yet: they are known, imply and grant, but guard nothing.
pub fn reserved() -> ScopeSet {
    let guards = |scope: Scope| {
        TABLE.iter().flat_map(|row| row.cases).any(|case| case.requires.scope() == Some(scope))
    };
    Scope::ALL.into_iter().filter(|scope| !guards(*scope)).fold(ScopeSet::EMPTY, ScopeSet::with)
}

/// Returns the policy as a Markdown page: method × scope, and what internal actors need.
pub fn render() -> String {
    Page.to_string()
}

struct Page;

impl fmt::Display for Page {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            page,
            "# Policy\n\nWritten by `cargo xtask policy` from the table in `crates/scopes`. A dot: \
             a grant of just this scope may call the method. Runs, plugins and parts of the \
             gateway are judged by capability *and* by the grant they act for.\n"
        )?;
        write!(page, "| method | on | requires | internal actors |")?;
        for scope in Scope::ALL {
            write!(page, " {} |", scope.name().trim_start_matches("operator."))?;
        }
        writeln!(page, "\n|---|---|---|---|{}", ":-:|".repeat(Scope::ALL.len()))?;
        for row in TABLE {
            write_row(page, row)?;
        }
        let reserved: Vec<_> = reserved().iter().map(|scope| format!("`{scope}`")).collect();
        writeln!(page, "\nReserved, guarding no method yet: {}.\n", reserved.join(", "))?;
        writeln!(page, "| method | path | does |\n|---|---|---|")?;
        for row in TABLE {
            let path = match row.surface {
                Surface::Event => "each event of `events.watch`".into(),
                Surface::Handshake(path) => format!("`{path}`, before authentication"),
                Surface::Rpc(path) => format!("`{path}`"),
                Surface::Internal => "internal".into(),
            };
            writeln!(page, "| `{}` | {path} | {} |", row.name, row.summary)?;
        }
        Ok(())
    }
}

fn write_row(page: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    for case in row.cases {
        let (requires, internal) = (requirement(case.requires), actor(case.actor));
        write!(page, "| `{}` | {} | {requires} | {internal} |", row.name, case.when)?;
        for scope in Scope::ALL {
            let allows =
                case.requires.scope().is_none_or(|needed| ScopeSet::from(scope).satisfies(needed));
            let is_open = matches!(case.actor, ActorRule::CapabilityOrScope(_) | ActorRule::Never);
            page.write_str(if allows && is_open { " • |" } else { " |" })?;
        }
        writeln!(page)?;
    }
    Ok(())
}

/// Returns a requirement in words.
pub fn requirement(requires: Requirement) -> String {
    match requires {
        Requirement::Nothing => "any live grant".into(),
        Requirement::Scope(scope) => scope.name().into(),
        Requirement::ScopeAndTouched(scope) => {
            format!("{scope} and every scope granted or touched")
        }
        Requirement::Touched => "every scope granted".into(),
    }
}

fn actor(actor: ActorRule) -> &'static str {
    match actor {
        ActorRule::Capability(capability) | ActorRule::CapabilityOrScope(capability) => {
            capability.name()
        }
        ActorRule::Never => "never",
        ActorRule::Nobody => "nobody",
    }
}
