//! What a command of a run can reach: its workspace, and neither the gateway nor its state.

mod leftovers;
mod reach;
mod socket;

use super::harness::{Home, kernel_at_least};

/// Whether this kernel can keep a command in its workspace; where it cannot, `exec` is refused.
fn has_sandbox() -> bool {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm");
    let can = kernel_at_least(6, 2) && modules.map_or(true, |lsm| lsm.contains("landlock"));
    if !can {
        println!("this kernel has no sandbox: only the refusal of `exec` is looked at");
    }
    can
}

/// Runs the message as one run and returns what its command printed.
async fn printed(home: &Home, key: &str, message: &str) -> String {
    let told = home.tell(&["agent", "-m", message, "--idempotency-key", key]).await;
    assert_eq!(told.code, 0, "{told}");
    told.out
}
