//! Who has spent and reserved what, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use openclaw_config::{Dollars, Spending};
use openclaw_scopes::{AgentId, RunId};

/// Tokens, what they cost, and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount {
    pub(super) tokens: u64,
    pub(super) cost: Dollars,
    /// How many of the amounts in it have a cost that is not known.
    pub(super) unknown: u32,
    /// Work, in milliseconds.
    pub(super) millis: u64,
}

impl Amount {
    pub(super) const NOTHING: Self = Self { tokens: 0, cost: Dollars(0), unknown: 0, millis: 0 };

    pub(super) const fn work(millis: u64) -> Self {
        Self { millis, ..Self::NOTHING }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost.plus(other.cost),
            unknown: self.unknown.saturating_add(other.unknown),
            millis: self.millis.saturating_add(other.millis),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            cost: Dollars(self.cost.0.saturating_sub(other.cost.0)),
            unknown: self.unknown.saturating_sub(other.unknown),
            millis: self.millis.saturating_sub(other.millis),
        }
    }

    /// Says which limit there would be too little for, if there is one.
    pub(super) fn exceeds(self, limit: Spending) -> Option<String> {
        if let Some(tokens) = limit.tokens.filter(|tokens| self.tokens > *tokens) {
            return Some(format!("{tokens} tokens, and {} would be needed", self.tokens));
        }
        let worked = self.millis / 1_000;
        if let Some(seconds) = limit.seconds.filter(|seconds| worked >= *seconds) {
            return Some(format!("{seconds} seconds, and {worked} were worked"));
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
pub(in crate::engine) struct Account(Mutex<(Amount, Amount)>);

impl Account {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Amount::NOTHING, Amount::NOTHING)))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Amount, &mut Amount)) {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (spent, reserved) = &mut *account;
        change(spent, reserved);
    }

    pub(super) fn all(&self) -> Amount {
        let account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account.0.plus(account.1)
    }
}

/// Who has spent and reserved what.
#[derive(Debug, Default)]
pub(in crate::engine) struct Ledger(pub(super) Mutex<Books>);

#[derive(Debug, Default)]
pub(super) struct Books {
    /// By the run from which everything came. Its runs keep them, from their acceptance to their end.
    trees: BTreeMap<RunId, Weak<Account>>,
    /// At how many trees those are swept out that nobody keeps any more.
    full: usize,
    /// What is reserved of an agent's day, or used and not stored.
    days: BTreeMap<AgentId, Amount>,
    /// Of whom it was said already that it is used up, on which day.
    pub(super) told: BTreeSet<(i64, String)>,
}

impl Books {
    pub(super) fn day(&mut self, agent: &AgentId) -> &mut Amount {
        self.days.entry(agent.clone()).or_insert(Amount::NOTHING)
    }

    /// Has something of an agent's day not be set aside any more.
    pub(super) fn give_back(&mut self, agent: &AgentId, amount: Amount) {
        if let Some(reserved) = self.days.get_mut(agent) {
            *reserved = reserved.minus(amount);
        }
    }
}

impl Ledger {
    pub(super) fn tree(&self, root: &RunId) -> Arc<Account> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_as_if_it_had_never_been_taken() {
        let known = Amount { tokens: 5, cost: Dollars(7), unknown: 0, millis: 0 };
        let unknown = Amount { tokens: 9, cost: Dollars(0), unknown: 1, millis: 0 };
        let limit = Spending { cost: Some(Dollars(7)), ..Spending::default() };
        let both = Amount::NOTHING.plus(known).plus(unknown);
        assert!(both.exceeds(limit).unwrap().contains("price of a model is not configured"));
        assert_eq!(both.minus(unknown).exceeds(limit), None);
        assert!(both.minus(unknown).plus(known).exceeds(limit).is_some());
        let tokens = |most| Spending { tokens: Some(most), ..Spending::default() };
        assert_eq!(both.exceeds(tokens(14)), None);
        assert!(both.exceeds(tokens(13)).is_some());
        // Of time, what is used up is used up: how much more is wanted nobody knows.
        let time = Spending { seconds: Some(2), ..Spending::default() };
        assert_eq!(Amount::work(1_999).exceeds(time), None);
        let what = Amount::work(2_000).exceeds(time).unwrap();
        assert_eq!(what, "2 seconds, and 2 were worked");
    }
}
