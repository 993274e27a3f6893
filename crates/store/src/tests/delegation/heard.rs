//! What conversations are told, and what they wait for.

use openclaw_scopes::{Caller, Cause, Component, RunId};
use openclaw_sessions::Record;

use super::super::{accept, answered};
use super::model::{State, Told};
use super::world::World;
use crate::{AcceptRun, ContinueSession, Continued, Due, Started};

impl World {
    /// What the announcer does with a conversation; any may be looked at.
    pub(super) async fn announce(&mut self) {
        let due = self.store().all_due().unwrap();
        let due = self.one_of(due);
        let other = self.a_conversation();
        let session = if self.once_in(6) { other } else { due };
        let Some(session) = session else { return };
        if let Some(due) = self.store().due(&session).unwrap() {
            self.tell(due).await;
        }
    }

    pub(super) async fn tell(&mut self, due: Due) {
        let Some(grant) = due.grant.clone() else {
            self.note(format!("bury {} for {}", due.source, due.session));
            let sql = "SELECT count(*) FROM inbox i JOIN sessions s ON s.id = i.session
                           JOIN grants g ON g.holder = i.on_behalf_of AND g.epoch = i.grant_epoch
                       WHERE s.key = ?1 AND i.state = 'waiting' AND g.ended_at IS NULL";
            let before = self.count(sql, due.session.as_str());
            let reason = "the grant that it rests on has ended".to_owned();
            self.store().bury_notices(&due, reason, self.bed.now()).await.unwrap();
            assert_eq!(
                self.count(sql, due.session.as_str()),
                before,
                "what rests on another grant"
            );
            self.came("buried");
            return;
        };
        let by =
            Caller::delegate(Component::Announcer, grant, Cause::Run(due.run.clone().unwrap()));
        let (run, precedence) = (self.name("told-"), self.precedence(&due.session));
        let session = due.session.clone();
        let accept = AcceptRun { session, ..accept(&run, "main", precedence) };
        self.note(format!("{run} is told {} in {}: {precedence:?}", due.source, due.session));
        let ask = ContinueSession { accept, source: due.source };
        match self.store().act(&by, ask, self.bed.now()).await.unwrap() {
            Continued::Accepted(accepted) => {
                self.took(*accepted);
                self.came("told in a turn of its own");
            }
            Continued::Nothing => panic!("{run} was due"),
        }
    }

    /// A run at work is told what waits.
    pub(super) async fn hear(&mut self) {
        let waiting = |id: &i64| {
            let waits = |told: &Told| told.parent == *id && told.state == State::Waiting;
            self.model.inbox.values().any(waits)
        };
        let heard = |(_, it): &(&RunId, &Started)| waiting(&it.generation);
        let heard = self.working.iter().filter(heard).map(|(run, _)| run.clone()).collect();
        let any = if self.once_in(2) { self.a_working_run() } else { None };
        let Some(run) = any.or_else(|| self.one_of(heard)) else { return };
        let fence = &self.working[&run].fence;
        let told = self.store().take_notices(fence, self.bed.now()).await.unwrap();
        let count = |record: &Record| match record {
            Record::Notices { notices } => notices.len(),
            other => panic!("{other:?}"),
        };
        let count: usize = told.iter().map(count).sum();
        self.note(format!("{run} hears {count}"));
        if count > 0 {
            self.came("told at work");
        }
    }

    /// A turn waits for what it delegated; its end follows, unless a stop comes first.
    pub(super) async fn yield_turn(&mut self) {
        let Some(run) = self.a_working_run() else { return };
        let held = self.store().hold_children(run.clone()).await.unwrap();
        self.note(format!("{run} waits for {held}"));
        if held > 0 {
            self.came("waits for what it delegated");
        }
        if !self.once_in(4) {
            let started = self.working.remove(&run).unwrap();
            let ending = answered(&started, &format!("waits as {run}"));
            self.store().end_run(&started.fence, ending, self.bed.now()).await.unwrap();
            self.stale.push(started);
        }
    }
}
