//! What changes jobs: adding them, editing them, switching them on and off, and removing them.

use openclaw_client::fresh_key;
use openclaw_client::v1::{
    AddJobRequest, GetJobRequest, Job, JobSpec, PreviewRequest, RemoveJobRequest, ToolList,
    UpdateJobRequest,
};
use openclaw_scopes::target::Reach;

use super::given::{self, Clocks, Timed};
use super::shown::{self, Zone};
use super::{Step, confirmed, connect_to_add, connect_to_change, deliver, show, text, told};
use crate::cli::{AddArgs, EditArgs, Removal};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;

pub(super) async fn add(
    args: AddArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let AddArgs { name, when, job, deliver, delete_after_run, disabled, key } = args;
    let wanted = deliver::wanted(&deliver).max(given::reach(&job));
    let zone = if when.tz.is_some() { Zone::Named } else { Zone::Unnamed };
    let Timed { schedule, clocks } =
        given::timed(&when, job.catch_up.as_deref(), jiff::Timestamp::now())?;
    let spec = JobSpec {
        name: Some(name),
        delete_after_run: Some(delete_after_run),
        enabled: Some(!disabled),
        delivery: deliver::given(deliver),
        ..given::spec(job, schedule).await?
    };
    let client = connect_to_add(key.as_deref(), wanted, place).await?;
    let idempotency_key = fresh_key()?.to_string();
    let request = AddJobRequest { idempotency_key, key: text(key), spec: Some(spec) };
    let added = client.cron().add(request).await?.into_inner();
    if output.format() == Format::Json {
        output.message(&added)?;
        return Ok(Exit::Ok);
    }
    let job = added.job.unwrap_or_default();
    output.line(&format!(
        "{} {} ({})",
        if added.created { "added" } else { "changed" },
        job.name,
        job.id
    ))?;
    expected(&client, &job, clocks.as_ref(), zone, output).await?;
    Ok(Exit::Ok)
}

pub(super) async fn edit(
    args: EditArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let EditArgs {
        named,
        name,
        when,
        job,
        deliver,
        all_tools,
        delete_after_run,
        enable,
        disable,
        expected_revision,
    } = args;
    let wanted = deliver::wanted(&deliver).max(given::reach(&job));
    let Timed { schedule, clocks } =
        given::timed(&when, job.catch_up.as_deref(), jiff::Timestamp::now())?;
    let mut spec = JobSpec {
        name,
        delete_after_run,
        enabled: (enable || disable).then_some(enable),
        delivery: deliver::given(deliver),
        ..given::spec(job, schedule).await?
    };
    if all_tools {
        spec.tools = Some(ToolList { all: true, names: Vec::new() });
    }
    if spec == JobSpec::default() {
        let next = "openclaw cron edit --help";
        return Err(Failure::advised(Exit::Usage, "nothing was said that would change", next));
    }
    let client = connect_to_change("cron.update", &named, wanted, place).await?;
    let request = UpdateJobRequest {
        job: named,
        spec: Some(spec),
        expected_revision: expected_revision.unwrap_or_default(),
    };
    let job = client.cron().update(request).await?.into_inner();
    if output.format() == Format::Json {
        output.message(&job)?;
        return Ok(Exit::Ok);
    }
    output.line(&format!("changed {} ({}), revision {}", job.name, job.id, job.revision))?;
    expected(&client, &job, clocks.as_ref(), Zone::Named, output).await?;
    Ok(Exit::Ok)
}

/// Tells what a job's schedule was understood as, and when it will be due.
async fn expected(
    client: &openclaw_client::Client,
    job: &Job,
    clocks: Option<&Clocks>,
    zone: Zone,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = PreviewRequest { job: job.id.clone(), ..PreviewRequest::default() };
    match client.cron().preview(request).await {
        Ok(preview) => told(&preview.into_inner(), clocks, zone, job.delivery.as_ref(), output)?,
        // The job is there all the same.
        Err(status) => {
            let why = status.message();
            output.note(&format!("when it will be due could not be told: {why}"))?;
        }
    }
    if !job.enabled {
        output.note("it is disabled: it is not due until it is enabled")?;
    }
    Ok(())
}

/// Whether a job is due at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Switch {
    Off,
    On,
}

/// Switches a job on or off.
pub(super) async fn switch(
    job: String,
    switch: Switch,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = connect_to_change("cron.update", &job, Reach::Agents, place).await?;
    let spec = Some(JobSpec { enabled: Some(switch == Switch::On), ..JobSpec::default() });
    let request = UpdateJobRequest { job, spec, ..UpdateJobRequest::default() };
    let job = client.cron().update(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            let next = match shown::utc(job.next_at.as_ref()) {
                at if at.is_empty() => at,
                at => format!(", due next at {at}"),
            };
            output.line(&format!("{} ({}) is {}{next}", job.name, job.id, shown::state(&job)))?;
        }
        Format::Json => output.message(&job)?,
    }
    Ok(Exit::Ok)
}

pub(super) async fn remove(
    job: String,
    removal: &Removal,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let command = place.command(&format!("cron rm {job}"));
    if confirmed(removal, &format!("job `{job}`"), &command)? == Step::Show {
        let client = place.connect_for(&["cron.get"]).await?;
        return show(&client.cron().get(GetJobRequest { job }).await?.into_inner(), output);
    }
    let client = connect_to_change("cron.remove", &job, Reach::Agents, place).await?;
    let removed = client.cron().remove(RemoveJobRequest { job }).await?.into_inner();
    match output.format() {
        Format::Human => output.line(&format!("removed {} ({})", removed.name, removed.id))?,
        Format::Json => output.message(&removed)?,
    }
    Ok(Exit::Ok)
}
