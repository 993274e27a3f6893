//! The lines of what happens: who is told of it.

use super::{ActorRule, Case, OPEN, READ, Requirement, SESSIONS_READ, Tokens};
use crate::target::EventTarget;
use crate::{DeviceRole, GrantHolder, Scope};

/// Whoever has a grant may watch; what is seen is up to the other lines. A run never does.
pub(super) const WATCH: Case = OPEN;

pub(super) fn watch<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &WATCH
}

/// A node is told when it comes and goes itself, and nothing else.
pub(super) const NODE: Case = Case {
    when: "for a node",
    requires: Requirement::Nothing,
    actor: ActorRule::Nobody,
    tokens: Tokens::Refused,
};

pub(super) const OWN_RUNS: Case = OPEN.when("own run");
pub(super) const OTHERS_RUNS: Case = READ.when("run of others");
pub(super) const ALL_SESSIONS: Case = SESSIONS_READ.when("any session");
pub(super) const OWN_CRON: Case = OPEN.when("own job");
pub(super) const OTHERS_CRON: Case = READ.when("job of others");
pub(super) const OWN_DELIVERIES: Case = OPEN.when("own delivery");
pub(super) const OTHERS_DELIVERIES: Case = READ.when("delivery of others");
pub(super) const OWN_PAIRING: Case = Case::hands_out(Requirement::Nothing).when("own device");
/// As the list of those requests.
pub(super) const ALL_PAIRING: Case =
    Case::hands_out(Requirement::Scope(Scope::Pairing)).when("other devices and people");
pub(super) const ANY_APPROVALS: Case = Case::needs(Scope::Approvals).when("any approval");
pub(super) const OWN_PRESENCE: Case = OPEN.when("own device");
pub(super) const ALL_PRESENCE: Case = READ.when("other devices");
pub(super) const NODE_PRESENCE: Case = NODE.when("other devices, for a node");

pub(super) fn runs_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &OWN_RUNS, &OTHERS_RUNS)
}

pub(super) fn sessions_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &ALL_SESSIONS, &ALL_SESSIONS)
}

pub(super) fn cron_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &OWN_CRON, &OTHERS_CRON)
}

pub(super) fn deliveries_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &OWN_DELIVERIES, &OTHERS_DELIVERIES)
}

pub(super) fn pairing_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &OWN_PAIRING, &ALL_PAIRING)
}

pub(super) fn approvals_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    by_owner(target, holder, &ANY_APPROVALS, &ANY_APPROVALS)
}

pub(super) fn presence_seen(target: &EventTarget, holder: &GrantHolder) -> &'static Case {
    match (is_own(target, holder), target.role) {
        (true, DeviceRole::Node | DeviceRole::Operator) => &OWN_PRESENCE,
        (false, DeviceRole::Node) => &NODE_PRESENCE,
        (false, DeviceRole::Operator) => &ALL_PRESENCE,
    }
}

/// What rests on nobody's grant is nobody's own.
fn is_own(target: &EventTarget, holder: &GrantHolder) -> bool {
    target.owner.as_ref() == Some(holder)
}

/// Nobody but a node is judged by what is its own: that a node shares its key with an operator does not
/// make it one.
fn by_owner(
    target: &EventTarget,
    holder: &GrantHolder,
    own: &'static Case,
    others: &'static Case,
) -> &'static Case {
    match (target.role, is_own(target, holder)) {
        (DeviceRole::Node, _) => &NODE,
        (DeviceRole::Operator, true) => own,
        (DeviceRole::Operator, false) => others,
    }
}
