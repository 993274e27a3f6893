//! Jobs and due instants as people read them.

use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::preview_response::Instant;
use openclaw_client::v1::schedule::When;
use openclaw_client::v1::{CronStatusResponse, Job, Occurrence, Schedule};
use openclaw_proto::from_duration;
use openclaw_scopes::command_words;

use super::deliver;
use super::given::{Clocks, machine};
use crate::{json, length, screen, table};

/// Returns an instant in UTC, to the second; empty for none, and for one that no calendar has.
pub(super) fn utc(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Returns a length of time; empty for none.
pub(super) fn lasting(length: Option<&prost_types::Duration>) -> String {
    length.and_then(from_duration).map(length::show).unwrap_or_default()
}

/// Returns when a job is due, in a few words.
pub(super) fn words(schedule: Option<&Schedule>) -> String {
    let Some(schedule) = schedule else { return String::new() };
    match &schedule.when {
        None => String::new(),
        Some(When::At(at)) => format!("at {}", utc(Some(at))),
        Some(When::Every(every)) => format!("every {}", lasting(Some(every))),
        Some(When::Cron(expression)) => {
            format!("{expression} {}", schedule.time_zone).trim_end().to_owned()
        }
    }
}

/// Returns the hours in which a job is due; empty for all.
pub(super) fn hours(schedule: &Schedule) -> String {
    match (schedule.active_from.as_str(), schedule.active_until.as_str()) {
        ("", "") => String::new(),
        (from, until) => format!("{from}-{until}"),
    }
}

/// Returns the same, with the zone of their clocks where that is not the one of the schedule.
fn zoned_hours(schedule: &Schedule) -> String {
    match (hours(schedule), schedule.active_zone.as_str()) {
        (hours, zone) if hours.is_empty() || zone.is_empty() || zone == schedule.time_zone => hours,
        (hours, zone) => format!("{hours} {zone}"),
    }
}

/// Whether a zone was named when the schedule was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Zone {
    Unnamed,
    Named,
}

/// Returns by whose clocks a schedule goes.
pub(super) fn clocks(schedule: &Schedule, read_by: Option<&Clocks>, zone: Zone) -> String {
    match (&schedule.when, read_by) {
        (Some(When::Cron(_)), _) => {
            let name = &schedule.time_zone;
            match zone {
                Zone::Named => name.clone(),
                Zone::Unnamed if machine().as_ref() == Some(name) => {
                    format!("{name} (this machine's zone)")
                }
                Zone::Unnamed => format!("{name} (the gateway's zone)"),
            }
        }
        (_, Some(Clocks::Named(name))) => name.clone(),
        (_, Some(Clocks::OfMachine(name))) => {
            format!("{name} (this machine's zone)").trim_start().to_owned()
        }
        (_, None) => String::new(),
    }
}

/// Returns what a schedule was understood as.
pub(super) fn understood(
    schedule: &Schedule,
    read_by: Option<&Clocks>,
    zone: Zone,
) -> Vec<(&'static str, String)> {
    let expression = match &schedule.when {
        Some(When::Cron(expression)) => expression.clone(),
        _ => words(Some(schedule)),
    };
    vec![
        ("schedule", expression),
        ("zone", clocks(schedule, read_by, zone)),
        ("counted from", utc(schedule.anchor.as_ref())),
        ("moved by", lasting(schedule.stagger.as_ref())),
        ("hours", zoned_hours(schedule)),
        ("catch-up", schedule.catch_up.clone()),
        ("clocks", schedule.dst_policy.clone()),
    ]
}

/// Returns the next instants, by the clocks of the schedule and in UTC.
pub(super) fn instants(instants: &[Instant]) -> String {
    let rows = instants.iter().map(|it| vec![it.local.clone(), utc(it.at.as_ref())]);
    table::columns(&["NEXT", "UTC"], rows)
}

/// Returns whether a job is due at all, and if not, why.
pub(super) fn state(job: &Job) -> String {
    let failed = match job.consecutive_failures {
        0 => String::new(),
        1 => ", failed once".to_owned(),
        count => format!(", failed {count} times in a row"),
    };
    match (job.enabled, job.disabled_reason.as_str()) {
        (true, _) => format!("enabled{failed}"),
        (false, "") => "disabled".to_owned(),
        (false, reason) => format!("disabled: {reason}"),
    }
}

/// Returns the rows of a list of jobs.
pub(super) fn jobs(jobs: &[Job]) -> String {
    let now = jiff::Timestamp::now();
    let rows = jobs.iter().map(|job| {
        vec![
            screen::shortened(&job.name, 40),
            job.id.clone(),
            screen::shortened(&words(job.schedule.as_ref()), 60),
            table::ago(job.next_at.as_ref(), now),
            state(job),
            job.owner.clone(),
        ]
    });
    table::columns(&["NAME", "ID", "SCHEDULE", "NEXT", "STATE", "OWNER"], rows)
}

/// Returns all about a job.
pub(super) fn facts(job: &Job) -> String {
    let now = jiff::Timestamp::now();
    let does = match job.payload.as_ref().and_then(|payload| payload.what.as_ref()) {
        Some(What::AgentTurn(text) | What::Heartbeat(text)) => ("asks", text.clone()),
        Some(What::Command(command)) => ("runs", command_words(&command.argv)),
        Some(What::SystemEvent(text)) => ("tells", text.clone()),
        Some(What::Webhook(body)) => ("posts", body.clone()),
        None => ("asks", String::new()),
    };
    let next = match (job.next_local.as_str(), utc(job.next_at.as_ref())) {
        (_, at) if at.is_empty() => at,
        ("", at) => at,
        (local, at) => format!("{local}, {at}"),
    };
    let mut facts = vec![
        ("name", job.name.clone()),
        ("id", job.id.clone()),
        ("key", job.key.clone()),
        ("state", state(job)),
        ("problem", job.problem.clone()),
        ("next", next),
        ("held back until", utc(job.held_back_until.as_ref())),
    ];
    if let Some(schedule) = &job.schedule {
        facts.extend(understood(schedule, None, Zone::Named));
    }
    let budget = if job.budget == 0 { String::new() } else { format!("{} tokens", job.budget) };
    facts.extend([
        (does.0, screen::shortened(&does.1, 200)),
        ("agent", job.agent_id.clone()),
        ("session", job.session.clone()),
        ("model", job.model.clone()),
        ("tools", tools(job)),
        ("timeout", lasting(job.timeout.as_ref())),
        ("budget", budget),
        ("delivers", deliver::words(job.delivery.as_ref())),
        ("then", if job.delete_after_run { "removed".to_owned() } else { String::new() }),
        ("owner", job.owner.clone()),
        ("scopes", job.scopes.join(" ")),
        ("added in", job.created_in.clone()),
        ("added", table::ago(job.created_at.as_ref(), now)),
        ("changed", table::ago(job.updated_at.as_ref(), now)),
        ("revision", job.revision.to_string()),
    ]);
    if let Some(last) = &job.last {
        facts.extend([
            ("last due", due(last)),
            ("it was", became(last)),
            ("in run", last.run_id.clone()),
            ("said", screen::shortened(&last.text, 200)),
            ("delivery", delivered(last)),
        ]);
    }
    table::facts(&facts)
}

fn tools(job: &Job) -> String {
    match &job.tools {
        Some(tools) if !tools.all && tools.names.is_empty() => "none".to_owned(),
        Some(tools) if !tools.all => tools.names.join(" "),
        Some(_) | None => String::new(),
    }
}

/// Returns what became of a due instant, as a word.
pub(super) fn outcome(occurrence: &Occurrence) -> String {
    json::word(occurrence.outcome().as_str_name(), "OUTCOME_")
}

fn became(occurrence: &Occurrence) -> String {
    let word = outcome(occurrence);
    if occurrence.reason.is_empty() { word } else { format!("{word}: {}", occurrence.reason) }
}

/// Returns what has become of what was to leave of a due instant, and by which id it is found.
fn delivered(occurrence: &Occurrence) -> String {
    let Occurrence { delivery_id: id, delivery_state: state, .. } = occurrence;
    if id.is_empty() { state.clone() } else { format!("{state} ({id})") }
}

/// Returns when something was due; of a row of instants, how many there are and the last of them.
fn due(occurrence: &Occurrence) -> String {
    let first = utc(occurrence.scheduled_at.as_ref());
    if occurrence.count <= 1 {
        return first;
    }
    format!("{first} x{} until {}", occurrence.count, utc(occurrence.scheduled_until.as_ref()))
}

/// Whether the rows of a list are of one job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Of {
    All,
    One,
}

/// Returns the rows of a list of due instants.
pub(super) fn occurrences(occurrences: &[Occurrence], of: Of) -> String {
    let now = jiff::Timestamp::now();
    let job = match of {
        Of::All => Some("JOB"),
        Of::One => None,
    };
    let header: Vec<&str> = job
        .into_iter()
        .chain(["SCHEDULED", "OUTCOME", "REASON", "STARTED", "TOOK", "RUN", "DELIVERY", "TEXT"])
        .collect();
    let rows = occurrences.iter().map(|it| {
        let mut row = job.map_or_else(Vec::new, |_| vec![it.job_id.clone()]);
        row.extend([
            due(it),
            outcome(it),
            it.reason.clone(),
            table::ago(it.started_at.as_ref(), now),
            took(it),
            it.run_id.clone(),
            it.delivery_state.clone(),
            screen::shortened(&it.text, 50),
        ]);
        row
    });
    table::columns(&header, rows)
}

fn took(occurrence: &Occurrence) -> String {
    let (Some(began), Some(ended)) = (&occurrence.started_at, &occurrence.ended_at) else {
        return String::new();
    };
    let (began, ended) =
        (openclaw_proto::from_timestamp(began), openclaw_proto::from_timestamp(ended));
    length::show(ended.since(began))
}

/// Returns how the scheduler is doing.
pub(super) fn status(status: &CronStatusResponse) -> String {
    let now = jiff::Timestamp::now();
    let next = match utc(status.next_at.as_ref()) {
        at if at.is_empty() => at,
        at => format!("{}, {at}", table::ago(status.next_at.as_ref(), now)),
    };
    let runs = if status.enabled {
        "yes"
    } else {
        "no: `cron.enabled` is false, or OPENCLAW_SKIP_CRON is set"
    };
    table::facts(&[
        ("jobs run", runs.to_owned()),
        ("jobs", status.jobs.to_string()),
        ("due at all", status.enabled_jobs.to_string()),
        ("disabled by the scheduler", status.suspended_jobs.to_string()),
        ("at work", status.running.to_string()),
        ("waiting", status.waiting.to_string()),
        ("next", next),
        ("behind", lasting(status.behind.as_ref())),
    ])
}

#[cfg(test)]
mod tests;
