//! How much there is.

use std::convert::Infallible;

use openclaw_scopes::Authorized;
use openclaw_scopes::method::ReadStatus;
use openclaw_scopes::target::Whole;
use rusqlite::Connection;

use crate::act::Query;
use crate::audit::AuditHead;
use crate::error::Fault;

/// Asks how much there is.
#[derive(Clone, Copy, Debug)]
pub struct GetStatus;

/// How much there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreStatus {
    /// Where the audit chain stands.
    pub audit_head: AuditHead,
    /// Runs that wait for their turn.
    pub queued_runs: u32,
    /// Runs that hold their session's fence.
    pub running_runs: u32,
    /// Conversations.
    pub sessions: u64,
}

pub(crate) const COUNTS: &str = "SELECT
    (SELECT count(*) FROM runs WHERE status IN ('queued', 'running') AND status = 'queued'),
    (SELECT count(*) FROM runs WHERE status IN ('queued', 'running') AND status = 'running'),
    (SELECT count(*) FROM sessions)";

impl Query for GetStatus {
    type Method = ReadStatus;
    type Output = StoreStatus;
    type Error = Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Infallible>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadStatus>,
    ) -> Result<StoreStatus, Fault<Infallible>> {
        let (_, Whole) = authorized.into_parts();
        let (queued_runs, running_runs, sessions) = connection
            .prepare_cached(COUNTS)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let audit_head = AuditHead::stored(connection)?;
        Ok(StoreStatus { audit_head, queued_runs, running_runs, sessions })
    }
}
