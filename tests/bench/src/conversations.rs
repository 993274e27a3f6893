//! Many conversations, long ones, and delegation: beside the same rows in raw SQLite, and a skeleton.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use openclaw_client::v1::runs_client::RunsClient;
use openclaw_client::v1::subagents_client::SubagentsClient;
use openclaw_client::{Client, Transport, v1};
use openclaw_scopes::{Caller, Cause, Epoch, RunId, SessionKey};
use openclaw_sessions::{AssistantMessage, Record, SendRules, Usage};
use openclaw_store::{
    AcceptRun, Accepted, Archive, DeleteSession, Ending, Options, Precedence, SessionFilter, Store,
};
use rusqlite::{Connection, params};

use crate::Effort;
use crate::costs;
use crate::load::{Duel, Operation, Sample, run_on};
use crate::place::Place;
use crate::process::Server;
use crate::table::{Aim, Met, Row, Section, time};
use crate::turns::Turn;
use crate::writes::now;

/// Conversations that are there while pages are read.
const MANY: u64 = 100_000;
/// Entries of a conversation that is deleted: as many as are removed with the decision.
const ENTRIES: usize = 200;
/// Rows of a page.
const PAGE: u32 = 50;

/// A task is delegated, and waited for.
struct Child {
    subagents: SubagentsClient<Transport>,
    runs: RunsClient<Transport>,
    name: String,
    done: u64,
}

impl Child {
    async fn new(client: &Client, name: String) -> anyhow::Result<Self> {
        let create = v1::CreateSessionRequest {
            idempotency_key: name.clone(),
            key: format!("explicit:{name}"),
            ..v1::CreateSessionRequest::default()
        };
        client.sessions().create(create).await?;
        Ok(Self { subagents: client.subagents(), runs: client.runs(), name, done: 0 })
    }
}

impl Operation for Child {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let key = format!("{}-{}", self.name, self.done);
        self.done += 1;
        let request = v1::SpawnRequest {
            idempotency_key: key.clone(),
            session_key: format!("explicit:{}", self.name),
            task: "What is there to do today?".into(),
            ..v1::SpawnRequest::default()
        };
        self.subagents.spawn(request).await?;
        let run = self.runs.wait(v1::WaitRunRequest { run_id: key, timeout: None }).await?;
        let run = run.into_inner();
        ensure!(run.status() == v1::RunStatus::Ok, "a sub-agent failed: {}", run.error);
        Ok(())
    }
}

fn owner() -> Caller {
    Caller::assertion(1000, Cause::Process { pid: 4242 }, Epoch(1))
}

fn open(state: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(state, &Options::new(Arc::new(now)))?)
}

fn raw(state: &Path) -> anyhow::Result<Connection> {
    // The store makes the schema; what follows is raw.
    open(state)?.close();
    let connection = Connection::open(state.join("gateway.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// The key of a conversation, and the record of which it is full.
fn key(number: u64) -> String {
    format!("agent:main:explicit:c{number}")
}

fn record() -> Record {
    Record::UserMessage { text: "What is there to do today? Nothing, as yesterday.".repeat(4) }
}

async fn fill(store: &Store, number: u64) -> anyhow::Result<()> {
    let accept = AcceptRun {
        run: RunId::parse(&format!("r{number}"))?,
        request_digest: [7; 32],
        session: SessionKey::parse(&key(number))?,
        message: "What is there to do today?".into(),
        timeout: None,
        precedence: Precedence::Start,
        reply_to: String::new(),
        queue: openclaw_sessions::QueueMode::Followup,
        dropped: openclaw_sessions::Dropped::default(),
        join: None,
        fresh_since: None,
    };
    let accepted = store.act(&owner(), accept, now()).await.map_err(|it| anyhow!("{it:?}"))?;
    let Accepted::Started(started) = accepted else { anyhow::bail!("a run did not start") };
    let records = vec![record(); ENTRIES - 3];
    let wrong = |error| anyhow!("{error:?}");
    store.append(&started.fence, records, now()).await.map_err(wrong)?;
    let ending = Ending {
        terminal: started.running.finish(),
        answer: Some(AssistantMessage::default()),
        error: String::new(),
        usage: Usage::default(),
        send_rules: SendRules::default(),
    };
    store.end_run(&started.fence, ending, now()).await.map_err(wrong).map(drop)
}

/// Deletes conversations one after the other, ours and raw in turns.
async fn deletes(place: &Place, effort: Effort) -> anyhow::Result<Duel> {
    let (state, beside) = (place.state("deletes")?, place.state("deletes-raw")?);
    let store = open(&state)?;
    let raw = raw(&beside)?;
    let each = 50;
    let mut duel = Duel::default();
    for round in 0..effort.rounds as u64 {
        let numbers = (round * each..(round + 1) * each).collect::<Vec<_>>();
        for number in &numbers {
            fill(&store, *number).await?;
            fill_raw(&raw, *number)?;
        }
        let (begun, mut answers) = (Instant::now(), Vec::new());
        for number in &numbers {
            let from = Instant::now();
            let ask = DeleteSession {
                key: SessionKey::parse(&key(*number))?,
                archive: Archive::Drop,
                unused_since: None,
            };
            let deleted = store.act(&owner(), ask, now()).await;
            let deleted = deleted.map_err(|error| anyhow!("{error:?}"))?;
            ensure!(deleted.left.is_none() && deleted.entries == ENTRIES as u64, "{deleted:?}");
            answers.push(from.elapsed());
        }
        let ours = Sample::of(answers, begun.elapsed());
        let limit = tokio::task::block_in_place(|| delete_raw(&raw, &numbers))?;
        duel.push(ours, limit);
    }
    store.close();
    Ok(duel)
}

fn fill_raw(connection: &Connection, number: u64) -> anyhow::Result<()> {
    let tx = connection.unchecked_transaction()?;
    let (key, at, text) = (key(number), now().as_millis(), serde_text()?);
    let sql = "INSERT INTO sessions (key, agent, owner, created_at, updated_at, entries)
               VALUES (?1, 'main', 'owner', ?2, ?2, ?3)";
    tx.prepare_cached(sql)?.execute(params![key, at, ENTRIES])?;
    let session = tx.last_insert_rowid();
    let sql = "INSERT INTO runs (run_id, session, on_behalf_of, grant_epoch, grant_scopes,
                   request_digest, status, timeout_ms, accepted_at, ended_at)
               VALUES (?1, ?2, 'owner', 1, 'operator.admin', zeroblob(32), 'ok', 0, ?3, ?3)";
    tx.prepare_cached(sql)?.execute(params![format!("r{number}"), session, at])?;
    let run = tx.last_insert_rowid();
    for entry in 1..=ENTRIES {
        let sql = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.prepare_cached(sql)?.execute(params![session, entry, run, at, text])?;
    }
    Ok(tx.commit()?)
}

fn serde_text() -> anyhow::Result<String> {
    let Record::UserMessage { text } = record() else { anyhow::bail!("another record") };
    Ok(format!("{{\"type\":\"userMessage\",\"text\":\"{text}\"}}"))
}

fn delete_raw(connection: &Connection, numbers: &[u64]) -> anyhow::Result<Sample> {
    let (begun, mut answers) = (Instant::now(), Vec::new());
    for number in numbers {
        let from = Instant::now();
        let tx = connection.unchecked_transaction()?;
        let sql = "SELECT id FROM sessions WHERE key = ?1";
        let session: i64 = tx.prepare_cached(sql)?.query_row([key(*number)], |row| row.get(0))?;
        for sql in [
            "DELETE FROM journal WHERE session = ?1",
            "DELETE FROM runs WHERE session = ?1",
            "DELETE FROM sessions WHERE id = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([session])?;
        }
        tx.commit()?;
        answers.push(from.elapsed());
    }
    Ok(Sample::of(answers, begun.elapsed()))
}

/// Reads pages of a store with very many conversations.
async fn pages(place: &Place, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let state = place.state("pages")?;
    let connection = raw(&state)?;
    let tx = connection.unchecked_transaction()?;
    for number in 0..MANY {
        let sql = "INSERT INTO sessions (key, agent, owner, created_at, updated_at)
                   VALUES (?1, 'main', 'owner', ?2, ?2)";
        tx.prepare_cached(sql)?.execute(params![key(number), 1_000 + number])?;
    }
    tx.commit()?;
    drop(connection);
    let store = open(&state)?;
    let beside = Connection::open(state.join("gateway.db"))?;
    let mut rows = Vec::new();
    for (figure, skip, aim) in
        [("first page", 0, Some(Duration::from_millis(2))), ("deep page", MANY / 2, None)]
    {
        let mut filter = SessionFilter { limit: PAGE, ..SessionFilter::default() };
        let mut before = i64::MAX;
        if skip > 0 {
            before = (1_000 + skip) as i64;
            filter.after = Some(openclaw_store::SessionCursor {
                updated_at: openclaw_scopes::Timestamp::from_millis(before),
                rowid: 0,
            });
        }
        let mut duel = Duel::default();
        for _ in 0..effort.rounds {
            let until = Instant::now() + effort.slice;
            let (begun, mut answers) = (Instant::now(), Vec::new());
            while Instant::now() < until {
                let from = Instant::now();
                let page = store.view(&owner(), &filter, now()).await;
                let page = page.map_err(|error| anyhow!("{error:?}"))?;
                ensure!(page.sessions.len() == PAGE as usize, "a page is short");
                answers.push(from.elapsed());
            }
            let ours = Sample::of(answers, begun.elapsed());
            let limit = tokio::task::block_in_place(|| read_raw(&beside, before, effort.slice))?;
            duel.push(ours, limit);
        }
        let name = format!("sessions.list, {figure} of {PAGE} among 100 000");
        let mut own = Row::of_duel(&name, &duel, Aim::None);
        if let (Some(most), Some(row)) = (aim, own.get_mut(1)) {
            let met = Met::when(duel.ours().p50 <= most);
            *row = row.clone().aim(format!("p50 ≤ {}", time(most)), met);
        }
        rows.extend(own);
    }
    store.close();
    Ok(rows)
}

fn read_raw(connection: &Connection, before: i64, slice: Duration) -> anyhow::Result<Sample> {
    let until = Instant::now() + slice;
    let (begun, mut answers) = (Instant::now(), Vec::new());
    while Instant::now() < until {
        let from = Instant::now();
        let sql = "SELECT id, key, agent, owner, label, created_at, updated_at FROM sessions
                   WHERE deleted_at IS NULL AND archived_at IS NULL AND updated_at < ?1
                   ORDER BY updated_at DESC, id DESC LIMIT ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(6)?))
        };
        let rows = statement.query_map(params![before, PAGE], read)?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        ensure!(rows.len() == PAGE as usize, "a raw page is short");
        answers.push(from.elapsed());
    }
    Ok(Sample::of(answers, begun.elapsed()))
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    let ours = Server::delegating_gateway(place, &place.state("children")?).await?;
    let limit = Server::bare(place, &place.state("children-bare")?).await?;
    for (parents, aim) in [(1, Aim::None), (8, Aim::None), (64, Aim::Rate(1000.0))] {
        let client = (ours.connect().await?, limit.connect().await?);
        let mut children = Vec::new();
        for n in 0..parents {
            children.push(Child::new(&client.0, format!("p{parents}-{n}")).await?);
        }
        let mut turns = (0..parents)
            .map(|n| Turn::new(&client.1, format!("c{parents}-{n}")))
            .collect::<Vec<_>>();
        let mut duel = Duel::default();
        for _ in 0..effort.rounds {
            let (sample, bound);
            (children, sample) = run_on(&ours, children, effort.slice).await?;
            (turns, bound) = run_on(&limit, turns, effort.slice).await?;
            duel.push(sample, bound);
        }
        rows.extend(Row::of_duel(&format!("sub-agents, {parents} parents"), &duel, aim));
    }
    drop((ours, limit));
    let duel = deletes(place, effort).await.context("deletes")?;
    let figure = format!("sessions.delete, {ENTRIES} entries");
    let mut own = Row::of_duel(&figure, &duel, Aim::None);
    if let Some(row) = own.get_mut(1) {
        let met = Met::when(duel.ours().p50 <= Duration::from_millis(2));
        *row = row.clone().aim("p50 ≤ 2 ms", met);
    }
    rows.extend(own);
    rows.extend(pages(place, effort).await.context("pages")?);
    rows.push(costs::live_runs(place).await.context("live runs")?);
    rows.push(costs::amplification(place).await.context("a long conversation")?);
    Ok(Section {
        name: "conversations",
        title: "Conversations and sub-agents",
        measured: format!(
            "Sub-agents: each of so many conversations delegates a task over the wire, waits for its end \
             and delegates the next; the built-in model answers. Beside the sub-agent's own run that is a \
             conversation made, an edge and a notice written, and a turn of the parent that is told. The \
             limit is one turn of the skeleton (see *Agent turns*) for each. `sessions.delete` is \
             `Store::act` in this process, with its decision record, on conversations of {ENTRIES} entries; \
             the limit is the same rows in raw SQLite, one transaction each (`synchronous=FULL`). Pages are \
             read with the decision by `Store::view`; the limit selects seven columns of as many rows. The \
             answer of a sub-agent is one piece: what one took is from the request to delegate until after its \
             first token. Bytes written are those that the kernel counts for the process, whole pages of the \
             log and its move into the database with them; the limit is the skeleton."
        ),
        rows,
    })
}
