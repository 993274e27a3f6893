//! Seals audit rows that have outlived their retention, once a day.

use std::time::Duration;

use openclaw_scopes::{Caller, Cause, Component, GrantHolder};
use openclaw_store::{SealAudit, Store};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::task::Tasks;

/// How often rows are sealed.
const EVERY: Duration = Duration::from_hours(24);

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
