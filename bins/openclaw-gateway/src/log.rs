//! Structured logs on standard error.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::flags::{Flags, LogFormat};

/// Starts logging as the flags say.
pub(crate) fn start(flags: &Flags) -> anyhow::Result<()> {
    let filter: Targets = flags.log.parse().with_context(|| format!("`--log {}`", flags.log))?;
    let is_terminal = std::io::stderr().is_terminal();
    let chosen = if is_terminal { LogFormat::Pretty } else { LogFormat::Json };
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal && !no_color());
    let lines = match flags.log_format.unwrap_or(chosen) {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.with_target(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()?;
    Ok(())
}

/// Whether the user asked for no colour (<https://no-color.org>).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
