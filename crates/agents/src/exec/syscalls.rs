//! Takes from this process the system calls that change other processes of the same user, which
//! Landlock does not cover: a command must not starve or slow down its gateway.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Calls that name the process they change in this argument; zero is the caller itself.
const ON_ANOTHER: [(i64, u8); 7] = [
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
];

/// Calls that are only ever for another process, or for a group of them.
const ALWAYS: [i64; 4] =
    [libc::SYS_ioprio_set, libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_process_madvise];

/// Refuses these calls, as if the right were missing, to this thread and all that it becomes.
pub(super) fn restrict() -> Result<(), String> {
    let program = program().map_err(|error| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, argument) in ON_ANOTHER {
        let other = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![other])?]);
    }
    for call in ALWAYS {
        rules.insert(call, Vec::new());
    }
    let refused = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    use super::*;

    /// Restricts one thread of the test program, which is all that such a filter reaches.
    #[test]
    fn other_processes_cannot_be_starved() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let few = Rlimit { current: Some(10), maximum: Some(10) };
        let checked = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            let before = prlimit(Some(pid), Resource::Nofile, getrlimit(Resource::Nofile));
            restrict().unwrap();
            let (other, own) = (
                prlimit(Some(pid), Resource::Nofile, few),
                prlimit(None, Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }),
            );
            let renice = rustix::process::setpriority_process(Some(pid), 19);
            (before.is_ok(), other.err(), own.is_ok(), renice.err())
        });
        let found = checked.join().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let refused = Some(rustix::io::Errno::PERM);
        assert_eq!(found, (true, refused, true, refused));
    }
}
