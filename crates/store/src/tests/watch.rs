//! Events: each transition is told exactly once, in the order of the commits, to whoever may see it.

mod told;

use openclaw_scopes::{
    Caller, Cause, DeviceId, DeviceRole, Epoch, Grant, GrantHolder, Scope, ScopeSet, Timestamp,
};

use super::{Bed, accept, answered, create, interrupted, key, owner, run_id, stale, tools};
use crate::{
    AbortRun, Accepted, ActError, Archive, DeleteSession, EventFilter, EventKind, LoggedEvent,
    Patch, PatchSession, Precedence, Presence, ResetSession, Since, Store, UndoReset, WatchError,
    WatchEvents,
};

async fn page(
    bed: &Bed,
    store: &Store,
    caller: &Caller,
    since: Since,
) -> Result<(Vec<LoggedEvent>, u64, u64), ActError<WatchError>> {
    let query = WatchEvents { since, filter: EventFilter::default() };
    let page = store.scan(caller, query, bed.now()).await?;
    Ok((page.events, page.reached, page.latest))
}

/// Everything that is kept, as the owner sees it.
async fn all(bed: &Bed, store: &Store) -> Vec<LoggedEvent> {
    let (mut events, mut since) = (Vec::new(), Since::Oldest);
    loop {
        let (more, reached, latest) = page(bed, store, &owner(), since).await.unwrap();
        events.extend(more);
        if reached == latest {
            return events;
        }
        since = Since::After(reached);
    }
}

fn kinds(events: &[LoggedEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event.kind.name(), event.state)).collect()
}

/// Puts so many events of presence there, as of instants that count up from one.
fn fill(bed: &Bed, count: u64) {
    let mut connection = bed.raw();
    let transaction = connection.transaction().unwrap();
    for at in 1..=count {
        let sql = "INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
                   VALUES (?1, 'presence.online', 'd', '', '', 'online', 'device:d')";
        transaction.execute(sql, [at]).unwrap();
    }
    transaction.commit().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
fn device(id: &str, role: DeviceRole, scopes: &[Scope]) -> Caller {
    let id = DeviceId::parse(id).unwrap();
    let holder = GrantHolder::Device(id.clone());
    let owner = Grant::owner(Epoch(1));
    let grant = Grant::mint(holder, Epoch(1), ScopeSet::ALL, &owner, ScopeSet::of(scopes));
    Caller::device(id, role, grant, Cause::Request)
}

fn admit(bed: &Bed, holders: &[&str]) {
    for holder in holders {
        let sql = "INSERT INTO grants (holder, epoch) VALUES (?1, 1)";
        bed.raw().execute(sql, [holder]).unwrap();
    }
}

#[tokio::test]
async fn a_page_ends_somewhere_and_the_next_one_goes_on() {
    let bed = Bed::new();
    let store = bed.open();
    assert_eq!(page(&bed, &store, &owner(), Since::Oldest).await.unwrap(), (vec![], 0, 0));
    assert_eq!(page(&bed, &store, &owner(), Since::After(0)).await.unwrap(), (vec![], 0, 0));
    let future = page(&bed, &store, &owner(), Since::After(1)).await.unwrap_err();
    assert_eq!(future, ActError::Failed(WatchError::Future { since: 1, latest: 0 }));
    fill(&bed, 600);
    let events = all(&bed, &store).await;
    assert!(events.iter().map(|event| event.seq).eq(1..=600));
    let (first, reached, latest) = page(&bed, &store, &owner(), Since::Oldest).await.unwrap();
    assert_eq!((first.len(), reached, latest), (256, 256, 600));
    let none = page(&bed, &store, &owner(), Since::Now).await.unwrap();
    assert_eq!(none, (vec![], 600, 600));
}

#[tokio::test]
async fn what_is_gone_is_said_to_be_gone() {
    let bed = Bed::new();
    let store = bed.open();
    fill(&bed, 1_300);
    let at = Timestamp::from_millis;
    // In steps, and never past what is to be kept.
    for (step, left) in [(1, true), (2, true), (3, false), (4, false)] {
        assert_eq!(store.sweep_events(at(1_201), at(i64::MAX)).await.unwrap(), left, "{step}");
    }
    assert_eq!(all(&bed, &store).await.first().unwrap().seq, 1_201);
    let expired = WatchError::Expired { oldest: 1_201, latest: 1_300 };
    assert_eq!(expired.to_string(), "events before 1201 are gone; list anew and watch from 1300");
    for since in [0, 1, 1_199] {
        let gone = page(&bed, &store, &owner(), Since::After(since)).await.unwrap_err();
        assert_eq!(gone, ActError::Failed(expired.clone()), "{since}");
    }
    let (events, _, _) = page(&bed, &store, &owner(), Since::After(1_200)).await.unwrap();
    assert_eq!(events.len(), 100);
    // Numbers are not given out twice, also when nothing is left and after a restart.
    while store.sweep_events(at(i64::MAX), at(i64::MAX)).await.unwrap() {}
    assert_eq!(page(&bed, &store, &owner(), Since::Oldest).await.unwrap(), (vec![], 1_300, 1_300));
    let gone = page(&bed, &store, &owner(), Since::After(1_299)).await.unwrap_err();
    let expired = WatchError::Expired { oldest: 1_301, latest: 1_300 };
    assert_eq!(gone, ActError::Failed(expired));
    store.close();
    let store = bed.open();
    assert_eq!(*store.events().borrow(), 1_300);
    bed.create(&store, "a").await;
    assert_eq!(all(&bed, &store).await.first().unwrap().seq, 1_301);
}

#[tokio::test]
async fn no_more_are_kept_than_there_is_room_for() {
    let bed = Bed::new();
    let store = bed.open();
    fill(&bed, 100_700);
    while store
        .sweep_events(Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX))
        .await
        .unwrap()
    {}
    assert_eq!(page(&bed, &store, &owner(), Since::Oldest).await.unwrap().0[0].seq, 701);
}

#[tokio::test]
async fn filters() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let mut other = create("b");
    other.key = openclaw_scopes::SessionKey::parse("agent:two:b").unwrap();
    store.act(&owner(), other, bed.now()).await.unwrap();
    bed.wait(&store, "r", "a").await;
    let found = async |filter: EventFilter| {
        let query = WatchEvents { since: Since::Oldest, filter };
        let page = store.scan(&owner(), query, bed.now()).await.unwrap();
        assert_eq!(page.reached, page.latest, "what is left out is passed by");
        page.events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(EventFilter::default()).await, [1, 2, 3]);
    let kinds = EventKind::matching("session").unwrap();
    assert_eq!(found(EventFilter { kinds, ..EventFilter::default() }).await, [1, 2]);
    let session = Some(key("a"));
    assert_eq!(found(EventFilter { session, ..EventFilter::default() }).await, [1, 3]);
    let agent = Some("two".parse().unwrap());
    assert_eq!(found(EventFilter { agent, ..EventFilter::default() }).await, [2]);
}

/// A kind that this version does not know, or a holder that it cannot read, is nobody's to see.
#[tokio::test]
//= docs/threat-model.md#T38
async fn what_is_not_known_is_told_to_nobody() {
    let bed = Bed::new();
    let store = bed.open();
    for (kind, owner) in [
        ("secret.shown", "owner"),
        ("run", "owner"),
        ("run.ended", "nobody:x"),
        ("run.ended", "owner"),
    ] {
        let sql = "INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
                   VALUES (1, ?1, 'x', '', '', '', ?2)";
        bed.raw().execute(sql, [kind, owner]).unwrap();
    }
    let (events, reached, _) = page(&bed, &store, &owner(), Since::Oldest).await.unwrap();
    assert_eq!((events.len(), events[0].seq, reached), (1, 4, 4));
}

/// Whoever has no grant any more, and every run, is told nothing; and each refusal is recorded.
#[tokio::test]
//= docs/threat-model.md#T38
async fn who_may_not_watch_is_refused() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let query = || WatchEvents { since: Since::Oldest, filter: EventFilter::default() };
    for caller in [&stale(), &tools(), &device("gone", DeviceRole::Operator, &[Scope::Admin])] {
        super::asks::unread(&bed, &store, caller, query()).await;
    }
}

/// What a device sees is its own, and what its scopes let it see; as a node, it sees itself alone.
#[tokio::test]
//= docs/threat-model.md#T38
async fn everybody_sees_what_is_theirs() {
    let bed = Bed::new();
    let store = bed.open();
    admit(&bed, &["device:a", "device:b"]);
    let kinds = EventKind::ALL.map(EventKind::name);
    for holder in ["device:a", "device:b", ""] {
        for kind in kinds {
            let sql = "INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
                       VALUES (1, ?1, 'x', '', '', '', ?2)";
            bed.raw().execute(sql, [kind, holder]).unwrap();
        }
    }
    let seen = async |caller: &Caller| {
        let (events, _, _) = page(&bed, &store, caller, Since::Oldest).await.unwrap();
        let own = Some(GrantHolder::Device(DeviceId::parse("a").unwrap()));
        let (own, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.owner == own);
        let names = |events: Vec<LoggedEvent>| {
            let mut names: Vec<_> = events
                .iter()
                .map(|event| event.kind.name().split('.').next().unwrap().to_owned())
                .collect();
            names.sort_unstable();
            names.dedup();
            names.join(" ")
        };
        (names(own), names(others))
    };
    use DeviceRole::{Node, Operator};
    let base = "channels cron delivery pairing presence run";
    #[rustfmt::skip]
    let table: [(DeviceRole, &[Scope], &str, &str); 9] = [
        (Operator, &[],                    base, ""),
        (Operator, &[Scope::Read],         "channels cron delivery pairing presence run session", "cron delivery presence run session"),
        (Operator, &[Scope::SessionsRead], "channels cron delivery pairing presence run session", "session"),
        (Operator, &[Scope::Pairing],      base, "channels pairing"),
        (Operator, &[Scope::Approvals],    "approval channels cron delivery pairing presence run", "approval"),
        (Operator, &[Scope::Admin],        "approval channels cron delivery pairing presence run session", "approval channels cron delivery pairing presence run session"),
        (Node,     &[],                    "presence", ""),
        (Node,     &[Scope::Admin],        "presence", ""),
        (Operator, &[Scope::Talk],         base, ""),
    ];
    for (role, scopes, own, others) in table {
        let caller = device("a", role, scopes);
        assert_eq!(seen(&caller).await, (own.into(), others.into()), "{role} {scopes:?}");
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_by_events_and_by_nothing_else() {
    let bed = Bed::new();
    let store = bed.open();
    let mut events = store.events();
    assert_eq!(*events.borrow_and_update(), 0);
    bed.create(&store, "a").await;
    assert!(events.has_changed().unwrap(), "before the answer");
    assert_eq!(*events.borrow_and_update(), 1);
    // Made again it is the same, and a refusal is no event.
    bed.create(&store, "a").await;
    store.act(&stale(), create("b"), bed.now()).await.unwrap_err();
    assert!(!events.has_changed().unwrap());
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_nothing_for_ever() {
    let bed = Bed::new();
    let store = bed.open();
    fill(&bed, 100);
    let at = Timestamp::from_millis;
    assert!(!store.sweep_events(at(30), at(40)).await.unwrap());
    assert_eq!(all(&bed, &store).await.first().unwrap().seq, 30);
    while store.sweep_events(at(100), at(200)).await.unwrap() {}
    assert_eq!(all(&bed, &store).await.first().unwrap().seq, 100);
    // The clock shows 40: what is left was written by one that was ahead.
    assert!(!store.sweep_events(at(30), at(40)).await.unwrap());
    assert!(all(&bed, &store).await.is_empty());
}

#[tokio::test]
async fn who_was_there_has_gone_also_when_their_coming_is_kept_no_longer() {
    let bed = Bed::new();
    let store = bed.open();
    let device = DeviceId::parse(&"a".repeat(64)).unwrap();
    let at = Timestamp::from_millis;
    store.note_presence(device.clone(), Presence::Online, at(1)).await.unwrap();
    store.note_presence(device.clone(), Presence::Online, at(2)).await.unwrap();
    while store.sweep_events(at(i64::MAX), at(i64::MAX)).await.unwrap() {}
    store.end_presence(at(9)).await.unwrap();
    store.end_presence(at(10)).await.unwrap();
    let told = all(&bed, &store).await;
    let told: Vec<_> = told.iter().map(|it| (it.kind.name(), it.subject.as_str(), it.at)).collect();
    assert_eq!(told, [("presence.offline", device.as_str(), at(9))]);
}
