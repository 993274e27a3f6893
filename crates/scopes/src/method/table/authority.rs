//! The lines of authority that is handed out, changed or withdrawn.

use super::{Case, Requirement};
use crate::target::{Authority, Listed, PersonTarget};
use crate::{Capability, GrantHolder, Scope, ScopeSet, Standing};

pub(super) const ADMIT: Case = Case::internal(Capability::DevicesAdmit, Requirement::Nothing);
/// Any device may ask for more, or for a new token: neither hands out anything by itself.
pub(super) const DEVICE: Case = Case::hands_out(Requirement::Nothing);
pub(super) const OWN_LIST: Case = Case::hands_out(Requirement::Nothing).when("own device");
pub(super) const LIST: Case =
    Case::hands_out(Requirement::Scope(Scope::Pairing)).when("all devices");
pub(super) const LIST_HANDED_OUT: Case = Case::hands_out(Requirement::Scope(Scope::Pairing));
/// Whoever manages others must hold what is handed out or taken away (`access.md` §5.6, §5.8).
pub(super) const MANAGE: Case = Case::hands_out(Requirement::ScopeAndTouched(Scope::Pairing));
pub(super) const OWN_DEVICE: Case = Case::hands_out(Requirement::Touched).when("own device");
pub(super) const ADMIN_HANDS_OUT: Case = Case::hands_out(Requirement::Scope(Scope::Admin));

pub(super) fn admit<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &ADMIT
}

pub(super) fn device<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &DEVICE
}

pub(super) fn manage<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &MANAGE
}

pub(super) fn list_handed_out<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &LIST_HANDED_OUT
}

pub(super) fn admin_hands_out<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &ADMIN_HANDS_OUT
}

pub(super) const fn list_case(listed: &Listed, _: &GrantHolder) -> &'static Case {
    match listed {
        Listed::All => &LIST,
        Listed::Own => &OWN_LIST,
    }
}

/// A device manages itself without `operator.pairing`; nobody else is exempt.
pub(super) fn own_or_manage(target: &Authority, holder: &GrantHolder) -> &'static Case {
    if is_own(target, holder) { &OWN_DEVICE } else { &MANAGE }
}

fn is_own(target: &Authority, holder: &GrantHolder) -> bool {
    matches!(holder, GrantHolder::Device(_)) && target.holder.as_ref() == Some(holder)
}

pub(super) fn both(target: &Authority, _: &GrantHolder) -> ScopeSet {
    target.held.union(target.granted)
}

pub(super) const fn granted(target: &Authority, _: &GrantHolder) -> ScopeSet {
    target.granted
}

/// What others hold is touched by a change; one's own may always be given up.
pub(super) fn of_others(target: &Authority, holder: &GrantHolder) -> ScopeSet {
    if is_own(target, holder) { target.granted } else { both(target, holder) }
}

/// Whoever makes an owner of somebody changes the configuration, too; admin has all that is handed out.
pub(super) const MAKE_OWNER: Case = ADMIN_HANDS_OUT.when("as an owner");

pub(super) const fn approve_person(target: &PersonTarget, _: &GrantHolder) -> &'static Case {
    match target.standing {
        Standing::Guest => &MANAGE,
        Standing::Owner => &MAKE_OWNER,
    }
}

pub(super) fn both_of_person(target: &PersonTarget, holder: &GrantHolder) -> ScopeSet {
    both(&target.authority, holder)
}
