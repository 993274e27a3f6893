//! What work may cost: a model is asked only while its run, everything that belongs together, and its agent's
//! day have enough left, whoever else asks at the same moment.
//!
//! An answer is reserved with what it will probably use, before it is asked for, and counted with what it has
//! used. So what goes on at once never has more than there is, but for the difference between the two: nobody
//! knows how long an answer gets.

mod books;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{BoxStream, StreamExt as _};
use openclaw_agents::{Detail, Input, Model, ModelError, ModelEvent, ModelRequest};
use openclaw_config::{Budget, Spending};
use openclaw_scopes::{AgentId, Caller, Principal, SessionKey};
use openclaw_sessions::{AssistantMessage, Usage, estimate_tokens};
use openclaw_store::{Started, Store, day_of};
use tokio::time::Instant;

pub(super) use self::books::{Account, Ledger};
use self::books::{Amount, Books};
use super::live::Live;
use super::{Engine, now};
use crate::roster::{Roster, Worker};
use crate::usage;

/// Output tokens that an answer probably has for which nothing is configured.
const LIKELY_OUTPUT: u64 = 1_000;

/// How long a run has been at work.
#[derive(Debug)]
struct Clock {
    live: Arc<Live>,
    began: Instant,
    /// How much of it was charged, and how much of that is stored or about to be, in milliseconds.
    marks: Mutex<(u64, u64)>,
}

impl Clock {
    fn worked(&self) -> u64 {
        let worked = self.began.elapsed().saturating_sub(self.live.paused());
        u64::try_from(worked.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a run may spend, and of what.
#[derive(Debug)]
struct Purse {
    engine: Engine,
    roster: Arc<Roster>,
    budget: Budget,
    agent: AgentId,
    run: Account,
    tree: Arc<Account>,
    /// `None` while it is only accepted.
    clock: Option<Clock>,
}

impl Drop for Purse {
    fn drop(&mut self) {
        let Some(clock) = &self.clock else { return };
        let (charged, stored) = *clock.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut books = self.engine.0.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.give_back(&self.agent, Amount::work(charged.saturating_sub(stored)));
    }
}

impl Purse {
    fn price(&self, model: &str, usage: Usage) -> Amount {
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        let cost = usage::cost(&self.roster.config, model, usage);
        let (cost, unknown) = (cost.unwrap_or_default(), u32::from(cost.is_none()));
        Amount { tokens, cost, unknown, millis: 0 }
    }

    /// Returns what a question and its answer will probably use.
    fn likely(&self, model: &str, input_tokens: u64, output_tokens: u64) -> Amount {
        self.price(model, Usage { input_tokens, output_tokens, cached_tokens: 0 })
    }

    /// Charges what was worked since the last time.
    fn tick(&self, books: &mut Books) {
        let Some(clock) = &self.clock else { return };
        let mut marks = clock.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let worked = clock.worked();
        let more = Amount::work(worked.saturating_sub(marks.0));
        marks.0 = worked;
        for account in [&self.run, &*self.tree] {
            account.change(|spent, _| *spent = spent.plus(more));
        }
        let day = books.day(&self.agent);
        *day = day.plus(more);
    }

    /// Returns what was worked, in milliseconds, since the last answer that was stored; of which the next one is about
    /// to be.
    fn worked(&self) -> u64 {
        let mut books = self.engine.0.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.tick(&mut books);
        let marks = self.clock.as_ref().map(|clock| clock.marks.lock());
        let marks = marks.map(|marks| *marks.unwrap_or_else(PoisonError::into_inner));
        marks.map_or(0, |(charged, stored)| charged.saturating_sub(stored))
    }

    /// Takes in that so much of its work is stored.
    fn stored(&self, millis: u64) {
        let Some(clock) = &self.clock else { return };
        let mut books = self.engine.0.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut marks = clock.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.1 = marks.1.saturating_add(millis);
        books.give_back(&self.agent, Amount::work(millis));
    }

    /// Whether there is any limit; the ones of a tree are those of whoever began it, for each of its runs.
    fn is_limited(&self) -> bool {
        self.budget.parts().iter().any(|(_, limit)| *limit != Spending::default())
    }

    /// Sets aside what an answer will probably use.
    fn reserve(self: &Arc<Self>, wanted: Amount) -> Result<Reservation, String> {
        let mut books = self.engine.0.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.tick(&mut books);
        let day = *books.day(&self.agent);
        let spent = if self.budget.day == Spending::default() {
            Amount::NOTHING
        } else {
            self.of_day(&self.engine.0.store)?
        };
        let parts = [
            ("run", self.run.all(), self.budget.run),
            ("tree", self.tree.all(), self.budget.tree),
            ("day", day.plus(spent), self.budget.day),
        ];
        for (part, used, limit) in parts {
            if let Some(what) = used.plus(wanted).exceeds(limit) {
                let agent = &self.agent;
                let whose = match part {
                    "run" => "the budget of one run".to_owned(),
                    "tree" => "the budget of a run and what it delegates".to_owned(),
                    _ => format!("the budget of agent `{agent}` for today"),
                };
                let today = day_of(now());
                books.told.retain(|(day, _)| *day == today);
                if books.told.insert((today, format!("{agent} {part}"))) {
                    tracing::warn!(%agent, part, "a budget is used up: {whose} is {what}");
                    let text = format!(
                        "A budget is used up: {whose} is {what}. Runs of agent `{agent}` that need more fail until \
                         there is some again. See `openclaw usage`."
                    );
                    self.engine
                        .tell_owner_soon(format!("alert:budget:{agent}:{part}:{today}"), text);
                }
                return Err(format!("{whose} is {what}"));
            }
        }
        let reserved = books.day(&self.agent);
        *reserved = reserved.plus(wanted);
        for account in [&self.run, &*self.tree] {
            account.change(|_, reserved| *reserved = reserved.plus(wanted));
        }
        Ok(Reservation { purse: Arc::clone(self), amount: wanted, is_spent: false })
    }

    fn of_day(&self, store: &Store) -> Result<Amount, String> {
        let used = store.used_today(&self.agent, now()).map_err(|error| error.to_string())?;
        let priced = used.into_iter().map(|used| Amount {
            millis: used.worked_millis,
            ..self.price(&used.model, used.usage)
        });
        Ok(priced.fold(Amount::NOTHING, Amount::plus))
    }
}

/// Something that is set aside until it is given back.
pub(super) struct Reservation {
    purse: Arc<Purse>,
    amount: Amount,
    /// Whether the run has been charged with what was really used.
    is_spent: bool,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reservation").field("amount", &self.amount).finish_non_exhaustive()
    }
}

impl Reservation {
    /// Charges the run with what an answer has used. Of the agent's day it stays set aside until the answer is
    /// stored, and counted there.
    fn spend(&mut self, used: Amount) {
        if !std::mem::replace(&mut self.is_spent, true) {
            for account in [&self.purse.run, &*self.purse.tree] {
                account.change(|spent, reserved| {
                    *spent = spent.plus(used);
                    *reserved = reserved.minus(self.amount);
                });
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.spend(Amount::NOTHING);
        let ledger = &self.purse.engine.0.ledger;
        let mut books = ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.give_back(&self.purse.agent, self.amount);
    }
}

/// A model that is asked only as long as there is enough left.
#[derive(Debug)]
pub(super) struct Metered {
    inner: Arc<dyn Model>,
    purse: Arc<Purse>,
    /// The newest answer's, until it is stored.
    newest: Arc<Mutex<Option<Reservation>>>,
}

impl Metered {
    /// Takes in that the newest answer is stored, and that so many milliseconds were worked for it: both count for its
    /// agent's day there.
    pub(super) fn stored(&self, worked_millis: u64) {
        self.purse.stored(worked_millis);
        drop(self.newest.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Model for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn input(&self) -> Input {
        self.inner.input()
    }

    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let purse = Arc::clone(&self.purse);
        let timed = move |event| match event {
            Ok(ModelEvent::Finished(message)) => {
                let worked_millis = purse.worked();
                Ok(ModelEvent::Finished(AssistantMessage { worked_millis, ..message }))
            }
            event => event,
        };
        if !self.purse.is_limited() {
            return self.inner.respond(request).map(timed).boxed();
        }
        let bytes = request.messages.iter().map(|message| message.bytes());
        let bytes = bytes.fold(request.system.len(), usize::saturating_add);
        let output = request
            .max_output_tokens
            .map_or(LIKELY_OUTPUT, |most| u64::from(most).min(LIKELY_OUTPUT));
        let input_tokens = estimate_tokens(bytes).saturating_add(request.pictures.tokens());
        let wanted = self.purse.likely(self.inner.name(), input_tokens, output);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        drop(newest.take());
        match self.purse.reserve(wanted) {
            Ok(reservation) => *newest = Some(reservation),
            Err(detail) => {
                let error = ModelError::Budget { detail: Detail::new(&detail) };
                return futures_util::stream::iter([Err(error)]).boxed();
            }
        }
        drop(newest);
        let (purse, newest) = (Arc::clone(&self.purse), Arc::clone(&self.newest));
        let charge = move |event: &Result<ModelEvent, ModelError>| {
            let Ok(ModelEvent::Finished(message)) = event else { return };
            let used = purse.price(&message.model, message.usage);
            let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reservation) = &mut *newest {
                reservation.spend(used);
            }
        };
        self.inner.respond(request).inspect(charge).map(timed).boxed()
    }
}

impl Engine {
    /// Returns the account of what a run belongs to that delegates: whoever it delegates to keeps it, also when
    /// the run has ended before that one begins.
    pub(super) fn tree_of(&self, caller: &Caller) -> Option<(Arc<Account>, Spending)> {
        let Principal::Run { run, .. } = caller.actor() else { return None };
        let (root, session) = self.0.store.root_of(run).ok().flatten()?;
        Some((self.0.ledger.tree(&root), self.limit_of(&session)))
    }

    /// Sets aside what the first question of a task will probably use, before there is a run for it; says which budget
    /// there would be too little of.
    pub(super) fn reserve_for(
        &self,
        worker: &Worker,
        tree: Option<(Arc<Account>, Spending)>,
        Task { model, bytes, max_tokens }: Task<'_>,
    ) -> Result<Option<Reservation>, String> {
        let mut budget = worker.agent.budget;
        budget.run.tokens = budget.run.tokens.into_iter().chain(max_tokens).min();
        let (tree, limit) = tree.unwrap_or_else(|| (Arc::new(Account::new()), budget.tree));
        budget.tree = limit;
        let agent = worker.agent.id.clone();
        let (engine, roster) = (self.clone(), self.roster());
        let purse = Purse { engine, roster, budget, agent, run: Account::new(), tree, clock: None };
        if !purse.is_limited() {
            return Ok(None);
        }
        let input = estimate_tokens(bytes).saturating_add(worker.overhead());
        let wanted = purse.likely(model, input, LIKELY_OUTPUT);
        Arc::new(purse).reserve(wanted).map(Some)
    }

    /// Returns the model for one run, which is asked only as long as there is enough left.
    pub(super) fn metered(
        &self,
        inner: Arc<dyn Model>,
        worker: &Worker,
        started: &Started,
        live: &Arc<Live>,
    ) -> Metered {
        let run = &started.view.run;
        let of_job = started.job.as_ref().map(|job| job.max_tokens).filter(|tokens| *tokens > 0);
        let of_task = started.delegated.as_ref().and_then(|given| given.max_tokens);
        let given = of_task.into_iter().chain(of_job);
        let mut budget = worker.agent.budget;
        // What a task was given can only be less.
        let of_run = budget.run.tokens.into_iter().chain(given).min();
        budget.run.tokens = of_run;
        let root = match started.delegated {
            None => Ok(None),
            Some(_) => self.0.store.root_of(run),
        };
        let root = root.unwrap_or_else(|error| {
            tracing::error!(run.id = %run, %error, "what a run belongs to is unknown");
            None
        });
        let root = match root {
            None => run.clone(),
            // What belongs together is bounded by the agent that began it, whoever else works on it.
            Some((root, session)) => {
                budget.tree = self.limit_of(&session);
                root
            }
        };
        let clock =
            Clock { live: Arc::clone(live), began: Instant::now(), marks: Mutex::default() };
        let purse = Purse {
            engine: self.clone(),
            roster: self.roster(),
            budget,
            agent: worker.agent.id.clone(),
            run: Account::new(),
            tree: self.0.ledger.tree(&root),
            clock: Some(clock),
        };
        // What it had used before it was interrupted counts.
        let before = purse.price(inner.name(), started.view.usage);
        purse.run.change(|spent, _| *spent = spent.plus(before));
        // What was set aside for its first question is given back with that.
        let newest = Arc::new(Mutex::new(live.take_reserved()));
        Metered { inner, purse: Arc::new(purse), newest }
    }

    /// Returns what everything together may spend that a run of this conversation begins.
    fn limit_of(&self, session: &SessionKey) -> Spending {
        self.worker_of(session).map(|worker| worker.agent.budget.tree).unwrap_or_default()
    }
}

/// What is to be done, as far as it says what that will cost.
pub(super) struct Task<'a> {
    pub(super) model: &'a str,
    /// How long its text is.
    pub(super) bytes: usize,
    /// How much a run of it may use.
    pub(super) max_tokens: Option<u64>,
}
