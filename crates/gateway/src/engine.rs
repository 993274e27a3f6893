//! The life of runs: accepted, queued, driven, ended; and who watches them.

mod adapters;
mod announce;
mod answer;
mod approvals;
mod budget;
mod cache;
mod commands;
mod compact;
mod delegate;
mod drive;
mod ended;
mod heartbeat;
mod hold;
mod jobs;
mod jobs_port;
mod live;
mod owners;
mod port;
mod processes;
mod queue;
mod request;
mod send;
mod startstop;
mod turns;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use openclaw_agents::exec::HelperRegistry;
use openclaw_scopes::method::StartRun;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{AgentId, Caller, RunId, SessionKey, Timestamp};
use openclaw_sessions::{Dropped, EnqueueError, LaneLimits, Lanes, QueueMode};
use openclaw_store::{
    AbortRun, AbortedRun, AcceptRun, Accepted, ActError, GetRun, Peek, Precedence, RunError,
    RunView, Store, StoreError,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use approvals::TTL;
pub(crate) use compact::{Compacted, Failed as CompactFailed, Purpose, Refused as CompactRefused};
pub(crate) use delegate::{Order, SpawnError};
pub(crate) use hold::Hold;
pub(crate) use jobs::Fire;
pub(crate) use live::{Event, Novelty, Watch};
pub(crate) use request::{Limit, Request, StartError};

use self::cache::HistoryCache;
use self::drive::Begin;
use self::hold::{Held, Joined};
use self::live::{Live, Stop};
use self::turns::Enlisted;
use crate::channels::Hub;
use crate::clock;
use crate::roster::{Roster, Worker};
use crate::task::Tasks;

/// How long a look at a run takes that goes on, and that nobody here drives.
const UNSEEN: Duration = Duration::from_secs(1);

/// All runs of one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: HistoryCache,
    /// Commands of jobs.
    commands: commands::Commands,
    concurrency: NonZeroUsize,
    /// Told whenever an approval was answered.
    decided: Notify,
    drain: CancellationToken,
    /// How the channels are doing, once they are open.
    hub: OnceLock<Weak<Hub>>,
    /// Told whenever a run has ended.
    ends: Notify,
    /// Told whenever something about jobs has changed.
    jobs: Notify,
    helpers: Arc<HelperRegistry>,
    ledger: budget::Ledger,
    /// Told whenever something is to leave.
    outbox: Notify,
    lanes: Mutex<Lanes>,
    live: Mutex<BTreeMap<RunId, Arc<Live>>>,
    processes: processes::Registry,
    roster: RwLock<Arc<Roster>>,
    store: Store,
    tasks: Tasks,
}

impl Engine {
    pub(crate) fn new(
        store: Store,
        roster: Roster,
        limits: LaneLimits,
        helpers: Arc<HelperRegistry>,
        drain: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            cache: HistoryCache::default(),
            commands: commands::Commands::new(limits.background),
            concurrency: limits.concurrency,
            decided: Notify::new(),
            drain,
            hub: OnceLock::new(),
            ends: Notify::new(),
            jobs: Notify::new(),
            outbox: Notify::new(),
            helpers,
            ledger: budget::Ledger::default(),
            lanes: Mutex::new(Lanes::new(limits)),
            live: Mutex::new(BTreeMap::new()),
            processes: processes::Registry::default(),
            roster: RwLock::new(Arc::new(roster)),
            store,
            tasks: Tasks::default(),
        }))
    }

    pub(crate) fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.0.roster.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another configuration in force; runs that work finish under the old one.
    pub(crate) fn replace_roster(&self, roster: Roster) {
        *self.0.roster.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(roster);
    }

    fn worker(&self, agent: &AgentId) -> Option<Arc<Worker>> {
        self.roster().agent(agent).map(Arc::clone)
    }

    /// Returns the agent of a conversation; `None` when it is not configured any more.
    fn worker_of(&self, session: &SessionKey) -> Option<Arc<Worker>> {
        openclaw_sessions::agent_of(session).ok().and_then(|agent| self.worker(&agent))
    }

    /// Accepts a run and sets it to work, or finds it again; then watches it.
    pub(crate) async fn start(
        &self,
        caller: &Caller,
        mut request: Request,
    ) -> Result<Watch, StartError> {
        if self.0.drain.is_cancelled() {
            return Err(StartError::Draining);
        }
        let worker = self
            .worker(&request.agent)
            .ok_or_else(|| StartError::UnknownAgent(request.agent.clone()))?;
        loop {
            match self.enlist(&request.run, request.digest, &request.session, caller) {
                Enlisted::New(live) => {
                    if let Some(hold) = request.hold.as_ref().filter(|it| !it.quiet.is_zero()) {
                        live.hold(Held::new(hold, request.queue));
                    }
                    return self.accept_and_drive(caller, request, live, worker).await;
                }
                Enlisted::Full(full) => {
                    match self.find_again(caller, request.clone(), full.clone()).await {
                        Err(StartError::Full(_)) => {}
                        found => return found,
                    }
                    // It may be accepted, and there is no place for it.
                    let room = self.make_room(caller, &request.session, &full).await?;
                    let room = room.ok_or(StartError::Full(full))?;
                    request.dropped = std::mem::take(&mut request.dropped).and(room);
                }
                Enlisted::There(live) => {
                    if let Some(watch) = self.attach(caller, &request, &live).await? {
                        return Ok(watch);
                    }
                    // The request that came first was refused; this one is judged by itself.
                }
            }
        }
    }

    /// Accepts a run and drives it, in a task of its own: whoever asked may go away at any moment,
    /// and what was begun for them goes on.
    async fn accept_and_drive(
        &self,
        caller: &Caller,
        request: Request,
        live: Arc<Live>,
        worker: Arc<Worker>,
    ) -> Result<Watch, StartError> {
        let (tell, told) = oneshot::channel();
        let (engine, caller) = (self.clone(), caller.clone());
        let is_interrupting = request.queue == QueueMode::Interrupt;
        self.0.tasks.spawn(async move {
            match engine.accept(&caller, request, &live, &worker).await {
                Ok((watch, begin)) => {
                    let interrupts = is_interrupting && watch.accepted.merged_into.is_none();
                    // Nobody may be listening any more; the run is driven all the same.
                    drop(tell.send(Ok(watch)));
                    if interrupts && matches!(begin, Some(Begin::InTurn(_))) {
                        let (engine, live) = (engine.clone(), Arc::clone(&live));
                        engine.0.tasks.spawn(engine.clone().interrupt(caller, live));
                    }
                    if let Some(begin) = begin {
                        engine.drive(live, worker, begin).await;
                    }
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        told.await.unwrap_or(Err(StartError::Draining))
    }

    /// Accepts a run that has its place in the lanes; tells how it is to be driven, if it is new.
    async fn accept(
        &self,
        caller: &Caller,
        request: Request,
        live: &Arc<Live>,
        worker: &Worker,
    ) -> Result<(Watch, Option<Begin>), StartError> {
        let hold = request.hold.as_ref();
        // What its sender wrote just before, and what waits for it.
        let opener = hold.and_then(|hold| self.opener(live, &request.session, hold));
        let waits = opener.is_some() || live.held().is_some();
        let precedence =
            if live.has_turn() && !waits { Precedence::Start } else { Precedence::Wait };
        let quiet = hold.map(|hold| hold.quiet).unwrap_or_default();
        let timeout = match request.limit {
            Limit::None => None,
            Limit::OfAgent => worker.agent.timeout,
            Limit::Within(timeout) => Some(timeout),
        };
        let ask = AcceptRun {
            run: request.run.clone(),
            request_digest: request.digest,
            session: request.session,
            message: request.message,
            timeout,
            precedence,
            reply_to: request.reply_to,
            // Nobody takes it in before all of it is there.
            queue: if live.held().is_some() { QueueMode::Followup } else { request.queue },
            dropped: request.dropped,
            join: opener.as_ref().map(|opener| opener.run().clone()),
            fresh_since: self.roster().fresh_since(clock::now()),
        };
        let accepted = self.0.store.act(caller, ask, clock::now()).await;
        let (view, begin) = self.begin(live, accepted)?;
        if let Some(opener) = opener.filter(|_| begin.is_some()) {
            let joined = if view.merged_into.is_some() { Joined::Yes } else { Joined::No };
            self.joined(live, &opener, quiet, joined);
        }
        Ok(match begin {
            Some(begin) => (Watch::new(view, Arc::clone(live)), Some(begin)),
            None => (Watch::ended(view), None),
        })
    }

    /// Answers a request for which there is no place: one that was made before is found all the
    /// same.
    async fn find_again(
        &self,
        caller: &Caller,
        request: Request,
        full: EnqueueError,
    ) -> Result<Watch, StartError> {
        let ask = AcceptRun {
            run: request.run,
            request_digest: request.digest,
            session: request.session,
            message: request.message,
            timeout: None,
            precedence: Precedence::None,
            reply_to: String::new(),
            queue: request.queue,
            dropped: Dropped::default(),
            join: None,
            fresh_since: None,
        };
        match self.0.store.act(caller, ask, clock::now()).await {
            Ok(Accepted::Existing(view)) => Ok(Watch::ended(view)),
            Ok(Accepted::Started(_) | Accepted::Waiting(..))
            | Err(ActError::Failed(RunError::NoPlace(_))) => Err(StartError::Full(full)),
            Err(error) => Err(error.into()),
        }
    }

    /// Watches a run that somebody asked for before, if it was the same request.
    async fn attach(
        &self,
        caller: &Caller,
        request: &Request,
        live: &Arc<Live>,
    ) -> Result<Option<Watch>, StartError> {
        let target = SessionTarget::unowned(request.session.clone());
        let peeked = self.0.store.view(caller, &Peek::<StartRun>(target), clock::now()).await;
        // The witness is for watching, and watching needs nothing further.
        match peeked {
            Ok(_authorized) => {}
            Err(ActError::Denied(denial)) => return Err(ActError::Denied(denial).into()),
            Err(ActError::Store(error)) => return Err(ActError::Store(error).into()),
            Err(ActError::Failed(never)) => match never {},
        }
        if !live.is_same(&request.digest, caller.on_behalf_of()) {
            return Err(ActError::Failed(RunError::IdempotencyConflict).into());
        }
        let accepted = live.until_accepted().await;
        Ok(accepted.map(|view| Watch::new(view, Arc::clone(live)).again()))
    }

    fn spawn(&self, live: Arc<Live>, worker: Arc<Worker>, begin: Begin) {
        let engine = self.clone();
        self.0.tasks.spawn(async move { engine.drive(live, worker, begin).await });
    }

    /// Ends a run, whether it waits or works; returns it as it ended.
    pub(crate) async fn abort(
        &self,
        caller: &Caller,
        run: &RunId,
    ) -> Result<RunView, ActError<RunError>> {
        let aborted = self.0.store.act(caller, AbortRun(run.clone()), clock::now()).await?;
        let live = self.find(run);
        let ended = self.ended_by_abort(caller, run, aborted, live).await;
        // Last: a run at work could leave another one behind.
        self.end_commands_of(run).await;
        ended
    }

    async fn ended_by_abort(
        &self,
        caller: &Caller,
        run: &RunId,
        aborted: AbortedRun,
        live: Option<Arc<Live>>,
    ) -> Result<RunView, ActError<RunError>> {
        match (aborted, live) {
            (AbortedRun::Ended(view), None) => Ok(view),
            // It waited: its task learns that there is nothing left to start.
            (AbortedRun::Ended(view), Some(live)) => {
                live.stop(Stop::Abort);
                live.until_ended().await;
                Ok(view)
            }
            (AbortedRun::Works(_), Some(live)) => {
                live.stop(Stop::Abort);
                match live.until_ended().await {
                    Some(ended) => Ok(ended),
                    None => self.stored_run(caller, run).await,
                }
            }
            // It ended between the two looks.
            (AbortedRun::Works(_), None) => self.stored_run(caller, run).await,
        }
    }

    async fn stored_run(
        &self,
        caller: &Caller,
        run: &RunId,
    ) -> Result<RunView, ActError<RunError>> {
        self.0.store.view(caller, &GetRun(run.clone()), clock::now()).await
    }

    /// Waits until a run has ended or the time is up; returns it as it then is.
    pub(crate) async fn wait(
        &self,
        caller: &Caller,
        run: &RunId,
        limit: Duration,
    ) -> Result<RunView, ActError<RunError>> {
        // Looked for first: a run that ends in between is then found ended in the store.
        let live = self.find(run);
        let view = self.stored_run(caller, run).await?;
        if view.status.is_terminal() {
            return Ok(view);
        }
        let Some(live) = live else {
            // It ends with another, or with the next start: whoever asks again at once learns nothing new.
            tokio::time::sleep(limit.min(UNSEEN)).await;
            return self.stored_run(caller, run).await;
        };
        match tokio::time::timeout(limit, live.until_ended()).await {
            Ok(Some(ended)) => Ok(ended),
            Ok(None) | Err(_) => self.stored_run(caller, run).await,
        }
    }

    fn find(&self, run: &RunId) -> Option<Arc<Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner).get(run).map(Arc::clone)
    }

    /// Returns the principal of a run, as it would act now; `None` when there is no such run.
    pub(crate) fn principal_of(&self, run: &RunId) -> Result<Option<Caller>, StoreError> {
        let Some(view) = self.0.store.run(run)? else { return Ok(None) };
        let Some(worker) = self.worker_of(&view.session) else { return Ok(None) };
        let grant = self.0.store.grant_of_run(run)?;
        let capabilities = match self.0.store.given(&view.session)? {
            None => worker.capabilities(),
            Some(given) => worker.capabilities().delegated(given.capabilities),
        };
        Ok(grant.map(|grant| Caller::run(view.run, view.session, grant, capabilities)))
    }

    /// Does something to its end, also when whoever asked for it goes away meanwhile; `None` when it panicked.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        self.0.tasks.spawn(async move {
            // Nobody may be listening any more.
            drop(tell.send(work.await));
        });
        told.await.ok()
    }

    /// Returns the runs that work or wait in a conversation.
    pub(crate) fn runs_in(&self, session: &SessionKey) -> Vec<RunId> {
        self.0.store.live_runs_in(session).unwrap_or_else(|error| {
            tracing::error!(%session, %error, "what goes on in a conversation is unknown");
            Vec::new()
        })
    }

    /// Returns the name of the model that answers for an agent.
    pub(crate) fn model_of_agent(&self, agent: &AgentId) -> Option<String> {
        self.worker(agent).map(|worker| worker.model.name().to_owned())
    }

    fn all_live(&self) -> Vec<Arc<Live>> {
        let runs = self.0.live.lock().unwrap_or_else(PoisonError::into_inner);
        runs.values().map(Arc::clone).collect()
    }

    /// Returns how many runs may work at once; a changed configuration counts from the next start.
    pub(crate) fn concurrency(&self) -> usize {
        self.0.concurrency.get()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }
}

/// The present instant, for views that are made without the store.
fn now() -> Timestamp {
    clock::now()
}
