//! Starting a run when its turn has come: it becomes the one writer of its session.

use std::time::Duration;

use openclaw_scopes::{Epoch, Grant, GrantHolder, RunId, ScopeSet, SessionKey, Timestamp};
use openclaw_sessions::{Dropped, Fence, Queued, Record, RunStatus, Usage};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::queue;
use super::write::{append_text, as_text};
use super::{Context, RunError, RunFence, RunView, Started, Ticket};
use crate::act::ActError;
use crate::children;
use crate::cron;
use crate::error::{Fault, damaged};
use crate::grants;
use crate::handle::Store;

/// How long a lease outlives its run's deadline: time to write the end.
const SETTLE: Duration = Duration::from_secs(15);

/// Returns until when a run that starts now is believed to be at work.
pub(super) fn lease(limit: Option<Duration>, now: Timestamp) -> i64 {
    limit.map_or(i64::MAX, |limit| now.saturating_add(limit).saturating_add(SETTLE).as_millis())
}

/// Where a run that starts is found.
pub(super) struct Place<'a> {
    pub(super) row: i64,
    pub(super) session: i64,
    pub(super) run: &'a RunId,
    pub(super) key: &'a SessionKey,
    pub(super) grant: &'a Grant,
    pub(super) reply_to: &'a str,
}

impl Place<'_> {
    pub(super) fn view(
        &self,
        status: RunStatus,
        accepted_at: Timestamp,
        started_at: Option<Timestamp>,
    ) -> RunView {
        RunView {
            run: self.run.clone(),
            session: self.key.clone(),
            status,
            text: String::new(),
            error: String::new(),
            usage: Usage::default(),
            accepted_at,
            started_at,
            ended_at: None,
            on_behalf_of: self.grant.holder().clone(),
            reply_to: self.reply_to.to_owned(),
            merged_into: None,
            withheld: String::new(),
        }
    }
}

/// What a run is asked, and since when.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) accepted_at: Timestamp,
}

/// Whether a run that starts was counted when it was accepted.
#[derive(Clone, Copy)]
pub(super) enum Counts {
    Already,
    Anew,
}

/// Gives the run its session's next fence, and writes its question.
pub(super) fn enter(
    connection: &Connection,
    place: &Place<'_>,
    question: Question,
    counts: Counts,
    limit: Option<Duration>,
    now: Timestamp,
) -> Result<Started, Fault<RunError>> {
    let sql = "UPDATE sessions SET fence = fence + 1, active_run = ?2, entries = entries + 1,
                   total_runs = total_runs + ?4, updated_at = max(updated_at, ?3)
               WHERE id = ?1 AND active_run IS NULL";
    let added = match counts {
        Counts::Already => 0,
        Counts::Anew => 1,
    };
    let values = params![place.session, place.row, now.as_millis(), added];
    // The lanes give each session one turn at a time; a second one is a damaged row, not a wait.
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Err(Fault::Store(damaged(0, TwoWriters(place.run.clone()))));
    }
    let (fence, entry) = written(connection, place.session)?;
    let fence = Fence::from_number(fence);
    let running = Queued.start(fence, limit, now);
    let fence = RunFence { fence, run: place.row, session: place.session };
    let record = Record::UserMessage { text: question.text };
    append_text(connection, &fence, entry, &as_text(&record)?, now)?;
    let Record::UserMessage { text: message } = record else {
        return Err(Fault::Store(rusqlite::Error::InvalidQuery));
    };
    let view = place.view(RunStatus::Running, question.accepted_at, Some(now));
    let context = Context::of(connection, place.session)?;
    // What goes on in the conversation of a job's turn is given what that turn was.
    //= docs/threat-model.md#T16
    let sql = "SELECT s.model, s.depth, coalesce(r.occurrence,
                   CASE WHEN s.key GLOB '*:cron:*:run:*' THEN (SELECT f.occurrence FROM runs f
                       WHERE f.session = s.id AND f.occurrence IS NOT NULL ORDER BY f.id LIMIT 1) END)
               FROM sessions s, runs r WHERE s.id = ?1 AND r.id = ?2";
    let (model, depth, occurrence): (String, u32, Option<i64>) = connection
        .prepare_cached(sql)?
        .query_row([place.session, place.row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let job = occurrence.map(|occurrence| cron::given(connection, occurrence)).transpose()?;
    let delegated = match depth {
        0 => None,
        _ => Some(children::delegated(connection, place.session)?),
    };
    Ok(Started {
        fence,
        running,
        grant: place.grant.clone(),
        entry,
        message,
        context,
        generation: place.session,
        model,
        delegated,
        job,
        merged: Vec::new(),
        view,
    })
}

/// Returns the fence and the last entry of a session after a change. Asked for by itself, as
/// `RETURNING` makes the engine build a table for the answer each time.
pub(super) fn written(connection: &Connection, session: i64) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT fence, entries FROM sessions WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))
}

#[derive(Debug, thiserror::Error)]
#[error("run `{0}` was to start while another writes its session")]
struct TwoWriters(RunId);

impl Store {
    /// Starts a run that was accepted earlier; its grant is asked again. `None` when it has been
    /// ended while it waited.
    ///
    /// # Errors
    /// When the grant has ended since, or the storage fails.
    pub async fn start_run(
        &self,
        ticket: Ticket,
        now: Timestamp,
    ) -> Result<Option<Started>, ActError<RunError>> {
        self.step(move |connection| start_waiting(connection, &ticket, now)).await
    }
}

fn start_waiting(
    connection: &Connection,
    ticket: &Ticket,
    now: Timestamp,
) -> Result<Option<Started>, Fault<RunError>> {
    let sql = "SELECT session, message, timeout_ms, accepted_at, reply_to, dropped,
                   queue_mode = 'collect' FROM runs
               WHERE id = ?1 AND run_id = ?2 AND status = 'queued' AND merged_into = ''";
    type Waiting = (i64, String, u64, i64, String, String, bool);
    let waiting: Option<Waiting> = connection
        .prepare_cached(sql)?
        .query_row(params![ticket.row, ticket.run.as_str()], |row| {
            let (session, message) = (row.get(0)?, row.get(1)?);
            let (timeout, accepted_at, reply_to) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((session, message, timeout, accepted_at, reply_to, row.get(5)?, row.get(6)?))
        })
        .optional()?;
    let Some((session, text, timeout, accepted_at, reply_to, dropped, collects)) = waiting else {
        return Ok(None);
    };
    let grant = grant_of_run(connection, &ticket.run)?
        .ok_or_else(|| Fault::Domain(RunError::GrantEnded(ticket.run.clone())))?;
    let place = Place {
        row: ticket.row,
        session,
        run: &ticket.run,
        key: &ticket.session,
        grant: &grant,
        reply_to: &reply_to,
    };
    let mut text = Dropped::from_lines(&dropped).tell(text);
    let merged =
        if collects { queue::collect(connection, ticket.row, &mut text)? } else { Vec::new() };
    let limit = (timeout > 0).then(|| Duration::from_millis(timeout));
    let question = Question { text, accepted_at: Timestamp::from_millis(accepted_at) };
    let started = enter(connection, &place, question, Counts::Already, limit, now)?;
    let sql = "SELECT input_tokens, output_tokens, cached_tokens FROM runs WHERE id = ?1";
    let usage = connection.prepare_cached(sql)?.query_row([ticket.row], |row| {
        let (input_tokens, output_tokens, cached_tokens) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Usage { input_tokens, output_tokens, cached_tokens })
    })?;
    let view = RunView { usage, ..started.view };
    let started = Started { merged, view, ..started };
    let sql = "UPDATE runs SET status = 'running', fence = ?2, lease_until = ?3, started_at = ?4,
                   message = '', dropped = '' WHERE id = ?1";
    let fence = started.fence.fence.as_number();
    let values = params![ticket.row, fence, lease(limit, now), now.as_millis()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(Some(started))
}

/// Returns the grant that a run rests on: what it was accepted under and is still granted, never
/// more than either. `None` when there is no such run, or its holder's grant has ended since.
pub(crate) fn grant_of_run(
    connection: &Connection,
    run: &RunId,
) -> rusqlite::Result<Option<Grant>> {
    let sql = "SELECT on_behalf_of, grant_epoch, grant_scopes FROM runs WHERE run_id = ?1";
    let found: Option<(String, u64, String)> = connection
        .prepare_cached(sql)?
        .query_row([run.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((holder, epoch, scopes)) = found else { return Ok(None) };
    grant_of(connection, &holder, epoch, &scopes)
}

/// The same for a grant that was noted elsewhere.
pub(crate) fn grant_of(
    connection: &Connection,
    holder: &str,
    epoch: u64,
    scopes: &str,
) -> rusqlite::Result<Option<Grant>> {
    let holder: GrantHolder = holder.parse().map_err(|error| damaged(0, error))?;
    let scopes = ScopeSet::parse(scopes).map_err(|error| damaged(2, error))?;
    let live = grants::live(connection, &holder)?;
    Ok(live
        .filter(|(current, _)| *current == Epoch(epoch))
        .map(|(epoch, now_held)| Grant::recorded(holder, epoch, now_held, scopes)))
}
