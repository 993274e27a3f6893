//! Takes from this process what a command does not need: capabilities, and the sight of other files.
//!
//! Not covered: UDP, and before Linux 7.1 (Landlock ABI 9) sockets that lie in the file system, such as
//! the session bus: connecting to one is not an access to a file. The gateway's own socket therefore
//! refuses every peer that descends from a helper.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus,
    Scope,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
};

use super::wire::{CommandOrder, TcpMode};

/// The rights without which there is no sandbox: links and truncation are covered from here on.
const REQUIRED: ABI = ABI::V3;

/// The newest rights that are asked for where the kernel has them.
const WANTED: ABI = ABI::V9;

/// Programs, libraries and what they read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu/store",
    "/run/current-system",
    "/run/booted-system",
    "/run/opengl-driver",
];

/// What the kernel tells about itself. It guards the processes' secrets on its own: no process outside
/// the sandbox may be traced from inside, which covers its environment, memory and files.
const KERNEL: &[&str] = &["/proc", "/sys"];

const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Files that `/etc` links to and that are needed to find hosts.
const NAMES: &[&str] = &["/etc/resolv.conf", "/etc/hosts"];

/// How many entries below a system directory are looked at before the rest of it stays unreadable.
const MAX_WALK: usize = 50_000;

/// How deep a walk goes.
const MAX_DEPTH: usize = 24;

/// Drops every capability for good: with no new privileges, `exec` cannot bring them back, also not
/// for root. Reading kernel memory or another user's files is then out of reach for root's commands.
pub(super) fn drop_capabilities() -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, inheritable: none, permitted: none })
}

/// Restricts this thread, and all that it starts or becomes, to the order's directories.
//= docs/threat-model.md#T6
pub(super) fn restrict(order: &CommandOrder) -> Result<(), String> {
    let ruleset = rules(order).map_err(|error| error.to_string())?;
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("Landlock was not enforced".to_owned()),
    }
}

fn rules(order: &CommandOrder) -> Result<RulesetCreated, landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?;
    if order.tcp == TcpMode::Closed {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4))?;
    }
    let mut created = ruleset
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?;
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let mut walk = Walk { left: MAX_WALK, protected: &order.protected, readable: Vec::new() };
    for directory in SYSTEM {
        walk.grant(Path::new(directory));
    }
    for path in walk.readable {
        created = allow(created, &path, read)?;
    }
    for path in NAMES {
        if let Ok(path) = Path::new(path).canonicalize() {
            created = allow(created, &path, AccessFs::ReadFile.into())?;
        }
    }
    for path in KERNEL {
        created = allow(created, Path::new(path), AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    for path in DEVICES {
        created = allow(created, Path::new(path), AccessFs::from_file(WANTED))?;
    }
    // Devices cannot be made: one made inside would be a way to every disk.
    let write = AccessFs::from_all(WANTED) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    for path in [&order.workspace, &order.private_dir] {
        created = allow(created, path, write)?;
    }
    Ok(created)
}

/// Grants `access` below `path`, if it exists.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(fd) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(WANTED) };
    ruleset.add_rule(PathBeneath::new(fd, access))
}

/// The search for what everybody may read below the system directories.
///
/// A gateway that runs as root owns files that only root may read, such as host keys and the shadow
/// file; they are left out, and so is the state directory where it lies in a system directory.
#[derive(Debug)]
struct Walk<'a> {
    left: usize,
    protected: &'a [PathBuf],
    readable: Vec<PathBuf>,
}

/// Whether a whole tree may be granted with one rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tree {
    Open,
    Partly,
}

impl Walk<'_> {
    fn grant(&mut self, top: &Path) {
        let Ok(top) = top.canonicalize() else { return };
        // Only configuration holds secrets by custom. Programs are public, and a walk over them
        // would cost more than most commands.
        let deep = top.starts_with("/etc") || self.protected.iter().any(|it| it.starts_with(&top));
        if !deep {
            self.readable.push(top);
            return;
        }
        let mark = self.readable.len();
        if self.visit(&top, 0) == Tree::Open {
            self.readable.truncate(mark);
            self.readable.push(top);
        }
    }

    /// Collects what may be read below `dir`; a tree that is wholly open is collected as one path.
    fn visit(&mut self, dir: &Path, depth: usize) -> Tree {
        if depth > MAX_DEPTH {
            return Tree::Partly;
        }
        let Ok(entries) = std::fs::read_dir(dir) else { return Tree::Partly };
        let mut tree = Tree::Open;
        for entry in entries {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                return Tree::Partly;
            }
            let Ok(entry) = entry else { return Tree::Partly };
            let path = entry.path();
            if self.protected.contains(&path) {
                tree = Tree::Partly;
                continue;
            }
            let Ok(metadata) = entry.metadata() else {
                tree = Tree::Partly;
                continue;
            };
            if metadata.is_symlink() {
                continue;
            }
            let mode = std::os::unix::fs::MetadataExt::mode(&metadata);
            if metadata.is_dir() && mode & 0o005 == 0o005 {
                let mark = self.readable.len();
                match self.visit(&path, depth.saturating_add(1)) {
                    Tree::Open => {
                        self.readable.truncate(mark);
                        self.readable.push(path);
                    }
                    Tree::Partly => tree = Tree::Partly,
                }
            } else if metadata.is_file() && mode & 0o004 != 0 {
                self.readable.push(path);
            } else {
                tree = Tree::Partly;
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt as _;
    use std::{fs, io};

    use super::super::{Limits, SandboxMode};
    use super::*;

    #[test]
    fn only_what_everybody_may_read_is_granted() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let file = |path: &str, mode: u32| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("passwd", 0o644);
        file("shadow", 0o640);
        file("ssh/ssh_config", 0o644);
        file("ssh/host_key", 0o600);
        file("ssl/certs/ca.pem", 0o644);
        file("ssl/openssl.cnf", 0o644);
        file("state/audit.key", 0o644);
        file("secret/inner", 0o644);
        for (path, mode) in [
            ("ssh", 0o755),
            ("ssl", 0o755),
            ("ssl/certs", 0o755),
            ("state", 0o755),
            ("secret", 0o700),
        ] {
            fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        let protected = [top.join("state")];
        let mut walk = Walk { left: MAX_WALK, protected: &protected, readable: Vec::new() };
        walk.grant(&top);
        walk.readable.sort();
        let readable: Vec<_> =
            walk.readable.iter().map(|path| path.strip_prefix(&top).unwrap()).collect();
        assert_eq!(readable, ["passwd", "ssh/ssh_config", "ssl"].map(Path::new));
    }

    /// Restricts one thread of the test program, which is all that such a rule reaches.
    #[test]
    fn tcp_can_be_closed() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |tcp: TcpMode| {
            let order = CommandOrder {
                binary: PathBuf::new(),
                argv: Vec::new(),
                cwd: dir.path().to_owned(),
                environment: BTreeMap::new(),
                limits: Limits::default(),
                parent: 0,
                private_dir: dir.path().to_owned(),
                protected: Vec::new(),
                sandbox: SandboxMode::Workspace,
                tcp,
                workspace: dir.path().to_owned(),
            };
            let thread = std::thread::spawn(move || {
                restrict(&order).unwrap();
                TcpStream::connect(address).map(drop).map_err(|error| error.kind())
            });
            thread.join().unwrap()
        };
        assert_eq!(connect(TcpMode::Open), Ok(()));
        let hard = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        if hard.handle_access(AccessNet::from_all(ABI::V4)).is_ok() {
            assert_eq!(connect(TcpMode::Closed), Err(io::ErrorKind::PermissionDenied));
        }
    }
}
