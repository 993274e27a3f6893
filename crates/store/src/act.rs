//! One way to change anything: decide, do, and record in one savepoint; and one way to read.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use openclaw_scopes::method::Method;
use openclaw_scopes::{Authorized, Caller, Denial, Epoch, GrantHolder, Timestamp, authorize};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use crate::audit::{AuditKey, Chain, Decision, Entry, Throttled};
use crate::error::{Fault, StoreError};
use crate::grants::Ended;
use crate::writer::{Context, Job, Ran};

/// Is told of grants whose former epochs are void, on the writer's thread: after the commit, before the
/// answer.
pub type OnEnded = Arc<dyn Fn(&[Ended]) + Send + Sync>;

/// What a mutation works in: one savepoint of the writer.
#[derive(Debug)]
pub struct Transaction<'a> {
    connection: &'a Connection,
    chain: &'a Chain,
    ended: &'a RefCell<Vec<Ended>>,
}

impl Transaction<'_> {
    pub(crate) const fn audit_key(&self) -> &AuditKey {
        self.chain.key()
    }

    /// Remembers that a holder's epochs are void, for whoever listens once it is on disk.
    pub(crate) fn note_ended(&self, ended: Ended) {
        self.ended.borrow_mut().push(ended);
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Why a mutation was not done, as a stable word for the audit log.
pub trait Failure: Send + 'static {
    /// Returns the word, in kebab-case.
    fn reason(&self) -> &'static str;
}

impl Failure for std::convert::Infallible {
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

/// A mutation as a value: it may be run again when the engine undid its group.
pub trait Ask: Send + 'static {
    /// The method that it performs.
    type Method: Method;
    /// What it answers.
    type Output: Send + 'static;
    /// Why it may say no although it is allowed.
    type Error: Failure;

    /// How it is recorded that it said no.
    const FAILURES: Failures = Failures::Recorded;

    /// Loads what it acts on, as far as the rules look at it.
    ///
    /// # Errors
    /// When there is no such thing, or the storage fails.
    fn target(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<<Self::Method as Method>::Target, Fault<Self::Error>>;

    /// Does it, spending the witness.
    ///
    /// # Errors
    /// When it cannot be done; nothing of it stays.
    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<Self::Output>, Fault<Self::Error>>;
}

/// How failures of a mutation are recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failures {
    /// As part of a count: anybody can cause them, before it is known who they are.
    Counted,
    /// Singly.
    Recorded,
}

/// What came of a mutation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applied<T> {
    /// Something changed: the decision is recorded.
    Changed(T),
    /// It was done before, or there was nothing to do.
    Unchanged(T),
}

/// A read as a value, decided and answered in one snapshot.
pub trait Query: Send + 'static {
    /// The method that it performs.
    type Method: Method;
    /// What it answers.
    type Output: Send + 'static;
    /// Why it may say no although it is allowed.
    type Error: Send + 'static;

    /// Loads what it reads, as far as the rules look at it.
    ///
    /// # Errors
    /// When there is no such thing, or the storage fails.
    fn target(
        &self,
        connection: &Connection,
    ) -> Result<<Self::Method as Method>::Target, Fault<Self::Error>>;

    /// Reads, spending the witness.
    ///
    /// # Errors
    /// When there is no such thing, or the storage fails.
    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<Self::Method>,
    ) -> Result<Self::Output, Fault<Self::Error>>;
}

/// Why an operation was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ActError<E> {
    /// The caller may not.
    Denied(Denial),
    /// It may, but the operation says no.
    Failed(E),
    /// The storage failed.
    Store(StoreError),
}

impl<E> From<StoreError> for ActError<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<E> From<Fault<E>> for ActError<E> {
    fn from(fault: Fault<E>) -> Self {
        match fault {
            Fault::Domain(error) => Self::Failed(error),
            Fault::Store(error) => Self::Store(error.into()),
        }
    }
}

/// Returns the current epoch of a holder's grant; `None` when it has none any more.
pub(crate) fn live_epoch(
    connection: &Connection,
    holder: &GrantHolder,
) -> rusqlite::Result<Option<Epoch>> {
    let sql = "SELECT epoch FROM grants WHERE holder = ?1 AND ended_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([holder.to_string()], |row| row.get(0).map(Epoch)).optional()
}

/// A mutation on its way through the writer.
pub(crate) struct Act<A: Ask> {
    pub(crate) caller: Caller,
    pub(crate) ask: A,
    /// Whose grants it ended, and who is told.
    pub(crate) ended: RefCell<Vec<Ended>>,
    pub(crate) listener: Option<OnEnded>,
    pub(crate) now: Timestamp,
    /// How the refusal was counted, so that a replay does not count it again.
    pub(crate) noted: Option<Throttled>,
    pub(crate) outcome: Option<Result<A::Output, ActError<A::Error>>>,
    pub(crate) reply: oneshot::Sender<Result<A::Output, ActError<A::Error>>>,
}

impl<A: Ask> Act<A> {
    /// Decides, does and records. An error of the engine undoes all of it.
    fn decide(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<Result<A::Output, ActError<A::Error>>, rusqlite::Error> {
        let before = context.chain.head();
        let connection = context.connection;
        let method = A::Method::ROW.name;
        //= docs/threat-model.md#T17
        let live = live_epoch(connection, self.caller.on_behalf_of())?;
        self.ended.borrow_mut().clear();
        let tx = Transaction { connection, chain: context.chain, ended: &self.ended };
        let target = match self.ask.target(&tx) {
            Ok(target) => target,
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Domain(error)) => return Ok(Err(ActError::Failed(error))),
        };
        let named = target.to_string();
        let authorized = match authorize::<A::Method>(&self.caller, target, live) {
            Ok(authorized) => authorized,
            Err(denial) => {
                let reason = denial.to_string();
                let entry = Entry::of(&self.caller, method, &named, Decision::Denied, reason);
                let note = || context.refusals.note(&entry, self.now);
                if *self.noted.get_or_insert_with(note) == Throttled::Single {
                    context.chain.append(connection, &entry, self.now)?;
                }
                return Ok(Err(ActError::Denied(denial)));
            }
        };
        let tx = Transaction { connection, chain: context.chain, ended: &self.ended };
        let (result, decision, reason) = match self.ask.apply(&tx, authorized, self.now) {
            Ok(Applied::Unchanged(output)) => return Ok(Ok(output)),
            Ok(Applied::Changed(output)) => (Ok(output), Decision::Allowed, ""),
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Domain(error)) => {
                connection.prepare_cached("ROLLBACK TO op")?.execute([])?;
                context.chain.restore(before);
                self.ended.borrow_mut().clear();
                let reason = error.reason();
                if A::FAILURES == Failures::Counted {
                    let entry = Entry::of(&self.caller, method, &named, Decision::Failed, reason);
                    if self.noted.replace(Throttled::Counted).is_none() {
                        context.refusals.note_unauthenticated(&entry, self.now);
                    }
                    return Ok(Err(ActError::Failed(error)));
                }
                (Err(ActError::Failed(error)), Decision::Failed, reason)
            }
        };
        //= docs/threat-model.md#T19
        let entry = Entry::of(&self.caller, method, &named, decision, reason);
        context.chain.append(connection, &entry, self.now)?;
        Ok(result)
    }
}

impl<A: Ask> Job for Act<A> {
    fn run(&mut self, context: &mut Context<'_>) -> Ran {
        let (outcome, ran) = context.savepoint(|context| self.decide(context));
        if outcome.is_err() {
            // What was undone has ended nothing.
            self.ended.borrow_mut().clear();
        }
        self.outcome = Some(outcome.unwrap_or_else(|error| Err(ActError::Store(error))));
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Before the answer: whoever is told that a grant has ended finds nothing that goes on.
        //= docs/threat-model.md#T32
        let ended = self.ended.into_inner();
        if committed.is_ok()
            && !ended.is_empty()
            && let Some(listener) = &self.listener
        {
            listener(&ended);
        }
        answer(self.reply, self.outcome, committed);
    }
}

/// A continuation of authorized work on its way through the writer: its fence is checked in SQL,
/// and it writes no audit record.
pub(crate) struct Step<T, E, F> {
    pub(crate) apply: F,
    pub(crate) outcome: Option<Result<T, ActError<E>>>,
    pub(crate) reply: oneshot::Sender<Result<T, ActError<E>>>,
}

impl<T, E, F> Job for Step<T, E, F>
where
    T: Send + 'static,
    E: Send + 'static,
    F: FnMut(&Connection) -> Result<T, Fault<E>> + Send + 'static,
{
    fn run(&mut self, context: &mut Context<'_>) -> Ran {
        let (outcome, ran) = context.savepoint(|context| match (self.apply)(context.connection) {
            Ok(output) => Ok(Ok(output)),
            Err(Fault::Store(error)) => Err(error),
            Err(Fault::Domain(error)) => {
                context.connection.prepare_cached("ROLLBACK TO op")?.execute([])?;
                Ok(Err(ActError::Failed(error)))
            }
        });
        self.outcome = Some(outcome.unwrap_or_else(|error| Err(ActError::Store(error))));
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        answer(self.reply, self.outcome, committed);
    }
}

fn answer<T, E>(
    reply: oneshot::Sender<Result<T, ActError<E>>>,
    outcome: Option<Result<T, ActError<E>>>,
    committed: Result<(), StoreError>,
) {
    let result = match committed {
        Ok(()) => outcome.unwrap_or(Err(ActError::Store(StoreError::Closed))),
        Err(error) => Err(ActError::Store(error)),
    };
    // Whoever asked may have gone away; what was done stays done.
    drop(reply.send(result));
}
