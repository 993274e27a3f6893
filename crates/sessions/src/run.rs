//! The life of one run.

use serde::{Deserialize, Serialize};

/// Where a run is in its life.
///
/// ```text
/// Queued ── start ──▶ Running ── finish ──▶ Ok | Error | Timeout
///    ├───── abort ──▶ Aborted ◀── abort ───┤
///    └─── interrupt ─▶ Interrupted ◀── interrupt (crash, drain)
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// Ended because somebody asked for it. Terminal.
    Aborted,
    /// Ended by a failure. Terminal.
    Error,
    /// Ended because the gateway stopped or crashed under it. Terminal.
    Interrupted,
    /// Ended with an answer. Terminal.
    Ok,
    /// Accepted, and waiting for its turn.
    Queued,
    /// Holds the session's writer fence.
    Running,
    /// Ended because its time was up. Terminal.
    Timeout,
}
