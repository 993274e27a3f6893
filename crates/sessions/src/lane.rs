//! Whose turn it is: one run at a time per session, and a bounded number of them at once.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use openclaw_scopes::{RunId, SessionKey};

/// How many runs may wait for their turn in one session.
///
/// As in the reference. Whoever writes faster than the agent answers learns it at the twentieth
/// message, and not when the answer comes an hour late.
pub const MAX_WAITING_PER_SESSION: usize = 20;

/// How many runs may wait for their turn in all sessions together.
///
/// Many times what a machine works off in a minute, and still only some megabytes: a flood over
/// ever new sessions ends here.
pub const MAX_WAITING: usize = 10_000;

/// The fewest runs that may go on at once by default: most of a run is waiting for a model.
const MIN_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// Runs per processor by default, as in the reference.
const RUNS_PER_CPU: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// Returns how many runs may go on at once on a machine with so many processors.
pub fn default_concurrency(cpus: NonZeroUsize) -> NonZeroUsize {
    cpus.saturating_mul(RUNS_PER_CPU).max(MIN_CONCURRENCY)
}

/// How much may run and wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneLimits {
    /// How many runs go on at once; see [`default_concurrency`].
    pub concurrency: NonZeroUsize,
    /// How many runs may wait in all sessions together.
    pub waiting: usize,
    /// How many runs may wait in one session.
    pub waiting_per_session: usize,
}

impl LaneLimits {
    /// The default limits, with this many runs at once.
    pub const fn with_concurrency(concurrency: NonZeroUsize) -> Self {
        Self { concurrency, waiting: MAX_WAITING, waiting_per_session: MAX_WAITING_PER_SESSION }
    }
}

/// Why a run cannot wait for its turn.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnqueueError {
    /// The run already waits or runs.
    #[error("run `{run}` already waits or runs")]
    Duplicate {
        /// The run.
        run: RunId,
    },
    /// Too many runs wait in all sessions together.
    #[error("{limit} runs already wait for their turn")]
    Full {
        /// The most that may wait.
        limit: usize,
    },
    /// Too many runs wait in this session.
    #[error("{limit} runs already wait for their turn in session `{session}`")]
    SessionFull {
        /// The most that may wait.
        limit: usize,
        /// The session.
        session: SessionKey,
    },
}

/// A run whose turn has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Turn {
    /// The run.
    pub run: RunId,
    /// Its session.
    pub session: SessionKey,
}

/// What [`Lanes::remove`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Removed {
    /// The run goes on: whoever works on it ends it, and then calls [`Lanes::finish`].
    Running,
    /// The run is neither waiting nor running.
    Unknown,
    /// The run waited, and its turn will not come.
    Waiting,
}

/// The queues of all sessions.
///
/// A session stands in line once, however many runs it has: after a run of it has ended it goes to
/// the end of the line. So none starves, and a busy session delays another by one run at most.
///
/// ```text
/// enqueue ──▶ [session: run run run] ─┐
/// enqueue ──▶ [session: run]         ─┼─ line of sessions ── start_next ──▶ running ── finish ──▶ ∅
/// enqueue ──▶ [session: run run]     ─┘        ▲                               │
///                                              └──────── more runs wait ───────┘
/// ```
#[derive(Clone, Debug)]
pub struct Lanes {
    lanes: BTreeMap<SessionKey, Lane>,
    limits: LaneLimits,
    /// The sessions whose turn can come, by their place in line.
    line: BTreeMap<u64, SessionKey>,
    next_place: u64,
    running: usize,
    sessions: BTreeMap<RunId, SessionKey>,
}

#[derive(Clone, Debug)]
struct Lane {
    state: LaneState,
    waiting: VecDeque<RunId>,
}

#[derive(Clone, Debug)]
enum LaneState {
    /// The session stands in line at this place.
    InLine(u64),
    /// A run of the session goes on.
    Running(RunId),
}

impl Lanes {
    /// Makes lanes in which nothing waits.
    pub const fn new(limits: LaneLimits) -> Self {
        Self {
            lanes: BTreeMap::new(),
            limits,
            line: BTreeMap::new(),
            next_place: 0,
            running: 0,
            sessions: BTreeMap::new(),
        }
    }

    /// Decides whether a run could wait in this session now.
    ///
    /// # Errors
    /// When the limits leave no room.
    //= docs/threat-model.md#T26
    pub fn check(&self, session: &SessionKey) -> Result<(), EnqueueError> {
        let limits = self.limits;
        if self.waiting() >= limits.waiting {
            return Err(EnqueueError::Full { limit: limits.waiting });
        }
        let waiting = self.lanes.get(session).map_or(0, |lane| lane.waiting.len());
        if waiting >= limits.waiting_per_session {
            let session = session.clone();
            return Err(EnqueueError::SessionFull { limit: limits.waiting_per_session, session });
        }
        Ok(())
    }

    /// Lets a run wait for its turn, after the runs that already wait in its session.
    ///
    /// # Errors
    /// When the run is here already, or the limits leave no room.
    pub fn enqueue(&mut self, session: SessionKey, run: RunId) -> Result<(), EnqueueError> {
        self.check(&session)?;
        self.restore(session, run)
    }

    /// Lets a run wait that was acknowledged before: after a restart, or after [`Self::check`].
    ///
    /// The limits are not asked, because an acknowledged run may not be turned away.
    ///
    /// # Errors
    /// When the run is here already.
    pub fn restore(&mut self, session: SessionKey, run: RunId) -> Result<(), EnqueueError> {
        if self.sessions.contains_key(&run) {
            return Err(EnqueueError::Duplicate { run });
        }
        self.sessions.insert(run.clone(), session.clone());
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.waiting.push_back(run);
        } else {
            let state = LaneState::InLine(self.line_up(session.clone()));
            self.lanes.insert(session, Lane { state, waiting: VecDeque::from([run]) });
        }
        Ok(())
    }

    /// Gives the next run its turn, if one waits and the limits leave room.
    ///
    /// Call it again until it returns nothing, after every `enqueue` and every `finish`.
    #[must_use = "the run counts as running from now on"]
    pub fn start_next(&mut self) -> Option<Turn> {
        if self.running >= self.limits.concurrency.get() {
            return None;
        }
        // INVARIANT: a session in line has a lane, and something waits in it.
        let (_, session) = self.line.pop_first()?;
        let lane = self.lanes.get_mut(&session)?;
        let run = lane.waiting.pop_front()?;
        lane.state = LaneState::Running(run.clone());
        self.running = self.running.saturating_add(1);
        Some(Turn { run, session })
    }

    /// Ends the turn of a run. Returns whether it had one.
    pub fn finish(&mut self, run: &RunId) -> bool {
        let Some((session, lane)) = self.lane_of(run) else { return false };
        match &lane.state {
            LaneState::Running(running) if running == run => {}
            LaneState::InLine(_) | LaneState::Running(_) => return false,
        }
        let is_empty = lane.waiting.is_empty();
        self.sessions.remove(run);
        self.running = self.running.saturating_sub(1);
        if is_empty {
            self.lanes.remove(&session);
        } else {
            let place = self.line_up(session.clone());
            if let Some(lane) = self.lanes.get_mut(&session) {
                lane.state = LaneState::InLine(place);
            }
        }
        true
    }

    /// Takes a waiting run out of its queue. A run that goes on is left alone.
    pub fn remove(&mut self, run: &RunId) -> Removed {
        let Some((session, lane)) = self.lane_of(run) else { return Removed::Unknown };
        let Some(at) = lane.waiting.iter().position(|waiting| waiting == run) else {
            return Removed::Running;
        };
        let _waiting = lane.waiting.remove(at);
        let place = match lane.state {
            LaneState::InLine(place) if lane.waiting.is_empty() => Some(place),
            LaneState::InLine(_) | LaneState::Running(_) => None,
        };
        if let Some(place) = place {
            self.line.remove(&place);
            self.lanes.remove(&session);
        }
        self.sessions.remove(run);
        Removed::Waiting
    }

    /// Returns how many runs go on.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Returns how many runs wait.
    pub fn waiting(&self) -> usize {
        self.sessions.len().saturating_sub(self.running)
    }

    /// Returns the run of a session that goes on.
    pub fn running_in(&self, session: &SessionKey) -> Option<&RunId> {
        match &self.lanes.get(session)?.state {
            LaneState::InLine(_) => None,
            LaneState::Running(run) => Some(run),
        }
    }

    /// Returns the runs that wait in a session, the next one first.
    pub fn waiting_in(&self, session: &SessionKey) -> impl Iterator<Item = &RunId> {
        self.lanes.get(session).into_iter().flat_map(|lane| &lane.waiting)
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    fn lane_of(&mut self, run: &RunId) -> Option<(SessionKey, &mut Lane)> {
        let session = self.sessions.get(run)?.clone();
        let lane = self.lanes.get_mut(&session)?;
        Some((session, lane))
    }

    fn line_up(&mut self, session: SessionKey) -> u64 {
        let place = self.next_place;
        self.next_place = place.wrapping_add(1);
        self.line.insert(place, session);
        place
    }
}

#[cfg(test)]
mod tests;
