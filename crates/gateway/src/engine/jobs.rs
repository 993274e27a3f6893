//! Doing what jobs are for: each is an operation of the store, performed by the scheduler on behalf of whoever
//! added the job. Nothing here dials anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openclaw_agents::tools::ExecPorts;
use openclaw_config::{ModelName, ToolPattern};
use openclaw_scheduler::Mode;
use openclaw_scopes::{
    AgentId, Caller, Cause, Component, Denial, Grant, HookName, JobId, RunId, SessionKey,
};
use openclaw_sessions::{ChatType, DEFAULT_ACCOUNT, Dropped, ParsedKey, QueueMode, RouteError};
use openclaw_store::{
    AcceptRun, ActError, Asked, ClaimedJob, FireJob, FireWork, Fired, JobDelivery, JobError,
    JobPlace, JobSpec, NewEvent, NotFired, Payload, Precedence, ReplyTo, StoreError, WEBHOOK,
};
use tokio::sync::Notify;

use super::Engine;
use super::commands::Order;
use super::turns::Enlisted;
use crate::roster::Worker;
use crate::{channels, clock, digest, route};

/// How long a turn of a job may take when nobody says (`runtime.md` §4.3 of the reference): one that hangs
/// holds up the job's next instants.
const TURN: Duration = Duration::from_secs(60 * 60);

/// What came of a due instant that may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fire {
    /// There is no place for it now.
    Later,
    /// It has begun, or has its row of the ledger.
    Settled,
}

/// Why something is not begun.
enum Refused {
    Later,
    Not(NotFired),
}

impl From<RouteError> for Refused {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::UnknownAgent { .. } => Self::Not(NotFired::Skipped("unknown-agent")),
            RouteError::AgentRequired
            | RouteError::Ambiguous { .. }
            | RouteError::Key(_)
            | RouteError::NameTaken { .. }
            | RouteError::Part { .. } => Self::Not(NotFired::Failed(error.to_string())),
        }
    }
}

impl From<ActError<JobError>> for Refused {
    fn from(error: ActError<JobError>) -> Self {
        match error {
            // A grant that was replaced a moment ago is looked up again.
            ActError::Denied(Denial::GrantReplaced) => Self::Later,
            // What whoever added it may not do by now is not done with less, and not with more.
            //= docs/threat-model.md#T17
            ActError::Denied(_) => Self::Not(NotFired::Suspended),
            ActError::Failed(error) => Self::Not(NotFired::Failed(error.to_string())),
            ActError::Store(error) => {
                tracing::error!(%error, "what is due could not be begun");
                Self::Later
            }
        }
    }
}

impl Engine {
    /// Returns what tells that something about jobs has changed.
    pub(crate) fn jobs(&self) -> &Notify {
        &self.0.jobs
    }

    /// Returns what tells that something is to leave.
    pub(crate) fn outbox(&self) -> &Notify {
        &self.0.outbox
    }

    /// Does what a job is for, now that an instant of it may begin.
    pub(crate) async fn fire(&self, claimed: ClaimedJob, mode: Mode) -> Fire {
        let (occurrence, job) = (claimed.occurrence, claimed.job.clone());
        // While jobs are off, only what somebody asks for is done.
        let is_off = mode == Mode::Disabled && claimed.requested == Asked::BySchedule;
        let begun = if is_off {
            Err(Refused::Not(NotFired::Skipped("disabled")))
        } else {
            self.begin_job(claimed).await
        };
        let why = match begun {
            Ok(()) => return Fire::Settled,
            Err(Refused::Later) => return Fire::Later,
            Err(Refused::Not(why)) => why,
        };
        match &why {
            NotFired::Failed(error) => tracing::warn!(%job, error, "a job failed to begin"),
            NotFired::Skipped(reason) => tracing::warn!(%job, reason, "a job was left out"),
            NotFired::Suspended => {
                tracing::warn!(%job, "a job is disabled: whoever added it may do no more what it does");
            }
        }
        match self.0.store.not_fired(occurrence, why, clock::now()).await {
            Ok(()) => Fire::Settled,
            Err(error) => {
                tracing::error!(%job, ?error, "what became of a due instant could not be noted");
                Fire::Later
            }
        }
    }

    async fn begin_job(&self, claimed: ClaimedJob) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(Refused::Later);
        }
        let spec =
            claimed.spec.clone().map_err(|problem| Refused::Not(NotFired::Failed(problem)))?;
        let grant = claimed.grant.clone().ok_or(Refused::Not(NotFired::Suspended))?;
        let worker = self.worker(&spec.agent);
        let worker = worker.ok_or(Refused::Not(NotFired::Skipped("unknown-agent")))?;
        let caller = |grant: Grant| {
            let cause = Cause::Job(claimed.job.as_str().into());
            Caller::delegate(Component::Scheduler, grant, cause)
        };
        match spec.payload.clone() {
            Payload::AgentTurn { message } => {
                self.begin_turn(&caller(grant), &claimed, &spec, message, worker).await
            }
            Payload::Heartbeat { prompt, .. } => {
                self.may_look(&claimed, &spec, &worker)?;
                self.begin_turn(&caller(grant), &claimed, &spec, prompt, worker).await
            }
            Payload::Command { argv } => {
                self.begin_command(&caller(grant), &claimed, &spec, argv, &worker).await
            }
            Payload::Webhook { body } => self.post(&caller(grant), &claimed, &spec, body).await,
            Payload::SystemEvent { text } => {
                self.tell_of_job(&caller(grant), &claimed, &spec, text).await
            }
        }
    }

    /// Whether a heartbeat may look around now: it gives way to whatever its agent is at, and what it would find
    /// busy it looks at the next time (`runtime.md` §5.2 of the reference). Who asks for one gets one.
    fn may_look(
        &self,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        worker: &Worker,
    ) -> Result<(), Refused> {
        let skipped = |reason| Err(Refused::Not(NotFired::Skipped(reason)));
        if claimed.requested == Asked::ByRequest {
            return Ok(());
        }
        match self.0.store.is_at_work(&spec.agent) {
            Ok(false) => {}
            Ok(true) => return skipped("active-run"),
            Err(error) => {
                tracing::error!(%error, "whether an agent is at work is unknown");
                return Err(Refused::Later);
            }
        }
        if worker.has_empty_heartbeat() {
            return skipped("empty-heartbeat-file");
        }
        Ok(())
    }

    async fn begin_turn(
        &self,
        caller: &Caller,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        message: String,
        worker: Arc<Worker>,
    ) -> Result<(), Refused> {
        let failed = |problem: String| Refused::Not(NotFired::Failed(problem));
        if !spec.model.is_empty() {
            let model = ModelName::parse(&spec.model).map_err(|error| failed(error.to_string()))?;
            if self.roster().model(&model).is_none() {
                let text = format!("model-not-found: no model `{model}` is configured");
                return Err(failed(text));
            }
        }
        let run = run_of(spec, claimed).map_err(|error| failed(error.to_string()))?;
        let session = self.session_of(spec, &claimed.job, run.as_str())?;
        let request_digest = digest::of(&[run.as_str()]);
        let live = match self.enlist(&run, request_digest, &session, caller) {
            Enlisted::New(live) => live,
            Enlisted::Full(_) | Enlisted::There(_) => return Err(Refused::Later),
        };
        let precedence = if live.has_turn() { Precedence::Start } else { Precedence::Wait };
        let limit = Some(spec.timeout).filter(|limit| !limit.is_zero());
        let timeout =
            limit.or_else(|| Some(worker.agent.timeout.map_or(TURN, |own| own.min(TURN))));
        let accept = AcceptRun {
            run,
            request_digest,
            message,
            timeout,
            precedence,
            reply_to: self.reply_of_job(spec, claimed, &session),
            session,
            queue: QueueMode::Followup,
            dropped: Dropped::default(),
            join: None,
            fresh_since: None,
        };
        let work = FireWork::Turn(accept);
        let ask = FireJob {
            occurrence: claimed.occurrence,
            job: claimed.job.clone(),
            revision: claimed.revision,
            work,
        };
        let accepted = match self.0.store.act(caller, ask, clock::now()).await {
            Ok(Fired::Accepted(accepted)) => Ok(*accepted),
            Ok(Fired::Begun(_) | Fired::Gone | Fired::Posted | Fired::Told(_)) => {
                self.dismiss(&live);
                live.accept_failed();
                return Ok(());
            }
            Err(error) => Err(error),
        };
        if let (_view, Some(begin)) = self.begin(&live, accepted)? {
            self.spawn(live, worker, begin);
        }
        Ok(())
    }

    async fn tell_of_job(
        &self,
        caller: &Caller,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        text: String,
    ) -> Result<(), Refused> {
        let at = claimed.scheduled_at.as_millis();
        let id = format!("{}-{at}", claimed.job);
        let session = self.session_of(spec, &claimed.job, &id)?;
        let event = NewEvent {
            id: format!("cron-{id}"),
            label: spec.name.clone(),
            text,
            context: format!("cron:{}", claimed.job),
            reply_to: self.reply_of_job(spec, claimed, &session),
        };
        let work = FireWork::Event { session, event };
        let ask = FireJob {
            occurrence: claimed.occurrence,
            job: claimed.job.clone(),
            revision: claimed.revision,
            work,
        };
        match self.0.store.act(caller, ask, clock::now()).await? {
            Fired::Told(session) => self.announce_soon(session),
            Fired::Accepted(_) | Fired::Begun(_) | Fired::Gone | Fired::Posted => {}
        }
        Ok(())
    }

    async fn begin_command(
        &self,
        caller: &Caller,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        argv: Vec<String>,
        worker: &Worker,
    ) -> Result<(), Refused> {
        let failed = |problem: String| Refused::Not(NotFired::Failed(problem));
        let exec = worker.exec().zip(worker.exec_capability());
        let (exec, capability) = exec.ok_or_else(|| {
            let agent = &spec.agent;
            failed(format!("agent `{agent}` runs no commands: it has to have the tool `exec`"))
        })?;
        let run = run_of(spec, claimed).map_err(|error| failed(error.to_string()))?;
        let session = self.session_of(spec, &claimed.job, run.as_str())?;
        let (occurrence, commands) = (claimed.occurrence, &self.0.commands);
        // Before it is noted that it begins: whoever ends it after that finds it.
        let entry = commands.enter(occurrence, &claimed.job, caller.on_behalf_of());
        let entry = entry.ok_or(Refused::Later)?;
        let ask = FireJob {
            occurrence,
            job: claimed.job.clone(),
            revision: claimed.revision,
            work: FireWork::Command { reply_to: self.reply_of_job(spec, claimed, &session) },
        };
        match self.0.store.act(caller, ask, clock::now()).await {
            Ok(Fired::Begun(fence)) => {
                let exec = exec.for_run(run.clone(), ExecPorts::default());
                let timeout = spec.timeout;
                let order = Order { argv, exec, capability, timeout, run, session };
                self.spawn_command(occurrence, entry, order, caller.clone(), fence);
                Ok(())
            }
            Ok(Fired::Accepted(_) | Fired::Gone | Fired::Posted | Fired::Told(_)) => {
                commands.leave(occurrence);
                Ok(())
            }
            Err(error) => {
                commands.leave(occurrence);
                Err(error.into())
            }
        }
    }

    async fn post(
        &self,
        caller: &Caller,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        body: String,
    ) -> Result<(), Refused> {
        let JobDelivery::Webhook(url) = &spec.delivery else {
            let text = "the job has no URL to post to: `openclaw cron edit JOB --webhook URL`";
            return Err(Refused::Not(NotFired::Failed(text.to_owned())));
        };
        let ask = FireJob {
            occurrence: claimed.occurrence,
            job: claimed.job.clone(),
            revision: claimed.revision,
            work: FireWork::Post { to: hook(url), body },
        };
        match self.0.store.act(caller, ask, clock::now()).await? {
            Fired::Posted => self.0.outbox.notify_waiters(),
            Fired::Accepted(_) | Fired::Begun(_) | Fired::Gone | Fired::Told(_) => {}
        }
        Ok(())
    }

    /// Returns the conversation in which a job works.
    fn session_of(&self, spec: &JobSpec, job: &JobId, run: &str) -> Result<SessionKey, Refused> {
        let routes = &self.roster().routes;
        Ok(match &spec.place {
            // Nobody reads again what is told to a conversation that is new each time.
            JobPlace::Isolated
                if matches!(spec.payload, Payload::AgentTurn { .. } | Payload::Command { .. }) =>
            {
                route::job_run(&spec.agent, job.as_str(), run, routes)?
            }
            JobPlace::Isolated | JobPlace::Main => route::main_of(&spec.agent, routes)?,
            JobPlace::Session(key) => self.told_in(key),
        })
    }

    /// Returns where goes what a job says: fixed now, whatever becomes of its conversation.
    fn reply_of_job(&self, spec: &JobSpec, claimed: &ClaimedJob, session: &SessionKey) -> String {
        match &spec.delivery {
            JobDelivery::Announce(to) => to.clone().by_gateway(),
            JobDelivery::None => String::new(),
            JobDelivery::Webhook(url) => hook(url).by_gateway(),
            JobDelivery::Conversation if !claimed.reply_to.is_empty() => claimed.reply_to.clone(),
            // Where the conversation leads that was named, whichever is told.
            JobDelivery::Conversation => match &spec.place {
                JobPlace::Session(named) => self.reply_of(named),
                JobPlace::Isolated | JobPlace::Main => self.reply_of(session),
            },
        }
    }

    /// Returns the conversation that is told what happens in another: the one that somebody reads. What is told
    /// and what is woken are the same, whoever asks.
    pub(crate) fn told_in(&self, session: &SessionKey) -> SessionKey {
        let roster = self.roster();
        let people = self.people_of(session).unwrap_or_else(|error| {
            tracing::error!(%session, %error, "who is let in is unknown");
            // Then nobody's conversation is moved.
            vec!["*".to_owned()]
        });
        route::completion(session, &people, &roster.routes)
    }

    /// Returns the ids of those whom the channel of a conversation lets in: by configuration and by approval.
    fn people_of(&self, session: &SessionKey) -> Result<Vec<String>, StoreError> {
        let roster = self.roster();
        let key = ParsedKey::of(session).ok();
        let channel =
            key.as_ref().and_then(|key| key.route()).map(|route| route.channel.to_owned());
        let channels = roster.config.channels();
        let is_meant = |name: &str| channel.as_deref().is_none_or(|it| it == name);
        let known = channels.listed().chain(channels.owners());
        let mut people: Vec<String> =
            known.filter(|(name, _)| is_meant(name)).map(|(_, id)| id.to_owned()).collect();
        let approved = self.0.store.approved_people(channel.as_deref())?;
        people.extend(approved.iter().map(|person| person.id().to_string()));
        people.sort_unstable();
        people.dedup();
        Ok(people)
    }

    /// Returns who writes in the main conversation of an agent: of the one in which most do. All owners are one.
    pub(crate) fn people_in_main(&self) -> BTreeSet<String> {
        let roster = self.roster();
        let channels = roster.config.channels();
        let mut mains: BTreeMap<SessionKey, BTreeSet<String>> = BTreeMap::new();
        let mut writes = |channel: &str, account: &str, id: &str| {
            let Some(main) = route::main_of_person(channel, account, id, &roster.routes) else {
                return;
            };
            let person = match id {
                "*" => "*".to_owned(),
                id if channels.is_owner(channel, id) => "owner".to_owned(),
                id => format!("{channel}:{id}"),
            };
            mains.entry(main).or_default().insert(person);
        };
        for (name, chat) in channels.chats.iter().filter(|(_, chat)| chat.enabled) {
            chat.allow_from.iter().for_each(|id| writes(name, DEFAULT_ACCOUNT, id));
        }
        for (name, id) in channels.owners() {
            writes(name, DEFAULT_ACCOUNT, id);
        }
        match self.0.store.approved_people(None) {
            Ok(approved) => {
                for who in &approved {
                    writes(who.channel(), who.account(), who.id().as_str());
                }
            }
            Err(error) => tracing::error!(%error, "who is let in is unknown"),
        }
        let weight = |people: &BTreeSet<String>| (people.contains("*"), people.len());
        mains.into_values().max_by_key(weight).unwrap_or_default()
    }

    /// Returns where answers of a conversation go whose key leads to a channel on which the gateway speaks
    /// itself; empty when nobody delivers them.
    pub(crate) fn reply_of(&self, session: &SessionKey) -> String {
        let roster = self.roster();
        let to = channels::reply_of(session, roster.config.channels());
        to.map(ReplyTo::by_gateway).unwrap_or_default()
    }

    /// Returns the tools that turns of people have who are no owners.
    pub(super) fn tools_of_guests(&self, channel: &str) -> Vec<ToolPattern> {
        let roster = self.roster();
        let chat = roster.config.channels().chats.get(channel);
        chat.map(|chat| chat.tools.clone()).unwrap_or_default()
    }

    /// Returns the tools that turns have which a hook began.
    pub(super) fn tools_of_hook(&self, name: &HookName) -> Vec<ToolPattern> {
        let roster = self.roster();
        let hooks = roster.config.hooks();
        let hook = hooks.entries.get(name).filter(|_| hooks.enabled);
        hook.map(|hook| hook.tools.clone()).unwrap_or_default()
    }

    /// Returns whether an agent is configured.
    pub(crate) fn has_agent(&self, agent: &AgentId) -> bool {
        self.worker(agent).is_some()
    }
}

/// Returns the place of a URL.
fn hook(url: &str) -> ReplyTo {
    ReplyTo {
        channel: WEBHOOK.into(),
        account: DEFAULT_ACCOUNT.into(),
        kind: ChatType::Direct.name().into(),
        peer: url.to_owned(),
        ..ReplyTo::default()
    }
}

/// Returns the run of a due instant: the same each time, so that there is one.
fn run_of(spec: &JobSpec, claimed: &ClaimedJob) -> Result<RunId, openclaw_scopes::ParseIdError> {
    let (job, at) = (&claimed.job, claimed.scheduled_at.as_millis());
    // A heartbeat's job is called so already, and by that its runs are known: what they begin wakes nobody.
    let prefix = match spec.payload {
        Payload::Heartbeat { .. } => "",
        Payload::AgentTurn { .. }
        | Payload::Command { .. }
        | Payload::SystemEvent { .. }
        | Payload::Webhook { .. } => "cron-",
    };
    match claimed.attempts {
        0 => RunId::parse(&format!("{prefix}{job}-{at}")),
        again => RunId::parse(&format!("{prefix}{job}-{at}-{}", again.saturating_add(1))),
    }
}
