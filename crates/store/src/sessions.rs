//! Conversations: creating, finding and listing them.

mod change;
mod compact;
mod delete;
mod idle;
mod list;
mod send;

use openclaw_scopes::method::{CreateSession as CreateMethod, ReadSession};
use openclaw_scopes::target::{Keeping, SessionTarget};
use openclaw_scopes::{
    AgentId, Authorized, GrantHolder, IdempotencyKey, RunId, SessionKey, Timestamp,
};
use openclaw_sessions::{LaneClass, SendPolicy, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{Applied, Ask, Failure, Query, Transaction};
use crate::error::{Fault, damaged};
use crate::idempotency::{self, Recorded};

pub(crate) use change::begin_anew_if_stale;
pub use change::{NewSendPolicy, Patch, PatchSession, Reset, ResetNote, ResetSession, UndoReset};
pub use compact::CompactSession;
pub use delete::{Archive, DeleteSession, Deleted, Purged, Tombstone};
pub use list::{Activity, Archived, SessionCursor, SessionFilter, SessionPage};
pub use send::SendDenied;
pub(crate) use send::{WITHHELD, denied, denied_at};

/// A conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Its canonical key.
    pub key: SessionKey,
    /// The agent it belongs to.
    pub agent: AgentId,
    /// Who created it.
    pub owner: GrantHolder,
    /// What people call it; empty when it has no label.
    pub label: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last run was accepted or ended.
    pub updated_at: Timestamp,
    /// The run that holds its writer fence.
    pub active_run: Option<RunId>,
    /// Runs that wait for their turn in it.
    pub queued_runs: u32,
    /// Runs that were ever accepted in it.
    pub total_runs: u64,
    /// Tokens used by all of its answers.
    pub usage: Usage,
    /// The group that people keep it in; empty when in none.
    pub category: String,
    /// Since when it stands before others.
    pub pinned_at: Option<Timestamp>,
    /// Since when it is put away.
    pub archived_at: Option<Timestamp>,
    /// The model that answers in it, as `provider/model`; empty for its agent's.
    pub model: String,
    /// How many delegations lie above it.
    pub depth: u32,
    /// Whether what is said in it may leave, where that is said of it alone.
    pub send_policy: Option<SendPolicy>,
}

// The index of live runs is only used where the query says that it wants those.
pub(crate) const SELECT: &str =
    "SELECT s.id, s.key, s.agent, s.owner, s.label, s.created_at, s.updated_at,
    (SELECT run_id FROM runs WHERE id = s.active_run),
    (SELECT count(*) FROM runs r
        WHERE r.status IN ('queued', 'running') AND r.status = 'queued' AND r.merged_into = ''
            AND r.session = s.id),
    s.total_runs, s.input_tokens, s.output_tokens, s.cached_tokens,
    s.category, s.pinned_at, s.archived_at, s.model, s.depth, s.send_policy FROM sessions s";

impl Session {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let time = |column: usize| {
            row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis))
        };
        let active: Option<String> = row.get(7)?;
        Ok(Self {
            key: text(1)?.parse().map_err(|error| damaged(1, error))?,
            agent: text(2)?.parse().map_err(|error| damaged(2, error))?,
            owner: text(3)?.parse().map_err(|error| damaged(3, error))?,
            label: text(4)?,
            created_at: Timestamp::from_millis(row.get(5)?),
            updated_at: Timestamp::from_millis(row.get(6)?),
            active_run: active
                .map(|id| id.parse())
                .transpose()
                .map_err(|error| damaged(7, error))?,
            queued_runs: row.get(8)?,
            total_runs: row.get(9)?,
            usage: Usage {
                input_tokens: row.get(10)?,
                output_tokens: row.get(11)?,
                cached_tokens: row.get(12)?,
            },
            category: text(13)?,
            pinned_at: time(14)?,
            archived_at: time(15)?,
            model: text(16)?,
            depth: row.get(17)?,
            send_policy: send::parse(18, &text(18)?)?,
        })
    }
}

pub(crate) fn find(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Option<Session>> {
    let sql = format!("{SELECT} WHERE s.key = ?1");
    connection.prepare_cached(&sql)?.query_row([key.as_str()], Session::from_row).optional()
}

/// Loads what the rules look at: the key, and who owns the conversation if it exists.
pub(crate) fn target(connection: &Connection, key: &SessionKey) -> rusqlite::Result<SessionTarget> {
    let sql = "SELECT owner FROM sessions WHERE key = ?1";
    let owner: Option<String> =
        connection.prepare_cached(sql)?.query_row([key.as_str()], |row| row.get(0)).optional()?;
    let owner = owner.map(|owner| owner.parse()).transpose().map_err(|error| damaged(0, error))?;
    let is_passing = openclaw_sessions::is_passing(key);
    let keeping = if is_passing { Keeping::Passing } else { Keeping::Kept };
    Ok(SessionTarget { key: key.clone(), owner, keeping, above: Vec::new() })
}

impl crate::handle::Store {
    /// Returns a conversation as a target of decisions.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn session_target(
        &self,
        key: &SessionKey,
    ) -> Result<SessionTarget, crate::error::StoreError> {
        self.snapshot(|connection| Ok(target(connection, key)?))
    }
}

/// Returns the row of a conversation.
pub(crate) fn row_of(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM sessions WHERE key = ?1";
    connection.prepare_cached(sql)?.query_row([key.as_str()], |row| row.get(0)).optional()
}

/// Tells whether a conversation was put away.
pub(crate) fn is_archived(connection: &Connection, key: &SessionKey) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sessions WHERE key = ?1 AND archived_at IS NOT NULL)";
    connection.prepare_cached(sql)?.query_row([key.as_str()], |row| row.get(0))
}

pub(crate) fn insert(
    connection: &Connection,
    key: &SessionKey,
    owner: &GrantHolder,
    label: &str,
    now: Timestamp,
) -> rusqlite::Result<i64> {
    let agent = openclaw_sessions::agent_of(key).map_err(|error| damaged(0, error))?;
    // No row id is given out twice: a late writer of a conversation that was deleted finds nothing.
    let sql = "INSERT INTO sessions (id, key, agent, owner, label, created_at, updated_at)
               VALUES ((SELECT max(last, coalesce((SELECT max(id) FROM sessions), 0)) + 1
                            FROM generations), ?1, ?2, ?3, ?4, ?5, ?5)";
    connection.prepare_cached(sql)?.insert(params![
        key.as_str(),
        agent.as_str(),
        owner.to_string(),
        label,
        now.as_millis(),
    ])
}

/// Why a question about a conversation has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// A run works or waits in it.
    #[error("a run works or waits in conversation `{0}`")]
    Busy(SessionKey),
    /// Something was said in it meanwhile.
    #[error("something was said in conversation `{0}` meanwhile")]
    Changed(SessionKey),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// It is an agent's main one, which is always there.
    #[error("conversation `{0}` is its agent's main one, which is neither deleted nor put away")]
    Main(SessionKey),
    /// There is no reset that could be taken back.
    #[error("conversation `{0}` has no reset that was not taken back")]
    NoReset(SessionKey),
    /// The key is that of a sub-agent's conversation, which only a delegation opens.
    #[error("`{0}` would be a sub-agent's conversation, and nothing was delegated under it")]
    Undelegated(SessionKey),
    /// There is no such conversation.
    #[error("no conversation `{0}`")]
    Unknown(SessionKey),
}

impl Failure for SessionError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Busy(_) => "session-busy",
            Self::Changed(_) => "session-changed",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::Main(_) => "main-session",
            Self::NoReset(_) => "no-reset",
            Self::Undelegated(_) => "undelegated",
            Self::Unknown(_) => "unknown-session",
        }
    }
}

/// Opens a conversation, or finds the one that is there.
#[derive(Clone, Debug)]
pub struct CreateSession {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// SHA-256 of what was asked, so that another request under the same name is told apart.
    pub request_digest: [u8; 32],
    /// The canonical key.
    pub key: SessionKey,
    /// What people call it.
    pub label: String,
}

impl Ask for CreateSession {
    type Method = CreateMethod;
    type Output = Session;
    type Error = SessionError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(target(tx, &self.key)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<CreateMethod>,
        now: Timestamp,
    ) -> Result<Applied<Session>, Fault<SessionError>> {
        let (caller, target) = authorized.into_parts();
        let holder = caller.on_behalf_of();
        let request = idempotency::Request {
            holder,
            method: "sessions.create",
            key: &self.idempotency_key,
            digest: &self.request_digest,
        };
        let unknown = || Fault::Domain(SessionError::Unknown(target.key.clone()));
        match idempotency::find(tx, &request)? {
            Recorded::Another => return Err(Fault::Domain(SessionError::IdempotencyConflict)),
            Recorded::Same(_) => {
                let session = find(tx, &target.key)?.ok_or_else(unknown)?;
                return Ok(Applied::Unchanged(session));
            }
            Recorded::None => {}
        }
        idempotency::record(tx, &request, target.key.as_str(), now)?;
        let is_new = target.owner.is_none();
        if is_new {
            if LaneClass::of(&target.key) == LaneClass::Subagent {
                return Err(Fault::Domain(SessionError::Undelegated(target.key)));
            }
            insert(tx, &target.key, holder, &self.label, now)?;
        }
        let session = find(tx, &target.key)?.ok_or_else(unknown)?;
        Ok(Applied::Changed(session))
    }
}

/// Asks for one conversation.
#[derive(Clone, Debug)]
pub struct GetSession(pub SessionKey);

impl Query for GetSession {
    type Method = ReadSession;
    type Output = Session;
    type Error = SessionError;

    fn target(&self, _: &Connection) -> Result<SessionTarget, Fault<SessionError>> {
        // Who may read does not depend on the owner, so the row is read once, below.
        Ok(SessionTarget::unowned(self.0.clone()))
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ReadSession>,
    ) -> Result<Session, Fault<SessionError>> {
        let (_, target) = authorized.into_parts();
        find(connection, &target.key)?
            .ok_or_else(|| Fault::Domain(SessionError::Unknown(target.key)))
    }
}
