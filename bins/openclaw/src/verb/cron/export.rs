//! Jobs as TOML, for people to read and to keep: the keys are named as the flags that add a job.

use openclaw_client::v1::job_delivery::Where;
use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::schedule::When;
use openclaw_client::v1::{GetJobRequest, Job, JobDelivery, ListJobsRequest, ListJobsResponse};
use serde::Serialize;

use super::shown;
use crate::cli::ListRows;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::pages;
use crate::place::Place;

pub(super) async fn run(
    named: Vec<String>,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let list = if named.is_empty() {
        let mut cron = place.connect_for(&["cron.list"]).await?.cron();
        let rows = ListRows { limit: u32::MAX, page_token: String::new() };
        let list = pages::collect(&rows, async |page_size, page_token| {
            let request =
                ListJobsRequest { page_size, page_token, all: true, ..ListJobsRequest::default() };
            Ok(cron.list(request).await?.into_inner())
        });
        list.await?
    } else {
        let client = place.connect_for(&["cron.get"]).await?;
        let mut jobs = Vec::with_capacity(named.len());
        for job in named {
            let found = client.cron().get(GetJobRequest { job }).await?.into_inner();
            // As in a list, which does not look for it.
            jobs.push(Job { last: None, ..found });
        }
        ListJobsResponse { jobs, next_page_token: String::new() }
    };
    // Heartbeats are what the configuration says: there is nothing to give again.
    let is_kept = |job: &Job| {
        let what = job.payload.as_ref().and_then(|payload| payload.what.as_ref());
        matches!(what, Some(What::Heartbeat(_)))
    };
    let list = ListJobsResponse {
        jobs: list.jobs.into_iter().filter(|job| !is_kept(job)).collect(),
        ..list
    };
    match output.format() {
        Format::Human if list.jobs.is_empty() => output.note("no jobs")?,
        Format::Human => output.block(&written(&list.jobs)?)?,
        Format::Json => output.message(&list)?,
    }
    Ok(Exit::Ok)
}

/// Returns jobs as TOML.
pub(super) fn written(jobs: &[Job]) -> Result<String, Failure> {
    let file = File { job: jobs.iter().map(Table::from).collect() };
    toml::to_string_pretty(&file).map_err(|error| {
        Failure::told(Exit::Failed, format!("the jobs cannot be written as TOML: {error}"))
    })
}

#[derive(Debug, Serialize)]
struct File<'a> {
    job: Vec<Table<'a>>,
}

/// A job. What it does not say is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    name: &'a str,
    enabled: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    disabled_reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    problem: &'a str,
    owner: &'a str,
    agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    session: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_payload: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a [String]>,
    #[serde(skip_serializing_if = "String::is_empty")]
    timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<u64>,
    delete_after_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Schedule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Schedule<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tz: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    anchor: String,
    /// How far it is moved, which is not the most that it may be.
    #[serde(skip_serializing_if = "String::is_empty")]
    moved_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    active: String,
    /// The zone of these hours, where it is not `tz`.
    #[serde(skip_serializing_if = "str::is_empty")]
    active_zone: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    catch_up: &'a str,
}

/// Where what a job says goes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    announce: Option<bool>,
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    to: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thread: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_deliver: Option<bool>,
    #[serde(skip_serializing_if = "str::is_empty")]
    webhook: &'a str,
}

impl<'a> From<&'a Job> for Table<'a> {
    fn from(job: &'a Job) -> Self {
        let what = job.payload.as_ref().and_then(|payload| payload.what.as_ref());
        let (mut message, mut system_event, mut command, mut body) = (None, None, None, None);
        match what {
            Some(What::AgentTurn(text)) => message = Some(text.as_str()),
            Some(What::Command(does)) => command = Some(does.argv.as_slice()),
            Some(What::SystemEvent(text)) => system_event = Some(text.as_str()),
            Some(What::Webhook(text)) => body = Some(text.as_str()),
            // What the configuration keeps is not exported.
            Some(What::Heartbeat(_)) | None => {}
        }
        let tools = job.tools.as_ref().filter(|tools| !tools.all);
        Self {
            id: &job.id,
            key: &job.key,
            name: &job.name,
            enabled: job.enabled,
            disabled_reason: &job.disabled_reason,
            problem: &job.problem,
            owner: &job.owner,
            agent: &job.agent_id,
            session: &job.session,
            message,
            system_event,
            command,
            webhook_payload: body,
            model: &job.model,
            tools: tools.map(|tools| tools.names.as_slice()),
            timeout: exactly(job.timeout.as_ref()),
            budget: Some(job.budget).filter(|tokens| *tokens > 0),
            delete_after_run: job.delete_after_run,
            schedule: job.schedule.as_ref().map(Schedule::from),
            delivery: job.delivery.as_ref().and_then(delivery),
        }
    }
}

fn delivery(delivery: &JobDelivery) -> Option<Delivery<'_>> {
    Some(match delivery.r#where.as_ref()? {
        Where::None(_) => Delivery { no_deliver: Some(true), ..Delivery::default() },
        Where::Announce(to) => Delivery {
            announce: Some(true),
            channel: &to.channel,
            to: &to.to,
            thread: &to.thread_id,
            account: &to.account_id,
            ..Delivery::default()
        },
        Where::Webhook(url) => Delivery { webhook: url, ..Delivery::default() },
    })
}

impl<'a> From<&'a openclaw_client::v1::Schedule> for Schedule<'a> {
    fn from(schedule: &'a openclaw_client::v1::Schedule) -> Self {
        let (at, every, cron) = match &schedule.when {
            Some(When::At(at)) => (Some(instant(Some(at))), None, None),
            Some(When::Every(every)) => (None, Some(exactly(Some(every))), None),
            Some(When::Cron(expression)) => (None, None, Some(expression.as_str())),
            None => (None, None, None),
        };
        Self {
            at,
            every,
            cron,
            tz: &schedule.time_zone,
            anchor: instant(schedule.anchor.as_ref()),
            moved_by: exactly(schedule.stagger.as_ref()),
            active: shown::hours(schedule),
            active_zone: match schedule.active_zone.as_str() {
                zone if zone == schedule.time_zone => "",
                zone => zone,
            },
            catch_up: &schedule.catch_up,
        }
    }
}

/// Returns an instant in UTC, to the last digit; empty for none, and for one that no calendar has.
fn instant(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// Returns a length of time to the millisecond, as it is read; empty for none.
fn exactly(length: Option<&prost_types::Duration>) -> String {
    let Some(length) = length.and_then(openclaw_proto::from_duration) else {
        return String::new();
    };
    let total = length.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    let parts =
        [(hours, "h"), (minutes, "m"), (seconds, "s"), (u64::from(length.subsec_millis()), "ms")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let text: String = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
