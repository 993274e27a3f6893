//! Jobs: how late they begin when many are due at once, and what a million of them cost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::{Caller, Cause, Epoch};
use openclaw_store::{
    AddJob, AfterRun, JobDelivery, JobFilter, JobPlace, JobSpec, JobTools, Options, Payload, Store,
    Switch,
};
use rusqlite::{Connection, params};

use crate::load::{Duel, Operation, Sample, run};
use crate::place::Place;
use crate::statistics::percentile;
use crate::table::{Aim, Row, Section, time};
use crate::writes::now;
use crate::{Effort, due};

/// Who adds them at once.
const WRITERS: usize = 32;
/// Jobs that are there while others are added.
const MANY: u64 = 1_000_000;
/// Rows of a page.
const PAGE: u32 = 50;

fn owner() -> Caller {
    Caller::assertion(1000, Cause::Process { pid: 4242 }, Epoch(1))
}

fn open(state: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(state, &Options::new(Arc::new(now)))?)
}

/// A job that is not due while something is measured.
fn spec(name: String) -> anyhow::Result<JobSpec> {
    Ok(JobSpec {
        name,
        agent: "main".parse()?,
        rules: Rules {
            schedule: Schedule::every(Duration::from_secs(86_400), now())?,
            stagger: Duration::ZERO,
            active: None,
            catch_up: CatchUp::Last,
        },
        payload: Payload::AgentTurn { message: "What is there to do today?".into() },
        place: JobPlace::Isolated,
        model: String::new(),
        tools: JobTools::All,
        timeout: Duration::ZERO,
        max_tokens: 0,
        after_run: AfterRun::Keep,
        delivery: JobDelivery::Conversation,
    })
}

/// Adds one job after the other.
struct Adding {
    store: Store,
    name: String,
    done: u64,
}

impl Operation for Adding {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let id = format!("{}-{}", self.name, self.done);
        self.done += 1;
        let ask = AddJob {
            idempotency_key: id.parse()?,
            request_digest: [7; 32],
            id: id.parse()?,
            key: String::new(),
            spec: spec(id)?,
            switch: Switch::On,
            created_in: None,
            reply_to: String::new(),
        };
        let added = self.store.act(&owner(), ask, now()).await;
        added.map(drop).map_err(|error| anyhow!("{error:?}"))
    }
}

const INSERT: &str = "INSERT INTO cron_jobs (job, key, name, agent, owner, scopes, created_in,
        reply_to, spec, created_at, updated_at, next_at)
    VALUES (?1, '', ?1, 'main', 'owner', 'operator.admin', '', '', ?2, 0, 0, ?3)";

/// What a job is, as it stands in the row of one that was added.
fn stored(connection: &Connection) -> anyhow::Result<String> {
    let sql = "SELECT spec FROM cron_jobs LIMIT 1";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Inserts rows of jobs, as many in one transaction as there are writers.
fn insert_raw(
    connection: &Connection,
    spec: &str,
    from: &mut u64,
    slice: Duration,
) -> anyhow::Result<Sample> {
    let (begun, mut answers) = (Instant::now(), Vec::new());
    while begun.elapsed() < slice {
        let since = Instant::now();
        let tx = connection.unchecked_transaction()?;
        for _ in 0..WRITERS {
            *from += 1;
            let far = now().as_millis() + 86_400_000;
            tx.prepare_cached(INSERT)?.execute(params![format!("raw-{from}"), spec, far])?;
        }
        tx.commit()?;
        answers.extend(std::iter::repeat_n(since.elapsed(), WRITERS));
    }
    Ok(Sample::of(answers, begun.elapsed()))
}

/// Adds jobs to a store with none and to one with very many, beside the same rows in raw SQLite.
async fn adds(place: &Place, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (words, many) in [("none", 0), ("1 000 000", MANY)] {
        let (state, beside) =
            (place.state(&format!("jobs-{many}"))?, place.state(&format!("jobs-raw-{many}"))?);
        let store = open(&state)?;
        let mut first = Adding { store: store.clone(), name: "first".into(), done: 0 };
        first.perform().await?;
        open(&beside)?.close();
        let ours = Connection::open(state.join("gateway.db"))?;
        ours.busy_timeout(Duration::from_secs(60))?;
        let raw = Connection::open(beside.join("gateway.db"))?;
        raw.pragma_update(None, "synchronous", "FULL")?;
        let spec = stored(&ours)?;
        for connection in [&ours, &raw] {
            let tx = connection.unchecked_transaction()?;
            for number in 0..many {
                let far = now().as_millis() + 86_400_000;
                tx.prepare_cached(INSERT)?.execute(params![format!("m{number}"), spec, far])?;
            }
            tx.execute("UPDATE cron_totals SET jobs = jobs + ?1", [many])?;
            tx.commit()?;
        }
        let adding = |n| Adding { store: store.clone(), name: format!("w{n}"), done: 0 };
        let mut operations = (0..WRITERS).map(adding).collect::<Vec<_>>();
        let (mut duel, mut from) = (Duel::default(), 0);
        for _ in 0..effort.rounds {
            let sample;
            (operations, sample) = run(operations, effort.slice).await?;
            let limit =
                tokio::task::block_in_place(|| insert_raw(&raw, &spec, &mut from, effort.slice))?;
            duel.push(sample, limit);
        }
        let figure = format!("cron.add, {WRITERS} at once, among {words}");
        rows.extend(Row::of_duel(&figure, &duel, Aim::Rate(5_000.0)));
        if many > 0 {
            rows.extend(looks(&store, effort).await?);
        }
        drop(operations);
        drop(first);
        store.close();
    }
    Ok(rows)
}

/// What the clockwork and people look at among very many.
async fn looks(store: &Store, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut samples = Vec::new();
    let mut pages = Vec::new();
    let filter = JobFilter { limit: PAGE, ..JobFilter::default() };
    let until = Instant::now() + effort.slice;
    while Instant::now() < until {
        let since = Instant::now();
        let (due, _) = store.due_jobs(now(), 256)?;
        let next = store.next_job_at()?;
        ensure!(due.is_empty() && next.is_some(), "a job is due");
        samples.push(since.elapsed());
        let since = Instant::now();
        let page = store.jobs(&filter)?;
        ensure!(page.jobs.len() == PAGE as usize, "a page is short");
        pages.push(since.elapsed());
    }
    Ok([("a look at what is due", samples), ("a page of 50 of cron.list", pages)]
        .into_iter()
        .map(|(figure, mut samples)| {
            samples.sort_unstable();
            let (p50, p99) = (percentile(&samples, 0.5), percentile(&samples, 0.99));
            let figure = format!("{figure}, among 1 000 000: p50 / p99");
            Row::new(figure, format!("{} / {}", time(p50), time(p99)))
        })
        .collect())
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let mut rows = due::measure(place).await?;
    rows.extend(adds(place, effort).await.context("adds")?);
    Ok(Section {
        name: "jobs",
        title: "Jobs",
        measured: "1 000 jobs that are due once are added over the wire, all for the same second; how late each \
                   began is the difference of the two instants in its row of the ledger, of which the second is \
                   written in the same step as its run. The same of jobs that are due ten milliseconds apart. A \
                   gateway that was down while 500 jobs were due is asked for a page of jobs, again and again, \
                   until the last of them has ended. `cron.add` is `Store::act` in this process, with its \
                   decision record and its idempotency record; the limit is the row of the job alone in raw \
                   SQLite, as many in one transaction as ours are at once (`synchronous=FULL`). A look at what \
                   is due is what the clockwork reads each time it wakes."
            .into(),
        rows,
    })
}
