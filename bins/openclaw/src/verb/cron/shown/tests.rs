//! Jobs and due instants as people read them.

use super::*;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn every(seconds: i64) -> When {
    When::Every(prost_types::Duration { seconds, nanos: 0 })
}

#[test]
#[rustfmt::skip]
fn schedules_in_a_few_words() {
    for (when, zone, expected) in [
        (at(1_796_115_600).map(When::At),            "",              "at 2026-12-01T09:00:00Z"),
        (Some(every(1800)),                          "",              "every 30m"),
        (Some(every(90_000)),                        "",              "every 25h"),
        (Some(When::Cron("0 9 * * *".into())),       "Europe/Berlin", "0 9 * * * Europe/Berlin"),
        (Some(When::Cron("0 9 * * *".into())),       "",              "0 9 * * *"),
        (None,                                       "",              ""),
    ] {
        let schedule = Schedule { when, time_zone: zone.into(), ..Schedule::default() };
        assert_eq!(words(Some(&schedule)), expected);
    }
    assert_eq!(words(None), "");
}

#[test]
#[rustfmt::skip]
fn whose_clocks() {
    let cron = Schedule {
        when: Some(When::Cron("0 9 * * *".into())), time_zone: "Nowhere/Land".into(), ..Schedule::default()
    };
    let once = Schedule { when: at(0).map(When::At), ..Schedule::default() };
    let named = Clocks::Named("Europe/Berlin".into());
    let own = Clocks::OfMachine("Europe/Berlin".into());
    let nameless = Clocks::OfMachine(String::new());
    for (schedule, read_by, zone, expected) in [
        (&cron, None,            Zone::Named,  "Nowhere/Land"),
        (&cron, None,            Zone::Unnamed, "Nowhere/Land (the gateway's zone)"),
        (&once, Some(&named),    Zone::Named,  "Europe/Berlin"),
        (&once, Some(&own),      Zone::Unnamed, "Europe/Berlin (this machine's zone)"),
        (&once, Some(&nameless), Zone::Unnamed, "(this machine's zone)"),
        (&once, None,            Zone::Unnamed, ""),
    ] {
        assert_eq!(clocks(schedule, read_by, zone), expected);
    }
    if let Some(name) = machine() {
        let cron = Schedule { time_zone: name.clone(), ..cron };
        assert_eq!(clocks(&cron, None, Zone::Unnamed), format!("{name} (this machine's zone)"));
    }
}

#[test]
#[rustfmt::skip]
fn states() {
    for (enabled, reason, consecutive_failures, expected) in [
        (true,  "",                     0,  "enabled"),
        (true,  "",                     1,  "enabled, failed once"),
        (true,  "",                     3,  "enabled, failed 3 times in a row"),
        (false, "consecutive-failures", 10, "disabled: consecutive-failures"),
        (false, "",                     0,  "disabled"),
    ] {
        let job = Job { enabled, disabled_reason: reason.into(), consecutive_failures, ..Job::default() };
        assert_eq!(state(&job), expected);
    }
}

#[test]
fn instants_in_a_row() {
    let one = Occurrence {
        scheduled_at: at(0),
        scheduled_until: at(0),
        count: 1,
        ..Occurrence::default()
    };
    assert_eq!(due(&one), "1970-01-01T00:00:00Z");
    let row = Occurrence { count: 3, scheduled_until: at(7200), ..one };
    assert_eq!(due(&row), "1970-01-01T00:00:00Z x3 until 1970-01-01T02:00:00Z");
}

#[test]
#[rustfmt::skip]
fn hours_name_their_zone_where_it_is_another() {
    for (until, zone, of_hours, expected) in [
        ("",      "Europe/Berlin", "",              ""),
        ("17:00", "Europe/Berlin", "Europe/Berlin", "09:00-17:00"),
        ("17:00", "",              "Europe/Berlin", "09:00-17:00 Europe/Berlin"),
        ("17:00", "",              "",              "09:00-17:00"),
    ] {
        let schedule = Schedule {
            active_from: if until.is_empty() { "" } else { "09:00" }.into(),
            active_until: until.into(),
            time_zone: zone.into(),
            active_zone: of_hours.into(),
            ..Schedule::default()
        };
        assert_eq!(zoned_hours(&schedule), expected);
    }
}

#[test]
fn deliveries_of_instants() {
    for (id, state, expected) in
        [("", "", ""), ("dl-1", "sent", "sent (dl-1)"), ("", "dead", "dead")]
    {
        let occurrence = Occurrence {
            delivery_id: id.into(),
            delivery_state: state.into(),
            ..Occurrence::default()
        };
        assert_eq!(delivered(&occurrence), expected);
    }
}
