//! Each rule of the tick, a line per decision.

use expect_test::{Expect, expect};

use super::*;
use crate::{ActiveHours, Schedule, Zone};

pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Noon of a Thursday.
pub(super) fn noon() -> Timestamp {
    at("2026-01-01T12:00:00Z")
}

pub(super) fn rules(expression: &str, catch_up: CatchUp) -> Rules {
    let schedule = Schedule::cron(expression, Zone::UTC).unwrap();
    Rules { schedule, stagger: Duration::ZERO, active: None, catch_up }
}

pub(super) fn every(seconds: u64, anchor: Timestamp, catch_up: CatchUp) -> Rules {
    let schedule = Schedule::every(Duration::from_secs(seconds), anchor).unwrap();
    Rules { schedule, stagger: Duration::ZERO, active: None, catch_up }
}

pub(super) fn due(rules: Rules, due: &str) -> DueJob<String> {
    DueJob { job: "job".into(), rules, due: at(due), not_before: None, is_busy: Busy::Free }
}

/// Returns a decision in one line.
pub(super) fn line(decision: &Decision<String>) -> String {
    let local = |at| Zone::UTC.local(at).replace(" +00:00[UTC]", "").replace("2026-01-01 ", "");
    let mut words = vec![];
    for row in &decision.rows {
        words.push(match row {
            LedgerRow::Claim { at, start_at } if *start_at == noon() => {
                format!("claim {}", local(*at))
            }
            LedgerRow::Claim { at, start_at } => {
                format!("claim {} in {:?}", local(*at), start_at.since(noon()))
            }
            LedgerRow::Miss { from, to, count } => {
                format!("miss {count} of {}..{}", local(*from), local(*to))
            }
            LedgerRow::Skip { at, to, count, reason } => {
                format!("{reason} {count} of {}..{}", local(*at), local(*to))
            }
        });
    }
    words.push(match &decision.next {
        Next::At(at) => format!("next {}", local(*at)),
        Next::Fault(error) => format!("fault: {error}"),
        Next::Never => "never".to_owned(),
    });
    words.join(" · ")
}

#[track_caller]
fn check_with(limits: TickLimits, due: DueJob<String>, expected: &Expect) {
    let decisions = tick(&[due], &limits, noon());
    expected.assert_eq(&line(&decisions[0]));
}

#[track_caller]
pub(super) fn check(due: DueJob<String>, expected: &Expect) {
    check_with(TickLimits::default(), due, expected);
}

#[test]
fn an_instant_on_time_is_claimed_at_once() {
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All(5)] {
        let job = due(rules("0 * * * *", catch_up), "2026-01-01T12:00:00Z");
        check(job, &expect!["claim 12:00:00 · next 13:00:00"]);
        let job = due(rules("59 * * * *", catch_up), "2026-01-01T11:59:00Z");
        check(job, &expect!["claim 11:59:00 · next 12:59:00"]);
    }
    // The job was edited: what was due stays due, and the new schedule goes on from there.
    check(
        due(rules("0 9 * * *", CatchUp::Last), "2026-01-01T11:59:30Z"),
        &expect!["claim 11:59:30 · next 2026-01-02 09:00:00"],
    );
}

#[test]
fn one_of_several_on_time_is_claimed() {
    check(
        due(rules("*/20 * * * * *", CatchUp::Last), "2026-01-01T11:59:20Z"),
        &expect!["claim 11:59:20 · still-running 2 of 11:59:40..12:00:00 · next 12:00:20"],
    );
    check(
        due(every(1, noon(), CatchUp::Last), "2026-01-01T11:59:58Z"),
        &expect!["claim 11:59:58 · still-running 1 of 12:00:00..12:00:00 · next 12:00:01"],
    );
}

#[test]
fn what_was_missed_is_caught_up_by_policy() {
    let hourly = |catch_up| due(rules("30 * * * *", catch_up), "2026-01-01T05:30:00Z");
    check(hourly(CatchUp::None), &expect!["miss 7 of 05:30:00..11:30:00 · next 12:30:00"]);
    check(
        hourly(CatchUp::Last),
        &expect!["miss 6 of 05:30:00..10:30:00 · claim 11:30:00 · next 12:30:00"],
    );
    check(
        hourly(CatchUp::All(3)),
        &expect![
            "miss 4 of 05:30:00..08:30:00 · claim 09:30:00 · claim 10:30:00 · claim 11:30:00 · next 12:30:00"
        ],
    );
    check(
        hourly(CatchUp::All(100)),
        &expect![
            "claim 05:30:00 · claim 06:30:00 · claim 07:30:00 · claim 08:30:00 · claim 09:30:00 · claim 10:30:00 in 5.712s · claim 11:30:00 in 10.712s · next 12:30:00"
        ],
    );
    // One more is on time: it stands for the newest.
    let hourly = |catch_up| due(rules("0 * * * *", catch_up), "2026-01-01T08:00:00Z");
    check(
        hourly(CatchUp::None),
        &expect!["miss 4 of 08:00:00..11:00:00 · claim 12:00:00 · next 13:00:00"],
    );
    check(
        hourly(CatchUp::Last),
        &expect!["miss 4 of 08:00:00..11:00:00 · claim 12:00:00 · next 13:00:00"],
    );
    check(
        hourly(CatchUp::All(2)),
        &expect![
            "miss 2 of 08:00:00..09:00:00 · claim 10:00:00 · claim 11:00:00 · claim 12:00:00 · next 13:00:00"
        ],
    );
    // More than the most is the most.
    let all = due(rules("* * * * *", CatchUp::All(u32::MAX)), "2026-01-01T06:00:00Z");
    let decision = &tick(&[all], &TickLimits::default(), noon())[0];
    assert_eq!((decision.rows.len(), decision.caught_up), (1 + 100 + 2, 100));
}

#[test]
fn a_job_that_is_due_once_is_run_late() {
    let once = |catch_up, due_at| {
        let rules = Rules { schedule: Schedule::at(at(due_at)), ..rules("* * * * *", catch_up) };
        due(rules, due_at)
    };
    check(once(CatchUp::Last, "2026-01-01T12:00:00Z"), &expect!["claim 12:00:00 · never"]);
    check(once(CatchUp::None, "2026-01-01T11:59:30Z"), &expect!["claim 11:59:30 · never"]);
    check(
        once(CatchUp::Last, "2025-01-01T12:00:00Z"),
        &expect!["claim 2025-01-01 12:00:00 · never"],
    );
    check(
        once(CatchUp::All(1), "2025-01-01T12:00:00Z"),
        &expect!["claim 2025-01-01 12:00:00 · never"],
    );
    check(
        once(CatchUp::None, "2025-01-01T12:00:00Z"),
        &expect!["miss 1 of 2025-01-01 12:00:00..2025-01-01 12:00:00 · never"],
    );
    // Another try after a failure.
    let retry = due(once(CatchUp::Last, "2026-01-01T11:50:00Z").rules, "2026-01-01T11:59:50Z");
    check(retry, &expect!["claim 11:59:50 · never"]);
}

#[test]
fn a_busy_job_claims_nothing() {
    let busy = |expression, catch_up, due_at| DueJob {
        is_busy: Busy::Busy,
        ..due(rules(expression, catch_up), due_at)
    };
    check(
        busy("0 * * * *", CatchUp::Last, "2026-01-01T12:00:00Z"),
        &expect!["still-running 1 of 12:00:00..12:00:00 · next 13:00:00"],
    );
    check(
        busy("0 * * * *", CatchUp::Last, "2026-01-01T09:00:00Z"),
        &expect![
            "miss 3 of 09:00:00..11:00:00 · still-running 1 of 12:00:00..12:00:00 · next 13:00:00"
        ],
    );
    check(
        busy("30 * * * *", CatchUp::Last, "2026-01-01T09:30:00Z"),
        &expect![
            "miss 2 of 09:30:00..10:30:00 · still-running 1 of 11:30:00..11:30:00 · next 12:30:00"
        ],
    );
    check(
        busy("0 * * * *", CatchUp::All(2), "2026-01-01T06:00:00Z"),
        &expect![
            "miss 4 of 06:00:00..09:00:00 · still-running 3 of 10:00:00..12:00:00 · next 13:00:00"
        ],
    );
    check(
        busy("30 * * * *", CatchUp::None, "2026-01-01T09:30:00Z"),
        &expect!["miss 3 of 09:30:00..11:30:00 · next 12:30:00"],
    );
}

#[test]
fn a_back_off_skips_what_is_before_its_end() {
    let failed = |not_before, catch_up| DueJob {
        not_before: Some(at(not_before)),
        ..due(rules("0 * * * *", catch_up), "2026-01-01T09:00:00Z")
    };
    check(
        failed("2026-01-01T09:00:00Z", CatchUp::None),
        &expect!["miss 3 of 09:00:00..11:00:00 · claim 12:00:00 · next 13:00:00"],
    );
    check(
        failed("2026-01-01T10:30:00Z", CatchUp::None),
        &expect![
            "back-off 2 of 09:00:00..10:00:00 · miss 1 of 11:00:00..11:00:00 · claim 12:00:00 · next 13:00:00"
        ],
    );
    check(
        failed("2026-01-01T10:30:00Z", CatchUp::All(9)),
        &expect![
            "back-off 2 of 09:00:00..10:00:00 · claim 11:00:00 · claim 12:00:00 · next 13:00:00"
        ],
    );
    check(
        failed("2026-01-01T12:00:00.001Z", CatchUp::Last),
        &expect!["back-off 4 of 09:00:00..12:00:00 · next 13:00:00"],
    );
    check(
        failed("2027-01-01T00:00:00Z", CatchUp::Last),
        &expect!["back-off 4 of 09:00:00..12:00:00 · next 13:00:00"],
    );
}

#[test]
fn nothing_runs_while_disabled() {
    let disabled = TickLimits { mode: Mode::Disabled, ..TickLimits::default() };
    let job = due(rules("0 * * * *", CatchUp::All(9)), "2026-01-01T09:00:00Z");
    check_with(disabled, job.clone(), &expect!["disabled 4 of 09:00:00..12:00:00 · next 13:00:00"]);
    let not_before = Some(at("2026-01-01T10:30:00Z"));
    check_with(
        disabled,
        DueJob { not_before, is_busy: Busy::Busy, ..job },
        &expect!["disabled 4 of 09:00:00..12:00:00 · next 13:00:00"],
    );
}

#[test]
fn a_year_is_one_row() {
    let anchor = at("2025-01-01T00:00:00.750Z");
    check(
        due(every(60, anchor, CatchUp::None), "2025-01-01T00:00:00Z"),
        &expect![
            "miss 526319 of 2025-01-01 00:00:00..11:58:00 · claim 11:59:00 · still-running 1 of 12:00:00..12:00:00 · next 12:01:00"
        ],
    );
    check(
        due(every(60, anchor, CatchUp::Last), "2025-01-01T00:00:17Z"),
        &expect![
            "miss 526319 of 2025-01-01 00:00:17..11:58:00 · claim 11:59:00 · still-running 1 of 12:00:00..12:00:00 · next 12:01:00"
        ],
    );
    check(
        due(every(1, anchor, CatchUp::All(2)), "2025-01-01T00:00:00Z"),
        &expect![
            "miss 31579138 of 2025-01-01 00:00:00..11:58:57 · claim 11:58:58 · claim 11:58:59 · claim 11:59:00 · still-running 60 of 11:59:01..12:00:00 · next 12:00:01"
        ],
    );
    check(
        due(rules("0 * * * *", CatchUp::Last), "2025-01-01T00:00:00Z"),
        &expect!["miss 8772 of 2025-01-01 00:00:00..11:00:00 · claim 12:00:00 · next 13:00:00"],
    );
    let moved = Rules { stagger: Duration::from_secs(7), ..every(60, anchor, CatchUp::Last) };
    check(
        due(moved, "2025-01-01T00:00:07Z"),
        &expect!["miss 526319 of 2025-01-01 00:00:07..11:58:07 · claim 11:59:07 · next 12:00:07"],
    );
}

#[test]
fn hours_hold_for_what_was_missed() {
    let active = Some(ActiveHours::parse("09:00", "11:00", Zone::UTC).unwrap());
    let hourly = Rules { active: active.clone(), ..rules("0 * * * *", CatchUp::Last) };
    check(
        due(hourly, "2025-12-31T09:00:00Z"),
        &expect![
            "miss 3 of 2025-12-31 09:00:00..09:00:00 · claim 10:00:00 · next 2026-01-02 09:00:00"
        ],
    );
    let often = every(60 * 30, at("2025-12-31T00:00:00Z"), CatchUp::None);
    check(
        due(Rules { active, ..often }, "2025-12-31T09:30:00Z"),
        &expect!["miss 7 of 2025-12-31 09:30:00..10:30:00 · next 2026-01-02 09:00:00"],
    );
}

#[test]
fn a_schedule_without_a_next_instant_is_a_fault() {
    let active = Some(ActiveHours::parse("09:00", "11:00", Zone::UTC).unwrap());
    let never = Rules { active, ..rules("0 3 * * *", CatchUp::Last) };
    check(
        due(never, "2026-01-01T12:00:00Z"),
        &expect![
            "fault: no instant of the schedule falls into the active hours `09:00-11:00 UTC`, though they opened 4000 times: change the schedule or the hours"
        ],
    );
    let schedule = Schedule::Every { every: Duration::ZERO, anchor: noon() };
    let by_hand = Rules { schedule, ..rules("0 3 * * *", CatchUp::Last) };
    check(
        due(by_hand, "2026-01-01T12:00:00Z"),
        &expect![
            "fault: an interval of 0ns is not possible: use whole seconds, from 1 second to 3650 days"
        ],
    );
}

#[test]
fn names_are_read_again() {
    for reason in SkipReason::ALL {
        assert_eq!(SkipReason::parse(&reason.to_string()), Some(reason));
    }
    assert_eq!(SkipReason::parse("busy"), None);
}
