//! A message that waits a moment for more of it: what somebody writes in a chat one after the other is one turn.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openclaw_scopes::{ChatPerson, SessionKey};
use openclaw_sessions::QueueMode;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::live::{Live, Stop};

/// How many times the quiet is waited for, at most: who never falls silent is answered all the same.
const MAX_QUIETS: u32 = 10;

/// What somebody writes in a chat, of which more may come.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// Who writes.
    pub(crate) who: ChatPerson,
    /// How long they have to be quiet; zero when they need not be.
    pub(crate) quiet: Duration,
}

/// The wait of a run for more of its message.
#[derive(Debug)]
pub(super) struct Held {
    who: ChatPerson,
    /// What becomes of the message afterwards, if its conversation is busy.
    mode: QueueMode,
    since: Instant,
    /// When the wait ends; `None` once it has.
    until: watch::Sender<Option<Instant>>,
    begun: CancellationToken,
    /// Set when whoever wrote does something else: then what they wrote begins as soon as it can.
    flushed: CancellationToken,
}

impl Held {
    pub(super) fn new(hold: &Hold, mode: QueueMode) -> Self {
        let since = Instant::now();
        Self {
            who: hold.who.clone(),
            mode,
            since,
            until: watch::Sender::new(since.checked_add(hold.quiet)),
            begun: CancellationToken::new(),
            flushed: CancellationToken::new(),
        }
    }

    fn is_open_for(&self, who: &ChatPerson) -> bool {
        self.who == *who && self.until.borrow().is_some()
    }

    /// Returns when it is quiet that long from now on, or the wait has been too long.
    fn after(&self, quiet: Duration) -> Instant {
        let now = Instant::now();
        let last = self.since.checked_add(quiet.saturating_mul(MAX_QUIETS)).unwrap_or(now);
        now.checked_add(quiet).unwrap_or(now).min(last)
    }

    /// More has come, and is on its way to the disk.
    fn extend(&self, quiet: Duration) {
        let after = self.after(quiet);
        self.until.send_if_modified(|until| match until {
            Some(until) if *until < after => {
                *until = after;
                true
            }
            Some(_) | None => false,
        });
    }

    /// More has come, and is with what was there.
    fn restart(&self, quiet: Duration) {
        let after = self.after(quiet);
        self.until.send_if_modified(|until| match until {
            Some(until) => {
                *until = after;
                true
            }
            None => false,
        });
    }

    fn let_go(&self) {
        self.until.send_replace(None);
    }

    /// Ends the wait if its time is up; more may have come meanwhile.
    fn lapse(&self) {
        let now = Instant::now();
        self.until.send_if_modified(|until| until.take_if(|until| *until <= now).is_some());
    }

    /// Waits until whoever wrote does something else.
    pub(super) async fn until_flushed(&self) {
        self.flushed.cancelled().await;
    }

    /// The run has begun.
    pub(super) fn begin(&self) {
        self.let_go();
        self.begun.cancel();
    }
}

impl Engine {
    /// Returns the run of a conversation that waits for more of what somebody writes.
    pub(super) fn held(&self, session: &SessionKey, who: &ChatPerson) -> Option<Arc<Live>> {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let all = lanes.running_in(session).into_iter().chain(lanes.waiting_in(session));
        let is_open = |live: &&Arc<Live>| live.held().is_some_and(|held| held.is_open_for(who));
        all.filter_map(|run| runs.get(run)).find(is_open).map(Arc::clone)
    }

    /// Returns the run that waits for the message of another, and has it wait until that one is accepted.
    pub(super) fn opener(
        &self,
        live: &Live,
        session: &SessionKey,
        hold: &Hold,
    ) -> Option<Arc<Live>> {
        let opener = self.held(session, &hold.who).filter(|opener| opener.run() != live.run())?;
        opener.held()?.extend(hold.quiet);
        Some(opener)
    }

    /// Has what somebody wrote wait for no more of it, and begin if its turn has come: what they do next comes after.
    pub(crate) async fn flush(&self, session: &SessionKey, who: &ChatPerson) {
        while let Some(live) = self.held(session, who) {
            let Some(held) = live.held() else { return };
            held.let_go();
            held.flushed.cancel();
            if live.has_turn() {
                tokio::select! {
                    () = held.begun.cancelled() => {}
                    _end = live.until_ended() => {}
                }
            }
        }
    }

    /// Waits until a run has its turn, and no more of its message is to come.
    pub(super) async fn until_turn(&self, live: &Live) {
        if let Some(held) = live.held() {
            self.until_all_came(live, held).await;
        }
        live.until_turn().await;
    }

    async fn until_all_came(&self, live: &Live, held: &Held) {
        let mut changes = held.until.subscribe();
        let mut aside = None;
        loop {
            let Some(until) = *changes.borrow_and_update() else { break };
            tokio::select! {
                () = tokio::time::sleep_until(until) => held.lapse(),
                _changed = changes.changed() => {}
                // Nothing is done meanwhile, so others may have the place.
                () = live.until_turn(), if aside.is_none() => {
                    aside = Some(self.step_aside(live.run()));
                }
                // It has not begun: it stays accepted, and the next start sets it to work.
                () = self.0.drain.cancelled() => return live.stop(Stop::Leave),
            }
        }
        drop(aside);
        let needs_mode = match held.mode {
            QueueMode::Collect => true,
            QueueMode::Followup => false,
            QueueMode::Interrupt | QueueMode::Steer => !live.has_turn(),
        };
        if needs_mode && let Err(error) = self.0.store.let_go(live.run().clone(), held.mode).await {
            tracing::error!(run.id = %live.run(), ?error, "a message has a turn of its own");
        }
    }

    /// Takes in whether a message became one with what its sender wrote before.
    pub(super) fn joined(
        &self,
        live: &Live,
        opener: &Arc<Live>,
        quiet: Duration,
        has_joined: Joined,
    ) {
        let Some(held) = opener.held() else { return };
        match has_joined {
            Joined::Yes => {
                self.merge(std::slice::from_ref(live.run()), opener);
                if quiet.is_zero() { held.let_go() } else { held.restart(quiet) }
            }
            // What it belongs to is as long as it may be, or has begun.
            Joined::No => held.let_go(),
        }
    }
}

/// Whether a message became one with another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Joined {
    No,
    Yes,
}
