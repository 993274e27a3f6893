//! Jobs as callers give them: nothing passes unparsed.

use std::time::Duration;

use openclaw_config::ModelName;
use openclaw_proto::v1;
use openclaw_proto::v1::job_delivery::Where;
use openclaw_proto::v1::schedule::When;
use openclaw_scheduler::{
    ActiveHours, CatchUp, Rules, Schedule, ScheduleError, Zone, default_stagger, stagger,
};
use openclaw_scopes::{AgentId, JobId, Timestamp};
use openclaw_store::{
    AfterRun, Job, JobDelivery, JobPatch, JobPlace, JobSpec, JobTools, Payload, Switch, WEBHOOK,
};

use crate::channels::destination;
use crate::core::Core;
use crate::cron::host_zone;
use crate::respond::Reply;
use crate::{convert, route};

use super::payload;

/// Characters of a name at most.
const MAX_NAME: usize = 128;
/// Instants are moved by a day at most.
const MAX_STAGGER: Duration = Duration::from_hours(24);

/// What a job is read against.
pub(super) struct Reading<'a> {
    pub(super) core: &'a Core,
    /// The job's id, by which its instants are moved.
    pub(super) id: &'a JobId,
    pub(super) now: Timestamp,
}

fn schedule_error(error: &ScheduleError) -> Reply {
    Reply::invalid(error.to_string()).next("openclaw cron preview --help")
}

/// What is given of a zone, before anything falls back on the machine's.
fn zone(name: &str) -> Result<Zone, Reply> {
    let host;
    let name = match name {
        "" => {
            host = host_zone();
            &host
        }
        name => name,
    };
    Zone::parse(name).map_err(|error| schedule_error(&error))
}

impl Reading<'_> {
    /// Reads a new job.
    pub(super) fn job(&self, given: v1::JobSpec) -> Result<JobSpec, Reply> {
        let missing = |what: &str, next: &str| {
            Reply::invalid(format!("a job needs {what}")).next(next.to_owned())
        };
        let name = given.name.as_deref().map(name).transpose()?;
        let name = name.ok_or_else(|| missing("a name", "--name"))?;
        let agent = self.agent(given.agent_id.as_deref().unwrap_or_default())?;
        let does = given.payload.clone().and_then(|payload| payload.what);
        let next = "--message, --system-event, --command or --webhook-payload";
        let payload = payload::read(does)?.ok_or_else(|| missing("something to do", next))?;
        self.fits(&payload, &given, &agent)?;
        let place = self.place(given.session.as_deref().unwrap_or_default(), &agent, &payload)?;
        let schedule =
            given.schedule.ok_or_else(|| missing("a schedule", "--at, --every or --cron"))?;
        let rules = self.rules(schedule, None)?;
        Ok(JobSpec {
            name,
            rules,
            place,
            model: self.model(given.model.unwrap_or_default())?,
            tools: self.tools(given.tools, &agent)?.unwrap_or_default(),
            timeout: convert::duration(given.timeout.as_ref(), "timeout")?.unwrap_or_default(),
            max_tokens: given.budget.unwrap_or_default(),
            after_run: after_run(given.delete_after_run.unwrap_or_default()),
            delivery: self.posted(&payload, self.delivery(given.delivery)?)?,
            payload,
            agent,
        })
    }

    /// Reads what changes of a job that was seen so.
    pub(super) fn patch(&self, given: v1::JobSpec, seen: &Job) -> Result<JobPatch, Reply> {
        let before = seen.spec.as_ref().ok();
        let agent = given.agent_id.as_deref().map(|id| self.agent(id)).transpose()?;
        let of = agent.as_ref().unwrap_or(&seen.agent);
        let payload = payload::read(given.payload.clone().and_then(|payload| payload.what))?;
        let was = before.map(|it| &it.payload);
        if let Some(does) = payload.as_ref().or(was) {
            self.fits(does, &given, of)?;
        }
        // What it does not have any more goes with what it did.
        let is_bare = payload.as_ref().is_some_and(|does| !does.is_for_agent());
        let is_timeless = matches!(payload, Some(Payload::Webhook { .. }));
        let place = match (given.session.as_deref(), before) {
            (None, _) => None,
            (Some(place), before) => {
                let does = payload.clone().or_else(|| before.map(|it| it.payload.clone()));
                let does = does.ok_or_else(|| Reply::invalid("the job cannot be read any more"))?;
                Some(self.place(place, of, &does)?)
            }
        };
        let rules = given.schedule.map(|schedule| self.rules(schedule, before.map(|it| &it.rules)));
        let delivery = self.delivery(given.delivery)?;
        if let Some(does) = payload.as_ref().or(was) {
            let posts = delivery.clone().or_else(|| before.map(|it| it.delivery.clone()));
            self.posted(does, posts)?;
        }
        let bare_tools = is_bare.then_some(JobTools::All);
        let timeout = convert::duration(given.timeout.as_ref(), "timeout")?;
        Ok(JobPatch {
            name: given.name.as_deref().map(name).transpose()?,
            rules: rules.transpose()?,
            payload,
            place: is_bare.then_some(JobPlace::Isolated).or(place),
            model: match given.model {
                None if is_bare => Some(String::new()),
                model => model.map(|model| self.model(model)).transpose()?,
            },
            tools: bare_tools.or(self.tools(given.tools, of)?),
            timeout: is_timeless.then_some(Duration::ZERO).or(timeout),
            max_tokens: is_bare.then_some(0).or(given.budget),
            after_run: given.delete_after_run.map(after_run),
            delivery,
            switch: given.enabled.map(|enabled| if enabled { Switch::On } else { Switch::Off }),
            agent,
        })
    }

    /// Reads a job that a file gives, of which there may be one already: counted from the same instant and moved as far,
    /// unless it says otherwise.
    pub(super) fn applied(
        &self,
        given: v1::JobSpec,
        before: Option<&Rules>,
    ) -> Result<JobSpec, Reply> {
        let said = given.schedule.as_ref();
        let is_anchored = said.is_some_and(|said| said.anchor.is_some());
        let is_moved = said.is_some_and(|said| said.stagger.is_some() || said.moved_by.is_some());
        let mut spec = self.job(given)?;
        let Some(before) = before else { return Ok(spec) };
        let rules = &mut spec.rules;
        if let (Schedule::Every { every, .. }, Schedule::Every { every: was, .. }) =
            (&rules.schedule, &before.schedule)
            && every == was
            && !is_anchored
        {
            rules.schedule = before.schedule.clone();
        }
        if rules.schedule == before.schedule && !is_moved {
            rules.stagger = before.stagger;
        }
        Ok(spec)
    }

    /// Reads a schedule; what it does not say is as before.
    pub(super) fn rules(
        &self,
        given: v1::Schedule,
        before: Option<&Rules>,
    ) -> Result<Rules, Reply> {
        let schedule = match (given.when, before) {
            (Some(When::At(at)), _) => Schedule::at(openclaw_proto::from_timestamp(&at)),
            (Some(When::Every(every)), _) => {
                let every = convert::duration(Some(&every), "every")?.unwrap_or_default();
                let anchor = given.anchor.as_ref().map(openclaw_proto::from_timestamp);
                Schedule::every(every, anchor.unwrap_or(self.now))
                    .map_err(|error| schedule_error(&error))?
            }
            (Some(When::Cron(expression)), _) => {
                let zone = match (given.time_zone.as_str(), before.map(|it| &it.schedule)) {
                    ("", Some(Schedule::Cron(before))) => before.zone().clone(),
                    (name, _) => zone(name)?,
                };
                Schedule::cron(&expression, zone).map_err(|error| schedule_error(&error))?
            }
            (None, Some(Rules { schedule: Schedule::Cron(before), .. }))
                if !given.time_zone.is_empty() =>
            {
                Schedule::cron(before.expression(), zone(&given.time_zone)?)
                    .map_err(|error| schedule_error(&error))?
            }
            (None, Some(before)) => before.schedule.clone(),
            (None, None) => {
                return Err(Reply::invalid("the schedule says nothing")
                    .next("openclaw cron preview --at, --every or --cron"));
            }
        };
        let window = convert::duration(given.stagger.as_ref(), "stagger")?;
        let exactly = convert::duration(given.moved_by.as_ref(), "moved_by")?;
        if [window, exactly].into_iter().flatten().any(|length| length > MAX_STAGGER) {
            return Err(Reply::invalid("stagger is at most a day"));
        }
        let moved = match (window, before) {
            _ if exactly.is_some() => exactly.unwrap_or_default(),
            (Some(window), _) => stagger(self.id.as_str(), window),
            (None, Some(before)) if before.schedule == schedule => before.stagger,
            (None, _) => stagger(self.id.as_str(), default_stagger(&schedule)),
        };
        let hours_zone = match &schedule {
            Schedule::Cron(cron) => cron.zone().clone(),
            Schedule::At(_) | Schedule::Every { .. } => zone(&given.time_zone)?,
        };
        let active = match (given.active_from.as_str(), given.active_until.as_str()) {
            ("", "") => before.and_then(|before| before.active.clone()),
            // The whole day is no restriction.
            ("00:00", "24:00") => None,
            (from, until) => Some(
                ActiveHours::parse(from, until, hours_zone)
                    .map_err(|error| schedule_error(&error))?,
            ),
        };
        let catch_up = match (given.catch_up.as_str(), before) {
            ("", Some(before)) => before.catch_up,
            ("", None) => CatchUp::default(),
            (text, _) => CatchUp::parse(text).map_err(|error| schedule_error(&error))?,
        };
        Ok(Rules { schedule, stagger: moved, active, catch_up })
    }

    fn agent(&self, id: &str) -> Result<AgentId, Reply> {
        let agent = convert::agent_id(id)?;
        if self.core.engine.has_agent(&agent) {
            Ok(agent)
        } else {
            Err(Reply::unknown_agent(&agent))
        }
    }

    fn place(&self, text: &str, agent: &AgentId, payload: &Payload) -> Result<JobPlace, Reply> {
        match (text, payload) {
            (
                "" | "isolated",
                Payload::AgentTurn { .. } | Payload::Command { .. } | Payload::Webhook { .. },
            ) => Ok(JobPlace::Isolated),
            ("isolated", Payload::SystemEvent { .. }) => {
                let text =
                    "a system event tells a conversation that somebody reads: `main`, or a key";
                Err(Reply::invalid(text).next("--session main"))
            }
            ("" | "main", _) => Ok(JobPlace::Main),
            ("current", _) => {
                let text = "`current` is for jobs that are added in a conversation";
                Err(Reply::invalid(text).next("name the conversation by its key"))
            }
            (key, _) => {
                let routes = &self.core.engine.roster().routes;
                let (session, owner) = route::named(key, agent.as_str(), routes)?;
                if owner != *agent {
                    return Err(Reply::unknown_agent(&owner));
                }
                Ok(JobPlace::Session(session))
            }
        }
    }

    fn delivery(&self, given: Option<v1::JobDelivery>) -> Result<Option<JobDelivery>, Reply> {
        let Some(given) = given else { return Ok(None) };
        let roster = self.core.engine.roster();
        let fixed = |channel: &str, to: &str, account: &str, thread: &str| {
            let fixed = destination(roster.config.channels(), channel, to, account, thread);
            fixed.map_err(|error| {
                let next = "openclaw channels status lists the channels";
                Reply::invalid(error.to_string()).next(next)
            })
        };
        Ok(Some(match given.r#where {
            None => JobDelivery::Conversation,
            Some(Where::None(_)) => JobDelivery::None,
            Some(Where::Announce(to)) => {
                JobDelivery::Announce(fixed(&to.channel, &to.to, &to.account_id, &to.thread_id)?)
            }
            Some(Where::Webhook(url)) => JobDelivery::Webhook(fixed(WEBHOOK, &url, "", "")?.peer),
        }))
    }

    fn model(&self, name: String) -> Result<String, Reply> {
        if name.is_empty() {
            return Ok(name);
        }
        let next = "openclaw models list";
        let model = ModelName::parse(&name)
            .map_err(|error| Reply::invalid(error.to_string()).next(next))?;
        match self.core.engine.roster().model(&model) {
            Some(_) => Ok(name),
            None => Err(Reply::invalid(format!("no model `{model}` is configured")).next(next)),
        }
    }

    fn tools(
        &self,
        given: Option<v1::ToolList>,
        agent: &AgentId,
    ) -> Result<Option<JobTools>, Reply> {
        let Some(v1::ToolList { all, names }) = given else { return Ok(None) };
        if all {
            return Ok(Some(JobTools::All));
        }
        let roster = self.core.engine.roster();
        let has = roster.agent(agent).map(|worker| worker.specs()).unwrap_or_default();
        if let Some(absent) = names.iter().find(|name| !has.iter().any(|tool| tool.name == **name))
        {
            let absent: String = absent.chars().take(64).collect();
            let text = format!("agent `{agent}` has no tool `{}`", absent.escape_debug());
            return Err(Reply::invalid(text).next(format!("openclaw agents show {agent}")));
        }
        Ok(Some(JobTools::Only(names)))
    }
}

fn name(text: &str) -> Result<String, Reply> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=MAX_NAME).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let text = format!("a name has 1 to {MAX_NAME} characters on one line");
    Err(Reply::invalid(text).next("choose another with --name"))
}

const fn after_run(delete: bool) -> AfterRun {
    if delete { AfterRun::Delete } else { AfterRun::Keep }
}
