//! What the engine does at a start with what was left, and at a stop with what goes on.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openclaw_scopes::{Caller, Cause, Component, Epoch, RunId};
use openclaw_store::{ActError, RecoverRuns, RunError};

use super::Engine;
use super::drive::Begin;
use super::live::{Live, Stop};
use super::turns::hand_out_turns;
use crate::clock;

impl Engine {
    /// After a start: ends what a crash interrupted or has it go on, and sets to work what had not begun.
    /// Returns how many runs ended, and how many go on.
    pub(crate) async fn recover(&self, epoch: Epoch) -> Result<(u64, u64), ActError<RunError>> {
        let caller = Caller::system(Component::Recovery, Cause::Startup, epoch);
        let recovered = self.0.store.act(&caller, RecoverRuns, clock::now()).await?;
        for ticket in recovered.waiting {
            let Some(worker) = self.worker_of(&ticket.session) else {
                let error = "its agent is not configured any more".to_owned();
                self.0.store.end_waiting_run(ticket.run, error, clock::now()).await?;
                continue;
            };
            let Some(live) = self.restored(&ticket.run)? else { continue };
            {
                let mut runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
                let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
                if lanes.restore(ticket.session.clone(), ticket.run.clone()).is_err() {
                    continue;
                }
                runs.insert(ticket.run.clone(), Arc::clone(&live));
                hand_out_turns(&mut lanes, &runs);
            }
            self.spawn(live, worker, Begin::InTurn(ticket));
        }
        for (ticket, into) in recovered.merged {
            let Some(into) = self.find(&into) else { continue };
            let Some(worker) = self.worker_of(&ticket.session) else { continue };
            let Some(live) = self.restored(&ticket.run)? else { continue };
            self.0
                .live
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(ticket.run.clone(), Arc::clone(&live));
            live.merge(&into);
            self.spawn(live, worker, Begin::InTurn(ticket));
        }
        Ok((recovered.interrupted, recovered.resumed))
    }

    /// Returns a run that was accepted before a start, as whoever asks for it again or waits for it finds it.
    fn restored(&self, run: &RunId) -> Result<Option<Arc<Live>>, ActError<RunError>> {
        let Some((digest, holder, view)) = self.0.store.asked(run)? else { return Ok(None) };
        let live = Arc::new(Live::new(run.clone(), digest, holder).restored());
        live.accepted(&view);
        Ok(Some(live))
    }

    /// Takes no new work and waits for what runs; what is not done by the deadline is interrupted.
    /// Returns how many runs and commands of jobs were.
    pub(crate) async fn drain(&self, limit: Duration) -> usize {
        self.0.drain.cancel();
        // Those that wait stay accepted: the next start sets them to work.
        for live in self.all_live() {
            if !live.has_turn() {
                live.stop(Stop::Leave);
            }
        }
        let is_done = tokio::time::timeout(limit, self.0.tasks.settled()).await.is_ok();
        // What goes on in the background would go on for long.
        self.0.processes.leave().await;
        if is_done {
            return 0;
        }
        let working = self.all_live();
        for live in &working {
            live.stop(Stop::Drain);
        }
        let commands = self.0.commands.drain();
        // Their ends are short writes; a disk that does not take them must not hold up the exit.
        drop(tokio::time::timeout(Duration::from_secs(5), self.0.tasks.settled()).await);
        drop(tokio::time::timeout(Duration::from_secs(5), self.0.helpers.settled()).await);
        working.len().saturating_add(commands)
    }
}
