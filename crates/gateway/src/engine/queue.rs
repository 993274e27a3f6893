//! Messages that come in while their conversation is busy: a run at work takes them in, or they interrupt it,
//! or are collected, or give way.

use std::sync::{Arc, PoisonError};

use openclaw_config::QueueDrop;
use openclaw_scopes::{Caller, GrantHolder, RunId, SessionKey};
use openclaw_sessions::{Dropped, EnqueueError};
use openclaw_store::RunView;

use super::live::{Live, Stop};
use super::{Engine, StartError};
use crate::clock;

impl Engine {
    /// Has runs follow another that has taken their messages in: they have no turn of their own.
    pub(super) fn merge(&self, taken: &[RunId], into: &Arc<Live>) {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for run in taken {
            lanes.remove(run);
            if let Some(live) = runs.get(run) {
                live.merge(into);
            }
        }
    }

    /// Waits for the end of the run that has taken this one's message in: it is this one's too.
    pub(super) async fn merged(&self, live: &Live, into: Arc<Live>) -> Option<RunView> {
        tokio::select! {
            _end = into.until_ended() => {}
            () = live.cancel().cancelled() => {
                if live.stopped() != Some(Stop::Abort) {
                    into.until_ended().await;
                }
            }
        }
        self.stored(live).filter(|view| view.status.is_terminal())
    }

    /// Waits until no more messages come that are collected with the one that this run is for.
    pub(super) async fn until_quiet(&self, live: &Live) {
        let debounce = self.roster().config.queue().debounce;
        loop {
            let newest = match self.0.store.collected_until(live.run()) {
                Ok(Some(newest)) => newest,
                Ok(None) => return,
                Err(error) => {
                    return tracing::error!(run.id = %live.run(), %error, "what was collected is unknown");
                }
            };
            let left = newest.saturating_add(debounce).since(clock::now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = live.cancel().cancelled() => return,
            }
        }
    }

    /// Ends what a message interrupts that has been accepted, as far as whoever sent it may end it, and lets it
    /// have the next turn.
    pub(super) async fn interrupt(self, caller: Caller, live: Arc<Live>) {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner).hurry(live.run());
        let runs = match self.0.store.interrupted_by(live.run()) {
            Ok(runs) => runs,
            Err(error) => {
                return tracing::error!(run.id = %live.run(), %error, "what is interrupted is unknown");
            }
        };
        for run in runs {
            if let Err(error) = self.abort(&caller, &run).await {
                tracing::info!(run.id = %run, ?error, "a run is not interrupted");
            }
        }
    }

    /// Has the oldest message give way that waits in a conversation and is of whoever sends another, if the
    /// configuration says so; returns what is to be told of it. `None` when none gives way.
    pub(super) async fn make_room(
        &self,
        caller: &Caller,
        session: &SessionKey,
        full: &EnqueueError,
    ) -> Result<Option<Dropped>, StartError> {
        let drops = self.roster().config.queue().drop;
        if drops == QueueDrop::New || !matches!(full, EnqueueError::SessionFull { .. }) {
            return Ok(None);
        }
        let Some(oldest) = self.oldest_of(session, caller.on_behalf_of()) else { return Ok(None) };
        let run = oldest.run().clone();
        let gone = self.0.store.give_way(run, session.clone(), clock::now()).await?;
        let Some(dropped) = gone else { return Ok(None) };
        oldest.stop(Stop::Abort);
        oldest.until_ended().await;
        Ok(Some(if drops == QueueDrop::Summarize { dropped } else { Dropped::default() }))
    }

    /// Returns the oldest run that waits in a conversation on behalf of a holder.
    fn oldest_of(&self, session: &SessionKey, holder: &GrantHolder) -> Option<Arc<Live>> {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = lanes.waiting_in(session).filter_map(|run| runs.get(run));
        waiting.find(|live| live.is_of(holder)).map(Arc::clone)
    }
}
