//! Recent conversations in memory, so that a turn need not read its history again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openclaw_scopes::SessionKey;
use openclaw_sessions::{Projection, WindowLimits};

/// Conversations that are kept at most.
const MAX_SESSIONS: usize = 64;
/// Bytes of one conversation that is kept at most; a longer one is read again each turn.
const MAX_BYTES: usize = 64 * 1024;

/// The histories of the conversations that were used last.
#[derive(Debug, Default)]
pub(super) struct HistoryCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    histories: BTreeMap<SessionKey, History>,
    uses: u64,
}

#[derive(Debug)]
struct History {
    /// The journal's last entry that is in it.
    entry: u64,
    projection: Projection,
    used: u64,
}

impl HistoryCache {
    /// Takes out a conversation that reaches exactly to this journal entry. Only the run that holds
    /// the session's fence asks, so what is taken cannot go stale.
    pub(super) fn take(&self, session: &SessionKey, entry: u64) -> Option<Projection> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let history = cached.histories.remove(session)?;
        (history.entry == entry).then_some(history.projection)
    }

    /// Keeps a conversation that reaches to this journal entry.
    pub(super) fn keep(&self, session: SessionKey, entry: u64, mut projection: Projection) {
        projection.trim(&WindowLimits::default());
        if projection.bytes() > MAX_BYTES {
            return;
        }
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.uses = cached.uses.saturating_add(1);
        let used = cached.uses;
        cached.histories.insert(session, History { entry, projection, used });
        if cached.histories.len() > MAX_SESSIONS {
            let oldest = cached.histories.iter().min_by_key(|(_, history)| history.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                cached.histories.remove(&key);
            }
        }
    }
}
