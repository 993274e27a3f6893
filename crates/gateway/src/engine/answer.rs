//! Having a run answered: what its model is shown fits into the window before the first question, and before every
//! other one.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use openclaw_agents::tools::{
    Approvals, Delegation, ExecPorts, Processes, RunStatus as ToolStatus, YieldFlag,
};
use openclaw_agents::{
    Album, Model as _, ModelError, Ports, Turn, TurnLimits, TurnOutcome, run_turn,
};
use openclaw_scopes::{Caller, GrantHolder};
use openclaw_sessions::{
    CompactLimits, CompactTrigger, Message, Projection, Record, Running, Usage, WindowLimits,
};
use openclaw_store::{Context, JobContext, JobTools, Started};
use tokio::time::Instant;

use super::Engine;
use super::adapters::{FencedJournal, LiveStatus, RunGate};
use super::approvals::RunApprovals;
use super::jobs_port::RunJobs;
use super::live::{Live, Stop};
use super::port::RunDelegation;
use super::processes::RunProcesses;
use crate::roster::{OwnPorts, SUBAGENT, Worker};

impl Engine {
    /// Has the model answer a run, in as many turns as the length of its history makes necessary. What is oldest gives
    /// way to a summary, or else is not shown.
    pub(super) async fn answer(
        &self,
        worker: &Worker,
        started: &Started,
        (projection, context): (&mut Projection, &mut Context),
        journal: &FencedJournal<'_>,
    ) -> TurnOutcome {
        let window = Window::of(worker);
        let is_light = started.job.as_ref().is_some_and(|job| job.context == JobContext::Light);
        // The question alone, and what comes of it.
        let mut own = is_light.then(|| asked(started));
        let compaction = self.roster().config.agent_defaults().compaction && !is_light;
        let (cancel, model) = (journal.live.cancel(), journal.model);
        if compaction && window.is_exceeded(projection.bytes()) {
            let due = CompactTrigger::Threshold;
            if let Some(compacted) = self.compact(model, worker, started, due, cancel).await {
                (*projection, *context) = compacted;
            }
        }
        let all = TurnLimits::default().max_steps;
        let mut limits =
            TurnLimits { max_history_bytes: Some(window.budget), ..TurnLimits::default() };
        let (mut most, mut used, mut is_refused) = (window.whole, Usage::default(), false);
        loop {
            let shown = WindowLimits { max_bytes: most, max_messages: usize::MAX };
            let history = own.as_ref().unwrap_or(projection).shown(&shown);
            let outcome = self.turn(worker, started, (history, limits), journal).await;
            let due = match &outcome {
                TurnOutcome::Outgrown { steps, .. } => {
                    limits.max_steps = limits.max_steps.saturating_sub(*steps);
                    CompactTrigger::Threshold
                }
                // Once: a provider that says so again means something else.
                TurnOutcome::Failed { error: ModelError::ContextOverflow { .. }, .. }
                    if !is_refused && !is_light =>
                {
                    is_refused = true;
                    CompactTrigger::Overflow
                }
                TurnOutcome::StepLimit { usage, .. } => {
                    let usage = usage.plus(used);
                    return TurnOutcome::StepLimit { max_steps: all, usage };
                }
                TurnOutcome::Answer { .. }
                | TurnOutcome::Cancelled { .. }
                | TurnOutcome::Failed { .. }
                | TurnOutcome::Storage { .. } => return outcome.after(used),
            };
            for record in journal.take_written() {
                projection.push(&record);
                own.iter_mut().for_each(|own| own.push(&record));
            }
            let mut compacted = None;
            if compaction || due == CompactTrigger::Overflow {
                compacted = self.compact(model, worker, started, due, cancel).await;
            }
            match compacted {
                Some(compacted) => (*projection, *context) = compacted,
                None if due == CompactTrigger::Overflow => return outcome.after(used),
                // What is oldest is not shown then.
                None => {}
            }
            used = used.plus(outcome.usage());
            most = window.again;
        }
    }

    /// Returns what the commands of a run need from the world.
    fn exec_ports(
        &self,
        live: &Arc<Live>,
        worker: &Worker,
        started: &Started,
        caller: &Caller,
    ) -> ExecPorts {
        let settings = self.roster().config.exec().clone();
        let session = &started.view.session;
        let approvals = worker.exec_capability().map(|capability| RunApprovals {
            engine: self.clone(),
            caller: caller.clone(),
            live: Some(Arc::clone(live)),
            session: session.clone(),
            capability,
            unattended: settings.unattended,
        });
        // A sub-agent waits for its commands, and so does an agent that could not look after them.
        let looks_after = started.delegated.is_none() && worker.looks_after_commands();
        let processes = looks_after.then(|| RunProcesses {
            engine: self.clone(),
            run: live.run().clone(),
            session: session.clone(),
            holder: started.grant.holder().clone(),
            notify: settings.notify_on_exit,
        });
        ExecPorts {
            approvals: approvals.map(|port| -> Arc<dyn Approvals> { Arc::new(port) }),
            processes: processes.map(|port| -> Arc<dyn Processes> { Arc::new(port) }),
        }
    }

    /// Has the model answer, once.
    async fn turn(
        &self,
        worker: &Worker,
        started: &Started,
        (history, limits): (Vec<Arc<Message>>, TurnLimits),
        journal: &FencedJournal<'_>,
    ) -> TurnOutcome {
        let (live, model) = (journal.live, journal.model);
        let base = ToolStatus {
            agent: worker.agent.id.clone(),
            input_tokens: 0,
            model: model.name().to_owned(),
            output_tokens: 0,
            run: live.run().clone(),
            session: started.view.session.clone(),
            started: started.running.started_at,
        };
        let status = LiveStatus { base, usage: Arc::clone(&journal.usage) };
        // A sub-agent has what it was given, and no more than its agent has by now.
        let capabilities = match &started.delegated {
            None => worker.capabilities(),
            Some(given) => worker.capabilities().delegated(given.capabilities),
        };
        let caller = Caller::run(
            live.run().clone(),
            started.view.session.clone(),
            started.grant.clone(),
            capabilities,
        );
        let held = Arc::new(OnceLock::new());
        let delegation: Arc<dyn Delegation> = Arc::new(RunDelegation {
            engine: self.clone(),
            caller: caller.clone(),
            capabilities,
            agent: worker.agent.id.clone(),
            run: live.run().clone(),
            session: started.view.session.clone(),
            given: started.job.clone(),
            held: Arc::clone(&held),
        });
        let jobs = RunJobs {
            engine: self.clone(),
            caller: caller.clone(),
            agent: worker.agent.id.clone(),
            session: started.view.session.clone(),
            reply_to: started.view.reply_to.clone(),
            given: started.job.clone(),
        };
        let exec = self.exec_ports(live, worker, started, &caller);
        let yields = YieldFlag::default();
        let own = OwnPorts {
            run: live.run().clone(),
            status: Arc::new(status),
            delegation,
            yields: yields.clone(),
            jobs: Arc::new(jobs),
            exec,
        };
        let toolbox = worker.toolbox(&own);
        // People in chats who are no owners have what the configuration gives them, of what there is.
        let guests = match started.grant.holder() {
            GrantHolder::Sender(person) => Some(self.tools_of_guests(person.channel())),
            // So have programs that post to hooks.
            GrantHolder::Hook(name) => Some(self.tools_of_hook(name)),
            GrantHolder::Device(_)
            | GrantHolder::Gateway
            | GrantHolder::Owner
            | GrantHolder::Plugin(_)
            | GrantHolder::Token(_) => None,
        };
        let toolbox = match &guests {
            Some(allowed) => {
                toolbox.only(|name| allowed.iter().any(|pattern| pattern.matches(name)))
            }
            None => toolbox,
        };
        let only = |tools: &[String]| toolbox.only(|name| tools.iter().any(|tool| tool == name));
        let (toolbox, system) =
            match (&started.delegated, started.job.as_ref().map(|job| &job.tools)) {
                (None, None | Some(JobTools::All)) if guests.is_some() => {
                    let system = worker.prompt_for(&toolbox.specs(), "");
                    (toolbox, system)
                }
                (None, None | Some(JobTools::All)) => (toolbox, worker.prompt()),
                (None, Some(JobTools::Only(tools))) => {
                    let toolbox = only(tools);
                    let system = worker.prompt_for(&toolbox.specs(), "");
                    (toolbox, system)
                }
                (Some(given), _) => {
                    let roster = self.roster();
                    let policy = roster.config.tools_of_subagents();
                    let toolbox = only(&given.tools).only(|name| policy.allows(name));
                    let system = worker.prompt_for(&toolbox.specs(), SUBAGENT);
                    (toolbox, system)
                }
            };
        let names = toolbox.specs().iter().map(|spec| spec.name.clone()).collect();
        let _first = held.set(names);
        let gate = RunGate { caller, store: &self.0.store };
        let turn = Turn {
            album: Some(Arc::new(Album::new(Arc::clone(worker.files())))),
            model,
            toolbox: &toolbox,
            system,
            history,
            limits,
            cancel: live.cancel().clone(),
            yields,
        };
        let ports = Ports { journal, gate: &gate, sink: &**live };
        // A panic takes down its run and nothing else: what it touched is dropped with it.
        let work = AssertUnwindSafe(run_turn(turn, ports)).catch_unwind();
        match until_due(live, &started.running, work).await {
            Ok(outcome) => outcome,
            Err(_panic) => {
                tracing::error!(run.id = %live.run(), "a turn panicked");
                TurnOutcome::Storage {
                    error: openclaw_agents::JournalError::Storage("internal error".into()),
                    usage: Usage::default(),
                }
            }
        }
    }
}

/// What a run is asked, without what was said before.
fn asked(started: &Started) -> Projection {
    let mut projection = Projection::default();
    projection.push(&Record::UserMessage { text: started.message.clone() });
    projection
}

/// How much of a history a model is shown, in bytes.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// With its first question: what the window holds.
    whole: usize,
    /// With all others: what the window holds beside the prompt, the tools and the answer.
    budget: usize,
    /// Once it had more than that: some less, so that it is not too long again with the next step.
    again: usize,
}

impl Window {
    fn of(worker: &Worker) -> Self {
        let bytes = |tokens: u64| usize::try_from(tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let window = worker.agent.context_tokens;
        let budget = CompactLimits::new(window).budget(worker.overhead());
        Self { whole: bytes(window), budget: bytes(budget), again: bytes(budget / 4 * 3) }
    }

    fn is_exceeded(&self, history: usize) -> bool {
        history > self.budget
    }
}

/// Waits for the work; when the run's time is up first, the work is told and still waited for. Time in which
/// the run waits for somebody's approval does not count (`runtime.md` §2.6 of the reference).
async fn until_due<F: Future>(live: &Live, running: &Running, work: F) -> F::Output {
    let Some(deadline) = running.deadline else {
        return work.await;
    };
    let limit = deadline.since(running.started_at);
    let began = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        let left = limit.saturating_add(live.paused()).saturating_sub(began.elapsed());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            output = &mut work => return output,
            // While it is paused no time goes by, however little is left.
            () = tokio::time::sleep(left.max(Duration::from_millis(10))) => {}
        }
    }
    live.stop(Stop::TimeOut);
    work.await
}
