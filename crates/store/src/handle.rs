//! The handle through which everything reaches the database.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use openclaw_pairing::HashKey;
use openclaw_scopes::method::Method as _;
use openclaw_scopes::{Caller, Timestamp, authorize};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::act::{Act, ActError, Ask, OnEnded, Query, Step, live_epoch};
use crate::audit::{AuditHead, AuditKey, Chain, Decision, Entry, HeadFile, Refusals, Verification};
use crate::checkpoint::Checkpointer;
use crate::error::{Fault, StoreError};
use crate::migrate::migrate;
use crate::open::{
    OpenError, Options, audit_key, checkpoint, connect, explain, limit, log_of, token_key,
};
use crate::readers::Readers;
use crate::writer::{Job, Message, Writer};

/// Mutations that wait for the writer at most; who comes later waits for a place.
const QUEUE: usize = 4096;

/// Long reads at once at most: each has a thread and a connection.
const SCANS: usize = 4;

/// The handle to a gateway's database. Cheap to clone; the last one gone closes it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

struct Inner {
    audit_key: [u8; 32],
    events: watch::Receiver<u64>,
    hash_key: HashKey,
    head_file: PathBuf,
    on_ended: Option<OnEnded>,
    path: PathBuf,
    places: Arc<Semaphore>,
    queue: Sender<Message>,
    readers: Readers,
    scans: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer may have ended before; then there is nothing left to tell it.
        drop(self.queue.send(Message::Close));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been reported, and its operations were answered `Closed`.
            drop(thread.join());
        }
    }
}

impl Store {
    /// Opens `gateway.db` in a state directory that the caller has locked, and brings its schema up
    /// to date.
    ///
    /// # Errors
    /// When the database or its key cannot be opened, made or migrated.
    pub fn open(state_dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let path = state_dir.join("gateway.db");
        let mut connection = connect(&path).map_err(|error| explain(error, state_dir))?;
        migrate(&mut connection, &path)?;
        let max_pages = options.max_pages;
        limit(&connection, max_pages)?;
        let head = AuditHead::stored(&connection).map_err(StoreError::from)?;
        let audit_key = audit_key(&state_dir.join("audit.key"), head)?;
        let chain = Chain::new(AuditKey::new(&audit_key), head);
        let head_path = state_dir.join("audit.head");
        let head_file = HeadFile::open(head_path.clone(), &connection);
        let reopen_path = path.clone();
        let newest = crate::watch::latest(&connection).map_err(StoreError::from)?;
        let (events, newest) = watch::channel(newest);
        let writer = Writer {
            chain,
            checkpointer: Checkpointer::start(path.clone())?,
            clock: Arc::clone(&options.clock),
            connection,
            events,
            head_file,
            is_suspect: false,
            reopen: Box::new(move || {
                let connection = connect(&reopen_path)?;
                limit(&connection, max_pages)?;
                Ok(connection)
            }),
            path: path.clone(),
            refusals: Refusals::default(),
        };
        let (queue, queued) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.serve(&queued))
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            audit_key,
            events: newest,
            hash_key: HashKey::new(&token_key(&state_dir.join("token.key"))?),
            head_file: head_path,
            on_ended: options.on_ended.clone(),
            readers: Readers::new(path.clone()),
            path,
            places: Arc::new(Semaphore::new(QUEUE)),
            scans: Arc::new(Semaphore::new(SCANS)),
            queue,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Decides and performs a mutation; the answer comes after it is on disk.
    ///
    /// # Errors
    /// When the caller may not, the operation says no, or the storage fails.
    pub async fn act<A: Ask>(
        &self,
        caller: &Caller,
        ask: A,
        now: Timestamp,
    ) -> Result<A::Output, ActError<A::Error>> {
        let (reply, answered) = oneshot::channel();
        let act = Act {
            caller: caller.clone(),
            ask,
            ended: RefCell::default(),
            listener: self.0.on_ended.clone(),
            now,
            noted: None,
            outcome: None,
            reply,
        };
        self.send(Box::new(act)).await?;
        answered.await.unwrap_or(Err(ActError::Store(StoreError::Closed)))
    }

    /// Performs a continuation of authorized work; the answer comes after it is on disk.
    pub(crate) async fn step<T, E, F>(&self, apply: F) -> Result<T, ActError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault<E>> + Send + 'static,
    {
        let (reply, answered) = oneshot::channel();
        self.send(Box::new(Step { apply, outcome: None, reply })).await?;
        answered.await.unwrap_or(Err(ActError::Store(StoreError::Closed)))
    }

    pub(crate) async fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let places = Arc::clone(&self.0.places);
        let permit = places.acquire_owned().await.map_err(|_closed| StoreError::Closed)?;
        self.0.queue.send(Message::Do(job, permit)).map_err(|_gone| StoreError::Closed)
    }

    /// Decides and answers a read in one snapshot, on the calling thread: for point reads. A
    /// refusal is on disk before the answer.
    ///
    /// # Errors
    /// When the caller may not, there is no such thing, or the storage fails.
    pub async fn view<Q: Query>(
        &self,
        caller: &Caller,
        query: &Q,
        now: Timestamp,
    ) -> Result<Q::Output, ActError<Q::Error>> {
        match self.read(caller, query) {
            Ok(output) => Ok(output),
            Err(refused) => Err(self.refused(refused, now).await),
        }
    }

    /// As [`Store::view`], on a thread where a long read delays nobody.
    ///
    /// # Errors
    /// When the caller may not, there is no such thing, or the storage fails.
    pub async fn scan<Q: Query>(
        &self,
        caller: &Caller,
        query: Q,
        now: Timestamp,
    ) -> Result<Q::Output, ActError<Q::Error>> {
        let (store, reader) = (self.clone(), caller.clone());
        let turn = Arc::clone(&self.0.scans).acquire_owned().await;
        let turn = turn.map_err(|_closed| StoreError::Closed)?;
        let read = tokio::task::spawn_blocking(move || {
            let read = store.read(&reader, &query);
            drop(turn);
            read
        })
        .await;
        match read {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(refused)) => Err(self.refused(refused, now).await),
            Err(_) => Err(ActError::Store(StoreError::Closed)),
        }
    }

    fn read<Q: Query>(&self, caller: &Caller, query: &Q) -> Result<Q::Output, Unread<Q::Error>> {
        self.0.readers.snapshot(|connection| {
            let live = live_epoch(connection, caller.on_behalf_of()).map_err(Fault::Store)?;
            let target = query.target(connection)?;
            match authorize::<Q::Method>(caller, target.clone(), live) {
                Ok(authorized) => Ok(query.read(connection, authorized)?),
                Err(denial) => {
                    let method = Q::Method::ROW.name;
                    let reason = denial.to_string();
                    let entry = Entry::of(caller, method, &target, Decision::Denied, reason);
                    Err(Unread { error: ActError::Denied(denial), refusal: Some(Box::new(entry)) })
                }
            }
        })
    }

    async fn refused<E>(&self, unread: Unread<E>, now: Timestamp) -> ActError<E> {
        match unread.refusal {
            None => unread.error,
            Some(entry) => match self.refuse(*entry, now).await {
                Ok(()) => unread.error,
                Err(error) => ActError::Store(error),
            },
        }
    }

    /// Runs a read of authorized work in one snapshot.
    pub(crate) fn snapshot<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.readers.snapshot(read)
    }

    /// Recomputes the audit chain; also finds out whether it passes through a `known` head.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn verify_audit(&self, known: Option<AuditHead>) -> Result<Verification, StoreError> {
        let key = AuditKey::new(&self.0.audit_key);
        self.0.readers.snapshot(|connection| {
            let verified = crate::audit::verify(connection, &key, &self.0.head_file, known);
            Ok(verified?)
        })
    }

    /// Returns where the audit chain stands on disk.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.0.readers.snapshot(|connection| Ok(AuditHead::stored(connection)?))
    }

    /// Returns the key under which secrets of tokens and invitations are hashed.
    pub fn hash_key(&self) -> &HashKey {
        &self.0.hash_key
    }

    pub(crate) fn newest_event(&self) -> watch::Receiver<u64> {
        self.0.events.clone()
    }

    /// Returns the bytes of the database file and its write-ahead log.
    pub fn size(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        size(&self.0.path).saturating_add(size(&log_of(&self.0.path)))
    }

    /// Writes what is pending, moves the log into the database and ends the writer. Whoever still
    /// asks is answered that the store is closed.
    pub fn close(self) {
        let path = self.0.path.clone();
        // INVARIANT: the inner drop joins the writer; clones that others hold find it gone.
        drop(self.0.queue.send(Message::Close));
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
        let moved = connect(&path).and_then(|connection| checkpoint(&connection, "TRUNCATE"));
        if let Err(error) = moved {
            tracing::warn!(%error, "the write-ahead log could not be moved");
        }
    }
}

/// A read that was not done, and the refusal to record when it was one.
struct Unread<E> {
    error: ActError<E>,
    refusal: Option<Box<Entry>>,
}

impl<E> From<StoreError> for Unread<E> {
    fn from(error: StoreError) -> Self {
        Self { error: error.into(), refusal: None }
    }
}

impl<E> From<Fault<E>> for Unread<E> {
    fn from(fault: Fault<E>) -> Self {
        Self { error: fault.into(), refusal: None }
    }
}
