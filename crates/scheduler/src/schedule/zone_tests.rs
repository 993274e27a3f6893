//! Every zone against a reference that knows nothing but what the clocks show at an instant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::*;

/// An expression, and the same once more for the reference.
struct Case {
    expression: &'static str,
    hours: &'static [i8],
    minutes: &'static [i8],
    second: i8,
    is_wildcard: bool,
}

const EVERY_HOUR: &[i8] =
    &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

/// The minutes of all cases.
const MINUTES: [i8; 8] = [0, 5, 15, 20, 30, 40, 45, 59];

#[rustfmt::skip]
const CASES: [Case; 6] = [
    Case { expression: "0,30 0-5 * * *", hours: &[0, 1, 2, 3, 4, 5], minutes: &[0, 30], second: 0, is_wildcard: false },
    Case { expression: "59 1,2,14,23 * * *", hours: &[1, 2, 14, 23], minutes: &[59], second: 0, is_wildcard: false },
    Case { expression: "30 */20 0-23 * * *", hours: EVERY_HOUR, minutes: &[0, 20, 40], second: 30, is_wildcard: false },
    Case { expression: "*/15 * * * *", hours: EVERY_HOUR, minutes: &[0, 15, 30, 45], second: 0, is_wildcard: true },
    Case { expression: "0 * * * *", hours: EVERY_HOUR, minutes: &[0], second: 0, is_wildcard: true },
    Case { expression: "45 5 */2 * * *", hours: &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], minutes: &[5], second: 45, is_wildcard: true },
];

/// Changes of clocks unlike those of today: days that were skipped and days that came twice, offsets
/// with seconds, steps of a quarter of an hour and of three hours, two changes in a month.
const ODD: [(&str, i16); 22] = [
    ("Africa/Cairo", 2010),
    ("Africa/Cairo", 2014),
    ("Africa/Casablanca", 2012),
    ("Africa/Monrovia", 1972),
    ("America/Anchorage", 1867),
    ("America/Caracas", 2007),
    ("America/Caracas", 2016),
    ("America/Scoresbysund", 2024),
    ("Antarctica/Casey", 2010),
    ("Antarctica/Casey", 2023),
    ("Asia/Kathmandu", 1986),
    ("Asia/Manila", 1844),
    ("Asia/Pyongyang", 2015),
    ("Asia/Pyongyang", 2018),
    ("Australia/Lord_Howe", 1985),
    ("Europe/Berlin", 1945),
    ("Europe/Berlin", 1947),
    ("Pacific/Apia", 2011),
    ("Pacific/Fakaofo", 2011),
    ("Pacific/Kiritimati", 1994),
    ("Pacific/Kwajalein", 1969),
    ("Pacific/Kwajalein", 1993),
];

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

fn instant(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

fn new_year(year: i16) -> i64 {
    civil::date(year, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second()
}

/// Returns when the clocks are changed, and by which offsets, found by looking once a day.
fn changes(zone: &TimeZone, from: i64, until: i64) -> Vec<(i64, i32, i32)> {
    let offset = |second| zone.to_offset(instant(second)).seconds();
    let mut found = Vec::new();
    let mut start = from;
    while start < until {
        let end = start + DAY;
        let (before, after) = (offset(start), offset(end));
        if before != after {
            let (mut low, mut high) = (start, end);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                if offset(middle) == before { low = middle } else { high = middle }
            }
            found.push((high, before, after));
        }
        start = end;
    }
    found
}

/// What the clocks show, instant after instant.
struct Walk {
    /// Whole minutes, or whole seconds where the clocks are not set by minutes.
    shown: Vec<(i64, civil::DateTime)>,
    /// When they are first shown; only the minutes that are asked for.
    first: BTreeMap<civil::DateTime, i64>,
    dates: BTreeSet<civil::Date>,
}

impl Walk {
    fn new(zone: &TimeZone, from: i64, until: i64, step: i64) -> Self {
        let mut walk = Self { shown: Vec::new(), first: BTreeMap::new(), dates: BTreeSet::new() };
        let mut second = from;
        while second < until {
            let civil = zone.to_datetime(instant(second));
            walk.shown.push((second, civil));
            if MINUTES.contains(&civil.minute()) {
                walk.first.entry(civil).or_insert(second);
            }
            walk.dates.insert(civil.date());
            second += step;
        }
        walk
    }

    /// The policy, word by word.
    fn expected(&self, case: &Case) -> BTreeSet<i64> {
        let second = i64::from(case.second);
        if case.is_wildcard {
            let matching = self.shown.iter().filter(|(_, civil)| {
                case.minutes.contains(&civil.minute())
                    && case.hours.contains(&civil.hour())
                    && civil.second() == 0
            });
            return matching.map(|(at, _)| at + second).collect();
        }
        let mut expected = BTreeSet::new();
        let (first, last) = (self.dates.first().unwrap(), self.dates.last().unwrap());
        for date in first.series(jiff::Span::new().days(1)).take_while(|date| date <= last) {
            // No instant is on this date: there is no run.
            if !self.dates.contains(&date) {
                continue;
            }
            for (hour, minute) in
                case.hours.iter().flat_map(|hour| case.minutes.iter().map(move |it| (*hour, *it)))
            {
                let civil = date.at(hour, minute, 0, 0);
                match self.first.get(&civil) {
                    Some(at) => expected.insert(at + second),
                    // Never shown: the first instant at which the clocks have passed it.
                    None => {
                        let passed = self.shown.iter().find(|(_, shown)| *shown > civil);
                        passed.is_some_and(|(at, _)| expected.insert(*at))
                    }
                };
            }
        }
        expected
    }
}

/// Compares all instants around a change.
fn check(name: &str, zone: &TimeZone, (at, before, after): (i64, i32, i32)) {
    // The walk is wider than what is compared by more than a gap or a second pass, which may be a day.
    let is_short = (before - after).abs() < 6 * 3600;
    let (around, margin) = if is_short { (26 * HOUR, 6 * HOUR) } else { (2 * DAY, 30 * HOUR) };
    let parts = [i64::from(before), i64::from(after), at].map(|it| it.rem_euclid(60));
    let step = parts.into_iter().fold(60, greatest_divisor);
    let walk = Walk::new(zone, at - around - margin, at + around + margin, step);
    for case in &CASES {
        let schedule = Schedule::cron(case.expression, Zone::parse(name).unwrap()).unwrap();
        let expected = walk.expected(case);
        let expected: Vec<_> = expected.range(at - around + 1..=at + around).copied().collect();
        let mut found = Vec::new();
        let mut after = Timestamp::from_millis((at - around) * 1000);
        loop {
            after = schedule.next_after(after).unwrap().unwrap();
            if after.as_millis() > (at + around) * 1000 {
                break;
            }
            found.push(after.as_millis() / 1000);
        }
        assert_eq!(found, expected, "`{}` in {name} around {}", case.expression, instant(at));
    }
}

fn greatest_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[test]
fn every_zone_of_three_years_agrees_with_its_clocks() {
    let (from, until) = (new_year(2025), new_year(2028));
    let zones = TimeZoneDatabase::bundled();
    // Zones whose clocks are changed at the same instant by the same offsets are one case.
    let mut cases = BTreeMap::new();
    let mut count = 0;
    for name in zones.available() {
        let zone = zones.get(name.as_str()).unwrap();
        let mut found = changes(&zone, from, until);
        if found.is_empty() {
            let offset = zone.to_offset(instant(new_year(2026))).seconds();
            found.push((new_year(2026), offset, offset));
        }
        for change in found {
            cases.entry(change).or_insert_with(|| (name.as_str().to_owned(), zone.clone()));
        }
        count += 1;
    }
    assert!(count > 500 && cases.len() > 100, "{count} zones, {} cases", cases.len());
    for (change, (name, zone)) in cases {
        check(&name, &zone, change);
    }
}

#[test]
fn odd_changes_agree_with_the_clocks() {
    let zones = TimeZoneDatabase::bundled();
    for (name, year) in ODD {
        let zone = zones.get(name).unwrap();
        let changes = changes(&zone, new_year(year) - DAY, new_year(year + 1) + DAY);
        assert!(!changes.is_empty(), "{name} in {year}");
        for change in changes {
            check(name, &zone, change);
        }
    }
}
