//! What is too much for one tick, or at once, or for the calendar.

use expect_test::{Expect, expect};

use super::tests::{at, check, due, every, line, noon, rules};
use super::*;

/// Ticks until nothing is due, and returns what each tick decided.
fn settle(mut job: DueJob<String>) -> Vec<Decision<String>> {
    let mut decisions = vec![];
    loop {
        let decision = tick(std::slice::from_ref(&job), &TickLimits::default(), noon()).remove(0);
        let claims = decision.rows.iter().any(|row| matches!(row, LedgerRow::Claim { .. }));
        job.is_busy = if claims { Busy::Busy } else { job.is_busy };
        decisions.push(decision.clone());
        match decision.next {
            Next::At(next) if next <= noon() => job.due = next,
            Next::At(_) | Next::Never => return decisions,
            Next::Fault(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_too_much_for_one_tick_is_decided_by_the_last() {
    let check = |expression, catch_up, due_at, expected: &Expect| {
        let decisions = settle(due(rules(expression, catch_up), due_at));
        expected.assert_eq(&decisions.iter().map(line).collect::<Vec<_>>().join("\n"));
    };
    let per_second = "*/1 * 0-10 * * *";
    check(
        per_second,
        CatchUp::None,
        "2026-01-01T03:00:00Z",
        &expect![[r#"
        miss 10000 of 03:00:00..05:46:39 · next 05:46:40
        miss 10000 of 05:46:40..08:33:19 · next 08:33:20
        miss 8800 of 08:33:20..10:59:59 · next 2026-01-02 00:00:00"#]],
    );
    check(
        per_second,
        CatchUp::Last,
        "2026-01-01T03:00:00Z",
        &expect![[r#"
        miss 9999 of 03:00:00..05:46:38 · next 05:46:39
        miss 9999 of 05:46:39..08:33:17 · next 08:33:18
        miss 8801 of 08:33:18..10:59:58 · claim 10:59:59 · next 2026-01-02 00:00:00"#]],
    );
    check(
        per_second,
        CatchUp::All(3),
        "2026-01-01T03:00:00Z",
        &expect![[r#"
        miss 9997 of 03:00:00..05:46:36 · next 05:46:37
        miss 9997 of 05:46:37..08:33:13 · next 08:33:14
        miss 8803 of 08:33:14..10:59:56 · claim 10:59:57 · claim 10:59:58 · claim 10:59:59 · next 2026-01-02 00:00:00"#]],
    );
    // The bound falls among the newest: 10 001 in all, 10 000 in all.
    check(
        per_second,
        CatchUp::All(3),
        "2026-01-01T08:13:19Z",
        &expect![[r#"
        miss 9997 of 08:13:19..10:59:55 · next 10:59:56
        miss 1 of 10:59:56..10:59:56 · claim 10:59:57 · claim 10:59:58 · claim 10:59:59 · next 2026-01-02 00:00:00"#]],
    );
    check(
        per_second,
        CatchUp::All(3),
        "2026-01-01T08:13:20Z",
        &expect![
            "miss 9997 of 08:13:20..10:59:56 · claim 10:59:57 · claim 10:59:58 · claim 10:59:59 · next 2026-01-02 00:00:00"
        ],
    );
    check(
        "* * * * * *",
        CatchUp::Last,
        "2026-01-01T09:13:21Z",
        &expect![
            "miss 9939 of 09:13:21..11:58:59 · claim 11:59:00 · still-running 60 of 11:59:01..12:00:00 · next 12:00:01"
        ],
    );
    let job = due(rules("* * * * * *", CatchUp::All(100)), "2026-01-01T09:12:02Z");
    let decisions = settle(job);
    let claims = decisions.iter().flat_map(|it| &it.rows).filter_map(|row| match row {
        LedgerRow::Claim { at, .. } => Some(*at),
        LedgerRow::Miss { .. } | LedgerRow::Skip { .. } => None,
    });
    let claims: Vec<_> = claims.collect();
    assert_eq!((claims.len(), claims[0]), (101, at("2026-01-01T11:57:20Z")));
}

#[test]
fn those_who_catch_up_do_not_begin_all_at_once() {
    let mut page = vec![];
    for job in 0..8 {
        let rules = rules("30 * * * *", CatchUp::Last);
        page.push(DueJob { job: format!("job-{job}"), ..due(rules, "2026-01-01T11:30:00Z") });
    }
    let on_time = due(rules("0 * * * *", CatchUp::Last), "2026-01-01T12:00:00Z");
    page.insert(7, on_time);
    let decisions = tick(&page, &TickLimits::default(), noon());
    let lines: Vec<_> = decisions.iter().map(line).collect();
    expect![[r#"
        claim 11:30:00 · next 12:30:00
        claim 11:30:00 · next 12:30:00
        claim 11:30:00 · next 12:30:00
        claim 11:30:00 · next 12:30:00
        claim 11:30:00 · next 12:30:00
        claim 11:30:00 in 5.722s · next 12:30:00
        claim 11:30:00 in 10.854s · next 12:30:00
        claim 12:00:00 · next 13:00:00
        claim 11:30:00 in 15.936s · next 12:30:00"#]]
    .assert_eq(&lines.join("\n"));
    // The next page goes on where this one ended.
    let before = decisions.iter().map(|it| it.caught_up).sum();
    let spread = Spread { before, ..Spread::default() };
    let next_page = tick(&page, &TickLimits { spread, ..TickLimits::default() }, noon());
    expect!["claim 11:30:00 in 20.776s · next 12:30:00"].assert_eq(&line(&next_page[0]));
    // Several of one job are apart too.
    let all = due(rules("*/10 * * * *", CatchUp::All(7)), "2026-01-01T09:00:00Z");
    check(
        all,
        &expect![
            "miss 11 of 09:00:00..10:40:00 · claim 10:50:00 · claim 11:00:00 · claim 11:10:00 · claim 11:20:00 · claim 11:30:00 · claim 11:40:00 in 5.712s · claim 11:50:00 in 10.712s · claim 12:00:00 · next 12:10:00"
        ],
    );
}

#[test]
fn the_ends_of_time_are_nothing_special() {
    let end = Timestamp::from_millis(i64::MAX);
    let start = Timestamp::from_millis(i64::MIN);
    for grace in [GRACE, Duration::MAX] {
        for rules in [
            every(1, start, CatchUp::All(100)),
            rules("0 0 1 1 *", CatchUp::Last),
            rules("* * * * * *", CatchUp::None),
        ] {
            let job = DueJob { due: start, ..due(rules, "2026-01-01T12:00:00Z") };
            let limits = TickLimits { grace, ..TickLimits::default() };
            let decision = &tick(&[job], &limits, end)[0];
            assert!(!decision.rows.is_empty(), "{decision:?}");
        }
    }
}
