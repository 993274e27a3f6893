//! The ladder of failures, step by step.

use super::*;
use crate::Zone;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn after(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

#[test]
fn the_ladder_ends_with_an_hour() {
    let ladder = [0, 30, 60, 300, 900, 3600, 3600];
    for (consecutive, seconds) in (0..).zip(ladder) {
        assert_eq!(back_off(consecutive).as_secs(), seconds, "after {consecutive}");
    }
    assert_eq!(back_off(u32::MAX), LONGEST);
}

#[test]
fn a_recurring_job_waits_and_is_given_up_after_ten() {
    let daily = Schedule::cron("@daily", Zone::UTC).unwrap();
    let every = Schedule::every(Duration::from_secs(60), NOW).unwrap();
    for schedule in [daily, every] {
        for failure in [Failure::Permanent, Failure::Transient] {
            let ladder = [30, 60, 300, 900, 3600, 3600, 3600, 3600, 3600];
            for (consecutive, seconds) in (1..).zip(ladder) {
                let wait = After::Wait { not_before: after(seconds) };
                assert_eq!(after_failure(&schedule, failure, consecutive, NOW), wait);
            }
            let given_up = After::Disable(DisableReason::ConsecutiveFailures);
            assert_eq!(after_failure(&schedule, failure, 10, NOW), given_up);
            assert_eq!(after_failure(&schedule, failure, u32::MAX, NOW), given_up);
        }
    }
}

#[test]
fn a_job_that_is_due_once_is_tried_three_times_again() {
    let once = Schedule::at(NOW);
    for (consecutive, seconds) in [(1, 30), (2, 60), (3, 300)] {
        let retry = After::Retry { at: after(seconds) };
        assert_eq!(after_failure(&once, Failure::Transient, consecutive, NOW), retry);
    }
    let given_up = After::Disable(DisableReason::OneShotFailed);
    assert_eq!(after_failure(&once, Failure::Transient, 4, NOW), given_up);
    assert_eq!(after_failure(&once, Failure::Permanent, 1, NOW), given_up);
}

#[test]
fn the_owner_is_told_after_two_and_then_once_an_hour() {
    let ago = |seconds| Some(NOW.saturating_sub(Duration::from_secs(seconds)));
    for (consecutive, last_alert, expected) in [
        (0, None, false),
        (1, None, false),
        (2, None, true),
        (3, ago(3599), false),
        (3, ago(3600), true),
        (1, ago(3600), false),
        // A small step back of the clock, and one that shows the clock was wrong.
        (3, Some(after(3)), false),
        (3, Some(after(3600)), true),
    ] {
        assert_eq!(should_alert(consecutive, last_alert, NOW), expected, "{consecutive}");
    }
}

#[test]
fn names_are_read_again() {
    for reason in DisableReason::ALL {
        assert_eq!(DisableReason::parse(&reason.to_string()), Some(reason));
    }
    assert_eq!(DisableReason::parse("Finished"), None);
}
