//! What the policy says of a call, worked out anew from the lines of its table.

use openclaw_scopes::ScopeSet;
use openclaw_scopes::method::{ActorRule, Case, Requirement, Row, Surface, TABLE};

/// Every line of the policy that clients can reach.
pub(super) fn lines() -> impl Iterator<Item = (&'static Row, &'static Case)> {
    let rows = TABLE.iter().filter(|row| matches!(row.surface, Surface::Rpc(_)));
    let lines = rows.flat_map(|row| row.cases.iter().map(move |case| (*row, case)));
    // What the gateway does itself on a method of clients, no client can do.
    lines.filter(|(_, case)| !matches!(case.actor, ActorRule::Capability(_)))
}

/// Tells whether a line is about what is one's own: others have nothing there that is theirs.
pub(super) fn is_of_owners(case: &Case) -> bool {
    matches!(
        case.when,
        "job with a webhook or command"
            | "own delivery"
            | "own job"
            | "own run"
            | "own session"
            | "sub-agent of own session"
    )
}

/// Tells whether a call that may be made finds nothing to do on what is there.
pub(super) fn is_idle(row: &Row) -> bool {
    matches!(
        row.name,
        "cron.cancel"
            | "delivery.retry"
            | "sessions.compact"
            | "subagents.discard"
            | "subagents.retry"
    )
}

/// Tells whether it is made on something that is not there: commands to be approved are asked for by runs.
pub(super) fn is_absent(row: &Row) -> bool {
    matches!(
        row.name,
        "approvals.approve"
            | "approvals.deny"
            | "approvals.revoke"
            | "channels.pairing.approve"
            | "channels.pairing.remove"
            | "system.event.get"
    )
}

/// Tells whether it makes what is there already: there is one channel for each platform.
pub(super) fn is_there(row: &Row) -> bool {
    row.name == "channels.add"
}

/// Tells whether only a device can meet a line: others are no device, or ask about another one.
pub(super) fn is_of_devices(row: &Row, case: &Case) -> bool {
    const OWN: [&str; 3] =
        ["device.renew", "device.scopes.requestUpgrade", "device.scopes.waitUpgrade"];
    case.when == "own device" || OWN.contains(&row.name)
}

/// What is told of scopes that are lacking: the reason and the scopes.
pub(super) type Lacking = (&'static str, ScopeSet);

/// What somebody who holds these scopes lacks for a line on which a call touches others; `None` when
/// the line lets them pass.
pub(super) fn lacks(held: ScopeSet, case: &Case, touched: ScopeSet) -> Option<Lacking> {
    let (needed, touched) = match case.requires {
        Requirement::Nothing => (ScopeSet::EMPTY, ScopeSet::EMPTY),
        Requirement::Scope(scope) => (scope.into(), ScopeSet::EMPTY),
        Requirement::ScopeAndTouched(scope) => (scope.into(), touched),
        Requirement::Touched => (ScopeSet::EMPTY, touched),
    };
    let missing = |needed: ScopeSet| {
        let missing = needed.iter().filter(|scope| !held.closed().contains(*scope));
        missing.fold(ScopeSet::EMPTY, ScopeSet::with)
    };
    let (first, all) = (missing(needed), missing(needed.union(touched)));
    let reason = if first.is_empty() { "APPROVER_TOO_NARROW" } else { "MISSING_SCOPE" };
    (!all.is_empty()).then_some((reason, all))
}
