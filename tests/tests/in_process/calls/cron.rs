//! One call of every method about jobs.

use openclaw_proto::v1;
use openclaw_tests::Client;
use tonic::Status;

use super::About;
use crate::in_process::stage::{hooked, later};

pub(super) async fn call(
    client: &Client,
    name: &str,
    when: &str,
    tag: &str,
    about: &About,
) -> Result<(), Status> {
    let mut cron = client.cron();
    let job = match when {
        "job of others" => about.others_job.clone(),
        "job with a webhook or command" => about.hooked_job.clone(),
        _ => about.job.clone(),
    };
    match (name, when) {
        ("cron.list", "") => cron.list(v1::ListJobsRequest::default()).await.map(drop),
        ("cron.get", "") => cron.get(v1::GetJobRequest { job }).await.map(drop),
        ("cron.runs", "") => cron.runs(v1::ListOccurrencesRequest::default()).await.map(drop),
        ("cron.status", "") => cron.status(v1::CronStatusRequest {}).await.map(drop),
        ("cron.preview", "") => {
            let request =
                v1::PreviewRequest { schedule: later("x").schedule, ..Default::default() };
            cron.preview(request).await.map(drop)
        }
        ("cron.add", "own job" | "job of others" | "job with a webhook or command") => {
            let key = if when == "job of others" { job } else { String::new() };
            let spec = later(&format!("job {tag}"));
            let spec =
                Some(if when == "job with a webhook or command" { hooked(spec) } else { spec });
            let words = when.replace(' ', "-");
            let idempotency_key = format!("add-{tag}-{words}");
            let request = v1::AddJobRequest { idempotency_key, key, spec };
            cron.add(request).await.map(drop)
        }
        ("cron.update", "own job" | "job of others" | "job with a webhook or command") => {
            let spec = v1::JobSpec { name: Some(format!("job {tag}")), ..Default::default() };
            let request =
                v1::UpdateJobRequest { job, spec: Some(spec), ..v1::UpdateJobRequest::default() };
            cron.update(request).await.map(drop)
        }
        ("cron.apply", "") => {
            let key = format!("applied-{tag}");
            let jobs = vec![v1::GivenJob { spec: Some(later(&key)), key }];
            cron.apply(v1::ApplyJobsRequest { jobs, dry_run: false }).await.map(drop)
        }
        ("cron.run", "own job" | "job of others" | "job with a webhook or command") => {
            let request = v1::RunJobRequest { job, idempotency_key: format!("run-{tag}") };
            cron.run(request).await.map(drop)
        }
        ("cron.cancel", "own job" | "job of others" | "job with a webhook or command") => {
            cron.cancel(v1::CancelJobRequest { job }).await.map(drop)
        }
        ("cron.remove", "own job" | "job of others" | "job with a webhook or command") => {
            cron.remove(v1::RemoveJobRequest { job }).await.map(drop)
        }
        (name, when) => panic!("`{name}` on `{when}` is new: say here how it is called"),
    }
}
