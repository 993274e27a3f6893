//! Jobs over the wire.

mod apply;
mod payload;
mod read;
mod shown;

use openclaw_proto::v1::cron_server::Cron;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scheduler::Mode;
use openclaw_scopes::JobId;
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::target::Whole;
use openclaw_store::{
    AddJob, CancelJob, GetJob, JobFilter, JobNovelty, JobRef, ListOccurrences, OccurrenceCursor,
    ReadCron, RemoveJob, RunJob, UpdateJob,
};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate, secrets};

use read::Reading;

/// Instants that are shown at once at most, and when nobody says.
const MAX_PREVIEW: u32 = 100;
const DEFAULT_PREVIEW: u32 = 5;
/// Bytes of a key at most.
const MAX_KEY: usize = 200;

#[tonic::async_trait]
impl Cron for Core {
    async fn add(
        &self,
        request: Request<v1::AddJobRequest>,
    ) -> Result<Response<v1::AddJobResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let idempotency_key = convert::idempotency_key(&message.idempotency_key)?;
        let request_digest = digest::of(&[&message.key, &format!("{:?}", message.spec)]);
        let key = job_key(message.key)?;
        let id = secrets::id("job-", JobId::parse)?;
        let now = clock::now();
        let given = message.spec.unwrap_or_default();
        let switch = if given.enabled == Some(false) {
            openclaw_store::Switch::Off
        } else {
            openclaw_store::Switch::On
        };
        let spec = Reading { core: self, id: &id, now }.job(given)?;
        let ask = AddJob {
            idempotency_key,
            request_digest,
            id,
            key,
            spec,
            switch,
            created_in: None,
            reply_to: String::new(),
        };
        let added = self.perform(&caller, ask, now, respond::job).await?;
        self.engine.jobs().notify_waiters();
        Ok(Response::new(v1::AddJobResponse {
            created: added.novelty == JobNovelty::New,
            job: Some(shown::job(added.job)),
        }))
    }

    async fn update(
        &self,
        request: Request<v1::UpdateJobRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let (caller, message) = gate::admit(request)?;
        let job = named(message.job)?;
        let now = clock::now();
        let failed = |error| respond::act(error, method::UpdateJob::ROW, respond::job);
        let target = self.store.job_target(&job).map_err(failed)?;
        drop(self.peek::<method::UpdateJob>(&caller, target).await?);
        let seen = self.store.job(&job).map_err(failed)?;
        let given = message.spec.unwrap_or_default();
        // What is put together from what was seen counts only while that is so.
        let is_merged = given.schedule.as_ref().is_some_and(|it| it.when.is_none());
        let patch = Reading { core: self, id: &seen.id, now }.patch(given, &seen)?;
        let expected = is_merged.then_some(seen.revision);
        let expected = Some(message.expected_revision).filter(|it| *it > 0).or(expected);
        let ask = UpdateJob { job, patch, expected };
        let job = self.perform(&caller, ask, now, respond::job).await?;
        self.engine.jobs().notify_waiters();
        Ok(Response::new(shown::job(job)))
    }

    async fn apply(
        &self,
        request: Request<v1::ApplyJobsRequest>,
    ) -> Result<Response<v1::ApplyJobsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        Ok(Response::new(self.apply_jobs(&caller, message).await?))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveJobRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = RemoveJob(named(message.job)?);
        let job = self.perform(&caller, ask, clock::now(), respond::job).await?;
        Ok(Response::new(shown::job(job)))
    }

    async fn run(
        &self,
        request: Request<v1::RunJobRequest>,
    ) -> Result<Response<v1::Occurrence>, Status> {
        let (caller, message) = gate::admit(request)?;
        let idempotency_key = convert::idempotency_key(&message.idempotency_key)?;
        let ask = RunJob { job: named(message.job)?, idempotency_key };
        let occurrence = self.perform(&caller, ask, clock::now(), respond::job).await?;
        self.engine.jobs().notify_waiters();
        Ok(Response::new(shown::occurrence(occurrence)))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::Occurrence>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = CancelJob(named(message.job)?);
        let core = self.clone();
        let done = self.engine.whole(async move {
            let cancelled = core.perform(&caller, ask, clock::now(), respond::job).await?;
            // Its row says so already; what it was at has to learn it.
            core.engine.ended_outside(&cancelled.ended).await;
            core.engine.end_commands_of_job(&cancelled.occurrence.job).await;
            core.engine.jobs().notify_waiters();
            Ok::<_, Reply>(cancelled)
        });
        let cancelled = done.await.unwrap_or_else(|| Err(Reply::internal(&"a task panicked")))?;
        Ok(Response::new(shown::occurrence(cancelled.occurrence)))
    }

    async fn get(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (caller, message) = gate::admit(request)?;
        let found = self.store.view(&caller, &GetJob(named(message.job)?), clock::now()).await;
        let job = found.map_err(|error| respond::act(error, method::ReadJob::ROW, respond::job))?;
        Ok(Response::new(shown::job(job)))
    }

    async fn list(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let agent = match message.agent_id.as_str() {
            "" => None,
            id => Some(convert::agent_id(id)?),
        };
        let filter = JobFilter {
            agent,
            search: message.search,
            all: message.all,
            created_in: None,
            after: shown::read_cursor(&message.page_token)?,
            limit: convert::page_size(message.page_size)?,
        };
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page = listed
            .map_err(|error| respond::act(error, method::ListJobs::ROW, |never| match *never {}))?;
        let next = page.next.as_ref().map(shown::cursor);
        Ok(Response::new(v1::ListJobsResponse {
            jobs: page.jobs.into_iter().map(shown::job).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn runs(
        &self,
        request: Request<v1::ListOccurrencesRequest>,
    ) -> Result<Response<v1::ListOccurrencesResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let outcome = shown::read_outcome(message.outcome())?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(OccurrenceCursor(token.parse().map_err(|_error| convert::bad_token())?)),
        };
        let job = if message.job.is_empty() { None } else { Some(named(message.job)?) };
        let limit = convert::page_size(message.page_size)?;
        let query = ListOccurrences { job, outcome, after, limit };
        let listed = self.store.scan(&caller, query, clock::now()).await;
        let page = listed
            .map_err(|error| respond::act(error, method::ListOccurrences::ROW, respond::job))?;
        let next = page.next.map(|OccurrenceCursor(row)| row.to_string());
        Ok(Response::new(v1::ListOccurrencesResponse {
            occurrences: page.occurrences.into_iter().map(shown::occurrence).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn status(
        &self,
        request: Request<v1::CronStatusRequest>,
    ) -> Result<Response<v1::CronStatusResponse>, Status> {
        let (caller, _) = gate::admit(request)?;
        let now = clock::now();
        let facts = self.store.scan(&caller, ReadCron(now), now).await;
        let facts = facts
            .map_err(|error| respond::act(error, method::ReadCron::ROW, |never| match *never {}))?;
        Ok(Response::new(v1::CronStatusResponse {
            enabled: self.cron == Mode::Enabled,
            jobs: facts.jobs,
            enabled_jobs: facts.enabled,
            running: facts.running,
            waiting: facts.waiting,
            next_at: facts.next_at.map(to_timestamp),
            behind: facts.behind.map(openclaw_proto::to_duration),
            suspended_jobs: facts.suspended,
        }))
    }

    async fn preview(
        &self,
        request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let now = clock::now();
        drop(self.peek::<method::PreviewJob>(&caller, Whole).await?);
        let count = match message.count {
            0 => DEFAULT_PREVIEW,
            count @ 1..=MAX_PREVIEW => count,
            _ => return Err(Reply::invalid(format!("count is at most {MAX_PREVIEW}")).into()),
        };
        let rules = match (message.job.as_str(), message.schedule) {
            ("", Some(schedule)) => {
                let id = JobId::parse("preview").map_err(|error| Reply::internal(&error))?;
                Reading { core: self, id: &id, now }.rules(schedule, None)?
            }
            ("", None) => {
                return Err(Reply::invalid("neither a job nor a schedule is named")
                    .next("openclaw cron preview JOB, or --cron, --every or --at")
                    .into());
            }
            (job, _) => {
                let query = GetJob(JobRef(job.to_owned()));
                let found = self.store.view(&caller, &query, now).await;
                let found = found
                    .map_err(|error| respond::act(error, method::ReadJob::ROW, respond::job))?;
                let unreadable =
                    |problem: String| Reply::new(tonic::Code::FailedPrecondition, "", problem);
                found.spec.map_err(unreadable)?.rules
            }
        };
        // Searching for instants takes a moment: not on the thread of everybody.
        let shown = tokio::task::spawn_blocking(move || shown::preview(&rules, count, now)).await;
        Ok(Response::new(shown.map_err(|error| Reply::internal(&error))??))
    }
}

fn named(job: String) -> Result<JobRef, Reply> {
    if job.is_empty() || job.len() > MAX_KEY || job.chars().any(char::is_control) {
        return Err(Reply::invalid("no job is named").next("openclaw cron list --all"));
    }
    Ok(JobRef(job))
}

fn job_key(key: String) -> Result<String, Reply> {
    let is_well = key.len() <= MAX_KEY && key.trim() == key && !key.chars().any(char::is_control);
    if is_well {
        return Ok(key);
    }
    let text =
        format!("a key is at most {MAX_KEY} bytes without control characters or spaces around");
    Err(Reply::invalid(text).next("choose another with --key"))
}
