//! When jobs are due, and what becomes of each due instant: pure rules over plain data.
//!
//! A [`Schedule`] names instants; [`Rules`] move them apart and keep them within hours of the day;
//! [`tick`] says of every instant that has come which row of the ledger it belongs to; and
//! [`after_failure`] says what a run that failed means for the next one.
//!
//! **Invariant:** nothing here reads a clock, a disk or randomness: the data about zones are part of the
//! binary, and time is an argument.
//!
//! **Invariant:** no answer takes unbounded work, whatever the schedule and however far the clock jumps.

mod active;
mod error;
mod failure;
mod hash;
mod rules;
mod schedule;
mod tick;
mod zone;

pub use active::ActiveHours;
pub use error::ScheduleError;
pub use failure::{
    ALERT_AFTER, ALERT_COOL_DOWN, After, BACK_OFF, DisableReason, Failure, MAX_FAILURES,
    MAX_RETRIES, after_failure, back_off, should_alert,
};
pub use rules::{
    CatchUp, MAX_CATCH_UP, MAX_OPENINGS, Rules, TOP_OF_HOUR, default_stagger, stagger,
};
pub use schedule::{
    CronSchedule, DST_POLICY, LAST_YEAR, MAX_EVERY, MAX_EXPRESSION, MIN_EVERY, Schedule,
};
pub use tick::{
    Busy, Decision, DueJob, GRACE, LedgerRow, MAX_STEPS, Mode, Next, Passed, SkipReason, Spread,
    TickLimits, passed, tick,
};
pub use zone::Zone;
