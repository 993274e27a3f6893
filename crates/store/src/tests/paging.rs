//! Lists, page by page, while rows are added.

use openclaw_scopes::AgentId;
use openclaw_scopes::target::AuditRange;
use openclaw_sessions::RunStatus;

use super::{Bed, answered, key, owner};
use crate::{
    Activity, AuditFilter, Decision, History, JournalEntry, RunFilter, SessionFilter, Store,
};

const ROWS: usize = 23;

/// Conversations `s0`…, each with one run in it; every third run has ended.
async fn filled(bed: &Bed) -> Store {
    let store = bed.open();
    for index in 0..ROWS {
        let started = bed.start(&store, &format!("r{index}"), &format!("s{index}")).await;
        if index % 3 == 0 {
            store.end_run(&started.fence, answered(&started, "Hi."), bed.now()).await.unwrap();
        }
    }
    store
}

async fn sessions(bed: &Bed, store: &Store, filter: SessionFilter) -> Vec<String> {
    let (mut keys, mut after, mut pages) = (Vec::new(), filter.after, 0);
    loop {
        let query = SessionFilter { after, ..filter.clone() };
        let page = store.view(&owner(), &query, bed.now()).await.unwrap();
        keys.extend(page.sessions.iter().map(|session| session.key.to_string()));
        pages += 1;
        bed.create(store, &format!("new-{}-{pages}", filter.limit)).await;
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

fn expected(prefix: &str, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let places = (0..ROWS).rev().filter(|index| wanted(*index));
    places.map(|index| format!("{prefix}{index}")).collect()
}

#[tokio::test]
async fn conversations_have_no_gaps_and_no_repeats() {
    let bed = Bed::new();
    let store = filled(&bed).await;
    let all = expected("agent:main:s", |_| true);
    for limit in [1, 2, 7, 23, 24] {
        let filter = SessionFilter { limit, search: "MAIN:S".into(), ..SessionFilter::default() };
        assert_eq!(sessions(&bed, &store, filter).await, all, "{limit}");
    }
    let filter = SessionFilter { limit: 4, activity: Activity::Active, ..SessionFilter::default() };
    let active = expected("agent:main:s", |index| index % 3 != 0);
    assert_eq!(sessions(&bed, &store, filter).await, active);
    let labelled = SessionFilter { limit: 50, search: "of NEW".into(), ..SessionFilter::default() };
    assert!(sessions(&bed, &store, labelled).await.len() > 20, "labels are searched");
    let agent = |name| AgentId::parse(name).unwrap();
    let filter = |name| SessionFilter {
        agent: Some(agent(name)),
        limit: 100,
        search: "main:s1".into(),
        ..SessionFilter::default()
    };
    assert_eq!(sessions(&bed, &store, filter("main")).await.len(), 11);
    assert_eq!(sessions(&bed, &store, filter("other")).await.len(), 0);
}

#[tokio::test]
async fn runs_have_no_gaps_and_no_repeats() {
    let bed = Bed::new();
    let store = filled(&bed).await;
    let wanted = [RunStatus::Running, RunStatus::Interrupted];
    for limit in [1, 5, 100] {
        for (statuses, rows) in [
            (Vec::new(), expected("r", |_| true)),
            (vec![RunStatus::Ok], expected("r", |index| index % 3 == 0)),
            (wanted.to_vec(), expected("r", |index| index % 3 != 0)),
        ] {
            let (mut runs, mut after) = (Vec::new(), None);
            loop {
                let query =
                    RunFilter { after, limit, statuses: statuses.clone(), ..RunFilter::default() };
                let page = store.view(&owner(), &query, bed.now()).await.unwrap();
                runs.extend(page.runs.iter().map(|run| run.run.to_string()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(runs, rows, "{limit}");
        }
    }
    bed.wait(&store, "waits", "s4").await;
    let query = RunFilter { session: Some(key("s4")), limit: 9, ..RunFilter::default() };
    let page = store.view(&owner(), &query, bed.now()).await.unwrap();
    let runs: Vec<_> = page.runs.iter().map(|run| run.run.as_str()).collect();
    assert_eq!(runs, ["waits", "r4"]);
}

#[tokio::test]
async fn history_is_read_backwards() {
    let bed = Bed::new();
    let store = bed.open();
    for index in 0..5 {
        let started = bed.start(&store, &format!("r{index}"), "a").await;
        store.end_run(&started.fence, answered(&started, "Hi."), bed.now()).await.unwrap();
    }
    for limit in [1, 4, 15, 16] {
        let (mut entries, mut before) = (Vec::new(), None);
        loop {
            let query = History { session: key("a"), before, limit };
            let page = store.view(&owner(), &query, bed.now()).await.unwrap();
            entries.splice(0..0, page.entries.iter().map(|entry| entry.entry));
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(entries, (1..=15).collect::<Vec<_>>(), "{limit}");
    }
}

/// However long a conversation is, a page is one message, and a turn is begun with what is newest.
#[tokio::test]
async fn no_more_of_a_conversation_is_read_than_fits() {
    let bed = Bed::new();
    let store = bed.open();
    let started = bed.start(&store, "r", "a").await;
    let sql = "INSERT INTO journal WITH RECURSIVE n (entry) AS (VALUES (1001) UNION ALL
                   SELECT entry + 1 FROM n WHERE entry < 2000)
               SELECT session, n.entry, run, at,
                   json_set(record, '$.text', replace(hex(zeroblob(32000)), '00', 'ab'))
               FROM journal, n WHERE journal.entry = 1";
    assert_eq!(bed.raw().execute(sql, []).unwrap(), 1_000);
    let size = |entries: &[JournalEntry]| -> usize {
        entries.iter().map(|entry| format!("{:?}", entry.record).len()).sum()
    };
    let (mut entries, mut before) = (Vec::new(), None);
    while entries.first() != Some(&1) {
        let query = History { session: key("a"), before, limit: 200 };
        let page = store.view(&owner(), &query, bed.now()).await.unwrap();
        assert!((1..3 << 20).contains(&size(&page.entries)));
        entries.splice(0..0, page.entries.iter().map(|entry| entry.entry));
        before = page.next_before;
    }
    assert_eq!(entries[1..], (1001..=2000).collect::<Vec<_>>());
    let recent = store.recent(&started.fence, 3_000, 20_000).unwrap();
    assert!((1 << 20..40 << 20).contains(&size(&recent)), "{}", size(&recent));
    assert_eq!(recent.last().unwrap().entry, 2000, "what is newest is there");
}

#[tokio::test]
async fn the_log_is_read_backwards_while_it_grows() {
    let bed = Bed::new();
    let store = filled(&bed).await;
    for limit in [1, 6, 100] {
        let (mut rows, mut before) = (Vec::new(), Some(24));
        loop {
            let query = AuditFilter {
                range: AuditRange::Own,
                before,
                limit,
                method: "agent".into(),
                principal: "owner:1000".into(),
                decision: Some(Decision::Allowed),
            };
            let page = store.scan(&owner(), query, bed.now()).await.unwrap();
            rows.extend(page.records.iter().map(|row| row.seq));
            bed.create(&store, &format!("new-{limit}-{}", rows.len())).await;
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(rows, (1..24).rev().collect::<Vec<_>>(), "{limit}");
    }
    let nobody = AuditFilter {
        range: AuditRange::All,
        before: None,
        limit: 5,
        method: String::new(),
        principal: "nobody".into(),
        decision: None,
    };
    assert_eq!(store.scan(&owner(), nobody, bed.now()).await.unwrap().records, []);
}
