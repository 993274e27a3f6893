//! The one thread that writes: it takes what is queued, commits it at once, then answers all.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use openclaw_scopes::Timestamp;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, watch as channel};

use crate::audit::{AuditHead, Chain, HeadFile, Refusals};
use crate::checkpoint::{Checkpointer, Log};
use crate::company::Company;
use crate::error::StoreError;
use crate::watch;

/// Operations of one commit at most: bounds how long the first of them waits for its answer.
pub(crate) const GROUP: usize = 256;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What operations of the writer see.
pub(crate) struct Context<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) chain: &'a mut Chain,
    pub(crate) refusals: &'a mut Refusals,
}

/// What became of an operation's group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ran {
    /// The group goes on, with this operation or without it.
    Grouped,
    /// The engine undid the whole group.
    GroupLost,
}

impl Context<'_> {
    /// Runs `work` in a savepoint of its own: an error of the engine undoes it and nothing else,
    /// unless the engine has undone the whole group.
    pub(crate) fn savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> (Result<T, StoreError>, Ran) {
        let head = self.chain.head();
        let connection = self.connection;
        let run = |sql| connection.prepare_cached(sql)?.execute([]);
        let result = run("SAVEPOINT op").and_then(|_| {
            let value = work(self)?;
            run("RELEASE op")?;
            Ok(value)
        });
        let error = match result {
            Ok(value) => return (Ok(value), Ran::Grouped),
            Err(error) => StoreError::from(error),
        };
        self.chain.restore(head);
        let undone = !connection.is_autocommit()
            && connection.execute_batch("ROLLBACK TO op; RELEASE op").is_ok();
        (Err(error), if undone { Ran::Grouped } else { Ran::GroupLost })
    }
}

/// An operation as the writer sees it.
pub(crate) trait Job: Send {
    /// Runs in a savepoint; may be called again after the engine undid the group.
    fn run(&mut self, context: &mut Context<'_>) -> Ran;

    /// Tells whoever asked, once it is known whether the commit held.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What is sent to the writer.
pub(crate) enum Message {
    /// Write what is pending and end.
    Close,
    /// Do this. The permit bounds the queue.
    Do(Box<dyn Job>, OwnedSemaphorePermit),
}

pub(crate) type Queued = (Box<dyn Job>, OwnedSemaphorePermit);

/// The writer's state.
pub(crate) struct Writer {
    pub(crate) chain: Chain,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) clock: Clock,
    pub(crate) connection: Connection,
    /// Moves to the newest event.
    pub(crate) events: channel::Sender<u64>,
    pub(crate) head_file: HeadFile,
    /// Whether the connection has failed in a way after which it is not believed any more.
    pub(crate) is_suspect: bool,
    /// Opens the database again after a commit that failed.
    pub(crate) reopen: Box<dyn Fn() -> Result<Connection, StoreError> + Send>,
    pub(crate) path: PathBuf,
    pub(crate) refusals: Refusals,
}

impl Writer {
    /// Serves until it is told to close, or nobody can ask any more.
    pub(crate) fn serve(mut self, queue: &Receiver<Message>) {
        let mut company = Company::default();
        loop {
            let first = match self.wait() {
                None => queue.recv().map_err(|_gone| RecvTimeoutError::Disconnected),
                Some(wait) => queue.recv_timeout(wait),
            };
            let mut is_open = true;
            let mut group: Vec<Queued> = Vec::new();
            match first {
                Ok(Message::Do(job, permit)) => group.push((job, permit)),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => is_open = false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if is_open && !group.is_empty() {
                is_open = company.gather(queue, &mut group);
            }
            if !group.is_empty() {
                self.commit_group(group);
                if self.checkpointer.after_commit(&self.path) == Log::Overgrown {
                    self.restart_log();
                }
            }
            self.keep_house(if is_open { Pending::IfDue } else { Pending::Now });
            if !is_open {
                return;
            }
        }
    }

    /// How long the writer may sleep before something of its own is due; `None` without end.
    fn wait(&self) -> Option<Duration> {
        let now = (self.clock)();
        let refusals = self.refusals.due(now);
        let head = self.head_file.due(self.chain.head(), now);
        match (refusals, head) {
            (Some(refusals), Some(head)) => Some(refusals.min(head)),
            (one, other) => one.or(other),
        }
    }

    fn keep_house(&mut self, pending: Pending) {
        let now = (self.clock)();
        let is_due = |wait: Duration| pending == Pending::Now || wait.is_zero();
        if self.refusals.due(now).is_some_and(is_due) {
            self.write_counted(now);
        }
        let head = self.chain.head();
        if self.head_file.due(head, now).is_some_and(is_due)
            && let Err(error) = self.head_file.write(head, now)
        {
            tracing::warn!(%error, "audit head file could not be written");
        }
    }

    /// Writes the rows that stand for counted refusals; what cannot be written is kept for later.
    fn write_counted(&mut self, now: Timestamp) {
        let rows = self.refusals.rows();
        let written = self.begin().and_then(|()| {
            let before = self.chain.head();
            let append = |row| self.chain.append(&self.connection, row, now);
            if let Err(error) = rows.iter().try_for_each(append) {
                self.chain.restore(before);
                self.abandon();
                return Err(error.into());
            }
            self.commit(before)
        });
        match written {
            Ok(()) => self.refusals.clear(),
            Err(error) => {
                tracing::error!(%error, rows = rows.len(), "counted refusals not written yet");
                self.refusals.postpone(now);
            }
        }
    }

    fn commit_group(&mut self, mut group: Vec<Queued>) {
        if let Err(error) = self.begin() {
            return answer_all(group, &Err(error));
        }
        let before = self.chain.head();
        for (job, _) in &mut group {
            let mut context = Context {
                connection: &self.connection,
                chain: &mut self.chain,
                refusals: &mut self.refusals,
            };
            if job.run(&mut context) == Ran::GroupLost {
                self.chain.restore(before);
                return self.replay(group);
            }
        }
        let committed = self.commit(before);
        answer_all(group, &committed);
    }

    /// The engine undid the whole group: every operation has its own transaction now, so that the
    /// one that cannot be done takes no other with it.
    //= docs/threat-model.md#T22
    fn replay(&mut self, group: Vec<Queued>) {
        tracing::warn!(operations = group.len(), "the engine undid a group; replaying it singly");
        for (mut job, permit) in group {
            let committed = self.begin().and_then(|()| {
                let before = self.chain.head();
                let mut context = Context {
                    connection: &self.connection,
                    chain: &mut self.chain,
                    refusals: &mut self.refusals,
                };
                match job.run(&mut context) {
                    Ran::Grouped => self.commit(before),
                    Ran::GroupLost => {
                        self.chain.restore(before);
                        self.abandon();
                        // The operation knows why itself.
                        Ok(())
                    }
                }
            });
            job.answer(committed);
            drop(permit);
        }
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if self.is_suspect || !self.connection.is_autocommit() {
            self.renew()?;
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    fn commit(&mut self, before: AuditHead) -> Result<(), StoreError> {
        let saved =
            if self.chain.head() == before { Ok(()) } else { self.chain.save(&self.connection) };
        let committed = saved.and_then(|()| {
            let newest = watch::latest(&self.connection)?;
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(newest)
        });
        // Before the answers: whoever watches is told no later than whoever asked.
        let told = committed.map(|newest| {
            self.events.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        });
        told.map_err(|error| {
            self.chain.restore(before);
            tracing::error!(%error, "a commit failed");
            self.abandon();
            // What the engine remembers of a commit that failed may not be what is on disk.
            self.is_suspect = true;
            error.into()
        })
    }

    /// Leaves a transaction that cannot go on.
    fn abandon(&mut self) {
        let is_left =
            self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        self.is_suspect |= !is_left;
    }

    /// Opens the database again, and believes what stands in it.
    fn renew(&mut self) -> Result<(), StoreError> {
        self.is_suspect = true;
        self.abandon();
        let connection = (self.reopen)()?;
        self.chain.restore(AuditHead::stored(&connection)?);
        self.connection = connection;
        self.is_suspect = false;
        Ok(())
    }

    /// Begins the log anew when passive moves never catch up with the writes. Nobody is waited for:
    /// while a reader or the checkpoint thread is in the way, it is tried again later.
    fn restart_log(&self) {
        let moved = crate::open::restart_log(&self.connection);
        if let Err(error) = moved {
            tracing::warn!(%error, "the write-ahead log could not be begun anew");
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Pending {
    IfDue,
    Now,
}

fn answer_all(group: Vec<Queued>, committed: &Result<(), StoreError>) {
    for (job, permit) in group {
        job.answer(committed.clone());
        drop(permit);
    }
}
