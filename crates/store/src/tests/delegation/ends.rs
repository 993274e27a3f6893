//! What comes to an end from outside, is put away, or is given up.

use openclaw_scopes::{Caller, Capability, CapabilitySet, RunId, Scope, SessionKey};
use openclaw_sessions::{Record, RunStatus, Usage};

use super::super::access::{OPERATOR, holder, named};
use super::super::{answered, owner};
use super::model::State;
use super::order;
use super::world::{DEVICES, World};
use crate::{
    AbortRun, AbortedRun, ActError, Archive, CancelChild, ChildError, ChildFilter, DeleteSession,
    Deleted, DiscardChild, FenceError, FoundAt, HandOver, Patch, PatchSession, Precedence, Purged,
    ResetSession, RetryChild, RevokeDevice, RotateDevice, SessionError, Started,
};

/// The conversation of a key and all below it.
const BELOW: &str = "WITH RECURSIVE below (session) AS (
    SELECT id FROM sessions WHERE key = ?1
    UNION SELECT c.session FROM below b JOIN children c ON c.parent = b.session)";

impl World {
    fn texts_of(&self, sql: &str, first: &str, second: &str) -> Vec<String> {
        let mut statement = self.disk.prepare_cached(sql).unwrap();
        let rows = statement.query_map([first, second], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The owner ends a delegated run, or a run one of its own conversation.
    pub(super) async fn cancel(&mut self) {
        let own = if self.once_in(2) { self.a_working_run() } else { None };
        let (child, by) = match own {
            Some(run) => (self.a_child_of(&run), self.tools_of(&run)),
            None => (self.a_child(), owner()),
        };
        let Some(child) = child else { return };
        let known = self.store().child(&child).unwrap();
        self.note(format!("{} cancels {child}", by.actor()));
        match self.store().act(&by, CancelChild(child.clone()), self.bed.now()).await {
            Ok(cancelled) => {
                assert_eq!(cancelled.view.run, child);
                assert_eq!(Some(cancelled.parent), known.map(|child| child.parent));
                self.superseded(&cancelled.ended);
                let child = self.store().child(&child).unwrap().unwrap();
                assert!(child.run.status.is_terminal());
                assert_ne!(child.hand_over, HandOver::Ahead, "its parent is told");
                self.came(if by == owner() { "cancelled by the owner" } else { "cancelled" });
            }
            Err(ActError::Failed(ChildError::Unknown(_))) => assert!(known.is_none()),
            // What it may do, or whose it is, is no matter of delegation.
            Err(ActError::Denied(_)) => {
                assert_ne!(by, owner());
                self.came("not cancelled");
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn a_child_of(&mut self, run: &RunId) -> Option<RunId> {
        let parent = Some(self.working[run].view.session.clone());
        let own = ChildFilter { parent, limit: 100, ..ChildFilter::default() };
        let children = self.store().children(&own).unwrap().children;
        self.one_of(children).map(|child| child.run.run)
    }

    pub(super) async fn abort(&mut self) {
        let waiting: Vec<_> = self.tickets.iter().map(|ticket| ticket.run.clone()).collect();
        let Some(run) = self.one_of(waiting) else { return };
        let Some(before) = self.status(&run) else { return };
        let came = self.store().act(&owner(), AbortRun(run.clone()), self.bed.now()).await;
        let AbortedRun::Ended(view) = came.unwrap() else { panic!("{run} works") };
        let waited = before == RunStatus::Queued;
        assert_eq!(view.status, if waited { RunStatus::Aborted } else { before });
        self.note(format!("abort {run}"));
    }

    /// What is in a state of being told.
    pub(super) fn told_and(&self, state: &State) -> Vec<RunId> {
        let told = self.model.inbox.iter().filter(|(_, told)| told.state == *state);
        told.map(|(run, _)| run.clone()).collect()
    }

    /// Somebody looks after what could not be handed over, or gives it up.
    pub(super) async fn settle_by_hand(&mut self) {
        let state = if self.once_in(2) { State::Waiting } else { State::Dead };
        let open = self.told_and(&state);
        let run = if self.once_in(4) { self.a_child() } else { self.one_of(open) };
        let Some(run) = run else { return };
        let hand_over = self.store().child(&run).unwrap().map(|child| child.hand_over);
        let (now, retries) = (self.bed.now(), self.once_in(2));
        let came = if retries {
            self.store().act(&owner(), RetryChild(run.clone()), now).await
        } else {
            self.store().act(&owner(), DiscardChild(run.clone()), now).await
        };
        let word = if retries { "retry" } else { "discard" };
        self.note(format!("{word} {run}: {hand_over:?}"));
        match (hand_over, retries) {
            (None, _) => {
                let unknown = ChildError::Unknown(run.to_string());
                assert_eq!(came.unwrap_err(), ActError::Failed(unknown));
            }
            (Some(HandOver::Dead(..)), true) => {
                assert_eq!(came.unwrap().hand_over, HandOver::Waiting);
                self.came("retried");
            }
            (Some(HandOver::Dead(..) | HandOver::Waiting), false) => {
                assert!(matches!(came.unwrap().hand_over, HandOver::Discarded(..)));
                self.came("discarded");
            }
            (Some(HandOver::Waiting), true)
            | (Some(HandOver::Ahead | HandOver::Discarded(..) | HandOver::Told(..)), _) => {
                let nothing = ChildError::NothingToHandOver(run);
                assert_eq!(came.unwrap_err(), ActError::Failed(nothing));
            }
        }
    }

    pub(super) async fn reset(&mut self) {
        let idle = if self.once_in(2) { self.an_idle_parent() } else { None };
        let Some(key) = idle.or_else(|| self.a_conversation()) else { return };
        let sql = "SELECT count(*) FROM runs r JOIN sessions s ON s.id = r.session
                   WHERE s.key = ?1 AND r.status IN ('queued', 'running')";
        let is_busy = self.count(sql, key.as_str()) > 0;
        let ask = ResetSession { key: key.clone(), reason: "anew".into() };
        self.note(format!("reset {key}"));
        match self.store().act(&owner(), ask, self.bed.now()).await {
            Ok(reset) => {
                assert!(!is_busy);
                self.superseded(&reset.ended);
                let sql = "SELECT count(*) FROM children c JOIN sessions p ON p.id = c.parent
                               JOIN runs r ON r.session = c.session
                           WHERE p.key = ?1 AND r.status IN ('queued', 'running')";
                assert_eq!(self.count(sql, key.as_str()), 0, "what it delegated has ended");
                let has_ended = !reset.ended.is_empty();
                self.came(if has_ended { "reset with what it delegated" } else { "reset" });
            }
            Err(ActError::Failed(SessionError::Busy(_))) => assert!(is_busy),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(super) async fn delete(&mut self) {
        let Some(key) = self.a_conversation() else { return };
        let archive = if self.once_in(2) { Archive::Drop } else { Archive::Keep };
        match self.remove(&owner(), &key, archive).await {
            Ok(_deleted) => assert!(!openclaw_sessions::is_main(&key)),
            Err(ActError::Failed(SessionError::Main(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn remove(
        &mut self,
        by: &Caller,
        key: &SessionKey,
        archive: Archive,
    ) -> Result<Deleted, ActError<SessionError>> {
        let parent = self.store().parent_of(key).unwrap();
        let sql = "SELECT r.run_id FROM children c JOIN runs r ON r.id = c.run
                       JOIN sessions s ON s.id = c.session WHERE s.key = ?1";
        let source = self.disk.query_row(sql, [key.as_str()], |row| row.get::<_, String>(0));
        let waits = format!(
            "{BELOW} SELECT i.source FROM inbox i JOIN below b ON b.session = i.session
                             WHERE i.state = 'waiting' AND i.source != ?2"
        );
        let waits = self.texts_of(&waits, key.as_str(), source.as_deref().unwrap_or_default());
        let ask = DeleteSession { key: key.clone(), archive, unused_since: None };
        self.note(format!("{} deletes {key}", by.actor()));
        let deleted = self.store().act(by, ask, self.bed.now()).await?;
        assert_eq!(deleted.parent, parent);
        if let Some(parent) = &parent {
            let told = "SELECT i.source FROM inbox i JOIN sessions s ON s.id = i.session
                        WHERE i.state = 'waiting' AND s.key = ?1 AND ?2 != ''";
            let told = self.texts_of(told, parent.as_str(), "all");
            assert!(waits.iter().all(|source| told.contains(source)), "{waits:?} are lost");
            if !waits.is_empty() {
                self.came("handed up");
            }
        }
        if let (Some(_), Ok(source)) = (parent, source) {
            let sql = "SELECT count(*) FROM inbox WHERE source = ?1";
            assert_eq!(self.count(sql, &source), 1, "{source} is heard");
        }
        self.superseded(&deleted.ended);
        self.model.removed(key);
        self.came(if deleted.left.is_some() { "deleted in part" } else { "deleted" });
        assert!(self.working.values().all(|started| started.view.session != *key));
        Ok(deleted)
    }

    /// Removes the conversations of sub-agents that nobody wants any more; tells how many there were.
    pub(super) async fn reap(&mut self) -> usize {
        let found = self.store().reapable(self.bed.now()).unwrap();
        for key in &found {
            self.may_go(key);
            let deleted = self.remove(&Self::reaper(), key, Archive::Drop).await.unwrap();
            assert!(deleted.ended.iter().all(|ended| ended.session != *key));
            self.came("reaped");
            self.check();
        }
        found.len()
    }

    /// Removes a piece of what was deleted; tells whether there was something.
    pub(super) async fn purge(&mut self) -> bool {
        let Some(left) = self.store().tombstones().unwrap().into_iter().next() else {
            return false;
        };
        if left.archive == Archive::Keep {
            self.store().archived(&left).await.unwrap();
        }
        let purged = self.store().purge(&left).await.unwrap();
        assert!(purged == Purged::Whole || left.entries > 0);
        self.came(if purged == Purged::Whole { "purged" } else { "purged in part" });
        self.note(format!("purge {}: {purged:?}", left.key));
        true
    }

    pub(super) async fn put_away_or_back(&mut self) {
        let idle = if self.once_in(3) { self.an_idle_parent() } else { None };
        let sql = "SELECT key FROM sessions WHERE archived_at IS NOT NULL AND deleted_at IS NULL";
        let away = self.texts(sql).iter().map(|key| SessionKey::parse(key).unwrap()).collect();
        let away = if self.once_in(2) { self.one_of(away) } else { None };
        let Some(key) = idle.or(away).or_else(|| self.a_conversation()) else { return };
        let archived = !self.is_archived(&key).await;
        self.put(&key, archived).await;
    }

    pub(super) async fn put(&mut self, key: &SessionKey, archived: bool) {
        let patch = Patch { archived: Some(archived), ..Patch::default() };
        let ask = PatchSession { key: key.clone(), patch };
        match self.store().act(&owner(), ask, self.bed.now()).await {
            Ok(session) => {
                assert_eq!(session.archived_at.is_some(), archived);
                let is_due = self.store().due(key).unwrap().is_some();
                assert!(!is_due || !archived);
                self.came(if is_due { "due again" } else { "put away or back" });
            }
            Err(ActError::Failed(SessionError::Busy(_) | SessionError::Main(_))) => {
                assert!(archived);
                self.came("not put away");
            }
            Err(error) => panic!("{error:?}"),
        }
        self.note(format!("put away {key}: {archived}"));
    }

    /// Pairs a device, or takes from it what some of the runs may rest on.
    pub(super) async fn grant_or_withdraw(&mut self) {
        let device = 1 + u8::try_from(self.below(usize::from(DEVICES))).unwrap();
        let (device_ref, role, now) = (named(device), OPERATOR, self.bed.now());
        if self.store().epoch(&holder(device)).unwrap().is_none() {
            self.bed.pair(self.store(), device, Scope::Write.into()).await;
            self.note(format!("pair {device}"));
        } else if self.once_in(4) {
            let ask = RevokeDevice { device: device_ref, role };
            self.store().act(&owner(), ask, now).await.unwrap();
            self.note(format!("revoke {device}"));
        } else {
            let ask = RotateDevice { device: device_ref, role, scopes: None };
            self.store().act(&owner(), ask, now).await.unwrap();
            self.note(format!("rotate {device}"));
        }
    }

    /// Whoever has lost the right to write changes nothing any more.
    pub(super) async fn write_late(&mut self) {
        let recent = self.stale.len().min(1 + self.below(20));
        if recent > 0 {
            self.came("written late");
        }
        let before = self.bed.dump();
        for started in &self.stale[self.stale.len() - recent..] {
            self.is_fenced(started).await;
        }
        assert_eq!(self.bed.dump(), before);
    }

    async fn is_fenced(&self, started: &Started) {
        let (fence, run, now) = (&started.fence, &started.view.run, self.bed.now());
        let record = Record::UserMessage { text: "late".into() };
        let fenced = ActError::Failed(FenceError);
        let store = self.store();
        assert_eq!(store.append(fence, vec![record], now).await.unwrap_err(), fenced, "{run}");
        let late = answered(started, "late");
        assert_eq!(store.end_run(fence, late, now).await.unwrap_err(), fenced, "{run}");
        let late = store.interrupt_run(fence, Usage::default(), FoundAt::Work, now).await;
        assert_eq!(late.unwrap_err(), fenced, "{run}");
        match store.take_notices(fence, now).await {
            // Nothing waits in its conversation, or that is gone.
            Ok(told) => assert_eq!(told, [], "{run}"),
            Err(error) => assert_eq!(error, fenced, "{run}"),
        }
        if !self.working.contains_key(run) {
            self.delegates_nothing(run, started).await;
        }
    }

    async fn delegates_nothing(&self, run: &RunId, started: &Started) {
        let by = Caller::run(
            run.clone(),
            started.view.session.clone(),
            started.grant.clone(),
            CapabilitySet::of(Capability::ALL),
        );
        let ask = order("late", &started.view.session, Precedence::Start);
        self.store().act(&by, ask, self.bed.now()).await.unwrap_err();
        assert_eq!(self.store().hold_children(run.clone()).await.unwrap(), 0, "{run}");
    }
}
