//! The life of one run.

mod status;

use std::time::Duration;

use openclaw_scopes::Timestamp;

use crate::Fence;

pub use status::{ParseStatusError, RunStatus};

/// A run: exactly one state, with that state's data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Run {
    /// Accepted, and waiting for its turn.
    Queued(Queued),
    /// Writing its session.
    Running(Running),
    /// Ended.
    Terminal(Terminal),
}

impl Run {
    /// Returns where the run is in its life.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Queued(Queued) => RunStatus::Queued,
            Self::Running(_) => RunStatus::Running,
            Self::Terminal(terminal) => terminal.status,
        }
    }

    /// Takes the run through one event.
    ///
    /// # Errors
    /// When the state has no such transition; a run that has ended has none.
    pub fn on(self, event: RunEvent) -> Result<Self, TransitionError> {
        let refused = Err(TransitionError { event: event.name(), status: self.status() });
        match (self, event) {
            (Self::Queued(queued), RunEvent::Start { fence, limit, now }) => {
                Ok(Self::Running(queued.start(fence, limit, now)))
            }
            (Self::Queued(queued), RunEvent::Abort) => Ok(Self::Terminal(queued.abort())),
            (Self::Queued(queued), RunEvent::Interrupt) => Ok(Self::Terminal(queued.interrupt())),
            (Self::Queued(_), RunEvent::Fail | RunEvent::Finish | RunEvent::TimeOut) => refused,
            (Self::Running(running), RunEvent::Abort) => Ok(Self::Terminal(running.abort())),
            (Self::Running(running), RunEvent::Fail) => Ok(Self::Terminal(running.fail())),
            (Self::Running(running), RunEvent::Finish) => Ok(Self::Terminal(running.finish())),
            (Self::Running(running), RunEvent::Interrupt) => {
                Ok(Self::Terminal(running.interrupt()))
            }
            (Self::Running(running), RunEvent::TimeOut) => Ok(Self::Terminal(running.time_out())),
            (Self::Running(_), RunEvent::Start { .. }) | (Self::Terminal(_), _) => refused,
        }
    }
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunEvent {
    /// Somebody asked for its end.
    Abort,
    /// It failed.
    Fail,
    /// It answered.
    Finish,
    /// The gateway stops, or found the run after a crash.
    Interrupt,
    /// Its turn has come.
    Start {
        /// The fence under which it writes.
        fence: Fence,
        /// How long it may take; unlimited if absent.
        limit: Option<Duration>,
        /// When it starts.
        now: Timestamp,
    },
    /// Its time is up.
    TimeOut,
}

impl RunEvent {
    /// Returns the name of the transition.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Fail => "fail",
            Self::Finish => "finish",
            Self::Interrupt => "interrupt",
            Self::Start { .. } => "start",
            Self::TimeOut => "time-out",
        }
    }
}

/// The reason an event changed nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a run that is {status} takes no {event}")]
pub struct TransitionError {
    /// The event.
    pub event: &'static str,
    /// Where the run was, and still is.
    pub status: RunStatus,
}

/// A run that waits for its turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Queued;

impl Queued {
    /// Starts the run: from now on it alone writes its session.
    pub fn start(self, fence: Fence, limit: Option<Duration>, now: Timestamp) -> Running {
        Running { deadline: limit.map(|limit| now.saturating_add(limit)), fence, started_at: now }
    }

    /// Ends the run before its turn, because somebody asked for it.
    pub fn abort(self) -> Terminal {
        Terminal { status: RunStatus::Aborted }
    }

    /// Ends the run before its turn, because the gateway stops.
    pub fn interrupt(self) -> Terminal {
        Terminal { status: RunStatus::Interrupted }
    }
}

/// A run that writes its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Running {
    /// When its time is up; never if absent.
    pub deadline: Option<Timestamp>,
    /// The fence under which it writes.
    pub fence: Fence,
    /// When its turn came.
    pub started_at: Timestamp,
}

impl Running {
    /// Whether its time is up.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Ends the run because somebody asked for it.
    pub fn abort(self) -> Terminal {
        Terminal { status: RunStatus::Aborted }
    }

    /// Ends the run by a failure.
    pub fn fail(self) -> Terminal {
        Terminal { status: RunStatus::Error }
    }

    /// Ends the run with its answer.
    pub fn finish(self) -> Terminal {
        Terminal { status: RunStatus::Ok }
    }

    /// Ends the run because the gateway stops, or stopped under it.
    pub fn interrupt(self) -> Terminal {
        Terminal { status: RunStatus::Interrupted }
    }

    /// Ends the run because its time is up.
    pub fn time_out(self) -> Terminal {
        Terminal { status: RunStatus::Timeout }
    }
}

/// A run that has ended. It has no transitions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terminal {
    // INVARIANT: `RunStatus::is_terminal` holds for it.
    status: RunStatus,
}

impl Terminal {
    /// Reads an end that was stored; nothing if a run in this status has not ended.
    pub fn of(status: RunStatus) -> Option<Self> {
        status.is_terminal().then_some(Self { status })
    }

    /// Returns how the run ended.
    pub fn status(self) -> RunStatus {
        self.status
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::expect;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn running(limit: Option<Duration>) -> Running {
        Queued.start(Fence::from_number(7), limit, NOW)
    }

    fn run_in(status: RunStatus) -> Run {
        match Terminal::of(status) {
            Some(terminal) => Run::Terminal(terminal),
            None if status == RunStatus::Queued => Run::Queued(Queued),
            None => Run::Running(running(None)),
        }
    }

    fn events() -> [RunEvent; 6] {
        let start = RunEvent::Start { fence: Fence::from_number(8), limit: None, now: NOW };
        let [abort, fail, finish] = [RunEvent::Abort, RunEvent::Fail, RunEvent::Finish];
        [start, finish, fail, RunEvent::TimeOut, abort, RunEvent::Interrupt]
    }

    #[test]
    fn every_event_in_every_state() {
        let mut table = format!("{:<12}", "");
        for event in events() {
            write!(table, "{:<12}", event.name()).unwrap();
        }
        for status in RunStatus::ALL {
            write!(table, "\n{:<12}", status.name()).unwrap();
            for event in events() {
                let next = run_in(status).on(event).map_or("-", |run| run.status().name());
                write!(table, "{next:<12}").unwrap();
            }
        }
        let table: Vec<_> = table.lines().map(str::trim_end).collect();
        expect![[r#"
                        start       finish      fail        time-out    abort       interrupt
            aborted     -           -           -           -           -           -
            error       -           -           -           -           -           -
            interrupted -           -           -           -           -           -
            ok          -           -           -           -           -           -
            queued      running     -           -           -           aborted     interrupted
            running     -           ok          error       timeout     aborted     interrupted
            timeout     -           -           -           -           -           -"#]]
        .assert_eq(&table.join("\n"));
    }

    #[test]
    fn an_ended_run_accepts_nothing() {
        for status in RunStatus::ALL {
            assert_eq!(run_in(status).status(), status);
            for event in events() {
                let result = run_in(status).on(event);
                if status.is_terminal() {
                    assert_eq!(result, Err(TransitionError { event: event.name(), status }));
                }
            }
        }
        expect!["a run that is ok takes no start"]
            .assert_eq(&run_in(RunStatus::Ok).on(events()[0]).unwrap_err().to_string());
    }

    #[test]
    fn the_deadline_is_the_first_instant_too_late() {
        let at = Timestamp::from_millis;
        let limited = running(Some(Duration::from_millis(10)));
        assert_eq!((limited.fence.as_number(), limited.started_at), (7, NOW));
        assert!(!limited.is_due(at(1_009)));
        assert!(limited.is_due(at(1_010)));
        assert!(!running(None).is_due(at(i64::MAX)));
    }
}
