//! The lines of what is due some time, and of what leaves.

use super::{ADMIN, Case, Requirement, WRITE, WRITES};
use crate::target::{DeliveryTarget, DestinationTarget, JobTarget, Reach};
use crate::{Capability, GrantHolder, Scope};

/// A run manages the jobs of its own conversation, and the gateway looks that they are that.
pub(super) const OWN_JOB: Case = Case::shared(Capability::CronOwn, Scope::Write).when("own job");
pub(super) const OTHERS_JOB: Case = ADMIN.when("job of others");
/// What is due is done on behalf of whoever added it, and never with more than that one has by then.
pub(super) const FIRE: Case = Case::internal(Capability::CronFire, WRITES).when("agents");
/// What reaches programs, here or anywhere, needs admin, when it is asked for and when it is done.
pub(super) const FAR_JOB: Case = ADMIN.when("job with a webhook or command");
pub(super) const FIRE_FAR: Case =
    Case::internal(Capability::CronFire, Requirement::Scope(Scope::Admin))
        .when("webhook or command");
pub(super) const SEND: Case = WRITE.when("chat platform");
pub(super) const SEND_FAR: Case = ADMIN.when("webhook");

pub(super) const fn send_message(target: &DestinationTarget, _: &GrantHolder) -> &'static Case {
    match target.reach {
        Reach::Agents => &SEND,
        Reach::Programs => &SEND_FAR,
    }
}

pub(super) fn own_job(target: &JobTarget, holder: &GrantHolder) -> &'static Case {
    match (target.owner.as_ref() == Some(holder), target.reach) {
        (false, _) => &OTHERS_JOB,
        (true, Reach::Programs) => &FAR_JOB,
        (true, Reach::Agents) => &OWN_JOB,
    }
}

pub(super) const OWN_DELIVERY: Case = WRITE.when("own delivery");
pub(super) const OTHERS_DELIVERY: Case = ADMIN.when("delivery of others");

pub(super) fn own_delivery(target: &DeliveryTarget, holder: &GrantHolder) -> &'static Case {
    if target.owner.as_ref() == Some(holder) { &OWN_DELIVERY } else { &OTHERS_DELIVERY }
}

/// A job that is not there yet is its creator's.
pub(super) fn add_job(target: &JobTarget, holder: &GrantHolder) -> &'static Case {
    match (&target.owner, target.reach) {
        (None, Reach::Agents) => &OWN_JOB,
        (None, Reach::Programs) => &FAR_JOB,
        (Some(_), _) => own_job(target, holder),
    }
}

pub(super) const fn fire_case(target: &JobTarget, _: &GrantHolder) -> &'static Case {
    match target.reach {
        Reach::Agents => &FIRE,
        Reach::Programs => &FIRE_FAR,
    }
}

/// What the configuration says is kept by the scheduler itself, on behalf of nobody.
pub(super) const KEEP: Case = Case::internal(Capability::CronFire, Requirement::Nothing);

pub(super) fn keep_case<T>(_: &T, _: &GrantHolder) -> &'static Case {
    &KEEP
}
