//! The gateway's side: starts OUTER, holds its control socket, and waits for its end.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use openclaw_scopes::RunId;

use super::registry::Registered;
use super::said::Said;
use super::wire::{CommandOrder, InnerFailure, Order, OuterOrder, Report};
use super::{HelperPath, HelperRegistry, Limits, MAX_ORDER, SandboxMode, TcpMode};

pub(crate) use super::wire::{Ended, Finished, Survivors};

/// How long OUTER may take to kill, reap and report after it was told to, or after its own time limit.
const GRACE: Duration = Duration::from_secs(10);

/// The most bytes of one report: twice the output, and JSON may spell a byte as six.
const MAX_REPORT: u64 = 4 * 1024 * 1024;

/// One command to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) binary: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    pub(crate) output_bytes: usize,
    pub(crate) protected: Vec<PathBuf>,
    pub(crate) sandbox: SandboxMode,
    pub(crate) tcp: TcpMode,
    pub(crate) temp_root: PathBuf,
    pub(crate) time_limit: Duration,
    pub(crate) workspace: PathBuf,
}

/// Why a command has no end to tell of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The helper ended without its report.
    #[error("the helper of the command ended without a report ({status})")]
    Lost {
        /// How it ended.
        status: ExitStatus,
    },
    /// The kernel cannot keep the command in.
    #[error("no sandbox: {problem}")]
    Sandbox {
        /// What it cannot do.
        problem: String,
    },
    /// The command could not be started.
    #[error("the command cannot be started: {problem}")]
    Setup {
        /// What failed.
        problem: String,
    },
    /// The helper could not be started or spoken to.
    #[error("the helper of the command cannot be used")]
    Helper(#[from] io::Error),
}

/// A command that runs, or has ended. Dropping it ends the command; its helper is reaped either way.
#[derive(Debug)]
pub struct Process {
    end: JoinHandle<Result<Finished, JobError>>,
    said: Arc<Said>,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Process {
    /// Waits for the end. May be dropped, and asked again until it has answered.
    pub(crate) async fn ended(&mut self) -> Result<Finished, JobError> {
        let joined = (&mut self.end).await;
        joined.unwrap_or_else(|error| Err(JobError::Helper(io::Error::other(error))))
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns what it says, while it runs.
    pub(crate) fn said(&self) -> Arc<Said> {
        Arc::clone(&self.said)
    }

    /// Returns what ends it.
    pub(crate) fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }
}

/// Starts a command.
pub(crate) fn start(
    helper: &HelperPath,
    registry: &Arc<HelperRegistry>,
    run: RunId,
    job: Job,
) -> Result<Process, JobError> {
    let time_limit = job.time_limit;
    let order = order(helper, job)?;
    let (control, theirs) = std::os::unix::net::UnixStream::pair()?;
    control.set_nonblocking(true)?;
    let control = UnixStream::from_std(control)?;
    let child = Command::new(&helper.program)
        .args(helper.arguments())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.ok_or_else(|| io::Error::other("it ended at once"))?;
    let registered = Registered::new(Arc::clone(registry), pid, run);
    let (stop, said) = (CancellationToken::new(), Arc::new(Said::default()));
    let supervision = Supervision {
        child,
        control,
        registered,
        said: Arc::clone(&said),
        stop: stop.clone(),
        time_limit,
    };
    // A task of its own, because a dropped call must still reap its helper. `HelperRegistry::settled`
    // waits for it, so it is not lost either.
    let end = registry.supervisors().spawn(supervision.run(order));
    let _stop_when_dropped = stop.clone().drop_guard();
    Ok(Process { end, said, stop, _stop_when_dropped })
}

fn order(helper: &HelperPath, job: Job) -> Result<Vec<u8>, JobError> {
    let order = Order::Outer(Box::new(OuterOrder {
        command: CommandOrder {
            binary: job.binary,
            argv: job.argv,
            cwd: job.cwd,
            environment: job.environment,
            limits: job.limits,
            parent: 0,
            private_dir: PathBuf::new(),
            protected: job.protected,
            sandbox: job.sandbox,
            tcp: job.tcp,
            workspace: job.workspace,
        },
        helper_arguments: helper.arguments.clone(),
        output_bytes: job.output_bytes,
        temp_root: job.temp_root,
        time_limit_millis: u64::try_from(job.time_limit.as_millis()).unwrap_or(u64::MAX),
    }));
    let mut line = serde_json::to_vec(&order)
        .map_err(|error| JobError::Setup { problem: error.to_string() })?;
    line.push(b'\n');
    if u64::try_from(line.len()).unwrap_or(u64::MAX) > MAX_ORDER {
        return Err(JobError::Setup { problem: "command and environment are too long".to_owned() });
    }
    Ok(line)
}

/// One helper that is alive, from its order to its end.
#[derive(Debug)]
struct Supervision {
    child: Child,
    control: UnixStream,
    registered: Registered,
    said: Arc<Said>,
    stop: CancellationToken,
    time_limit: Duration,
}

impl Supervision {
    async fn run(mut self, order: Vec<u8>) -> Result<Finished, JobError> {
        let report = self.converse(&order).await;
        drop(self.control);
        let status = reap(&mut self.child).await;
        drop(self.registered);
        let (report, status) = (report?, status?);
        match report {
            Some(Report::Ended(finished)) => Ok(finished),
            Some(Report::Failed(InnerFailure::Sandbox { problem })) => {
                Err(JobError::Sandbox { problem })
            }
            Some(Report::Failed(InnerFailure::Setup { problem })) => {
                Err(JobError::Setup { problem })
            }
            Some(Report::Said(_)) | None => Err(JobError::Lost { status }),
        }
    }

    /// Sends the order and collects what is said, and the report. Closing this end tells OUTER to finish
    /// early.
    async fn converse(&mut self, order: &[u8]) -> io::Result<Option<Report>> {
        let (reader, mut writer) = self.control.split();
        // It is read from the start, so that an OUTER that fails early cannot block on its report.
        let reading = listen(reader, &self.said);
        tokio::pin!(reading);
        let early = tokio::select! {
            read = &mut reading => Some(read),
            () = self.stop.cancelled() => None,
            () = speak(&mut writer, order, self.time_limit.saturating_add(GRACE)) => None,
        };
        match early {
            Some(read) => read,
            None => {
                writer.shutdown().await?;
                timeout(GRACE, reading).await.unwrap_or(Ok(None))
            }
        }
    }
}

/// Takes in what is said, and returns the last line: the report.
async fn listen(reader: impl AsyncRead + Unpin, said: &Said) -> io::Result<Option<Report>> {
    let mut reader = BufReader::new(reader);
    let mut report = None;
    loop {
        let mut line = Vec::new();
        if (&mut reader).take(MAX_REPORT).read_until(b'\n', &mut line).await? == 0 {
            return Ok(report);
        }
        report = match serde_json::from_slice(&line) {
            Ok(Report::Said(piece)) => {
                said.push(&piece);
                None
            }
            Ok(report) => Some(report),
            Err(_) => None,
        };
    }
}

/// Says the order and keeps the line open for as long as OUTER may take.
async fn speak(writer: &mut (impl AsyncWriteExt + Unpin), order: &[u8], patience: Duration) {
    // An OUTER that does not listen ends the conversation from its side.
    drop(writer.write_all(order).await);
    tokio::time::sleep(patience).await;
}

/// Waits for OUTER's end. One that does not end is killed; one that was killed leaves its process group
/// behind, which is then killed in its place.
async fn reap(child: &mut Child) -> io::Result<ExitStatus> {
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let status = match timeout(GRACE, child.wait()).await {
        Ok(status) => status?,
        Err(_) => {
            child.start_kill()?;
            child.wait().await?
        }
    };
    if let (None, Some(group)) = (status.code(), group) {
        // The group keeps its number while it has members; without members there is nobody to hit.
        kill_process_group(group, Signal::KILL).ok();
    }
    Ok(status)
}
