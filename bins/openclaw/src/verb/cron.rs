//! `cron`: jobs, and what became of their due instants.

mod change;
mod export;
mod given;
mod occur;
mod shown;

use openclaw_client::v1::{
    CronStatusRequest, GetJobRequest, Job, ListJobsRequest, PreviewRequest, PreviewResponse,
};
use openclaw_client::{Client, Code};

use self::change::Switch;
use self::given::Clocks;
use self::shown::Zone;
use super::{Step, confirmed, text};
use crate::cli::{CronVerb, PreviewArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{pages, table, wish};

pub(super) async fn run(
    verb: CronVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        CronVerb::Add(args) => Box::pin(change::add(*args, place, output)).await,
        CronVerb::Edit(args) => Box::pin(change::edit(*args, place, output)).await,
        CronVerb::Enable { job } => Box::pin(change::switch(job, Switch::On, place, output)).await,
        CronVerb::Disable { job } => {
            Box::pin(change::switch(job, Switch::Off, place, output)).await
        }
        CronVerb::Rm { job, removal } => {
            Box::pin(change::remove(job, &removal, place, output)).await
        }
        CronVerb::Run { job, wait, wait_timeout } => {
            let limit = wait.then_some(wait_timeout);
            Box::pin(occur::run(job, limit, place, output)).await
        }
        CronVerb::Runs { job, outcome, rows } => {
            Box::pin(occur::list(text(job), outcome, &rows, place, output)).await
        }
        CronVerb::Cancel { job } => Box::pin(occur::cancel(job, place, output)).await,
        CronVerb::Export { jobs } => Box::pin(export::run(jobs, place, output)).await,
        CronVerb::List { all, agent, search, rows } => {
            let request = ListJobsRequest {
                agent_id: text(agent),
                search: text(search),
                all,
                ..ListJobsRequest::default()
            };
            let mut cron = place.connect_for(&["cron.list"]).await?.cron();
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListJobsRequest { page_size, page_token, ..request.clone() };
                Ok(cron.list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.jobs.is_empty() => output.note("no jobs")?,
                Format::Human => output.block(&shown::jobs(&list.jobs))?,
                Format::Json => output.message(&list)?,
            }
            Ok(Exit::Ok)
        }
        CronVerb::Show { job } => {
            let client = place.connect_for(&["cron.get"]).await?;
            show(&client.cron().get(GetJobRequest { job }).await?.into_inner(), output)
        }
        CronVerb::Preview(args) => preview(*args, place, output).await,
        CronVerb::Status => {
            let client = place.connect_for(&["cron.status"]).await?;
            let status = client.cron().status(CronStatusRequest {}).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&shown::status(&status))?,
                Format::Json => output.message(&status)?,
            }
            Ok(Exit::Ok)
        }
    }
}

fn show(job: &Job, output: &mut Output) -> Result<Exit, Failure> {
    match output.format() {
        Format::Human => output.block(&shown::facts(job))?,
        Format::Json => output.message(job)?,
    }
    Ok(Exit::Ok)
}

async fn preview(args: PreviewArgs, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let PreviewArgs { job, when, count } = args;
    let zone = if job.is_some() || when.tz.is_some() { Zone::Named } else { Zone::Unnamed };
    let timed = given::timed(&when, None, jiff::Timestamp::now())?;
    let request = PreviewRequest { job: text(job), schedule: timed.schedule, count };
    let client = place.connect_for(&["cron.preview"]).await?;
    let preview = client.cron().preview(request).await?.into_inner();
    match output.format() {
        Format::Human => told(&preview, timed.clocks.as_ref(), zone, output)?,
        Format::Json => output.message(&preview)?,
    }
    Ok(Exit::Ok)
}

/// Tells what a schedule was understood as, and when it is due.
fn told(
    preview: &PreviewResponse,
    read_by: Option<&Clocks>,
    zone: Zone,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(schedule) = &preview.schedule {
        output.block(&table::facts(&shown::understood(schedule, read_by, zone)))?;
    }
    if preview.instants.is_empty() {
        output.note("it is never due again")?;
        return Ok(());
    }
    Ok(output.block(&shown::instants(&preview.instants))?)
}

/// Connects to do something with a job: as its owner if this device is, else as an administrator.
async fn connect_to_change(method: &str, job: &str, place: &Place) -> Result<Client, Failure> {
    let client = place.connect_for(&["cron.get"]).await?;
    if client.admission().is_none() {
        return Ok(client);
    }
    let job = client.cron().get(GetJobRequest { job: job.to_owned() }).await?.into_inner();
    place.connect(wish::when(method, whose(&client, &job))).await
}

/// Connects to add a job: as an administrator only if the one that has its key is somebody else's.
async fn connect_to_add(key: Option<&str>, place: &Place) -> Result<Client, Failure> {
    let client = place.connect(wish::when("cron.add", "own job")).await?;
    let Some(key) = key.filter(|_| client.admission().is_some()) else { return Ok(client) };
    let when = match client.cron().get(GetJobRequest { job: key.to_owned() }).await {
        Ok(job) if job.get_ref().key == key => whose(&client, job.get_ref()),
        // It is called so, and has another key or none.
        Ok(_) => "own job",
        Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
            "own job"
        }
        Err(status) => return Err(status.into()),
    };
    if when == "own job" {
        return Ok(client);
    }
    place.connect(wish::when("cron.add", when)).await
}

/// Returns whose a job is, as the policy calls it.
fn whose(client: &Client, job: &Job) -> &'static str {
    let device = client.admission().map(|admission| format!("device:{}", admission.device));
    if device.as_ref() == Some(&job.owner) { "own job" } else { "job of others" }
}
