//! From the start of the process to its first healthy answer.

use std::path::Path;
use std::time::Duration;

use crate::Effort;
use crate::load::run;
use crate::place::Place;
use crate::process::Server;
use crate::statistics::median;
use crate::table::{Met, Row, Section, time};
use crate::turns::Turn;

/// What a start may take.
const AIM: Duration = Duration::from_millis(50);

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let used = place.state("start-used")?;
    let server = Server::gateway(place, &used).await?;
    let client = server.connect().await?;
    let workers = (0..8).map(|n| Turn::new(&client, format!("s-{n}"))).collect();
    run(workers, Duration::from_millis(500)).await?;
    drop(client);
    server.stop()?;
    let (mut fresh, mut existing, mut bare) = (vec![], vec![], vec![]);
    for round in 0..effort.rounds.max(3) * 2 {
        fresh.push(start(place, &place.state(&format!("start-{round}"))?).await?);
        existing.push(start(place, &used).await?);
        let server = Server::bare(place, &place.state(&format!("start-bare-{round}"))?).await?;
        bare.push(server.start.as_secs_f64());
    }
    let bare = median(bare);
    let row = |figure, times: Vec<f64>| {
        let ours = median(times);
        let shown = |seconds| time(Duration::from_secs_f64(seconds));
        let row = Row::new(figure, shown(ours)).beside(shown(bare));
        row.aim("≤ 50 ms", Met::when(ours <= AIM.as_secs_f64()))
    };
    Ok(Section {
        name: "start",
        title: "Start",
        measured: "The wall time from spawning the daemon to the answer of its first health check, \
                   the client connecting anew every 0.2 ms: on an empty state directory, and on one \
                   with some hundred turns that was closed in order. The limit is the bare server, \
                   which makes a small database of its own."
            .into(),
        rows: vec![row("start, fresh state", fresh), row("start, existing state", existing)],
    })
}

async fn start(place: &Place, state: &Path) -> anyhow::Result<f64> {
    let server = Server::gateway(place, state).await?;
    let took = server.start.as_secs_f64();
    server.stop()?;
    Ok(took)
}
