//! Who has a place, whose turn it is, and who waits.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use openclaw_scopes::{Caller, GrantHolder, RunId, SessionKey};
use openclaw_sessions::{EnqueueError, Lanes};

use super::Engine;
use super::live::{Live, Stop};

impl Engine {
    /// Enters a run into the lanes and the list of live runs, unless it is there.
    pub(super) fn enlist(
        &self,
        run: &RunId,
        digest: [u8; 32],
        session: &SessionKey,
        caller: &Caller,
    ) -> Enlisted {
        let mut runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = runs.get(run) {
            return Enlisted::There(Arc::clone(live));
        }
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(full) = lanes.enqueue(session.clone(), run.clone()) {
            return Enlisted::Full(full);
        }
        let holder = caller.on_behalf_of().clone();
        let live = Arc::new(Live::new(run.clone(), digest, holder));
        runs.insert(run.clone(), Arc::clone(&live));
        hand_out_turns(&mut lanes, &runs);
        Enlisted::New(live)
    }

    /// Ends what works or waits on a grant that has just ended.
    //= docs/threat-model.md#T32
    pub(crate) fn grant_ended(&self, holder: &GrantHolder) {
        for live in self.all_live().iter().filter(|live| live.is_of(holder)) {
            live.stop(Stop::GrantEnded);
        }
        self.end_commands_for(holder);
        self.0.commands.end_for(holder);
    }

    /// Removes a run that has ended, or was never accepted; others may have their turn.
    pub(super) fn dismiss(&self, live: &Live) {
        let mut runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if !lanes.finish(live.run()) {
            lanes.remove(live.run());
        }
        runs.remove(live.run());
        hand_out_turns(&mut lanes, &runs);
    }

    /// Lets others have the place of a run that only waits for them, until what is returned is dropped.
    pub(super) fn step_aside(&self, run: &RunId) -> Aside {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.step_aside(run);
        hand_out_turns(&mut lanes, &runs);
        Aside { engine: self.clone(), run: run.clone() }
    }
}

/// A run that waits for others, and has left its place to them meanwhile.
#[derive(Debug)]
pub(super) struct Aside {
    engine: Engine,
    run: RunId,
}

impl Drop for Aside {
    fn drop(&mut self) {
        let mut lanes = self.engine.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.step_back(&self.run);
    }
}

/// What became of a run that wanted a place.
pub(super) enum Enlisted {
    Full(EnqueueError),
    New(Arc<Live>),
    There(Arc<Live>),
}

/// Gives every run whose turn has come its turn.
pub(super) fn hand_out_turns(lanes: &mut Lanes, runs: &BTreeMap<RunId, Arc<Live>>) {
    while let Some(turn) = lanes.start_next() {
        match runs.get(&turn.run) {
            Some(live) => live.give_turn(),
            // A run without a task can only be one that was dismissed meanwhile.
            None => {
                lanes.finish(&turn.run);
            }
        }
    }
}
