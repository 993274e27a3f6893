//! Driving one run from its turn to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_agents::Model;
use openclaw_config::ModelName;
use openclaw_sessions::{Projection, Record, RunStatus};
use openclaw_store::{
    ActError, Ending, FoundAt, Interrupted, RunError, RunView, Started, StoreError, Ticket,
};

use super::adapters::FencedJournal;
use super::announce::is_of_event;
use super::cache::Place;
use super::compact::RECORDS_READ;
use super::ended::Ended;
use super::live::{Live, Stop};
use super::{Engine, now};
use crate::roster::Worker;

/// How a run begins.
pub(super) enum Begin {
    /// It waits for its turn.
    InTurn(Ticket),
    /// It began with its acceptance.
    Now(Box<Started>),
}

/// The longest wait between two attempts to write the end of a run.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Engine {
    /// Drives a run to its end, whatever happens on the way.
    pub(super) async fn drive(&self, live: Arc<Live>, worker: Arc<Worker>, begin: Begin) {
        let session = match &begin {
            Begin::Now(started) => started.view.session.clone(),
            Begin::InTurn(ticket) => ticket.session.clone(),
        };
        let view = match begin {
            Begin::Now(started) => self.work(&live, &worker, *started).await,
            Begin::InTurn(ticket) => self.wait_and_work(&live, &worker, ticket).await,
        };
        // First out of the list, then told: whoever is told finds the end in the store.
        self.dismiss(&live);
        let has_ended = view.is_some();
        if view.as_ref().is_some_and(|view| !view.reply_to.is_empty()) {
            self.0.outbox.notify_waiters();
        }
        live.end(view);
        if has_ended {
            self.after(&session).await;
        }
    }

    async fn wait_and_work(
        &self,
        live: &Arc<Live>,
        worker: &Worker,
        ticket: Ticket,
    ) -> Option<RunView> {
        tokio::select! {
            biased;
            into = live.until_merged() => return self.merged(live, into?).await,
            () = self.until_turn(live) => {}
            () = live.cancel().cancelled() => {}
        }
        self.until_quiet(live).await;
        // Its turn may have come while the gateway stops: it stays accepted all the same.
        if matches!(live.stopped(), Some(Stop::Aside | Stop::Leave | Stop::Drain)) {
            return None;
        }
        let run = ticket.run.clone();
        let started = self.0.store.start_run(ticket, now()).await;
        if let Some(held) = live.held() {
            held.begin();
        }
        match started {
            Ok(Some(started)) => {
                self.merge(&started.merged, live);
                self.work(live, worker, started).await
            }
            // It was ended while it waited.
            Ok(None) => self.stored(live),
            Err(ActError::Failed(error @ RunError::GrantEnded(_))) => {
                let ended = self.0.store.end_waiting_run(run, error.to_string(), now()).await;
                if let Err(error) = ended {
                    tracing::error!(run.id = %live.run(), ?error, "a waiting run could not be ended");
                }
                self.stored(live)
            }
            Err(error) => {
                tracing::error!(run.id = %run, ?error, "a run could not start");
                None
            }
        }
    }

    pub(super) fn stored(&self, live: &Live) -> Option<RunView> {
        match self.0.store.run(live.run()) {
            Ok(view) => view,
            Err(error) => {
                tracing::error!(run.id = %live.run(), %error, "a run could not be read");
                None
            }
        }
    }

    async fn work(
        &self,
        live: &Arc<Live>,
        worker: &Worker,
        mut started: Started,
    ) -> Option<RunView> {
        let mut projection = match self.history(live, &started) {
            Ok(projection) => projection,
            Err(error) => {
                let ending = Ended::failed(format!("the history could not be read: {error}"));
                return self.finish(live, &started, ending, None).await;
            }
        };
        projection.push(&Record::UserMessage { text: started.message.clone() });
        let model = self.metered(self.model_of(worker, &started), worker, &started, live);
        let journal = FencedJournal {
            fence: &started.fence,
            store: &self.0.store,
            usage: Arc::default(),
            written: Mutex::new(Vec::new()),
            engine: self,
            model: &model,
            live,
        };
        let mut context = started.context;
        let shown = (&mut projection, &mut context);
        let outcome = self.answer(worker, &started, shown, &journal).await;
        let ended = Ended::of(outcome, live.stopped());
        journal.take_written().iter().for_each(|record| projection.push(record));
        started.context = context;
        self.finish(live, &started, ended, Some(projection)).await
    }

    /// Rebuilds what was said before this run.
    fn history(&self, live: &Live, started: &Started) -> Result<Projection, StoreError> {
        let before = started.entry.saturating_sub(1);
        if before == 0 {
            return Ok(Projection::default());
        }
        let place = Place { generation: started.generation, context: started.context, to: before };
        if let Some(projection) = self.0.cache.take(&started.view.session, place) {
            return Ok(projection);
        }
        tracing::debug!(run.id = %live.run(), "the history is read again");
        let records = self.0.store.recent(&started.fence, started.entry, RECORDS_READ)?;
        let mut projection = Projection::default();
        records.iter().for_each(|entry| projection.push(&entry.record));
        Ok(projection)
    }

    /// Returns the model that answers: of the task, of the conversation, else of the agent. One that is not
    /// configured any more gives way to the agent's.
    fn model_of(&self, worker: &Worker, started: &Started) -> Arc<dyn Model> {
        let of_task = started.delegated.as_ref().map(|given| given.model.as_str());
        let of_job = started.job.as_ref().map(|given| given.model.as_str());
        // What an event leads to is answered by the model that looks around, where there is one for that.
        let of_event =
            worker.agent.heartbeat.as_ref().and_then(|heartbeat| heartbeat.model.as_ref());
        let of_event = of_event.filter(|_| is_of_event(&started.view.run));
        let of_event = of_event.map(ToString::to_string);
        let of_event = of_event.as_deref();
        let chosen = of_task.or(of_job).or(of_event).filter(|name| !name.is_empty());
        self.chosen_model(worker, chosen.unwrap_or(&started.model))
    }

    /// Returns the model of that name, and the agent's when none was chosen or it is not configured any more.
    pub(super) fn chosen_model(&self, worker: &Worker, named: &str) -> Arc<dyn Model> {
        if named.is_empty() {
            return Arc::clone(&worker.model);
        }
        let chosen = ModelName::parse(named).ok().and_then(|name| self.roster().chosen(&name));
        chosen.unwrap_or_else(|| {
            let agent = &worker.agent.id;
            tracing::warn!(%agent, model = named, "a model is not configured any more");
            Arc::clone(&worker.model)
        })
    }

    /// Writes the end of a run, as often as it takes: until then its session waits.
    async fn finish(
        &self,
        live: &Live,
        started: &Started,
        ended: Ended,
        projection: Option<Projection>,
    ) -> Option<RunView> {
        let at = now();
        let ending = Ending {
            terminal: ended.terminal(started.running),
            answer: ended.answer,
            error: ended.error,
            usage: ended.usage,
            send_rules: self.roster().send_rules.clone(),
        };
        let is_interrupted = ending.terminal.status() == RunStatus::Interrupted;
        let mut wait = Duration::from_millis(100);
        loop {
            let written = if is_interrupted {
                let is_aside = live.stopped() == Some(Stop::Aside);
                let found_at = if is_aside { FoundAt::Approval } else { FoundAt::Work };
                self.0.store.interrupt_run(&started.fence, ending.usage, found_at, at).await
            } else {
                let written = self.0.store.end_run(&started.fence, ending.clone(), at).await;
                written.map(Interrupted::Ended)
            };
            match written {
                // It waits for the next start.
                Ok(Interrupted::Suspended) => return None,
                Ok(Interrupted::Ended(_)) if is_interrupted => return self.stored(live),
                Ok(Interrupted::Ended(entry)) => {
                    if started.job.is_some() {
                        // Another instant of it may wait for that, or this one is tried again.
                        self.0.jobs.notify_waiters();
                    }
                    if let Some(mut projection) = projection {
                        if let Some(answer) = &ending.answer {
                            projection.push(&Record::AssistantMessage(answer.clone()));
                        }
                        let status = ending.terminal.status();
                        let error = (!ending.error.is_empty()).then(|| ending.error.clone());
                        projection.push(&Record::Final { status, error });
                        let place = Place {
                            generation: started.generation,
                            context: started.context,
                            to: entry,
                        };
                        self.0.cache.keep(started.view.session.clone(), place, projection);
                    }
                    return Some(self.as_told(live, started.view.ended(&ending, at)));
                }
                Err(ActError::Store(StoreError::Closed)) => return None,
                Err(ActError::Failed(_) | ActError::Denied(_)) => {
                    tracing::warn!(run.id = %live.run(), "the run was superseded");
                    return self.stored(live);
                }
                Err(ActError::Store(error)) => {
                    tracing::error!(run.id = %live.run(), %error, "the end of a run could not be written");
                    if matches!(live.stopped(), Some(Stop::Aside | Stop::Drain)) {
                        return None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = live.cancel().cancelled(), if live.stopped().is_none() => {}
                    }
                    wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                }
            }
        }
    }
}
