//! Intervals, dates and zones, in tables.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[test]
fn an_interval_is_a_grid() {
    let minute = Duration::from_secs(60);
    let every = Schedule::every(minute, at("2026-01-01T00:00:30.750Z")).unwrap();
    for (after, next) in [
        ("2025-01-01T00:00:00Z", "2026-01-01T00:00:30Z"),
        ("2026-01-01T00:00:29.999Z", "2026-01-01T00:00:30Z"),
        ("2026-01-01T00:00:30Z", "2026-01-01T00:01:30Z"),
        ("2026-01-01T00:01:29.999Z", "2026-01-01T00:01:30Z"),
        ("2036-01-01T00:00:00Z", "2036-01-01T00:00:30Z"),
    ] {
        assert_eq!(every.next_after(at(after)), Ok(Some(at(next))), "after {after}");
    }
    assert_eq!(every.next_after(Timestamp::from_millis(i64::MAX)), Ok(None));
    assert_eq!(MAX_EVERY, Duration::from_secs(3650 * 24 * 60 * 60), "as the error says");
    for every in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_millis(1500),
        MAX_EVERY + MIN_EVERY,
        Duration::MAX,
    ] {
        let error = ScheduleError::Interval { every };
        assert_eq!(Schedule::every(every, Timestamp::default()), Err(error.clone()));
    }
    let by_hand = Schedule::Every { every: Duration::ZERO, anchor: Timestamp::default() };
    assert!(by_hand.next_after(Timestamp::default()).is_err());
}

#[test]
fn once_is_once() {
    let once = Schedule::at(at("2026-01-01T00:00:00.001Z"));
    assert_eq!(once, Schedule::At(at("2026-01-01T00:00:01Z")));
    assert_eq!(once.next_after(at("2026-01-01T00:00:00Z")), Ok(Some(at("2026-01-01T00:00:01Z"))));
    assert_eq!(once.next_after(at("2026-01-01T00:00:01Z")), Ok(None));
    assert_eq!(Schedule::at(at("1969-12-31T23:59:59.5Z")), Schedule::At(Timestamp::default()));
    assert!(!once.is_recurring());
}

#[test]
fn zones_have_the_names_of_iana() {
    assert_eq!(Zone::parse("europe/berlin").unwrap().name(), "Europe/Berlin");
    assert_eq!(Zone::parse("UTC").unwrap(), Zone::UTC);
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    assert_eq!(
        berlin.local(at("2026-03-29T01:00:00Z")),
        "2026-03-29 03:00:00 +02:00[Europe/Berlin]"
    );
    assert_eq!(Zone::UTC.local(at("2026-03-29T01:00:00Z")), "2026-03-29 01:00:00 +00:00[UTC]");
    assert_eq!(Zone::UTC.local(Timestamp::from_millis(i64::MAX)), i64::MAX.to_string());
    for name in ["", "Mars/Olympus", "Etc/Unknown", "local", "+02:00", "CET-1CEST,M3.5.0,M10.5.0/3"]
    {
        assert_eq!(Zone::parse(name), Err(ScheduleError::Zone { name: name.to_owned() }));
    }
    expect_test::expect!["`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` is not a known time zone: use an IANA name such as `Europe/Berlin`, or `UTC`"].assert_eq(&Zone::parse(&"x".repeat(100)).unwrap_err().to_string());
}

#[test]
fn kinds_and_expressions_are_given_back() {
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let daily = Schedule::cron("  30  9 *\t* * ", berlin).unwrap();
    assert_eq!(daily.kind(), "cron");
    let Schedule::Cron(cron) = daily else { panic!("not cron") };
    assert_eq!((cron.expression(), cron.zone().name()), ("30 9 * * *", "Europe/Berlin"));
}
