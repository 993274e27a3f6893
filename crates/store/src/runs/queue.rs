//! Messages that come in while their conversation is busy: which run takes them in, and which give way.

use std::sync::LazyLock;

use openclaw_scopes::{RunId, SessionKey, Timestamp};
use openclaw_sessions::{Dropped, QueueMode, Queued, Record, collected};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::recover::end_waiting;
use super::write::append_records;
use super::{FenceError, RunError, RunFence};
use crate::act::ActError;
use crate::children;
use crate::error::{StoreError, damaged};
use crate::handle::Store;

/// Messages that a run takes in at once.
const MAX_TAKEN: u32 = 20;

/// Messages that belong together, and the bytes that they have together.
const MAX_JOINED: u32 = 20;
const MAX_JOINED_BYTES: usize = 256 * 1024;

/// Those that wait in the conversation of a run, in a mode, and may be taken in by it: on behalf of the same
/// grant with the same scopes, answered at the same place. What another says is never merged into a run, and
/// what was said with less authority gains none.
//= docs/threat-model.md#T36
static TAKEN: LazyLock<String> = LazyLock::new(|| {
    let (theirs, mine) = (place("r.reply_to"), place("me.reply_to"));
    format!(
        "FROM runs me JOIN runs r ON r.session = me.session
         WHERE me.id = ?1 AND r.status IN ('queued', 'running') AND r.status = 'queued'
             AND r.queue_mode = ?2 AND r.merged_into = '' AND r.id <> me.id
             AND (r.on_behalf_of, r.grant_epoch, r.grant_scopes, {theirs})
                 = (me.on_behalf_of, me.grant_epoch, me.grant_scopes, {mine})"
    )
});

/// Of what waits for a conversation, what a run at work there is told: the ends of what was begun on behalf of the
/// same holder, and events that rest on the same authority and lead to an answer in the same place. A heartbeat, whose
/// words are no answer to anybody, takes only the ends of what heartbeats began: the others have a turn of their own.
//= docs/threat-model.md#T36
pub(crate) fn heard(run: &str, session: &str) -> String {
    let (theirs, mine) = (place("i.reply_to"), place("r.reply_to"));
    let of_heartbeat = children::of_heartbeat("i");
    format!(
        "FROM inbox i JOIN runs r ON r.id = {run}
         WHERE i.session = {session} AND i.state = 'waiting'
             AND i.on_behalf_of = r.on_behalf_of
             AND (i.kind = 'end' AND (r.run_id NOT GLOB 'heartbeat-*' OR {of_heartbeat})
                 OR i.kind <> 'end' AND ((i.on_behalf_of, i.grant_epoch, i.grant_scopes) =
                     (r.on_behalf_of, r.grant_epoch, r.grant_scopes)
                 AND (i.reply_to = '' OR {theirs} = {mine})))"
    )
}

/// Where an answer goes, whichever message it is an answer to: no two messages of a chat are the same one.
fn place(column: &str) -> String {
    format!("iif(json_valid({column}), json_remove({column}, '$.answers'), {column})")
}

static STEERED: LazyLock<String> = LazyLock::new(|| format!("SELECT EXISTS (SELECT 1 {})", *TAKEN));
static WAITS: LazyLock<String> = LazyLock::new(|| {
    let told = format!("SELECT 1 {}", heard("?1", "?3"));
    format!("SELECT EXISTS ({told}), EXISTS (SELECT 1 {})", *TAKEN)
});

/// A message that a run takes in.
struct Taken {
    row: i64,
    run: RunId,
    text: String,
}

fn waiting(connection: &Connection, by: i64, mode: QueueMode) -> rusqlite::Result<Vec<Taken>> {
    let taken = &*TAKEN;
    let sql = format!("SELECT r.id, r.run_id, r.message, r.dropped {taken} ORDER BY r.id LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![by, mode.name(), MAX_TAKEN], |row| {
        let (run, message, dropped): (String, String, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Taken {
            row: row.get(0)?,
            run: run.parse().map_err(|error| damaged(1, error))?,
            text: Dropped::from_lines(&dropped).tell(message),
        })
    })?;
    rows.collect()
}

/// They have no turn of their own any more, and end as the run does that took them in.
fn merge(connection: &Connection, taken: &[Taken], into: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE runs SET message = '', dropped = '',
                   merged_into = (SELECT run_id FROM runs WHERE id = ?2) WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    taken.iter().try_for_each(|taken| statement.execute(params![taken.row, into]).map(|_| ()))
}

/// Adds what was collected with a run that begins to its question; returns the runs that have no turn of
/// their own therefore.
pub(super) fn collect(
    connection: &Connection,
    run: i64,
    question: &mut String,
) -> rusqlite::Result<Vec<RunId>> {
    let taken = waiting(connection, run, QueueMode::Collect)?;
    if !taken.is_empty() {
        merge(connection, &taken, run)?;
        let first = std::mem::take(question);
        let all = std::iter::once(first).chain(taken.iter().map(|taken| taken.text.clone()));
        *question = collected(&all.collect::<Vec<_>>());
    }
    Ok(taken.into_iter().map(|taken| taken.run).collect())
}

/// Whether a message became one with another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Joined {
    No,
    Yes,
}

/// Adds the message of a run to that of an earlier one that has not begun and may take it in; an answer is then one to
/// the last message.
pub(super) fn join(connection: &Connection, run: i64, opener: &RunId) -> rusqlite::Result<Joined> {
    let (theirs, mine) = (place("r.reply_to"), place("me.reply_to"));
    let sql = format!(
        "SELECT r.id, me.run_id, r.message, me.message, me.dropped
         FROM runs me JOIN runs r ON r.session = me.session
         WHERE me.id = ?1 AND r.run_id = ?2 AND r.id <> me.id AND r.status = 'queued'
             AND r.merged_into = '' AND r.started_at IS NULL
             AND (r.on_behalf_of, r.grant_epoch, r.grant_scopes, {theirs})
                 = (me.on_behalf_of, me.grant_epoch, me.grant_scopes, {mine})
             AND (SELECT count(*) FROM runs m WHERE m.merged_into <> '' AND m.merged_into = ?2) < ?3"
    );
    type Row = (i64, String, String, String, String);
    let found: Option<Row> = connection
        .prepare_cached(&sql)?
        .query_row(params![run, opener.as_str(), MAX_JOINED], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((into, name, before, message, dropped)) = found else { return Ok(Joined::No) };
    let text = Dropped::from_lines(&dropped).tell(message);
    if before.len().saturating_add(text.len()) > MAX_JOINED_BYTES {
        return Ok(Joined::No);
    }
    let sql = "UPDATE runs SET message = ?2, reply_to = (SELECT reply_to FROM runs WHERE id = ?3)
               WHERE id = ?1";
    let all = collected(&[before, text.clone()]);
    connection.prepare_cached(sql)?.execute(params![into, all, run])?;
    let joined = name.parse().map_err(|error| damaged(1, error))?;
    merge(connection, &[Taken { row: run, run: joined, text }], into)?;
    Ok(Joined::Yes)
}

/// Ends those that a run took in, as it ends.
pub(super) fn end_merged(connection: &Connection, run: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE runs SET (status, ended_at, error, answer_entry, withheld) =
                   (SELECT status, ended_at, error, answer_entry, withheld FROM runs WHERE id = ?1)
               WHERE merged_into <> '' AND status = 'queued'
                   AND merged_into = (SELECT run_id FROM runs WHERE id = ?1)";
    connection.prepare_cached(sql)?.execute([run]).map(|_| ())
}

impl Store {
    /// Whether something waits that a run at work is to take in before its next step.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn is_steered(&self, fence: &RunFence) -> Result<bool, StoreError> {
        self.snapshot(|connection| {
            let values = params![fence.run, QueueMode::Steer.name()];
            Ok(connection.prepare_cached(&STEERED)?.query_row(values, |row| row.get(0))?)
        })
    }

    /// Whether something waits that a run at work is to be told, and something that it is to take in. Most have
    /// neither, and a look costs nobody anything.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn waits_for(&self, fence: &RunFence) -> Result<(bool, bool), StoreError> {
        self.snapshot(|connection| {
            let values = params![fence.run, QueueMode::Steer.name(), fence.session];
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            Ok(connection.prepare_cached(&WAITS)?.query_row(values, read)?)
        })
    }

    /// Has a run at work take in what waits for it: it is in its journal when this returns. Returns the records,
    /// and the runs that were asked for with them.
    ///
    /// # Errors
    /// When the run holds its session no longer, or the storage fails; then nothing was taken.
    pub async fn take_steered(
        &self,
        fence: &RunFence,
        now: Timestamp,
    ) -> Result<(Vec<Record>, Vec<RunId>), ActError<FenceError>> {
        let fence = RunFence { ..*fence };
        self.step(move |connection| {
            let taken = waiting(connection, fence.run, QueueMode::Steer)?;
            merge(connection, &taken, fence.run)?;
            let (runs, records): (Vec<_>, Vec<_>) = taken
                .into_iter()
                .map(|Taken { run, text, .. }| {
                    let record = Record::Steered { run: run.to_string(), text };
                    (run, record)
                })
                .unzip();
            append_records(connection, &fence, &records, now)?;
            Ok((records, runs))
        })
        .await
    }

    /// Lets a run be taken as its message is to be, that was to wait for more of it; unless it has begun.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn let_go(&self, run: RunId, mode: QueueMode) -> Result<(), ActError<RunError>> {
        self.step(move |connection| {
            let sql = "UPDATE runs SET queue_mode = ?2
                       WHERE run_id = ?1 AND status = 'queued' AND merged_into = ''
                           AND started_at IS NULL";
            connection.prepare_cached(sql)?.execute(params![run.as_str(), mode.name()])?;
            Ok(())
        })
        .await
    }

    /// Returns when the newest of the messages came that a run would be begun with, if they are collected.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn collected_until(&self, run: &RunId) -> Result<Option<Timestamp>, StoreError> {
        self.snapshot(|connection| {
            let sql =
                "SELECT id FROM runs WHERE run_id = ?1 AND status = 'queued' AND queue_mode = ?2";
            let row: Option<i64> = connection
                .prepare_cached(sql)?
                .query_row(params![run.as_str(), QueueMode::Collect.name()], |row| row.get(0))
                .optional()?;
            let Some(row) = row else { return Ok(None) };
            let taken = &*TAKEN;
            let sql = format!(
                "SELECT max((SELECT accepted_at FROM runs WHERE id = ?1),
                     coalesce((SELECT max(r.accepted_at) {taken}), 0))"
            );
            let values = params![row, QueueMode::Collect.name()];
            let at = connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?;
            Ok(Some(Timestamp::from_millis(at)))
        })
    }

    /// Returns the runs that a run ends which interrupts: the one at work in its conversation, and older ones
    /// that wait there to do the same on behalf of the same holder.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn interrupted_by(&self, run: &RunId) -> Result<Vec<RunId>, StoreError> {
        self.snapshot(|connection| {
            let sql = "SELECT r.run_id FROM runs me JOIN runs r ON r.session = me.session
                       WHERE me.run_id = ?1 AND me.status = 'queued' AND r.id < me.id
                           AND r.status IN ('queued', 'running')
                           AND (r.status = 'running' OR (r.queue_mode = ?2 AND r.merged_into = ''
                               AND r.on_behalf_of = me.on_behalf_of))
                       ORDER BY r.status = 'running', r.id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement
                .query_map(params![run.as_str(), QueueMode::Interrupt.name()], |row| {
                    row.get::<_, String>(0)?.parse().map_err(|error| damaged(0, error))
                })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Has a run give way that waits, because too many do; returns what is left of it and of those that gave
    /// way to it. `None` when it waits no longer, or has begun before and only goes on.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn give_way(
        &self,
        run: RunId,
        session: SessionKey,
        now: Timestamp,
    ) -> Result<Option<Dropped>, ActError<RunError>> {
        self.step(move |connection| {
            let sql = "SELECT r.message, r.dropped FROM runs r JOIN sessions s ON s.id = r.session
                       WHERE r.run_id = ?1 AND r.status = 'queued' AND r.merged_into = ''
                           AND s.key = ?2 AND r.started_at IS NULL";
            let found: Option<(String, String)> = connection
                .prepare_cached(sql)?
                .query_row(params![run.as_str(), session.as_str()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let Some((message, dropped)) = found else { return Ok(None) };
            let error = "it gave way to a newer message: too many waited";
            end_waiting(connection, &run, Queued.abort(), error, now)?;
            Ok(Some(Dropped::from_lines(&dropped).with(&message)))
        })
        .await
    }
}
