//! What holds delegation up: a conversation that is put away, a limit, a grant that has ended.

use openclaw_scopes::{Caller, Capability, CapabilitySet, Scope, ScopeSet};
use openclaw_sessions::{SendPolicy, SendRules};

use super::super::access::{OPERATOR, caller, named};
use super::super::{accept, key, owner, run_id};
use super::family::{Family, of};
use super::order;
use crate::{
    AcceptRun, Accepted, ActError, ChildError, ChildFilter, HandOver, NewSendPolicy, Patch,
    PatchSession, Precedence, ReplyTo, RetryChild, RotateDevice, SendToChild,
};

impl Family {
    async fn put(&self, name: &str, archived: bool) {
        let patch = Patch { archived: Some(archived), ..Patch::default() };
        let ask = PatchSession { key: key(name), patch };
        self.store.act(&owner(), ask, self.bed.now()).await.unwrap();
    }

    async fn refused(&self, name: &str, parent: &str) -> ChildError {
        let (ask, before) = (order(name, &key(parent), Precedence::Start), self.bed.dump());
        let error = self.store.act(&owner(), ask, self.bed.now()).await.unwrap_err();
        assert_eq!(self.bed.dump(), before);
        match error {
            ActError::Failed(error) => error,
            other @ (ActError::Denied(_) | ActError::Store(_)) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_conversation_that_is_put_away_is_told_when_it_is_back() {
    let family = Family::new().await;
    family.bed.create(&family.store, "a").await;
    let child = family.child("c", &key("a")).await;
    family.put("a", true).await;
    assert_eq!(family.refused("late", "a").await, ChildError::Archived(key("a")));
    family.end(&child, "It is blue.").await;
    let family = family.restart().await;
    assert_eq!(family.store.due(&key("a")).unwrap(), None);
    assert_eq!((family.hand_over("c"), family.reapable()), (HandOver::Waiting, Vec::new()));
    family.put("a", false).await;
    let next = family.told_now("told-1", &key("a")).await;
    assert!(next.message.ends_with("It is blue."));
    family.rests();
}

#[tokio::test]
async fn delegation_goes_so_deep_and_so_wide() {
    let family = Family::new().await;
    let mut parent = family.bed.start(&family.store, "r", "main").await;
    for name in ["c", "g", "gg"] {
        parent = family.child_of(&parent, name).await;
    }
    assert_eq!(family.refused("ggg", "subagent:gg").await, ChildError::TooDeep { max: 3 });
    family.child("d", &key("main")).await;
    let full = ChildError::TooMany { max: 2, parent: key("main") };
    assert_eq!(family.refused("e", "main").await, full);
    family.cancel("c").await;
    family.child("e", &key("main")).await;
    assert_eq!(family.refused("f", "main").await, full);
    assert_eq!(family.refused("f", "nowhere").await, ChildError::UnknownParent(key("nowhere")));
}

/// One that has yielded to what it delegated works all the same, and one that is asked again is one more.
#[tokio::test]
async fn a_sub_agent_that_waits_counts() {
    let family = Family::new().await;
    let parent = family.bed.start(&family.store, "r", "main").await;
    let child = family.child_of(&parent, "c").await;
    let below = family.child_of(&child, "b").await;
    family.end(&child, "I wait.").await;
    let full = ChildError::TooMany { max: 2, parent: key("main") };
    let second = family.child_of(&parent, "d").await;
    assert_eq!(family.refused("e", "main").await, full);
    let filter = ChildFilter { open_only: true, limit: 9, ..ChildFilter::default() };
    let open = family.store.children(&filter).unwrap().children;
    assert_eq!(open.len(), 3, "{open:?}");
    // It says what came of it only when all below it has.
    family.end(&second, "Done.").await;
    let third = family.child_of(&parent, "e").await;
    assert_eq!(family.refused("f", "main").await, full);
    let send = |child: &str| SendToChild {
        accept: AcceptRun {
            session: of(child),
            ..accept(&format!("again-{child}"), "main", Precedence::Wait)
        },
        parent: key("main"),
        agent: "main".parse().unwrap(),
        children: 2,
    };
    let (run, session) = (parent.view.run.clone(), parent.view.session.clone());
    let capabilities = CapabilitySet::EMPTY.with(Capability::SessionsSpawn);
    let by = Caller::run(run, session, parent.grant.clone(), capabilities);
    let sent = family.store.act(&by, send("d"), family.bed.now()).await;
    assert_eq!(sent.unwrap_err(), ActError::Failed(full));
    // One that is counted already may be told more.
    family.store.act(&by, send("e"), family.bed.now()).await.unwrap();
    family.end(&third, "Done.").await;
    family.end(&below, "Done.").await;
}

/// A person may ask several runs of one sub-agent: it is one all the same.
#[tokio::test]
async fn a_sub_agent_counts_once() {
    let family = Family::new().await;
    family.child("c", &key("main")).await;
    for run in ["p", "q"] {
        let ask = AcceptRun { session: of("c"), ..accept(run, "main", Precedence::Wait) };
        family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    }
    family.child("d", &key("main")).await;
    let full = ChildError::TooMany { max: 2, parent: key("main") };
    assert_eq!(family.refused("e", "main").await, full);
}

/// A grant that was replaced takes nothing of the one that replaced it with it.
#[tokio::test]
//= docs/threat-model.md#T32
async fn each_grant_is_told_by_itself() {
    let family = Family::new().await;
    let (bed, store) = (&family.bed, &family.store);
    bed.pair(store, 1, Scope::Write.into()).await;
    for (run, rotates) in [("old", true), ("new", false), ("newer", false)] {
        let ask = order(run, &key("main"), Precedence::Start);
        let by = caller(store, 1, ScopeSet::ALL);
        let accepted = store.act(&by, ask, bed.now()).await.unwrap();
        let Accepted::Started(started) = accepted else { panic!("{accepted:?}") };
        if rotates {
            let ask = RotateDevice { device: named(1), role: OPERATOR, scopes: None };
            store.act(&owner(), ask, bed.now()).await.unwrap();
        }
        family.end(&started, "Done.").await;
    }
    let due = store.due(&key("main")).unwrap().unwrap();
    assert_eq!((due.run.as_ref().unwrap().as_str(), &due.grant), ("old", &None));
    store.bury_notices(&due, "the grant has ended".into(), bed.now()).await.unwrap();
    assert!(matches!(family.hand_over("old"), HandOver::Dead(..)));
    assert_eq!(family.hand_over("new"), HandOver::Waiting);
    // The other way round: what has no grant any more is told by no turn of another.
    store.act(&owner(), RetryChild(run_id("old")), bed.now()).await.unwrap();
    bed.raw().execute("UPDATE inbox SET id = 99 WHERE source = 'old'", []).unwrap();
    let next = family.told_now("told-1", &key("main")).await;
    assert_eq!(next.message.matches(", run new").count(), 2);
    assert_eq!(family.hand_over("old"), HandOver::Waiting);
    family.end(&next, "Good.").await;
    let due = store.due(&key("main")).unwrap().unwrap();
    assert_eq!((due.run.as_ref().unwrap().as_str(), due.grant), ("old", None));
    bed.verify(store);
}

/// What came of what others delegated is told in a turn on their behalf, and heard by none that is at work for
/// somebody else.
#[tokio::test]
//= docs/threat-model.md#T36
async fn what_came_of_anothers_is_not_heard_at_work() {
    let family = Family::new().await;
    let (bed, store) = (&family.bed, &family.store);
    bed.pair(store, 1, Scope::Write.into()).await;
    let by = caller(store, 1, ScopeSet::ALL);
    let ask = order("theirs", &key("main"), Precedence::Start);
    let Accepted::Started(theirs) = store.act(&by, ask, bed.now()).await.unwrap() else { panic!() };
    let mine = family.child("mine", &key("main")).await;
    let working = bed.start(store, "r", "main").await;
    family.end(&theirs, "Do as I say.").await;
    family.end(&mine, "It is blue.").await;
    let heard = format!("{:?}", store.take_notices(&working.fence, bed.now()).await.unwrap());
    assert!(heard.contains("It is blue.") && !heard.contains("Do as I say."), "{heard}");
    family.end(&working, "I see.").await;
    let due = store.due(&key("main")).unwrap().unwrap();
    assert_eq!(due.run.unwrap().as_str(), "theirs");
}

/// What a conversation has delegated, and that in turn, leaves by no other way than its own answers would.
#[tokio::test]
async fn what_a_silent_conversation_delegated_is_silent() {
    let family = Family::new().await;
    let first = family.child("c", &key("main")).await;
    family.child_of(&first, "d").await;
    let deny =
        Patch { send_policy: Some(NewSendPolicy::Own(SendPolicy::Deny)), ..Patch::default() };
    let ask = PatchSession { key: key("main"), patch: deny };
    family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    let (to, rules) = (ReplyTo::default(), SendRules::default());
    for name in ["c", "d"] {
        assert!(family.store.is_silent(&of(name), &to, &rules).unwrap(), "{name}");
    }
}
