//! Operations that are approved for good: exactly these, of one agent, on behalf of one holder.

use openclaw_scopes::method::{ListStanding as ListMethod, RevokeStanding as RevokeMethod};
use openclaw_scopes::target::{ApprovalTarget, Whole};
use openclaw_scopes::{AgentId, Authorized, Caller, GrantHolder, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Approval, ApprovalError, Operation, approval_target};
use crate::act::{Applied, Ask, Query, Transaction};
use crate::error::{Fault, damaged};

/// An operation that is approved for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its id.
    pub id: String,
    /// What may be done.
    pub operation: Operation,
    /// The agent that may.
    pub agent: AgentId,
    /// On whose behalf.
    pub on_behalf_of: GrantHolder,
    /// Who approved it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// How often it was used.
    pub uses: u64,
}

const SELECT: &str = "SELECT id, operation, agent, on_behalf_of, created_by, created_at, uses
    FROM standing_approvals";

impl Standing {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        Ok(Self {
            id: text(0)?,
            operation: serde_json::from_str(&text(1)?).map_err(|error| damaged(1, error))?,
            agent: text(2)?.parse().map_err(|error| damaged(2, error))?,
            on_behalf_of: text(3)?.parse().map_err(|error| damaged(3, error))?,
            created_by: text(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            uses: row.get(6)?,
        })
    }
}

fn agent_of(session: &SessionKey) -> rusqlite::Result<AgentId> {
    openclaw_sessions::agent_of(session).map_err(|error| damaged(0, error))
}

/// Returns the approval for good that an operation has, and counts the use.
pub(super) fn used(
    connection: &Connection,
    session: &SessionKey,
    caller: &Caller,
    digest: &[u8; 32],
) -> rusqlite::Result<Option<String>> {
    let sql = "UPDATE standing_approvals SET uses = uses + 1
               WHERE agent = ?1 AND on_behalf_of = ?2 AND digest = ?3 AND grant_epoch = ?4
               RETURNING id";
    let (agent, holder) = (agent_of(session)?, caller.on_behalf_of().to_string());
    let epoch = caller.grant().epoch().0;
    connection
        .prepare_cached(sql)?
        .query_row(params![agent.as_str(), holder, digest, epoch], |row| row.get(0))
        .optional()
}

pub(super) fn add(
    connection: &Connection,
    id: &str,
    approval: &Approval,
    by: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO standing_approvals
               SELECT ?1, ?2, a.on_behalf_of, g.epoch, a.digest, a.operation, ?3, ?4, 0
               FROM tool_approvals a JOIN grants g ON g.holder = a.on_behalf_of WHERE a.id = ?5
               ON CONFLICT (agent, on_behalf_of, digest) DO UPDATE
                   SET grant_epoch = excluded.grant_epoch, created_by = excluded.created_by,
                       created_at = excluded.created_at";
    let agent = agent_of(&approval.session)?;
    let values = params![id, agent.as_str(), by, now.as_millis(), approval.id];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

/// Lists the operations that are approved for good, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListStanding;

impl Query for ListStanding {
    type Method = ListMethod;
    type Output = Vec<Standing>;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<Vec<Standing>, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let sql = format!("{SELECT} ORDER BY created_at DESC, id");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([], Standing::from_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// Withdraws an approval for good.
#[derive(Clone, Debug)]
pub struct RevokeStanding(pub String);

impl Ask for RevokeStanding {
    type Method = RevokeMethod;
    type Output = Standing;
    type Error = ApprovalError;

    fn target(&self, tx: &Transaction<'_>) -> Result<ApprovalTarget, Fault<ApprovalError>> {
        Ok(approval_target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RevokeMethod>,
        _: Timestamp,
    ) -> Result<Applied<Standing>, Fault<ApprovalError>> {
        drop(authorized.into_parts());
        let sql = format!("{SELECT} WHERE id = ?1");
        let found = tx.prepare_cached(&sql)?.query_row([&self.0], Standing::from_row).optional()?;
        let found = found.ok_or_else(|| Fault::Domain(ApprovalError::Unknown(self.0.clone())))?;
        tx.prepare_cached("DELETE FROM standing_approvals WHERE id = ?1")?.execute([&self.0])?;
        Ok(Applied::Changed(found))
    }
}
