//! The demonstration: a gateway is started, becomes healthy, and answers one question.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use tokio::{
    process::{Child, Command},
    time,
};

/// How long a gateway may take to answer for the first time.
const START: Duration = Duration::from_secs(30);

/// The pause between two questions whether the gateway is healthy.
const POLL: Duration = Duration::from_millis(100);

/// The gateway's exit code for a configuration it cannot use or a lock it does not get.
const CONFIGURATION_OR_LOCK: i32 = 78;

/// The programs, where they run, and on which state.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) gateway: PathBuf,
    pub(super) openclaw: PathBuf,
    /// The directory that the other paths are relative to.
    pub(super) root: PathBuf,
    pub(super) state: PathBuf,
    /// The variables that neither program sees.
    pub(super) withheld: Vec<String>,
}

impl Demo {
    /// Starts the gateway, in a process group of its own.
    ///
    /// A terminal's interrupt then reaches this program alone, which passes it on once.
    pub(super) fn start(&self) -> anyhow::Result<Child> {
        println!("\n$ {}", self.shown(&self.gateway, &[]));
        let mut command = self.command(&self.gateway);
        command.process_group(0).stdin(Stdio::null()).kill_on_drop(true);
        command.spawn().context("cannot start the gateway")
    }

    /// Waits until the gateway is healthy, asks it a question, and says what to try next.
    pub(super) async fn show(&self, gateway: &mut Child) -> anyhow::Result<()> {
        tokio::select! {
            status = gateway.wait() => return Err(self.ended_early(status?)),
            healthy = self.healthy() => healthy?,
        }
        // Another gateway on the same state may have answered while ours was refused.
        if let Some(status) = gateway.try_wait()? {
            return Err(self.ended_early(status));
        }
        let question = ["agent", "--message", "Hello. Who are you?"];
        println!("\n$ {}", self.line(&question));
        let status = self.command(&self.openclaw).args(question).status().await?;
        if !status.success() {
            bail!("the agent turn ended with {status}");
        }
        self.print_next();
        Ok(())
    }

    /// Asks for the gateway's health once.
    pub(super) async fn health(&self) -> anyhow::Result<Output> {
        let mut command = self.command(&self.openclaw);
        command.arg("health").stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.context("cannot run `openclaw`")
    }

    async fn healthy(&self) -> anyhow::Result<()> {
        let mut said = String::new();
        let polled = time::timeout(START, async {
            loop {
                let output = self.health().await?;
                if output.status.success() {
                    return anyhow::Ok(());
                }
                said = String::from_utf8_lossy(&output.stderr).into_owned();
                time::sleep(POLL).await;
            }
        });
        let Ok(healthy) = polled.await else {
            bail!("the gateway is not healthy after {START:?}: {}", said.trim());
        };
        healthy
    }

    fn ended_early(&self, status: ExitStatus) -> anyhow::Error {
        let state = self.state.display();
        if status.code() == Some(CONFIGURATION_OR_LOCK) {
            anyhow!(
                "the gateway could not start on `{state}`; its last line above says why. \
                 If another gateway holds the state, end that `cargo xtask up` first; \
                 if the configuration is refused, mend `{state}/openclaw.toml`"
            )
        } else {
            anyhow!("the gateway ended before it was healthy, with {status}")
        }
    }

    fn print_next(&self) {
        println!("\nTry next, in another terminal, from the workspace's directory:");
        for args in [
            &["agent", "--message", "What did I just ask you?"][..],
            &["sessions", "list"],
            &["runs", "list"],
            &["access", "explain", "agent"],
            &["audit", "list"],
            &["status"],
        ] {
            println!("  {}", self.line(args));
        }
        println!("For a real model, see \"A real model\" in README.md.");
    }

    /// A call of `openclaw` as a reader would type it.
    pub(super) fn line(&self, args: &[&str]) -> String {
        self.shown(&self.openclaw, args)
    }

    fn shown(&self, program: &Path, args: &[&str]) -> String {
        let mut line = format!("{} --state-dir {}", program.display(), self.state.display());
        for arg in args {
            if arg.contains(' ') {
                line.extend([" \"", arg, "\""]);
            } else {
                line.extend([" ", arg]);
            }
        }
        line
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.root.join(program));
        command.current_dir(&self.root).arg("--state-dir").arg(&self.state);
        for name in &self.withheld {
            command.env_remove(name);
        }
        command
    }
}
