//! What is no expression, and what no text may do.

use expect_test::expect;
use proptest::strategy::Strategy as _;

use super::*;
use crate::Schedule;

#[test]
fn bad_expressions_are_refused_with_a_reason() {
    let mut lines = String::new();
    for expression in [
        "0 0 31 2 *",
        "0 0 * * L",
        "0 0 1 2 +MON#5",
        ", 0 * * *",
        "0 0 1 1 * * 2027",
        "0 0 1 1",
        "@fortnightly",
        "",
        "61 * * * *",
        "0/5 * * * *",
        "* * * * * \u{1b}[31m",
        "täglich um zehn Uhr bitte",
        &"1,".repeat(200),
    ] {
        lines.push_str(&Schedule::cron(expression, Zone::UTC).unwrap_err().to_string());
        lines.push('\n');
    }
    expect![[r#"
        `0 0 31 2 *` is never due: no year has such a day, change the day or the month
        `0 0 * * L` is never due: no year has such a day, change the day or the month
        `0 0 1 2 +MON#5` is never due: no year has such a day, change the day or the month
        `, 0 * * *` is not a cron expression (a field names nothing): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `0 0 1 1 * * 2027` is not a cron expression (it has 7 fields, not 5 or 6): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `0 0 1 1` is not a cron expression (it has 4 fields, not 5 or 6): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `@fortnightly` is not a cron expression (the names are @hourly, @daily, @weekly, @monthly, @yearly, @annually): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `` is not a cron expression (it has 0 fields, not 5 or 6): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `61 * * * *` is not a cron expression (number out of bounds): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `0/5 * * * *` is not a cron expression (invalid step syntax: single number steps like "0/5" are not allowed. Use "*/5" for wildcard steps or "X-Y/5" for range steps): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `* * * * * \u{1b}[31m` is not a cron expression (it has characters that no expression has): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        `täglich um zehn Uhr bitte` is not a cron expression (it has characters that no expression has): write five fields, as in `30 9 * * 1-5`, or six with seconds first
        a cron expression has at most 256 bytes, this one has 400: split it into several jobs
    "#]].assert_eq(&lines);
}

fn field() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::prop_oneof![
        4 => proptest::sample::select(vec![
            "*", "*/7", "0", "1-5", "2,3", "L", "?", "MON#5", "MON#L", "FRI", "FEB", "31W", "LW", "29",
            "+1", "30", "5-9/2", "*/65535", "65535", "SAT-SUN", ",", "1,,2", "#", "W", "-", "/",
        ])
        .prop_map(str::to_owned),
        1 => "[-0-9*/,LW#?+A-Z@]{0,6}",
    ]
}

proptest::proptest! {
    /// No text makes the parser fall over, and no expression that it takes makes the search.
    #[test]
    fn any_expression_is_read_or_refused(
        fields in proptest::collection::vec(field(), 4..7),
        after in proptest::num::i64::ANY,
    ) {
        let zone = Zone::parse("America/St_Johns").unwrap();
        if let Ok(schedule) = Schedule::cron(&fields.join(" "), zone) {
            schedule.next_after(Timestamp::from_millis(after)).unwrap();
            let now = Timestamp::from_millis(1_780_272_000_000);
            proptest::prop_assert!(schedule.next_after(now).unwrap().unwrap() > now);
        }
    }
}
