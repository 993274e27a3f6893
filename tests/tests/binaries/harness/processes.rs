//! What the kernel knows of processes.

use std::path::Path;

/// A request to end.
#[derive(Clone, Copy, Debug)]
pub(in crate::binaries) enum Signal {
    Interrupt,
    Terminate,
}

/// Sends a signal to a process that the test started.
pub(in crate::binaries) fn signal(pid: u32, signal: Signal) {
    let name = match signal {
        Signal::Interrupt => "INT",
        Signal::Terminate => "TERM",
    };
    let line = format!("kill -{name} {pid}");
    let status = std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(status.success(), "{line}");
}

/// Returns the processes in whose command line or environment this text stands.
pub(in crate::binaries) fn processes_with(text: &str) -> Vec<u32> {
    let holds = |path: &Path, name: &str| {
        let bytes = std::fs::read(path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(text)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let path = entry.path();
        (holds(&path, "cmdline") || holds(&path, "environ")).then_some(pid)
    });
    processes.filter(|pid| *pid != std::process::id()).collect()
}

/// Whether the kernel is this version or a later one.
pub(in crate::binaries) fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let is = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    is >= (major, minor)
}
