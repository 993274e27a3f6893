//! A run that has not ended: its turn, its watchers, and how it is stopped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use openclaw_agents::{TurnEvent, TurnSink};
use openclaw_scopes::{GrantHolder, RunId};
use openclaw_store::RunView;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budget::{Account, Reservation};
use super::hold::Held;

/// Why a run is to end before it has an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// Somebody asked for it.
    Abort,
    /// The gateway stops, and the run waits for a person's answer.
    Aside,
    /// The gateway stops, and the run has not finished in time.
    Drain,
    /// The grant that it rests on has ended.
    GrantEnded,
    /// The gateway stops, and the run has not begun: it stays accepted.
    Leave,
    /// Its time is up.
    TimeOut,
}

/// How far a run's acceptance has come.
#[derive(Clone, Debug)]
enum Acceptance {
    Asked,
    Done(Box<RunView>),
    Failed,
}

/// How far a run's end has come.
#[derive(Clone, Debug)]
enum End {
    Ahead,
    /// The gateway stops and leaves the run to its next start.
    Left,
    Reached(Box<RunView>),
}

/// A run that has not ended.
#[derive(Debug)]
pub(super) struct Live {
    acceptance: watch::Sender<Acceptance>,
    /// What was asked, and by whom.
    asked: ([u8; 32], GrantHolder),
    cancel: CancellationToken,
    ended: watch::Sender<End>,
    /// Its wait for more of its message, if it is of a chat.
    held: OnceLock<Held>,
    /// Runs whose messages this one has taken in: whoever watches them is told what it does.
    followers: Mutex<Vec<Arc<Self>>>,
    /// Whether it was accepted before this start.
    is_restored: bool,
    /// The run that has taken its message in, once one has.
    merged: OnceLock<Arc<Self>>,
    is_merged: CancellationToken,
    /// What it belongs to has spent.
    tree: OnceLock<Arc<Account>>,
    /// What is set aside for its first question.
    reserved: Mutex<Option<Reservation>>,
    run: RunId,
    stop: Mutex<Option<Stop>>,
    turn: CancellationToken,
    watchers: Mutex<Watchers>,
    pauses: Mutex<Pauses>,
}

/// How long a run has waited for somebody.
#[derive(Debug, Default)]
struct Pauses {
    before: Duration,
    since: Option<Instant>,
}

/// A run waits for somebody until this is dropped.
#[derive(Debug)]
pub(super) struct Paused(Arc<Live>);

impl Drop for Paused {
    fn drop(&mut self) {
        let mut pauses = self.0.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = pauses.since.take() {
            pauses.before = pauses.before.saturating_add(since.elapsed());
        }
    }
}

impl Live {
    pub(super) fn new(run: RunId, digest: [u8; 32], holder: GrantHolder) -> Self {
        Self {
            acceptance: watch::Sender::new(Acceptance::Asked),
            asked: (digest, holder),
            cancel: CancellationToken::new(),
            followers: Mutex::default(),
            held: OnceLock::new(),
            is_restored: false,
            merged: OnceLock::new(),
            is_merged: CancellationToken::new(),
            tree: OnceLock::new(),
            reserved: Mutex::default(),
            ended: watch::Sender::new(End::Ahead),
            run,
            stop: Mutex::new(None),
            turn: CancellationToken::new(),
            pauses: Mutex::default(),
            watchers: Mutex::new(Watchers::default()),
        }
    }

    /// Has the run wait for more of its message before it begins.
    pub(super) fn hold(&self, held: Held) {
        drop(self.held.set(held));
    }

    pub(super) fn held(&self) -> Option<&Held> {
        self.held.get()
    }

    /// The same, accepted before this start.
    pub(super) fn restored(self) -> Self {
        Self { is_restored: true, ..self }
    }

    pub(super) const fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// Returns the runs whose messages this one has taken in.
    pub(super) fn followers(&self) -> Vec<Arc<Self>> {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the holder of the grant that it rests on.
    pub(super) const fn holder(&self) -> &GrantHolder {
        &self.asked.1
    }

    pub(super) const fn run(&self) -> &RunId {
        &self.run
    }

    pub(super) fn is_same(&self, digest: &[u8; 32], holder: &GrantHolder) -> bool {
        self.asked.0 == *digest && self.asked.1 == *holder
    }

    /// Tells whether the run rests on a grant of `holder`.
    pub(super) fn is_of(&self, holder: &GrantHolder) -> bool {
        self.asked.1 == *holder
    }

    pub(super) fn give_turn(&self) {
        self.turn.cancel();
    }

    pub(super) fn has_turn(&self) -> bool {
        self.turn.is_cancelled()
    }

    pub(super) async fn until_turn(&self) {
        self.turn.cancelled().await;
    }

    pub(super) fn accepted(&self, view: &RunView) {
        self.acceptance.send_replace(Acceptance::Done(Box::new(view.clone())));
    }

    pub(super) fn accept_failed(&self) {
        self.acceptance.send_replace(Acceptance::Failed);
        // Whoever waits for an end here must not do so for ever.
        self.end(None);
    }

    /// Waits for the answer to whoever asked first; `None` when it was a refusal.
    pub(super) async fn until_accepted(&self) -> Option<RunView> {
        let mut acceptance = self.acceptance.subscribe();
        let done = acceptance.wait_for(|state| !matches!(state, Acceptance::Asked)).await;
        match &*done.ok()? {
            Acceptance::Done(view) => Some((**view).clone()),
            Acceptance::Asked | Acceptance::Failed => None,
        }
    }

    /// Asks the run to end; the first reason holds.
    pub(super) fn stop(&self, why: Stop) {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.cancel.cancel();
    }

    pub(super) fn stopped(&self) -> Option<Stop> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the run's time stand still while it waits for somebody. It waits for one at a time.
    pub(super) fn pause(self: &Arc<Self>) -> Paused {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.since.get_or_insert_with(Instant::now);
        Paused(Arc::clone(self))
    }

    /// Returns how long it has waited for somebody in all.
    pub(super) fn paused(&self) -> Duration {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.before.saturating_add(pauses.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    pub(super) const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Tells everybody that the run has ended, or that this process does not see its end.
    pub(super) fn end(&self, view: Option<RunView>) {
        self.ended.send_replace(view.map_or(End::Left, |view| End::Reached(Box::new(view))));
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).close();
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps the account of what it belongs to until it has ended.
    pub(super) fn keep(&self, tree: Arc<Account>) {
        drop(self.tree.set(tree));
    }

    /// Keeps what is set aside for its first question.
    pub(super) fn reserve(&self, reserved: Option<Reservation>) {
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = reserved;
    }

    pub(super) fn take_reserved(&self) -> Option<Reservation> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives the run no turn of its own: another has taken its message in, and it ends with that one.
    pub(super) fn merge(self: &Arc<Self>, into: &Arc<Self>) {
        into.followers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(self));
        drop(self.merged.set(Arc::clone(into)));
        self.is_merged.cancel();
    }

    /// Waits until another run has taken its message in; returns that one.
    pub(super) async fn until_merged(&self) -> Option<Arc<Self>> {
        self.is_merged.cancelled().await;
        self.merged.get().map(Arc::clone)
    }

    /// Waits for the end; `None` when this process does not see it.
    pub(super) async fn until_ended(&self) -> Option<RunView> {
        let mut ended = self.ended.subscribe();
        let end = ended.wait_for(|end| !matches!(end, End::Ahead)).await;
        match &*end.ok()? {
            End::Reached(view) => Some((**view).clone()),
            End::Ahead | End::Left => None,
        }
    }
}

impl TurnSink for Live {
    fn emit(&self, event: TurnEvent) {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).emit(&event);
        for follower in &*self.followers.lock().unwrap_or_else(PoisonError::into_inner) {
            follower.emit(event.clone());
        }
    }
}

/// What a watcher of a run is told.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Something happened.
    Turn(TurnEvent),
    /// It has ended. Nothing follows.
    Ended(RunView),
    /// The gateway stops before the run's end. Nothing follows.
    Left,
}

#[derive(Debug, Default)]
struct Watchers {
    all: Vec<Arc<Inbox>>,
    is_closed: bool,
    /// The text of the answer so far, for whoever comes later.
    text: String,
}

impl Watchers {
    fn emit(&mut self, event: &TurnEvent) {
        match event {
            TurnEvent::Text(more) => self.text.push_str(more),
            TurnEvent::ModelRetry { .. } => self.text.clear(),
            TurnEvent::ApprovalNeeded { .. }
            | TurnEvent::ToolFinished { .. }
            | TurnEvent::ToolStarted { .. } => {}
        }
        self.all.retain(|inbox| Arc::strong_count(inbox) > 1);
        for inbox in &self.all {
            inbox.put(event);
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        for inbox in self.all.drain(..) {
            inbox.close();
        }
    }
}

/// What one watcher has not read yet. Text is joined, so a slow reader costs no more than the
/// answer itself, and never holds up the run.
#[derive(Debug, Default)]
struct Inbox {
    events: Mutex<Pending>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    events: VecDeque<TurnEvent>,
    is_closed: bool,
}

impl Inbox {
    fn put(&self, event: &TurnEvent) {
        {
            let mut pending = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            match (pending.events.back_mut(), event) {
                (Some(TurnEvent::Text(text)), TurnEvent::Text(more)) => text.push_str(more),
                (_, event) => pending.events.push_back(event.clone()),
            }
        }
        self.wake.notify_one();
    }

    fn close(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.wake.notify_one();
    }

    /// Returns the next event, or `None` after the last.
    async fn next(&self) -> Option<TurnEvent> {
        loop {
            {
                let mut pending = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(event) = pending.events.pop_front() {
                    return Some(event);
                }
                if pending.is_closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }
}

/// Watches one run from its acceptance to its end. Dropping it does not touch the run.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The run as it was accepted.
    pub(crate) accepted: RunView,
    /// Whether somebody had asked for it before.
    pub(crate) novelty: Novelty,
    state: WatchState,
}

/// Whether a run was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Novelty {
    /// This request found it.
    Existing,
    /// This request made it.
    New,
}

#[derive(Debug)]
enum WatchState {
    Done,
    Ended(Box<RunView>),
    Watching { inbox: Arc<Inbox>, live: Arc<Live> },
}

impl Watch {
    pub(super) fn new(accepted: RunView, live: Arc<Live>) -> Self {
        let inbox = Arc::new(Inbox::default());
        {
            let mut watchers = live.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            if !watchers.text.is_empty() {
                inbox.put(&TurnEvent::Text(watchers.text.clone()));
            }
            if watchers.is_closed {
                inbox.close();
            } else {
                // Those who went away while nothing happened are forgotten here.
                watchers.all.retain(|inbox| Arc::strong_count(inbox) > 1);
                watchers.all.push(Arc::clone(&inbox));
            }
        }
        Self { accepted, novelty: Novelty::New, state: WatchState::Watching { inbox, live } }
    }

    /// Watches a run that has ended.
    pub(super) fn ended(view: RunView) -> Self {
        let state = WatchState::Ended(Box::new(view.clone()));
        Self { accepted: view, novelty: Novelty::Existing, state }
    }

    pub(super) fn again(self) -> Self {
        Self { novelty: Novelty::Existing, ..self }
    }

    /// Returns the next event; `None` after the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        if let WatchState::Watching { inbox, live } = &self.state {
            let end = match inbox.next().await {
                Some(event) => return Some(Event::Turn(event)),
                None => live.until_ended().await,
            };
            self.state = WatchState::Done;
            return Some(end.map_or(Event::Left, Event::Ended));
        }
        match std::mem::replace(&mut self.state, WatchState::Done) {
            WatchState::Ended(view) => Some(Event::Ended(*view)),
            WatchState::Done | WatchState::Watching { .. } => None,
        }
    }
}
