//! What one command may use up.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Resource limits of each process of a command. `None` leaves a resource as it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limits {
    /// Seconds of processor time of one process.
    pub cpu_seconds: Option<u64>,
    /// The largest file it may write.
    pub file_bytes: Option<u64>,
    /// Open files of one process.
    pub open_files: Option<u64>,
    /// Processes and threads of the user, those outside the command included.
    pub processes: Option<u64>,
}

impl Default for Limits {
    /// Generous for a build, small enough that a runaway command does not take the machine along.
    fn default() -> Self {
        Self {
            cpu_seconds: Some(3600),
            file_bytes: Some(4 * 1024 * 1024 * 1024),
            open_files: Some(4096),
            processes: Some(8192),
        }
    }
}

impl Limits {
    /// Limits this process and what it starts. Core files are never written.
    pub(super) fn apply(self) -> rustix::io::Result<()> {
        lower(Resource::Core, Some(0))?;
        lower(Resource::Cpu, self.cpu_seconds)?;
        lower(Resource::Fsize, self.file_bytes)?;
        lower(Resource::Nofile, self.open_files)?;
        lower(Resource::Nproc, self.processes)
    }
}

fn lower(resource: Resource, wanted: Option<u64>) -> rustix::io::Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let hard = getrlimit(resource).maximum.map_or(wanted, |hard| hard.min(wanted));
    setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })
}
