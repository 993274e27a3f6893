//! The one decision point, and the witness that only it can make.

use std::fmt;

use crate::method::{ActorRule, Case, Method, Requirement, Tokens};
use crate::{Caller, Capability, Epoch, GrantHolder, Principal, ScopeSet};

/// Proof that a caller may call `M` on one particular target.
///
/// Only [`authorize`] makes these. It carries the target that was checked, so an operation cannot
/// be authorized on one thing and performed on another; and it can be spent only once.
///
/// ```compile_fail,E0451
/// # use openclaw_scopes::{Authorized, Caller, method::CreateSession, target::SessionTarget};
/// # fn f(caller: Caller, target: SessionTarget) {
/// let forged: Authorized<CreateSession> = Authorized { caller, target };
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use openclaw_scopes::{Authorized, method::{CreateAgent, DeleteAgent}};
/// fn delete(_: Authorized<DeleteAgent>) {}
/// fn mixed_up(create: Authorized<CreateAgent>) { delete(create) }
/// ```
///
/// ```compile_fail,E0382
/// # use openclaw_scopes::{Authorized, method::CreateSession};
/// fn twice(witness: Authorized<CreateSession>) {
///     let _first = witness.into_parts();
///     let _second = witness.into_parts();
/// }
/// ```
#[must_use = "an authorization that is not passed on protects nothing"]
pub struct Authorized<M: Method> {
    caller: Caller,
    target: M::Target,
}

impl<M: Method> Authorized<M> {
    /// Spends the authorization: returns who may act, and on what.
    pub fn into_parts(self) -> (Caller, M::Target) {
        (self.caller, self.target)
    }

    /// Returns on whose behalf.
    pub const fn on_behalf_of(&self) -> &GrantHolder {
        self.caller.on_behalf_of()
    }

    /// Returns what was checked.
    pub const fn target(&self) -> &M::Target {
        &self.target
    }
}

impl<M: Method> fmt::Debug for Authorized<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorized<{}>({} on {})", M::ROW.name, self.caller.actor(), self.target)
    }
}

/// Why a call was refused.
///
/// Not `#[non_exhaustive]`: a new reason must break every match until it is considered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Denial {
    /// The grant that the work rests on was withdrawn.
    #[error("the grant has ended")]
    GrantEnded,
    /// The grant that the work rests on was replaced by another one.
    #[error("the grant was replaced")]
    GrantReplaced,
    /// The method is not for internal actors at all.
    #[error("not for internal work")]
    Internal,
    /// The actor is not capable of it.
    #[error("missing capability: {0}")]
    MissingCapability(Capability),
    /// The grant lacks these scopes. The words are the reference's.
    #[error("missing scope: {0}")]
    MissingScope(ScopeSet),
    /// Only the gateway's own work, with this capability, may call it.
    #[error("only for internal work capable of {0}")]
    OnlyInternal(Capability),
    /// An API token neither pairs nor hands out authority.
    #[error("an API token can neither pair nor hand out authority")]
    TokenMayNot,
    /// The grant lacks these scopes of those that would be handed out or taken away.
    #[error("missing scope: {0}")]
    TooNarrow(ScopeSet),
}

impl Denial {
    /// Returns the smallest grant that would remove this reason; empty when no scope would.
    pub fn smallest_grant(self) -> ScopeSet {
        match self {
            Self::MissingScope(scopes) | Self::TooNarrow(scopes) => scopes.reduced(),
            Self::GrantEnded
            | Self::GrantReplaced
            | Self::Internal
            | Self::MissingCapability(_)
            | Self::OnlyInternal(_)
            | Self::TokenMayNot => ScopeSet::EMPTY,
        }
    }
}

/// Decides whether `caller` may call `M` on `target`.
///
/// `live` is the current epoch of the caller's grant, read where the effect will happen; `None`
/// when there is no such grant any more. The answer holds for this instant only.
///
/// # Errors
/// When the grant has ended, the actor is not capable of it, or the grant lacks a scope.
pub fn authorize<M: Method>(
    caller: &Caller,
    target: M::Target,
    live: Option<Epoch>,
) -> Result<Authorized<M>, Denial> {
    //= docs/threat-model.md#T17
    match live {
        None => return Err(Denial::GrantEnded),
        Some(epoch) if epoch != caller.grant().epoch() => return Err(Denial::GrantReplaced),
        Some(_) => {}
    }
    let holder = caller.on_behalf_of();
    judge(caller, M::case(&target, holder), M::touches(&target, holder))?;
    Ok(Authorized { caller: caller.clone(), target })
}

/// Judges a live caller by one line of the policy: actor, then grant; each must allow. `touched` are
/// the scopes that the call hands out or takes away.
//= docs/threat-model.md#T16
pub(crate) fn judge(caller: &Caller, case: &Case, touched: ScopeSet) -> Result<(), Denial> {
    match (caller.capabilities(), case.actor) {
        (_, ActorRule::Nobody) | (Some(_), ActorRule::Never) => return Err(Denial::Internal),
        (Some(held), ActorRule::Capability(needed) | ActorRule::CapabilityOrScope(needed))
            if !held.contains(needed) =>
        {
            return Err(Denial::MissingCapability(needed));
        }
        (Some(_), ActorRule::Capability(_) | ActorRule::CapabilityOrScope(_))
        | (None, ActorRule::CapabilityOrScope(_) | ActorRule::Never) => {}
        (None, ActorRule::Capability(needed)) => return Err(Denial::OnlyInternal(needed)),
    }
    //= docs/threat-model.md#T34
    if case.tokens == Tokens::Refused && matches!(caller.actor(), Principal::Token { .. }) {
        return Err(Denial::TokenMayNot);
    }
    let held = caller.grant().scopes();
    let (scope, touched) = match case.requires {
        Requirement::Nothing => (ScopeSet::EMPTY, ScopeSet::EMPTY),
        Requirement::Scope(scope) => (scope.into(), ScopeSet::EMPTY),
        Requirement::ScopeAndTouched(scope) => (scope.into(), touched),
        Requirement::Touched => (ScopeSet::EMPTY, touched),
    };
    if scope.union(touched).iter().all(|scope| held.satisfies(scope)) {
        return Ok(());
    }
    let lacks = |needed: ScopeSet| {
        let lacking = needed.reduced().iter().filter(|scope| !held.satisfies(*scope));
        lacking.fold(ScopeSet::EMPTY, ScopeSet::with)
    };
    match (lacks(scope), lacks(scope.union(touched))) {
        (scope, all) if scope.is_empty() => Err(Denial::TooNarrow(all)),
        (scope, all) => Err(Denial::MissingScope(scope.union(all))),
    }
}
