//! Commands of jobs, from their beginning to the ledger's row of their end.

use openclaw_scopes::{Caller, Timestamp};
use openclaw_sessions::{RunStatus, is_silent};
use rusqlite::{Connection, OptionalExtension as _};

use super::fire::FireJob;
use super::work::ended;
use super::{JobError, MAX_TEXT, Outcome};
use crate::act::ActError;
use crate::grants::stored;
use crate::handle::Store;
use crate::outbox::{NewDelivery, ReplyTo, put};

/// Bytes of what a command said that its due instant tells at most.
pub const MAX_COMMAND_TEXT: usize = MAX_TEXT;

/// The right to say what came of one due instant that was begun: as long as nobody else has ended it, and it was
/// not begun anew.
#[derive(Clone, Debug)]
pub struct CommandFence {
    occurrence: i64,
    attempt: u32,
    source: String,
    reply_to: String,
    /// On whose behalf what is said leaves: holder, epoch and scopes.
    grant: (String, u64, String),
}

/// How a command ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandEnd {
    /// What becomes of the due instant.
    pub outcome: Outcome,
    /// Why, in a word.
    pub reason: &'static str,
    /// What it said last, or what went wrong.
    pub text: String,
}

impl CommandFence {
    /// What is begun now.
    pub(super) fn new(
        connection: &Connection,
        fire: &FireJob,
        caller: &Caller,
        reply_to: &str,
    ) -> rusqlite::Result<Self> {
        let sql = "SELECT attempts, scheduled_at FROM cron_occurrences WHERE id = ?1";
        let (attempt, at): (u32, i64) = connection
            .prepare_cached(sql)?
            .query_row([fire.occurrence], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let grant = caller.grant();
        Ok(Self {
            occurrence: fire.occurrence,
            attempt,
            source: format!("cron:{}:{at}", fire.job),
            reply_to: reply_to.to_owned(),
            grant: (grant.holder().to_string(), grant.epoch().0, stored(grant.scopes())),
        })
    }

    /// Writes what is to leave of it. There is one of a due instant.
    pub(super) fn deliver(
        &self,
        connection: &Connection,
        to: ReplyTo,
        text: String,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let (holder, epoch, scopes) = &self.grant;
        let new = NewDelivery {
            source: self.source.clone(),
            digest: [0; 32],
            to,
            text,
            media: String::new(),
            session: String::new(),
            buttons: Vec::new(),
            poll: None,
        };
        put(connection, &new, (holder, *epoch, scopes), now)
    }
}

impl Store {
    /// Notes what came of a command, and writes what is to leave of one that ran well. Returns whether it counts: what
    /// somebody else has ended stays as it is.
    ///
    /// # Errors
    /// When the storage fails; then nothing is noted.
    pub async fn command_ended(
        &self,
        fence: CommandFence,
        end: CommandEnd,
        now: Timestamp,
    ) -> Result<bool, ActError<JobError>> {
        self.step(move |connection| {
            let sql = "SELECT 1 FROM cron_occurrences WHERE id = ?1 AND state = 'claimed'
                           AND started_at IS NOT NULL AND attempts = ?2";
            let held: Option<i64> = connection
                .prepare_cached(sql)?
                .query_row([fence.occurrence, i64::from(fence.attempt)], |row| row.get(0))
                .optional()?;
            if held.is_none() {
                return Ok(false);
            }
            let CommandEnd { outcome, reason, text } = &end;
            let to = ReplyTo::delivered(&fence.reply_to).filter(|_| *outcome == Outcome::Ran);
            if let Some(to) = to.filter(|_| !is_silent(text)) {
                fence.deliver(connection, to, text.clone(), now)?;
            }
            ended(connection, fence.occurrence, *outcome, reason, text, now)?;
            Ok(true)
        })
        .await
    }
}

/// After a start: settles the commands that were at work when the gateway stopped.
pub(crate) fn interrupted(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM cron_occurrences
               WHERE state = 'claimed' AND started_at IS NOT NULL AND run = ''";
    let mut statement = connection.prepare(sql)?;
    let left = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let reason = RunStatus::Interrupted.name();
    let text = "the gateway stopped while the command was at work";
    left.into_iter().try_for_each(|row| ended(connection, row, Outcome::Lost, reason, text, now))
}
