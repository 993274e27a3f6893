//! A conversation, its sub-agents and theirs, for single cases.

use openclaw_scopes::{Caller, Capability, CapabilitySet, Cause, Component, SessionKey};
use openclaw_sessions::Record;

use super::super::{Bed, accept, answered, key, owner, run_id};
use super::order;
use crate::{
    AcceptRun, Accepted, ActError, CancelChild, Cancelled, Child, ChildError, ContinueSession,
    Continued, DiscardChild, HandOver, Precedence, Started, Store,
};

/// The conversation of a sub-agent.
pub(super) fn of(child: &str) -> SessionKey {
    key(&format!("subagent:{child}"))
}

/// A store with a conversation `main`.
pub(super) struct Family {
    pub(super) bed: Bed,
    pub(super) store: Store,
}

impl Family {
    pub(super) async fn new() -> Self {
        let bed = Bed::new();
        let store = bed.open();
        bed.create(&store, "main").await;
        Self { bed, store }
    }

    /// The same after a crash and a start.
    pub(super) async fn restart(self) -> Self {
        let Self { bed, store } = self;
        drop(store);
        let store = bed.open();
        bed.recover(&store).await;
        Self { bed, store }
    }

    /// The owner delegates to a sub-agent, which begins at once.
    pub(super) async fn child(&self, name: &str, parent: &SessionKey) -> Started {
        let ask = order(name, parent, Precedence::Start);
        match self.store.act(&owner(), ask, self.bed.now()).await.unwrap() {
            Accepted::Started(started) => *started,
            other => panic!("{other:?}"),
        }
    }

    /// A run at work delegates.
    pub(super) async fn child_of(&self, parent: &Started, name: &str) -> Started {
        let (run, session) = (parent.view.run.clone(), &parent.view.session);
        let capabilities = CapabilitySet::EMPTY.with(Capability::SessionsSpawn);
        let by = Caller::run(run, session.clone(), parent.grant.clone(), capabilities);
        let ask = order(name, session, Precedence::Start);
        match self.store.act(&by, ask, self.bed.now()).await.unwrap() {
            Accepted::Started(started) => *started,
            other => panic!("{other:?}"),
        }
    }

    /// A sub-agent `c` that is idle, and its own `g`, which works.
    pub(super) async fn idle_middle(&self) -> Started {
        let middle = self.child("c", &key("main")).await;
        let below = self.child_of(&middle, "g").await;
        self.end(&middle, "I wait.").await;
        assert_eq!(self.hand_over("c"), HandOver::Ahead);
        below
    }

    pub(super) async fn end(&self, started: &Started, text: &str) {
        let ending = answered(started, text);
        self.store.end_run(&started.fence, ending, self.bed.now()).await.unwrap();
    }

    /// What the announcer does, if it has to.
    pub(super) async fn told(
        &self,
        run: &str,
        session: &SessionKey,
        how: Precedence,
    ) -> Option<Accepted> {
        self.store.due(session).unwrap()?;
        Some(self.try_tell(run, session, how).await.unwrap())
    }

    /// The same, when there is something, which may be refused.
    pub(super) async fn try_tell(
        &self,
        run: &str,
        session: &SessionKey,
        how: Precedence,
    ) -> Result<Accepted, ActError<ChildError>> {
        let due = self.store.due(session).unwrap().unwrap();
        let cause = Cause::Run(due.run.clone().unwrap());
        let by = Caller::delegate(Component::Announcer, due.grant.clone().unwrap(), cause);
        let accept = AcceptRun { session: session.clone(), ..accept(run, "main", how) };
        let ask = ContinueSession { accept, source: due.source };
        match self.store.act(&by, ask, self.bed.now()).await? {
            Continued::Accepted(accepted) => Ok(*accepted),
            Continued::Nothing => panic!("{run} was due"),
        }
    }

    /// The same, when it begins at once.
    pub(super) async fn told_now(&self, run: &str, session: &SessionKey) -> Started {
        match self.told(run, session, Precedence::Start).await {
            Some(Accepted::Started(started)) => *started,
            other => panic!("{other:?}"),
        }
    }

    /// What a run that somebody asks for in `main` is told: of whom, how it ended, and what it said.
    pub(super) async fn hears(&self, run: &str) -> Vec<(String, &'static str, String)> {
        let started = self.bed.start(&self.store, run, "main").await;
        let told = self.store.take_notices(&started.fence, self.bed.now()).await.unwrap();
        self.end(&started, "Thanks.").await;
        let notices = told.into_iter().flat_map(|record| match record {
            Record::Notices { notices } => notices,
            other => panic!("{other:?}"),
        });
        notices.map(|notice| (notice.run, notice.status.name(), notice.text)).collect()
    }

    pub(super) fn get(&self, run: &str) -> Child {
        self.store.child(&run_id(run)).unwrap().unwrap()
    }

    pub(super) fn hand_over(&self, run: &str) -> HandOver {
        self.get(run).hand_over
    }

    pub(super) async fn cancel(&self, run: &str) -> Cancelled {
        self.store.act(&owner(), CancelChild(run_id(run)), self.bed.now()).await.unwrap()
    }

    pub(super) async fn discard(&self, run: &str) {
        let ask = DiscardChild(run_id(run));
        let child = self.store.act(&owner(), ask, self.bed.now()).await.unwrap();
        assert!(matches!(child.hand_over, HandOver::Discarded(..)), "{child:?}");
    }

    pub(super) fn reapable(&self) -> Vec<SessionKey> {
        self.store.reapable(self.bed.now()).unwrap()
    }

    #[track_caller]
    pub(super) fn rests(&self) {
        assert_eq!(self.store.due(&key("main")).unwrap(), None);
        self.bed.verify(&self.store);
    }
}
