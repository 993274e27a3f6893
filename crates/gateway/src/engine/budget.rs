//! What work may cost: a model is asked only while its run, everything that belongs together, and its agent's
//! day have enough left, whoever else asks at the same moment.
//!
//! An answer is reserved with what it will probably use, before it is asked for, and counted with what it has
//! used. So what goes on at once never has more than there is, but for the difference between the two: nobody
//! knows how long an answer gets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::stream::{BoxStream, StreamExt as _};
use openclaw_agents::{Detail, Input, Model, ModelError, ModelEvent, ModelRequest};
use openclaw_config::{Budget, Dollars, Spending};
use openclaw_scopes::{AgentId, Caller, Principal, RunId};
use openclaw_sessions::{Usage, estimate_tokens};
use openclaw_store::{Started, Store, day_of};

use super::{Engine, now};
use crate::roster::{Roster, Worker};
use crate::usage;

/// Output tokens that an answer probably has for which nothing is configured.
const LIKELY_OUTPUT: u64 = 1_000;

/// Tokens and what they cost.
#[derive(Clone, Copy, Debug)]
struct Amount {
    tokens: u64,
    cost: Dollars,
    /// How many of the amounts in it have a cost that is not known.
    unknown: u32,
}

impl Amount {
    const NOTHING: Self = Self { tokens: 0, cost: Dollars(0), unknown: 0 };

    fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost.plus(other.cost),
            unknown: self.unknown.saturating_add(other.unknown),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost: Dollars(self.cost.0.saturating_sub(other.cost.0)),
            unknown: self.unknown.saturating_sub(other.unknown),
        }
    }

    /// Says which limit there would be too little for, if there is one.
    fn exceeds(self, limit: Spending) -> Option<String> {
        if let Some(tokens) = limit.tokens.filter(|tokens| self.tokens > *tokens) {
            return Some(format!("{tokens} tokens, and {} would be needed", self.tokens));
        }
        let limit = limit.cost?;
        if self.unknown > 0 {
            return Some(format!("${limit}, and the price of a model is not configured"));
        }
        (self.cost > limit).then(|| format!("${limit}, and ${} would be needed", self.cost))
    }
}

/// What belongs together has spent, and is about to: one run, or a run and all that it delegates.
#[derive(Debug)]
pub(super) struct Account(Mutex<(Amount, Amount)>);

impl Account {
    fn new() -> Self {
        Self(Mutex::new((Amount::NOTHING, Amount::NOTHING)))
    }

    fn change(&self, change: impl FnOnce(&mut Amount, &mut Amount)) {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (spent, reserved) = &mut *account;
        change(spent, reserved);
    }

    fn all(&self) -> Amount {
        let account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account.0.plus(account.1)
    }
}

/// Who has spent and reserved what.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    /// By the run from which everything came. Its runs keep them, from their acceptance to their end.
    trees: BTreeMap<RunId, Weak<Account>>,
    /// At how many trees those are swept out that nobody keeps any more.
    full: usize,
    /// What is reserved of an agent's day.
    days: BTreeMap<AgentId, Amount>,
    /// Of whom it was said already that it is used up, on which day.
    told: BTreeSet<(i64, String)>,
}

impl Ledger {
    fn tree(&self, root: &RunId) -> Arc<Account> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = books.trees.get(root).and_then(Weak::upgrade) {
            return account;
        }
        if books.trees.len() >= books.full {
            books.trees.retain(|_, account| account.strong_count() > 0);
            // Each sweep is paid for by as many that came since the last one.
            books.full = books.trees.len().saturating_mul(2).max(64);
        }
        let account = Arc::new(Account::new());
        books.trees.insert(root.clone(), Arc::downgrade(&account));
        account
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
}

impl Purse {
    fn price(&self, model: &str, usage: Usage) -> Amount {
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        let cost = usage::cost(&self.roster.config, model, usage);
        Amount { tokens, cost: cost.unwrap_or_default(), unknown: u32::from(cost.is_none()) }
    }

    /// Whether there is any limit; the ones of a tree are those of whoever began it, for each of its runs.
    fn is_limited(&self) -> bool {
        let none = Spending { tokens: None, cost: None };
        self.budget.parts().iter().any(|(_, limit)| *limit != none)
    }

    /// Sets aside what an answer will probably use.
    fn reserve(self: &Arc<Self>, wanted: Amount) -> Result<Reservation, String> {
        let mut books = self.engine.0.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = books.days.get(&self.agent).copied().unwrap_or(Amount::NOTHING);
        let spent = match self.budget.day {
            Spending { tokens: None, cost: None } => Amount::NOTHING,
            _ => self.of_day(&self.engine.0.store)?,
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
        let reserved = books.days.entry(self.agent.clone()).or_insert(Amount::NOTHING);
        *reserved = reserved.plus(wanted);
        for account in [&self.run, &*self.tree] {
            account.change(|_, reserved| *reserved = reserved.plus(wanted));
        }
        Ok(Reservation { purse: Arc::clone(self), amount: wanted, is_spent: false })
    }

    fn of_day(&self, store: &Store) -> Result<Amount, String> {
        let used = store.used_today(&self.agent, now()).map_err(|error| error.to_string())?;
        let priced = used.into_iter().map(|(model, usage)| self.price(&model, usage));
        Ok(priced.fold(Amount::NOTHING, Amount::plus))
    }
}

/// Something that is set aside until it is given back.
struct Reservation {
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
        if let Some(reserved) = books.days.get_mut(&self.purse.agent) {
            *reserved = reserved.minus(self.amount);
        }
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
    /// Takes in that the newest answer is stored: it counts for its agent's day there.
    pub(super) fn stored(&self) {
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
        if !self.purse.is_limited() {
            return self.inner.respond(request);
        }
        let bytes = request.messages.iter().map(|message| message.bytes());
        let bytes = bytes.fold(request.system.len(), usize::saturating_add);
        let output = request
            .max_output_tokens
            .map_or(LIKELY_OUTPUT, |most| u64::from(most).min(LIKELY_OUTPUT));
        let input_tokens = estimate_tokens(bytes).saturating_add(request.pictures.tokens());
        let likely = Usage { input_tokens, output_tokens: output, cached_tokens: 0 };
        let wanted = self.purse.price(self.inner.name(), likely);
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
        self.inner.respond(request).inspect(charge).boxed()
    }
}

impl Engine {
    /// Returns the account of what a run belongs to that delegates: whoever it delegates to keeps it, also when
    /// the run has ended before that one begins.
    pub(super) fn tree_of(&self, caller: &Caller) -> Option<Arc<Account>> {
        let Principal::Run { run, .. } = caller.actor() else { return None };
        let (root, _session) = self.0.store.root_of(run).ok().flatten()?;
        Some(self.0.ledger.tree(&root))
    }

    /// Returns the model for one run, which is asked only as long as there is enough left.
    pub(super) fn metered(
        &self,
        inner: Arc<dyn Model>,
        worker: &Worker,
        started: &Started,
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
                let worker = self.worker_of(&session);
                budget.tree = worker.map(|worker| worker.agent.budget.tree).unwrap_or_default();
                root
            }
        };
        let purse = Purse {
            engine: self.clone(),
            roster: self.roster(),
            budget,
            agent: worker.agent.id.clone(),
            run: Account::new(),
            tree: self.0.ledger.tree(&root),
        };
        // What it had used before it was interrupted counts.
        let before = purse.price(inner.name(), started.view.usage);
        purse.run.change(|spent, _| *spent = spent.plus(before));
        Metered { inner, purse: Arc::new(purse), newest: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_as_if_it_had_never_been_taken() {
        let known = Amount { tokens: 5, cost: Dollars(7), unknown: 0 };
        let unknown = Amount { tokens: 9, cost: Dollars(0), unknown: 1 };
        let limit = Spending { tokens: None, cost: Some(Dollars(7)) };
        let both = Amount::NOTHING.plus(known).plus(unknown);
        assert!(both.exceeds(limit).unwrap().contains("price of a model is not configured"));
        assert_eq!(both.minus(unknown).exceeds(limit), None);
        assert!(both.minus(unknown).plus(known).exceeds(limit).is_some());
        assert_eq!(both.exceeds(Spending { tokens: Some(14), cost: None }), None);
        assert!(both.exceeds(Spending { tokens: Some(13), cost: None }).is_some());
    }
}
