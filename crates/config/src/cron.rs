//! How jobs run.

use std::num::NonZeroUsize;

/// The settings of the scheduler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CronSettings {
    /// Whether jobs run.
    pub enabled: bool,
    /// How many turns of jobs may go on at once.
    pub max_concurrent: NonZeroUsize,
}
