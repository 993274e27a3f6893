//! The models that a request was not put to yet, and which of them is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::health::{Asked, Health};
use crate::model::{Model, ModelError, Retry};

/// The models that are left, in the chain's order.
pub(super) struct Candidates {
    left: VecDeque<Candidate>,
    /// Whether the newest model was asked under another key already, for lack of room under the first.
    is_rotated: bool,
    newest: Option<Box<str>>,
}

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
        Self { left: models.iter().map(candidate).collect(), is_rotated: false, newest: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Drops those that would only be asked if others failed; a model that was passed over had its
    /// turn before them.
    pub(super) fn keep_passed(&mut self) {
        self.left.retain(|candidate| candidate.is_told);
    }

    /// Leaves out the other keys of a model that was given up, as far as they would not help: a key that is refused says
    /// nothing of the others, and where there is no room under one there may be under another, which is tried once
    /// (`runtime.md` §2.8 of the reference).
    pub(super) fn after(&mut self, model: &dyn Model, error: &ModelError) {
        let helps = match error {
            ModelError::Auth { .. } | ModelError::Billing { .. } => true,
            ModelError::Overloaded { .. } | ModelError::RateLimited { .. } => {
                !std::mem::replace(&mut self.is_rotated, true)
            }
            ModelError::Budget { .. }
            | ModelError::ContextOverflow { .. }
            | ModelError::CoolingDown { .. }
            | ModelError::InvalidRequest { .. }
            | ModelError::ModelNotFound { .. }
            | ModelError::Network { .. }
            | ModelError::Protocol { .. }
            | ModelError::Timeout { .. } => false,
        };
        if !helps {
            self.left.retain(|candidate| candidate.model.name() != model.name());
        }
    }

    /// Takes the first model that does not cool down, else the one that has cooled down first.
    pub(super) fn choose(&mut self, health: &Health, now: Instant) -> Option<Choice> {
        let cool_downs: Vec<_> = self
            .left
            .iter()
            .map(|candidate| health.cool_down(Asked::of(&*candidate.model), now))
            .collect();
        // None is less than any end, and of equals the first is taken.
        let ends = cool_downs.iter().map(|cool_down| cool_down.map(|it| it.until));
        let (place, _) = ends.enumerate().min_by_key(|(_, end)| *end)?;
        let Candidate { model, .. } = self.left.remove(place)?;
        if self.newest.as_deref() != Some(model.name()) {
            (self.newest, self.is_rotated) = (Some(model.name().into()), false);
        }
        let mut passed = VecDeque::new();
        for (candidate, cool_down) in self.left.iter_mut().zip(cool_downs).take(place) {
            let Some(cool_down) = cool_down.filter(|_| !candidate.is_told) else { continue };
            if candidate.model.name() == model.name() {
                // The same model answers, only under another key.
                continue;
            }
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
