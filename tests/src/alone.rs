//! Tests that need a process of their own.

use std::process::Command;

/// Set in the process that runs one test.
const ALONE: &str = "OPENCLAW_TEST_ALONE";

/// Whether this process runs one test only, which then may change what the whole process sees.
///
/// Where it does not, the test called `name` (with its modules) is run in a process of its own, and must pass.
pub fn alone(name: &str) -> bool {
    let is_set =
        |name: &str, value: &str| std::env::var_os(name).is_some_and(|found| found == value);
    if is_set("NEXTEST_EXECUTION_MODE", "process-per-test") || is_set(ALONE, "1") {
        return true;
    }
    let mut this = Command::new(std::env::current_exe().unwrap());
    let ended = this.args(["--exact", name]).env(ALONE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
    false
}
