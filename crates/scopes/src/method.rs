//! The policy: one row per method, and what each requires of actor and grant.

use std::fmt;

mod table;

use crate::{Capability, GrantHolder, Scope, ScopeSet};

pub use table::*;

/// What the grant that a call rests on must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Requirement {
    /// Any live grant will do.
    Nothing,
    /// This scope, or one that implies it.
    Scope(Scope),
    /// This scope, and each that the call hands out or takes away.
    ScopeAndTouched(Scope),
    /// Each scope that the call hands out.
    Touched,
}

impl Requirement {
    /// Returns the scope that every call needs.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Nothing | Self::Touched => None,
            Self::Scope(scope) | Self::ScopeAndTouched(scope) => Some(scope),
        }
    }
}

/// What an internal actor must be capable of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActorRule {
    /// This capability; nobody else calls it.
    Capability(Capability),
    /// This capability; people, devices and tokens call it too, and their scopes judge.
    CapabilityOrScope(Capability),
    /// Internal actors never call this; only people, devices and tokens do.
    Never,
    /// Nobody at all calls this.
    Nobody,
}

/// One line of the policy: when it applies, and what it requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    /// On which targets; empty when on all.
    pub when: &'static str,
    /// What the grant must hold.
    pub requires: Requirement,
    /// What an internal actor must be capable of.
    pub actor: ActorRule,
    /// Whether programs with an API token may call it.
    pub tokens: Tokens,
}

/// Whether programs with an API token may call a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tokens {
    /// As anybody with the scopes.
    Allowed,
    /// Never: it hands out authority.
    Refused,
}

impl Case {
    const fn needs(scope: Scope) -> Self {
        Self { requires: Requirement::Scope(scope), ..OPEN }
    }

    const fn when(self, when: &'static str) -> Self {
        Self { when, ..self }
    }

    /// A case that only internal actors with `capability` meet.
    const fn internal(capability: Capability, requires: Requirement) -> Self {
        let actor = ActorRule::Capability(capability);
        Self { when: capability.name(), requires, actor, tokens: Tokens::Allowed }
    }

    /// A case that runs with `capability` meet, and everybody with the scope.
    const fn shared(capability: Capability, scope: Scope) -> Self {
        Self { actor: ActorRule::CapabilityOrScope(capability), ..Self::needs(scope) }
    }

    /// A case that hands out or takes away authority.
    const fn hands_out(requires: Requirement) -> Self {
        Self { requires, tokens: Tokens::Refused, ..OPEN }
    }
}

const OPEN: Case = Case {
    when: "",
    requires: Requirement::Nothing,
    actor: ActorRule::Never,
    tokens: Tokens::Allowed,
};
const READ: Case = Case::needs(Scope::Read);
const SESSIONS_READ: Case = Case::needs(Scope::SessionsRead);
const WRITE: Case = Case::needs(Scope::Write);
const ADMIN: Case = Case::needs(Scope::Admin);

/// How a method is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Surface {
    /// Not by itself: it decides who is told of an event that somebody watches for.
    Event,
    /// By anybody who reaches the network listener, at this gRPC path, before it is known who they
    /// are: the gateway's doorkeeper acts, and on nothing but the proof that is shown.
    Handshake(&'static str),
    /// By clients, at this gRPC path.
    Rpc(&'static str),
    /// By the gateway's own work only.
    Internal,
}

/// One method of the policy table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// The public name: what audit, errors, docs and `access explain` use.
    pub name: &'static str,
    /// How it is reached.
    pub surface: Surface,
    /// What it requires, by target.
    pub cases: &'static [Case],
    /// What it does.
    pub summary: &'static str,
}

impl Row {
    /// Returns the gRPC path; `None` for internal operations, and for events.
    pub const fn path(&self) -> Option<&'static str> {
        match self.surface {
            Surface::Handshake(path) | Surface::Rpc(path) => Some(path),
            Surface::Event | Surface::Internal => None,
        }
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: no other crate may add a method")]
    pub trait Sealed {}
}

/// A method of the policy table, as a type: what [`crate::Authorized`] is proof for.
pub trait Method: sealed::Sealed + Sized + Send + Sync + 'static {
    /// What it acts on, as far as the rules look at it.
    type Target: fmt::Debug + fmt::Display + Clone + Send + Sync + 'static;

    /// Its row of the table.
    const ROW: &'static Row;

    /// Returns the line of the policy that judges a call on `target` on behalf of `holder`.
    fn case(target: &Self::Target, holder: &GrantHolder) -> &'static Case;

    /// Returns the scopes that a call on `target` on behalf of `holder` hands out or takes away.
    fn touches(target: &Self::Target, holder: &GrantHolder) -> ScopeSet;
}

/// Returns the row of a method by its public name or its gRPC path.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().copied().find(|row| row.name == name || row.path() == Some(name))
}
