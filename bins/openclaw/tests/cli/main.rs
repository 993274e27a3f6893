//! The program itself, as a process, against a gateway of this test.

#[cfg(test)]
mod access;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod cron;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod network;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod online;

/// What a process left behind.
#[cfg(test)]
mod process {
    use std::path::Path;
    use std::process::{Output, Stdio};

    use tokio::process::Command;

    /// The program on a state directory, with nothing of the surrounding environment.
    pub(crate) fn openclaw(state_dir: &Path, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
        command.env_clear().arg("--state-dir").arg(state_dir).args(line.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Exit code, standard output and standard error.
    pub(crate) fn parts(output: &Output) -> (i32, String, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    pub(crate) async fn run(state_dir: &Path, line: &str) -> (i32, String, String) {
        parts(&openclaw(state_dir, line).output().await.unwrap())
    }
}
