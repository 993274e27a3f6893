//! What an error says, decoded.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A refused call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// The stable reason; empty when there is none.
    pub reason: String,
    /// What is told beside the reason.
    pub metadata: BTreeMap<String, String>,
    /// The words.
    pub message: String,
    /// The next command; empty when there is none.
    pub next: String,
    /// When to come again.
    pub retry: Option<Duration>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let help = details.help().and_then(|help| help.links.first());
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            metadata: info
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            message: status.message().to_owned(),
            next: help.map(|link| link.description.clone()).unwrap_or_default(),
            retry: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl Refusal {
    /// Returns what is told under a name; empty when nothing is.
    pub fn fact(&self, name: &str) -> &str {
        self.metadata.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Returns code and reason, which is what programs look at.
    pub fn kind(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }
}
