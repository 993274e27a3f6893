//! What a run at work and a long conversation cost: memory, and bytes written to the disk.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openclaw_client::v1::run_event::Event;
use openclaw_client::{Client, v1};

use crate::load::Operation as _;
use crate::place::Place;
use crate::process::Server;
use crate::table::Row;
use crate::turns::Turn;

/// Runs that are at work at once.
const LIVE: u64 = 256;
/// Turns of the long conversation, and of each of its parts that are compared.
const TURNS: u64 = 1_000;
const PART: u64 = 100;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Begins a run whose answer never comes to its end here; returns it as soon as it has begun to speak.
async fn begin(client: &Client, number: u64) -> anyhow::Result<tonic::Streaming<v1::RunEvent>> {
    let request = v1::StartRunRequest {
        idempotency_key: format!("live-{number}"),
        message: "What is there to do today?".into(),
        session_key: format!("explicit:live-{number}"),
        ..v1::StartRunRequest::default()
    };
    let mut events = client.runs().start(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        if matches!(event.event, Some(Event::Text(_))) {
            return Ok(events);
        }
    }
    anyhow::bail!("a run ended before it spoke")
}

/// Has many runs be at work, and looks at what each of them takes.
pub(crate) async fn live_runs(place: &Place) -> anyhow::Result<Row> {
    let state = place.state("live")?;
    let script = state.join("script.toml");
    // It speaks for a minute, a word at a time.
    let reply =
        "[[reply]]\ntext = \"Quite a lot, and it takes its time.\"\nchunks = 40\ndelayMs = 1500\n";
    std::fs::write(&script, reply)?;
    let config = format!(
        "agents.defaults.maxConcurrent = {LIVE}\nmodels.providers.offline.api = \"offline\"\n\
         models.providers.offline.script = \"{}\"\n\
         agents.defaults.model.primary = \"offline/offline\"\n",
        script.display()
    );
    let server = Server::configured(place, &state, &config).await?;
    let client = server.connect().await?;
    // What the first of them brings in is not what one costs.
    let mut runs = vec![begin(&client, LIVE).await?];
    let before = server.look()?;
    let mut begun = tokio::task::JoinSet::new();
    for number in 0..LIVE - 1 {
        let client = client.clone();
        begun.spawn(async move { begin(&client, number).await });
    }
    while let Some(run) = begun.join_next().await {
        runs.push(run??);
    }
    let after = server.look()?;
    let each = after.rss.saturating_sub(before.rss) as f64 / (LIVE - 1) as f64;
    let figure =
        format!("memory of a run at work, {LIVE} at once, each in a conversation of its own");
    Ok(Row::new(figure, format!("{each:.1} KB")))
}

/// Has one conversation grow; returns how many bytes were written for a turn, at its beginning and at its end.
async fn written(server: &Server, client: &Client, name: &str) -> anyhow::Result<[f64; 2]> {
    let mut turn = Turn::of_one_conversation(client, name.to_owned());
    let (limit, mut parts) = (Instant::now() + PATIENCE, Vec::new());
    for number in 0..TURNS {
        if number == 0 || number == TURNS - PART {
            parts.push(server.written()?);
        }
        turn.perform().await?;
        if number == PART - 1 || number == TURNS - 1 {
            parts.push(server.written()?);
        }
        ensure!(Instant::now() < limit, "{number} turns took a minute");
    }
    let [a, b, c, d] = parts[..] else { anyhow::bail!("four looks") };
    let each = |from: u64, to: u64| to.saturating_sub(from) as f64 / PART as f64;
    Ok([each(a, b), each(c, d)])
}

/// Writes a long conversation, turn by turn.
pub(crate) async fn amplification(place: &Place) -> anyhow::Result<Row> {
    let ours = Server::gateway(place, &place.state("long")?).await?;
    let limit = Server::bare(place, &place.state("long-bare")?).await?;
    let own = written(&ours, &ours.connect().await?, "long").await.context("ours")?;
    let bare = written(&limit, &limit.connect().await?, "long").await.context("the skeleton")?;
    let shown = |parts: [f64; 2]| {
        let [first, last] = parts.map(|bytes| bytes / 1024.0);
        format!("{first:.0} / {last:.0} KiB")
    };
    let figure = format!(
        "bytes written for a turn of a conversation of {TURNS}: the first {PART} / the last {PART}"
    );
    Ok(Row::new(figure, shown(own)).beside(shown(bare)))
}
