//! When a parent is told, and what.

use openclaw_scopes::CapabilitySet;

use super::super::{accept, interrupted, key, owner, run_id};
use super::family::{Family, of};
use super::order;
use crate::{
    AbortRun, AbortedRun, AcceptRun, Accepted, ActError, ChildError, Cleanup, Delegated, HandOver,
    Precedence, RetryChild,
};

#[tokio::test]
async fn a_sub_agent_is_heard_when_all_that_it_delegated_was() {
    let family = Family::new().await;
    let (store, main) = (&family.store, key("main"));
    let below = family.idle_middle().await;
    assert_eq!(store.due(&main).unwrap(), None);
    family.end(&below, "It is blue.").await;
    assert_eq!(
        (family.hand_over("g"), family.hand_over("c")),
        (HandOver::Waiting, HandOver::Ahead)
    );
    assert_eq!((store.due(&main).unwrap(), store.all_due().unwrap()), (None, vec![of("c")]));
    let next = family.told_now("told-1", &of("c")).await;
    assert!(next.message.contains(", run g, session agent:main:subagent:g: ok]\n> It is blue."));
    assert_eq!(next.delegated, Some(Delegated::default()), "it has what it was given");
    assert_eq!(family.hand_over("c"), HandOver::Ahead);
    assert!(matches!(family.hand_over("g"), HandOver::Told(run, _) if run == run_id("told-1")));
    family.end(&next, "All is blue.").await;
    assert_eq!(family.hand_over("c"), HandOver::Waiting);
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "All is blue.".into())]);
    assert_eq!(family.hears("again").await, []);
    family.rests();
}

/// What a person asks of a sub-agent and withdraws is not what it says.
#[tokio::test]
async fn the_turn_that_ended_last_is_what_is_told() {
    let family = Family::new().await;
    let middle = family.child("c", &key("main")).await;
    let below = family.child_of(&middle, "g").await;
    let beside = AcceptRun { session: of("c"), ..accept("p", "main", Precedence::Wait) };
    family.store.act(&owner(), beside, family.bed.now()).await.unwrap();
    let aborted = family.store.act(&owner(), AbortRun(run_id("p")), family.bed.now()).await;
    assert!(matches!(aborted.unwrap(), AbortedRun::Ended(_)));
    family.end(&middle, "I wait.").await;
    family.end(&below, "It is blue.").await;
    family.discard("g").await;
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "I wait.".into())]);
    family.rests();
}

#[tokio::test]
async fn who_yields_goes_on_when_all_were_heard() {
    let family = Family::new().await;
    let asked = family.bed.start(&family.store, "r", "main").await;
    let one = family.child_of(&asked, "one").await;
    let two = family.child_of(&asked, "two").await;
    let held = family.store.hold_children(run_id("r")).await.unwrap();
    assert_eq!(held, 2);
    family.end(&asked, "I wait.").await;
    family.end(&one, "One.").await;
    let other = family.child("other", &key("main")).await;
    assert_eq!(family.store.due(&key("main")).unwrap(), None);
    let family = family.restart().await;
    assert_eq!(family.get("two").run.status.name(), "interrupted");
    family.store.append(&two.fence, Vec::new(), family.bed.now()).await.unwrap_err();
    let next = family.told_now("told-1", &key("main")).await;
    let places = ["run one", "run two", "run other"].map(|run| next.message.find(run));
    assert!(places.is_sorted() && places[0].is_some(), "{}", next.message);
    family.store.append(&other.fence, Vec::new(), family.bed.now()).await.unwrap_err();
    family.end(&next, "Done.").await;
    family.rests();
}

/// What begins work at each of its ends would go on for ever: somebody has to say something in between.
#[tokio::test]
async fn a_conversation_goes_on_by_itself_so_often() {
    let family = Family::new().await;
    let main = key("main");
    let mut turn = family.bed.start(&family.store, "r", "main").await;
    for number in 0..100 {
        let child = family.child_of(&turn, &format!("c{number}")).await;
        family.end(&turn, "I wait.").await;
        family.end(&child, "Go on.").await;
        turn = family.told_now(&format!("told-{number}"), &main).await;
    }
    let child = family.child_of(&turn, "last").await;
    family.end(&turn, "I wait.").await;
    family.end(&child, "Go on.").await;
    let alone = family.try_tell("told-last", &main, Precedence::Start).await.unwrap_err();
    assert_eq!(alone, ActError::Failed(ChildError::Alone { max: 100, session: main.clone() }));
    assert_eq!(family.hand_over("last"), HandOver::Waiting, "nothing is lost");
    assert_eq!(family.hears("a-word").await, [("last".into(), "ok", "Go on.".into())]);
    family.rests();
}

/// A model looks through so many at once.
#[tokio::test]
async fn many_are_told_in_turns() {
    let family = Family::new().await;
    for number in 0..33 {
        let child = family.child(&format!("c{number}"), &key("main")).await;
        family.end(&child, "Done.").await;
    }
    for (run, count) in [("told-1", 32), ("told-2", 1)] {
        let next = family.told_now(run, &key("main")).await;
        assert_eq!(next.message.matches(", run c").count(), count);
        family.end(&next, "Good.").await;
    }
    family.rests();
}

/// What nobody has read is told again when somebody wants it, and its conversation is kept as long.
#[tokio::test]
async fn a_turn_that_never_began_was_told_nothing() {
    let family = Family::new().await;
    let mut ask = order("c", &key("main"), Precedence::Start);
    ask.assignment.cleanup = Cleanup::Delete;
    let accepted = family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    let Accepted::Started(child) = accepted else { panic!("{accepted:?}") };
    family.end(&child, "It is blue.").await;
    assert!(family.told("told-1", &key("main"), Precedence::Wait).await.is_some());
    assert_eq!(family.reapable(), [], "the turn may never begin");
    family.store.act(&owner(), AbortRun(run_id("told-1")), family.bed.now()).await.unwrap();
    assert!(matches!(family.hand_over("c"), HandOver::Dead(..)));
    family.bed.advance(30 * 24 * 3_600_000);
    assert_eq!(family.reapable(), [], "a dead letter keeps it");
    family.store.act(&owner(), RetryChild(run_id("c")), family.bed.now()).await.unwrap();
    assert_eq!(family.hears("r").await, [("c".into(), "ok", "It is blue.".into())]);
    assert_eq!(family.reapable(), [of("c")]);
    family.rests();
}

/// What stands in the journal of a turn was read, whatever becomes of that turn.
#[tokio::test]
async fn a_turn_that_was_put_back_has_read_what_it_was_told() {
    let mut family = Family::new().await;
    for (run, child) in [("told-1", "one"), ("told-2", "two")] {
        let started = family.child(child, &key("main")).await;
        family.end(&started, "It is blue.").await;
        family.told_now(run, &key("main")).await;
        family = family.restart().await;
        let now = family.bed.now();
        assert!(matches!(family.hand_over(child), HandOver::Told(..)));
        let aborted = family.store.act(&owner(), AbortRun(run_id(run)), now).await.unwrap();
        assert!(matches!(aborted, AbortedRun::Ended(_)));
        assert!(matches!(family.hand_over(child), HandOver::Told(by, _) if by == run_id(run)));
        let retried = family.store.act(&owner(), RetryChild(run_id(child)), now).await.unwrap_err();
        assert_eq!(retried, ActError::Failed(ChildError::NothingToHandOver(run_id(child))));
    }
    family.rests();
}

/// Later turns of a sub-agent are told to nobody, and have no more than the first.
#[tokio::test]
//= docs/threat-model.md#T16
async fn what_was_given_binds_every_turn_and_the_first_end_is_told() {
    let family = Family::new().await;
    let mut ask = order("c", &key("main"), Precedence::Start);
    ask.assignment.tools = vec!["read_file".into(), "web_fetch".into()];
    ask.assignment.model = "local/x".into();
    let files = CapabilitySet::EMPTY.with(openclaw_scopes::Capability::FilesRead);
    ask.assignment.capabilities = files;
    let tools = ask.assignment.tools.clone();
    let given =
        Some(Delegated { model: "local/x".into(), tools, capabilities: files, max_tokens: None });
    let accepted = family.store.act(&owner(), ask, family.bed.now()).await.unwrap();
    let Accepted::Started(first) = accepted else { panic!("{accepted:?}") };
    assert_eq!(first.delegated, given);
    family.store.end_run(&first.fence, interrupted(), family.bed.now()).await.unwrap();
    let family = family.restart().await;
    let second = family.bed.start(&family.store, "p", "subagent:c").await;
    assert_eq!(
        (second.delegated.clone(), family.store.given(&of("c")).unwrap()),
        (given.clone(), given)
    );
    family.end(&second, "More.").await;
    assert_eq!(family.hears("r").await, [("c".into(), "interrupted", "stopped".into())]);
    assert_eq!(family.bed.start(&family.store, "q", "main").await.delegated, None);
}

/// What a heartbeat says is an answer to nobody: so it takes only what heartbeats began, and the rest has a turn of
/// its own.
#[tokio::test]
async fn a_heartbeat_takes_nothing_that_somebody_waits_for() {
    let family = Family::new().await;
    let asked = family.child("asked", &key("main")).await;
    let look = family.bed.start(&family.store, "heartbeat-main-1", "main").await;
    let looked = family.child_of(&look, "looked").await;
    for (run, said) in [(&asked, "It is blue."), (&looked, "It is red.")] {
        family.end(run, said).await;
    }
    let told = family.store.take_notices(&look.fence, family.bed.now()).await.unwrap();
    let [openclaw_sessions::Record::Notices { notices }] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(notices.iter().map(|notice| notice.run.as_str()).collect::<Vec<_>>(), ["looked"]);
    family.end(&look, "HEARTBEAT_OK").await;
    let due = family.store.due(&key("main")).unwrap().unwrap();
    assert_eq!(due.source, "asked");
    let turn = family.told_now("told-1", &key("main")).await;
    assert!(turn.message.contains("> It is blue."), "{turn:?}");
    family.end(&turn, "It is blue.").await;
    family.rests();
}
