//! Durable mutations of the store in this process, beside the same statements in raw SQLite.

mod raw;

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, ensure};
use openclaw_scopes::{Caller, Cause, Epoch, IdempotencyKey, SessionKey, Timestamp};
use openclaw_store::{CreateSession, Options, Store};
use rusqlite::Connection;

use self::raw::Raw;
use crate::Effort;
use crate::load::{Duel, Operation, run};
use crate::place::Place;
use crate::table::{Aim, Row, Section};

/// Opens one conversation after another.
struct Create {
    store: Store,
    caller: Caller,
    name: String,
    done: u64,
}

impl Operation for Create {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let name = format!("{}-{}", self.name, self.done);
        self.done += 1;
        let ask = CreateSession {
            idempotency_key: IdempotencyKey::parse(&name)?,
            request_digest: [7; 32],
            key: SessionKey::parse(&format!("agent:main:{name}"))?,
            label: String::new(),
        };
        let created = self.store.act(&self.caller, ask, now()).await;
        created.map(drop).map_err(|error| anyhow!("{error:?}"))
    }
}

/// The present time.
pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

fn open(state: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(state, &Options::new(Arc::new(now)))?)
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let mut rows = Vec::new();
    for writers in [1, 16, 64] {
        let state = place.state(&format!("writes-{writers}"))?;
        let store = open(&state)?;
        let beside = place.state(&format!("writes-raw-{writers}"))?;
        // The store makes the schema; what follows is raw.
        open(&beside)?.close();
        let mut raw = Raw::open(&beside.join("gateway.db"))?;
        let caller = Caller::assertion(1000, Cause::Process { pid: 4242 }, Epoch(1));
        let mut workers = (0..writers)
            .map(|n| Create {
                store: store.clone(),
                caller: caller.clone(),
                name: format!("w{n}"),
                done: 0,
            })
            .collect::<Vec<_>>();
        let mut duel = Duel::default();
        (workers, _) = run(workers, effort.slice / 4).await?;
        tokio::task::block_in_place(|| raw.run(writers, effort.slice / 4))?;
        for _ in 0..effort.rounds {
            let sample;
            (workers, sample) = run(workers, effort.slice).await?;
            let limit = tokio::task::block_in_place(|| raw.run(writers, effort.slice))?;
            duel.push(sample, limit);
        }
        drop(workers);
        store.close();
        compare(&state.join("gateway.db"), &beside.join("gateway.db"))?;
        let figure = format!("durable mutations, {writers} at once");
        let aim = if writers > 1 { Aim::Share(0.8) } else { Aim::None };
        rows.extend(Row::of_duel(&figure, &duel, aim));
    }
    Ok(Section {
        name: "writes",
        title: "Durable mutations",
        measured: "`sessions.create` through `Store::act` in this process, from 1, 16 and 64 \
                   closed loops, each answered after the commit with its audit and idempotency \
                   rows (`synchronous=FULL`); a commit takes what is queued when it begins. The limit is one thread that runs the same statements \
                   on the same schema, a savepoint for each operation, in commits of exactly 1, 16 \
                   and 64 operations; it checks no authority and computes no HMAC, and moves its \
                   log as SQLite does by default. The rows of both \
                   databases are compared afterwards."
            .into(),
        rows,
    })
}

/// Fails unless an operation left the same rows in both databases.
fn compare(ours: &Path, raw: &Path) -> anyhow::Result<()> {
    let shape = |path: &Path| -> anyhow::Result<[u64; 2]> {
        let connection = Connection::open(path)?;
        let count = |table| -> rusqlite::Result<u64> {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
        };
        let sessions = count("sessions")?;
        ensure!(sessions > 0, "nothing was written");
        Ok([count("audit")? - sessions, count("idempotency")? - sessions])
    };
    let (ours, raw) = (shape(ours)?, shape(raw)?);
    ensure!(ours == raw, "the raw statements are not the store's any more: {ours:?} {raw:?}");
    Ok(())
}
