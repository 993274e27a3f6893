//! The benchmark: every figure of the gateway beside its limit, measured in the same run.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "measures; not shipped"
)]

mod authority;
mod bare;
mod conversations;
mod costs;
mod document;
mod due;
mod idle;
mod jobs;
mod load;
mod network;
mod outbox;
mod place;
mod process;
mod programs;
mod rpc;
mod skeleton;
mod start;
mod statistics;
mod table;
mod turns;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::document::Origin;
use crate::place::Place;
use crate::table::Section;

/// Measures the gateway beside the limits of the machine.
#[derive(Debug, Parser)]
struct Flags {
    /// Measures these only, and leaves the document as it is.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Topic>,
    /// How long one measurement of one round takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    slice: u64,
    /// How often ours and the limit take turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Turns after which the idle gateway is looked at again.
    #[arg(long, default_value_t = 20_000)]
    turns: u64,
    /// How long an idle gateway is watched, in seconds.
    #[arg(long, default_value_t = 10)]
    watch: u64,
    /// The directory that holds the release programs [default: that of this program].
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Where temporary state is made: on the disk that is to be measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The document to write.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Why aims are missed, by topic, for the document.
    #[arg(long)]
    notes: Option<PathBuf>,
    /// The commit that was built, for the document.
    #[arg(long, default_value = "unknown")]
    commit: String,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program does when it is the other side of a measurement.
#[derive(Debug, Subcommand)]
enum Part {
    /// Serves the same messages with no logic behind them.
    #[command(hide = true)]
    Bare {
        /// The socket.
        socket: PathBuf,
    },
}

/// A group of figures.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
enum Topic {
    Rpc,
    Network,
    Authority,
    Writes,
    Turns,
    Conversations,
    Jobs,
    Outbox,
    Start,
    Idle,
    Cli,
}

impl Topic {
    const fn name(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Network => "network",
            Self::Authority => "authority",
            Self::Writes => "writes",
            Self::Turns => "turns",
            Self::Conversations => "conversations",
            Self::Jobs => "jobs",
            Self::Outbox => "outbox",
            Self::Start => "start",
            Self::Idle => "idle",
            Self::Cli => "cli",
        }
    }
}

/// How long, and how often.
#[derive(Clone, Copy, Debug)]
struct Effort {
    slice: Duration,
    rounds: usize,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    // The same runtime on both sides of every measurement.
    let threads = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match &flags.part {
                Some(Part::Bare { socket }) => bare::serve(socket).await,
                None => measure(&flags).await,
            }
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(flags: &Flags) -> anyhow::Result<()> {
    // Looked at first: the load that follows is our own.
    let origin = Origin::of_this_machine(&flags.commit);
    let place = Place::new(flags.dir.as_deref(), flags.programs.as_deref())?;
    let effort = Effort { slice: Duration::from_millis(flags.slice), rounds: flags.rounds.max(1) };
    let watch = Duration::from_secs(flags.watch);
    let mut sections: Vec<Section> = Vec::new();
    for topic in Topic::value_variants() {
        if !flags.only.is_empty() && !flags.only.contains(topic) {
            continue;
        }
        eprintln!("measuring {} …", topic.name());
        let section = match topic {
            Topic::Rpc => rpc::measure(&place, effort).await?,
            Topic::Network => network::measure(&place, effort).await?,
            Topic::Authority => authority::measure(effort)?,
            Topic::Writes => writes::measure(&place, effort).await?,
            Topic::Turns => turns::measure(&place, effort).await?,
            Topic::Conversations => conversations::measure(&place, effort).await?,
            Topic::Jobs => jobs::measure(&place, effort).await?,
            Topic::Outbox => outbox::measure(&place, effort).await?,
            Topic::Start => start::measure(&place, effort).await?,
            Topic::Idle => idle::measure(&place, watch, flags.turns).await?,
            Topic::Cli => programs::measure(&place).await?,
        };
        sections.push(section);
    }
    print!("{}", table::plain(&sections));
    if let (true, Some(out)) = (flags.only.is_empty(), &flags.out) {
        document::write(out, flags.notes.as_deref(), &origin, &sections)?;
        println!("\nwritten to {}", out.display());
    }
    Ok(())
}
