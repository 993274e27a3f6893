//! The decision log: what a record is, and the chain that makes changes to it visible.

mod chain;
mod head;
mod list;
mod mismatch;
mod refusals;
mod refuse;
mod seal;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;

use openclaw_scopes::{Caller, Timestamp};
use rusqlite::Row;

pub use chain::Digest;
pub use head::{AuditHead, ParseHeadError};
pub use list::{AuditFilter, AuditPage};
pub use seal::SealAudit;
pub use verify::{Finding, FindingKind, Verification};

pub(crate) use chain::{AuditKey, Chain};
pub(crate) use head::HeadFile;
pub(crate) use refusals::{Refusals, Throttled};
pub(crate) use verify::verify;

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Allowed, and done.
    Allowed,
    /// Refused.
    Denied,
    /// Allowed, but it could not be done; nothing changed.
    Failed,
}

impl Decision {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Denied, Self::Failed]
            .into_iter()
            .find(|decision| decision.name() == name)
    }
}

/// One decision as it enters the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Who acted.
    pub principal: String,
    /// The holder of the grant it rested on; empty before authentication.
    pub on_behalf_of: String,
    /// The method's public name.
    pub method: &'static str,
    /// On what.
    pub target: String,
    /// What was decided.
    pub decision: Decision,
    /// Why it was refused or failed; empty otherwise.
    pub reason: String,
    /// Why it happened.
    pub cause: String,
    /// How many equal refusals it stands for.
    pub count: u64,
}

impl Entry {
    /// The entry for what `caller` did, or was refused, on `target`.
    pub fn of(
        caller: &Caller,
        method: &'static str,
        target: &impl fmt::Display,
        decision: Decision,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            principal: caller.actor().to_string(),
            on_behalf_of: caller.on_behalf_of().to_string(),
            method,
            target: target.to_string(),
            decision,
            reason: reason.into(),
            cause: caller.cause().to_string(),
            count: 1,
        }
    }
}

/// One decision as it stands in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRecord {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who acted.
    pub principal: String,
    /// The holder of the grant it rested on.
    pub on_behalf_of: String,
    /// The method's public name.
    pub method: String,
    /// On what.
    pub target: String,
    /// What was decided.
    pub decision: Decision,
    /// Why it was refused or failed.
    pub reason: String,
    /// Why it happened.
    pub cause: String,
    /// How many equal refusals it stands for.
    pub count: u64,
    /// The chain's digest up to and with this row.
    pub digest: Digest,
}

const COLUMNS: &str =
    "seq, at, principal, on_behalf_of, method, target, decision, reason, cause, count, digest";

impl AuditRecord {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let decision: String = row.get(6)?;
        let decision = Decision::parse(&decision)
            .ok_or_else(|| crate::error::damaged(6, UnknownDecision(decision)))?;
        Ok(Self {
            seq: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            principal: row.get(2)?,
            on_behalf_of: row.get(3)?,
            method: row.get(4)?,
            target: row.get(5)?,
            decision,
            reason: row.get(7)?,
            cause: row.get(8)?,
            count: row.get(9)?,
            digest: Digest(row.get(10)?),
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown decision `{0}`")]
struct UnknownDecision(String);
