//! Removing rows that outlived their retention, without breaking the chain.

use openclaw_scopes::method::SealAudit as Method;
use openclaw_scopes::target::Whole;
use openclaw_scopes::{Authorized, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::Digest;
use crate::act::{Applied, Ask, Transaction};
use crate::error::Fault;

/// Rows that one step seals at most: bounds how long the others wait.
const AT_ONCE: u64 = 20_000;

/// Seals and removes the oldest rows that were decided before an instant; answers how many. A step
/// takes a bounded number: ask again until none are left.
#[derive(Clone, Copy, Debug)]
pub struct SealAudit {
    /// The instant.
    pub before: Timestamp,
}

impl Ask for SealAudit {
    type Method = Method;
    type Output = u64;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Method>,
        now: Timestamp,
    ) -> Result<Applied<u64>, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let bounds = "SELECT coalesce(min(seq), 0) FROM audit";
        let first: u64 = tx.query_row(bounds, [], |row| row.get(0))?;
        // Only a run of rows from the oldest on may go: the first that must stay ends it.
        let sql = "SELECT seq, digest FROM audit WHERE seq <
                       coalesce((SELECT min(seq) FROM audit WHERE at >= ?1), 9223372036854775807)
                       AND seq < ?2
                   ORDER BY seq DESC LIMIT 1";
        let last: Option<(u64, [u8; 32])> = tx
            .query_row(
                sql,
                params![self.before.as_millis(), first.saturating_add(AT_ONCE)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((last, digest)) = last else {
            return Ok(Applied::Unchanged(0));
        };
        let seal = tx.audit_key().seal(first, last, now, Digest(digest));
        tx.execute(
            "INSERT INTO audit_segments VALUES (?1, ?2, ?3, ?4, ?5)",
            params![first, last, digest, now.as_millis(), seal.0],
        )?;
        let removed = tx.execute("DELETE FROM audit WHERE seq <= ?1", [last])?;
        Ok(Applied::Changed(u64::try_from(removed).unwrap_or(u64::MAX)))
    }
}
