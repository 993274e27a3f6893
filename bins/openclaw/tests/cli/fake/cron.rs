//! Jobs of the gateway of this test: they are what was said of them, and nothing is kept.

use openclaw_client::v1::cron_server::Cron;
use openclaw_client::v1::job_delivery::Where;
use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::occurrence::Outcome;
use openclaw_client::v1::preview_response::Instant;
use openclaw_client::v1::schedule::When;
use openclaw_client::v1::{
    AddJobRequest, AddJobResponse, AppliedJob, ApplyJobsRequest, ApplyJobsResponse,
    CancelJobRequest, CronStatusRequest, CronStatusResponse, GetJobRequest, GivenJob, Job,
    JobAnnounce, JobDelivery, JobPayload, JobSpec, ListJobsRequest, ListJobsResponse,
    ListOccurrencesRequest, ListOccurrencesResponse, Occurrence, PreviewRequest, PreviewResponse,
    RemoveJobRequest, RunJobRequest, Schedule, UpdateJobRequest,
};
use tonic::{Request, Response, Status};

use super::Fake;

/// 2026-12-01T09:00:00Z.
const DUE: i64 = 1_796_115_600;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// Fills in what a gateway fills in.
fn understood(mut schedule: Schedule) -> Schedule {
    if let Some(When::Cron(_)) = schedule.when {
        if schedule.time_zone.is_empty() {
            schedule.time_zone = "Pacific/Chatham".into();
        }
        schedule.dst_policy = "a skipped time is made up for".into();
    }
    if schedule.catch_up.is_empty() {
        schedule.catch_up = "last".into();
    }
    schedule
}

fn job(name: &str, spec: JobSpec) -> Job {
    Job {
        id: format!("job-{name}"),
        name: spec.name.unwrap_or_else(|| name.to_owned()),
        agent_id: spec.agent_id.unwrap_or_else(|| "main".into()),
        owner: "owner".into(),
        revision: 3,
        enabled: spec.enabled.unwrap_or(true),
        disabled_reason: if spec.enabled == Some(false) { "by-request" } else { "" }.into(),
        schedule: spec.schedule.map(understood),
        payload: spec.payload,
        session: spec.session.unwrap_or_default(),
        model: spec.model.unwrap_or_default(),
        tools: spec.tools,
        timeout: spec.timeout,
        budget: spec.budget.unwrap_or_default(),
        delete_after_run: spec.delete_after_run.unwrap_or_default(),
        delivery: spec.delivery,
        ..Job::default()
    }
}

/// A job that is there.
fn present(name: &str) -> Result<Job, Status> {
    if name == "absent" {
        return Err(super::refusal(openclaw_client::Code::NotFound, "", "no job `absent`"));
    }
    let schedule = Schedule { when: Some(When::Cron("0 9 * * *".into())), ..Schedule::default() };
    let what = What::AgentTurn("Sum it up.\u{1b}[2J".into());
    let to = JobAnnounce {
        channel: "telegram".into(),
        to: "-100123".into(),
        thread_id: "7".into(),
        account_id: "default".into(),
    };
    let spec = JobSpec {
        schedule: Some(schedule),
        delivery: Some(JobDelivery { r#where: Some(Where::Announce(to)) }),
        payload: Some(JobPayload { what: Some(what) }),
        session: Some("isolated".into()),
        ..JobSpec::default()
    };
    Ok(job(name, spec))
}

fn occurrence(job: &str, outcome: Outcome) -> Occurrence {
    let mut occurrence = Occurrence {
        job_id: job.into(),
        scheduled_at: at(DUE),
        scheduled_until: at(DUE),
        count: 1,
        outcome: outcome.into(),
        ..Occurrence::default()
    };
    match outcome {
        Outcome::Ran => {
            occurrence.text = "All is \u{1b}[2Jwell.".into();
            occurrence.run_id = "cron-1".into();
            occurrence.started_at = at(DUE);
            occurrence.ended_at = at(DUE + 90);
            occurrence.delivery_id = "dl-dead".into();
            occurrence.delivery_state = "dead".into();
        }
        Outcome::Failed => {
            occurrence.reason = "error".into();
            occurrence.text = "the model is on fire".into();
            occurrence.delivery_id = "dl-1".into();
            occurrence.delivery_state = "sent".into();
        }
        Outcome::Skipped => {
            occurrence.reason = "back-off".into();
            occurrence.scheduled_at = at(DUE - 7200);
            occurrence.scheduled_until = at(DUE - 3600);
            occurrence.count = 2;
        }
        _ => {}
    }
    occurrence
}

#[tonic::async_trait]
impl Cron for Fake {
    async fn add(&self, asked: Request<AddJobRequest>) -> Result<Response<AddJobResponse>, Status> {
        let AddJobRequest { key, spec, idempotency_key } = asked.into_inner();
        assert!(!idempotency_key.is_empty());
        let job = Job { key: key.clone(), ..job("new", spec.unwrap_or_default()) };
        Ok(Response::new(AddJobResponse { job: Some(job), created: key.is_empty() }))
    }

    async fn update(&self, asked: Request<UpdateJobRequest>) -> Result<Response<Job>, Status> {
        let UpdateJobRequest { job: name, spec, expected_revision } = asked.into_inner();
        present(&name)?;
        let job = job(&name, spec.unwrap_or_default());
        if expected_revision > 0 && expected_revision != job.revision {
            return Err(Status::aborted("the job is at revision 3 by now"));
        }
        Ok(Response::new(job))
    }

    async fn apply(
        &self,
        asked: Request<ApplyJobsRequest>,
    ) -> Result<Response<ApplyJobsResponse>, Status> {
        use openclaw_client::v1::applied_job::Fate;
        let ApplyJobsRequest { jobs, dry_run } = asked.into_inner();
        let fate = if dry_run { Fate::Added } else { Fate::Changed };
        let jobs = jobs.into_iter().map(|GivenJob { key, spec }| AppliedJob {
            fate: fate.into(),
            before: None,
            after: Some(Job { key, ..job("applied", spec.unwrap_or_default()) }),
        });
        Ok(Response::new(ApplyJobsResponse { jobs: jobs.collect() }))
    }

    async fn remove(&self, asked: Request<RemoveJobRequest>) -> Result<Response<Job>, Status> {
        Ok(Response::new(present(&asked.into_inner().job)?))
    }

    async fn run(&self, asked: Request<RunJobRequest>) -> Result<Response<Occurrence>, Status> {
        let id = present(&asked.into_inner().job)?.id;
        Ok(Response::new(occurrence(&id, Outcome::Claimed)))
    }

    async fn cancel(
        &self,
        asked: Request<CancelJobRequest>,
    ) -> Result<Response<Occurrence>, Status> {
        let id = present(&asked.into_inner().job)?.id;
        Ok(Response::new(occurrence(&id, Outcome::Cancelled)))
    }

    async fn get(&self, asked: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        let job = present(&asked.into_inner().job)?;
        let last = Some(occurrence(&job.id, Outcome::Failed));
        Ok(Response::new(Job { last, ..job }))
    }

    async fn list(
        &self,
        asked: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        let ListJobsRequest { page_token, all, search, .. } = asked.into_inner();
        if search == "nothing" {
            return Ok(Response::new(ListJobsResponse::default()));
        }
        let brief = Job { name: "a\u{1b}[2Jb".into(), ..present("brief")? };
        let off = JobSpec { enabled: Some(false), ..JobSpec::default() };
        let (job, next) = match (page_token.as_str(), all) {
            ("", true) => (brief, "2"),
            ("", false) => (brief, ""),
            _ => (Job { problem: "its schedule is torn".into(), ..job("tea", off) }, ""),
        };
        Ok(Response::new(ListJobsResponse { jobs: vec![job], next_page_token: next.into() }))
    }

    async fn runs(
        &self,
        asked: Request<ListOccurrencesRequest>,
    ) -> Result<Response<ListOccurrencesResponse>, Status> {
        let asked = asked.into_inner();
        let page = |outcome, next: &str| ListOccurrencesResponse {
            occurrences: vec![occurrence(&asked.job, outcome)],
            next_page_token: next.into(),
        };
        Ok(Response::new(match (asked.job.as_str(), asked.outcome(), asked.page_token.as_str()) {
            (_, Outcome::Missed, _) => ListOccurrencesResponse::default(),
            ("job-bad", ..) => page(Outcome::Failed, ""),
            ("job-slow", ..) => page(Outcome::Claimed, ""),
            ("job-gone", ..) => page(Outcome::Skipped, ""),
            ("", ..) => ListOccurrencesResponse {
                occurrences: vec![occurrence("job-tea", Outcome::Skipped)],
                next_page_token: String::new(),
            },
            (_, _, "") => page(Outcome::Skipped, "2"),
            _ => page(Outcome::Ran, ""),
        }))
    }

    async fn status(
        &self,
        _: Request<CronStatusRequest>,
    ) -> Result<Response<CronStatusResponse>, Status> {
        let status = CronStatusResponse {
            jobs: 3,
            enabled_jobs: 2,
            suspended_jobs: 1,
            behind: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            ..CronStatusResponse::default()
        };
        Ok(Response::new(status))
    }

    async fn preview(
        &self,
        asked: Request<PreviewRequest>,
    ) -> Result<Response<PreviewResponse>, Status> {
        let PreviewRequest { job, schedule, count } = asked.into_inner();
        let schedule = match (job.as_str(), schedule) {
            ("job-new", _) => Some(understood(Schedule {
                when: Some(When::Cron("0 9 * * *".into())),
                ..Schedule::default()
            })),
            ("job-never", _) => return Err(Status::failed_precondition("it is never active")),
            (_, schedule) => schedule.map(understood),
        };
        let instant = |day: u32| Instant {
            at: at(DUE + i64::from(day) * 86_400),
            local: format!("day {day}"),
        };
        let instants = (0..count.max(1)).map(instant).collect();
        Ok(Response::new(PreviewResponse { schedule, instants }))
    }
}
