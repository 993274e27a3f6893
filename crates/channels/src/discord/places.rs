//! Which channel each thread is below: a message in a thread does not say.

use std::collections::BTreeMap;

use twilight_model::id::Id;
use twilight_model::id::marker::ChannelMarker;

use super::event::Place;

/// Channels that are remembered. Reason: one that is not is asked for.
const MAX_PLACES: usize = 50_000;

/// The kinds of channel that are threads.
const THREADS: [u8; 3] = [10, 11, 12];

/// The channels that the gateway told of, each with the one above it if it is a thread.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<Id<ChannelMarker>, Option<Id<ChannelMarker>>>);

impl Places {
    /// Notes a channel, and returns the one above it if it is a thread.
    pub(super) fn learn(&mut self, place: &Place) -> Option<Id<ChannelMarker>> {
        if self.0.len() >= MAX_PLACES {
            self.0.clear();
        }
        let parent = place.parent_id.filter(|_| THREADS.contains(&place.kind));
        self.0.insert(place.id, parent);
        parent
    }

    /// Returns whether it is known what a channel is.
    pub(super) fn knows(&self, id: Id<ChannelMarker>) -> bool {
        self.0.contains_key(&id)
    }

    /// Returns the channel above one that is known to be a thread.
    pub(super) fn parent(&self, id: Id<ChannelMarker>) -> Option<Id<ChannelMarker>> {
        self.0.get(&id).copied().flatten()
    }
}
