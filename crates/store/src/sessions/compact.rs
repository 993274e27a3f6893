//! Letting a summary stand for what was said long ago.

use openclaw_scopes::method::CompactSession as CompactMethod;
use openclaw_scopes::target::SessionTarget;
use openclaw_scopes::{Authorized, SessionKey, Timestamp};
use openclaw_sessions::{Record, Usage};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SessionError, row_of, target};
use crate::act::{ActError, Applied, Ask, Transaction};
use crate::error::Fault;
use crate::handle::Store;
use crate::runs::{FenceError, RunFence, append_records, as_text};
use crate::usage::{self, MAX_TOKENS, Used};

/// Writes a summary into a conversation in which nobody works, if nothing was said there since.
#[derive(Clone, Debug)]
pub struct CompactSession {
    /// Its canonical key.
    pub key: SessionKey,
    /// The summary.
    pub summary: Record,
    /// The last entry when it was made.
    pub last: u64,
}

impl Ask for CompactSession {
    type Method = CompactMethod;
    type Output = u64;
    type Error = SessionError;

    fn target(&self, tx: &Transaction<'_>) -> Result<SessionTarget, Fault<SessionError>> {
        Ok(target(tx, &self.key)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<CompactMethod>,
        now: Timestamp,
    ) -> Result<Applied<u64>, Fault<SessionError>> {
        let (_, target) = authorized.into_parts();
        let unknown = || Fault::Domain(SessionError::Unknown(target.key.clone()));
        let row = row_of(tx, &target.key)?.ok_or_else(unknown)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM runs
                       WHERE status IN ('queued', 'running') AND session = ?1)";
        if tx.prepare_cached(sql)?.query_row([row], |row| row.get(0))? {
            return Err(Fault::Domain(SessionError::Busy(target.key)));
        }
        let sql = "UPDATE sessions SET entries = entries + 1 WHERE id = ?1 AND entries = ?2";
        if tx.prepare_cached(sql)?.execute(params![row, self.last])? == 0 {
            return Err(Fault::Domain(SessionError::Changed(target.key)));
        }
        // It belongs to the run that spoke last: an entry is always one of a run.
        let sql = "SELECT run FROM journal WHERE session = ?1 ORDER BY entry DESC LIMIT 1";
        let run: Option<i64> =
            tx.prepare_cached(sql)?.query_row([row], |row| row.get(0)).optional()?;
        let run = run.ok_or_else(|| Fault::Domain(SessionError::Changed(target.key.clone())))?;
        let entry = self.last.saturating_add(1);
        let text = as_text(&self.summary)?;
        let sql = "INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.prepare_cached(sql)?.execute(params![row, entry, run, now.as_millis(), text])?;
        if let Record::Summary { model, usage, .. } = &self.summary {
            let used = Used { model: model.clone(), usage: *usage, worked_millis: 0 };
            usage::count(tx, row, &used, now)?;
        }
        note(tx, row, entry, &self.summary)?;
        Ok(Applied::Changed(entry))
    }
}

fn note(
    connection: &Connection,
    session: i64,
    entry: u64,
    summary: &Record,
) -> rusqlite::Result<()> {
    let Record::Summary { first_kept, usage, .. } = summary else { return Ok(()) };
    // What the run that it was made in used is counted with its answers, and this is none.
    let sql = "UPDATE sessions SET summary_entry = ?2, first_kept = ?3,
                   input_tokens = min(input_tokens + ?4, ?7),
                   output_tokens = min(output_tokens + ?5, ?7),
                   cached_tokens = min(cached_tokens + ?6, ?7) WHERE id = ?1";
    let Usage { input_tokens, output_tokens, cached_tokens } = usage::capped(*usage);
    let values =
        params![session, entry, first_kept, input_tokens, output_tokens, cached_tokens, MAX_TOKENS];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}

impl Store {
    /// Writes a summary into the conversation of a run that works; returns its entry.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nothing is written.
    pub async fn summarize(
        &self,
        fence: &RunFence,
        summary: Record,
        now: Timestamp,
    ) -> Result<u64, ActError<FenceError>> {
        let fence = RunFence { ..*fence };
        self.step(move |connection| {
            let entry = append_records(connection, &fence, std::slice::from_ref(&summary), now)?;
            note(connection, fence.session, entry, &summary)?;
            Ok(entry)
        })
        .await
    }
}
