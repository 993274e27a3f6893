//! Servers as processes of their own, and what the kernel says about them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use openclaw_client::health::HealthCheckRequest;
use openclaw_client::{Client, ConnectError, Identity, Options, Target};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_micros(200);

/// A server that answers; it is killed when this value goes away.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
    /// From the start of the process to its first healthy answer.
    pub(crate) start: Duration,
}

impl Server {
    /// Starts the gateway on this state directory.
    pub(crate) async fn gateway(place: &Place, state: &Path) -> anyhow::Result<Self> {
        // As many at once as are measured at most: with the default of eight on a small machine
        // the others would wait, and a turn that waits is a commit more.
        Self::configured(place, state, "agents.defaults.maxConcurrent = 32\n").await
    }

    /// Starts a gateway on which as many sub-agents work at once as are measured.
    pub(crate) async fn delegating_gateway(place: &Place, state: &Path) -> anyhow::Result<Self> {
        let config = "agents.defaults.maxConcurrent = 64\n\
                      agents.defaults.subagents = { maxConcurrent = 64, maxChildrenPerAgent = 20 }\n";
        Self::configured(place, state, config).await
    }

    /// Starts a gateway that listens on the network, too.
    pub(crate) async fn listening_gateway(place: &Place, state: &Path) -> anyhow::Result<Self> {
        Self::configured(place, state, "listen.tcp = \"127.0.0.1:0\"\n").await
    }

    /// Starts a gateway with this configuration.
    pub(crate) async fn configured(
        place: &Place,
        state: &Path,
        config: &str,
    ) -> anyhow::Result<Self> {
        std::fs::write(state.join("openclaw.toml"), config)?;
        let mut command = Command::new(&place.gateway);
        command.arg("--state-dir").arg(state);
        Self::start(command, state).await
    }

    /// Starts the bare server in this directory.
    pub(crate) async fn bare(place: &Place, state: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(&place.own);
        command.arg("bare").arg(state.join("gateway.sock"));
        Self::start(command, state).await
    }

    async fn start(mut command: Command, state: &Path) -> anyhow::Result<Self> {
        let log = File::create(state.join("log"))?;
        command.env_clear().stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let socket = state.join("gateway.sock");
        let begun = Instant::now();
        let child = command.spawn().context("cannot start a server")?;
        // From here on it is killed whatever happens.
        let mut server = Self { child, socket, start: Duration::ZERO };
        let client = loop {
            match server.connect().await {
                Ok(client) => break client,
                Err(ConnectError::NotRunning { .. }) if begun.elapsed() < PATIENCE => {
                    if let Some(status) = server.child.try_wait()? {
                        let said = std::fs::read_to_string(state.join("log"))?;
                        bail!("a server ended at once with {status}: {said}");
                    }
                    // Off the runtime's timer, whose grain is a millisecond.
                    tokio::task::block_in_place(|| std::thread::sleep(PAUSE));
                }
                Err(error) => return Err(error.into()),
            }
        };
        client.health().check(HealthCheckRequest::default()).await?;
        server.start = begun.elapsed();
        Ok(server)
    }

    /// Connects to it.
    pub(crate) async fn connect(&self) -> Result<Client, ConnectError> {
        let target = Target::Unix(self.socket.clone());
        Client::connect(&target, Identity::Local, &Options::default()).await
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        Ok(self.child.wait()?)
    }

    /// What the kernel says about it now.
    /// Returns how many bytes it has had written to the disk so far.
    pub(crate) fn written(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/io", self.child.id());
        Ok(field(&std::fs::read_to_string(path)?, "write_bytes"))
    }

    pub(crate) fn look(&self) -> anyhow::Result<Look> {
        Look::at(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// What the kernel says about a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Resident memory in KiB: all, of its own, of files.
    pub(crate) rss: u64,
    pub(crate) anon: u64,
    pub(crate) file: u64,
    pub(crate) threads: u64,
    /// How often its threads went to sleep by themselves.
    pub(crate) wakeups: u64,
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
}

impl Look {
    fn at(pid: u32) -> anyhow::Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(process.join("status"))?;
        let mut look = Self {
            rss: field(&status, "VmRSS"),
            anon: field(&status, "RssAnon"),
            file: field(&status, "RssFile"),
            threads: field(&status, "Threads"),
            ..Self::default()
        };
        for task in std::fs::read_dir(process.join("task"))? {
            let task = task?.path();
            let status = std::fs::read_to_string(task.join("status"))?;
            look.wakeups += field(&status, "voluntary_ctxt_switches");
            let times = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = times.split_whitespace().next().and_then(|it| it.parse().ok());
            look.cpu += Duration::from_nanos(nanos.unwrap_or_default());
        }
        Ok(look)
    }
}

/// The number after `NAME:` in a file of the kernel; zero when there is none.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}
