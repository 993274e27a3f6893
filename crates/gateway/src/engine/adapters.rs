//! The ports of a turn over the store: its journal, and who decides about its tool calls.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use openclaw_agents::tools::{RunStatus, StatusSource};
use openclaw_agents::{Journal, JournalError, Refusal, ToolGate};
use openclaw_scopes::method::InvokeTool;
use openclaw_scopes::{Authorized, Caller, Capability, Denial, ToolTarget};
use openclaw_sessions::{Record, Usage};
use openclaw_store::{ActError, FenceError, Note, Peek, RunFence, Store};

use super::Engine;
use super::budget::Metered;
use super::live::Live;
use crate::clock;

/// The journal of a run's session, behind the run's fence.
#[derive(Debug)]
pub(super) struct FencedJournal<'a> {
    pub(super) fence: &'a RunFence,
    pub(super) store: &'a Store,
    /// What the run's answers have cost so far.
    pub(super) usage: Arc<Mutex<Usage>>,
    /// What was written, for the history in memory.
    pub(super) written: Mutex<Vec<Record>>,
    pub(super) engine: &'a Engine,
    pub(super) model: &'a Metered,
    pub(super) live: &'a Arc<Live>,
}

impl FencedJournal<'_> {
    /// Returns what was written since it was asked for.
    pub(super) fn take_written(&self) -> Vec<Record> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The status of a run as its tools are told it: what does not change, and what it has cost so far.
#[derive(Debug)]
pub(super) struct LiveStatus {
    pub(super) base: RunStatus,
    pub(super) usage: Arc<Mutex<Usage>>,
}

impl StatusSource for LiveStatus {
    fn status(&self) -> RunStatus {
        let usage = *self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        RunStatus {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            ..self.base.clone()
        }
    }
}

impl Journal for FencedJournal<'_> {
    fn append<'a>(&'a self, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move {
            let appended = self.store.append(self.fence, records.clone(), clock::now()).await;
            match appended {
                Ok(_last) => {
                    for record in &records {
                        if let Record::AssistantMessage(message) = record {
                            self.model.stored(message.worked_millis);
                            let mut usage =
                                self.usage.lock().unwrap_or_else(PoisonError::into_inner);
                            *usage = usage.plus(message.usage);
                        }
                    }
                    let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                    written.extend(records);
                    Ok(())
                }
                Err(ActError::Failed(_) | ActError::Denied(_)) => Err(JournalError::Fenced),
                Err(ActError::Store(error)) => Err(JournalError::Storage(error.to_string())),
            }
        })
    }

    fn notices(&self) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        Box::pin(async move {
            let told = async {
                let (is_told, is_steered) =
                    self.store.waits_for(self.fence).map_err(ActError::Store)?;
                let mut told = Vec::new();
                if is_told {
                    told = self.store.take_notices(self.fence, clock::now()).await?;
                }
                if is_steered {
                    let (said, runs) = self.store.take_steered(self.fence, clock::now()).await?;
                    self.engine.merge(&runs, self.live);
                    told.extend(said);
                }
                Ok(told)
            };
            match told.await {
                Ok(told) => {
                    let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                    written.extend(told.iter().cloned());
                    Ok(told)
                }
                Err(ActError::Failed(FenceError) | ActError::Denied(_)) => {
                    Err(JournalError::Fenced)
                }
                Err(ActError::Store(error)) => Err(JournalError::Storage(error.to_string())),
            }
        })
    }

    fn is_steered(&self) -> bool {
        match self.store.is_steered(self.fence) {
            Ok(steered) => steered,
            Err(error) => {
                tracing::error!(run.id = %self.live.run(), %error, "whether a message came is unknown");
                false
            }
        }
    }
}

/// Decides about each tool call of a run: as the run, on behalf of whoever it runs for.
#[derive(Debug)]
pub(super) struct RunGate<'a> {
    pub(super) caller: Caller,
    pub(super) store: &'a Store,
}

impl ToolGate for RunGate<'_> {
    //= docs/threat-model.md#T11
    fn admit<'a>(
        &'a self,
        target: ToolTarget,
    ) -> BoxFuture<'a, Result<Authorized<InvokeTool>, Refusal>> {
        Box::pin(async move {
            let (tool, now) = (target.tool.clone(), clock::now());
            let decided = match target.capability {
                // What only reads is recorded when it is refused.
                //= docs/threat-model.md#T19
                Capability::FilesRead
                | Capability::SessionsRead
                | Capability::SessionsSpawn
                | Capability::SessionsStatus => {
                    self.store.view(&self.caller, &Peek::<InvokeTool>(target), now).await
                }
                Capability::AuditSeal
                | Capability::CronFire
                | Capability::CronOwn
                | Capability::DevicesAdmit
                | Capability::ExecSandboxed
                | Capability::ExecUnsandboxed
                | Capability::FilesWrite
                | Capability::NetFetch
                | Capability::RunsContinue
                | Capability::RunsRecover
                | Capability::SessionsReap => {
                    self.store.act(&self.caller, Note::<InvokeTool>(target), now).await
                }
            };
            decided.map_err(|error| match error {
                ActError::Denied(denial) => Refusal { text: refusal(tool.as_str(), denial) },
                ActError::Store(error) => {
                    Refusal { text: format!("`{tool}` was not called: {error}") }
                }
                ActError::Failed(never) => match never {},
            })
        })
    }
}

/// Says what is missing and what to do, in words that a model can pass on.
fn refusal(tool: &str, denial: Denial) -> String {
    let grant = denial.smallest_grant();
    let advice = if grant.is_empty() {
        "ask the gateway's owner to allow the tool for this agent".to_owned()
    } else {
        format!("whoever this run acts for needs {grant}")
    };
    format!("`{tool}` was refused ({denial}); {advice}")
}
