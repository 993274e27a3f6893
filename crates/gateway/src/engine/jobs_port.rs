//! What the tool `cron` of one run asks of the gateway: answers are for its model.

use futures_util::future::BoxFuture;
use openclaw_agents::tools::{JobOrder, JobSession, JobWhen, Jobs};
use openclaw_config::parse_duration;
use openclaw_scheduler::{CatchUp, Rules, Schedule, Zone, default_stagger, stagger};
use openclaw_scopes::{AgentId, Caller, IdempotencyKey, JobId, SessionKey, Timestamp};
use openclaw_sessions::{KeyClass, ParsedKey};
use openclaw_store::{
    ActError, AddJob, AfterRun, Job, JobContext, JobDelivery, JobFilter, JobGiven, JobPlace,
    JobRef, JobSpec, JobTools, Payload, RemoveJob, ReplyTo, Switch,
};
use serde_json::{Value, json};

use super::Engine;
use crate::when::instant;
use crate::{clock, cron, digest, secrets};

/// Jobs that a model is shown at most: as many as a conversation may have.
const SHOWN: u32 = 100;
/// Characters of a name that is made of a message.
const NAME: usize = 40;

/// Jobs for one run, as that run and on behalf of whoever it works for.
#[derive(Debug)]
pub(super) struct RunJobs {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
    pub(super) agent: AgentId,
    pub(super) session: SessionKey,
    pub(super) reply_to: String,
    /// What the job gave it whose turn this is.
    pub(super) given: Option<JobGiven>,
}

fn error(text: impl Into<String>) -> Value {
    json!({ "status": "error", "error": text.into() })
}

fn refused<E: std::fmt::Display>(refusal: ActError<E>) -> Value {
    match refusal {
        ActError::Denied(denial) => {
            json!({ "status": "forbidden", "error": denial.to_string() })
        }
        ActError::Failed(failed) => error(failed.to_string()),
        ActError::Store(failed) => error(failed.to_string()),
    }
}

fn row(job: &Job) -> Value {
    let spec = job.spec.as_ref().ok();
    let message = spec.and_then(|spec| match &spec.payload {
        Payload::AgentTurn { message } | Payload::Heartbeat { prompt: message, .. } => {
            Some(message.clone())
        }
        // What needs an administrator is none of a model's.
        Payload::Command { .. } | Payload::Webhook { .. } => None,
        Payload::SystemEvent { text } => Some(text.clone()),
    });
    let schedule = spec.map(|spec| match &spec.rules.schedule {
        Schedule::At(at) => clock::rfc3339(*at),
        Schedule::Cron(cron) => format!("{} {}", cron.expression(), cron.zone()),
        Schedule::Every { every, .. } => {
            format!("every {}", openclaw_config::format_duration(*every))
        }
    });
    json!({
        "id": job.id.as_str(),
        "name": job.name,
        "schedule": schedule,
        "message": message,
        "nextAt": job.next_at.map(clock::rfc3339),
        "disabled": job.disabled.map(openclaw_store::Disabled::name),
    })
}

/// Of what belongs to one run of a job, the conversation that stands for the job: all its runs share what is
/// counted there.
fn base_of(session: &SessionKey) -> Option<SessionKey> {
    let key = ParsedKey::of(session).ok()?;
    if key.class() != KeyClass::CronRun {
        return None;
    }
    let (base, _) = session.as_str().split_once(":run:")?;
    SessionKey::parse(base).ok()
}

impl RunJobs {
    /// Returns the conversation to which the jobs of this run belong.
    fn place(&self) -> SessionKey {
        base_of(&self.session).unwrap_or_else(|| self.session.clone())
    }

    /// Whether this is the turn of a job that a job has added: such adds none, or their number would grow by
    /// itself.
    fn is_second(&self) -> Result<bool, Value> {
        let Some(base) = base_of(&self.session) else { return Ok(false) };
        let Some((_, job)) = base.as_str().rsplit_once(":cron:") else { return Ok(false) };
        let added_in = self.engine.0.store.job_place(job);
        let added_in = added_in.map_err(|failed| error(failed.to_string()))?;
        let is_of_job =
            |key: SessionKey| ParsedKey::of(&key).is_ok_and(|key| key.class() == KeyClass::Cron);
        Ok(added_in.is_some_and(is_of_job))
    }

    fn spec(&self, order: &JobOrder, id: &JobId, now: Timestamp) -> Result<JobSpec, String> {
        let zone = order.zone.clone().unwrap_or_else(cron::host_zone);
        let zone = Zone::parse(&zone).map_err(|error| error.to_string())?;
        let schedule = match &order.when {
            JobWhen::At(text) => Schedule::at(instant(text, zone.name(), now)?),
            JobWhen::Every(text) => {
                let every = parse_duration(text).map_err(|error| error.to_string())?;
                Schedule::every(every, now).map_err(|error| error.to_string())?
            }
            JobWhen::Cron(text) => Schedule::cron(text, zone).map_err(|error| error.to_string())?,
        };
        let words = order.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = order.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let name: String =
            name.unwrap_or(&words).chars().filter(|c| !c.is_control()).take(NAME).collect();
        let given = self.given.clone().unwrap_or_else(|| JobGiven {
            model: String::new(),
            tools: JobTools::All,
            max_tokens: 0,
            context: JobContext::Full,
        });
        let is_once = !schedule.is_recurring();
        let moved = stagger(id.as_str(), default_stagger(&schedule));
        Ok(JobSpec {
            name,
            agent: self.agent.clone(),
            rules: Rules { schedule, stagger: moved, active: None, catch_up: CatchUp::Last },
            payload: Payload::AgentTurn { message: order.message.clone() },
            place: match order.place {
                JobSession::Isolated => JobPlace::Isolated,
                JobSession::Current if base_of(&self.session).is_some() => JobPlace::Isolated,
                JobSession::Current => JobPlace::Session(self.session.clone()),
            },
            // What a job adds is given no more than that job was.
            model: given.model,
            tools: given.tools,
            timeout: std::time::Duration::ZERO,
            max_tokens: given.max_tokens,
            after_run: if is_once { AfterRun::Delete } else { AfterRun::Keep },
            delivery: JobDelivery::Conversation,
        })
    }

    fn own(&self) -> Result<Vec<Job>, Value> {
        let filter = JobFilter {
            all: true,
            created_in: Some(self.place()),
            limit: SHOWN,
            ..JobFilter::default()
        };
        let page = self.engine.0.store.jobs(&filter);
        let page = page.map_err(|failed| error(failed.to_string()))?;
        // One that somebody has made a command of since is not the conversation's any more.
        let is_own =
            |job: &Job| job.spec.as_ref().ok().is_none_or(|spec| spec.payload.is_for_agent());
        Ok(page.jobs.into_iter().filter(is_own).collect())
    }
}

impl Jobs for RunJobs {
    fn add(&self, order: JobOrder) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.is_second() {
                Ok(false) => {}
                Ok(true) => return error("a job that a job has added adds none"),
                Err(refusal) => return refusal,
            }
            let now = clock::now();
            let Ok(id) = secrets::id("job-", JobId::parse) else { return error("internal error") };
            let spec = match self.spec(&order, &id, now) {
                Ok(spec) => spec,
                Err(problem) => return error(problem),
            };
            let key = IdempotencyKey::parse(id.as_str());
            let Ok(idempotency_key) = key else { return error("internal error") };
            let ask = AddJob {
                idempotency_key,
                request_digest: digest::of(&[id.as_str()]),
                id,
                key: String::new(),
                spec,
                switch: Switch::On,
                created_in: Some(self.place()),
                // At the same place, and not as an answer to the message of today.
                reply_to: ReplyTo::delivered(&self.reply_to)
                    .map(|to| ReplyTo { answers: String::new(), ..to }.by_gateway())
                    .unwrap_or_else(|| self.reply_to.clone()),
            };
            match self.engine.0.store.act(&self.caller, ask, now).await {
                Ok(added) => {
                    self.engine.jobs().notify_waiters();
                    let mut answer = row(&added.job);
                    if let Some(answer) = answer.as_object_mut() {
                        answer.insert("status".to_owned(), "added".into());
                    }
                    answer
                }
                Err(refusal) => refused(refusal),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.own() {
                Ok(jobs) => json!({ "jobs": jobs.iter().map(row).collect::<Vec<_>>() }),
                Err(refusal) => refusal,
            }
        })
    }

    fn remove(&self, job: String) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            let own = match self.own() {
                Ok(own) => own,
                Err(refusal) => return refusal,
            };
            let Some(found) = own.iter().find(|it| it.id.as_str() == job || it.name == job) else {
                let job: String = job.chars().take(64).collect();
                return error(format!("this conversation has no job `{job}`"));
            };
            let ask = RemoveJob(JobRef(found.id.to_string()));
            match self.engine.0.store.act(&self.caller, ask, clock::now()).await {
                Ok(job) => json!({ "status": "removed", "id": job.id.as_str() }),
                Err(refusal) => refused(refusal),
            }
        })
    }
}
