//! Changing how a conversation is kept, and beginning it anew.

use openclaw_scopes::method::{
    PatchSession as PatchMethod, ResetSession as ResetMethod, UndoReset as UndoMethod,
};
use openclaw_scopes::target::{PatchTarget, SessionPart, SessionTarget};
use openclaw_scopes::{Authorized, SessionKey, Timestamp};
use openclaw_sessions::SendPolicy;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Session, SessionError, find, row_of, target};
use crate::act::{Applied, Ask, Transaction};
use crate::children::{self, TOLD};
use crate::error::{Fault, StoreError};
use crate::handle::Store;
use crate::processes;

/// Changes what is named of a conversation, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// What people call it.
    pub label: Option<String>,
    /// The group that people keep it in.
    pub category: Option<String>,
    /// Whether it stands before others.
    pub pinned: Option<bool>,
    /// Whether it is put away: no run starts in it until it is taken out again.
    pub archived: Option<bool>,
    /// The model that answers in it, as `provider/model`; empty for its agent's.
    pub model: Option<String>,
    /// Whether what is said in it may leave.
    pub send_policy: Option<NewSendPolicy>,
}

/// What a conversation's send policy becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NewSendPolicy {
    /// None of its own: what the configuration says.
    Inherit,
    /// This one.
    Own(SendPolicy),
}

impl NewSendPolicy {
    const fn own(self) -> Option<SendPolicy> {
        match self {
            Self::Inherit => None,
            Self::Own(policy) => Some(policy),
        }
    }
}

impl Patch {
    /// Returns which part of a conversation it changes: of several, what needs the most.
    pub const fn part(&self) -> SessionPart {
        match self.send_policy {
            Some(_) => SessionPart::RuntimePolicy,
            None => SessionPart::Organization,
        }
    }
}

/// Changes a conversation.
#[derive(Clone, Debug)]
pub struct PatchSession {
    /// Its canonical key.
    pub key: SessionKey,
    /// What changes.
    pub patch: Patch,
}

impl Ask for PatchSession {
    type Method = PatchMethod;
    type Output = Session;
    type Error = SessionError;

    fn target(&self, _: &Transaction<'_>) -> Result<PatchTarget, Fault<SessionError>> {
        Ok(PatchTarget { key: self.key.clone(), part: self.patch.part() })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<PatchMethod>,
        now: Timestamp,
    ) -> Result<Applied<Session>, Fault<SessionError>> {
        let (_, target) = authorized.into_parts();
        let unknown = || Fault::Domain(SessionError::Unknown(target.key.clone()));
        let before = find(tx, &target.key)?.ok_or_else(unknown)?;
        let Patch { label, category, pinned, archived, model, send_policy } = &self.patch;
        if *archived == Some(true) && before.archived_at.is_none() {
            if openclaw_sessions::is_main(&target.key) {
                return Err(Fault::Domain(SessionError::Main(target.key)));
            }
            if before.active_run.is_some() || before.queued_runs > 0 {
                return Err(Fault::Domain(SessionError::Busy(target.key)));
            }
        }
        let since = |wanted: Option<bool>, before: Option<Timestamp>| match (wanted, before) {
            (None, before) | (Some(true), before @ Some(_)) => before,
            (Some(true), None) => Some(now),
            (Some(false), _) => None,
        };
        let sql = "UPDATE sessions SET label = ?2, category = ?3, pinned_at = ?4,
                       archived_at = ?5, model = ?6, changed_at = ?7, send_policy = ?8 WHERE key = ?1";
        tx.prepare_cached(sql)?.execute(params![
            target.key.as_str(),
            label.as_ref().unwrap_or(&before.label),
            category.as_ref().unwrap_or(&before.category),
            since(*pinned, before.pinned_at).map(Timestamp::as_millis),
            since(*archived, before.archived_at).map(Timestamp::as_millis),
            model.as_ref().unwrap_or(&before.model),
            now.as_millis(),
            send_policy.map_or(before.send_policy, NewSendPolicy::own).map_or("", SendPolicy::name),
        ])?;
        let after = find(tx, &target.key)?.ok_or_else(unknown)?;
        let is_same = after == before;
        Ok(if is_same { Applied::Unchanged(after) } else { Applied::Changed(after) })
    }
}

/// A point at which a conversation began anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reset {
    /// The conversation as it is now.
    pub session: Session,
    /// Which of its resets it is, from 1.
    pub number: u64,
    /// The first entry that the model is shown from now on.
    pub context_from: u64,
    /// Runs that were ended for it, and the conversations in which those worked.
    pub ended: Vec<children::EndedRun>,
}

/// Begins a conversation anew: the model is shown nothing of what was said before. It stays.
#[derive(Clone, Debug)]
pub struct ResetSession {
    /// Its canonical key.
    pub key: SessionKey,
    /// Why, for whoever asks later.
    pub reason: String,
}

impl Ask for ResetSession {
    type Method = ResetMethod;
    type Output = Reset;
    type Error = SessionError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(target(tx, &self.key)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ResetMethod>,
        now: Timestamp,
    ) -> Result<Applied<Reset>, Fault<SessionError>> {
        let (caller, target) = authorized.into_parts();
        let unknown = || Fault::Domain(SessionError::Unknown(target.key.clone()));
        let before = find(tx, &target.key)?.ok_or_else(unknown)?;
        if before.active_run.is_some() || before.queued_runs > 0 {
            return Err(Fault::Domain(SessionError::Busy(target.key)));
        }
        let row = row_of(tx, &target.key)?.ok_or_else(unknown)?;
        // What was delegated before has nobody to tell any more.
        let ended = children::end_below(tx, row, "its conversation began anew", now)?;
        processes::forget(tx, row)?;
        // A sub-agent's own may have had nothing at work but that.
        children::settle(tx, row, now)?;
        let by = caller.actor().to_string();
        let (number, context_from) = begin_anew(tx, row, &by, &self.reason, now)?;
        let session = find(tx, &target.key)?.ok_or_else(unknown)?;
        Ok(Applied::Changed(Reset { session, number, context_from, ended }))
    }
}

/// Has the model shown nothing of what was said before; returns the number of the reset, and the first entry
/// that it is shown.
fn begin_anew(
    connection: &Connection,
    row: i64,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT entries + 1 FROM sessions WHERE id = ?1";
    let context_from: u64 = connection.prepare_cached(sql)?.query_row([row], |row| row.get(0))?;
    let before = Shown::of(connection, row)?;
    let number = last_reset(connection, row)?.map_or(1, |last| last.number.saturating_add(1));
    let sql = "INSERT INTO resets
            (session, number, context_before, context_from, summary_before, kept_before,
             by, reason, at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        row,
        number,
        before.from,
        context_from,
        before.summary,
        before.kept,
        by,
        reason,
        now.as_millis(),
    ])?;
    Shown { from: context_from, summary: None, kept: None }.set(connection, row)?;
    Ok((number, context_from))
}

/// Begins a conversation anew of which the configuration says so, when nobody has asked anything in it since
/// an instant. What goes on by itself does not count as asking, and what goes on there or below keeps it as it
/// is. It can be taken back as any reset.
pub(crate) fn begin_anew_if_stale(
    connection: &Connection,
    row: i64,
    since: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT s.entries >= s.context_from
                   AND NOT EXISTS (SELECT 1 FROM runs
                       WHERE status IN ('queued', 'running') AND session = s.id)
                   AND NOT EXISTS (SELECT 1 FROM inbox WHERE state = 'waiting' AND session = s.id)
                   AND NOT EXISTS (SELECT 1 FROM processes WHERE session = s.id)
                   AND NOT EXISTS (SELECT 1 FROM children c JOIN runs r ON r.session = c.session
                       WHERE r.status IN ('queued', 'running') AND c.parent = s.id)
               FROM sessions s WHERE s.id = ?1";
    if !connection.prepare_cached(sql)?.query_row([row], |row| row.get(0))? {
        return Ok(());
    }
    let sql = "SELECT accepted_at FROM runs WHERE session = ?1 AND substr(run_id, 1, ?3) <> ?2
               ORDER BY id DESC LIMIT 1";
    let asked: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row(params![row, TOLD, TOLD.len()], |row| row.get(0))
        .optional()?;
    if asked.is_some_and(|asked| asked < since.as_millis()) {
        let reason = "nobody had asked anything for as long as session.reset says";
        begin_anew(connection, row, "session.reset", reason, now)?;
    }
    Ok(())
}

/// Takes the last reset back: the model is shown again what it was shown before, and what was said since.
#[derive(Clone, Debug)]
pub struct UndoReset(pub SessionKey);

impl Ask for UndoReset {
    type Method = UndoMethod;
    type Output = Reset;
    type Error = SessionError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<UndoMethod>,
        now: Timestamp,
    ) -> Result<Applied<Reset>, Fault<SessionError>> {
        let (caller, target) = authorized.into_parts();
        let unknown = || Fault::Domain(SessionError::Unknown(target.key.clone()));
        let before = find(tx, &target.key)?.ok_or_else(unknown)?;
        if before.active_run.is_some() {
            return Err(Fault::Domain(SessionError::Busy(target.key)));
        }
        let row = row_of(tx, &target.key)?.ok_or_else(unknown)?;
        let last = last_reset(tx, row)?.filter(|last| last.undone_at.is_none());
        let Some(LastReset { number, before, .. }) = last else {
            return Err(Fault::Domain(SessionError::NoReset(target.key)));
        };
        let sql = "UPDATE resets SET undone_by = ?3, undone_at = ?4
                   WHERE session = ?1 AND number = ?2";
        let by = caller.actor().to_string();
        tx.prepare_cached(sql)?.execute(params![row, number, by, now.as_millis()])?;
        before.set(tx, row)?;
        let session = find(tx, &target.key)?.ok_or_else(unknown)?;
        Ok(Applied::Changed(Reset {
            session,
            number,
            context_from: before.from,
            ended: Vec::new(),
        }))
    }
}

/// What of a journal a model is shown, as the row of its conversation has it.
struct Shown {
    /// The first entry.
    from: u64,
    /// The summary that stands for what is before `kept`.
    summary: Option<u64>,
    kept: Option<u64>,
}

impl Shown {
    fn of(connection: &Connection, row: i64) -> rusqlite::Result<Self> {
        let sql = "SELECT context_from, summary_entry, first_kept FROM sessions WHERE id = ?1";
        connection.prepare_cached(sql)?.query_row([row], |row| {
            Ok(Self { from: row.get(0)?, summary: row.get(1)?, kept: row.get(2)? })
        })
    }

    fn set(&self, connection: &Connection, row: i64) -> rusqlite::Result<()> {
        let sql = "UPDATE sessions SET context_from = ?2, summary_entry = ?3, first_kept = ?4
                   WHERE id = ?1";
        let Self { from, summary, kept } = self;
        connection.prepare_cached(sql)?.execute(params![row, from, summary, kept]).map(|_| ())
    }
}

struct LastReset {
    number: u64,
    /// What the model was shown before it.
    before: Shown,
    undone_at: Option<i64>,
}

fn last_reset(connection: &Connection, row: i64) -> rusqlite::Result<Option<LastReset>> {
    let sql = "SELECT number, context_before, summary_before, kept_before, undone_at FROM resets
               WHERE session = ?1 ORDER BY number DESC LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row([row], |row| {
            let before = Shown { from: row.get(1)?, summary: row.get(2)?, kept: row.get(3)? };
            Ok(LastReset { number: row.get(0)?, before, undone_at: row.get(4)? })
        })
        .optional()
}

/// A point at which a conversation began anew, as it is told later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResetNote {
    /// Which of its resets it is, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked for it; `session.reset` for the configuration.
    pub by: String,
    /// Why, if somebody said so.
    pub reason: String,
    /// Whether it was taken back.
    pub is_undone: bool,
}

impl Store {
    /// Returns where a conversation began anew last, for work that is authorized already.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn last_reset(&self, key: &SessionKey) -> Result<Option<ResetNote>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT r.number, r.at, r.by, r.reason, r.undone_at IS NOT NULL
                       FROM resets r JOIN sessions s ON s.id = r.session
                       WHERE s.key = ?1 ORDER BY r.number DESC LIMIT 1";
            let read = |row: &rusqlite::Row<'_>| {
                let at = Timestamp::from_millis(row.get(1)?);
                let (by, reason, is_undone) = (row.get(2)?, row.get(3)?, row.get(4)?);
                Ok(ResetNote { number: row.get(0)?, at, by, reason, is_undone })
            };
            Ok(connection.prepare_cached(sql)?.query_row([key.as_str()], read).optional()?)
        })
    }
}
