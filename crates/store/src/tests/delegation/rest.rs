//! Everything that waits is done, and then nothing is open.

use openclaw_scopes::RunId;

use super::super::owner;
use super::model::State;
use super::world::World;
use crate::{ActError, Child, ChildError, ChildFilter, DiscardChild, HandOver, RetryChild};

/// Longer than anything is kept that nobody wants removed.
const LONG: i64 = 8 * 24 * 3_600_000;

impl World {
    /// Begins and ends all that waits, and tells all that is due.
    async fn work_off(&mut self) {
        loop {
            while !self.tickets.is_empty() || !self.working.is_empty() {
                while !self.working.is_empty() {
                    self.finish().await;
                    self.check();
                }
                self.begin().await;
                self.check();
            }
            let sessions = self.store().all_due().unwrap();
            let due = sessions.iter().find_map(|session| self.store().due(session).unwrap());
            let Some(due) = due else { return };
            self.tell(due).await;
            self.check();
        }
    }

    /// Begins and ends all that waits, tells all that is due, and removes all that may be.
    pub(super) async fn come_to_rest(&mut self) {
        self.work_off().await;
        self.check_journals();
        self.is_at_rest().await;
        // What was put away has held something up.
        for key in self.model.there.keys().cloned().collect::<Vec<_>>() {
            self.put(&key, false).await;
        }
        self.work_off().await;
        self.is_at_rest().await;
        // What is dead is told when it is retried, or dead again.
        for run in self.told_and(&State::Dead) {
            match self.store().act(&owner(), RetryChild(run), self.bed.now()).await {
                Ok(_) => self.came("retried"),
                // Its conversation is gone.
                Err(error) => assert!(matches!(error, ActError::Failed(ChildError::Unknown(_)))),
            }
            self.check();
        }
        self.work_off().await;
        self.check_journals();
        self.is_at_rest().await;
        self.remove_all().await;
        let sql = "SELECT count(*) FROM children c LEFT JOIN sessions p ON p.id = c.parent
                   WHERE (p.id IS NULL OR p.deleted_at IS NOT NULL) AND ?1 = ''";
        assert_eq!(self.count(sql, ""), 0, "what belonged to the deleted is gone");
        self.check_journals();
        self.write_late().await;
        self.give_up_and_go().await;
        self.bed.verify(self.store());
    }

    /// Removes all that may be removed, to the last row.
    async fn remove_all(&mut self) {
        while self.purge().await || self.reap().await > 0 {
            self.check();
        }
    }

    /// After a week only dead letters keep a conversation of a sub-agent, until they are given up.
    async fn give_up_and_go(&mut self) {
        self.bed.advance(LONG);
        self.remove_all().await;
        for key in self.model.given.keys().cloned().collect::<Vec<_>>() {
            let children = self.children().await;
            // Those below one go with it.
            let Some(child) = children.iter().find(|child| child.run.session == key) else {
                continue;
            };
            assert!(matches!(child.hand_over, HandOver::Dead(..)), "{key}: {:?}", child.hand_over);
            let ask = DiscardChild(child.run.run.clone());
            self.store().act(&owner(), ask, self.bed.now()).await.unwrap();
            self.check();
            self.bed.advance(LONG);
            self.remove_all().await;
        }
        assert!(self.model.given.is_empty(), "{:?}", self.model.given.keys());
    }

    async fn children(&self) -> Vec<Child> {
        let all = ChildFilter { limit: 1000, ..ChildFilter::default() };
        self.store().view(&owner(), &all, self.bed.now()).await.unwrap().children
    }

    /// No run is open; every sub-agent was heard or given up, unless somebody put away what holds it up.
    async fn is_at_rest(&self) {
        let ended = |run: &RunId| self.status(run).is_none_or(|status| status.is_terminal());
        assert!(self.model.accepted.iter().all(ended));
        let mut put_away = false;
        for key in self.model.there.keys() {
            put_away |= self.is_archived(key).await;
        }
        for told in self.model.inbox.values().filter(|told| told.state == State::Waiting) {
            let parent = self.model.there.iter().find(|(_, id)| **id == told.parent).unwrap().0;
            // One that yielded waits for all, and one of them may wait for what was put away.
            let sql = "SELECT count(*) FROM children c JOIN sessions p ON p.id = c.parent
                       WHERE c.held = 1 AND p.key = ?1";
            let waits_for_others = put_away && self.count(sql, parent.as_str()) > 0;
            assert!(waits_for_others || self.is_archived(parent).await, "{told:?} waits");
        }
        for child in self.children().await {
            let is_open = child.hand_over == HandOver::Ahead;
            assert!(!is_open || put_away, "{}: {:?}", child.run.run, child.hand_over);
        }
    }
}
