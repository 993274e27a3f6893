//! Running the gateway until a signal, and what the supervisor is told meanwhile.

use std::path::PathBuf;
use std::process::ExitCode;

use openclaw_gateway::{Environment, Gateway, StartError};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::Flags;
use crate::log;

/// Runs were interrupted: what they did may have to be asked for again.
const TEMPORARY_FAILURE: u8 = 75;
/// The configuration or the state directory cannot be used.
pub(crate) const CONFIGURATION: u8 = 78;

/// Runs the gateway in the foreground.
pub(crate) fn run(flags: &Flags) -> ExitCode {
    if let Err(error) = log::start(flags) {
        return fail(2, &format!("{error:#}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4)))
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(flags)),
        Err(error) => fail(1, &format!("the runtime cannot be started: {error}")),
    }
}

async fn serve(flags: &Flags) -> ExitCode {
    let state_dir = match state_dir(flags) {
        Ok(state_dir) => state_dir,
        Err(message) => return fail(CONFIGURATION, message),
    };
    // Signals are caught before the start: one that comes early is not lost.
    let signals = signal(SignalKind::terminate())
        .and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(1, &format!("signals cannot be caught: {error}")),
    };
    let mut builder =
        Gateway::builder(state_dir).environment(Environment::of_process()).adopt_orphans();
    if let Some(config) = &flags.config {
        builder = builder.config(config);
    }
    let gateway = match builder.start().await {
        Ok(gateway) => gateway,
        Err(error) => return fail(code(&error), &error.to_string()),
    };
    let head = gateway.audit_head().map(|head| head.to_string()).unwrap_or_default();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        socket = %gateway.socket().display(),
        listen = gateway.listens_on().map(|at| at.to_string()),
        tls.fingerprint = gateway.fingerprint().map(|key| key.to_string()),
        audit.head = head,
        "ready"
    );
    notify(NotifyState::Ready);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: taking no new work");
    notify(NotifyState::Stopping);
    let drained = gateway.drain().await;
    match drained.interrupted {
        0 => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        runs => {
            tracing::warn!(runs, "stopped; runs were interrupted");
            ExitCode::from(TEMPORARY_FAILURE)
        }
    }
}

/// Tells the supervisor, if there is one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor could not be told");
    }
}

/// Returns the state directory: the flag, the environment, or `~/.openclaw`.
pub(crate) fn state_dir(flags: &Flags) -> Result<PathBuf, &'static str> {
    if let Some(path) = &flags.state_dir {
        return Ok(path.clone());
    }
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(".openclaw"))
        .ok_or("there is no home directory: name one with `--state-dir`")
}

const fn code(error: &StartError) -> u8 {
    match error {
        StartError::Bind(_)
        | StartError::Certificate(_)
        | StartError::Listen(_)
        | StartError::Roster(_)
        | StartError::Settings(_)
        | StartError::StateDir(_)
        | StartError::Open(_) => CONFIGURATION,
        StartError::Orphans(_) | StartError::Recover(_) => 1,
    }
}

/// Says why, and how it ends.
pub(crate) fn fail(code: u8, message: &str) -> ExitCode {
    use std::io::Write as _;
    // Standard error may be gone; the exit code tells all the same.
    drop(writeln!(std::io::stderr(), "openclaw-gateway: {message}"));
    ExitCode::from(code)
}
