//! Seals audit rows that have outlived their retention, once a day, and removes events that have.

use std::time::Duration;

use openclaw_scopes::{Caller, Cause, Component, GrantHolder};
use openclaw_store::{SealAudit, Store};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::task::Tasks;

/// How often rows are sealed.
const EVERY: Duration = Duration::from_hours(24);

/// How often events are removed while there are new ones: what comes in between is what there is more of than is kept.
const EVENTS_EVERY: Duration = Duration::from_secs(60);
/// How often they are removed otherwise: the shortest retention.
const OLD_EVENTS_EVERY: Duration = Duration::from_hours(1);

/// Starts sealing, if a retention is configured; without one nothing is ever removed.
pub(crate) fn keep(
    tasks: &Tasks,
    store: &Store,
    retention: Option<Duration>,
    stop: &CancellationToken,
) {
    let Some(retention) = retention else { return };
    let (store, stop) = (store.clone(), stop.clone());
    tasks.spawn(async move {
        loop {
            seal(&store, retention).await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

async fn seal(store: &Store, retention: Duration) {
    let epoch = match store.epoch(&GrantHolder::Gateway) {
        Ok(Some(epoch)) => epoch,
        Ok(None) => return tracing::error!("the gateway's own grant is missing"),
        Err(error) => return tracing::error!(%error, "audit rows could not be sealed"),
    };
    let now = clock::now();
    let caller = Caller::system(Component::Retention, Cause::Timer, epoch);
    let before = now.saturating_sub(retention);
    // Each call seals a bounded number of rows, so that others get their turn between.
    loop {
        match store.act(&caller, SealAudit { before }, now).await {
            Ok(0) => return,
            Ok(rows) => tracing::info!(rows, "audit rows were sealed"),
            Err(error) => return tracing::error!(?error, "audit rows could not be sealed"),
        }
    }
}

/// Starts removing events that are kept no longer.
pub(crate) fn keep_events(
    tasks: &Tasks,
    store: &Store,
    retention: Duration,
    stop: &CancellationToken,
) {
    let (store, stop) = (store.clone(), stop.clone());
    tasks.spawn(async move {
        let mut events = store.events();
        loop {
            sweep(&store, retention).await;
            let more = async {
                // A store that is closed has no more events: the gateway stops.
                if events.changed().await.is_err() {
                    return std::future::pending().await;
                }
                tokio::time::sleep(EVENTS_EVERY).await;
            };
            tokio::select! {
                () = more => {}
                () = tokio::time::sleep(OLD_EVENTS_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

async fn sweep(store: &Store, retention: Duration) {
    let now = clock::now();
    let before = now.saturating_sub(retention);
    loop {
        match store.sweep_events(before, now).await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return,
            Err(error) => return tracing::error!(?error, "events could not be swept"),
        }
    }
}
