//! Hours of the day, in tables.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn hours(start: &str, end: &str, zone: &str) -> ActiveHours {
    ActiveHours::parse(start, end, Zone::parse(zone).unwrap()).unwrap()
}

/// Checks when the hours are open next, from an instant on.
#[track_caller]
fn check(hours: &ActiveHours, from: &str, expected: &str) {
    assert_eq!(hours.next_active(at(from)), at(expected), "from {from}");
    assert_eq!(hours.is_active(at(from)), from == expected);
}

#[test]
fn the_start_is_within_and_the_end_is_not() {
    let day = hours("09:00", "17:30", "Europe/Berlin");
    check(&day, "2026-01-05T07:59:59.999Z", "2026-01-05T08:00:00Z");
    check(&day, "2026-01-05T08:00:00Z", "2026-01-05T08:00:00Z");
    check(&day, "2026-01-05T16:29:59.999Z", "2026-01-05T16:29:59.999Z");
    check(&day, "2026-01-05T16:30:00Z", "2026-01-06T08:00:00Z");
    check(&day, "2026-03-28T20:00:00Z", "2026-03-29T07:00:00Z");
}

#[test]
fn hours_pass_midnight() {
    let night = hours("22:00", "06:00", "UTC");
    check(&night, "2026-01-05T06:00:00Z", "2026-01-05T22:00:00Z");
    check(&night, "2026-01-05T23:59:00Z", "2026-01-05T23:59:00Z");
    check(&night, "2026-01-06T05:59:59Z", "2026-01-06T05:59:59Z");
    check(&hours("09:00", "24:00", "UTC"), "2026-01-06T00:00:00Z", "2026-01-06T09:00:00Z");
    check(&hours("09:00", "00:00", "UTC"), "2026-01-06T00:00:00Z", "2026-01-06T09:00:00Z");
    check(&hours("00:00", "24:00", "UTC"), "2026-01-06T23:59:59Z", "2026-01-06T23:59:59Z");
}

#[test]
fn hours_follow_the_clocks() {
    let short = hours("02:15", "02:45", "Europe/Berlin");
    // Skipped altogether, and twice.
    check(&short, "2026-03-28T12:00:00Z", "2026-03-30T00:15:00Z");
    check(&short, "2026-10-24T12:00:00Z", "2026-10-25T00:15:00Z");
    check(&short, "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z");
    check(&short, "2026-10-25T01:45:00Z", "2026-10-26T01:15:00Z");
    // Their start is skipped, or they are open again when the clocks are set back.
    check(
        &hours("02:30", "12:00", "Europe/Berlin"),
        "2026-03-29T00:59:59Z",
        "2026-03-29T01:00:00Z",
    );
    check(
        &hours("12:00", "02:30", "Europe/Berlin"),
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
    );
}

#[test]
fn time_has_an_end() {
    let end = Timestamp::from_millis(i64::MAX);
    let day = hours("09:00", "17:00", "UTC");
    assert_eq!(day.next_active(end), end);
    assert!(!day.is_active(end));
    assert_eq!(day.next_active(at("4999-12-31T18:00:00Z")), at("5000-01-01T09:00:00Z"));
    assert!(day.next_active(Timestamp::from_millis(i64::MIN)) < at("0001-01-04T00:00:00Z"));
}

#[test]
fn texts_are_given_back_or_refused() {
    let day = hours("09:00", "24:00", "europe/berlin");
    assert_eq!(day.to_string(), "09:00-24:00 Europe/Berlin");
    assert_eq!(ActiveHours::parse(&day.start(), &day.end(), day.zone().clone()).as_ref(), Ok(&day));
    for (start, end, wrong) in [
        ("9:00", "17:00", "9:00"),
        ("09:00", "25:00", "25:00"),
        ("09:00", "24:01", "24:01"),
        ("24:00", "17:00", "24:00"),
        ("09:60", "17:00", "09:60"),
        ("09:00", "17", "17"),
        ("+9:00", "17:00", "+9:00"),
        ("09:00", "17:00:00", "17:00:00"),
        ("", "17:00", ""),
    ] {
        let error = ScheduleError::TimeOfDay { text: wrong.to_owned() };
        assert_eq!(ActiveHours::parse(start, end, Zone::UTC), Err(error), "{start} to {end}");
    }
    let empty = ScheduleError::EmptyHours { time: "09:00".to_owned() };
    assert_eq!(ActiveHours::parse("09:00", "09:00", Zone::UTC), Err(empty));
}
