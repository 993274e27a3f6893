//! Commands of jobs: at work without a turn and without a conversation, by the rules of the tool `exec`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use openclaw_agents::ToolGate as _;
use openclaw_agents::tool::ToolError;
use openclaw_agents::tools::{Approvals, CommandEnded, CommandReport, ExecPorts, ExecTool};
use openclaw_config::Unattended;
use openclaw_scopes::{
    Caller, Capability, CapabilitySet, GrantHolder, JobId, RunId, SessionKey, ToolName, ToolTarget,
};
use openclaw_sessions::RunStatus;
use openclaw_store::{ActError, CommandEnd, CommandFence, MAX_COMMAND_TEXT, Outcome, StoreError};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::adapters::RunGate;
use super::approvals::RunApprovals;
use crate::clock;

/// How long whoever ends a command waits for that: longer than its helper may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// The wait between attempts to write an end, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes of its last words that are told of a command that failed, beside how.
const TAIL: usize = MAX_COMMAND_TEXT - 100;

/// The commands of jobs that are at work, by the rows of their due instants.
#[derive(Debug)]
pub(super) struct Commands {
    working: Mutex<BTreeMap<i64, Arc<Working>>>,
    /// How many are at work at once.
    most: NonZeroUsize,
}

/// A command that is at work, or is about to be.
#[derive(Debug)]
pub(super) struct Working {
    job: JobId,
    holder: GrantHolder,
    stop: CancellationToken,
    why: OnceLock<Why>,
    /// Whether its end is noted, as far as it can be.
    ended: CancellationToken,
}

/// Why a command is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// Somebody asked for it, and the ledger says so already.
    Cancelled,
    /// The gateway stops.
    Drain,
    /// The grant that it rests on has ended.
    GrantEnded,
}

/// What is to run, and by which rules.
pub(super) struct Order {
    pub(super) argv: Vec<String>,
    pub(super) exec: ExecTool,
    pub(super) capability: Capability,
    /// How long it may take; zero for as long as any.
    pub(super) timeout: Duration,
    pub(super) run: RunId,
    /// The conversation that a turn of the job would have: what is approved for good belongs to its agent.
    pub(super) session: SessionKey,
}

impl Working {
    fn stop(&self, why: Why) {
        self.why.get_or_init(|| why);
        self.stop.cancel();
    }
}

impl Commands {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self { working: Mutex::default(), most }
    }

    fn all(&self, which: impl Fn(&Working) -> bool) -> Vec<Arc<Working>> {
        let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.values().filter(|entry| which(entry)).map(Arc::clone).collect()
    }

    /// Takes a place for what is about to begin, so that whoever ends it from now on finds it; `None` when there is no
    /// place.
    pub(super) fn enter(
        &self,
        occurrence: i64,
        job: &JobId,
        holder: &GrantHolder,
    ) -> Option<Arc<Working>> {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if working.len() >= self.most.get() || working.contains_key(&occurrence) {
            return None;
        }
        let entry = Arc::new(Working {
            job: job.clone(),
            holder: holder.clone(),
            stop: CancellationToken::new(),
            why: OnceLock::new(),
            ended: CancellationToken::new(),
        });
        working.insert(occurrence, Arc::clone(&entry));
        Some(entry)
    }

    pub(super) fn leave(&self, occurrence: i64) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = working.remove(&occurrence) {
            entry.ended.cancel();
        }
    }

    /// Ends all of them, because the gateway stops; returns how many there were.
    pub(super) fn drain(&self) -> usize {
        let all = self.all(|_| true);
        all.iter().for_each(|entry| entry.stop(Why::Drain));
        all.len()
    }

    /// Ends those that rest on a grant.
    pub(super) fn end_for(&self, holder: &GrantHolder) {
        let own = self.all(|entry| entry.holder == *holder);
        own.iter().for_each(|entry| entry.stop(Why::GrantEnded));
    }
}

impl Engine {
    /// Ends the commands of a job that was cancelled, and waits for that.
    pub(crate) async fn end_commands_of_job(&self, job: &JobId) {
        for entry in self.0.commands.all(|entry| entry.job == *job) {
            entry.stop(Why::Cancelled);
            drop(tokio::time::timeout(PATIENCE, entry.ended.cancelled()).await);
        }
    }

    /// Has a command that was begun work, and notes its end.
    pub(super) fn spawn_command(
        &self,
        occurrence: i64,
        entry: Arc<Working>,
        order: Order,
        caller: Caller,
        fence: CommandFence,
    ) {
        let engine = self.clone();
        self.0.tasks.spawn(async move {
            // A panic takes down its command and nothing else: what it touched is dropped with it.
            let work = AssertUnwindSafe(engine.command(&entry, order, caller)).catch_unwind();
            let end = work.await.unwrap_or_else(|_panic| {
                tracing::error!(job = %entry.job, "a command panicked");
                failed("internal error".to_owned())
            });
            engine.note_end(&entry, fence, end).await;
            engine.0.commands.leave(occurrence);
            // Another instant of it may wait for that, and what it said may be to leave.
            engine.0.jobs.notify_waiters();
            engine.0.outbox.notify_waiters();
        });
    }

    /// Has a command work that its caller may have: decided as each call of the tool is, by a principal that is capable
    /// of this and nothing else.
    //= docs/threat-model.md#T16
    async fn command(&self, entry: &Working, order: Order, caller: Caller) -> CommandEnd {
        let Order { argv, exec, capability, timeout, run, session } = order;
        let capabilities = CapabilitySet::EMPTY.with(capability);
        let grant = caller.grant().clone();
        let caller = Caller::run(run.clone(), session.clone(), grant, capabilities);
        let tool = match ToolName::parse("exec") {
            Ok(tool) => tool,
            Err(error) => return failed(error.to_string()),
        };
        let gate = RunGate { caller: caller.clone(), store: &self.0.store };
        let witness = match gate.admit(ToolTarget { capability, tool }).await {
            Ok(witness) => witness,
            Err(refusal) => return failed(refusal.text),
        };
        let approvals: Arc<dyn Approvals> = Arc::new(RunApprovals {
            engine: self.clone(),
            caller,
            live: None,
            session,
            capability,
            unattended: Unattended::Deny,
        });
        let ports = ExecPorts { approvals: Some(approvals), processes: None };
        let limit = if timeout.is_zero() { exec.longest() } else { timeout };
        let exec = exec.for_run(run, ports);
        end_of(exec.command(witness, argv, limit, &entry.stop).await, entry.why.get().copied())
    }

    /// Notes the end of a command, as often as it takes: until then its job waits.
    async fn note_end(&self, entry: &Working, fence: CommandFence, end: CommandEnd) {
        let mut wait = FIRST_WAIT;
        loop {
            let noted = self.0.store.command_ended(fence.clone(), end.clone(), clock::now()).await;
            match noted {
                // What somebody else has ended stays as it is.
                Ok(_counts) => return,
                Err(ActError::Store(StoreError::Closed)) => return,
                Err(error) => {
                    tracing::error!(job = %entry.job, ?error, "the end of a command could not be noted");
                }
            }
            if entry.why.get() == Some(&Why::Drain) {
                // The next start says that it is lost.
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = entry.stop.cancelled(), if !entry.stop.is_cancelled() => {}
            }
            if self.0.drain.is_cancelled() && entry.stop.is_cancelled() {
                return;
            }
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }
}

fn failed(text: String) -> CommandEnd {
    CommandEnd { outcome: Outcome::Failed, reason: RunStatus::Error.name(), text }
}

/// Returns the end of a text that has at most so many bytes.
fn tail(text: &str, max: usize) -> &str {
    let text = text.trim_end();
    text.get(text.ceil_char_boundary(text.len().saturating_sub(max))..).unwrap_or_default()
}

/// What becomes of a due instant whose command has ended so.
fn end_of(done: Result<CommandReport, ToolError>, why: Option<Why>) -> CommandEnd {
    let report = match (done, why) {
        (Ok(report), _) => report,
        (Err(ToolError::Canceled), Some(Why::Drain)) => {
            let (outcome, reason) = (Outcome::Lost, RunStatus::Interrupted.name());
            let text = "the gateway stopped while the command was at work".to_owned();
            return CommandEnd { outcome, reason, text };
        }
        (Err(ToolError::Canceled), Some(Why::Cancelled | Why::GrantEnded) | None) => {
            let (outcome, reason) = (Outcome::Cancelled, RunStatus::Aborted.name());
            let text = match why {
                Some(Why::GrantEnded) => "the grant that the command rests on has ended",
                Some(Why::Cancelled | Why::Drain) | None => "the command was ended",
            };
            return CommandEnd { outcome, reason, text: text.to_owned() };
        }
        (Err(error), _) => return failed(error.to_string()),
    };
    let CommandReport { ended, said } = report;
    let (reason, how) = match ended {
        CommandEnded::Exited(0) => {
            let text = tail(&said, MAX_COMMAND_TEXT).to_owned();
            return CommandEnd { outcome: Outcome::Ran, reason: "", text };
        }
        CommandEnded::Exited(code) => (RunStatus::Error, format!("exit code {code}")),
        CommandEnded::Signaled(signal) => (RunStatus::Error, format!("killed by signal {signal}")),
        CommandEnded::TimedOut => (RunStatus::Timeout, "its time was up, and it was killed".into()),
    };
    let said = tail(&said, TAIL);
    let gap = if said.is_empty() { "" } else { "\n" };
    let text = format!("{how}{gap}{said}");
    CommandEnd { outcome: Outcome::Failed, reason: reason.name(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn ends() {
        let report = |ended, said: &str| Ok(CommandReport { ended, said: said.into() });
        for (done, why, outcome, reason, text) in [
            (report(CommandEnded::Exited(0), "All is well.\n"), None,       Outcome::Ran,       "",            "All is well."),
            (report(CommandEnded::Exited(0), ""),     Some(Why::Drain),     Outcome::Ran,       "",            ""),
            (report(CommandEnded::Exited(3), "no\n"), None,                 Outcome::Failed,    "error",       "exit code 3\nno"),
            (report(CommandEnded::Signaled(9), ""),   None,                 Outcome::Failed,    "error",       "killed by signal 9"),
            (report(CommandEnded::TimedOut, "half"),  None,                 Outcome::Failed,    "timeout",     "its time was up, and it was killed\nhalf"),
            (Err(ToolError::Canceled),                Some(Why::Drain),     Outcome::Lost,      "interrupted", "the gateway stopped while the command was at work"),
            (Err(ToolError::Canceled),                Some(Why::GrantEnded), Outcome::Cancelled, "aborted",    "the grant that the command rests on has ended"),
            (Err(ToolError::Refused { reason: "no".into() }), None,         Outcome::Failed,    "error",       "refused: no"),
        ] {
            let end = end_of(done, why);
            assert_eq!((end.outcome, end.reason, end.text.as_str()), (outcome, reason, text));
        }
        // The end of what was said counts, in whole characters.
        let long = "ß".repeat(MAX_COMMAND_TEXT);
        let end = end_of(report(CommandEnded::Exited(1), &long), None);
        assert!(end.text.len() <= MAX_COMMAND_TEXT && end.text.ends_with('ß'));
        assert_eq!(tail("abß", 1), "");
    }
}
