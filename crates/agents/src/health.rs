//! Which models and providers have just failed, and how long others leave them alone.
//!
//! ```text
//!  model     ── gives up, limited or overloaded ──▶ 30 s ──▶ 60 s ──▶ 5 min ──▶ 5 min …
//!  provider  ── refuses the key or the account ──▶ 10 min
//!  both      ── an answer comes to its end ──▶ as if nothing had been
//! ```
//!
//! **Invariant:** what a single conversation may be to blame for is no fault of a model.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::ModelError;

/// How long a provider is left alone that refuses the key or the account.
const PROVIDER_COOL_DOWN: Duration = Duration::from_secs(600);
/// How many failures are kept in mind.
///
/// Reason: far more than a configuration names, and sessions may choose further models.
const MAX_MARKS: usize = 256;

/// How models and providers did lately, for all chains of one gateway.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<Box<str>, Mark>>);

/// The last failure of a model, or of a provider: by `provider/model`, or by `provider`.
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
    pub(crate) fn cool_down(&self, model: &str, now: Instant) -> Option<CoolDown> {
        let marks = self.marks();
        [model, provider_of(model)]
            .into_iter()
            .filter_map(|key| marks.get(key))
            .filter(|mark| now < mark.until)
            .max_by_key(|mark| mark.until)
            .map(|mark| CoolDown { reason: mark.reason, until: mark.until })
    }

    /// Takes note that a model, asked since `asked`, was given up.
    ///
    /// What began before a cool-down and fails during it is the same failure, seen twice.
    pub(crate) fn on_give_up(&self, model: &str, error: &ModelError, asked: Instant, now: Instant) {
        let (key, length): (&str, fn(u32) -> Duration) = match fault(error) {
            Fault::Model => (model, model_cool_down),
            Fault::Provider => (provider_of(model), |_| PROVIDER_COOL_DOWN),
            Fault::Request => return,
        };
        let mut marks = self.marks();
        let before = marks.get(key).copied();
        if before.is_some_and(|mark| asked < mark.since && now < mark.until) {
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
    pub fn on_answer(&self, model: &str) {
        let mut marks = self.marks();
        marks.remove(model);
        marks.remove(provider_of(model));
    }

    /// Forgets all of the providers that are not what they were, and of their models.
    pub fn retain(&self, mut is_same: impl FnMut(&str) -> bool) {
        self.marks().retain(|key, _| is_same(provider_of(key)));
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the part of `provider/model` before the slash; a provider's own id has none.
fn provider_of(model: &str) -> &str {
    model.split_once('/').map_or(model, |(provider, _)| provider)
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
