//! Where the gateway's owners read, and which of them is told first.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use openclaw_config::ChannelSettings;
use openclaw_store::ReplyTo;

use super::Engine;
use crate::channels::{Hub, destination};
use crate::clock;

impl Engine {
    /// Has it know how the channels are doing.
    pub(crate) fn speaks_by(&self, hub: &Arc<Hub>) {
        // The hub knows the engine, so it is not kept.
        let _former = self.0.hub.set(Arc::downgrade(hub));
    }

    /// Returns where the gateway's owner reads, if that is known: what concerns nobody else goes there.
    pub(crate) fn owner_reads(&self) -> Option<ReplyTo> {
        self.owners_read(&BTreeSet::new()).into_iter().next()
    }

    /// Returns where the gateway's owners read, whoever is told first at the front: who is on a channel that can send
    /// now, and that did not lose what they are told of; among equals the first that the configuration names.
    pub(crate) fn owners_read(&self, lost: &BTreeSet<String>) -> Vec<ReplyTo> {
        let roster = self.roster();
        let mut all: Vec<_> = owners(roster.config.channels()).collect();
        all.sort_by_key(|to| (!self.can_send(&to.channel), lost.contains(&to.channel)));
        all
    }

    /// Tells the gateway's owner something, once for each `source`, if it is known where they read.
    pub(super) fn tell_owner_soon(&self, source: String, text: String) {
        let Some(to) = self.owner_reads() else { return };
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            match engine.0.store.say_as_gateway(source, to, text, clock::now()).await {
                Ok(()) => engine.outbox().notify_waiters(),
                Err(error) => tracing::error!(?error, "the owner is not told of something"),
            }
        });
    }

    fn can_send(&self, channel: &str) -> bool {
        let hub = self.0.hub.get().and_then(Weak::upgrade);
        hub.and_then(|hub| hub.lane(channel)).is_some_and(|lane| lane.can_send())
    }
}

/// Returns where each owner reads, in the order of the configuration.
pub(super) fn owners(channels: &ChannelSettings) -> impl Iterator<Item = ReplyTo> {
    channels.owners().filter_map(|(channel, id)| {
        let to = if channel == "discord" { format!("user:{id}") } else { id.to_owned() };
        destination(channels, channel, &to, "", "").ok()
    })
}
