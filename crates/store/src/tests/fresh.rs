//! Conversations that begin anew by themselves, with the next message after nobody has asked anything for long.

use openclaw_scopes::Timestamp;

use super::{Bed, accept, answered, key, owner};
use crate::{AcceptRun, Accepted, Precedence, Started, Store, UndoReset};

const HOUR: i64 = 3_600_000;

/// Asks something, where what nobody has asked for an hour is begun anew; the model is shown entries from there.
async fn say(bed: &Bed, store: &Store, run: &str, session: &str) -> Started {
    let since = bed.now().saturating_sub(std::time::Duration::from_secs(3_600));
    let ask = AcceptRun { fresh_since: Some(since), ..accept(run, session, Precedence::Start) };
    match store.act(&owner(), ask, bed.now()).await.unwrap() {
        Accepted::Started(started) => *started,
        other => panic!("{other:?}"),
    }
}

async fn end(bed: &Bed, store: &Store, started: &Started) {
    store.end_run(&started.fence, answered(started, "Done."), bed.now()).await.unwrap();
}

#[tokio::test]
async fn it_begins_anew_when_nobody_has_asked_for_long() {
    let bed = Bed::new();
    let store = bed.open();
    for (wait, run, from) in [(0, "a", 1), (HOUR - 60_000, "b", 1), (HOUR + 1, "c", 7), (0, "d", 7)]
    {
        bed.advance(wait);
        let started = say(&bed, &store, run, "main").await;
        assert_eq!(started.context.from, from, "{run}");
        end(&bed, &store, &started).await;
    }
    // A retry of an old message is no message.
    bed.advance(2 * HOUR);
    let since = Timestamp::from_millis(bed.now().as_millis() - HOUR);
    let ask = AcceptRun { fresh_since: Some(since), ..accept("a", "main", Precedence::Start) };
    let again = store.act(&owner(), ask, bed.now()).await.unwrap();
    assert!(matches!(again, Accepted::Existing(_)), "{again:?}");
    // What goes on by itself does not keep it, and it can be taken back.
    let told = bed.start(&store, "told-1", "main").await;
    end(&bed, &store, &told).await;
    let started = say(&bed, &store, "e", "main").await;
    assert!(started.context.from > 7, "{:?}", started.context);
    end(&bed, &store, &started).await;
    let undone = store.act(&owner(), UndoReset(key("main")), bed.now()).await.unwrap();
    assert_eq!((undone.number, undone.context_from), (2, 7));
    bed.verify(&store);
}

#[tokio::test]
async fn it_goes_on_while_something_does() {
    let bed = Bed::new();
    let store = bed.open();
    for session in ["main", "hook:mail"] {
        end(&bed, &store, &say(&bed, &store, &format!("a-{session}"), session).await).await;
    }
    bed.advance(2 * HOUR);
    // What hooks and jobs say is no conversation.
    let hook = say(&bed, &store, "hook", "hook:mail").await;
    assert_eq!(hook.context.from, 1);
    let working = bed.start(&store, "w", "main").await;
    bed.advance(2 * HOUR);
    let since = bed.now();
    let ask = AcceptRun { fresh_since: Some(since), ..accept("x", "main", Precedence::Wait) };
    store.act(&owner(), ask, bed.now()).await.unwrap();
    end(&bed, &store, &working).await;
    let resets: u64 =
        bed.raw().query_row("SELECT count(*) FROM resets", [], |row| row.get(0)).unwrap();
    assert_eq!(resets, 0);
}
