//! What is known without asking the store: who was accepted, what was given, and what was told so far.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_scopes::{RunId, SessionKey};

use crate::Delegated;

/// What a walk remembers.
#[derive(Clone, Default)]
pub(super) struct Model {
    /// Every run that was ever accepted.
    pub(super) accepted: BTreeSet<RunId>,
    /// Those of them that have begun, at least once.
    pub(super) begun: BTreeSet<RunId>,
    /// Those of them that were begun again.
    pub(super) resumed: BTreeSet<RunId>,
    /// What the sub-agents were given whose conversations are there.
    pub(super) given: BTreeMap<SessionKey, Delegated>,
    /// The conversations that are there, and which of all that ever were they are.
    pub(super) there: BTreeMap<SessionKey, i64>,
    /// The newest conversation that ever was.
    pub(super) last: i64,
    /// What was to be told at the last look.
    pub(super) inbox: BTreeMap<RunId, Told>,
}

/// How far something has come that a conversation is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Told {
    /// The conversation that is told.
    pub(super) parent: i64,
    pub(super) state: State,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum State {
    Consumed(RunId),
    Dead,
    Discarded,
    Waiting,
}

impl State {
    pub(super) fn read(name: &str, consumed_by: &str) -> Self {
        match name {
            "consumed" => Self::Consumed(RunId::parse(consumed_by).unwrap()),
            "dead" => Self::Dead,
            "discarded" => Self::Discarded,
            "waiting" => Self::Waiting,
            other => panic!("{other}"),
        }
    }
}

impl Model {
    /// Whether a step may lead from one state to the other.
    pub(super) fn may_follow(&self, before: &State, after: &State) -> bool {
        match (before, after) {
            (State::Consumed(by), State::Consumed(again)) => by == again,
            // Only what nobody has read is told again.
            (State::Consumed(by), State::Dead) => !self.begun.contains(by),
            (State::Dead, State::Dead | State::Discarded | State::Waiting)
            | (State::Discarded, State::Discarded)
            | (State::Waiting, _) => true,
            (State::Consumed(_), State::Discarded | State::Waiting)
            | (State::Dead, State::Consumed(_))
            | (State::Discarded, State::Consumed(_) | State::Dead | State::Waiting) => false,
        }
    }

    /// Whether the conversation of a sub-agent may be removed of which this was told.
    pub(super) fn is_heard(&self, state: &State) -> bool {
        match state {
            State::Consumed(by) => self.begun.contains(by),
            State::Discarded => true,
            State::Dead | State::Waiting => false,
        }
    }

    /// Notes that the conversation is gone.
    pub(super) fn removed(&mut self, key: &SessionKey) {
        self.there.remove(key).unwrap();
        self.given.remove(key);
    }
}
