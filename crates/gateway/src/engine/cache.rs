//! Recent conversations in memory, so that a turn need not read its history again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openclaw_scopes::SessionKey;
use openclaw_sessions::Projection;
use openclaw_store::Context;

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
    /// The entry from which on a conversation is compacted again whose summary failed.
    failed: BTreeMap<SessionKey, u64>,
    uses: u64,
}

#[derive(Debug)]
struct History {
    place: Place,
    projection: Projection,
    used: u64,
}

/// Which part of which conversation a history is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The conversation: one that was deleted and made anew under its key is another.
    pub(super) generation: i64,
    /// What of the journal is in it, from where on.
    pub(super) context: Context,
    /// The last one.
    pub(super) to: u64,
}

impl HistoryCache {
    /// Takes out a conversation that is exactly this part of this journal. Only the run that holds
    /// the session's fence asks, so what is taken cannot go stale.
    pub(super) fn take(&self, session: &SessionKey, place: Place) -> Option<Projection> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let history = cached.histories.remove(session)?;
        (history.place == place).then_some(history.projection)
    }

    /// Forgets a conversation.
    pub(super) fn forget(&self, session: &SessionKey) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.histories.remove(session);
        cached.failed.remove(session);
    }

    /// Whether a conversation may be compacted: not soon after a summary failed.
    pub(super) fn may_compact(&self, session: &SessionKey, entry: u64) -> bool {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.failed.get(session).is_none_or(|after| entry >= *after)
    }

    /// Lets a conversation alone up to an entry.
    pub(super) fn compact_after(&self, session: &SessionKey, entry: u64) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.failed.len() >= MAX_SESSIONS {
            cached.failed.pop_first();
        }
        cached.failed.insert(session.clone(), entry);
    }

    /// Keeps a conversation that is this part of its journal.
    pub(super) fn keep(&self, session: SessionKey, place: Place, projection: Projection) {
        if projection.bytes() > MAX_BYTES {
            return;
        }
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.uses = cached.uses.saturating_add(1);
        let used = cached.uses;
        cached.histories.insert(session, History { place, projection, used });
        if cached.histories.len() > MAX_SESSIONS {
            let oldest = cached.histories.iter().min_by_key(|(_, history)| history.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                cached.histories.remove(&key);
            }
        }
    }
}
