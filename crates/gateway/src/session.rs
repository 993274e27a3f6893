//! One connection over the network: its challenge, and the access tokens that are good on it alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_pairing::{Bearer, BearerKind, HashKey, Hashed, Nonce};
use openclaw_scopes::{Caller, DeviceId, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::preauth::Place;
use crate::presence::{Attendance, Present};
use crate::registry::Ending;

/// How long an access token is good. Its end stops no work: the device asks for another one.
pub(crate) const TOKEN_TIME: Duration = Duration::from_secs(3600);
/// How long a challenge is good: as long as a claim's time may be off.
const NONCE_TIME: Duration = openclaw_pairing::SKEW;
/// Tokens of one connection at most: the one in use, and the one that takes its place. The oldest goes.
const MAX_TOKENS: usize = 2;

/// One connection over the network.
#[derive(Debug)]
pub(crate) struct Session {
    address: SocketAddr,
    /// What both ends of this TLS connection know and nobody else (RFC 9266).
    binding: [u8; 32],
    closing: CancellationToken,
    nonce: Mutex<Option<(Nonce, Timestamp)>>,
    /// Its place before it is known who is there, and then the one among those that are known.
    place: Mutex<Placed>,
    /// The devices that are there by it: one, but for a client that shows several keys.
    present: Mutex<Vec<Present>>,
    tokens: Mutex<Vec<Issued>>,
}

#[derive(Debug)]
enum Placed {
    Before(Place),
    Known { _permit: OwnedSemaphorePermit },
}

/// A token that was issued on this connection.
#[derive(Clone, Debug)]
struct Issued {
    caller: Arc<Caller>,
    ending: Arc<Ending>,
    expires_at: Timestamp,
    hashed: Hashed,
}

/// What an access token stands for.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A device, until its grant ends.
    Device(Arc<Caller>, Arc<Ending>),
    /// Its time was up.
    Expired,
    /// Nothing: it was never issued here, or it was replaced.
    Nothing,
}

impl Session {
    pub(crate) fn new(address: SocketAddr, binding: [u8; 32], place: Place) -> Self {
        Self {
            address,
            binding,
            closing: CancellationToken::new(),
            nonce: Mutex::default(),
            place: Mutex::new(Placed::Before(place)),
            present: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// Returns from where it comes.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a challenge; a former one is good no more.
    pub(crate) fn challenge(&self, nonce: Nonce, now: Timestamp) {
        let mut kept = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((nonce, now));
    }

    /// Takes the challenge: it is good once, whatever comes of it.
    //= docs/threat-model.md#T28
    pub(crate) fn take_nonce(&self, now: Timestamp) -> Option<Nonce> {
        let mut kept = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().filter(|(_, given)| now.since(*given) <= NONCE_TIME).map(|(nonce, _)| nonce)
    }

    /// Issues a token for `caller` that is good on this connection, until its grant ends.
    //= docs/threat-model.md#T30
    pub(crate) fn issue(
        &self,
        secret: [u8; 32],
        key: &HashKey,
        caller: Caller,
        ending: Arc<Ending>,
        now: Timestamp,
    ) -> (Bearer, Timestamp) {
        let bearer = Bearer::new(BearerKind::Access, secret);
        let expires_at = now.saturating_add(TOKEN_TIME);
        let hashed = bearer.hash(key, &self.binding);
        let issued = Issued { caller: Arc::new(caller), ending, expires_at, hashed };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.remove(0);
        }
        tokens.push(issued);
        (bearer, expires_at)
    }

    /// Finds what a token stands for here. Every token of the connection is looked at, so that the time
    /// it takes does not tell which one was close.
    pub(crate) fn find(&self, bearer: &Bearer, key: &HashKey, now: Timestamp) -> Found {
        let hashed = bearer.hash(key, &self.binding);
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let same = tokens.iter().filter(|issued| issued.hashed == hashed);
        let same = same.fold(None, |_, issued| Some(issued));
        match same {
            None => Found::Nothing,
            Some(issued) if now >= issued.expires_at => Found::Expired,
            Some(issued) => Found::Device(Arc::clone(&issued.caller), Arc::clone(&issued.ending)),
        }
    }

    /// Counts bytes that came in before it was known from whom.
    pub(crate) fn spend(&self, bytes: usize) -> Result<(), crate::preauth::Exhausted> {
        match &*self.place.lock().unwrap_or_else(PoisonError::into_inner) {
            Placed::Before(place) => place.spend(bytes),
            Placed::Known { .. } => Ok(()),
        }
    }

    /// Gives back the place before authentication: it is known who is there.
    pub(crate) fn settle(&self, permit: OwnedSemaphorePermit) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Placed::Before(before) = &*place {
            before.settle();
            *place = Placed::Known { _permit: permit };
        }
    }

    /// Tells whether it is known who is there.
    pub(crate) fn is_settled(&self) -> bool {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*place, Placed::Known { .. })
    }

    /// Counts a device as there, as long as the connection lasts.
    pub(crate) fn attend(&self, attendance: &Attendance, device: &DeviceId) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if !present.iter().any(|known| known.device() == device) {
            present.push(attendance.enter(device));
        }
    }

    /// Asks the connection to end soon: after what was refused has been told.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Is cancelled when the connection is to end.
    pub(crate) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    #[cfg(test)]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Arc<Self> {
        use crate::preauth::{Budget, Limits};
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let limits = Limits { per_address: usize::MAX, ..Limits::default() };
        let place = Budget::new(limits).enter(address.ip());
        Arc::new(Self::new(address, [1; 32], place))
    }
}

#[cfg(test)]
mod tests {
    use openclaw_scopes::{Cause, DeviceRole, Epoch, Grant, GrantHolder, ScopeSet};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[expect(clippy::disallowed_methods, reason = "tests say who is who")]
    fn device() -> Caller {
        let id = DeviceId::parse("d").unwrap();
        let holder = GrantHolder::Device(id.clone());
        let grant = Grant::recorded(holder, Epoch(1), ScopeSet::ALL, ScopeSet::ALL);
        Caller::device(id, DeviceRole::Operator, grant, Cause::Request)
    }

    #[test]
    //= docs/threat-model.md#T28
    fn a_challenge_is_good_once_and_not_for_long() {
        let session = Session::for_test();
        assert_eq!(session.take_nonce(NOW), None);
        session.challenge(Nonce([1; 32]), NOW);
        session.challenge(Nonce([2; 32]), NOW);
        assert_eq!(session.take_nonce(NOW), Some(Nonce([2; 32])));
        assert_eq!(session.take_nonce(NOW), None);
        session.challenge(Nonce([3; 32]), NOW);
        let late = NOW.saturating_add(NONCE_TIME).saturating_add(Duration::from_millis(1));
        assert_eq!(session.take_nonce(late), None);
    }

    #[test]
    //= docs/threat-model.md#T30
    fn an_access_token_is_good_on_its_connection_only() {
        let (key, here, ending) = (HashKey::new(&[1; 32]), Session::for_test(), Arc::default());
        let (bearer, expires_at) = here.issue([7; 32], &key, device(), Arc::clone(&ending), NOW);
        assert!(matches!(here.find(&bearer, &key, NOW), Found::Device(..)));
        assert!(matches!(here.find(&bearer, &key, expires_at), Found::Expired));
        let there = Session::for_test();
        assert!(matches!(there.find(&bearer, &key, NOW), Found::Nothing));
        // The same row on another connection would not help: the hash is another one there.
        let elsewhere = Session { binding: [2; 32], ..Arc::into_inner(there).unwrap() };
        let stolen = here.tokens.lock().unwrap().clone();
        *elsewhere.tokens.lock().unwrap() = stolen;
        assert!(matches!(elsewhere.find(&bearer, &key, NOW), Found::Nothing));
        for secret in 8..10 {
            here.issue([secret; 32], &key, device(), Arc::clone(&ending), NOW);
        }
        assert!(matches!(here.find(&bearer, &key, NOW), Found::Nothing), "the oldest goes");
    }
}
