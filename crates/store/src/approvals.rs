//! Approvals of tool calls: asked for by runs, answered by people, used once.

mod answer;
mod standing;

use std::time::Duration;

use openclaw_scopes::method::{
    ListApprovals as ListMethod, RequestApproval as RequestMethod, UseApproval as UseMethod,
};
use openclaw_scopes::target::{ApprovalTarget, OperationTarget, ToolTarget, Whole};
use openclaw_scopes::{Authorized, Caller, GrantHolder, Principal, RunId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::act::{Applied, Ask, Failure, Query, Transaction};
use crate::error::{Fault, damaged};
use crate::sessions;

pub use answer::{Answer, AnswerCall, Approve, Deny, Term};
pub use standing::{ListStanding, RevokeStanding, Standing};

/// Approvals of one conversation that may wait at once, and of all: as many as somebody can look through.
const MAX_OF_SESSION: u32 = 20;
const MAX_OF_ALL: u32 = 200;
/// Approvals that a list has at most.
const LISTED: u32 = 200;
/// How long what was decided is kept (`access.md` §11 of the reference).
const KEPT: Duration = Duration::from_hours(24 * 30);

/// What a tool is to do, to the last argument. An approval is for this and nothing else.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// The tool.
    pub tool: String,
    /// The arguments, the program's name first.
    pub argv: Vec<String>,
    /// Where it works.
    pub cwd: String,
    /// The program, as the search path led to it.
    pub binary: String,
    /// SHA-256 of the program, in hex.
    pub binary_digest: String,
    /// SHA-256 of its environment, in hex.
    pub environment_digest: String,
    /// How it is confined.
    pub sandbox: String,
}

/// Bytes of an operation that the log tells at most.
const LOGGED: usize = 300;

impl Operation {
    /// Returns what the log tells: the arguments, and enough of the program to know it again.
    fn logged(&self) -> Box<str> {
        let text = format!("{:?} in {} by {}", self.argv, self.cwd, self.binary_digest);
        crate::children::cut(&text, LOGGED).into()
    }
}

/// Returns an approval as a target of decisions.
fn approval_target(connection: &Connection, id: &str) -> rusqlite::Result<ApprovalTarget> {
    let sql = "SELECT operation FROM tool_approvals WHERE id = ?1
               UNION ALL SELECT operation FROM standing_approvals WHERE id = ?1";
    let found: Option<String> =
        connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    let operation = match found {
        None => Box::default(),
        Some(text) => {
            let operation: Operation =
                serde_json::from_str(&text).map_err(|error| damaged(0, error))?;
            operation.logged()
        }
    };
    Ok(ApprovalTarget { id: crate::children::cut(id, 64).into(), operation })
}

/// How far an approval has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApprovalState {
    /// It was approved, and is not done yet.
    Approved,
    /// It was turned down.
    Denied,
    /// Its time is up.
    Expired,
    /// It waits for an answer.
    Pending,
    /// It was approved and done.
    Used,
}

impl ApprovalState {
    const ALL: [Self; 5] = [Self::Approved, Self::Denied, Self::Expired, Self::Pending, Self::Used];

    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Used => "used",
        }
    }
}

/// An operation that a run wants to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub operation: Operation,
    /// The run that asked.
    pub run: RunId,
    /// Its conversation.
    pub session: SessionKey,
    /// On whose behalf it runs.
    pub on_behalf_of: GrantHolder,
    /// How far it has come.
    pub state: ApprovalState,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Until when it can be answered, and used.
    pub expires_at: Timestamp,
    /// Who answered; empty when nobody did.
    pub decided_by: String,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// What whoever turned it down said.
    pub reason: String,
    /// The run that did it; empty when none did.
    pub used_by: String,
}

const SELECT: &str =
    "SELECT a.id, a.operation, a.run, s.key, a.on_behalf_of, a.state, a.requested_at,
    a.expires_at, a.decided_by, a.decided_at, a.reason, a.used_by
    FROM tool_approvals a JOIN sessions s ON s.id = a.session";

impl Approval {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let state = text(5)?;
        Ok(Self {
            id: text(0)?,
            operation: serde_json::from_str(&text(1)?).map_err(|error| damaged(1, error))?,
            run: text(2)?.parse().map_err(|error| damaged(2, error))?,
            session: text(3)?.parse().map_err(|error| damaged(3, error))?,
            on_behalf_of: text(4)?.parse().map_err(|error| damaged(4, error))?,
            state: ApprovalState::ALL
                .into_iter()
                .find(|known| known.name() == state)
                .ok_or_else(|| damaged(5, UnknownState(state)))?,
            requested_at: Timestamp::from_millis(row.get(6)?),
            expires_at: Timestamp::from_millis(row.get(7)?),
            decided_by: text(8)?,
            decided_at: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_millis),
            reason: text(10)?,
            used_by: text(11)?,
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no state of an approval")]
struct UnknownState(String);

/// Why an approval was not asked for, answered or used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApprovalError {
    /// It was answered before.
    #[error("approval `{id}` is {} already", state.name())]
    Decided {
        /// Its id.
        id: String,
        /// How far it has come.
        state: ApprovalState,
    },
    /// Too many wait.
    #[error("{max} approvals wait for an answer already")]
    TooMany {
        /// The most that may.
        max: u32,
    },
    /// There is no such approval.
    #[error("no approval `{0}`")]
    Unknown(String),
}

impl Failure for ApprovalError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Decided { .. } => "decided",
            Self::TooMany { .. } => "too-many-approvals",
            Self::Unknown(_) => "unknown-approval",
        }
    }
}

/// Marks what has lapsed, and forgets what was decided long ago.
pub(crate) fn lapse(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE tool_approvals SET state = 'expired'
               WHERE state IN ('approved', 'pending') AND expires_at <= ?1";
    connection.prepare_cached(sql)?.execute([now.as_millis()])?;
    let sql = "DELETE FROM tool_approvals
               WHERE state IN ('denied', 'expired', 'used') AND requested_at < ?1";
    connection.prepare_cached(sql)?.execute([now.saturating_sub(KEPT).as_millis()]).map(|_| ())
}

/// Withdraws what a run asked for that has ended: nobody waits for it any more.
pub(crate) fn withdraw(connection: &Connection, run: &RunId) -> rusqlite::Result<()> {
    let sql = "UPDATE tool_approvals SET state = 'expired', reason = 'the run that asked has ended'
               WHERE run = ?1 AND state IN ('approved', 'pending')";
    connection.prepare_cached(sql)?.execute([run.as_str()]).map(|_| ())
}

/// The same of a run that is known by its row.
pub(crate) fn withdraw_of(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE tool_approvals SET state = 'expired', reason = 'the run that asked has ended'
               WHERE run = (SELECT run_id FROM runs WHERE id = ?1)
                   AND state IN ('approved', 'pending')";
    connection.prepare_cached(sql)?.execute([row]).map(|_| ())
}

/// Returns an approval, as it is now.
pub(crate) fn find(
    connection: &Connection,
    id: &str,
    now: Timestamp,
) -> rusqlite::Result<Option<Approval>> {
    let sql = format!("{SELECT} WHERE a.id = ?1 AND s.deleted_at IS NULL");
    let found = connection.prepare_cached(&sql)?.query_row([id], Approval::from_row).optional()?;
    Ok(found.map(|approval| as_of(approval, now)))
}

fn as_of(approval: Approval, now: Timestamp) -> Approval {
    let is_open = matches!(approval.state, ApprovalState::Approved | ApprovalState::Pending);
    if is_open && approval.expires_at <= now {
        return Approval { state: ApprovalState::Expired, ..approval };
    }
    approval
}

/// Asks that an operation be approved. The same one that waits in the same conversation, or was approved and
/// not done, is found again: also after a restart.
#[derive(Clone, Debug)]
pub struct RequestApproval {
    /// The tool that is to do it.
    pub target: ToolTarget,
    /// The id of a new approval.
    pub id: String,
    /// The conversation in which the run works.
    pub session: SessionKey,
    /// SHA-256 over all that the operation is.
    pub digest: [u8; 32],
    /// The same for people.
    pub operation: Operation,
    /// How long it may be answered and used.
    pub ttl: Duration,
    /// Whether the run waits for an answer; else only an approval that is there already counts.
    pub may_wait: bool,
}

/// What came of asking.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Requested {
    /// This approval is to be answered, or was.
    Asked(Box<Approval>),
    /// There is none, and nobody who could give one.
    Nobody,
    /// It is approved for good.
    Standing(String),
}

impl Ask for RequestApproval {
    type Method = RequestMethod;
    type Output = Requested;
    type Error = ApprovalError;

    fn target(&self, _: &Transaction<'_>) -> Result<OperationTarget, Fault<ApprovalError>> {
        let operation = self.operation.logged();
        Ok(OperationTarget { tool: self.target.clone(), operation })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RequestMethod>,
        now: Timestamp,
    ) -> Result<Applied<Requested>, Fault<ApprovalError>> {
        let (caller, _) = authorized.into_parts();
        lapse(tx, now)?;
        if let Some(standing) = standing::used(tx, &self.session, &caller, &self.digest)? {
            return Ok(Applied::Changed(Requested::Standing(standing)));
        }
        let unknown = || Fault::Domain(ApprovalError::Unknown(self.id.clone()));
        let Some(session) = sessions::row_of(tx, &self.session)? else {
            // The command of a job has no conversation, in which nobody could have approved it.
            let nobody = Ok(Applied::Unchanged(Requested::Nobody));
            return if self.may_wait { Err(unknown()) } else { nobody };
        };
        let holder = caller.on_behalf_of().to_string();
        let sql = "SELECT id FROM tool_approvals WHERE session = ?1 AND digest = ?2
                       AND on_behalf_of = ?3 AND state IN ('approved', 'pending')
                   ORDER BY requested_at LIMIT 1";
        let open: Option<String> = tx
            .prepare_cached(sql)?
            .query_row(params![session, self.digest, holder], |row| row.get(0))
            .optional()?;
        if let Some(open) = open {
            let found = find(tx, &open, now)?.ok_or_else(unknown)?;
            if self.may_wait || found.state == ApprovalState::Approved {
                return Ok(Applied::Unchanged(Requested::Asked(Box::new(found))));
            }
        }
        if !self.may_wait {
            return Ok(Applied::Unchanged(Requested::Nobody));
        }
        let sql = "SELECT count(*), coalesce(sum(session = ?1), 0) FROM tool_approvals
                   WHERE state IN ('approved', 'pending') AND state = 'pending'";
        let (all, own): (u32, u32) =
            tx.prepare_cached(sql)?.query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if own >= MAX_OF_SESSION || all >= MAX_OF_ALL {
            let max = if own >= MAX_OF_SESSION { MAX_OF_SESSION } else { MAX_OF_ALL };
            return Err(Fault::Domain(ApprovalError::TooMany { max }));
        }
        let run = working_run(&caller).ok_or_else(unknown)?;
        let sql =
            "INSERT INTO tool_approvals (id, session, run, on_behalf_of, digest, operation, state,
                       requested_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)";
        tx.prepare_cached(sql)?.execute(params![
            self.id,
            session,
            run.as_str(),
            holder,
            self.digest,
            serde_json::to_string(&self.operation).map_err(|error| damaged(0, error))?,
            now.as_millis(),
            now.saturating_add(self.ttl).as_millis(),
        ])?;
        let asked = find(tx, &self.id, now)?.ok_or_else(unknown)?;
        Ok(Applied::Changed(Requested::Asked(Box::new(asked))))
    }
}

fn working_run(caller: &Caller) -> Option<&RunId> {
    match caller.actor() {
        Principal::Run { run, .. } => Some(run),
        Principal::Device { .. }
        | Principal::Hook { .. }
        | Principal::Owner { .. }
        | Principal::Plugin { .. }
        | Principal::Sender { .. }
        | Principal::System { .. }
        | Principal::Token { .. } => None,
    }
}

/// Uses up an approval, for the operation that it is for. The operation is done after this and never before.
#[derive(Clone, Debug)]
pub struct UseApproval {
    /// The tool that does it.
    pub target: ToolTarget,
    /// The approval.
    pub id: String,
    /// SHA-256 over all that the operation is now.
    pub digest: [u8; 32],
}

/// Whether an approval is good for an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Used {
    /// It was, and is used up.
    Now,
    /// It is for another one.
    Otherwise,
    /// It is in this state, and good for nothing.
    Not(ApprovalState),
}

impl Ask for UseApproval {
    type Method = UseMethod;
    type Output = Used;
    type Error = ApprovalError;

    fn target(&self, tx: &Transaction<'_>) -> Result<OperationTarget, Fault<ApprovalError>> {
        let operation = approval_target(tx, &self.id)?.to_string().into();
        Ok(OperationTarget { tool: self.target.clone(), operation })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<UseMethod>,
        now: Timestamp,
    ) -> Result<Applied<Used>, Fault<ApprovalError>> {
        let (caller, _) = authorized.into_parts();
        let unknown = || Fault::Domain(ApprovalError::Unknown(self.id.clone()));
        let approval = find(tx, &self.id, now)?.ok_or_else(unknown)?;
        if approval.state != ApprovalState::Approved {
            return Ok(Applied::Unchanged(Used::Not(approval.state)));
        }
        let run = working_run(&caller).ok_or_else(unknown)?;
        let sql = "UPDATE tool_approvals SET state = 'used', used_by = ?3
                   WHERE id = ?1 AND digest = ?2 AND on_behalf_of = ?4 AND state = 'approved'";
        let holder = caller.on_behalf_of().to_string();
        let values = params![self.id, self.digest, run.as_str(), holder];
        Ok(match tx.prepare_cached(sql)?.execute(values)? {
            0 => Applied::Unchanged(Used::Otherwise),
            _ => Applied::Changed(Used::Now),
        })
    }
}

/// Lists approvals, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListApprovals {
    /// Only those that wait for an answer.
    pub pending_only: bool,
    /// The present instant: what has lapsed by now is shown so.
    pub now: Timestamp,
}

impl Query for ListApprovals {
    type Method = ListMethod;
    type Output = Vec<Approval>;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<Vec<Approval>, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let which = if self.pending_only {
            "a.state IN ('approved', 'pending') AND a.state = 'pending' AND a.expires_at > ?1"
        } else {
            "?1 > 0"
        };
        let sql = format!(
            "{SELECT} WHERE s.deleted_at IS NULL AND {which}
             ORDER BY a.requested_at DESC, a.id LIMIT {LISTED}"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([self.now.as_millis()], Approval::from_row)?;
        let rows = rows.map(|row| row.map(|approval| as_of(approval, self.now)));
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
