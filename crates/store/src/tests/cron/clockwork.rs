//! What the gateway does with a store's jobs, by a clock that only tests move.

use std::collections::BTreeMap;

use openclaw_scheduler::{Mode, Spread, TickLimits, tick};
use openclaw_scopes::{Caller, Cause, Component, RunId, SessionKey, Timestamp};
use openclaw_sessions::{AssistantMessage, RunStatus, SendRules, Terminal, Usage};
use rusqlite::Connection;

use super::START;
use crate::tests::{Bed, accept, key, recovery};
use crate::{
    AcceptRun, Accepted, ActError, ClaimedJob, CommandFence, Ending, FireJob, FireWork, Fired,
    JobDelivery, JobPlace, JobSpec, NewEvent, NotFired, Payload, Precedence, RecoverRuns, ReplyTo,
    Started, Store, Ticket, WEBHOOK,
};

/// Jobs of one page.
const PAGE: u32 = 256;

/// A store, and the loop that has its jobs run.
pub(super) struct Clockwork {
    pub(super) bed: Bed,
    store: Option<Store>,
    /// A look at the disk behind the store's back.
    pub(super) disk: Connection,
    pub(super) now: Timestamp,
    pub(super) mode: Mode,
    /// How many look at the same page at once.
    pub(super) workers: usize,
    /// Runs at work, with the right to write.
    pub(super) working: BTreeMap<RunId, Started>,
    pub(super) waiting: Vec<Ticket>,
    /// Commands at work, with the right to say what came of them.
    pub(super) commands: Vec<CommandFence>,
    /// How often somebody asked for a run.
    pub(super) requests: u32,
}

impl Clockwork {
    pub(super) fn new() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_none| tempfile::tempdir()).unwrap();
        let bed = Bed { dir, ..Bed::new() };
        let store = Some(bed.open());
        Self {
            disk: bed.raw(),
            bed,
            store,
            now: Timestamp::from_millis(START),
            mode: Mode::Enabled,
            workers: 1,
            working: BTreeMap::new(),
            waiting: Vec::new(),
            commands: Vec::new(),
            requests: 0,
        }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Time passes, backwards too: whoever sets a clock does as he likes.
    pub(super) fn pass(&mut self, length: i64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + length);
    }

    pub(super) fn set(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Gives every due instant its row of the ledger; returns how many are new.
    pub(super) async fn settle(&self) -> u64 {
        let (mut spread, mut rows) = (Spread::default(), 0);
        loop {
            let page = || self.store().due_jobs(self.now, PAGE).unwrap();
            let pages: Vec<_> = (0..self.workers).map(|_| page()).collect();
            let limits = TickLimits { mode: self.mode, spread, ..TickLimits::default() };
            for (due, unreadable) in pages {
                if due.is_empty() && unreadable.is_empty() {
                    return rows;
                }
                let decisions = tick(&due, &limits, self.now);
                spread.before += decisions.iter().map(|decision| decision.caught_up).sum::<u32>();
                rows += self.store().settle_due(decisions, unreadable, self.now).await.unwrap();
            }
        }
    }

    /// Begins all that may begin; returns the runs.
    pub(super) async fn begin(&mut self) -> Vec<RunId> {
        let mut begun = Vec::new();
        loop {
            let claimed = self.store().startable_jobs(self.now, PAGE).unwrap();
            if claimed.is_empty() {
                return begun;
            }
            for claimed in claimed {
                begun.extend(self.fire(claimed).await);
            }
        }
    }

    /// Settles and begins.
    pub(super) async fn look(&mut self) -> Vec<RunId> {
        self.settle().await;
        self.begin().await
    }

    /// Takes back what the ledger says beyond a clock that was set back; returns of how many jobs.
    pub(super) async fn rewind(&self) -> usize {
        let mut jobs = 0;
        while self.store().is_ahead(self.now).unwrap() {
            jobs += self.store().rewind_jobs(self.now).await.unwrap();
        }
        jobs
    }

    /// The same later, when one run begins.
    #[track_caller]
    pub(super) fn only(&self, begun: &[RunId]) -> RunId {
        let [one] = begun else { panic!("{begun:?}") };
        one.clone()
    }

    /// Begins what is claimed, or notes why not.
    pub(super) async fn fire(&mut self, claimed: ClaimedJob) -> Option<RunId> {
        let occurrence = claimed.occurrence;
        let why = match self.try_fire(claimed).await {
            Ok(run) => return run,
            Err(why) => why,
        };
        self.store().not_fired(occurrence, why, self.now).await.unwrap();
        None
    }

    async fn try_fire(&mut self, claimed: ClaimedJob) -> Result<Option<RunId>, NotFired> {
        let spec = claimed.spec.clone().map_err(NotFired::Failed)?;
        if spec.agent.as_str() != "main" {
            return Err(NotFired::Skipped("unknown-agent"));
        }
        let grant = claimed.grant.clone().ok_or(NotFired::Suspended)?;
        let cause = Cause::Job(claimed.job.as_str().into());
        let by = Caller::delegate(Component::Scheduler, grant, cause);
        let run = run_of(&claimed);
        let session = self.session_of(&spec, &claimed, &run);
        let work = self.work(&claimed, &spec, &run, session);
        let ask = FireJob {
            occurrence: claimed.occurrence,
            job: claimed.job.clone(),
            revision: claimed.revision,
            work,
        };
        match self.store().act(&by, ask, self.now).await {
            Ok(Fired::Accepted(accepted)) => {
                self.took(*accepted);
                Ok(Some(run))
            }
            Ok(Fired::Begun(fence)) => {
                self.commands.push(fence);
                Ok(None)
            }
            Ok(Fired::Gone | Fired::Posted | Fired::Told(_)) => Ok(None),
            Err(ActError::Denied(_)) => Err(NotFired::Suspended),
            Err(ActError::Failed(error)) => Err(NotFired::Failed(error.to_string())),
            Err(ActError::Store(error)) => panic!("{error}"),
        }
    }

    /// What is done for a due instant.
    pub(super) fn work(
        &self,
        claimed: &ClaimedJob,
        spec: &JobSpec,
        run: &RunId,
        session: SessionKey,
    ) -> FireWork {
        match &spec.payload {
            Payload::AgentTurn { message } | Payload::Heartbeat { prompt: message, .. } => {
                let is_idle = !self.working.values().any(|it| it.view.session == session)
                    && !self.waiting.iter().any(|ticket| ticket.session == session);
                let precedence = if is_idle { Precedence::Start } else { Precedence::Wait };
                FireWork::Turn(AcceptRun {
                    session,
                    message: message.clone(),
                    reply_to: claimed.reply_to.clone(),
                    ..accept(run.as_str(), "main", precedence)
                })
            }
            Payload::Command { .. } => FireWork::Command { reply_to: reply_of(spec) },
            Payload::Webhook { body } => {
                let to = ReplyTo::delivered(&reply_of(spec)).unwrap();
                FireWork::Post { to, body: body.clone() }
            }
            Payload::SystemEvent { text } => {
                let event = NewEvent {
                    id: run.to_string(),
                    label: spec.name.clone(),
                    text: text.clone(),
                    context: format!("cron:{}", claimed.job),
                    reply_to: claimed.reply_to.clone(),
                };
                FireWork::Event { session, event }
            }
        }
    }

    pub(super) fn session_of(
        &self,
        spec: &JobSpec,
        claimed: &ClaimedJob,
        run: &RunId,
    ) -> SessionKey {
        match &spec.place {
            JobPlace::Isolated if matches!(spec.payload, Payload::AgentTurn { .. }) => {
                key(&format!("cron:{}:run:{run}", claimed.job))
            }
            JobPlace::Isolated | JobPlace::Main => key("main"),
            JobPlace::Session(key) => key.clone(),
        }
    }

    fn took(&mut self, accepted: Accepted) {
        match accepted {
            Accepted::Started(started) => {
                assert!(self.working.insert(started.view.run.clone(), *started).is_none());
            }
            Accepted::Waiting(_, ticket) => self.waiting.push(ticket),
            Accepted::Existing(view) => panic!("there before: {view:?}"),
        }
    }

    /// Starts those that wait whose conversation is idle.
    pub(super) async fn resume(&mut self) {
        for ticket in std::mem::take(&mut self.waiting) {
            if self.working.values().any(|it| it.view.session == ticket.session) {
                self.waiting.push(ticket);
                continue;
            }
            let run = ticket.run.clone();
            match self.store().start_run(ticket, self.now).await {
                Ok(Some(started)) => {
                    self.working.insert(run, started);
                }
                Ok(None) => {}
                Err(ActError::Failed(error)) => {
                    let text = error.to_string();
                    self.store().end_waiting_run(run, text, self.now).await.unwrap();
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Ends a run that works, with an answer or with what went wrong.
    pub(super) async fn end(&mut self, run: &RunId, status: RunStatus, text: &str) {
        let started = self.working.remove(run).unwrap();
        let terminal = Terminal::of(status).unwrap();
        let usage = Usage::default();
        let answer = AssistantMessage { text: text.into(), usage, ..AssistantMessage::default() };
        let send_rules = SendRules::default();
        let (answer, error) = match status {
            RunStatus::Ok => (Some(answer), String::new()),
            _ => (None, text.into()),
        };
        let ending = Ending { terminal, answer, error, usage, send_rules };
        self.store().end_run(&started.fence, ending, self.now).await.unwrap();
    }

    /// Has the jobs look once, and ends all that begins.
    pub(super) async fn round(&mut self, status: RunStatus, text: &str) -> usize {
        let begun = self.look().await;
        for run in &begun {
            self.end(run, status, text).await;
        }
        begun.len()
    }

    /// The gateway is killed, and starts again.
    pub(super) async fn crash(&mut self) {
        self.working.clear();
        self.commands.clear();
        drop(self.store.take());
        self.store = Some(self.bed.open());
        let recovered = self.store().act(&recovery(), RecoverRuns, self.now).await.unwrap();
        self.waiting = recovered.waiting;
        self.resume().await;
    }
}

/// Where goes what a job says that goes to a URL.
fn reply_of(spec: &JobSpec) -> String {
    let JobDelivery::Webhook(url) = &spec.delivery else { return String::new() };
    let (channel, account) = (WEBHOOK.into(), "default".into());
    ReplyTo { channel, account, peer: url.clone(), ..ReplyTo::default() }.by_gateway()
}

/// The run of a due instant: the same each time, so that there is one.
pub(super) fn run_of(claimed: &ClaimedJob) -> RunId {
    let (job, instant) = (&claimed.job, claimed.scheduled_at.as_millis());
    let name = match claimed.attempts {
        0 => format!("cron-{job}-{instant}"),
        again => format!("cron-{job}-{instant}-{}", again + 1),
    };
    RunId::parse(&name).unwrap()
}
