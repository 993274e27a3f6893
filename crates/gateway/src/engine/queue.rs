//! Messages that come in while their conversation is busy: a run at work takes them in, or they interrupt it,
//! or are collected, or give way.

use std::sync::{Arc, PoisonError};

use openclaw_config::QueueDrop;
use openclaw_scopes::{Caller, GrantHolder, RunId, SessionKey};
use openclaw_sessions::{Dropped, EnqueueError};
use openclaw_store::RunView;

use tokio::time::Instant;

use super::live::{Live, Stop};
use super::{Engine, StartError};
use crate::clock;

/// How many times the quiet is waited for that collected messages need, at most.
const MAX_DEBOUNCES: u32 = 10;

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
        let begun = Instant::now();
        let mut aside = None;
        loop {
            let newest = match self.0.store.collected_until(live.run()) {
                Ok(Some(newest)) => newest,
                Ok(None) => return,
                Err(error) => {
                    return tracing::error!(run.id = %live.run(), %error, "what was collected is unknown");
                }
            };
            let left = newest.saturating_add(debounce).since(clock::now());
            // Who never falls silent is answered all the same.
            let left =
                left.min(debounce.saturating_mul(MAX_DEBOUNCES).saturating_sub(begun.elapsed()));
            if left.is_zero() {
                return;
            }
            // Nothing is done meanwhile, so others may have the place.
            aside.get_or_insert_with(|| self.step_aside(live.run()));
            let flushed = async {
                match live.held() {
                    Some(held) => held.until_flushed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = flushed => return,
                () = live.cancel().cancelled() => return,
                // It has not begun: it stays accepted, and the next start sets it to work.
                () = self.0.drain.cancelled() => return live.stop(Stop::Leave),
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
        let mine = self.waiting_of(session, caller.on_behalf_of());
        for oldest in mine {
            let run = oldest.run().clone();
            // One that came at the same moment is on the disk in the next; one that was refused has left its place.
            if oldest.until_accepted().await.is_none() {
                return Ok(Some(Dropped::default()));
            }
            let gone = self.0.store.give_way(run, session.clone(), clock::now()).await?;
            if let Some(dropped) = gone {
                oldest.stop(Stop::Abort);
                oldest.until_ended().await;
                let told = drops == QueueDrop::Summarize;
                return Ok(Some(if told { dropped } else { Dropped::default() }));
            }
            if oldest.stopped().is_some() {
                // Another message has just taken its place: there may be room for this one, too.
                oldest.until_ended().await;
                return Ok(Some(Dropped::default()));
            }
        }
        Ok(None)
    }

    /// Returns the runs that wait in a conversation on behalf of a holder, the oldest first.
    fn waiting_of(&self, session: &SessionKey, holder: &GrantHolder) -> Vec<Arc<Live>> {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = lanes.waiting_in(session).filter_map(|run| runs.get(run));
        waiting.filter(|live| live.is_of(holder)).map(Arc::clone).collect()
    }
}
