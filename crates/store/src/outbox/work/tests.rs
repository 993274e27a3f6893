//! What becomes of deliveries, attempt by attempt, and what a clock does to them that is set.

use super::*;
use crate::tests::Bed;

const CHANNEL: &str = "chat";

async fn say(bed: &Bed, store: &Store, source: &str) {
    let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
    let to = ReplyTo { channel, account, peer: "1".into(), ..ReplyTo::default() };
    let said = store.say_as_gateway(source.into(), to, source.into(), bed.now()).await;
    said.unwrap();
}

async fn claim(bed: &Bed, store: &Store, lost: Lost) -> Vec<ClaimedDelivery> {
    let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
    store.claim_deliveries(channel, account, 8, lost, bed.now()).await.unwrap()
}

fn texts(claimed: &[ClaimedDelivery]) -> Vec<&str> {
    claimed.iter().map(|delivery| delivery.text.as_str()).collect()
}

#[tokio::test]
async fn a_lease_that_lapsed_blocks_nothing() {
    for (lost, next, failed) in [(Lost::Unknown, "b", 1), (Lost::Again, "a", 0)] {
        let bed = Bed::new();
        let store = bed.open();
        say(&bed, &store, "a").await;
        say(&bed, &store, "b").await;
        let first = claim(&bed, &store, lost).await;
        assert_eq!(texts(&first), ["a"]);
        // Nobody notes what came of it. Until the lease lapses, that may still come.
        bed.advance(60_000);
        assert_eq!(texts(&claim(&bed, &store, lost).await), [""; 0]);
        let due = due_at(&bed, &store);
        bed.advance(due.since(bed.now()).as_millis().try_into().unwrap());
        assert_eq!(texts(&claim(&bed, &store, lost).await), [next], "{lost:?}");
        assert_eq!(store.delivery_counts(CHANNEL).unwrap().1, failed, "{lost:?}");
        let late = Progress::Part { receipt: "r".into(), of: 1 };
        let held = store.delivery_progress(first[0].fence, late, bed.now()).await.unwrap();
        assert!(!held, "who comes late has no say");
    }
}

#[tokio::test]
async fn what_is_asked_of_one_source_is_asked_once() {
    let bed = Bed::new();
    let store = bed.open();
    let buttons = vec![("Approve".to_owned(), "/approve a".to_owned())];
    for peer in ["1", "2"] {
        let (channel, account) = (CHANNEL.to_owned(), "default".to_owned());
        let to = ReplyTo { channel, account, peer: peer.into(), ..ReplyTo::default() };
        let (source, text) = ("approval:a".to_owned(), "May I?".to_owned());
        let asked = store.ask_as_gateway(source, to, text, buttons.clone(), bed.now());
        asked.await.unwrap();
    }
    let [asked] = claim(&bed, &store, Lost::Unknown).await.try_into().unwrap();
    assert_eq!((&*asked.to.peer, &*asked.text, &asked.buttons), ("1", "May I?", &buttons));
}

#[tokio::test]
async fn what_is_put_off_has_lost_no_attempt() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    for _ in 0..10 {
        let claimed = claim(&bed, &store, Lost::Unknown).await;
        assert_eq!(texts(&claimed), ["a"]);
        let later = store.delivery_progress(claimed[0].fence, Progress::Later, bed.now());
        assert!(!later.await.unwrap());
    }
    let [delivery] = claim(&bed, &store, Lost::Unknown).await.try_into().unwrap();
    let error = "busy".to_owned();
    let retry = Progress::Retry { after: None, error };
    store.delivery_progress(delivery.fence, retry, bed.now()).await.unwrap();
    assert_eq!(store.delivery_counts(CHANNEL).unwrap(), (1, 0), "there are attempts left");
}

fn due_at(bed: &Bed, store: &Store) -> Timestamp {
    store.next_delivery_at(CHANNEL, "default", bed.now()).unwrap().unwrap()
}

/// How a delivery stands: its state, its parts that went, and its attempts.
fn stands(bed: &Bed, source: &str) -> (String, usize, u32) {
    let sql = "SELECT state, json_array_length(receipts), attempts FROM outbox WHERE source = ?1";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    bed.raw().query_row(sql, [source], read).unwrap()
}

async fn note(bed: &Bed, store: &Store, claimed: &ClaimedDelivery, progress: Progress) -> bool {
    store.delivery_progress(claimed.fence, progress, bed.now()).await.unwrap()
}

/// Notes that it is to be tried again, and waits until it is; returns how long that was, in seconds.
async fn again(bed: &Bed, store: &Store, claimed: &ClaimedDelivery, after: Option<u64>) -> u64 {
    let after = after.map(Duration::from_secs);
    let retry = Progress::Retry { after, error: "not now".into() };
    assert!(!note(bed, store, claimed, retry).await);
    let wait = due_at(bed, store).since(bed.now());
    bed.advance(wait.as_millis().try_into().unwrap());
    wait.as_millis().div_ceil(1_000).try_into().unwrap()
}

async fn claim_one(bed: &Bed, store: &Store) -> ClaimedDelivery {
    let [one] = claim(bed, store, Lost::Unknown).await.try_into().unwrap();
    one
}

async fn sweep(bed: &Bed, store: &Store) {
    while store.sweep_deliveries(bed.now()).await.unwrap() {}
}

fn part(of: u32) -> Progress {
    Progress::Part { receipt: "r".into(), of }
}

const HOUR: i64 = 60 * 60 * 1_000;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

#[tokio::test]
async fn what_is_refused_again_and_again_is_given_up_after_the_sixth_attempt() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    for (attempt, seconds) in (1..).zip([5, 25, 120, 600, 600]) {
        let claimed = claim_one(&bed, &store).await;
        assert_eq!(again(&bed, &store, &claimed, None).await, seconds, "{attempt}");
        assert_eq!(stands(&bed, "a"), ("waiting".into(), 0, attempt));
    }
    let claimed = claim_one(&bed, &store).await;
    let retry = Progress::Retry { after: None, error: "not now".into() };
    assert!(!note(&bed, &store, &claimed, retry).await);
    assert_eq!(stands(&bed, "a"), ("dead".into(), 0, 6));
    assert_eq!(store.next_delivery_at(CHANNEL, "default", bed.now()).unwrap(), None);
}

#[tokio::test]
async fn a_part_that_arrives_begins_the_attempts_anew() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    for _ in 0..5 {
        let claimed = claim_one(&bed, &store).await;
        again(&bed, &store, &claimed, None).await;
    }
    let claimed = claim_one(&bed, &store).await;
    assert!(note(&bed, &store, &claimed, part(2)).await, "one is left");
    assert_eq!(stands(&bed, "a"), ("sending".into(), 1, 1));
    assert_eq!(again(&bed, &store, &claimed, None).await, 5);
    let claimed = claim_one(&bed, &store).await;
    assert!(!note(&bed, &store, &claimed, part(2)).await);
    assert_eq!(stands(&bed, "a"), ("sent".into(), 2, 2));
}

#[tokio::test]
async fn a_long_message_passes_a_limit_of_five_parts_in_five_seconds() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    let began = bed.now();
    let mut gone = 0;
    while gone < 33 {
        let claimed = claim_one(&bed, &store).await;
        assert_eq!(claimed.gone, gone);
        for _ in 0..5.min(33 - gone) {
            gone += 1;
            note(&bed, &store, &claimed, part(33)).await;
        }
        if gone < 33 {
            assert_eq!(again(&bed, &store, &claimed, Some(5)).await, 5);
        }
    }
    assert_eq!(stands(&bed, "a"), ("sent".into(), 33, 1));
    assert!(bed.now().since(began) < Duration::from_secs(40));
}

#[tokio::test]
async fn a_wait_that_the_platform_asks_for_is_no_attempt_and_there_is_an_end_to_it() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    for (asked, waited) in [(1, 1), (30, 30), (100_000, 3_600)] {
        let claimed = claim_one(&bed, &store).await;
        assert_eq!(again(&bed, &store, &claimed, Some(asked)).await, waited);
        assert_eq!(stands(&bed, "a"), ("waiting".into(), 0, 0));
    }
    let began = bed.now();
    let mut last = claim_one(&bed, &store).await;
    while stands(&bed, "a").0 != "dead" {
        let after = Some(Duration::from_secs(100_000));
        note(&bed, &store, &last, Progress::Retry { after, error: "not now".into() }).await;
        bed.advance(HOUR);
        if let Some(next) = claim(&bed, &store, Lost::Unknown).await.pop() {
            last = next;
        }
    }
    assert!(bed.now().since(began) < KEPT);
}

#[tokio::test]
async fn what_arrived_in_part_and_goes_on_no_more_is_partial() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    let mut claimed = claim_one(&bed, &store).await;
    assert!(note(&bed, &store, &claimed, part(3)).await);
    assert!(note(&bed, &store, &claimed, part(3)).await);
    for seconds in [5, 25, 120, 600, 600] {
        assert_eq!(again(&bed, &store, &claimed, None).await, seconds);
        claimed = claim_one(&bed, &store).await;
        assert_eq!(claimed.gone, 2, "it goes on behind what arrived");
    }
    let retry = Progress::Retry { after: None, error: "not now".into() };
    assert!(!note(&bed, &store, &claimed, retry).await);
    assert_eq!(stands(&bed, "a"), ("partial".into(), 2, 6));
}

#[tokio::test]
async fn what_settled_is_kept_for_a_week() {
    let bed = Bed::new();
    let store = bed.open();
    for source in ["a", "b"] {
        say(&bed, &store, source).await;
        let claimed = claim_one(&bed, &store).await;
        note(&bed, &store, &claimed, part(1)).await;
        bed.advance(DAY);
    }
    bed.advance(5 * DAY + HOUR);
    sweep(&bed, &store).await;
    let left: String = bed
        .raw()
        .query_row("SELECT group_concat(source) FROM outbox", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, "b");
}

#[tokio::test]
async fn what_its_channel_cannot_send_for_a_week_is_dead() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    for _ in 0..13 {
        bed.advance(DAY / 2);
        sweep(&bed, &store).await;
        assert_eq!(stands(&bed, "a").0, "waiting");
    }
    bed.advance(DAY);
    sweep(&bed, &store).await;
    assert_eq!(stands(&bed, "a"), ("dead".into(), 0, 0));
}

#[tokio::test]
async fn what_waited_while_the_gateway_was_off_is_tried_before_it_ends() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "a").await;
    bed.advance(8 * DAY);
    sweep(&bed, &store).await;
    assert_eq!(texts(&claim(&bed, &store, Lost::Unknown).await), ["a"]);
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_and_back_ends_nothing_and_holds_up_nothing() {
    let bed = Bed::new();
    let store = bed.open();
    say(&bed, &store, "before").await;
    bed.advance(YEAR);
    sweep(&bed, &store).await;
    bed.advance(DAY);
    sweep(&bed, &store).await;
    assert_eq!(stands(&bed, "before").0, "waiting");
    say(&bed, &store, "meanwhile").await;
    let claimed = claim_one(&bed, &store).await;
    let retry = Progress::Retry { after: None, error: "not now".into() };
    assert!(!note(&bed, &store, &claimed, retry).await);
    bed.advance(-YEAR);
    for source in ["before", "meanwhile"] {
        assert!(due_at(&bed, &store) <= bed.now(), "{source}");
        let claimed = claim_one(&bed, &store).await;
        assert_eq!(claimed.text, source);
        note(&bed, &store, &claimed, part(1)).await;
    }
}

#[tokio::test]
async fn a_lease_of_a_clock_that_was_set_ahead_blocks_nothing() {
    let bed = Bed::new();
    let store = bed.open();
    for source in ["a", "b"] {
        say(&bed, &store, source).await;
    }
    bed.advance(YEAR);
    claim_one(&bed, &store).await;
    bed.advance(-YEAR);
    assert!(due_at(&bed, &store) <= bed.now());
    assert_eq!(texts(&claim(&bed, &store, Lost::Unknown).await), ["b"]);
}

#[tokio::test]
async fn what_was_written_while_the_clock_was_ahead_ends_as_if_it_was_not() {
    let bed = Bed::new();
    let store = bed.open();
    bed.advance(YEAR);
    say(&bed, &store, "sent").await;
    let claimed = claim_one(&bed, &store).await;
    note(&bed, &store, &claimed, part(1)).await;
    say(&bed, &store, "waits").await;
    bed.advance(-YEAR);
    for _ in 0..9 {
        sweep(&bed, &store).await;
        bed.advance(DAY);
    }
    sweep(&bed, &store).await;
    assert_eq!(stands(&bed, "waits").0, "dead");
    let left: u32 =
        bed.raw().query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "what was sent is not kept for a year");
}
