//! Ending the gateway that `up` started, and nothing else.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    signal::unix::{self, SignalKind},
    time,
};

/// How long the gateway may take to finish its work; its own deadline is shorter.
const DRAIN: Duration = Duration::from_secs(60);

/// The signals that ask this program to end.
#[derive(Debug)]
pub(super) struct Stop {
    hangup: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Stop {
    /// Takes over the signals from their default, which would leave the gateway behind.
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// Waits until somebody asks this program to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Asks the gateway to drain and waits for it; being asked again, or the time-out, kills it.
    pub(super) async fn end(&mut self, gateway: &mut Child) -> anyhow::Result<ExitStatus> {
        // No id: it has ended and was waited for, and its number may be somebody else's by now.
        if let Some(id) = gateway.id() {
            let pid = Pid::from_raw(i32::try_from(id)?).context("the gateway has no process id")?;
            kill_process(pid, Signal::TERM).context("cannot signal the gateway")?;
        }
        let reason = tokio::select! {
            status = gateway.wait() => return Ok(status?),
            () = self.asked() => "asked again",
            () = time::sleep(DRAIN) => "it did not end in time",
        };
        gateway.kill().await?;
        bail!("the gateway was killed: {reason}")
    }
}
