//! What a gateway costs that has nothing to do.

use std::time::Duration;

use crate::load::{Operation, run};
use crate::place::Place;
use crate::process::{Look, Server};
use crate::table::{Met, Row, Section, thousands, time};
use crate::turns::Turn;

/// How long a server settles before it is watched.
const SETTLE: Duration = Duration::from_secs(2);
/// Conversations that are at work at once while the turns are done.
const SESSIONS: u64 = 32;
/// What an idle gateway may hold.
const RSS_KIB: u64 = 20_000_000 / 1024;

/// So many turns as one operation.
struct Turns {
    turn: Turn,
    left: u64,
}

impl Operation for Turns {
    async fn perform(&mut self) -> anyhow::Result<()> {
        while self.left > 0 {
            self.turn.perform().await?;
            self.left -= 1;
        }
        Ok(())
    }
}

pub(crate) async fn measure(place: &Place, watch: Duration, turns: u64) -> anyhow::Result<Section> {
    let ours = Server::gateway(place, &place.state("idle")?).await?;
    let limit = Server::bare(place, &place.state("idle-bare")?).await?;
    let mut rows = Vec::new();
    watched("idle", &ours, &limit, watch, &mut rows).await?;
    for server in [&ours, &limit] {
        let client = server.connect().await?;
        let turns =
            |n| Turns { turn: Turn::new(&client, format!("i-{n}")), left: turns / SESSIONS };
        // One operation each: the loop ends with it.
        run((0..SESSIONS).map(turns).collect(), Duration::from_nanos(1)).await?;
    }
    let after = format!("after {} turns", thousands(turns / SESSIONS * SESSIONS));
    watched(&after, &ours, &limit, watch, &mut rows).await?;
    Ok(Section {
        name: "idle",
        title: "Idle",
        measured: format!(
            "What the kernel says about the daemon and about the bare server beside it, {} s after \
             the last request, over {} s: resident memory (of its own, and of files such as the \
             program itself), threads, voluntary context switches and processor time of all \
             threads.",
            SETTLE.as_secs(),
            watch.as_secs()
        ),
        rows,
    })
}

async fn watched(
    when: &str,
    ours: &Server,
    limit: &Server,
    watch: Duration,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    tokio::time::sleep(SETTLE).await;
    let before = (ours.look()?, limit.look()?);
    tokio::time::sleep(watch).await;
    let (ours, limit) = (ours.look()?, limit.look()?);
    let memory = |look: Look| {
        let mb = |kib: u64| kib as f64 * 1024.0 / 1e6;
        format!("{:.1} MB ({:.1} + {:.1})", mb(look.rss), mb(look.anon), mb(look.file))
    };
    let name = |what| format!("{when}: {what}");
    let row = Row::new(name("RSS (RssAnon + RssFile)"), memory(ours)).beside(memory(limit));
    rows.push(row.aim("≤ 20 MB", Met::when(ours.rss <= RSS_KIB)));
    let threads = Row::new(name("threads"), ours.threads.to_string());
    rows.push(threads.beside(limit.threads.to_string()));
    let wakeups = (ours.wakeups - before.0.wakeups, limit.wakeups - before.1.wakeups);
    let figure = format!("{when}: wake-ups in {} s", watch.as_secs());
    let row = Row::new(figure, wakeups.0.to_string()).beside(wakeups.1.to_string());
    rows.push(row.aim("0", Met::when(wakeups.0 == 0)));
    let cpu = (ours.cpu - before.0.cpu, limit.cpu - before.1.cpu);
    let figure = format!("{when}: processor time in {} s", watch.as_secs());
    let row = Row::new(figure, time(cpu.0)).beside(time(cpu.1));
    rows.push(row.aim("≈ 0", Met::when(cpu.0 < Duration::from_millis(1))));
    Ok(())
}
