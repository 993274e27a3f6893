//! Jobs: how late they begin when many are due at once, and what a million of them cost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::{Caller, Cause, Epoch};
use openclaw_store::{
    AddJob, AfterRun, JobDelivery, JobFilter, JobPatch, JobPlace, JobRef, JobSpec, JobTools,
    Options, Payload, Store, Switch, UpdateJob,
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
            rows.extend(looks(&store, &raw, effort).await?);
        }
        drop(operations);
        drop(first);
        store.close();
    }
    Ok(rows)
}

/// Times something again and again, and what it is beside: each once, in turns.
fn times(
    slice: Duration,
    mut ours: impl FnMut() -> anyhow::Result<()>,
    mut raw: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<[Vec<Duration>; 2]> {
    let (mut samples, until) = ([Vec::new(), Vec::new()], Instant::now() + slice);
    while Instant::now() < until {
        let [a, b] = &mut samples;
        for (what, samples) in [(&mut ours as &mut dyn FnMut() -> _, a), (&mut raw, b)] {
            let since = Instant::now();
            what()?;
            samples.push(since.elapsed());
        }
    }
    Ok(samples)
}

/// What the clockwork and people look at and change among very many.
async fn looks(store: &Store, raw: &Connection, effort: Effort) -> anyhow::Result<Vec<Row>> {
    let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> anyhow::Result<usize> {
        let mut statement = raw.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            bytes += row.get_ref(0)?.as_str().map_or(0, str::len);
        }
        Ok(count.max(usize::from(bytes > 0)))
    };
    let due = times(
        effort.slice,
        || {
            let (due, _) = store.due_jobs(now(), 256)?;
            let next = store.next_job_at()?;
            ensure!(due.is_empty() && next.is_some(), "a job is due");
            Ok(())
        },
        || {
            let sql = "SELECT spec FROM cron_jobs WHERE next_at <= ?1 ORDER BY next_at LIMIT 256";
            ensure!(count(sql, &[&now().as_millis()])? == 0, "a job is due");
            ensure!(
                count("SELECT min(next_at) FROM cron_jobs WHERE next_at IS NOT NULL", &[])? == 1
            );
            Ok(())
        },
    )?;
    let filter = JobFilter { limit: PAGE, ..JobFilter::default() };
    let pages = times(
        effort.slice,
        || {
            ensure!(store.jobs(&filter)?.jobs.len() == PAGE as usize, "a page is short");
            Ok(())
        },
        || {
            let sql = "SELECT spec, job, name, agent, owner, next_at, updated_at FROM cron_jobs
                       WHERE deleted_at IS NULL ORDER BY id DESC LIMIT ?1";
            ensure!(count(sql, &[&PAGE])? == PAGE as usize, "a page is short");
            Ok(())
        },
    )?;
    let (mut number, runtime) = (0_u64, tokio::runtime::Handle::current());
    let edits = tokio::task::block_in_place(|| {
        let mut next = 0_u64;
        times(
            effort.slice,
            || {
                number += 1;
                let patch = JobPatch {
                    payload: Some(Payload::AgentTurn { message: format!("What is new? {number}") }),
                    ..JobPatch::default()
                };
                let ask = UpdateJob {
                    job: JobRef(format!("m{}", number * 7 % MANY)),
                    patch,
                    expected: None,
                };
                let edited = runtime.block_on(store.act(&owner(), ask, now()));
                edited.map(drop).map_err(|error| anyhow!("{error:?}"))
            },
            || {
                next += 1;
                let sql = "UPDATE cron_jobs SET spec = ?2, revision = revision + 1 WHERE job = ?1";
                let spec = format!("{{\"message\":\"What is new? {next}\"}}");
                raw.prepare_cached(sql)?.execute(params![format!("m{}", next * 7 % MANY), spec])?;
                Ok(())
            },
        )
    })?;
    Ok([
        ("a look at what is due", due),
        ("a page of 50 of cron.list", pages),
        ("cron.update, one after the other", edits),
    ]
    .into_iter()
    .map(|(figure, samples)| {
        let [ours, raw] = samples.map(|mut samples| {
            samples.sort_unstable();
            let (p50, p99) = (percentile(&samples, 0.5), percentile(&samples, 0.99));
            format!("{} / {}", time(p50), time(p99))
        });
        Row::new(format!("{figure}, among 1 000 000: p50 / p99"), ours).beside(raw)
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
                   gateway that was down while 500 jobs were missed, more than a minute, is asked for a page of \
                   jobs again and again for the first fifteen seconds: what is made up for begins five seconds \
                   apart. `cron.add` is `Store::act` in this process, with its \
                   decision record and its idempotency record; the limit is the row of the job alone in raw \
                   SQLite, as many in one transaction as ours are at once (`synchronous=FULL`). A look at what \
                   is due is what the clockwork reads each time it wakes. Looks, pages and changes are beside the same \
                   in raw SQLite: the same index, seven columns, one row changed in a transaction of its own."
            .into(),
        rows,
    })
}
