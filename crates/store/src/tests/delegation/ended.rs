//! Sub-agents that are ended from outside: their parents are told, while there are such.

use super::super::{key, owner};
use super::family::{Family, of};
use super::world::World;
use crate::{
    ActError, Archive, DeleteSession, Deleted, FoundAt, HandOver, Purged, ResetSession,
    SessionError, Started,
};

impl Family {
    async fn delete(&self, key: openclaw_scopes::SessionKey, archive: Archive) -> Deleted {
        let ask = DeleteSession { key, archive, unused_since: None };
        self.store.act(&owner(), ask, self.bed.now()).await.unwrap()
    }

    /// Whoever writes late changes nothing.
    async fn is_fenced(&self, late: &Started) {
        let before = self.bed.dump();
        let now = self.bed.now();
        self.store.append(&late.fence, Vec::new(), now).await.unwrap_err();
        let usage = openclaw_sessions::Usage::default();
        self.store.interrupt_run(&late.fence, usage, FoundAt::Work, now).await.unwrap_err();
        let ending = super::super::answered(late, "late");
        self.store.end_run(&late.fence, ending, now).await.unwrap_err();
        assert_eq!(self.bed.dump(), before);
    }
}

fn names(ended: &[crate::EndedRun]) -> Vec<&str> {
    ended.iter().map(|ended| ended.run.as_str()).collect()
}

#[tokio::test]
async fn a_cancelled_sub_agent_that_is_idle_tells_what_it_said() {
    let family = Family::new().await;
    let below = family.idle_middle().await;
    let cancelled = family.cancel("c").await;
    assert_eq!((names(&cancelled.ended), cancelled.parent), (vec!["g"], key("main")));
    assert_eq!(family.hand_over("c"), HandOver::Waiting);
    assert!(matches!(family.hand_over("g"), HandOver::Discarded(..)), "nobody is there to read it");
    family.is_fenced(&below).await;
    assert_eq!(family.cancel("c").await.ended, [], "it was done");
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "I wait.".into())]);
    family.rests();
}

/// Also where nothing was at work: what was to be told is given up, and the parent is told.
#[tokio::test]
//= docs/threat-model.md#T19
async fn a_cancellation_that_changes_something_is_recorded() {
    let family = Family::new().await;
    let below = family.idle_middle().await;
    family.end(&below, "It is blue.").await;
    let records = async || family.bed.audit(&family.store).await.len();
    let before = records().await;
    for _ in 0..2 {
        assert_eq!(family.cancel("c").await.ended, []);
        assert_eq!(family.hand_over("c"), HandOver::Waiting);
        assert_eq!(records().await - before, 1, "and what is done again is not");
    }
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "I wait.".into())]);
    family.rests();
}

#[tokio::test]
async fn a_cancelled_sub_agent_at_work_ends_with_all_below_it() {
    let family = Family::new().await;
    let middle = family.child("c", &key("main")).await;
    let below = family.child_of(&middle, "g").await;
    let last = family.child_of(&below, "gg").await;
    family.end(&below, "I wait.").await;
    assert_eq!(names(&family.cancel("c").await.ended), ["gg", "c"]);
    for late in [&middle, &last] {
        family.is_fenced(late).await;
    }
    assert_eq!(family.hears("r").await, [("c".into(), "aborted", "it was cancelled".into())]);
    family.rests();
}

#[tokio::test]
async fn a_sub_agent_that_is_deleted_tells_its_parent() {
    let said = [("aborted", "the session was deleted"), ("ok", "I wait.")];
    for (is_idle, (status, text)) in [false, true].into_iter().zip(said) {
        let family = Family::new().await;
        let late = if is_idle {
            family.idle_middle().await
        } else {
            family.child("c", &key("main")).await
        };
        let deleted = family.delete(of("c"), Archive::Keep).await;
        assert_eq!(names(&deleted.ended), [if is_idle { "g" } else { "c" }]);
        assert_eq!((deleted.parent, deleted.left), (Some(key("main")), None), "no file is kept");
        family.is_fenced(&late).await;
        assert!(family.store.child(&super::super::run_id("c")).unwrap().is_none());
        let family = family.restart().await;
        assert_eq!(family.hears("r").await, [("c".into(), status, text.into())]);
        assert_eq!(family.reapable(), if is_idle { vec![of("g")] } else { Vec::new() });
        family.rests();
    }
}

/// What was done for it, however far below, is told to whoever delegated to it; what is at work there ends.
#[tokio::test]
async fn what_waits_for_a_deleted_sub_agent_is_told_above_it() {
    let family = Family::new().await;
    let middle = family.child("c", &key("main")).await;
    let done = family.child_of(&middle, "done").await;
    let low = family.child_of(&middle, "low").await;
    let lowest = family.child_of(&low, "lowest").await;
    for (run, said) in [(&done, "It is blue."), (&lowest, "It is red.")] {
        family.end(run, said).await;
    }
    let deleted = family.delete(of("c"), Archive::Keep).await;
    assert_eq!(names(&deleted.ended), ["low", "c"]);
    let family = family.restart().await;
    let told = [
        ("done", "ok", "It is blue."),
        ("lowest", "ok", "It is red."),
        ("c", "aborted", "the session was deleted"),
    ];
    let told = told.map(|(run, status, text)| (run.into(), status, text.into()));
    assert_eq!(family.hears("r").await, told);
    family.rests();
}

/// A sub-agent's conversation that begins anew has nobody below it any more.
#[tokio::test]
async fn a_sub_agent_that_is_reset_tells_its_parent() {
    for has_ended in [false, true] {
        let family = Family::new().await;
        let below = family.idle_middle().await;
        if has_ended {
            family.end(&below, "It is blue.").await;
        }
        let ask = ResetSession { key: of("c"), reason: String::new() };
        let reset = family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
        assert_eq!(reset.ended.is_empty(), has_ended);
        assert!(matches!(family.hand_over("g"), HandOver::Discarded(..)));
        assert_eq!(family.hand_over("c"), HandOver::Waiting);
        family.is_fenced(&below).await;
        assert_eq!(family.hears("r").await, [("c".into(), "ok", "I wait.".into())]);
        family.rests();
    }
}

#[tokio::test]
async fn a_reset_parent_is_told_nothing_of_what_it_delegated() {
    let family = Family::new().await;
    let below = family.idle_middle().await;
    let done = family.child("done", &key("main")).await;
    family.end(&done, "Done.").await;
    let ask = ResetSession { key: key("main"), reason: String::new() };
    let reset = family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    assert_eq!(names(&reset.ended), ["g"]);
    family.is_fenced(&below).await;
    for run in ["c", "g", "done"] {
        assert!(matches!(family.hand_over(run), HandOver::Discarded(..)), "{run}");
    }
    assert_eq!(family.hears("r").await, []);
    family.rests();
}

#[tokio::test]
async fn what_a_deleted_conversation_delegated_goes_at_once() {
    for archive in [Archive::Drop, Archive::Keep] {
        let family = Family::new().await;
        let asked = family.bed.start(&family.store, "r", "a").await;
        let child = family.child_of(&asked, "c").await;
        let below = family.child_of(&child, "g").await;
        let done = family.child("done", &key("a")).await;
        family.end(&done, "Done.").await;
        let deleted = family.delete(key("a"), archive).await;
        assert_eq!(names(&deleted.ended), ["c", "g", "r"]);
        assert_eq!((deleted.parent, deleted.left.is_some()), (None, archive == Archive::Keep));
        for late in [&asked, &child, &below, &done] {
            family.is_fenced(late).await;
        }
        // Also when somebody begins another conversation under the same key.
        family.bed.create(&family.store, "a").await;
        assert_eq!(family.reapable(), [of("c"), of("done")]);
        if let Some(left) = deleted.left {
            assert_eq!(family.store.purge(&left).await.unwrap(), Purged::InPart);
            assert_eq!(family.store.purge(&left).await.unwrap(), Purged::Whole);
        }
        assert_eq!(family.store.tombstones().unwrap(), []);
        for expected in [vec![of("c"), of("done")], vec![of("g")], Vec::new()] {
            assert_eq!(family.reapable(), expected);
            for key in expected {
                let ask = DeleteSession { key, archive: Archive::Drop, unused_since: None };
                let gone = family.store.act(&World::reaper(), ask, family.bed.now()).await.unwrap();
                assert_eq!((gone.ended, gone.parent, gone.left), (Vec::new(), None, None));
            }
        }
        let left = family.bed.dump();
        assert_eq!((left["children"].len(), left["inbox"].len(), left["runs"].len()), (0, 0, 0));
        family.rests();
    }
}

#[tokio::test]
async fn the_reaper_removes_only_what_nobody_keeps() {
    let family = Family::new().await;
    family.bed.create(&family.store, "a").await;
    let ask = DeleteSession { key: key("a"), archive: Archive::Drop, unused_since: None };
    let refused = family.store.act(&World::reaper(), ask, family.bed.now()).await.unwrap_err();
    assert!(matches!(refused, ActError::Denied(_)), "{refused:?}");
    let ask = DeleteSession { key: key("main"), archive: Archive::Drop, unused_since: None };
    let refused = family.store.act(&owner(), ask, family.bed.now()).await.unwrap_err();
    assert_eq!(refused, ActError::Failed(SessionError::Main(key("main"))));
    family.rests();
}
