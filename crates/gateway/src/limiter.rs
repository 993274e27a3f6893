//! How often one may be wrong: failed credentials are counted, and too many lock for a while.
//!
//! The limit is no substitute for long secrets; it keeps guesses from costing work and from filling
//! the log. No address is exempt, that of this machine neither.

mod table;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_scopes::Timestamp;

use self::table::Table;
use crate::digest;
use crate::preauth::canonical;

/// Failures of one credential from one address that lock it (`access.md` §4.10).
const FAILURES: usize = 10;
/// Failures of one address over all its credentials that lock it, for a guess is a new credential
/// each time. Successes do not take these back: else one's own credential would buy guesses.
const FAILURES_OF_ADDRESS: usize = 10;
/// How long a failure counts (`access.md` §4.10).
const WINDOW: Duration = Duration::from_secs(60);
/// How long a lock holds (`access.md` §4.10).
const LOCK: Duration = Duration::from_secs(300);
/// Failures at one hook from one address that lock it there, and for how long (`access.md` §4.10): programs on the
/// network of a big platform share their addresses.
const FAILURES_OF_HOOK: usize = 20;
const LOCK_OF_HOOK: Duration = Duration::from_secs(60);
/// The most buckets that are kept (`access.md` §4.10).
const MAX_BUCKETS: usize = 10_000;

/// What kind of credential it is. The failures of one kind do not count for another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Class {
    /// A token of a program.
    ApiToken,
    /// The proof of a device that is known.
    Device,
    /// The token or signature of a hook, by the hook's name.
    Hook,
    /// An invitation.
    Invitation,
    /// The proof of a device that is not known.
    Stranger,
}

/// Too many failures: nothing is looked at before the time has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many failed credentials")]
pub(crate) struct Locked {
    /// How long it takes, five minutes at most.
    pub(crate) retry_after: Duration,
}

/// The failures of the last minute, and what they locked.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    table: Mutex<Table>,
}

impl Limiter {
    /// Decides whether a credential may be looked at.
    ///
    /// # Errors
    /// When it, or all of its class, is locked for the address.
    //= docs/threat-model.md#T30
    pub(crate) fn check(
        &self,
        class: Class,
        credential: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Locked> {
        let mut table = self.table();
        let now = table.at(now);
        let buckets = buckets(class, credential, address);
        let locks = buckets.filter_map(|(key, _)| table.locked(&key, now));
        locks.max().map_or(Ok(()), |retry_after| Err(Locked { retry_after }))
    }

    /// Counts a credential that was wrong, whatever was wrong with it.
    pub(crate) fn failed(&self, class: Class, credential: &str, address: IpAddr, now: Timestamp) {
        let mut table = self.table();
        let now = table.at(now);
        let lock = if class == Class::Hook { LOCK_OF_HOOK } else { LOCK };
        for (key, most) in buckets(class, credential, address) {
            table.fail(key, most, lock, now);
        }
    }

    /// Forgets the failures of a credential that was right, of nothing else.
    pub(crate) fn succeeded(&self, class: Class, credential: &str, address: IpAddr) {
        let (key, _) = own_bucket(class, credential, address);
        self.table().forget(&key);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What failures are counted for: a credential by its digest, so that no secret is kept and none is
/// long; or, without one, all of a class.
type Key = (Class, IpAddr, Option<[u8; 32]>);

/// The buckets of an attempt, that of the credential first, and how many failures lock each.
///
/// A device that is known counts by itself: a signature is not guessed, and a stranger behind the same
/// address must not lock it out. So does a hook: before all of them there may be one proxy.
fn buckets(
    class: Class,
    credential: &str,
    address: IpAddr,
) -> impl Iterator<Item = (Key, usize)> + Clone {
    let of_address = ((class, canonical(address), None), FAILURES_OF_ADDRESS);
    let counts_alone = matches!(class, Class::Device | Class::Hook);
    let of_address = (!counts_alone).then_some(of_address);
    std::iter::once(own_bucket(class, credential, address)).chain(of_address)
}

fn own_bucket(class: Class, credential: &str, address: IpAddr) -> (Key, usize) {
    let most = if class == Class::Hook { FAILURES_OF_HOOK } else { FAILURES };
    ((class, canonical(address), Some(digest::of(&[credential]))), most)
}

#[cfg(test)]
mod tests;
