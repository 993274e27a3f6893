//! Ends what goes on with API tokens whose time is up, when it is up.

use std::sync::Arc;
use std::time::Duration;

use openclaw_store::Store;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::registry::Registry;
use crate::task::Tasks;

/// How long the loop sleeps at most: the clock may be set meanwhile.
const AT_MOST: Duration = Duration::from_secs(3600);
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
        loop {
            let rest = lapse(&store, &registry).await;
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                // A token may have been issued that lapses sooner.
                _ = changes.changed() => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

/// Ends what has lapsed, and returns how long until something may.
//= docs/threat-model.md#T32
pub(crate) async fn lapse(store: &Store, registry: &Registry) -> Duration {
    let now = clock::now();
    match store.lapse_tokens(now).await {
        Ok((ended, next)) => {
            if !ended.is_empty() {
                tracing::info!(tokens = ended.len(), "API tokens have expired");
                registry.on_ended(&ended);
            }
            next.map_or(AT_MOST, |next| next.since(now).min(AT_MOST))
        }
        Err(error) => {
            tracing::error!(?error, "expired API tokens could not be ended");
            REST
        }
    }
}
