//! Jobs: single rules as tables, workers that look at the same page at once, and a clock that does what it likes
//! against laws that always hold.

mod acts;
mod applied;
mod begun;
mod clockwork;
mod commands;
mod contention;
mod edits;
mod ends;
mod events;
mod failures;
mod laws;
mod named;
mod owners;
mod requests;
mod rewound;
mod simulation;
mod sweep;
mod unreadable;
mod walk;
mod whims;

use std::time::Duration;

use openclaw_scheduler::{ActiveHours, CatchUp, Rules, Schedule, Zone};
use openclaw_scopes::{AgentId, IdempotencyKey, JobId, Timestamp};

use crate::{AddJob, AfterRun, JobDelivery, JobPlace, JobRef, JobSpec, JobTools, Payload, Switch};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The first moment of 2026, which is a Thursday.
const START: i64 = 1_767_225_600_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn millis(length: i64) -> Duration {
    Duration::from_millis(u64::try_from(length).unwrap())
}

fn rules(schedule: Schedule) -> Rules {
    Rules { schedule, stagger: Duration::ZERO, active: None, catch_up: CatchUp::default() }
}

/// Due once, so long after the start.
fn once(after: i64) -> Rules {
    rules(Schedule::at(at(after)))
}

/// Due so often, from the start on.
fn every(length: i64) -> Rules {
    rules(Schedule::every(millis(length), at(0)).unwrap())
}

/// Due at the times of an expression, by the clocks of a place.
fn cron(expression: &str, zone: &str) -> Rules {
    rules(Schedule::cron(expression, Zone::parse(zone).unwrap()).unwrap())
}

fn within(from: &str, until: &str, zone: &str, of: Rules) -> Rules {
    let hours = ActiveHours::parse(from, until, Zone::parse(zone).unwrap()).unwrap();
    Rules { active: Some(hours), ..of }
}

/// An agent's turn in a conversation of its own.
fn spec(name: &str, rules: Rules) -> JobSpec {
    JobSpec {
        name: name.into(),
        agent: AgentId::parse("main").unwrap(),
        rules,
        payload: Payload::AgentTurn { message: format!("Do {name}.") },
        place: JobPlace::Isolated,
        model: String::new(),
        tools: JobTools::All,
        timeout: Duration::ZERO,
        max_tokens: 0,
        after_run: AfterRun::Keep,
        delivery: JobDelivery::default(),
    }
}

/// Adds a job whose id is its name.
fn add(spec: JobSpec) -> AddJob {
    AddJob {
        idempotency_key: IdempotencyKey::parse(&format!("add-{}", spec.name)).unwrap(),
        request_digest: [7; 32],
        id: JobId::parse(&spec.name).unwrap(),
        key: String::new(),
        spec,
        switch: Switch::On,
        created_in: None,
        reply_to: String::new(),
    }
}

fn of(job: &str) -> JobRef {
    JobRef(job.into())
}

/// Why something was refused.
#[track_caller]
fn refusal<E: std::fmt::Debug>(error: crate::ActError<E>) -> openclaw_scopes::Denial {
    match error {
        crate::ActError::Denied(denial) => denial,
        other => panic!("{other:?}"),
    }
}
