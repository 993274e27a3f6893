//! Turns of the built-in model against the daemon, beside a skeleton that only commits.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openclaw_client::v1::run_event::Event;
use openclaw_client::v1::runs_client::RunsClient;
use openclaw_client::{Client, Transport, v1};
use rusqlite::Connection;

use crate::Effort;
use crate::load::{Duel, Operation, Sample, run, run_on};
use crate::place::Place;
use crate::process::Server;
use crate::skeleton;
use crate::table::{Aim, Row, Section};

/// Turns of one conversation; then its worker begins another.
const TURNS_OF_SESSION: u64 = 50;

/// One turn, accepted to final.
pub(crate) struct Turn {
    client: RunsClient<Transport>,
    name: String,
    done: u64,
    /// After how many a conversation is over.
    turns_of_session: u64,
}

impl Turn {
    pub(crate) fn new(client: &Client, name: String) -> Self {
        Self { client: client.runs(), name, done: 0, turns_of_session: TURNS_OF_SESSION }
    }

    /// All of them are in one conversation.
    pub(crate) fn of_one_conversation(client: &Client, name: String) -> Self {
        Self { turns_of_session: u64::MAX, ..Self::new(client, name) }
    }
}

impl Operation for Turn {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let (name, session) = (&self.name, self.done / self.turns_of_session);
        let request = v1::StartRunRequest {
            idempotency_key: format!("{name}-{}", self.done),
            message: "What is there to do today?".into(),
            session_key: format!("agent:main:{name}-{session}"),
            ..v1::StartRunRequest::default()
        };
        self.done += 1;
        let mut events = self.client.start(request).await?.into_inner();
        let mut last = None;
        while let Some(event) = events.message().await? {
            last = event.event;
        }
        match last.context("a turn without events")? {
            Event::Final(run) => {
                ensure!(run.status() == v1::RunStatus::Ok, "a turn failed: {}", run.error);
                Ok(())
            }
            other => anyhow::bail!("a turn ended with {other:?}"),
        }
    }
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let ours = Server::gateway(place, &place.state("turns")?).await?;
    let limit = Server::bare(place, &place.state("turns-bare")?).await?;
    let mut rows = Vec::new();
    for (sessions, aim) in [(1, Aim::Rate(1000.0)), (8, Aim::None), (32, Aim::Rate(6000.0))] {
        let client = (ours.connect().await?, limit.connect().await?);
        let workers = |client: &Client| {
            let worker = |n| Turn::new(client, format!("t{sessions}-{n}"));
            (0..sessions).map(worker).collect::<Vec<_>>()
        };
        let (mut a, mut b) = (workers(&client.0), workers(&client.1));
        let mut raw = Raw::open(&place.state(&format!("turns-raw-{sessions}"))?)?;
        let (mut beside_skeleton, mut beside_raw) = (Duel::default(), Duel::default());
        (a, _) = run(a, effort.slice / 4).await?;
        (b, _) = run(b, effort.slice / 4).await?;
        for _ in 0..effort.rounds {
            let (turns, skeleton);
            (a, turns) = run_on(&ours, a, effort.slice).await?;
            (b, skeleton) = run_on(&limit, b, effort.slice).await?;
            let raw = tokio::task::block_in_place(|| raw.run(sessions, effort.slice / 2))?;
            beside_skeleton.push(turns, skeleton);
            beside_raw.push(turns, raw);
        }
        let figure = format!("agent turns, {sessions} at once");
        rows.extend(Row::of_duel(&figure, &beside_skeleton, aim));
        let figure = format!("{figure}: beside two raw commits");
        rows.extend(Row::of_duel(&figure, &beside_raw, Aim::None).into_iter().take(1));
    }
    Ok(Section {
        name: "turns",
        title: "Agent turns",
        measured: format!(
            "Turns of the built-in model over one connection to the daemon, from the request to \
             the final event; each of so many workers has a conversation of its own, asks again as \
             soon as it was answered, and begins another after {TURNS_OF_SESSION} turns. A turn is \
             two durable commits (accepted and started with question, decision record and fence; \
             ended with its answer); `maxConcurrent` is 32, so that none waits for a place, which \
             would be a third. The limit is a skeleton: a tonic server with the same events and a writer that commits in groups, twice a turn, the fewest rows (two \
             inserts; one insert and one update), without rules, prompt, model or audit. \"Two raw \
             commits\" is SQLite alone, one thread, the skeleton's rows in groups of so many turns."
        ),
        rows,
    })
}

/// SQLite alone: two commits for each group of turns.
struct Raw {
    connection: Connection,
    next: u64,
}

impl Raw {
    fn open(state: &Path) -> anyhow::Result<Self> {
        Ok(Self { connection: skeleton::open(&state.join("raw.db"))?, next: 0 })
    }

    fn run(&mut self, group: u64, slice: Duration) -> anyhow::Result<Sample> {
        const TEXT: &str = "What is there to do today?";
        let connection = &self.connection;
        let (begun, mut answers) = (Instant::now(), Vec::new());
        while begun.elapsed() < slice {
            let from = Instant::now();
            let runs = (self.next..self.next + group).map(|n| format!("t1-{n}"));
            let runs = runs.collect::<Vec<_>>();
            self.next += group;
            skeleton::in_commit(connection, || {
                runs.iter().try_for_each(|run| skeleton::begin(connection, run, TEXT))
            })?;
            skeleton::in_commit(connection, || {
                runs.iter().try_for_each(|run| skeleton::end(connection, run, TEXT))
            })?;
            let took = from.elapsed();
            answers.extend(runs.iter().map(|_| took));
        }
        Ok(Sample::of(answers, begun.elapsed()))
    }
}
