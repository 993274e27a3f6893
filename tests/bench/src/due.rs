//! Jobs that are due: how late they begin, what catching up costs others, and what waiting costs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openclaw_client::v1::cron_client::CronClient;
use openclaw_client::v1::job_payload::What;
use openclaw_client::v1::schedule::When;
use openclaw_client::{Client, Transport, v1};

use crate::place::Place;
use crate::process::Server;
use crate::statistics::percentile;
use crate::table::{Met, Row, time};
use crate::writes::now;

/// Jobs that are due in the same second, and those that wait.
const TOGETHER: usize = 1_000;
/// Jobs that are due one after the other, and how far apart: a hundred in a second.
const STEADY: usize = 1_000;
const APART: i64 = 10;
/// Jobs that are due in the same second, to see what that does to others.
const CROWD: usize = 10_000;
/// How long a gateway is watched that catches up.
const CATCHING_UP: Duration = Duration::from_secs(15);
/// Jobs that were due while the gateway was down.
const OVERDUE: usize = 500;
/// How long before the first is due jobs are added.
const AHEAD: i64 = 8_000;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a gateway is watched that waits.
const WATCH: Duration = Duration::from_secs(60);

/// Adds one job that is due once, at an instant in milliseconds.
async fn add(mut cron: CronClient<Transport>, name: String, at: i64) -> anyhow::Result<()> {
    let at = prost_types::Timestamp {
        seconds: at.div_euclid(1_000),
        nanos: i32::try_from(at.rem_euclid(1_000))? * 1_000_000,
    };
    let spec = v1::JobSpec {
        name: Some(name.clone()),
        schedule: Some(v1::Schedule { when: Some(When::At(at)), ..Default::default() }),
        payload: Some(v1::JobPayload { what: Some(What::AgentTurn("What is due?".into())) }),
        ..Default::default()
    };
    let request = v1::AddJobRequest { idempotency_key: name, key: String::new(), spec: Some(spec) };
    cron.add(request).await?;
    Ok(())
}

/// Adds so many jobs, the first of which is due in [`AHEAD`] and each `apart` after the one before.
async fn add_all(client: &Client, count: usize, ahead: i64, apart: i64) -> anyhow::Result<i64> {
    let first = now().as_millis() + ahead;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        let at = first + i64::try_from(n)? * apart;
        tasks.spawn(add(client.cron(), format!("due-{n}"), at));
    }
    while let Some(added) = tasks.join_next().await {
        added??;
    }
    Ok(first)
}

async fn occurrences(client: &Client) -> anyhow::Result<Vec<v1::Occurrence>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            v1::ListOccurrencesRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = client.cron().runs(request).await?.into_inner();
        all.extend(page.occurrences);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// Asks for a page of jobs so many times; returns how long each took.
async fn list(client: &Client, times: u32, samples: &mut Vec<Duration>) -> anyhow::Result<()> {
    for _ in 0..times {
        let since = Instant::now();
        let request = v1::ListJobsRequest { page_size: 50, ..Default::default() };
        client.cron().list(request).await?;
        samples.push(since.elapsed());
    }
    Ok(())
}

/// Returns how late each of so many began, in order; `None` while some have not.
fn late(page: &[v1::Occurrence], count: usize) -> Option<Vec<Duration>> {
    let nanos =
        |at: &prost_types::Timestamp| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    let late = page.iter().map(|it| {
        let (due, began) = (it.scheduled_at.as_ref()?, it.started_at.as_ref()?);
        Some(Duration::from_nanos((nanos(began) - nanos(due)).max(0) as u64))
    });
    let mut late: Vec<_> = late.collect::<Option<_>>()?;
    late.sort_unstable();
    (late.len() >= count).then_some(late)
}

/// Has jobs be due, so far apart, and looks how late each began.
async fn lateness(
    place: &Place,
    name: &str,
    count: usize,
    apart: i64,
) -> anyhow::Result<(String, Duration)> {
    let server = Server::gateway(place, &place.state(name)?).await?;
    let client = server.connect().await?;
    let first = add_all(&client, count, AHEAD, apart).await?;
    ensure!(now().as_millis() < first, "the jobs were added too slowly");
    let limit = Instant::now() + PATIENCE;
    let late = loop {
        if let Some(late) = late(&occurrences(&client).await?, count) {
            break late;
        }
        ensure!(Instant::now() < limit, "the jobs have not begun within a minute");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let (p50, p99) = (percentile(&late, 0.5), percentile(&late, 0.99));
    let most = late.last().copied().unwrap_or_default();
    Ok((format!("{} / {} / {}", time(p50), time(p99), time(most)), p99))
}

/// Has very many be due in the same second, and asks for a page of jobs again and again until all have begun.
async fn crowd(place: &Place) -> anyhow::Result<Row> {
    let server = Server::gateway(place, &place.state("jobs-crowd")?).await?;
    let client = server.connect().await?;
    let first = add_all(&client, CROWD, AHEAD, 0).await?;
    ensure!(now().as_millis() < first, "the jobs were added too slowly");
    let until = u64::try_from(first - now().as_millis()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(until)).await;
    let (limit, mut samples) = (Instant::now() + PATIENCE, Vec::new());
    let late = loop {
        list(&client, 100, &mut samples).await?;
        if let Some(late) = late(&occurrences(&client).await?, CROWD) {
            break late;
        }
        ensure!(Instant::now() < limit, "the jobs have not begun within a minute");
    };
    samples.sort_unstable();
    let most = late.last().copied().unwrap_or_default();
    let p99 = percentile(&samples, 0.99);
    let figure =
        "10 000 due in one second: the last has begun late by; a page of cron.list meanwhile p99";
    Ok(Row::new(figure, format!("{}; {}", time(most), time(p99))))
}

/// Has a gateway start after many were missed, and asks it for a page of jobs again and again meanwhile.
async fn catching_up(place: &Place) -> anyhow::Result<Row> {
    let state = place.state("jobs-overdue")?;
    let server = Server::gateway(place, &state).await?;
    let client = server.connect().await?;
    let due = add_all(&client, OVERDUE, AHEAD / 2, 0).await?;
    drop(client);
    server.stop()?;
    // What is not late by more than a minute was not missed.
    let until = u64::try_from(due + 61_000 - now().as_millis()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(until)).await;
    let server = Server::gateway(place, &state).await?;
    let client = server.connect().await?;
    // They begin five seconds apart, so that all of it takes three quarters of an hour.
    let (limit, mut samples) = (Instant::now() + CATCHING_UP, Vec::new());
    while Instant::now() < limit {
        list(&client, 20, &mut samples).await?;
    }
    let rows = occurrences(&client).await?;
    let begun = rows.iter().filter(|row| row.started_at.is_some()).count();
    ensure!(
        rows.len() == OVERDUE && (5..50).contains(&begun),
        "{} rows, {begun} begun",
        rows.len()
    );
    samples.sort_unstable();
    let (p50, p99) = (percentile(&samples, 0.5), percentile(&samples, 0.99));
    let figure = "a page of cron.list after a start with 500 missed: p50 / p99";
    let met = Met::when(p99 <= Duration::from_millis(50));
    Ok(Row::new(figure, format!("{} / {}", time(p50), time(p99))).aim("p99 ≤ 50 ms", met))
}

/// Watches a gateway whose jobs are due tomorrow.
async fn waiting(place: &Place) -> anyhow::Result<Row> {
    const DAY: i64 = 86_400_000;
    let server = Server::gateway(place, &place.state("jobs-waiting")?).await?;
    let client = server.connect().await?;
    add_all(&client, TOGETHER, DAY, 0).await?;
    drop(client);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = server.look()?;
    tokio::time::sleep(WATCH).await;
    let wakeups = server.look()?.wakeups - before.wakeups;
    let figure = "wake-ups in a minute with 1 000 jobs, none of them due";
    Ok(Row::new(figure, wakeups.to_string()).aim("0", Met::when(wakeups == 0)))
}

pub(crate) async fn measure(place: &Place) -> anyhow::Result<Vec<Row>> {
    let (shown, p99) = lateness(place, "jobs-due", TOGETHER, 0).await.context("lateness")?;
    let figure = "1 000 due in one second, begun late by: p50 / p99 / max";
    let together =
        Row::new(figure, shown).aim("p99 ≤ 50 ms", Met::when(p99 <= Duration::from_millis(50)));
    let (shown, _) = lateness(place, "jobs-steady", STEADY, APART).await.context("steady")?;
    let steady = Row::new("100 due in each second, begun late by: p50 / p99 / max", shown);
    let crowd = crowd(place).await.context("a crowd")?;
    let catching_up = catching_up(place).await.context("catching up")?;
    Ok(vec![together, steady, crowd, catching_up, waiting(place).await.context("waiting")?])
}
