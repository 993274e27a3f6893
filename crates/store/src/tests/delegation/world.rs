//! A store, those who ask it for something, and what they hold of it.

use std::collections::{BTreeMap, VecDeque};

use openclaw_scopes::{
    Caller, Capability, CapabilitySet, Cause, Component, Epoch, RunId, Scope, ScopeSet, SessionKey,
};
use openclaw_sessions::{RunStatus, Usage};
use rusqlite::Connection;

use super::super::access::{caller, holder};
use super::super::{Bed, Dice, key, owner};
use super::model::Model;
use crate::{Accepted, ChildFilter, FoundAt, HandOver, Interrupted, Started, Store, Ticket};

/// Devices on whose behalf some of it is done.
pub(super) const DEVICES: u8 = 2;
/// Steps that are told when something goes wrong.
const TOLD: usize = 40;
const HOUR: i64 = 3_600_000;

pub(super) struct World {
    pub(super) bed: Bed,
    store: Option<Store>,
    /// A look at the disk behind the store's back.
    pub(super) disk: Connection,
    pub(super) dice: Dice,
    pub(super) model: Model,
    /// Runs at work, with the right to write.
    pub(super) working: BTreeMap<RunId, Started>,
    /// Rights to write that were lost, one way or another.
    pub(super) stale: Vec<Started>,
    pub(super) tickets: Vec<Ticket>,
    names: u32,
    steps: VecDeque<String>,
    /// How often something came of a step that does not always.
    pub(super) tally: BTreeMap<&'static str, u32>,
}

fn in_memory() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_none| tempfile::tempdir()).unwrap()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.steps.iter().for_each(|step| println!("{step}"));
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::on(Bed { dir: in_memory(), ..Bed::new() }, seed)
    }

    fn on(bed: Bed, seed: u64) -> Self {
        let store = Some(bed.open());
        Self {
            disk: bed.raw(),
            bed,
            store,
            dice: Dice(seed),
            model: Model::default(),
            working: BTreeMap::new(),
            stale: Vec::new(),
            tickets: Vec::new(),
            names: 0,
            steps: VecDeque::new(),
            tally: BTreeMap::new(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn note(&mut self, step: impl Into<String>) {
        self.steps.push_back(step.into());
        while self.steps.len() > TOLD {
            self.steps.pop_front();
        }
    }

    pub(super) fn came(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(end).unwrap())).unwrap()
    }

    /// Whether something happens that does once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    pub(super) fn one_of<T>(&mut self, mut of: Vec<T>) -> Option<T> {
        if of.is_empty() { None } else { Some(of.swap_remove(self.below(of.len()))) }
    }

    /// A name that nothing had before.
    pub(super) fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    /// A conversation that is there, if any is; one of a sub-agent as often as not.
    pub(super) fn a_conversation(&mut self) -> Option<SessionKey> {
        let own = self.once_in(2);
        let is_given = |key: &&SessionKey| self.model.given.contains_key(*key);
        let there = self.model.there.keys();
        let kind: Vec<_> = there.filter(|key| own == is_given(key)).cloned().collect();
        self.one_of(kind)
    }

    /// A conversation in which nobody works while its sub-agents do, if there is one.
    pub(super) fn an_idle_parent(&mut self) -> Option<SessionKey> {
        let open = ChildFilter { open_only: true, limit: 100, ..ChildFilter::default() };
        let open = self.store().children(&open).unwrap().children.into_iter();
        let parents = open.filter(|child| child.hand_over == HandOver::Ahead);
        let is_idle = |key: &SessionKey| {
            let works = self.working.values().any(|started| started.view.session == *key);
            !works && !self.tickets.iter().any(|ticket| ticket.session == *key)
        };
        let parents = parents.map(|child| child.parent).filter(is_idle).collect();
        self.one_of(parents)
    }

    /// A delegated run that the store knows, or did.
    pub(super) fn a_child(&mut self) -> Option<RunId> {
        let known = self.model.accepted.iter().filter(|run| run.as_str().starts_with("sub"));
        let known: Vec<_> = known.cloned().collect();
        let recent = known.len().saturating_sub(12);
        let all = self.once_in(4);
        self.one_of(if all { known } else { known[recent..].to_vec() })
    }

    pub(super) fn a_working_run(&mut self) -> Option<RunId> {
        self.one_of(self.working.keys().cloned().collect())
    }

    /// The owner, or a device that is paired.
    pub(super) fn somebody(&mut self) -> Caller {
        let device = 1 + u8::try_from(self.below(2 * usize::from(DEVICES))).unwrap();
        if device <= DEVICES && self.store().epoch(&holder(device)).unwrap().is_some() {
            return caller(self.store(), device, ScopeSet::from(Scope::Write).closed());
        }
        owner()
    }

    /// The tools of a run at work.
    pub(super) fn tools_of(&self, run: &RunId) -> Caller {
        let Started { grant, delegated, view, .. } = &self.working[run];
        let all = CapabilitySet::of(Capability::ALL);
        let capabilities = delegated.as_ref().map_or(all, |given| given.capabilities);
        Caller::run(run.clone(), view.session.clone(), grant.clone(), capabilities)
    }

    pub(super) fn reaper() -> Caller {
        Caller::system(Component::Reaper, Cause::Timer, Epoch(1))
    }

    pub(super) fn count(&self, sql: &str, of: &str) -> u32 {
        self.disk.prepare_cached(sql).unwrap().query_row([of], |row| row.get(0)).unwrap()
    }

    pub(super) fn status(&self, run: &RunId) -> Option<RunStatus> {
        self.store().run(run).unwrap().map(|view| view.status)
    }

    /// Takes in what came of accepting a run.
    pub(super) fn took(&mut self, accepted: Accepted) {
        let (run, session) = match &accepted {
            Accepted::Started(started) => (started.view.run.clone(), started.view.session.clone()),
            Accepted::Waiting(view, _) => (view.run.clone(), view.session.clone()),
            Accepted::Existing(view) => panic!("there before: {view:?}"),
        };
        if !self.model.there.contains_key(&session) {
            let sql = "SELECT id FROM sessions WHERE key = ?1";
            let id = i64::from(self.count(sql, session.as_str()));
            assert!(id > self.model.last, "{session} is {id}, as one was before");
            self.model.last = id;
            self.model.there.insert(session, id);
        }
        assert!(self.model.accepted.insert(run));
        match accepted {
            Accepted::Started(started) => self.began(*started),
            Accepted::Waiting(_, ticket) => self.tickets.push(ticket),
            Accepted::Existing(_) => {}
        }
    }

    /// Takes in a run that has begun: it has what its conversation was given, whoever asked for it.
    pub(super) fn began(&mut self, started: Started) {
        let (run, session) = (started.view.run.clone(), &started.view.session);
        assert_eq!(started.delegated.as_ref(), self.model.given.get(session), "{run}");
        assert_eq!(self.store().given(session).unwrap(), started.delegated, "{run}");
        assert_eq!(started.generation, self.model.there[session], "{run}");
        self.model.begun.insert(run.clone());
        assert!(self.working.insert(run, started).is_none());
    }

    /// Ends the store, in order or not, and opens it again.
    pub(super) async fn restart(&mut self) {
        let mut expected = Vec::new();
        for (run, started) in std::mem::take(&mut self.working) {
            let goes_on = self.goes_on(&run, &started);
            if self.once_in(3) {
                let now = self.bed.now();
                let came = self
                    .store()
                    .interrupt_run(&started.fence, Usage::default(), FoundAt::Work, now)
                    .await;
                assert_eq!(came.unwrap() == Interrupted::Suspended, goes_on, "{run}");
            }
            self.came(if goes_on { "goes on after a stop" } else { "interrupted" });
            let status = if goes_on { RunStatus::Queued } else { RunStatus::Interrupted };
            expected.push((run, status));
            self.stale.push(started);
        }
        drop(self.store.take());
        self.store = Some(self.bed.open());
        let recovered = self.bed.recover(self.store()).await;
        for (run, status) in expected {
            assert_eq!(self.status(&run), Some(status), "{run}");
        }
        let sql = "SELECT count(*) FROM runs WHERE status = 'queued' AND ?1 = ''";
        assert_eq!(self.count(sql, ""), u32::try_from(recovered.waiting.len()).unwrap());
        self.tickets = recovered.waiting;
        self.note("restart");
    }

    /// What comes of it when the process ends here, and another one opens what it left behind.
    pub(super) async fn crashed(&self) -> Self {
        let bed = Bed { dir: in_memory(), ..Bed::new() };
        bed.continue_from(&self.bed);
        let mut other = Self::on(bed, self.dice.0);
        other.model = self.model.clone();
        other.names = self.names;
        other.steps = self.steps.clone();
        other.note("crash");
        for (run, started) in &self.working {
            let goes_on = other.goes_on(run, started);
            other.came(if goes_on { "goes on after a stop" } else { "interrupted" });
        }
        other.tickets = other.bed.recover(other.store()).await.waiting;
        other.check();
        other
    }

    /// Whether a run at work goes on after a start.
    fn goes_on(&mut self, run: &RunId, started: &Started) -> bool {
        let since = self.bed.now().since(started.running.started_at).as_millis();
        let is_recent = i64::try_from(since).unwrap() <= HOUR;
        started.delegated.is_none() && is_recent && self.model.resumed.insert(run.clone())
    }

    /// Most of the time it passes by itself.
    pub(super) fn pass_time(&mut self) {
        let spans = [HOUR / 60, 2 * HOUR, 8 * 24 * HOUR];
        let span = spans[self.below(spans.len())];
        self.bed.advance(span);
        self.note(format!("{span} ms pass"));
    }

    /// The main conversation, or one of the others that people begin.
    pub(super) fn of_people(&mut self) -> SessionKey {
        key(["main", "a", "b"][self.below(3)])
    }
}
