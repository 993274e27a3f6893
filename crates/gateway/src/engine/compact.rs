//! Compaction: a summary takes the place of what was said long ago, before the model's window is full.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openclaw_agents::{Model, ModelEvent, ModelRequest};
use openclaw_scopes::{Caller, SessionKey};
use openclaw_sessions::{
    AssistantMessage, CompactError, CompactLimits, CompactPlan, CompactTrigger, Message,
    Projection, Record, accept_summary, plan_compaction,
};
use openclaw_store::{
    ActError, CompactSession, Context, JournalEntry, Peek, Resting, SessionError, Started,
    StoreError,
};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::clock;
use crate::roster::Worker;

/// Records that are looked at: more than any window holds of the shortest ones that make sense.
pub(super) const RECORDS_READ: u32 = 20_000;
/// How long a summary may take (`runtime.md` §2.10 of the reference).
const PATIENCE: Duration = Duration::from_secs(180);
/// The most tokens of its answer.
const MAX_OUTPUT: u32 = 8_192;
/// Entries that are written before a conversation whose summary failed is tried again.
const AFTER_FAILURE: u64 = 20;

/// Why a conversation was not compacted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// There is no plan.
    #[error("{0}")]
    Plan(#[from] CompactError),
    /// The model did not give a summary.
    #[error("the model gave no summary: {0}")]
    Summary(String),
    /// The storage failed.
    #[error("the conversation could not be read")]
    Storage(#[from] StoreError),
    /// It was not written.
    #[error("the summary was not written")]
    Superseded,
}

/// What a compaction comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Compacted {
    pub(crate) tokens_before: u64,
    pub(crate) tokens_folded: u64,
    pub(crate) first_kept: u64,
}

impl Compacted {
    const fn of(plan: &CompactPlan) -> Self {
        let CompactPlan { tokens_before, tokens_folded, first_kept, .. } = plan;
        Self {
            tokens_before: *tokens_before,
            tokens_folded: *tokens_folded,
            first_kept: *first_kept,
        }
    }
}

fn plan(
    entries: &[JournalEntry],
    worker: &Worker,
    trigger: CompactTrigger,
) -> Result<CompactPlan, CompactError> {
    let entries: Vec<_> = entries.iter().map(|entry| (entry.entry, &entry.record)).collect();
    let limits = CompactLimits::new(worker.agent.context_tokens);
    plan_compaction(&entries, &limits, worker.overhead(), trigger)
}

/// Has a model write the summary that a plan asks for.
async fn summary(
    model: &dyn Model,
    plan: &CompactPlan,
    cancel: &CancellationToken,
) -> Result<Record, Failed> {
    let mut answer = model.respond(ModelRequest {
        pictures: openclaw_agents::Pictures::default(),
        attempt: 0,
        max_output_tokens: Some(MAX_OUTPUT),
        messages: vec![Arc::new(Message::User { text: plan.transcript.clone() })],
        system: plan.prompt().into(),
        tools: Arc::new([]),
    });
    let finished = async {
        while let Some(event) = answer.next().await {
            match event {
                Ok(ModelEvent::Finished(message)) => return Ok(message),
                Ok(
                    ModelEvent::Retrying(_)
                    | ModelEvent::Text(_)
                    | ModelEvent::ToolCallStarted { .. },
                ) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("its answer ended too early".to_owned())
    };
    let message = tokio::select! {
        biased;
        () = cancel.cancelled() => Err("it was stopped".to_owned()),
        message = tokio::time::timeout(PATIENCE, finished) => {
            message.unwrap_or_else(|_elapsed| Err("it took too long".to_owned()))
        }
    };
    let AssistantMessage { text, usage, model, .. } = message.map_err(Failed::Summary)?;
    let text = accept_summary(&text, plan).map_err(|error| Failed::Summary(error.to_string()))?;
    let CompactPlan { first_kept, tokens_before, .. } = *plan;
    Ok(Record::Summary { text, first_kept, tokens_before, usage, model })
}

/// What a model is shown once a summary stands for what was before `first_kept`.
fn shown(summary: &Record, first_kept: u64, entries: &[JournalEntry]) -> Projection {
    let mut projection = Projection::default();
    projection.push(summary);
    let kept = entries.iter().filter(|entry| entry.entry >= first_kept);
    let said = kept.filter(|entry| !matches!(entry.record, Record::Summary { .. }));
    said.for_each(|entry| projection.push(&entry.record));
    projection
}

impl Engine {
    /// Compacts the conversation of a run, if it is due or has to be; returns the history as it is then, and
    /// which part of the journal that is.
    pub(super) async fn compact(
        &self,
        model: &dyn Model,
        worker: &Worker,
        started: &Started,
        trigger: CompactTrigger,
        cancel: &CancellationToken,
    ) -> Option<(Projection, Context)> {
        let session = started.view.session.clone();
        if trigger == CompactTrigger::Threshold
            && !self.0.cache.may_compact(&session, started.entry)
        {
            return None;
        }
        match self.compact_now(model, worker, started, trigger, cancel).await {
            Ok(compacted) => Some(compacted),
            Err(Failed::Plan(CompactError::NotDue)) => None,
            Err(error) => {
                let after = started.entry.saturating_add(AFTER_FAILURE);
                self.0.cache.compact_after(&session, after);
                tracing::warn!(%session, %error, "a conversation was not compacted");
                None
            }
        }
    }

    async fn compact_now(
        &self,
        model: &dyn Model,
        worker: &Worker,
        started: &Started,
        trigger: CompactTrigger,
        cancel: &CancellationToken,
    ) -> Result<(Projection, Context), Failed> {
        let entries = self.0.store.recent(&started.fence, u64::MAX, RECORDS_READ)?;
        let plan = plan(&entries, worker, trigger)?;
        let summary = summary(model, &plan, cancel).await?;
        let written = self.0.store.summarize(&started.fence, summary.clone(), clock::now()).await;
        let entry = written.map_err(|error| match error {
            ActError::Store(error) => Failed::Storage(error),
            ActError::Denied(_) | ActError::Failed(_) => Failed::Superseded,
        })?;
        let context = Context { from: plan.first_kept, summary: Some(entry) };
        let Compacted { tokens_before, tokens_folded, .. } = Compacted::of(&plan);
        let session = &started.view.session;
        tracing::info!(%session, tokens_before, tokens_folded, "a conversation was compacted");
        Ok((shown(&summary, plan.first_kept, &entries), context))
    }

    /// Compacts a conversation in which nobody works, because somebody asked for it; only says what it would
    /// come to if it is not to be done.
    pub(crate) async fn compact_idle(
        &self,
        caller: &Caller,
        session: &SessionKey,
        worker: &Worker,
        purpose: Purpose,
    ) -> Result<Compacted, Refused> {
        let target = self.0.store.session_target(session).map_err(Failed::Storage)?;
        let peek = Peek::<openclaw_scopes::method::CompactSession>(target);
        // It costs a model's answer, so it is decided before that, too.
        match self.0.store.view(caller, &peek, clock::now()).await {
            Ok(_authorized) => {}
            Err(ActError::Denied(denial)) => return Err(Refused::Act(ActError::Denied(denial))),
            Err(ActError::Store(error)) => return Err(Refused::Act(ActError::Store(error))),
            Err(ActError::Failed(never)) => match never {},
        }
        let resting = self.0.store.resting(session, RECORDS_READ).map_err(Failed::Storage)?;
        let Some(Resting { entries, last, is_busy, model }) = resting else {
            let unknown = SessionError::Unknown(session.clone());
            return Err(Refused::Act(ActError::Failed(unknown)));
        };
        let plan = plan(&entries, worker, CompactTrigger::Asked).map_err(Failed::Plan)?;
        let compacted = Compacted::of(&plan);
        if purpose == Purpose::Show {
            return Ok(compacted);
        }
        if is_busy {
            // Before a model is paid for a summary that cannot be written.
            let busy = SessionError::Busy(session.clone());
            return Err(Refused::Act(ActError::Failed(busy)));
        }
        let model = self.chosen_model(worker, &model);
        let summary = summary(&*model, &plan, &CancellationToken::new()).await?;
        let ask = CompactSession { key: session.clone(), summary, last };
        self.0.store.act(caller, ask, clock::now()).await.map_err(Refused::Act)?;
        self.0.cache.forget(session);
        Ok(compacted)
    }
}

/// Whether something is to be done, or only said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Do,
    Show,
}

/// Why somebody who asked did not get it.
#[derive(Debug)]
pub(crate) enum Refused {
    Act(ActError<SessionError>),
    Failed(Failed),
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}
