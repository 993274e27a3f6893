//! Recording refusals that no mutation is about: of reads, and before authentication.

use openclaw_scopes::Timestamp;
use tokio::sync::oneshot;

use super::{Entry, Throttled};
use crate::error::StoreError;
use crate::handle::Store;
use crate::writer::{Context, Job, Ran};

impl Store {
    /// Records the refusal of an authenticated principal; it is on disk before the answer, singly
    /// or, beyond twenty equal ones a minute, as part of the minute's count.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn refuse(&self, entry: Entry, now: Timestamp) -> Result<(), StoreError> {
        let (reply, answered) = oneshot::channel();
        self.send(Box::new(Refuse { entry, now, noted: None, outcome: Ok(()), reply })).await?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Counts a refusal before authentication: one row a minute and source tells of it.
    pub async fn refuse_stranger(&self, entry: Entry, now: Timestamp) {
        // Nobody waits for it, so a failure has nobody to go to; the writer logs it.
        drop(self.send(Box::new(RefuseStranger { entry: Some(entry), now })).await);
    }
}

/// Takes note of a refusal once, also when the engine undid its group and it runs again.
struct Refuse {
    entry: Entry,
    now: Timestamp,
    noted: Option<Throttled>,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Job for Refuse {
    fn run(&mut self, context: &mut Context<'_>) -> Ran {
        let noted = *self.noted.get_or_insert_with(|| context.refusals.note(&self.entry, self.now));
        if noted == Throttled::Counted {
            return Ran::Grouped;
        }
        let (outcome, ran) = context
            .savepoint(|context| context.chain.append(context.connection, &self.entry, self.now));
        self.outcome = outcome;
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        drop(self.reply.send(committed.and(self.outcome)));
    }
}

struct RefuseStranger {
    entry: Option<Entry>,
    now: Timestamp,
}

impl Job for RefuseStranger {
    fn run(&mut self, context: &mut Context<'_>) -> Ran {
        if let Some(entry) = self.entry.take() {
            context.refusals.note_unauthenticated(&entry, self.now);
        }
        Ran::Grouped
    }

    fn answer(self: Box<Self>, _: Result<(), StoreError>) {}
}
