//! Cron expressions through changes of the clocks, in tables.

use expect_test::{Expect, expect};

use super::*;
use crate::Schedule;

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule::cron(expression, Zone::parse(zone).unwrap()).unwrap()
}

/// Checks the first instants after one, as the clocks of the zone show them.
#[track_caller]
fn check(expression: &str, zone: &str, after: &str, count: usize, expected: &Expect) {
    let schedule = cron(expression, zone);
    let zone = Zone::parse(zone).unwrap();
    let mut lines = String::new();
    let mut after = at(after);
    for _ in 0..count {
        let Some(next) = schedule.next_after(after).unwrap() else {
            lines.push_str("never\n");
            break;
        };
        assert!(next > after && next.as_millis() % 1000 == 0, "{next} is not after {after}");
        lines.push_str(&zone.local(next));
        lines.push('\n');
        after = next;
    }
    expected.assert_eq(&lines);
}

#[test]
fn fixed_hours_run_once_whatever_the_clocks_do() {
    // Autumn: 02:30 comes twice, 14:30 once.
    check(
        "30 2,14 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        5,
        &expect![[r#"
        2026-10-24 14:30:00 +02:00[Europe/Berlin]
        2026-10-25 02:30:00 +02:00[Europe/Berlin]
        2026-10-25 14:30:00 +01:00[Europe/Berlin]
        2026-10-26 02:30:00 +01:00[Europe/Berlin]
        2026-10-26 14:30:00 +01:00[Europe/Berlin]
    "#]],
    );
    // Spring: 02:15 and 02:45 are skipped, 03:00 is the change.
    check(
        "15,45 2 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00Z",
        4,
        &expect![[r#"
        2026-03-28 02:15:00 +01:00[Europe/Berlin]
        2026-03-28 02:45:00 +01:00[Europe/Berlin]
        2026-03-29 03:00:00 +02:00[Europe/Berlin]
        2026-03-30 02:15:00 +02:00[Europe/Berlin]
    "#]],
    );
    check(
        "0 3 * * *",
        "Europe/Berlin",
        "2026-03-28T00:00:00Z",
        3,
        &expect![[r#"
        2026-03-28 03:00:00 +01:00[Europe/Berlin]
        2026-03-29 03:00:00 +02:00[Europe/Berlin]
        2026-03-30 03:00:00 +02:00[Europe/Berlin]
    "#]],
    );
    check(
        "0,30 2-3 * * *",
        "Europe/Berlin",
        "2026-03-29T00:30:00Z",
        3,
        &expect![[r#"
        2026-03-29 03:00:00 +02:00[Europe/Berlin]
        2026-03-29 03:30:00 +02:00[Europe/Berlin]
        2026-03-30 02:00:00 +02:00[Europe/Berlin]
    "#]],
    );
    // Asked in the second pass of 02:00 to 03:00, what came in the first is over.
    check(
        "*/10 2 * * *",
        "Europe/Berlin",
        "2026-10-25T00:45:00Z",
        3,
        &expect![[r#"
            2026-10-25 02:50:00 +02:00[Europe/Berlin]
            2026-10-26 02:00:00 +01:00[Europe/Berlin]
            2026-10-26 02:10:00 +01:00[Europe/Berlin]
        "#]],
    );
    check(
        "*/10 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:05:00Z",
        2,
        &expect![[r#"
        2026-10-26 02:00:00 +01:00[Europe/Berlin]
        2026-10-26 02:10:00 +01:00[Europe/Berlin]
    "#]],
    );
    check(
        "* * 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:00:10Z",
        2,
        &expect![[r#"
        2026-10-26 02:00:00 +01:00[Europe/Berlin]
        2026-10-26 02:00:01 +01:00[Europe/Berlin]
    "#]],
    );
    check(
        "20 1,2,3 * * *",
        "Europe/Berlin",
        "2026-10-24T23:20:00.5Z",
        3,
        &expect![[r#"
        2026-10-25 02:20:00 +02:00[Europe/Berlin]
        2026-10-25 03:20:00 +01:00[Europe/Berlin]
        2026-10-26 01:20:00 +01:00[Europe/Berlin]
    "#]],
    );
    // Half an hour.
    check(
        "10,40 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        4,
        &expect![[r#"
        2026-10-04 02:30:00 +11:00[Australia/Lord_Howe]
        2026-10-04 02:40:00 +11:00[Australia/Lord_Howe]
        2026-10-05 02:10:00 +11:00[Australia/Lord_Howe]
        2026-10-05 02:40:00 +11:00[Australia/Lord_Howe]
    "#]],
    );
    check(
        "40 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-03T20:00:00Z",
        3,
        &expect![[r#"
        2026-04-05 01:40:00 +11:00[Australia/Lord_Howe]
        2026-04-06 01:40:00 +10:30[Australia/Lord_Howe]
        2026-04-07 01:40:00 +10:30[Australia/Lord_Howe]
    "#]],
    );
    // At midnight: the day has no 00:00.
    check(
        "0 0 * * *",
        "Africa/Cairo",
        "2026-04-22T12:00:00Z",
        3,
        &expect![[r#"
        2026-04-23 00:00:00 +02:00[Africa/Cairo]
        2026-04-24 01:00:00 +03:00[Africa/Cairo]
        2026-04-25 00:00:00 +03:00[Africa/Cairo]
    "#]],
    );
}

#[test]
fn a_wildcard_hour_follows_the_clock() {
    check(
        "*/15 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:50:00Z",
        13,
        &expect![[r#"
        2026-10-25 02:00:00 +02:00[Europe/Berlin]
        2026-10-25 02:15:00 +02:00[Europe/Berlin]
        2026-10-25 02:30:00 +02:00[Europe/Berlin]
        2026-10-25 02:45:00 +02:00[Europe/Berlin]
        2026-10-25 02:00:00 +01:00[Europe/Berlin]
        2026-10-25 02:15:00 +01:00[Europe/Berlin]
        2026-10-25 02:30:00 +01:00[Europe/Berlin]
        2026-10-25 02:45:00 +01:00[Europe/Berlin]
        2026-10-25 03:00:00 +01:00[Europe/Berlin]
        2026-10-25 03:15:00 +01:00[Europe/Berlin]
        2026-10-25 03:30:00 +01:00[Europe/Berlin]
        2026-10-25 03:45:00 +01:00[Europe/Berlin]
        2026-10-25 04:00:00 +01:00[Europe/Berlin]
    "#]],
    );
    check(
        "*/15 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:30:00Z",
        4,
        &expect![[r#"
        2026-03-29 01:45:00 +01:00[Europe/Berlin]
        2026-03-29 03:00:00 +02:00[Europe/Berlin]
        2026-03-29 03:15:00 +02:00[Europe/Berlin]
        2026-03-29 03:30:00 +02:00[Europe/Berlin]
    "#]],
    );
    check(
        "30 * * * *",
        "Australia/Lord_Howe",
        "2026-10-03T13:00:00Z",
        4,
        &expect![[r#"
        2026-10-04 00:30:00 +10:30[Australia/Lord_Howe]
        2026-10-04 01:30:00 +10:30[Australia/Lord_Howe]
        2026-10-04 02:30:00 +11:00[Australia/Lord_Howe]
        2026-10-04 03:30:00 +11:00[Australia/Lord_Howe]
    "#]],
    );
    check(
        "40 */1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T13:00:00Z",
        4,
        &expect![[r#"
        2026-04-05 00:40:00 +11:00[Australia/Lord_Howe]
        2026-04-05 01:40:00 +11:00[Australia/Lord_Howe]
        2026-04-05 01:40:00 +10:30[Australia/Lord_Howe]
        2026-04-05 02:40:00 +10:30[Australia/Lord_Howe]
    "#]],
    );
}

#[test]
fn a_day_that_is_skipped_has_no_run() {
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-28T12:00:00Z",
        3,
        &expect![[r#"
        2011-12-28 09:00:00 -10:00[Pacific/Apia]
        2011-12-29 09:00:00 -10:00[Pacific/Apia]
        2011-12-31 09:00:00 +14:00[Pacific/Apia]
    "#]],
    );
    check(
        "0 9 30 12 *",
        "Pacific/Apia",
        "2011-01-01T00:00:00Z",
        2,
        &expect![[r#"
        2012-12-30 09:00:00 +14:00[Pacific/Apia]
        2013-12-30 09:00:00 +14:00[Pacific/Apia]
    "#]],
    );
    check(
        "0 */6 * * *",
        "Pacific/Apia",
        "2011-12-30T04:00:00Z",
        4,
        &expect![[r#"
        2011-12-31 00:00:00 +14:00[Pacific/Apia]
        2011-12-31 06:00:00 +14:00[Pacific/Apia]
        2011-12-31 12:00:00 +14:00[Pacific/Apia]
        2011-12-31 18:00:00 +14:00[Pacific/Apia]
    "#]],
    );
    check(
        "0 0 * * *",
        "Pacific/Kwajalein",
        "1993-08-19T00:00:00Z",
        3,
        &expect![[r#"
        1993-08-19 00:00:00 -12:00[Pacific/Kwajalein]
        1993-08-20 00:00:00 -12:00[Pacific/Kwajalein]
        1993-08-22 00:00:00 +12:00[Pacific/Kwajalein]
    "#]],
    );
}

#[test]
fn rare_days_are_found() {
    check(
        "0 0 29 2 *",
        "UTC",
        "2026-01-01T00:00:00Z",
        2,
        &expect![[r#"
        2028-02-29 00:00:00 +00:00[UTC]
        2032-02-29 00:00:00 +00:00[UTC]
    "#]],
    );
    check(
        "0 0 29 2 *",
        "UTC",
        "2096-03-01T00:00:00Z",
        1,
        &expect![[r#"
        2104-02-29 00:00:00 +00:00[UTC]
    "#]],
    );
    check(
        "0 * 29 2 +MON",
        "Africa/Casablanca",
        "2072-02-29T23:30:00Z",
        2,
        &expect![[r#"
        2112-02-29 00:00:00 +00:00[Africa/Casablanca]
        2112-02-29 01:00:00 +00:00[Africa/Casablanca]
    "#]],
    );
    check(
        "0 0 * 2 MON#5",
        "UTC",
        "2026-01-01T00:00:00Z",
        2,
        &expect![[r#"
        2044-02-29 00:00:00 +00:00[UTC]
        2072-02-29 00:00:00 +00:00[UTC]
    "#]],
    );
    check(
        "0 12 L * *",
        "UTC",
        "2026-01-31T12:00:00Z",
        2,
        &expect![[r#"
        2026-02-28 12:00:00 +00:00[UTC]
        2026-03-31 12:00:00 +00:00[UTC]
    "#]],
    );
    check(
        "0 0 13 * FRI",
        "UTC",
        "2026-02-10T00:00:00Z",
        3,
        &expect![[r#"
        2026-02-13 00:00:00 +00:00[UTC]
        2026-02-20 00:00:00 +00:00[UTC]
        2026-02-27 00:00:00 +00:00[UTC]
    "#]],
    );
    check(
        "*/20 30 9 1 1 *",
        "UTC",
        "2026-01-01T09:30:00Z",
        3,
        &expect![[r#"
        2026-01-01 09:30:20 +00:00[UTC]
        2026-01-01 09:30:40 +00:00[UTC]
        2027-01-01 09:30:00 +00:00[UTC]
    "#]],
    );
    check(
        "@weekly",
        "UTC",
        "2026-01-01T09:30:00Z",
        2,
        &expect![[r#"
        2026-01-04 00:00:00 +00:00[UTC]
        2026-01-11 00:00:00 +00:00[UTC]
    "#]],
    );
}

#[test]
fn the_calendar_has_an_end_and_a_beginning() {
    check(
        "0 0 1 1 *",
        "UTC",
        "4998-06-01T00:00:00Z",
        2,
        &expect![[r#"
        4999-01-01 00:00:00 +00:00[UTC]
        never
    "#]],
    );
    check(
        "0 * 1 1 *",
        "Europe/Berlin",
        "4999-01-01T20:30:00Z",
        30,
        &expect![[r#"
        4999-01-01 22:00:00 +01:00[Europe/Berlin]
        4999-01-01 23:00:00 +01:00[Europe/Berlin]
        never
    "#]],
    );
    for schedule in [cron("0 0 * * *", "Asia/Tokyo"), cron("* * * * * *", "America/Nome")] {
        assert_eq!(schedule.next_after(Timestamp::from_millis(i64::MAX)), Ok(None));
        assert_eq!(schedule.next_after(at("9999-12-01T00:00:00Z")), Ok(None));
        let first = schedule.next_after(Timestamp::from_millis(i64::MIN)).unwrap().unwrap();
        assert!(first < at("0001-01-05T00:00:00Z"), "{first}");
    }
}
