//! Tests of the health of models: what counts, for whom, and for how long.

use super::*;
use crate::model::Detail;

fn auth() -> ModelError {
    ModelError::Auth { detail: Detail::default() }
}

fn billing() -> ModelError {
    ModelError::Billing { detail: Detail::default() }
}

fn limited() -> ModelError {
    ModelError::RateLimited { detail: Detail::default(), retry_after: None }
}

fn overloaded() -> ModelError {
    ModelError::Overloaded { detail: Detail::default(), retry_after: None }
}

enum Step {
    Answers,
    GivesUp(ModelError),
    Nothing,
}

/// A model, and after `@` the key.
fn asked(model: &str) -> Asked<'_> {
    let (name, profile) = model.split_once('@').unwrap_or((model, ""));
    Asked { name, profile }
}

/// Returns for how many seconds a model is left alone, and why.
fn left(health: &Health, model: &str, now: Instant) -> Option<(u64, &'static str)> {
    let cool_down = health.cool_down(asked(model), now)?;
    Some((cool_down.until.saturating_duration_since(now).as_secs(), cool_down.reason))
}

/// At a second, what a model does; then, for how long a model is left alone, and why.
type Row<'a> = (u64, &'a str, Step, &'a str, Option<(u64, &'a str)>);

#[track_caller]
fn check(rows: Vec<Row<'_>>) {
    let health = Health::default();
    let start = Instant::now();
    for (row, (seconds, model, step, other, expected)) in rows.into_iter().enumerate() {
        let now = start + Duration::from_secs(seconds);
        match step {
            Step::Answers => health.answered(asked(model)),
            Step::GivesUp(error) => health.on_give_up(asked(model), &error, now, now),
            Step::Nothing => {}
        }
        assert_eq!(left(&health, other, now), expected, "row {row}");
    }
}

#[test]
#[rustfmt::skip]
fn a_model_is_left_alone_longer_each_time_until_it_answers() {
    use Step::{Answers, GivesUp, Nothing};
    check(vec![
        // at   model  does                    seen at  is left alone
        (   0, "a/a", Nothing,                 "a/a",   None),
        (   0, "a/a", GivesUp(limited()),      "a/a",   Some(( 30, "rate-limited"))),
        (  29, "a/a", Nothing,                 "a/a",   Some((  1, "rate-limited"))),
        (  30, "a/a", Nothing,                 "a/a",   None),
        ( 100, "a/a", GivesUp(overloaded()),   "a/a",   Some(( 60, "overloaded"))),
        ( 200, "a/a", GivesUp(limited()),      "a/a",   Some((300, "rate-limited"))),
        ( 200, "a/a", Nothing,                 "a/b",   None),  // a limit is of a model
        (9000, "a/a", GivesUp(limited()),      "a/a",   Some((300, "rate-limited"))),
        (9001, "a/a", GivesUp(limited()),      "a/a",   Some((300, "rate-limited"))),
        (9002, "a/b", Answers,                 "a/a",   Some((299, "rate-limited"))),
        (9003, "a/a", Answers,                 "a/a",   None),
        (9004, "a/a", GivesUp(overloaded()),   "a/a",   Some(( 30, "overloaded"))),
    ]);
}

#[test]
#[rustfmt::skip]
fn a_provider_is_left_alone_with_all_its_models() {
    use Step::{Answers, GivesUp, Nothing};
    check(vec![
        // at  model    does                  seen at    is left alone
        (   0, "a/a",   GivesUp(billing()),   "a/a",     Some((600, "billing"))),
        (   0, "a/a",   Nothing,              "a/b",     Some((600, "billing"))),
        (   0, "a/a",   Nothing,              "a/b/c",   Some((600, "billing"))),
        (   0, "a/a",   Nothing,              "ab/a",    None),
        (  10, "a/b",   GivesUp(limited()),   "a/b",     Some((590, "billing"))),
        ( 599, "a/a",   Nothing,              "a/a",     Some((  1, "billing"))),
        ( 600, "a/a",   Nothing,              "a/a",     None),
        ( 700, "a/a",   GivesUp(auth()),      "a/b",     Some((600, "auth"))),
        ( 800, "a/a",   GivesUp(auth()),      "a/b",     Some((600, "auth"))),
        ( 900, "a/b",   Answers,              "a/a",     None),
        ( 900, "a/b",   GivesUp(limited()),   "a/b",     Some(( 30, "rate-limited"))),
    ]);
}

#[test]
fn a_bad_request_is_no_fault_of_the_model() {
    let detail = Detail::default();
    let health = Health::default();
    let now = Instant::now();
    for error in [
        ModelError::ContextOverflow { detail: detail.clone() },
        ModelError::CoolingDown { reason: "billing", remaining: Duration::ZERO },
        ModelError::InvalidRequest { detail: detail.clone() },
        ModelError::ModelNotFound { detail },
        ModelError::network("x"),
        ModelError::protocol("x"),
        ModelError::timeout("x"),
    ] {
        (0..10).for_each(|_| health.on_give_up(asked("a/a"), &error, now, now));
        assert_eq!(health.cool_down(asked("a/a"), now), None, "{error:?}");
    }
}

#[test]
fn turns_that_fail_together_count_once() {
    let health = Health::default();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    #[rustfmt::skip]
    let table = [
        // asked  gave up  is left alone
        (   0,    100,      30),
        (   5,    110,      20),  // asked before the cool-down, so it tells nothing new
        ( 100,    115,      60),  // asked although it cools down: that is new
        (  50,    200,      300), // still the same after it had cooled down: that is new, too
    ];
    for (since, now, seconds) in table {
        health.on_give_up(asked("a/a"), &limited(), at(since), at(now));
        assert_eq!(left(&health, "a/a", at(now)), Some((seconds, "rate-limited")), "{now}");
    }
}

#[test]
fn only_providers_that_are_the_same_stay_in_mind() {
    let health = Health::default();
    let now = Instant::now();
    for model in ["a/a", "b/a", "ab/a"] {
        health.on_give_up(asked(model), &limited(), now, now);
        health.on_give_up(asked(model), &billing(), now, now);
    }
    health.retain(|provider| provider != "a");
    assert_eq!(health.cool_down(asked("a/a"), now), None);
    assert_eq!(left(&health, "b/a", now), Some((600, "billing")));
    assert_eq!(left(&health, "ab/a", now), Some((600, "billing")));
}

#[test]
fn memory_is_bounded_and_what_ends_first_is_forgotten() {
    let health = Health::default();
    let start = Instant::now();
    for number in 0..2 * MAX_MARKS {
        let now = start + Duration::from_millis(u64::try_from(number).unwrap());
        health.on_give_up(asked(&format!("a/{number}")), &limited(), now, now);
    }
    assert_eq!(health.marks().len(), MAX_MARKS);
    assert_eq!(health.cool_down(asked("a/0"), start), None);
    let last = format!("a/{}", 2 * MAX_MARKS - 1);
    assert!(health.cool_down(asked(&last), start).is_some());
}
