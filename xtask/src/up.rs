//! `up`: builds the release programs, starts a gateway of its own, and lets the reader see an answer.

mod demo;
mod stop;

use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path};

use anyhow::{Context as _, bail};

use self::{demo::Demo, stop::Stop};
use crate::{
    environment,
    workspace::{Profile, Workspace},
};

/// When the gateway ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    FirstAnswer,
    Interrupt,
}

/// Builds, starts, asks one question, and leaves the gateway running until `ending`.
pub(crate) fn run(workspace: &Workspace, ending: Ending) -> anyhow::Result<()> {
    println!("Building the release programs: some minutes the first time, seconds afterwards.");
    let programs = workspace.build(Profile::Release)?;
    let state = workspace.metadata()?.target_directory.join("up");
    create_private(&state)?;
    let configuration = state.join("openclaw.toml");
    let named = if configuration.try_exists()? {
        let text = fs::read_to_string(&configuration)
            .with_context(|| format!("cannot read `{}`", configuration.display()))?;
        environment::named_by(&text)
    } else {
        std::collections::BTreeSet::new()
    };
    let demo = Demo {
        gateway: workspace.relative(&programs.gateway).to_owned(),
        openclaw: workspace.relative(&programs.openclaw).to_owned(),
        root: workspace.root().to_owned(),
        state: workspace.relative(&state).to_owned(),
        withheld: environment::withheld(&named),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&demo, ending))
}

/// Creates the state directory, which nobody else may enter.
fn create_private(state: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("cannot create `{}`", state.display()))
}

async fn serve(demo: &Demo, ending: Ending) -> anyhow::Result<()> {
    // Before the gateway starts, so that no interrupt leaves it behind.
    let mut stop = Stop::listen()?;
    if demo.health().await?.status.success() {
        bail!(
            "a gateway already runs on `{}`, probably of another `cargo xtask up`: end that one, or talk to it with `{}`",
            demo.state.display(),
            demo.line(&["status"])
        );
    }
    let mut gateway = demo.start()?;
    let shown = tokio::select! {
        shown = demo.show(&mut gateway) => shown.map(|()| ending),
        () = stop.asked() => Ok(Ending::FirstAnswer),
    };
    let status = match shown {
        Ok(Ending::Interrupt) => {
            println!("\nThe gateway runs in the foreground. Ctrl-C ends it.\n");
            tokio::select! {
                status = gateway.wait() => status?,
                () = stop.asked() => stop.end(&mut gateway).await?,
            }
        }
        Ok(Ending::FirstAnswer) => stop.end(&mut gateway).await?,
        Err(error) => {
            stop.end(&mut gateway).await?;
            return Err(error);
        }
    };
    if !status.success() {
        bail!("the gateway ended with {status}");
    }
    println!("The gateway has ended; its state stays in `{}`.", demo.state.display());
    Ok(())
}

#[cfg(test)]
mod tests;
