//! Who is at the other end of the local socket: the operating system's word, and no other.

use std::os::fd::{AsFd, AsRawFd as _};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerPidfd;
use openclaw_agents::exec::HelperRegistry;
use openclaw_scopes::RunId;

/// The user id that stands for "somebody whose id does not fit": never an owner.
const OVERFLOW_UID: u32 = 65534;
/// Processes between a peer and the first one at most: more is a loop in what we read.
const MAX_ANCESTORS: usize = 4096;

/// What the operating system says of a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Credentials {
    /// The process, if it could be told.
    pub(crate) pid: Option<i32>,
    /// The account.
    pub(crate) uid: u32,
}

/// Why a peer is nobody.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Stranger {
    /// It descends from a command that a run started, or from the gateway itself.
    #[error("the peer is inside a run of this gateway")]
    InsideRun {
        /// The run, when it is known.
        run: Option<RunId>,
    },
    /// The account owns nothing here.
    #[error("uid {uid} does not own the state directory")]
    OtherUser {
        /// The account.
        uid: u32,
    },
    /// Where the process comes from cannot be read.
    #[error("the peer's process cannot be traced")]
    Untraceable,
}

/// Decides whether a peer is the owner: the account must be the directory's or root's, and the
/// process must not descend from the gateway.
pub(crate) fn owner(
    credentials: Credentials,
    directory_uid: u32,
    helpers: &HelperRegistry,
    parent_of: impl Fn(i32) -> Option<i32>,
) -> Result<(), Stranger> {
    let Credentials { pid, uid } = credentials;
    //= docs/threat-model.md#T1
    if uid == OVERFLOW_UID || (uid != directory_uid && uid != 0) {
        return Err(Stranger::OtherUser { uid });
    }
    let own = i32::try_from(std::process::id()).map_err(|_error| Stranger::Untraceable)?;
    // A process that the kernel cannot name to us (0: it is in another pid namespace) has no
    // ancestors that we could know.
    //= docs/threat-model.md#T5
    let mut ancestor = pid.filter(|pid| *pid > 0).ok_or(Stranger::Untraceable)?;
    for _ in 0..MAX_ANCESTORS {
        if ancestor == own {
            return Err(Stranger::InsideRun { run: None });
        }
        //= docs/threat-model.md#T3
        if let Some(run) = helpers.run_of(ancestor) {
            return Err(Stranger::InsideRun { run: Some(run) });
        }
        // Process 0 is the kernel's: the walk has left this machine's processes, and ours with it.
        if ancestor <= 1 {
            return Ok(());
        }
        ancestor = parent_of(ancestor).ok_or(Stranger::Untraceable)?;
    }
    Err(Stranger::Untraceable)
}

/// Tells whether the process that connected is still the one that has its number now.
///
/// Without the answer a number could have passed on to an innocent process since. Kernels before
/// 6.5 cannot tell; there the time between connecting and being asked about is all there is.
//= docs/threat-model.md#T5
pub(crate) fn is_still(pid: i32, socket: &impl AsFd) -> bool {
    let process = match getsockopt(socket, PeerPidfd) {
        Ok(process) => process,
        Err(Errno::ENOPROTOOPT | Errno::EINVAL) => return true,
        Err(_) => return false,
    };
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let Ok(facts) = std::fs::read_to_string(path) else { return false };
    let named = facts.lines().find_map(|line| line.strip_prefix("Pid:"));
    named.and_then(|named| named.trim().parse().ok()) == Some(pid)
}

/// Reads a process's parent from the kernel.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name stands in parentheses and may hold anything; what follows the last one is numbers.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: u32 = 1000;

    /// 90 and 91 are a shell and its command; 70 is a helper's; 50 hangs in the air; 61 and 60 loop.
    fn parent(pid: i32) -> Option<i32> {
        let own = i32::try_from(std::process::id()).unwrap();
        Some(match pid {
            91 => 90,
            90 => 1,
            72 => 71,
            71 => 70,
            70 => own,
            80 => own,
            61 => 60,
            60 => 61,
            _ => return None,
        })
    }

    #[test]
    #[rustfmt::skip]
    //= docs/threat-model.md#T1
    //= docs/threat-model.md#T3
    fn the_owner_is_an_account_outside_of_runs() {
        let helpers = HelperRegistry::new();
        let run = RunId::parse("r").unwrap();
        helpers.register(70, run.clone());
        let own = i32::try_from(std::process::id()).unwrap();
        let check = |uid, pid| owner(Credentials { pid, uid }, OWNER, &helpers, parent);
        let inside = |run| Err(Stranger::InsideRun { run });

        //               uid          pid        verdict
        assert_eq!(check(OWNER,       Some(91)),  Ok(()));
        assert_eq!(check(0,           Some(90)),  Ok(()));
        assert_eq!(check(OWNER,       Some(1)),   Ok(()));
        assert_eq!(check(1001,        Some(91)),  Err(Stranger::OtherUser { uid: 1001 }));
        assert_eq!(check(OVERFLOW_UID, Some(91)), Err(Stranger::OtherUser { uid: OVERFLOW_UID }));
        assert_eq!(check(OWNER,       Some(72)),  inside(Some(run.clone())));
        assert_eq!(check(0,           Some(70)),  inside(Some(run)));
        assert_eq!(check(OWNER,       Some(80)),  inside(None));
        assert_eq!(check(OWNER,       Some(own)), inside(None));
        assert_eq!(check(OWNER,       Some(50)),  Err(Stranger::Untraceable));
        assert_eq!(check(OWNER,       Some(60)),  Err(Stranger::Untraceable));
        assert_eq!(check(OWNER,       None),      Err(Stranger::Untraceable));
        assert_eq!(check(OWNER,       Some(0)),   Err(Stranger::Untraceable));
        assert_eq!(check(OWNER,       Some(-1)),  Err(Stranger::Untraceable));
    }

    #[test]
    fn the_overflow_account_owns_nothing_even_if_the_directory_is_its() {
        let helpers = HelperRegistry::new();
        let credentials = Credentials { pid: Some(90), uid: OVERFLOW_UID };
        assert!(owner(credentials, OVERFLOW_UID, &helpers, parent).is_err());
    }

    #[test]
    //= docs/threat-model.md#T5
    fn a_process_that_has_ended_is_nobody_any_more() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(is_still(own, &ours));
        assert!(!is_still(own + 1, &ours) || getsockopt(&theirs, PeerPidfd).is_err());
    }

    #[test]
    fn parents_are_read_from_the_kernel() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(
            parent_of(own),
            Some(i32::try_from(std::os::unix::process::parent_id()).unwrap())
        );
        assert_eq!(parent_of(-1), None);
    }
}
