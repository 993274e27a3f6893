//! A primary model with its fallbacks: who is asked again, when, and who is asked next.
//!
//! ```text
//!            ┌── rate limit, attempts left ──────┐  ┌─ network, overload, time-out, ┐
//!            │                                   ▼  ▼  attempts and window left     │
//!  model 1 ──┴── anything else ──▶ model 2 … ──▶ wait ──▶ same model ───────────────┘
//!     └── context overflow ──▶ failed: every retry would be as long
//! ```
//!
//! A model that cools down is asked after those that do not, and so still before the chain fails.

mod candidates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::Instant;

use self::candidates::{Candidates, Choice};
use crate::health::{Asked, Health};
use crate::model::{Model, ModelError, ModelEvent, ModelRequest, Retry};
use crate::pictures::Input;

/// How often and how long one model is asked again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// The most attempts at one model while it limits the rate, the first one included.
    pub rate_limit_attempts: u32,
    /// The most retries at one model after other passing failures.
    pub transient_retries: u32,
    /// The time after the first such failure in which retries begin.
    pub transient_window: Duration,
    /// The wait before the first retry; it doubles with each.
    pub first_delay: Duration,
    /// The longest wait that we choose ourselves.
    pub max_delay: Duration,
    /// The longest wait that a provider may ask for while there is a fallback to ask instead.
    pub max_retry_after: Duration,
    /// The longest wait that a provider may ask for at all; beyond it the model counts as failed.
    pub max_retry_after_last: Duration,
}

impl Default for RetryPolicy {
    /// The reference's numbers. The bound without a fallback is ours: a provider must not put a run
    /// to sleep for days.
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            max_retry_after: Duration::from_secs(60),
            max_retry_after_last: Duration::from_secs(600),
            rate_limit_attempts: 10,
            transient_retries: 8,
            transient_window: Duration::from_secs(90),
        }
    }
}

/// A source of random numbers, for delays that do not fall together.
pub trait Jitter: std::fmt::Debug + Send + Sync {
    /// Returns any number; all are equally likely.
    fn next(&self) -> u32;
}

/// A [`Jitter`] that follows from its seed: the same seed, the same delays.
#[derive(Debug)]
pub struct SeededJitter(AtomicU64);

impl SeededJitter {
    /// Makes the source that follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Jitter for SeededJitter {
    fn next(&self) -> u32 {
        // One step of SplitMix64, of which the upper half is taken.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX)
    }
}

/// A model and those that are asked when it fails.
#[derive(Clone, Debug)]
pub struct ModelChain {
    models: Arc<[Arc<dyn Model>]>,
    name: String,
    policy: RetryPolicy,
    jitter: Arc<dyn Jitter>,
    health: Arc<Health>,
}

impl ModelChain {
    /// Makes a chain of `primary` and `fallbacks`, asked in their order.
    ///
    /// Chains that share their `health` spare each other the failures of models.
    pub fn new(
        primary: Arc<dyn Model>,
        fallbacks: Vec<Arc<dyn Model>>,
        policy: RetryPolicy,
        jitter: Arc<dyn Jitter>,
        health: Arc<Health>,
    ) -> Self {
        let name = primary.name().to_owned();
        let models = std::iter::once(primary).chain(fallbacks).collect();
        Self { models, name, policy, jitter, health }
    }
}

impl Model for ModelChain {
    fn name(&self) -> &str {
        &self.name
    }

    fn input(&self) -> Input {
        let takes = |model: &Arc<dyn Model>| model.input() == Input::Pictures;
        if self.models.iter().any(takes) { Input::Pictures } else { Input::TextOnly }
    }

    fn respond(&self, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
        let attempts = Attempts {
            candidates: Candidates::new(&self.models),
            choice: None,
            current: None,
            failures: Failures::default(),
            health: Arc::clone(&self.health),
            jitter: Arc::clone(&self.jitter),
            policy: self.policy,
            request,
            wait: None,
        };
        stream::unfold(Some(attempts), Attempts::next).boxed()
    }
}

/// What went wrong at the current model.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    all: u32,
    rate_limits: u32,
    transient: u32,
    first_transient: Option<Instant>,
}

/// What is done after a failure.
#[derive(Debug, Eq, PartialEq)]
enum Step {
    Again(Duration),
    GiveUp,
    NextModel,
}

struct Attempts {
    candidates: Candidates,
    /// The current model; none before the first is chosen.
    choice: Option<Choice>,
    current: Option<BoxStream<'static, Result<ModelEvent, ModelError>>>,
    failures: Failures,
    health: Arc<Health>,
    jitter: Arc<dyn Jitter>,
    policy: RetryPolicy,
    request: ModelRequest,
    wait: Option<Duration>,
}

type Item = (Result<ModelEvent, ModelError>, Option<Attempts>);

impl Attempts {
    async fn next(attempts: Option<Self>) -> Option<Item> {
        let mut attempts = attempts?;
        let mut choice = match attempts.choice.take() {
            Some(choice) => choice,
            None => attempts.candidates.choose(&attempts.health, Instant::now())?,
        };
        if let Some(retry) = choice.passed.pop_front() {
            attempts.choice = Some(choice);
            return Some((Ok(ModelEvent::Retrying(retry)), Some(attempts)));
        }
        if let Some(delay) = attempts.wait.take() {
            tokio::time::sleep(delay).await;
        }
        let mut current = match attempts.current.take() {
            Some(current) => current,
            None => choice.model.respond(attempts.request.clone()),
        };
        match current.next().await {
            Some(Ok(ModelEvent::Finished(message))) => {
                attempts.health.on_answer(&*choice.model);
                Some((Ok(ModelEvent::Finished(message)), None))
            }
            Some(Ok(event)) => {
                attempts.choice = Some(choice);
                attempts.current = Some(current);
                Some((Ok(event), Some(attempts)))
            }
            Some(Err(error)) => Some(attempts.on_failure(choice, error)),
            None => {
                let what = "the stream ended before its final marker";
                Some(attempts.on_failure(choice, ModelError::network(what)))
            }
        }
    }

    fn on_failure(mut self, choice: Choice, error: ModelError) -> Item {
        let has_fallback = !self.candidates.is_empty();
        let mut spread = None;
        if error.is_retryable() {
            spread = Some(self.jitter.next());
        }
        let step =
            self.failures.on_failure(&self.policy, &error, has_fallback, spread.unwrap_or(0));
        let (choice, delay) = match step {
            Step::Again(delay) => {
                self.request.attempt = self.failures.all;
                self.wait = Some(delay);
                (choice, delay)
            }
            Step::GiveUp | Step::NextModel => {
                let now = Instant::now();
                self.health.on_give_up(Asked::of(&*choice.model), &error, choice.since, now);
                if step == Step::GiveUp {
                    self.candidates.keep_passed();
                }
                self.candidates.after(&*choice.model, &error);
                let Some(next) = self.candidates.choose(&self.health, now) else {
                    return (Err(error), None);
                };
                self.failures = Failures::default();
                self.request.attempt = 0;
                (next, Duration::ZERO)
            }
        };
        let next = choice.model.name().to_owned();
        self.choice = Some(choice);
        (Ok(ModelEvent::Retrying(Retry { error, next, delay })), Some(self))
    }
}

impl Failures {
    fn on_failure(
        &mut self,
        policy: &RetryPolicy,
        error: &ModelError,
        has_fallback: bool,
        random: u32,
    ) -> Step {
        self.all = self.all.saturating_add(1);
        let count = match error {
            ModelError::ContextOverflow { .. } => return Step::GiveUp,
            ModelError::Auth { .. }
            | ModelError::Billing { .. }
            | ModelError::Budget { .. }
            | ModelError::CoolingDown { .. }
            | ModelError::InvalidRequest { .. }
            | ModelError::ModelNotFound { .. }
            | ModelError::Protocol { .. } => return Step::NextModel,
            ModelError::RateLimited { .. } => {
                self.rate_limits += 1;
                if self.rate_limits >= policy.rate_limit_attempts {
                    return Step::NextModel;
                }
                self.rate_limits
            }
            ModelError::Network { .. }
            | ModelError::Overloaded { .. }
            | ModelError::Timeout { .. } => {
                let first = *self.first_transient.get_or_insert_with(Instant::now);
                self.transient += 1;
                let is_over = first.elapsed() >= policy.transient_window;
                if self.transient > policy.transient_retries || is_over {
                    return Step::NextModel;
                }
                self.transient
            }
        };
        let own = policy.backoff(count, random);
        let asked = error.retry_after().unwrap_or_default();
        if has_fallback {
            return Step::Again(own.max(asked.min(policy.max_retry_after)));
        }
        if asked > policy.max_retry_after_last {
            return Step::NextModel;
        }
        Step::Again(own.max(asked))
    }
}

impl RetryPolicy {
    /// Returns the wait before retry number `count` (from one): doubling, and up to half of it less.
    fn backoff(&self, count: u32, random: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(count.saturating_sub(1));
        let full = self.first_delay.saturating_mul(doubled).min(self.max_delay);
        let less = (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
        full.saturating_sub(less)
    }
}

#[cfg(test)]
mod tests;
