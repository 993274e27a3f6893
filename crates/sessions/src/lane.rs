//! Whose turn it is: one run at a time per session, and a bounded number of them at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;

use openclaw_scopes::{AgentId, RunId, SessionKey};

use crate::{KeyClass, ParsedKey, agent_of};

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

/// How many runs of sub-agents go on at once by default, as in the reference.
pub const DEFAULT_SUBAGENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// How many runs of jobs and hooks go on at once: they wait for nobody, so people need not wait for them.
pub const BACKGROUND: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// Which work a run is: each has room of its own, so that none can hold up another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LaneClass {
    /// Jobs and hooks.
    Background,
    /// What people ask for.
    Main,
    /// What was delegated.
    Subagent,
}

impl LaneClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Background, Self::Main, Self::Subagent];

    /// Returns the class of a session's runs.
    pub fn of(session: &SessionKey) -> Self {
        let Ok(parsed) = ParsedKey::of(session) else { return Self::Main };
        match parsed.class() {
            KeyClass::Subagent => Self::Subagent,
            KeyClass::Cron | KeyClass::CronRun | KeyClass::Heartbeat | KeyClass::Hook => {
                Self::Background
            }
            KeyClass::Acp
            | KeyClass::Channel
            | KeyClass::Dashboard
            | KeyClass::Direct
            | KeyClass::Explicit
            | KeyClass::Global
            | KeyClass::Group
            | KeyClass::Harness
            | KeyClass::Incognito
            | KeyClass::InternalEffects
            | KeyClass::Main
            | KeyClass::Other
            | KeyClass::Plugin
            | KeyClass::Thread
            | KeyClass::Unknown => Self::Main,
        }
    }
}

/// How much may run and wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LaneLimits {
    /// How many runs of people go on at once; see [`default_concurrency`].
    pub concurrency: NonZeroUsize,
    /// How many runs of jobs and hooks.
    pub background: NonZeroUsize,
    /// How many runs of sub-agents.
    pub subagents: NonZeroUsize,
    /// How many runs may wait in all sessions together.
    pub waiting: usize,
    /// How many runs may wait in one session.
    pub waiting_per_session: usize,
}

impl LaneLimits {
    /// The default limits, with this many runs at once.
    pub const fn with_concurrency(concurrency: NonZeroUsize) -> Self {
        Self {
            concurrency,
            background: BACKGROUND,
            subagents: DEFAULT_SUBAGENTS,
            waiting: MAX_WAITING,
            waiting_per_session: MAX_WAITING_PER_SESSION,
        }
    }

    const fn of(self, class: LaneClass) -> NonZeroUsize {
        match class {
            LaneClass::Background => self.background,
            LaneClass::Main => self.concurrency,
            LaneClass::Subagent => self.subagents,
        }
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
/// The line is one of agents, too: while several have sessions in it, each has its turn as often as the others,
/// however many sessions it has. So an agent whom everybody writes to at once delays another by one run for
/// each agent at most.
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
    /// The sessions whose turn can come, by class, their round and their place in it.
    line: BTreeMap<Spot, SessionKey>,
    next_place: u64,
    /// The round that is going on, by class: that of the session that was served last.
    rounds: BTreeMap<LaneClass, u64>,
    /// The last round that an agent has a place in, while that is ahead.
    taken: BTreeMap<(LaneClass, AgentId), u64>,
    /// How many runs of each class go on.
    running: BTreeMap<LaneClass, usize>,
    /// Runs that go on, and count for nothing meanwhile.
    aside: BTreeSet<RunId>,
    sessions: BTreeMap<RunId, SessionKey>,
}

/// A place in line: its class, its round, and its number in that.
type Spot = (LaneClass, u64, u64);

#[derive(Clone, Debug)]
struct Lane {
    state: LaneState,
    waiting: VecDeque<RunId>,
}

#[derive(Clone, Debug)]
enum LaneState {
    /// The session stands in line at this place.
    InLine(Spot),
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
            rounds: BTreeMap::new(),
            taken: BTreeMap::new(),
            running: BTreeMap::new(),
            aside: BTreeSet::new(),
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
            let state = self.line_up(session.clone());
            self.lanes.insert(session, Lane { state, waiting: VecDeque::from([run]) });
        }
        Ok(())
    }

    /// Gives the next run its turn, if one waits and the limits leave room.
    ///
    /// Call it again until it returns nothing, after every `enqueue` and every `finish`.
    #[must_use = "the run counts as running from now on"]
    pub fn start_next(&mut self) -> Option<Turn> {
        let class = LaneClass::ALL.into_iter().find(|class| {
            self.running_of(*class) < self.limits.of(*class).get() && self.first(*class).is_some()
        })?;
        // INVARIANT: a session in line has a lane, and something waits in it.
        let spot = self.first(class)?;
        let session = self.line.remove(&spot)?;
        let (_, round, _) = spot;
        self.rounds.insert(class, round);
        self.taken.retain(|(of, _), taken| *of != class || *taken > round);
        let lane = self.lanes.get_mut(&session)?;
        let run = lane.waiting.pop_front()?;
        lane.state = LaneState::Running(run.clone());
        let running = self.running.entry(class).or_default();
        *running = running.saturating_add(1);
        Some(Turn { run, session })
    }

    /// Returns the place of the session of a class that is next.
    fn first(&self, class: LaneClass) -> Option<Spot> {
        let all = (class, 0, 0)..=(class, u64::MAX, u64::MAX);
        self.line.range(all).next().map(|(spot, _)| *spot)
    }

    fn running_of(&self, class: LaneClass) -> usize {
        self.running.get(&class).copied().unwrap_or_default()
    }

    /// Ends the turn of a run. Returns whether it had one.
    pub fn finish(&mut self, run: &RunId) -> bool {
        let Some((session, lane)) = self.lane_of(run) else { return false };
        match &lane.state {
            LaneState::Running(running) if running == run => {}
            LaneState::InLine(..) | LaneState::Running(_) => return false,
        }
        let is_empty = lane.waiting.is_empty();
        self.sessions.remove(run);
        if !self.aside.remove(run)
            && let Some(running) = self.running.get_mut(&LaneClass::of(&session))
        {
            *running = running.saturating_sub(1);
        }
        if is_empty {
            self.lanes.remove(&session);
        } else {
            let state = self.line_up(session.clone());
            if let Some(lane) = self.lanes.get_mut(&session) {
                lane.state = state;
            }
        }
        true
    }

    /// Lets others have the place of a run that does nothing but wait for them: its session stays its own.
    pub fn step_aside(&mut self, run: &RunId) {
        let Some((session, lane)) = self.lane_of(run) else { return };
        if !matches!(&lane.state, LaneState::Running(running) if running == run) {
            return;
        }
        if self.aside.insert(run.clone())
            && let Some(running) = self.running.get_mut(&LaneClass::of(&session))
        {
            *running = running.saturating_sub(1);
        }
    }

    /// Ends [`Self::step_aside`]: the run goes on at once, even when others took its place. They are then
    /// more than the limit until one of them has ended.
    pub fn step_back(&mut self, run: &RunId) {
        if !self.aside.remove(run) {
            return;
        }
        if let Some(session) = self.sessions.get(run) {
            let running = self.running.entry(LaneClass::of(session)).or_default();
            *running = running.saturating_add(1);
        }
    }

    /// Lets a waiting run have the next turn of its session. A run that goes on is left alone.
    pub fn hurry(&mut self, run: &RunId) {
        let Some((_, lane)) = self.lane_of(run) else { return };
        if let Some(at) = lane.waiting.iter().position(|waiting| waiting == run)
            && let Some(run) = lane.waiting.remove(at)
        {
            lane.waiting.push_front(run);
        }
    }

    /// Takes a waiting run out of its queue. A run that goes on is left alone.
    pub fn remove(&mut self, run: &RunId) -> Removed {
        let Some((session, lane)) = self.lane_of(run) else { return Removed::Unknown };
        let Some(at) = lane.waiting.iter().position(|waiting| waiting == run) else {
            return Removed::Running;
        };
        let _waiting = lane.waiting.remove(at);
        let place = match lane.state {
            LaneState::InLine(spot) if lane.waiting.is_empty() => Some(spot),
            LaneState::InLine(..) | LaneState::Running(_) => None,
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
        self.running.values().sum::<usize>().saturating_add(self.aside.len())
    }

    /// Returns how many runs wait.
    pub fn waiting(&self) -> usize {
        self.sessions.len().saturating_sub(self.running())
    }

    /// Returns the run of a session that goes on.
    pub fn running_in(&self, session: &SessionKey) -> Option<&RunId> {
        match &self.lanes.get(session)?.state {
            LaneState::InLine(..) => None,
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

    fn line_up(&mut self, session: SessionKey) -> LaneState {
        let (class, place) = (LaneClass::of(&session), self.next_place);
        self.next_place = place.wrapping_add(1);
        // A place in each round, from the next one on.
        let now = self.rounds.get(&class).copied().unwrap_or_default();
        let round = match agent_of(&session) {
            Ok(agent) => {
                let taken = self.taken.entry((class, agent)).or_insert(now);
                *taken = (*taken).max(now).saturating_add(1);
                *taken
            }
            Err(_) => now.saturating_add(1),
        };
        let spot = (class, round, place);
        self.line.insert(spot, session);
        LaneState::InLine(spot)
    }
}

#[cfg(test)]
mod tests;
