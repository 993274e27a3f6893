//! `status`, `health` and `gateway fingerprint`: the daemon.

use std::time::Duration;

use openclaw_client::health::HealthCheckRequest;
use openclaw_client::health::health_check_response::ServingStatus;
use openclaw_client::v1::usage_request::By;
use openclaw_client::v1::{StatusRequest, StatusResponse, UsageRequest, UsageResponse};
use openclaw_client::{ConnectError, Origin};
use openclaw_proto::from_duration;
use serde::Serialize;
use tokio::time::Instant;

use crate::cli::{HealthArgs, UsageArgs, UsageByName};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::reach::Reached;
use crate::{block_on, json, length, offline, table};

/// How long the gateway has to answer: it does so in a millisecond when it is well.
const ANSWER: Duration = Duration::from_secs(2);
/// The pause between two questions for the gateway's health.
const POLL: Duration = Duration::from_millis(50);

pub(super) async fn status(place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let mut gateway = place.connect_for(&["status"]).await?.gateway();
    let status = gateway.status(StatusRequest {}).await?.into_inner();
    match output.format() {
        Format::Human => output.block(&facts(&status))?,
        Format::Json => output.message(&status)?,
    }
    Ok(Exit::Ok)
}

/// The fingerprint, as `gateway fingerprint --json` shows it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    fingerprint: &'a str,
}

/// Prints the fingerprint: the gateway knows it, or, when none runs here, the daemon's program.
pub(super) fn fingerprint(place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let asked = async {
        let mut gateway = place.connect_for(&["status"]).await?.gateway();
        Ok(gateway.status(StatusRequest {}).await?.into_inner())
    };
    let status = match block_on(asked) {
        Ok(status) => status,
        Err(Failure::Connect(ConnectError::NotRunning { .. }))
            if matches!(place.reached()?, Reached::Here(_)) =>
        {
            match offline::hand_over(place, ["fingerprint"], output)? {}
        }
        Err(failure) => return Err(failure),
    };
    let fingerprint = status.fingerprint.as_str();
    match output.format() {
        Format::Human if fingerprint.is_empty() => {
            let cause = "the gateway does not listen on the network, so it has no fingerprint";
            let next = "set [listen] tcp = \"HOST:PORT\" in openclaw.toml, and restart it";
            return Err(Failure::advised(Exit::Failed, cause, next));
        }
        Format::Human => output.line(fingerprint)?,
        Format::Json => output.document(&Shown { fingerprint })?,
    }
    Ok(Exit::Ok)
}

fn facts(status: &StatusResponse) -> String {
    let head = status.audit_head.clone().unwrap_or_default();
    let uptime = status.uptime.as_ref().and_then(from_duration);
    let phase = json::word(status.phase().as_str_name(), "PHASE_");
    let runs = format!(
        "{} running, {} queued, at most {} at once",
        status.running_runs, status.queued_runs, status.max_concurrent
    );
    table::facts(&[
        ("gateway", format!("{phase}, version {}, pid {}", status.version, status.pid)),
        ("uptime", uptime.map(length::show).unwrap_or_default()),
        ("state", status.state_dir.clone()),
        ("you are", status.principal.clone()),
        ("listens on", status.listen.clone()),
        ("fingerprint", status.fingerprint.clone()),
        ("model", status.model.clone()),
        ("runs", runs),
        ("sessions", status.sessions.to_string()),
        ("database", bytes(status.database_bytes)),
        ("audit head", format!("{}:{}", head.sequence, head.digest)),
    ])
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// The gateway's health, as `health --json` shows it.
#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
}

pub(super) async fn health(
    args: &HealthArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let deadline = Instant::now() + args.wait.unwrap_or_default();
    let answer = loop {
        let answer = within(ANSWER, ask(place)).await;
        let may_change = match &answer {
            Ok(status) => *status != ServingStatus::Serving,
            Err(Failure::Connect(error)) => matches!(
                error,
                ConnectError::Lost { .. }
                    | ConnectError::NotRunning { .. }
                    | ConnectError::Unreachable { .. }
                    | ConnectError::TimedOut { .. }
                    | ConnectError::Transport(_)
            ),
            Err(Failure::Call(error)) => error.origin() == Origin::Transport,
            Err(_) => false,
        };
        if !may_change || Instant::now() + POLL > deadline {
            break answer;
        }
        tokio::time::sleep(POLL).await;
    };
    let (word, exit) = match answer? {
        ServingStatus::Serving => ("serving", Exit::Ok),
        ServingStatus::NotServing => ("notServing", Exit::Retry),
        ServingStatus::ServiceUnknown | ServingStatus::Unknown => ("unknown", Exit::Retry),
    };
    match output.format() {
        Format::Human if word == "notServing" => output.line("not serving")?,
        Format::Human => output.line(word)?,
        Format::Json => output.document(&Health { status: word })?,
    }
    Ok(exit)
}

/// Ends a question that nobody answers: who takes connections and says nothing is not healthy.
async fn within(
    limit: Duration,
    ask: impl Future<Output = Result<ServingStatus, Failure>>,
) -> Result<ServingStatus, Failure> {
    // Where no answer is as good as a bad one: it may come yet, so it is worth another try.
    tokio::time::timeout(limit, ask).await.unwrap_or(Ok(ServingStatus::Unknown))
}

async fn ask(place: &Place) -> Result<ServingStatus, Failure> {
    let mut health = place.connect_for(&["health"]).await?.health();
    let answer = health.check(HealthCheckRequest { service: String::new() }).await?.into_inner();
    Ok(answer.status())
}

pub(super) async fn usage(
    args: &UsageArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let by = match args.by {
        UsageByName::Agent => By::Agent,
        UsageByName::Session => By::Session,
        UsageByName::Model => By::Model,
        UsageByName::Day => By::Day,
    };
    let since = args.since.map(|since| {
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let seconds = jiff::Timestamp::now().as_second().saturating_sub(seconds).max(0);
        prost_types::Timestamp { seconds, nanos: 0 }
    });
    let mut gateway = place.connect_for(&["usage"]).await?.gateway();
    let request = UsageRequest { by: by.into(), since };
    let used = gateway.usage(request).await?.into_inner();
    match output.format() {
        Format::Human if used.rows.is_empty() => output.note("nothing was used")?,
        Format::Human => output.block(&usage_rows(&used))?,
        Format::Json => output.message(&used)?,
    }
    Ok(Exit::Ok)
}

fn usage_rows(used: &UsageResponse) -> String {
    let rows = used.rows.iter().chain(&used.total).map(|row| {
        let name = if row.name.is_empty() { "unknown" } else { &row.name };
        vec![
            name.to_owned(),
            row.answers.to_string(),
            row.input_tokens.to_string(),
            row.cached_tokens.to_string(),
            row.output_tokens.to_string(),
            match row.cost.as_str() {
                "unknown" => "unknown".to_owned(),
                cost => format!("${cost}"),
            },
            length::show(row.worked.as_ref().and_then(from_duration).unwrap_or_default()),
        ]
    });
    table::columns(&["NAME", "ANSWERS", "INPUT", "CACHED", "OUTPUT", "COST", "WORKED"], rows)
}
