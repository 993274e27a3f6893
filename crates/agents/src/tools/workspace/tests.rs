//! Tests of the confinement: what the file tools must never reach, also while it is being moved.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, mkfifoat, renameat_with};

use super::*;

struct Place {
    dir: tempfile::TempDir,
    workspace: Workspace,
}

/// A workspace beside a secret, with links of every kind in it.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("workspace");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/secret"), "secret").unwrap();
    fs::write(root.join("a.txt"), "a").unwrap();
    fs::write(root.join("sub/b.txt"), "b").unwrap();
    symlink("../outside", root.join("out_dir")).unwrap();
    symlink("../outside/secret", root.join("out_file")).unwrap();
    symlink(dir.path().join("outside/secret"), root.join("out_absolute")).unwrap();
    symlink("sub/b.txt", root.join("inner_file")).unwrap();
    symlink("sub", root.join("inner_dir")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    mkfifoat(CWD, root.join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let workspace = Workspace::open(&root, &[dir.path().join("outside")]).unwrap();
    Place { dir, workspace }
}

#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    Argument,
    Done,
    Missing,
    Outside,
}

fn outcome<T>(result: &Result<T, ToolError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(ToolError::BadArguments { .. }) => Outcome::Argument,
        Err(ToolError::NotFound { .. }) => Outcome::Missing,
        Err(ToolError::OutsideWorkspace { .. }) => Outcome::Outside,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn reading_stays_inside() {
    let place = place();
    let check = |path: &str, expected: Outcome| {
        assert_eq!(outcome(&place.workspace.open_file(path)), expected, "{path}");
    };
    check("a.txt", Outcome::Done);
    check("./sub//b.txt", Outcome::Done);
    check("inner_file", Outcome::Done);
    check("inner_dir/b.txt", Outcome::Done);
    check(place.workspace.root().join("a.txt").to_str().unwrap(), Outcome::Done);
    check("none", Outcome::Missing);
    check("dangling", Outcome::Missing);
    check("", Outcome::Argument);
    check("sub", Outcome::Argument);
    check("a.txt/b", Outcome::Argument);
    check("pipe", Outcome::Argument);
    check("a\0b", Outcome::Argument);
    check(&"x".repeat(300), Outcome::Argument);
    check(&"x/".repeat(3000), Outcome::Argument);
    check("..", Outcome::Outside);
    check("../outside/secret", Outcome::Outside);
    check("sub/../../outside/secret", Outcome::Outside);
    check("sub/../a.txt", Outcome::Outside);
    check("/etc/passwd", Outcome::Outside);
    check("out_file", Outcome::Outside);
    check("out_absolute", Outcome::Outside);
    check("out_dir/secret", Outcome::Outside);
    check("loop", Outcome::Outside);
    check("magic/etc/passwd", Outcome::Outside);
    check(place.dir.path().join("outside/secret").to_str().unwrap(), Outcome::Outside);
}

#[test]
fn without_the_kernels_help_no_link_is_followed() {
    let place = place();
    let check = |path: &str, expected: Result<(), Errno>| {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = place.workspace.without_links(Path::new(path), flags);
        assert_eq!(opened.map(drop), expected, "{path}");
    };
    check(".", Ok(()));
    check("a.txt", Ok(()));
    check("sub/b.txt", Ok(()));
    check("inner_file", Err(Errno::LOOP));
    check("inner_dir/b.txt", Err(Errno::LOOP));
    check("out_dir/secret", Err(Errno::LOOP));
    check("out_file", Err(Errno::LOOP));
    check("a.txt/x", Err(Errno::NOTDIR));
    check("none/x", Err(Errno::NOENT));
}

#[test]
fn writing_stays_inside() {
    let place = place();
    let check = |path: &str, expected: Outcome| {
        assert_eq!(outcome(&place.workspace.replace_file(path, b"new")), expected, "{path}");
        if expected == Outcome::Done {
            assert_eq!(fs::read(place.workspace.root().join(path)).unwrap(), b"new", "{path}");
        }
    };
    check("a.txt", Outcome::Done);
    check("new/dir/file", Outcome::Done);
    check("inner_dir/c.txt", Outcome::Done);
    check("out_file", Outcome::Done); // the link is replaced, not followed
    check("dangling", Outcome::Done);
    check("pipe", Outcome::Done);
    check("sub", Outcome::Argument);
    check("", Outcome::Argument);
    check("a.txt/x", Outcome::Argument);
    check("out_dir/new", Outcome::Outside);
    check("out_dir/new/dir", Outcome::Outside);
    check("magic/tmp/x", Outcome::Outside);
    check("../x", Outcome::Outside);
    check("/x", Outcome::Outside);
    let outside: Vec<_> = fs::read_dir(place.dir.path().join("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1);
    assert_eq!(fs::read(place.dir.path().join("outside/secret")).unwrap(), b"secret");
    let left: Vec<_> = fs::read_dir(place.workspace.root())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_replaced_file_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = place();
    let path = place.workspace.root().join("a.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o754)).unwrap();
    place.workspace.replace_file("a.txt", b"new").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o754);
}

/// A directory changes places with a link to the outside while files are read and written through it.
#[test]
//= docs/threat-model.md#T9
fn a_link_swapped_in_meanwhile_leads_nowhere() {
    let place = place();
    let root = place.workspace.root();
    fs::create_dir(root.join("way")).unwrap();
    fs::write(root.join("way/secret"), "inside").unwrap();
    symlink("../outside", root.join("trap")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (way, trap) = (root.join("way"), root.join("trap"));
                renameat_with(CWD, &way, CWD, &trap, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for round in 0..2000 {
            if let Ok(mut file) = place.workspace.open_file("way/secret") {
                let text = io::read_to_string(&mut file).unwrap();
                assert_eq!(text, "inside");
            }
            drop(place.workspace.replace_file(&format!("way/new{}", round % 7), b"x"));
            drop(place.workspace.replace_file("way/dir/file", b"x"));
        }
        done.store(true, Ordering::Relaxed);
    });
    let outside: Vec<_> = fs::read_dir(place.dir.path().join("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1, "{outside:?}");
}

#[test]
fn a_workspace_does_not_contain_what_is_protected() {
    let place = place();
    let protected = [place.dir.path().join("outside"), place.dir.path().join("not/there")];
    let open = |path: &Path| Workspace::open(path, &protected).map(drop);
    assert!(matches!(open(place.dir.path()), Err(OpenWorkspaceError::Contains { .. })));
    assert!(matches!(open(&protected[0]), Err(OpenWorkspaceError::Contains { .. })));
    assert!(matches!(open(&protected[1]), Err(OpenWorkspaceError::Io { .. })));
    assert!(open(place.workspace.root()).is_ok());
    fs::create_dir(protected[0].join("agent")).unwrap();
    assert!(open(&protected[0].join("agent")).is_ok());
}

#[test]
fn a_command_starts_inside() {
    let place = place();
    let root = place.workspace.root();
    assert_eq!(place.workspace.directory(".").unwrap(), root);
    assert_eq!(place.workspace.directory("inner_dir/deep").unwrap(), root.join("sub/deep"));
    assert_eq!(outcome(&place.workspace.directory("out_dir")), Outcome::Outside);
    assert_eq!(outcome(&place.workspace.directory("a.txt")), Outcome::Argument);
    assert_eq!(outcome(&place.workspace.directory("none")), Outcome::Missing);
}
