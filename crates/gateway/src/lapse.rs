//! Ends what has a time when its time is up: API tokens and what goes on with them, and what waits for a person.

use std::sync::Arc;
use std::time::Duration;

use openclaw_scopes::Timestamp;
use openclaw_store::Store;
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::clock;
use crate::engine::TTL;
use crate::registry::Registry;
use crate::task::Tasks;

/// How long the loop sleeps at most. What begins to wait for a person meanwhile lapses no sooner: an approval is
/// the first to.
const AT_MOST: Duration = TTL;
/// How long it rests after the store has failed.
const REST: Duration = Duration::from_secs(10);

/// Starts it. What has lapsed already is ended by the caller, before anything goes on.
pub(crate) fn watch(
    tasks: &Tasks,
    store: &Store,
    registry: &Arc<Registry>,
    stop: &CancellationToken,
) {
    let (store, registry, stop) = (store.clone(), Arc::clone(registry), stop.clone());
    tasks.spawn(async move {
        let mut changes = registry.changes();
        let alarm = Alarm::new();
        loop {
            let until = lapse(&store, &registry).await;
            tokio::select! {
                () = alarm.until(until) => {}
                // A token may have been issued that lapses sooner.
                _ = changes.changed() => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

/// Ends what has lapsed, and returns when something else may.
//= docs/threat-model.md#T32
pub(crate) async fn lapse(store: &Store, registry: &Registry) -> Timestamp {
    let now = clock::now();
    let (tokens, requests) =
        (lapse_tokens(store, registry, now).await, lapse_requests(store, now).await);
    tokens.min(requests)
}

async fn lapse_tokens(store: &Store, registry: &Registry, now: Timestamp) -> Timestamp {
    match store.lapse_tokens(now).await {
        Ok((ended, next)) => {
            if !ended.is_empty() {
                tracing::info!(tokens = ended.len(), "API tokens have expired");
                registry.on_ended(&ended);
            }
            soonest(next, now)
        }
        Err(error) => {
            tracing::error!(?error, "expired API tokens could not be ended");
            now.saturating_add(REST)
        }
    }
}

async fn lapse_requests(store: &Store, now: Timestamp) -> Timestamp {
    match store.lapse_requests(now).await {
        Ok(next) => soonest(next, now),
        Err(error) => {
            tracing::error!(?error, "what nobody decided in time could not be ended");
            now.saturating_add(REST)
        }
    }
}

fn soonest(next: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let longest = now.saturating_add(AT_MOST);
    next.map_or(longest, |next| next.min(longest))
}
