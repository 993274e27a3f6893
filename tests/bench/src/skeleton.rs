//! The limit of a turn: accepted, said and ended over the same socket, with two commits of the
//! fewest rows and nothing else.

use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::{Stream, stream};
use openclaw_proto::v1;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use v1::run_event::Event;
use v1::runs_server::Runs;

use crate::bare::absent;

/// Operations of one commit at most, as in the gateway.
const GROUP: usize = 256;

/// Turns without rules, model or record of decisions.
#[derive(Debug)]
pub(crate) struct Skeleton {
    queue: Sender<Job>,
}

/// One operation on its way to the disk.
struct Job {
    write: Write,
    reply: oneshot::Sender<()>,
}

/// What a turn writes.
enum Write {
    Begin { run: String, message: String },
    End { run: String, answer: String },
}

impl Skeleton {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = open(path)?;
        let (queue, queued) = channel();
        std::thread::Builder::new().name("writer".into()).spawn(move || {
            if let Err(error) = serve(&connection, &queued) {
                eprintln!("the skeleton's writer ended: {error}");
            }
        })?;
        Ok(Self { queue })
    }
}

/// Opens a database of two tables.
pub(crate) fn open(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE runs (run_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL) STRICT;
         CREATE TABLE journal (id INTEGER PRIMARY KEY, run TEXT NOT NULL, record TEXT NOT NULL) STRICT;",
    )?;
    Ok(connection)
}

/// Writes the first half of a turn.
pub(crate) fn begin(connection: &Connection, run: &str, message: &str) -> rusqlite::Result<()> {
    in_savepoint(connection, || {
        let sql = "INSERT INTO runs VALUES (?1, 'running')";
        connection.prepare_cached(sql)?.execute([run])?;
        record(connection, run, message)
    })
}

/// Writes the second half of a turn.
pub(crate) fn end(connection: &Connection, run: &str, answer: &str) -> rusqlite::Result<()> {
    in_savepoint(connection, || {
        record(connection, run, answer)?;
        let sql = "UPDATE runs SET status = 'ok' WHERE run_id = ?1";
        connection.prepare_cached(sql)?.execute([run]).map(|_| ())
    })
}

fn record(connection: &Connection, run: &str, text: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO journal (run, record) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![run, text]).map(|_| ())
}

/// Runs one operation of a group.
pub(crate) fn in_savepoint(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.prepare_cached("SAVEPOINT op")?.execute([])?;
    work()?;
    connection.prepare_cached("RELEASE op")?.execute([]).map(|_| ())
}

/// Runs one group.
pub(crate) fn in_commit(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    work()?;
    connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
}

fn serve(connection: &Connection, queue: &Receiver<Job>) -> rusqlite::Result<()> {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP - 1));
        in_commit(connection, || {
            group.iter().try_for_each(|job| match &job.write {
                Write::Begin { run, message } => begin(connection, run, message),
                Write::End { run, answer } => end(connection, run, answer),
            })
        })?;
        for job in group {
            // Whoever asked may have gone away.
            job.reply.send(()).ok();
        }
    }
    Ok(())
}

async fn commit(queue: &Sender<Job>, write: Write) -> Result<(), Status> {
    let (reply, answered) = oneshot::channel();
    let gone = || Status::unavailable("the writer has ended");
    queue.send(Job { write, reply }).map_err(|_gone| gone())?;
    answered.await.map_err(|_gone| gone())
}

#[tonic::async_trait]
impl Runs for Skeleton {
    type StartStream = Pin<Box<dyn Stream<Item = Result<v1::RunEvent, Status>> + Send>>;

    async fn start(
        &self,
        request: Request<v1::StartRunRequest>,
    ) -> Result<Response<Self::StartStream>, Status> {
        let v1::StartRunRequest { idempotency_key: run, message, .. } = request.into_inner();
        commit(&self.queue, Write::Begin { run: run.clone(), message: message.clone() }).await?;
        let wire = |event| Ok(v1::RunEvent { event: Some(event) });
        let view = v1::Run { run_id: run.clone(), ..v1::Run::default() };
        let accepted = v1::RunAccepted { run: Some(view.clone()), existing: false };
        let said = v1::TextDelta { text: message.clone() };
        let first = stream::iter([wire(Event::Accepted(accepted)), wire(Event::Text(said))]);
        let queue = self.queue.clone();
        let last = stream::once(async move {
            commit(&queue, Write::End { run, answer: message.clone() }).await?;
            let status = v1::RunStatus::Ok.into();
            wire(Event::Final(v1::Run { status, text: message, ..view }))
        });
        Ok(Response::new(Box::pin(futures_util::StreamExt::chain(first, last))))
    }

    async fn wait(&self, _: Request<v1::WaitRunRequest>) -> Result<Response<v1::Run>, Status> {
        Err(absent())
    }

    async fn list(
        &self,
        _: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        Err(absent())
    }

    async fn abort(&self, _: Request<v1::AbortRunRequest>) -> Result<Response<v1::Run>, Status> {
        Err(absent())
    }
}
