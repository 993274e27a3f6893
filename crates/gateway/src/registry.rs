//! Who is connected with which grant: what goes on for a holder ends with its grant.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use openclaw_scopes::GrantHolder;
use openclaw_store::{End, Ended};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::presence::Attendance;
use crate::session::Session;
use crate::task::Spawner;

/// Connections of one device at most: each keeps a socket and its buffers.
const MAX_OF_ONE: usize = 64;

/// In how many portions those who wait for one end are woken. A device may have thousands of streams;
/// between two portions everybody else has a turn.
const PORTIONS: usize = 32;

/// The end of one grant: of all that was issued under its present epoch.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    how: OnceLock<End>,
    next: AtomicUsize,
    portions: [CancellationToken; PORTIONS],
}

impl Ending {
    /// Returns how the grant ended; `None` while it has not. Known before the answer to whoever ended it
    /// is sent, so whatever looks here before it acts comes too late by no message.
    pub(crate) fn how(&self) -> Option<End> {
        self.how.get().copied()
    }

    /// Returns a token that is cancelled soon after the grant has ended, to wake what waits.
    pub(crate) fn token(&self) -> CancellationToken {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.portions.get(next % PORTIONS).cloned().unwrap_or_default()
    }

    async fn wake(&self) {
        for portion in &self.portions {
            portion.cancel();
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    ending: Arc<Ending>,
    sessions: Vec<Weak<Session>>,
}

/// The grants that something goes on under.
#[derive(Debug)]
pub(crate) struct Registry {
    attendance: Attendance,
    /// Moves whenever a request or a grant changes, for those who wait for that.
    changes: watch::Sender<u64>,
    engine: OnceLock<Engine>,
    holders: Mutex<BTreeMap<GrantHolder, Entry>>,
    spawner: Spawner,
}

impl Registry {
    /// Makes an empty one. Within the runtime, where those who wait for an end are woken.
    pub(crate) fn new() -> Self {
        let changes = watch::Sender::new(0);
        let (engine, holders) = (OnceLock::new(), Mutex::default());
        let attendance = Attendance::default();
        Self { attendance, changes, engine, holders, spawner: Spawner::current() }
    }

    /// Names the engine whose runs end with their grants.
    pub(crate) fn set_engine(&self, engine: Engine) {
        // There is one engine, and it is named once, at the composition.
        drop(self.engine.set(engine));
    }

    /// Returns which devices are there.
    pub(crate) const fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    /// Returns the end of what is issued to `holder` from now on. Asked for *before* the decision that
    /// something rests on: a grant that ends after that decision then ends this.
    pub(crate) fn watch(&self, holder: &GrantHolder) -> Arc<Ending> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&holders.entry(holder.clone()).or_default().ending)
    }

    /// Counts a connection as one of `holder`'s; refuses one too many.
    pub(crate) fn join(&self, holder: &GrantHolder, session: &Arc<Session>) -> Result<(), TooMany> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = &mut holders.entry(holder.clone()).or_default().sessions;
        let weak = Arc::downgrade(session);
        sessions.retain(|known| known.strong_count() > 0);
        if sessions.iter().any(|known| known.ptr_eq(&weak)) {
            return Ok(());
        }
        if sessions.len() >= MAX_OF_ONE {
            return Err(TooMany);
        }
        sessions.push(weak);
        if let GrantHolder::Device(device) = holder {
            session.attend(&self.attendance, device);
        }
        Ok(())
    }

    /// Ends what goes on under grants that have ended. On the store's writer thread: it does not block,
    /// and leaves to the runtime to wake what may be thousands of streams, for the answer to whoever
    /// ended them does not wait behind them.
    //= docs/threat-model.md#T32
    pub(crate) fn on_ended(&self, ended: &[Ended]) {
        for Ended { holder, how } in ended {
            let entry = {
                let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
                holders.remove(holder)
            };
            if let Some(Entry { ending, sessions }) = entry {
                // Set once: an entry is removed before it is told.
                ending.how.get_or_init(|| *how);
                let still: Vec<_> = sessions.iter().filter_map(Weak::upgrade).collect();
                let how = *how;
                // A connection whose tokens ended stays, and counts: its device proves its key again
                // on it.
                if how == End::Replaced {
                    self.rejoin(holder, &still);
                }
                self.spawner.detached(async move {
                    ending.wake().await;
                    if how == End::Withdrawn {
                        still.iter().for_each(|session| session.close());
                    }
                });
            }
            if let Some(engine) = self.engine.get() {
                engine.grant_ended(holder);
            }
        }
        self.changed();
    }

    fn rejoin(&self, holder: &GrantHolder, sessions: &[Arc<Session>]) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = holders.entry(holder.clone()).or_default();
        entry.sessions.extend(sessions.iter().map(Arc::downgrade));
    }

    /// Tells those who wait that a request was decided.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns what moves whenever a request or a grant changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A holder has as many connections as it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a device may have {MAX_OF_ONE} connections at once")]
pub(crate) struct TooMany;

#[cfg(test)]
mod tests {
    use openclaw_scopes::DeviceId;

    use super::*;

    fn holder(id: &str) -> GrantHolder {
        GrantHolder::Device(DeviceId::parse(id).unwrap())
    }

    fn ended(id: &str, how: End) -> [Ended; 1] {
        [Ended { holder: holder(id), how }]
    }

    #[tokio::test]
    //= docs/threat-model.md#T32
    async fn what_was_issued_before_ends_and_what_comes_after_does_not() {
        let registry = Registry::new();
        let (a, b) = (registry.watch(&holder("a")), registry.watch(&holder("b")));
        assert!(Arc::ptr_eq(&a, &registry.watch(&holder("a"))));
        registry.on_ended(&ended("a", End::Replaced));
        assert_eq!((a.how(), b.how()), (Some(End::Replaced), None));
        a.token().cancelled().await;
        assert!(!b.token().is_cancelled());
        let next = registry.watch(&holder("a"));
        assert!(!next.token().is_cancelled());
        registry.on_ended(&ended("a", End::Withdrawn));
        assert_eq!((next.how(), a.how()), (Some(End::Withdrawn), Some(End::Replaced)));
    }

    #[tokio::test]
    async fn connections_are_counted_and_closed() {
        let registry = Registry::new();
        let sessions: Vec<_> = (0..=MAX_OF_ONE).map(|_| Session::for_test()).collect();
        let (last, first) = sessions.split_last().unwrap();
        for session in first {
            assert_eq!(registry.join(&holder("a"), session), Ok(()));
            assert_eq!(registry.join(&holder("a"), session), Ok(()), "known already");
        }
        assert_eq!(registry.join(&holder("a"), last), Err(TooMany));
        assert_eq!(registry.join(&holder("b"), last), Ok(()));
        registry.on_ended(&ended("a", End::Replaced));
        tokio::task::yield_now().await;
        assert!(first.iter().all(|session| !session.is_closing()));
        registry.on_ended(&ended("a", End::Withdrawn));
        for session in first {
            session.closing().cancelled().await;
        }
        assert!(!last.is_closing());
    }
}
