//! The tool that runs a shell command in the workspace.

mod approval;
mod background;
mod command;
mod operation;

pub use approval::{Approvals, AskMode, Clearance};
pub use background::{Background, BackgroundEnd, ProcessTool, Processes};
pub use command::{CommandEnded, CommandReport};
pub use operation::{ExecOperation, shown};

use operation::Program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use openclaw_scopes::{Capability, RunId};

use super::{Workspace, blocking, spec};
use crate::exec::{
    self, Ended, Finished, HelperPath, HelperRegistry, Job, JobError, Limits, Process, SandboxMode,
    Survivors, TcpMode,
};
use crate::tool::{Arguments, Tool, ToolError, ToolSpec};

/// What is kept of the output's head, and as much of its tail: some 16 000 tokens together.
const OUTPUT_BYTES: usize = 30 * 1024;

/// The most arguments of a command that is given as such.
const MAX_ARGUMENTS: usize = 1_000;

/// The longest command: what the kernel takes as one argument.
const MAX_COMMAND: u64 = 128 * 1024;

/// How long a command is waited for when nobody says, and at most, in milliseconds (`runtime.md` §5.7 of the
/// reference for the first; the second is the longest that a turn waits at once).
const DEFAULT_YIELD: u64 = 10_000;
const MAX_YIELD: u64 = 120_000;

/// The variables that a command sees. `HOME` and `TMPDIR` are its private directory.
const ENVIRONMENT: &[&str] =
    &["LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"];

/// Where programs are when the gateway was started without a search path.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How commands run.
#[derive(Clone, Debug)]
pub struct ExecOptions {
    /// Commands that need no approval, by their first arguments.
    pub allow: Vec<Vec<String>>,
    /// When commands are approved one by one.
    pub ask: AskMode,
    /// Further variables that a command sees, by name.
    pub env_allow: Vec<String>,
    /// The gateway's own environment, of which a command sees the allowed part.
    pub environment: Arc<BTreeMap<String, String>>,
    /// How to start the helper.
    pub helper: HelperPath,
    /// What one command may use up.
    pub limits: Limits,
    /// The longest time a command may ask for.
    pub max_time: Duration,
    /// Who is told which helpers are alive.
    pub registry: Arc<HelperRegistry>,
    /// How far commands are kept from the rest of the machine.
    pub sandbox: SandboxMode,
    /// Whether sandboxed commands may use TCP.
    pub tcp: TcpMode,
    /// Where private directories are made, for instance the system's temporary directory.
    pub temp_root: PathBuf,
    /// The time a command has when it does not ask for one.
    pub time: Duration,
    /// Where commands work.
    pub workspace: Arc<Workspace>,
}

/// What commands need from the world.
#[derive(Clone, Debug, Default)]
pub struct ExecPorts {
    /// Who is asked for approvals; without one whatever needs an approval is refused.
    pub approvals: Option<Arc<dyn Approvals>>,
    /// Who takes over what goes to the background; without one everything is waited for.
    pub processes: Option<Arc<dyn Processes>>,
}

/// The tool that runs a shell command.
#[derive(Debug)]
pub struct ExecTool {
    options: Arc<ExecOptions>,
    ports: ExecPorts,
    run: RunId,
    spec: Arc<ToolSpec>,
}

impl ExecTool {
    /// Offers commands in a workspace.
    pub fn new(options: ExecOptions, run: RunId) -> Self {
        let place = match options.sandbox {
            SandboxMode::Off => "with the rights of the gateway's user",
            SandboxMode::Workspace => {
                "in a sandbox: it can write to the workspace and $TMPDIR only, and reads the system"
            }
        };
        let spec = spec(
            "exec",
            &format!(
                "Runs `sh -c command` in the workspace, {place}. No input; everything it started is \
                 killed when it ends. What takes longer than yieldMs goes on in the background, if that is \
                 possible here: you are told when it has ended, and `process` looks after it."
            ),
            &[],
            &json!({
                "command": { "type": "string", "description": "the shell command" },
                "argv": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "instead of `command`: a program and its arguments, without a shell",
                },
                "cwd": { "type": "string", "description": "directory relative to the workspace" },
                "timeoutSeconds": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": options.max_time.as_secs(),
                    "description": format!("{} if absent", options.time.as_secs()),
                },
                "background": {
                    "type": "boolean",
                    "description": "do not wait for it at all",
                },
                "yieldMs": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_YIELD,
                    "description": format!("how long to wait for it; {DEFAULT_YIELD} if absent"),
                },
            }),
        );
        Self { options: Arc::new(options), ports: ExecPorts::default(), run, spec: Arc::new(spec) }
    }

    /// Offers the same to another run.
    #[must_use]
    pub fn for_run(&self, run: RunId, ports: ExecPorts) -> Self {
        Self { options: Arc::clone(&self.options), ports, run, spec: Arc::clone(&self.spec) }
    }

    async fn run(&self, arguments: Value, cancel: &CancellationToken) -> Result<String, ToolError> {
        let mut arguments = Arguments::new(arguments)?;
        let command = arguments.optional_text("command")?;
        let argv = arguments.optional_texts("argv")?;
        let cwd = arguments.optional_text("cwd")?;
        let seconds = arguments.optional_count("timeoutSeconds")?;
        let is_background = arguments.optional_flag("background")?;
        let yield_ms = arguments.optional_count("yieldMs")?.unwrap_or(DEFAULT_YIELD);
        arguments.finish()?;
        if yield_ms > MAX_YIELD {
            let problem = format!("is more than the limit of {MAX_YIELD}");
            return Err(ToolError::argument("yieldMs", problem));
        }
        let wait = match (is_background, &self.ports.processes) {
            (true, None) => {
                let reason = "commands are waited for here: leave `background` out".to_owned();
                return Err(ToolError::Refused { reason });
            }
            (true, Some(port)) => {
                port.room().map_err(|reason| ToolError::Refused { reason })?;
                Duration::ZERO
            }
            (false, _) => Duration::from_millis(yield_ms),
        };
        let max = self.options.max_time;
        let time_limit = seconds.map_or(self.options.time, Duration::from_secs);
        if time_limit > max {
            let problem = format!("is more than the limit of {} seconds", max.as_secs());
            return Err(ToolError::argument("timeoutSeconds", problem));
        }
        let wanted = Wanted::of(command, argv)?;
        let shown = wanted.shown();
        let mut process = self.begin(wanted, cwd, time_limit, cancel).await?;
        let yields = self.ports.processes.as_ref().filter(|port| port.room().is_ok());
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                process.stop();
                // A helper that is stopped before it heard its order has nothing to report.
                drop(process.ended().await);
                return Err(ToolError::Canceled);
            }
            ended = process.ended() => return answer(&ended?, time_limit),
            () = tokio::time::sleep(wait), if yields.is_some() => {}
        }
        let Some(port) = yields else { return Err(ToolError::Canceled) };
        let (so_far, _, place) = process.said().after(0);
        let adopted = port.adopt(Background::new(shown, process, place)).await;
        let id = adopted.map_err(|reason| ToolError::Refused { reason })?;
        Ok(format!(
            "It goes on in the background as `{id}`. You are told when it has ended; `process` shows what it \
             says and ends it.\n\n{so_far}"
        ))
    }
}

/// What is to run.
enum Wanted {
    Argv(Vec<String>),
    Shell(String),
}

impl Wanted {
    fn of(command: Option<String>, argv: Option<Vec<String>>) -> Result<Self, ToolError> {
        let wanted = match (command, argv) {
            (Some(command), None) => Self::Shell(command),
            (None, Some(argv)) => Self::Argv(argv),
            (Some(_), Some(_)) => {
                return Err(ToolError::argument(
                    "argv",
                    "stands beside `command`; give one of them",
                ));
            }
            (None, None) => return Err(ToolError::argument("command", "is missing")),
        };
        let (field, words) = match &wanted {
            Self::Argv(argv) => ("argv", argv.as_slice()),
            Self::Shell(command) => ("command", std::slice::from_ref(command)),
        };
        let is_empty = words.first().is_none_or(|word| word.trim().is_empty());
        let is_odd = words.len() > MAX_ARGUMENTS || words.iter().any(|word| word.contains('\0'));
        if is_empty || is_odd {
            return Err(ToolError::argument(field, "is not a command"));
        }
        let bytes: usize = words.iter().map(String::len).sum();
        if u64::try_from(bytes).unwrap_or(u64::MAX) >= MAX_COMMAND {
            return Err(ToolError::TooLarge {
                advice: "write a script with `write_file` and run that",
                max: MAX_COMMAND,
                subject: format!("argument `{field}`"),
            });
        }
        Ok(wanted)
    }

    fn shown(&self) -> String {
        match self {
            Self::Argv(argv) => argv.join(" "),
            Self::Shell(command) => command.clone(),
        }
    }
}

impl ExecTool {
    /// Has a command begin, once it may.
    async fn begin(
        &self,
        wanted: Wanted,
        cwd: Option<String>,
        time_limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Process, ToolError> {
        let place: Arc<str> = cwd.as_deref().unwrap_or(".").into();
        let environment = visible(&self.options.environment, &self.options.env_allow);
        let (program, cwd) = self.cleared(wanted, &place, &environment, cancel).await?;
        let job = Job {
            binary: program.binary,
            argv: program.argv,
            cwd,
            environment,
            limits: self.options.limits,
            output_bytes: OUTPUT_BYTES,
            protected: self.options.workspace.protected().to_vec(),
            sandbox: self.options.sandbox,
            tcp: self.options.tcp,
            temp_root: self.options.temp_root.clone(),
            time_limit,
            workspace: self.options.workspace.root().to_owned(),
        };
        let ExecOptions { helper, registry, .. } = &*self.options;
        Ok(exec::start(helper, registry, self.run.clone(), job)?)
    }

    /// Finds the program and where it works, and has that approved if it is to be. What comes back is what was
    /// approved: it is looked at again after the answer, and one that differs by then is not run.
    //= docs/threat-model.md#T37
    async fn cleared(
        &self,
        wanted: Wanted,
        place: &Arc<str>,
        environment: &BTreeMap<String, String>,
        cancel: &CancellationToken,
    ) -> Result<(Program, PathBuf), ToolError> {
        let options = &self.options;
        let find = |cwd: &Path| match &wanted {
            Wanted::Argv(argv) => Program::find(argv.clone(), cwd, environment),
            Wanted::Shell(command) => Ok(Program::shell(command.clone())),
        };
        let directory = || {
            let (workspace, place) = (Arc::clone(&options.workspace), Arc::clone(place));
            blocking(move || workspace.directory(&place))
        };
        let cwd = directory().await?;
        let program = find(&cwd)?;
        let is_listed = |program: &Program| program.is_listed(&options.allow, &cwd, environment);
        if !options.ask.asks(&program, options.sandbox, is_listed) {
            return Ok((program, cwd));
        }
        let refused = |reason: String| ToolError::Refused { reason };
        let Some(approvals) = &self.ports.approvals else {
            return Err(refused(
                "the command needs an approval, and nobody can be asked here".into(),
            ));
        };
        let look = |program: Program, cwd: PathBuf| {
            let environment = environment.clone();
            let sandbox = options.sandbox;
            blocking(move || ExecOperation::of(&program, &cwd, &environment, sandbox))
        };
        let operation = look(program, cwd).await?;
        let clearance = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ToolError::Canceled),
            clearance = approvals.ask(&operation) => clearance,
        };
        let cwd = directory().await?;
        let again = find(&cwd)?;
        let now = look(again.clone(), cwd.clone()).await?;
        if let Some(what) = operation.difference(&now) {
            return Err(refused(format!("{what} has changed since it was asked for; ask again")));
        }
        match clearance {
            Clearance::Refused(reason) => return Err(refused(reason)),
            Clearance::Standing => {}
            Clearance::Once(approval) => {
                approvals.redeem(&approval, &now).await.map_err(refused)?;
            }
        }
        Ok((again, cwd))
    }
}

impl Tool for ExecTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn capability(&self) -> Capability {
        match self.options.sandbox {
            SandboxMode::Off => Capability::ExecUnsandboxed,
            SandboxMode::Workspace => Capability::ExecSandboxed,
        }
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        Box::pin(self.run(arguments, cancel))
    }
}

impl From<JobError> for ToolError {
    fn from(error: JobError) -> Self {
        let failed = |source| Self::Io { action: "run", subject: "the command".to_owned(), source };
        match error {
            JobError::Sandbox { problem } => Self::SandboxMissing { problem },
            JobError::Helper(source) => failed(source),
            JobError::Lost { .. } | JobError::Setup { .. } => failed(std::io::Error::other(error)),
        }
    }
}

/// Returns the part of the environment that a command sees.
//= docs/threat-model.md#T15
fn visible(environment: &BTreeMap<String, String>, allow: &[String]) -> BTreeMap<String, String> {
    let mut visible: BTreeMap<_, _> = environment
        .iter()
        .filter(|(name, _)| {
            ENVIRONMENT.contains(&name.as_str())
                || name.starts_with("LC_")
                || allow.iter().any(|allowed| allowed == *name)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    visible.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    visible
}

fn answer(finished: &Finished, time_limit: Duration) -> Result<String, ToolError> {
    let mut text = match finished.ended {
        Ended::Canceled => return Err(ToolError::Canceled),
        Ended::Exited(code) => format!("exit code {code}\n"),
        Ended::Signaled(signal) => format!("killed by signal {signal}\n"),
        // What it said so far is often the reason why it took so long.
        Ended::TimedOut => {
            format!("timed out after {} seconds, and was killed\n", time_limit.as_secs())
        }
    };
    match finished.survivors {
        Survivors::None => {}
        Survivors::Some => text.push_str("[a process hangs in the kernel and is still there]\n"),
    }
    let Finished { dropped, head, tail, .. } = finished;
    Ok(match dropped {
        0 => format!("{text}\n{head}"),
        dropped => format!("{text}\n{head}\n[… {dropped} bytes were dropped here …]\n{tail}"),
    })
}

#[cfg(test)]
mod tests;
