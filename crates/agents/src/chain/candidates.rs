//! The models that a request was not put to yet, and which of them is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::health::Health;
use crate::model::{Model, ModelError, Retry};

/// The models that are left, in the chain's order.
pub(super) struct Candidates(VecDeque<Candidate>);

struct Candidate {
    model: Arc<dyn Model>,
    /// Whether it was told already that others are asked before it.
    is_told: bool,
}

/// The model that is asked next.
pub(super) struct Choice {
    pub(super) model: Arc<dyn Model>,
    /// When it was chosen.
    pub(super) since: Instant,
    /// Those that it is asked before although the chain names them first; not told yet.
    pub(super) passed: VecDeque<Retry>,
}

impl Candidates {
    pub(super) fn new(models: &[Arc<dyn Model>]) -> Self {
        let candidate = |model| Candidate { model: Arc::clone(model), is_told: false };
        Self(models.iter().map(candidate).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops those that would only be asked if others failed; a model that was passed over had its
    /// turn before them.
    pub(super) fn keep_passed(&mut self) {
        self.0.retain(|candidate| candidate.is_told);
    }

    /// Takes the first model that does not cool down, else the one that has cooled down first.
    pub(super) fn choose(&mut self, health: &Health, now: Instant) -> Option<Choice> {
        let cool_downs: Vec<_> =
            self.0.iter().map(|candidate| health.cool_down(candidate.model.name(), now)).collect();
        // None is less than any end, and of equals the first is taken.
        let ends = cool_downs.iter().map(|cool_down| cool_down.map(|it| it.until));
        let (place, _) = ends.enumerate().min_by_key(|(_, end)| *end)?;
        let Candidate { model, .. } = self.0.remove(place)?;
        let mut passed = VecDeque::new();
        for (candidate, cool_down) in self.0.iter_mut().zip(cool_downs).take(place) {
            let Some(cool_down) = cool_down.filter(|_| !candidate.is_told) else { continue };
            candidate.is_told = true;
            let remaining = cool_down.until.saturating_duration_since(now);
            passed.push_back(Retry {
                delay: Duration::ZERO,
                error: ModelError::CoolingDown { reason: cool_down.reason, remaining },
                next: model.name().to_owned(),
            });
        }
        Some(Choice { model, since: now, passed })
    }
}
