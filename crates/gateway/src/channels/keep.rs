//! Keeping a channel at work for as long as it is to be: one task for each, so that nothing is ever heard twice.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use openclaw_channels::ListenEnd;
use openclaw_store::Store;
use tokio_util::sync::CancellationToken;

use super::carry::carry;
use super::ingress::Door;
use super::lane::{Carrier, Lane, Work};
use super::media::Allowance;
use crate::engine::Engine;
use crate::task::Tasks;

/// What channels work with.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) tasks: Tasks,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) stop: CancellationToken,
}

/// Keeps a channel at work until the gateway stops.
pub(super) async fn keep(lane: Arc<Lane>, ground: Ground) {
    let mut wanted = lane.wanted();
    while !ground.stop.is_cancelled() {
        let round = *wanted.borrow_and_update();
        lane.reaches(round);
        let until = ground.stop.child_token();
        let mut work = std::pin::pin!(async {
            match round.work {
                Work::Off => until.cancelled().await,
                Work::On => work(&lane, &ground, &until).await,
            }
        });
        tokio::select! {
            () = &mut work => {}
            // The next round begins when this one has ended.
            _changed = wanted.changed() => {
                until.cancel();
                work.await;
            }
        }
    }
    lane.becomes("stopped", String::new());
}

/// Carries what leaves and takes in what comes, until it is to stop.
async fn work(lane: &Arc<Lane>, ground: &Ground, until: &CancellationToken) {
    let (engine, store) = (&ground.engine, &ground.store);
    match &lane.carrier {
        Carrier::Chat(chat) => {
            let door = Door {
                allowance: Arc::new(Allowance::default()),
                lane: Arc::clone(lane),
                chat: Arc::clone(chat),
                engine: engine.clone(),
                store: store.clone(),
                tasks: ground.tasks.clone(),
            };
            tokio::join!(carry(lane, engine, store, until), listen(&door, until));
        }
        // What is written for it waits, and `channels status` says why.
        Carrier::None => until.cancelled().await,
        Carrier::Webhook { .. } => carry(lane, engine, store, until).await,
    }
}

/// Takes in what comes on a channel. A panic ends that, and not what leaves.
async fn listen(door: &Door, until: &CancellationToken) {
    let heard = AssertUnwindSafe(door.chat.listen(door, &*door.lane, until)).catch_unwind().await;
    let error = match heard {
        Ok(ListenEnd::Cancelled) => return,
        Ok(ListenEnd::Fatal { error }) => error,
        Err(_panic) => "listening panicked".to_owned(),
    };
    tracing::error!(channel = door.lane.name, error, "a channel has failed");
    door.lane.becomes("failed", error);
}
