//! `cron`: jobs, and what became of their due instants.

mod apply;
mod change;
mod deliver;
mod export;
mod file;
mod given;
mod occur;
mod shown;

use std::fmt::Display;

use openclaw_client::v1::{
    CronStatusRequest, GetJobRequest, Job, JobDelivery, ListJobsRequest, PreviewRequest,
    PreviewResponse,
};
use openclaw_client::{Client, Code};
use openclaw_scopes::target::Reach;

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
        CronVerb::Apply { file, dry_run } => {
            let how = if dry_run { apply::How::Tried } else { apply::How::Done };
            Box::pin(apply::run(&file, how, place, output)).await
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
        Format::Human => told(&preview, timed.clocks.as_ref(), zone, None, output)?,
        Format::Json => output.message(&preview)?,
    }
    Ok(Exit::Ok)
}

/// Tells what a schedule was understood as, where goes what is said then, and when it is due.
fn told(
    preview: &PreviewResponse,
    read_by: Option<&Clocks>,
    zone: Zone,
    delivery: Option<&JobDelivery>,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(schedule) = &preview.schedule {
        let mut facts = shown::understood(schedule, read_by, zone);
        facts.push(("delivers", deliver::words(delivery)));
        output.block(&table::facts(&facts))?;
    }
    if preview.instants.is_empty() {
        output.note("it is never due again")?;
        return Ok(());
    }
    Ok(output.block(&shown::instants(&preview.instants))?)
}

/// Connects to do something with a job that reaches as far as `wanted`, or as far as it does: as its owner if this
/// device is, else as an administrator.
async fn connect_to_change(
    method: &str,
    job: &str,
    wanted: Reach,
    place: &Place,
) -> Result<Client, Failure> {
    let client = place.connect_for(&["cron.get"]).await?;
    let Some(admission) = client.admission() else { return Ok(client) };
    let job = client.cron().get(GetJobRequest { job: job.to_owned() }).await?.into_inner();
    place.connect(wish::when(method, what_to(&admission.device, &job, wanted))).await
}

/// Connects to add a job: as an administrator only if it reaches programs, or the one that has its key is somebody
/// else's or does.
async fn connect_to_add(
    key: Option<&str>,
    wanted: Reach,
    place: &Place,
) -> Result<Client, Failure> {
    let own = of_own(wanted);
    let client = place.connect(wish::when("cron.add", own)).await?;
    let Some(admission) = client.admission() else { return Ok(client) };
    let Some(key) = key else { return Ok(client) };
    let when = match client.cron().get(GetJobRequest { job: key.to_owned() }).await {
        Ok(job) if job.get_ref().key == key => what_to(&admission.device, job.get_ref(), wanted),
        // It is called so, and has another key or none.
        Ok(_) => own,
        Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => own,
        Err(status) => return Err(status.into()),
    };
    if when == own {
        return Ok(client);
    }
    place.connect(wish::when("cron.add", when)).await
}

/// Returns what a job is to a device, as the policy calls it.
fn what_to(device: &impl Display, job: &Job, wanted: Reach) -> &'static str {
    if job.owner == format!("device:{device}") {
        of_own(wanted.max(deliver::reach(job)))
    } else {
        "job of others"
    }
}

const fn of_own(reach: Reach) -> &'static str {
    match reach {
        Reach::Agents => "own job",
        Reach::Programs => "job with a webhook or command",
    }
}

#[cfg(test)]
mod tests {
    use openclaw_client::v1::job_delivery::Where;

    use super::*;

    #[test]
    #[rustfmt::skip]
    fn what_jobs_are() {
        let webhook = || Some(JobDelivery { r#where: Some(Where::Webhook("https://x".into())) });
        let nowhere = || Some(JobDelivery { r#where: Some(Where::None(true)) });
        for (owner, delivery, problem, wanted, expected) in [
            ("device:d", None,      "",     Reach::Agents,   "own job"),
            ("device:d", nowhere(), "",     Reach::Agents,   "own job"),
            ("device:d", None,      "",     Reach::Programs, "job with a webhook or command"),
            ("device:d", webhook(), "",     Reach::Agents,   "job with a webhook or command"),
            ("device:d", None,      "torn", Reach::Agents,   "job with a webhook or command"),
            ("device:e", webhook(), "",     Reach::Programs, "job of others"),
            ("owner",    None,      "",     Reach::Agents,   "job of others"),
        ] {
            let job = Job { owner: owner.into(), delivery, problem: problem.into(), ..Job::default() };
            assert_eq!(what_to(&"d", &job, wanted), expected);
        }
    }
}
