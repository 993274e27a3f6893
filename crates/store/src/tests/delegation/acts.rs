//! What goes on: runs are asked for, begin, delegate, are told and end.

use openclaw_scopes::{Caller, Capability, CapabilitySet, SessionKey};
use openclaw_sessions::{AssistantMessage, Record, SendRules, Usage};

use super::super::{accept, owner};
use super::world::World;
use super::{LIMITS, order};
use crate::{
    AcceptRun, Accepted, ActError, Assignment, ChildError, Cleanup, Delegated, EndedRun, Ending,
    GetSession, Precedence, RunError, SpawnChild,
};

/// More entries than are removed with the decision to delete.
const MANY: usize = 220;

impl World {
    pub(super) async fn step(&mut self) {
        match self.below(100) {
            0..8 => self.ask().await,
            8..24 => self.begin().await,
            24..39 => self.finish().await,
            39..53 => self.delegate().await,
            53..56 => self.delegate_from_outside().await,
            56..65 => self.announce().await,
            65..68 => self.hear().await,
            68..72 => self.yield_turn().await,
            72..74 => self.write().await,
            74..77 => self.cancel().await,
            77..80 => self.abort().await,
            80..83 => self.settle_by_hand().await,
            83..85 => self.reset().await,
            85..87 => self.delete().await,
            87..88 => drop(self.reap().await),
            88..89 => drop(self.purge().await),
            89..91 => self.put_away_or_back().await,
            91..95 => self.grant_or_withdraw().await,
            95..97 => self.write_late().await,
            97..98 => self.pass_time(),
            _ => self.restart().await,
        }
    }

    fn is_idle(&self, session: &SessionKey) -> bool {
        !self.working.values().any(|started| started.view.session == *session)
    }

    /// Whether a run begins with its acceptance: perhaps, if nobody works there.
    pub(super) fn precedence(&mut self, session: &SessionKey) -> Precedence {
        let starts = self.is_idle(session) && !self.once_in(3);
        if starts { Precedence::Start } else { Precedence::Wait }
    }

    pub(super) async fn is_archived(&self, session: &SessionKey) -> bool {
        let query = GetSession(session.clone());
        let found = self.store().view(&owner(), &query, self.bed.now()).await;
        found.is_ok_and(|session| session.archived_at.is_some())
    }

    async fn ask(&mut self) {
        let (by, run) = (self.somebody(), self.name("r"));
        let beside = if self.once_in(4) { self.a_conversation() } else { None };
        let session = beside.unwrap_or_else(|| self.of_people());
        let precedence = self.precedence(&session);
        let ask = AcceptRun { session: session.clone(), ..accept(&run, "main", precedence) };
        let is_archived = self.is_archived(&session).await;
        self.note(format!("ask {run} in {session} for {}: {precedence:?}", by.on_behalf_of()));
        match self.store().act(&by, ask, self.bed.now()).await {
            Ok(accepted) => {
                assert!(!is_archived);
                self.took(accepted);
            }
            Err(ActError::Failed(RunError::Archived(_))) => {
                assert!(is_archived);
                self.came("asked where it is put away");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(super) async fn begin(&mut self) {
        let idle = |at: &usize| self.is_idle(&self.tickets[*at].session);
        let next: Vec<_> = (0..self.tickets.len()).filter(idle).collect();
        let Some(at) = self.one_of(next) else { return };
        let ticket = self.tickets.remove(at);
        let (run, now) = (ticket.run.clone(), self.bed.now());
        let waits = self.status(&run).is_some_and(|status| !status.is_terminal());
        match self.store().start_run(ticket, now).await {
            Ok(Some(started)) => {
                assert!(waits, "{run} begins");
                self.began(started);
            }
            Ok(None) => {
                assert!(!waits, "{run} does not begin");
                self.came("ended before its turn");
            }
            Err(ActError::Failed(RunError::GrantEnded(_))) => {
                assert!(self.store().grant_of_run(&run).unwrap().is_none());
                let error = "the grant has ended".to_owned();
                self.store().end_waiting_run(run.clone(), error, now).await.unwrap();
                self.came("began without a grant");
            }
            Err(error) => panic!("{error:?}"),
        }
        self.note(format!("begin {run}"));
    }

    /// Ends a run at work: when its grant has ended, for that reason.
    pub(super) async fn finish(&mut self) {
        let Some(run) = self.a_working_run() else { return };
        let started = self.working.remove(&run).unwrap();
        let has_grant = self.store().grant_of_run(&run).unwrap().is_some();
        let usage = Usage { input_tokens: 3, output_tokens: 2, cached_tokens: 0 };
        let text = format!("said by {run}");
        let answer = AssistantMessage { text, usage, ..AssistantMessage::default() };
        let (terminal, answer, error) = match self.below(6) {
            _ if !has_grant => (started.running.abort(), None, format!("no grant for {run}")),
            0 => (started.running.fail(), None, format!("failed in {run}")),
            1 => (started.running.time_out(), Some(answer), format!("no time for {run}")),
            _ => (started.running.finish(), Some(answer), String::new()),
        };
        let send_rules = SendRules::default();
        let ending = Ending { terminal, answer, error, usage, send_rules };
        self.note(format!("end {run}: {:?}", ending.terminal.status()));
        self.store().end_run(&started.fence, ending, self.bed.now()).await.unwrap();
        self.stale.push(started);
    }

    async fn delegate(&mut self) {
        let Some(run) = self.a_working_run() else { return };
        let parent = self.working[&run].view.session.clone();
        self.spawn(self.tools_of(&run), &parent).await;
    }

    async fn delegate_from_outside(&mut self) {
        let by = self.somebody();
        let there = self.a_conversation();
        let parent = there.unwrap_or_else(|| self.of_people());
        self.spawn(by, &parent).await;
    }

    fn given(&mut self) -> Delegated {
        let tools = ["read_file", "sessions_spawn", "web_fetch"];
        let tools = tools.into_iter().filter(|_| self.dice.below(2) == 0).map(str::to_owned);
        let tools: Vec<_> = tools.collect();
        let own = [Capability::FilesRead, Capability::NetFetch, Capability::SessionsRead];
        let own = own.into_iter().filter(|_| self.dice.below(2) == 0);
        let capabilities = own.fold(CapabilitySet::EMPTY, CapabilitySet::with);
        let spawns = !self.once_in(6);
        let capabilities =
            if spawns { capabilities.with(Capability::SessionsSpawn) } else { capabilities };
        let max_tokens = self.once_in(2).then_some(7);
        let model = if self.once_in(2) { String::new() } else { "local/x".into() };
        Delegated { model, tools, capabilities, max_tokens }
    }

    fn order(&mut self, parent: &SessionKey) -> SpawnChild {
        let precedence = if self.once_in(2) { Precedence::Start } else { Precedence::Wait };
        let mut ask = order(&self.name("sub"), parent, precedence);
        let Delegated { model, tools, capabilities, max_tokens } = self.given();
        let cleanup = if self.once_in(2) { Cleanup::Delete } else { Cleanup::Keep };
        ask.assignment =
            Assignment { model, cleanup, tools, capabilities, max_tokens, ..ask.assignment };
        ask
    }

    async fn spawn(&mut self, by: Caller, parent: &SessionKey) {
        let ask = self.order(parent);
        let (run, session) = (ask.accept.run.clone(), ask.accept.session.clone());
        let is_archived = self.is_archived(parent).await;
        let depth = self.store().session_depth(parent).unwrap();
        let sql = "SELECT count(DISTINCT c.run) FROM children c JOIN sessions p ON p.id = c.parent
                       JOIN runs r ON r.session = c.session AND r.status IN ('queued', 'running')
                   WHERE p.key = ?1";
        let children = self.count(sql, parent.as_str());
        self.note(format!("{} delegates {run} from {parent}", by.actor()));
        let came = self.store().act(&by, ask.clone(), self.bed.now()).await;
        match came {
            Ok(accepted) => {
                assert!(!is_archived && depth < LIMITS.depth && children < LIMITS.children);
                let Assignment { model, tools, capabilities, max_tokens, .. } =
                    ask.assignment.clone();
                self.model
                    .given
                    .insert(session, Delegated { model, tools, capabilities, max_tokens });
                self.took(accepted);
                self.came(if by == owner() { "delegated by the owner" } else { "delegated" });
                if self.once_in(8) {
                    let before = self.bed.dump();
                    let again = self.store().act(&by, ask, self.bed.now()).await.unwrap();
                    assert!(matches!(again, Accepted::Existing(_)), "{run}: {again:?}");
                    assert_eq!(self.bed.dump(), before);
                    self.came("delegated again");
                }
            }
            Err(ActError::Denied(denial)) => {
                let can =
                    by.capabilities().is_none_or(|can| can.contains(Capability::SessionsSpawn));
                let live = self.store().epoch(by.on_behalf_of()).unwrap();
                assert!(!can || live != Some(by.grant().epoch()), "{denial}");
                self.came(if can { "delegated without a grant" } else { "not capable of it" });
            }
            Err(ActError::Failed(ChildError::Archived(_))) => {
                assert!(is_archived);
                self.came("delegated where it is put away");
            }
            Err(ActError::Failed(ChildError::TooDeep { .. })) => {
                assert_eq!(depth, LIMITS.depth);
                self.came("too deep");
            }
            // One that was idle may have gone on meanwhile.
            Err(ActError::Failed(ChildError::TooMany { .. })) => {
                // What has not said what came of it counts too: it has yielded to what is below it.
                let sql = "SELECT count(*) FROM children c JOIN sessions p ON p.id = c.parent
                           WHERE p.key = ?1 AND EXISTS (
                               WITH RECURSIVE below (session) AS (VALUES (c.session)
                                   UNION SELECT b.session FROM below JOIN children b ON b.parent = below.session)
                               SELECT 1 FROM below
                               WHERE EXISTS (SELECT 1 FROM runs r
                                       WHERE r.session = below.session AND r.status IN ('queued', 'running'))
                                   OR EXISTS (SELECT 1 FROM inbox i
                                       WHERE i.session = below.session AND i.state = 'waiting'))";
                assert!(self.count(sql, parent.as_str()) >= LIMITS.children);
                self.came("too many");
            }
            Err(ActError::Failed(ChildError::UnknownParent(_))) => {
                assert!(!self.model.there.contains_key(parent));
                self.came("delegated nowhere");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn write(&mut self) {
        let Some(run) = self.a_working_run() else { return };
        let count = if self.once_in(3) { MANY } else { self.below(3) };
        let records = vec![Record::UserMessage { text: "more".into() }; count];
        let fence = &self.working[&run].fence;
        self.store().append(fence, records, self.bed.now()).await.unwrap();
        self.note(format!("{run} writes {count}"));
    }

    pub(super) fn superseded(&mut self, ended: &[EndedRun]) {
        for ended in ended {
            self.stale.extend(self.working.remove(&ended.run));
        }
    }
}
