//! Stagger, hours and policies, in tables.

use super::*;
use crate::Zone;

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn cron(expression: &str) -> Schedule {
    Schedule::cron(expression, Zone::UTC).unwrap()
}

fn rules(schedule: Schedule, stagger: u64, hours: Option<(&str, &str)>) -> Rules {
    let active = hours.map(|(start, end)| ActiveHours::parse(start, end, Zone::UTC).unwrap());
    Rules { schedule, stagger: Duration::from_secs(stagger), active, catch_up: CatchUp::Last }
}

#[track_caller]
fn check(rules: &Rules, after: &str, expected: &[&str]) {
    let mut after = at(after);
    for expected in expected {
        let next = rules.next_after(after).unwrap().unwrap();
        assert_eq!(Zone::UTC.local(next), Zone::UTC.local(at(expected)));
        after = next;
    }
}

#[test]
fn a_stagger_moves_every_instant() {
    let hourly = rules(cron("0 * * * *"), 90, None);
    check(
        &hourly,
        "2026-01-01T00:00:30Z",
        &["2026-01-01T00:01:30Z", "2026-01-01T01:01:30Z", "2026-01-01T02:01:30Z"],
    );
    let once = rules(Schedule::at(at("2026-01-01T00:00:00Z")), 90, None);
    check(&once, "2026-01-01T00:01:00Z", &["2026-01-01T00:01:30Z"]);
    assert_eq!(once.next_after(at("2026-01-01T00:01:30Z")), Ok(None));
}

#[test]
fn instants_outside_of_the_hours_are_stepped_over() {
    let day = Some(("09:00", "17:00"));
    check(
        &rules(cron("*/30 * * * *"), 0, day),
        "2026-01-01T16:00:00Z",
        &["2026-01-01T16:30:00Z", "2026-01-02T09:00:00Z", "2026-01-02T09:30:00Z"],
    );
    // What counts is the instant that was moved.
    check(
        &rules(cron("*/30 * * * *"), 120, day),
        "2026-01-01T16:30:00Z",
        &["2026-01-01T16:32:00Z", "2026-01-02T09:02:00Z"],
    );
    check(
        &rules(cron("59 8,16 * * *"), 120, day),
        "2026-01-01T00:00:00Z",
        &["2026-01-01T09:01:00Z", "2026-01-02T09:01:00Z"],
    );
    // Each day an instant falls outside, until the interval has come around.
    let every = Schedule::every(Duration::from_secs(86_400 - 60), at("2026-01-01T08:00:00Z"));
    check(&rules(every.unwrap(), 0, day), "2026-01-01T08:00:00Z", &["2028-06-19T16:59:00Z"]);
}

#[test]
fn a_schedule_outside_of_its_hours_is_an_error_or_over() {
    let day = Some(("09:00", "17:00"));
    let never = rules(cron("0 3 * * *"), 0, day).next_after(at("2026-01-01T00:00:00Z"));
    let error = never.unwrap_err();
    expect_test::expect!["no instant of the schedule falls into the active hours `09:00-17:00 UTC`, though they opened 4000 times: change the schedule or the hours"].assert_eq(&error.to_string());
    let once = rules(Schedule::at(at("2026-01-01T03:00:00Z")), 0, day);
    assert_eq!(once.next_after(at("2026-01-01T00:00:00Z")), Ok(None));
}

#[test]
fn catch_up_policies_are_read_again() {
    for policy in [CatchUp::None, CatchUp::Last, CatchUp::All(1), CatchUp::All(MAX_CATCH_UP)] {
        assert_eq!(CatchUp::parse(&policy.to_string()), Ok(policy));
    }
    for text in
        ["", "all", "all:", "all:0", "all:05", "all:+5", "all:101", "all:99999999999", "Last"]
    {
        let error = ScheduleError::CatchUp { text: text.to_owned() };
        assert_eq!(CatchUp::parse(text), Err(error));
    }
}

#[test]
fn a_stagger_is_stable_and_spreads() {
    // These are stored with jobs: a change here moves every job.
    let moved = ["", "job-1", "job-2"].map(|job| stagger(job, TOP_OF_HOUR).as_secs());
    assert_eq!(moved, [242, 233, 50]);
    assert_eq!(stagger("job-1", Duration::ZERO), Duration::ZERO);
    let mut slots = [0; 10];
    for job in 0..1000 {
        let moved = stagger(&format!("job-{job}"), Duration::from_secs(10));
        slots[usize::try_from(moved.as_secs()).unwrap()] += 1;
    }
    assert!(slots.iter().all(|count| (60..140).contains(count)), "{slots:?}");
}

#[test]
fn only_the_top_of_the_hour_is_staggered() {
    for (expression, window) in [
        ("0 * * * *", TOP_OF_HOUR),
        ("0 */2 * * *", TOP_OF_HOUR),
        ("@hourly", TOP_OF_HOUR),
        ("0 0 * * * *", TOP_OF_HOUR),
        ("0 9 * * *", Duration::ZERO),
        ("*/15 * * * *", Duration::ZERO),
        ("0 1 * * * *", Duration::ZERO),
        ("@daily", Duration::ZERO),
    ] {
        assert_eq!(default_stagger(&cron(expression)), window, "{expression}");
    }
    assert_eq!(default_stagger(&Schedule::at(Timestamp::default())), Duration::ZERO);
}
