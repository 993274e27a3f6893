//! The one budget of all connections that have not yet shown who they are.
//!
//! An address that floods pushes out its own; many that flood together are told to go in the order in
//! which they came. So a newcomer always gets in, paired devices among them, and what it takes to
//! shut them out is to be faster than their handshake, over and over.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections in all. Each holds a socket, a task and at most what it may send ([`BYTES`]), so some
/// 16 MiB together; and at a round trip of 100 ms a handshake is over before 256 others could push it
/// out, unless they come at a rate of a thousand in a second.
const CONNECTIONS: usize = 256;
/// Connections of one address: what the reference allows (`access.md` §4.5), and plenty for the
/// devices behind one router, for all that were authenticated no longer count.
const PER_ADDRESS: usize = 32;
/// Bytes that a connection may send: what the reference allows a frame (`access.md` §4.5). A
/// handshake, a challenge and a claim take a few KiB.
const BYTES: u64 = 64 * 1024;
/// How long the TLS handshake may take: two round trips, with room for a lost packet or two.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long it may take after that until the connection is authenticated (`access.md` §4.5).
const AUTHENTICATION: Duration = Duration::from_secs(15);

/// What connections may use before they are authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    /// Connections in all.
    pub(crate) connections: usize,
    /// Connections of one address.
    pub(crate) per_address: usize,
    /// Bytes that one connection may send.
    pub(crate) bytes: u64,
    /// How long the TLS handshake may take.
    pub(crate) handshake: Duration,
    /// How long it may take after that until the connection is authenticated.
    pub(crate) authentication: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            per_address: PER_ADDRESS,
            bytes: BYTES,
            handshake: HANDSHAKE,
            authentication: AUTHENTICATION,
        }
    }
}

/// The connections that have not yet shown who they are.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    limits: Limits,
    waiting: Arc<Mutex<Waiting>>,
}

impl Budget {
    /// A budget of which nothing is used.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, waiting: Arc::default() }
    }

    /// Returns what connections may use.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Gives a connection from `address` a place. When the address's share is used up, its oldest
    /// connection is told to go; when all places are taken, that of the address that has most.
    //= docs/threat-model.md#T33
    pub(crate) fn enter(&self, address: IpAddr) -> Place {
        let address = canonical(address);
        let gone = CancellationToken::new();
        let mut waiting = lock(&self.waiting);
        let crowded_out = if waiting.of(address) >= self.limits.per_address {
            waiting.evict_of(address)
        } else if waiting.count >= self.limits.connections {
            waiting.evict()
        } else {
            None
        };
        let number = waiting.add(address, gone.clone());
        drop(waiting);
        if let Some(crowded_out) = crowded_out {
            crowded_out.cancel();
        }
        let left = AtomicU64::new(self.limits.bytes);
        let waiting = Arc::clone(&self.waiting);
        Place { address, gone, left, number, waiting }
    }

    /// Returns how many connections have a place.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        lock(&self.waiting).count
    }
}

/// One connection's place in the budget, until it is dropped or settled.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    gone: CancellationToken,
    left: AtomicU64,
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
}

/// The connection has sent more than may be sent before authentication.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many bytes before authentication")]
pub(crate) struct Exhausted;

impl Place {
    /// Counts bytes that the connection sent. Once it is settled they no longer count.
    ///
    /// # Errors
    /// When they are more than are left.
    //= docs/threat-model.md#T33
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let spend = |left: u64| match left {
            u64::MAX => Some(u64::MAX),
            left => left.checked_sub(bytes),
        };
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        spent.map(|_left| ()).map_err(|_left| Exhausted)
    }

    /// Frees the place: the connection is authenticated, and other bounds hold for it.
    pub(crate) fn settle(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
        lock(&self.waiting).remove(self.address, self.number);
    }

    /// Ends when another connection needs the place: then this one has to go. A place that was
    /// settled before is nobody's, and this never ends.
    pub(crate) fn cancelled(&self) -> WaitForCancellationFutureOwned {
        self.gone.clone().cancelled_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).remove(self.address, self.number);
    }
}

/// Who waits, by address, and there in the order of their coming. No address is without a connection.
#[derive(Debug, Default)]
struct Waiting {
    by_address: BTreeMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    count: usize,
    next: u64,
}

impl Waiting {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeMap::len)
    }

    fn add(&mut self, address: IpAddr, gone: CancellationToken) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.by_address.entry(address).or_default().insert(number, gone);
        self.count = self.count.saturating_add(1);
        number
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<CancellationToken> {
        let connections = self.by_address.get_mut(&address)?;
        let gone = connections.remove(&number)?;
        if connections.is_empty() {
            self.by_address.remove(&address);
        }
        self.count = self.count.saturating_sub(1);
        Some(gone)
    }

    /// Takes its place from the oldest connection of an address.
    fn evict_of(&mut self, address: IpAddr) -> Option<CancellationToken> {
        let (number, _) = self.by_address.get(&address)?.first_key_value()?;
        self.remove(address, *number)
    }

    /// Takes its place from the oldest connection of the address with most; among addresses with as
    /// many, from the oldest of all. It looks at every address, which are as many as places at most.
    fn evict(&mut self) -> Option<CancellationToken> {
        let oldest = |(address, connections): (&IpAddr, &BTreeMap<u64, CancellationToken>)| {
            let first = connections.first_key_value()?;
            Some((connections.len(), std::cmp::Reverse(*first.0), *address))
        };
        let (_, std::cmp::Reverse(number), address) =
            self.by_address.iter().filter_map(oldest).max()?;
        self.remove(address, number)
    }
}

/// Locks what no panic can leave half done: every step of it is one call that does not panic.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what counts as one address: IPv4 however it is written, and of IPv6 the network of 64 bits
/// that one customer is given.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
    }
}

#[cfg(test)]
mod tests;
