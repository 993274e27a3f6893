//! A clock that was ahead, and is set back.

use openclaw_scheduler::{CatchUp, Rules};
use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, at, cron, every, once, spec};

const YEAR: i64 = 365 * DAY;

/// A year forward and back: what is due is due by the clock as it is, once.
#[tokio::test]
async fn jobs_are_due_by_the_clock_as_it_is() {
    let mut clockwork = Clockwork::new();
    let rules = [
        ("hourly", every(HOUR), HOUR),
        ("daily", cron("0 9 * * *", "UTC"), 9 * HOUR),
        ("reminder", Rules { catch_up: CatchUp::None, ..once(3 * DAY) }, 3 * DAY),
    ];
    for (name, rules, first) in &rules {
        let added = clockwork.add(spec(name, rules.clone())).await;
        assert_eq!(added.next_at, Some(at(*first)), "{name}");
    }
    clockwork.pass(YEAR + 20 * SECOND);
    assert_eq!(
        clockwork.round(RunStatus::Ok, "Done.").await,
        2,
        "that of this hour, and of this day"
    );
    assert_eq!(clockwork.disabled("reminder"), "finished");
    clockwork.pass(-YEAR);
    assert_eq!(clockwork.rewind().await, 3);
    assert_eq!(clockwork.rewind().await, 0);
    for (name, _, first) in &rules {
        assert_eq!(clockwork.job(name).next_at, Some(at(*first)), "{name}");
    }
    clockwork.check().await;
    // Each of them runs when it is due: an hour for three days, three days at nine, and the reminder.
    let mut begun = 0;
    for _hour in 0..3 * 24 {
        clockwork.pass(HOUR);
        begun += clockwork.round(RunStatus::Ok, "Done.").await;
    }
    assert_eq!(begun, 3 * 24 + 3 + 1);
    clockwork.check().await;
    // In a year, the one that has run early does not run again, and what passes over it has its row.
    for length in [YEAR - 3 * DAY, 10 * MINUTE, 3 * HOUR] {
        clockwork.pass(length);
        clockwork.round(RunStatus::Ok, "Done.").await;
        clockwork.check().await;
    }
}

/// Some of the instants of a row have come, and are in it still.
#[tokio::test]
async fn a_row_is_cut_where_the_clock_is() {
    let mut clockwork = Clockwork::new();
    let rules = Rules { catch_up: CatchUp::None, ..every(HOUR) };
    let job = clockwork.add(spec("j", rules)).await;
    clockwork.pass(10 * DAY);
    clockwork.round(RunStatus::Ok, "Done.").await;
    clockwork.pass(-9 * DAY + 30 * SECOND);
    assert_eq!(clockwork.rewind().await, 1);
    let rows = clockwork.ledger("j").await;
    let cut = rows.iter().find(|row| row.count > 1).unwrap();
    assert_eq!((cut.scheduled_at, cut.until, cut.count), (at(HOUR), at(DAY), 24));
    assert!(cut.ended_at.unwrap() <= clockwork.now, "{cut:?}");
    assert_eq!(clockwork.job("j").next_at, Some(at(25 * HOUR)));
    clockwork.check().await;
    clockwork.pass(HOUR);
    assert_eq!(clockwork.round(RunStatus::Ok, "Done.").await, 1);
    let (job, rows) = (clockwork.job(job.id.as_str()), clockwork.ledger("j").await);
    clockwork.check_dense(&job, &rows, None);
}

/// A clock that is set right by a little is the same clock.
#[tokio::test]
async fn a_little_is_nothing() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.pass(DAY);
    clockwork.round(RunStatus::Ok, "Done.").await;
    let before = clockwork.bed.dump();
    for length in [-SECOND, -58 * SECOND] {
        clockwork.pass(length);
        assert_eq!(clockwork.rewind().await, 0);
    }
    assert_eq!(clockwork.bed.dump(), before);
}
