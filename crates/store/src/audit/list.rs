//! Reading the decision log page by page.

use openclaw_scopes::method::ListAudit;
use openclaw_scopes::target::AuditRange;
use openclaw_scopes::{Authorized, GrantHolder};
use rusqlite::{Connection, params};

use super::{AuditRecord, COLUMNS, Decision};
use crate::act::Query;
use crate::error::{Fault, StoreError};
use crate::handle::Store;

/// Which decisions are wanted.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    /// All rows, or those on the caller's own behalf.
    pub range: AuditRange,
    /// Only rows before this one; `None` for the newest.
    pub before: Option<u64>,
    /// Rows of the page.
    pub limit: u32,
    /// Only those of this method; empty for all.
    pub method: String,
    /// Only what this principal did or was done on its behalf, a device by six characters or more of its
    /// id's beginning; empty for all.
    pub principal: String,
    /// Only those with this decision.
    pub decision: Option<Decision>,
}

/// A page of decisions, the newest first.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The rows.
    pub records: Vec<AuditRecord>,
    /// What to ask for next; `None` on the last page.
    pub next_before: Option<u64>,
}

impl Store {
    /// Returns the oldest records from `seq` on, for an export that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn audit_from(&self, seq: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.snapshot(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let from = i64::try_from(seq).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![from, limit], AuditRecord::from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

impl Query for AuditFilter {
    type Method = ListAudit;
    type Output = AuditPage;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<AuditRange, Fault<Self::Error>> {
        Ok(self.range)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListAudit>,
    ) -> Result<AuditPage, Fault<Self::Error>> {
        let (caller, range) = authorized.into_parts();
        let own = match range {
            AuditRange::All => None,
            AuditRange::Own => Some(caller.on_behalf_of()),
        };
        Ok(page(connection, self, own)?)
    }
}

fn page(
    connection: &Connection,
    filter: &AuditFilter,
    own: Option<&GrantHolder>,
) -> rusqlite::Result<AuditPage> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE seq < ?1
           AND (?2 IS NULL OR on_behalf_of = ?2) AND (?3 = '' OR method = ?3)
           AND (?4 = '' OR ?4 IN (principal, on_behalf_of)
                OR (?4 GLOB 'device:??????*'
                    AND ?4 IN (substr(principal, 1, length(?4)), substr(on_behalf_of, 1, length(?4)))))
           AND (?5 IS NULL OR decision = ?5)
         ORDER BY seq DESC LIMIT ?6"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let before = filter.before.and_then(|seq| i64::try_from(seq).ok()).unwrap_or(i64::MAX);
    let rows = statement.query_map(
        params![
            before,
            own.map(ToString::to_string),
            filter.method,
            filter.principal,
            filter.decision.map(Decision::name),
            // One row more tells whether there is another page.
            filter.limit.saturating_add(1),
        ],
        AuditRecord::from_row,
    )?;
    let mut records = rows.collect::<Result<Vec<_>, _>>()?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let has_more = records.len() > limit;
    records.truncate(limit);
    let next_before = records.last().filter(|_| has_more).map(|last| last.seq);
    Ok(AuditPage { records, next_before })
}
