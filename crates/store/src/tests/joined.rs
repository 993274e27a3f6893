//! Messages that belong together: each is accepted by itself, and all are in one turn, whenever the gateway stops.

use openclaw_scopes::RunId;
use openclaw_sessions::RunStatus;

use super::{Bed, accept, answered, key, owner, run_id};
use crate::{AcceptRun, Accepted, Precedence, RunView, Store, Ticket};

fn place(answers: &str) -> String {
    format!(r#"{{"channel":"telegram","peer":"42","answers":"{answers}"}}"#)
}

fn said(run: &str, join: Option<&str>) -> AcceptRun {
    AcceptRun { join: join.map(run_id), reply_to: place(run), ..accept(run, "a", Precedence::Wait) }
}

async fn act(bed: &Bed, store: &Store, ask: AcceptRun) -> (RunView, Ticket) {
    match store.act(&owner(), ask, bed.now()).await.unwrap() {
        Accepted::Waiting(view, ticket) => (view, ticket),
        other => panic!("it does not wait: {other:?}"),
    }
}

#[tokio::test]
async fn what_belongs_together_has_one_turn_after_a_crash_at_any_point() {
    let bed = Bed::new();
    let store = bed.open();
    act(&bed, &store, said("one", None)).await;
    let (view, _) = act(&bed, &store, said("two", Some("one"))).await;
    assert_eq!(view.merged_into, Some(run_id("one")));
    store.close();

    let store = bed.open();
    let again = store.act(&owner(), said("two", Some("one")), bed.now()).await.unwrap();
    assert!(matches!(again, Accepted::Existing(view) if view.run == run_id("two")));
    act(&bed, &store, said("three", Some("one"))).await;
    store.close();

    let store = bed.open();
    let mut found = bed.recover(&store).await;
    let merged: Vec<_> = found.merged.iter().map(|(it, into)| (&it.run, into)).collect();
    let one = run_id("one");
    assert_eq!(merged, [(&run_id("two"), &one), (&run_id("three"), &one)]);
    assert_eq!(found.waiting.len(), 1);
    let started = store.start_run(found.waiting.remove(0), bed.now()).await.unwrap().unwrap();
    assert_eq!(started.message, "question of one\n\nquestion of two\n\nquestion of three");
    assert_eq!(started.view.reply_to, place("three"), "an answer is one to the last message");
    store.end_run(&started.fence, answered(&started, "All."), bed.now()).await.unwrap();
    for run in ["one", "two", "three"] {
        let view = bed.view(&store, run).await;
        assert_eq!((view.status, view.text.as_str()), (RunStatus::Ok, "All."), "{run}");
    }
}

#[tokio::test]
//= docs/threat-model.md#T36
async fn nothing_is_joined_that_has_begun_or_is_anothers() {
    let bed = Bed::new();
    let store = bed.open();
    let is_alone = async |ask: AcceptRun| {
        let (view, _) = act(&bed, &store, ask).await;
        assert_eq!(view.merged_into, None);
    };
    let (_, ticket) = act(&bed, &store, said("one", None)).await;
    let elsewhere = place("x").replace("42", "43");
    is_alone(AcceptRun { reply_to: elsewhere, ..said("other-place", Some("one")) }).await;
    is_alone(AcceptRun { session: key("b"), ..said("other-session", Some("one")) }).await;
    is_alone(said("absent", Some("none"))).await;
    is_alone(AcceptRun { message: "x".repeat(256 * 1024), ..said("long", Some("one")) }).await;
    act(&bed, &store, said("two", Some("one"))).await;
    is_alone(said("chained", Some("two"))).await;
    for number in 0..19 {
        let name = format!("more-{number}");
        let (view, _) = act(&bed, &store, said(&name, Some("one"))).await;
        assert_eq!(view.merged_into, Some::<RunId>(run_id("one")), "{name}");
    }
    is_alone(said("too-many", Some("one"))).await;
    let started = store.start_run(ticket, bed.now()).await.unwrap().unwrap();
    assert_eq!(started.message.matches("question of").count(), 21);
    is_alone(said("late", Some("one"))).await;
}
