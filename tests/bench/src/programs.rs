//! The wall time of the command line, beside a program that does nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::place::Place;
use crate::process::Server;
use crate::statistics::median;
use crate::table::{Met, Row, Section, time};

/// Calls of each command.
const CALLS: usize = 50;
/// What a read may take.
const AIM: Duration = Duration::from_millis(10);

pub(crate) async fn measure(place: &Place) -> anyhow::Result<Section> {
    let state = place.state("cli")?;
    let server = Server::gateway(place, &state).await?;
    let commands: [&[&str]; 3] = [&["--version"], &["health"], &["sessions", "list"]];
    let mut times = [vec![], vec![], vec![]];
    let mut floor = Vec::new();
    let nothing = Path::new("true");
    tokio::task::block_in_place(|| {
        for _ in 0..CALLS {
            for (args, times) in commands.iter().zip(&mut times) {
                times.push(call(&place.openclaw, &state, args)?);
            }
            floor.push(call(nothing, &state, &[])?);
        }
        anyhow::Ok(())
    })?;
    server.stop()?;
    let floor = median(floor);
    let rows = commands.iter().zip(times).map(|(args, times)| {
        let ours = median(times);
        let shown = |seconds| time(Duration::from_secs_f64(seconds));
        let row = Row::new(format!("openclaw {}", args.join(" ")), shown(ours));
        row.beside(shown(floor)).aim("≤ 10 ms", Met::when(ours <= AIM.as_secs_f64()))
    });
    Ok(Section {
        name: "cli",
        title: "The command line",
        measured: format!(
            "The wall time of the release program against a running daemon, from spawn to exit, \
             output discarded; medians of {CALLS}. The limit is `true`: what a process costs that \
             does nothing."
        ),
        rows: rows.collect(),
    })
}

/// Runs a program once, and says how long it took.
fn call(program: &Path, state: &Path, args: &[&str]) -> anyhow::Result<f64> {
    let mut command = Command::new(program);
    command.args(args).env("OPENCLAW_STATE_DIR", state);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status()?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "`{}` ended with {status}", program.display());
    Ok(took)
}
