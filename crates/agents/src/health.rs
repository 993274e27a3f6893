//! Which models and providers have just failed, and how long others leave them alone.
//!
//! ```text
//!  model     ── gives up, limited or overloaded ──▶ 30 s ──▶ 60 s ──▶ 5 min ──▶ 5 min …
//!  provider  ── refuses the key or the account ──▶ 10 min
//!  both      ── an answer comes to its end ──▶ as if nothing had been
//! ```
//!
//! Where a provider has several keys, each of them is such a provider with models of its own.
//!
//! **Invariant:** what a single conversation may be to blame for is no fault of a model.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Model, ModelError};

/// How long a provider is left alone that refuses the key or the account.
const PROVIDER_COOL_DOWN: Duration = Duration::from_secs(600);
/// How many failures are kept in mind.
///
/// Reason: far more than a configuration names, and sessions may choose further models.
const MAX_MARKS: usize = 256;

/// How models and providers did lately, for all chains of one gateway.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<Box<str>, Mark>>);

/// The last failure of a model, or of a provider: by `provider/model`, or by `provider`; and after a line feed, which no
/// name has, the key under which it was asked, where there are several.
#[derive(Clone, Copy, Debug)]
struct Mark {
    give_ups: u32,
    reason: &'static str,
    since: Instant,
    until: Instant,
}

/// Why a model is better left alone, and until when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CoolDown {
    /// The stable name of the failure.
    pub(crate) reason: &'static str,
    /// When it ends.
    pub(crate) until: Instant,
}

/// What a failure tells about.
enum Fault {
    /// The model, for every conversation.
    Model,
    /// The provider, for all of its models.
    Provider,
    /// Nothing but this one request, or nothing for sure.
    Request,
}

impl Health {
    /// Returns the cool-down of a model or its provider, whichever ends later.
    pub(crate) fn cool_down(&self, asked: Asked<'_>, now: Instant) -> Option<CoolDown> {
        let marks = self.marks();
        [asked.model(), asked.provider()]
            .iter()
            .filter_map(|key| marks.get(&**key))
            .filter(|mark| now < mark.until)
            .max_by_key(|mark| mark.until)
            .map(|mark| CoolDown { reason: mark.reason, until: mark.until })
    }

    /// Takes note that a model, asked since `since`, was given up.
    ///
    /// What began before a cool-down and fails during it is the same failure, seen twice.
    pub(crate) fn on_give_up(
        &self,
        asked: Asked<'_>,
        error: &ModelError,
        since: Instant,
        now: Instant,
    ) {
        let (key, length): (Cow<'_, str>, fn(u32) -> Duration) = match fault(error) {
            Fault::Model => (asked.model(), model_cool_down),
            Fault::Provider => (asked.provider(), |_| PROVIDER_COOL_DOWN),
            Fault::Request => return,
        };
        let mut marks = self.marks();
        let before = marks.get(&*key).copied();
        if before.is_some_and(|mark| since < mark.since && now < mark.until) {
            return;
        }
        let give_ups = before.map_or(0, |mark| mark.give_ups).saturating_add(1);
        if before.is_none() && marks.len() >= MAX_MARKS {
            let first = marks.iter().min_by_key(|(_, mark)| mark.until);
            let first = first.map(|(key, _)| key.clone());
            first.and_then(|key| marks.remove(&key));
        }
        let until = now + length(give_ups);
        marks.insert(key.into(), Mark { give_ups, reason: error.name(), since: now, until });
    }

    /// Takes note that a model answered to the end: it and its provider work.
    pub fn on_answer(&self, model: &dyn Model) {
        self.answered(Asked::of(model));
    }

    fn answered(&self, asked: Asked<'_>) {
        let mut marks = self.marks();
        marks.remove(&*asked.model());
        marks.remove(&*asked.provider());
    }

    /// Forgets all of the providers that are not what they were, and of their models.
    pub fn retain(&self, mut is_same: impl FnMut(&str) -> bool) {
        self.marks().retain(|key, _| is_same(provider_of(key)));
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model, and under which of its provider's keys it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    name: &'a str,
    profile: &'a str,
}

impl<'a> Asked<'a> {
    /// A model.
    pub(crate) fn of(model: &'a dyn Model) -> Self {
        Self { name: model.name(), profile: model.profile() }
    }

    fn model(self) -> Cow<'a, str> {
        self.under(self.name)
    }

    fn provider(self) -> Cow<'a, str> {
        self.under(provider_of(self.name))
    }

    fn under(self, what: &'a str) -> Cow<'a, str> {
        match self.profile {
            "" => Cow::Borrowed(what),
            profile => Cow::Owned(format!("{what}\n{profile}")),
        }
    }
}

/// Returns the provider's id of what a failure is noted for.
fn provider_of(noted: &str) -> &str {
    noted.split(['/', '\n']).next().unwrap_or(noted)
}

const fn model_cool_down(give_ups: u32) -> Duration {
    Duration::from_secs(match give_ups {
        0 | 1 => 30,
        2 => 60,
        _ => 300,
    })
}

const fn fault(error: &ModelError) -> Fault {
    match error {
        ModelError::Auth { .. } | ModelError::Billing { .. } => Fault::Provider,
        ModelError::Overloaded { .. } | ModelError::RateLimited { .. } => Fault::Model,
        ModelError::ContextOverflow { .. }
        | ModelError::Budget { .. }
        | ModelError::CoolingDown { .. }
        | ModelError::InvalidRequest { .. }
        | ModelError::ModelNotFound { .. }
        | ModelError::Network { .. }
        | ModelError::Protocol { .. }
        | ModelError::Timeout { .. } => Fault::Request,
    }
}

#[cfg(test)]
mod tests;
