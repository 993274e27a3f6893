//! Where a run is in its life, as it is stored and shown.

use std::fmt;

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

impl RunStatus {
    /// Every status, by name.
    pub const ALL: [Self; 7] = [
        Self::Aborted,
        Self::Error,
        Self::Interrupted,
        Self::Ok,
        Self::Queued,
        Self::Running,
        Self::Timeout,
    ];

    /// Whether the run has ended: nothing changes it anymore.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Aborted | Self::Error | Self::Interrupted | Self::Ok | Self::Timeout => true,
            Self::Queued | Self::Running => false,
        }
    }

    /// Returns the name under which the status is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Error => "error",
            Self::Interrupted => "interrupted",
            Self::Ok => "ok",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Timeout => "timeout",
        }
    }

    /// Reads a name that [`Self::name`] gave.
    ///
    /// # Errors
    /// When no status has this name.
    pub fn parse(name: &str) -> Result<Self, ParseStatusError> {
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| ParseStatusError {
            name: name.chars().take(64).flat_map(char::escape_debug).collect(),
        })
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason a text is not the status of a run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is not the status of a run")]
pub struct ParseStatusError {
    /// The text as given, shortened to 64 characters.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_are_those_of_the_journal() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::parse(status.name()), Ok(status));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{status}\""));
        }
        for name in ["", "Ok", "ok ", "done"] {
            assert!(RunStatus::parse(name).is_err(), "{name}");
        }
    }
}
