//! Conversations that go by themselves: those that were made for one piece of work, when nobody uses them.

use openclaw_sessions::LaneClass;

use super::{Bed, answered, key, owner};
use crate::{ActError, Archive, DeleteSession, Patch, PatchSession, SessionError};

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn only_what_nobody_uses_goes() {
    let bed = Bed::new();
    let store = bed.open();
    let old = [
        "main",
        "explicit:hook:x",
        "hook:mail",
        "hook:pinned",
        "cron:j:run:1",
        "cron:j",
        "hook:busy",
    ];
    let mut working = None;
    for (at, name) in old.iter().enumerate() {
        let started = bed.start(&store, &format!("r{at}"), name).await;
        if *name == "hook:busy" {
            working = Some(started);
            continue;
        }
        let ending = answered(&started, "Done.");
        store.end_run(&started.fence, ending, bed.now()).await.unwrap();
    }
    let patch = Patch { pinned: Some(true), ..Patch::default() };
    let ask = PatchSession { key: key("hook:pinned"), patch };
    store.act(&owner(), ask, bed.now()).await.unwrap();
    bed.advance(2 * HOUR);
    let started = bed.start(&store, "new", "hook:new").await;
    store.end_run(&started.fence, answered(&started, "Done."), bed.now()).await.unwrap();

    let since = bed.now().saturating_sub(std::time::Duration::from_secs(3_600));
    let mut unused = store.unused_passing(since).unwrap();
    unused.sort_unstable();
    assert_eq!(unused, ["cron:j", "cron:j:run:1", "hook:mail"].map(key));
    assert!(unused.iter().all(|key| LaneClass::of(key) == LaneClass::Background));
    // What goes on there ends, and then it counts from that on.
    let working = working.unwrap();
    store.end_run(&working.fence, answered(&working, "Done."), bed.now()).await.unwrap();
    assert_eq!(store.unused_passing(since).unwrap().len(), 3);
    assert_eq!(store.unused_passing(bed.now()).unwrap().len(), 5);
    assert_eq!(store.unused_passing(openclaw_scopes::Timestamp::from_millis(0)).unwrap(), []);
    // Whoever was used after the look stays.
    let prune = |name: &str| DeleteSession {
        key: key(name),
        archive: Archive::Drop,
        unused_since: Some(since),
    };
    bed.start(&store, "late", "hook:mail").await;
    let stays = store.act(&owner(), prune("hook:mail"), bed.now()).await.unwrap_err();
    assert_eq!(stays, ActError::Failed(SessionError::Busy(key("hook:mail"))));
    store.act(&owner(), prune("cron:j"), bed.now()).await.unwrap();
}
