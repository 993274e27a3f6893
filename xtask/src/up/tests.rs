//! `up` with programs that only pretend, so that its own behavior is tested without a release build.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_process};

use super::{Demo, Ending, create_private, serve};
use crate::workspace::Workspace;

/// Runs one test at a time: a signal reaches every `up` of this process.
fn alone<T>(test: impl Future<Output = T>) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn demo(root: &Path) -> Demo {
    let pretend = Workspace::find().unwrap().root().join("xtask/src/up/pretend");
    for name in ["gateway", "openclaw"] {
        symlink(&pretend, root.join(name)).unwrap();
    }
    create_private(&root.join("up")).unwrap();
    Demo {
        gateway: "gateway".into(),
        openclaw: "openclaw".into(),
        root: root.to_owned(),
        state: "up".into(),
        withheld: vec!["CARGO_MANIFEST_DIR".to_owned()],
    }
}

#[test]
fn asks_once_and_ends_the_gateway_orderly() {
    let directory = tempfile::tempdir().unwrap();
    alone(serve(&demo(directory.path()), Ending::FirstAnswer)).unwrap();

    let state = directory.path().join("up");
    let read = |name: &str| fs::read_to_string(state.join(name)).unwrap();
    assert_eq!(read("asked"), "Hello. Who are you?\n");
    assert_eq!(read("drained"), "drained\n");
    assert!(!read("environment").contains("CARGO_MANIFEST_DIR="), "a withheld variable was seen");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_interrupt_ends_the_gateway_orderly() {
    let directory = tempfile::tempdir().unwrap();
    let demo = demo(directory.path());
    let state = directory.path().join("up");
    let interrupt = async {
        while !state.join("asked").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill_process(getpid(), Signal::INT).unwrap();
    };
    let served = alone(async { tokio::join!(serve(&demo, Ending::Interrupt), interrupt).0 });
    served.unwrap();
    assert!(state.join("drained").exists(), "the gateway was not ended orderly");
}

#[test]
#[rustfmt::skip]
fn a_failure_is_explained_and_leaves_no_gateway() {
    for (call,              code, message,                                            drained) in [
        ("openclaw-health", "0",  "a gateway already runs on `up`",                   false),
        ("gateway",         "78", "end that `cargo xtask up` first",                  false),
        ("gateway",         "3",  "ended before it was healthy, with exit status: 3", false),
        ("openclaw-agent",  "1",  "the agent turn ended with exit status: 1",         true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let demo = demo(directory.path());
        let state = directory.path().join("up");
        fs::write(state.join(call), code).unwrap();
        let said = alone(serve(&demo, Ending::FirstAnswer)).unwrap_err().to_string();
        assert!(said.contains(message), "{call} {code}: {said}");
        assert_eq!(state.join("drained").exists(), drained, "{call} {code}");
    }
}
