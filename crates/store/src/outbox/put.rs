//! Writing what is to leave, and deciding anew about what did not.

use std::time::Duration;

use openclaw_scopes::method::{
    DiscardDelivery as DiscardMethod, RetryDelivery as RetryMethod, SendMessage as SendMethod,
};
use openclaw_scopes::target::{DeliveryTarget, DestinationTarget, Reach};
use openclaw_scopes::{
    Authorized, Caller, Grant, GrantHolder, IdempotencyKey, SessionKey, Timestamp,
};
use openclaw_sessions::{Poll, RunStatus, SendRules, heartbeat_alert, is_silent};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::list::find;
use super::{Carrier, Delivery, DeliveryError, DeliveryState, ReplyTo};
use crate::act::{ActError, Applied, Ask, Transaction, live_epoch};
use crate::cron::HEARTBEAT;
use crate::error::{Fault, damaged};
use crate::grants::stored;
use crate::handle::Store;
use crate::sessions::{WITHHELD, denied, denied_at};

/// The channel of webhooks.
pub const WEBHOOK: &str = "webhook";

/// The kind of place at which what is said is all that is posted, with nothing around it.
pub const BODY: &str = "body";

/// Deliveries that wait on one channel at most: more than a platform takes in an hour.
const MAX_WAITING: u32 = 10_000;

/// How long a heartbeat does not say the same again (`runtime.md` §5.2 of the reference).
const SAID_LATELY: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that is to leave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewDelivery {
    /// What it is of, not used before.
    pub source: String,
    /// SHA-256 of what was asked.
    pub digest: [u8; 32],
    /// Where it goes.
    pub to: ReplyTo,
    /// What is said.
    pub text: String,
    /// What is sent along: a URL; empty for nothing.
    pub media: String,
    /// The conversation that it belongs to; empty for none.
    pub session: String,
    /// What can be answered with one touch: labels, and what they say.
    pub buttons: Vec<(String, String)>,
    /// What is asked instead, for votes; `None` for what is no poll.
    pub poll: Option<Poll>,
}

/// Writes something that is to leave, on behalf of a grant. What there is of one source leaves once.
pub(crate) fn put(
    connection: &Connection,
    new: &NewDelivery,
    grant: (&str, u64, &str),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let NewDelivery { source, digest, to, text, media, session, buttons, poll } = new;
    let buttons = serde_json::to_string(buttons).map_err(|error| damaged(0, error))?;
    let poll = poll.as_ref().map(serde_json::to_string).transpose();
    let poll = poll.map_err(|error| damaged(0, error))?.unwrap_or_default();
    let sql = "INSERT INTO outbox (delivery, source, digest, channel, account, kind, peer, thread, answers,
                   text, media, session, on_behalf_of, grant_epoch, grant_scopes, state, next_at, created_at,
                   buttons, poll)
               VALUES ('dl-' || lower(hex(randomblob(8))), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                   ?12, ?13, ?14, 'waiting', ?15, ?15, ?16, ?17)
               ON CONFLICT (source) DO NOTHING";
    let (holder, epoch, scopes) = grant;
    connection.prepare_cached(sql)?.execute(params![
        source,
        digest,
        to.channel,
        to.account,
        to.kind,
        to.peer,
        to.thread,
        to.answers,
        text,
        media,
        session,
        holder,
        epoch,
        scopes,
        now.as_millis(),
        buttons,
        poll,
    ])?;
    Ok(())
}

/// Writes something that the gateway says on its own behalf.
pub(crate) fn put_as_gateway(
    connection: &Connection,
    source: String,
    to: ReplyTo,
    text: String,
    now: Timestamp,
) -> rusqlite::Result<()> {
    put_asking(connection, source, to, text, Vec::new(), now)
}

/// The same, with what can be answered by one touch.
fn put_asking(
    connection: &Connection,
    source: String,
    to: ReplyTo,
    text: String,
    buttons: Vec<(String, String)>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(epoch) = live_epoch(connection, &GrantHolder::Gateway)? else { return Ok(()) };
    let (media, session) = (String::new(), String::new());
    let digest = [0; 32];
    let new = NewDelivery { source, digest, to, text, media, session, buttons, poll: None };
    put(connection, &new, (&GrantHolder::Gateway.to_string(), epoch.0, ""), now)
}

/// What a run answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The row of the run.
    pub(crate) run: i64,
    /// How it ended.
    pub(crate) status: RunStatus,
    /// What it said, or what went wrong.
    pub(crate) text: &'a str,
    /// What the configuration says about what leaves.
    pub(crate) rules: &'a SendRules,
}

/// Writes what a run answered, if the gateway delivers it: in the same step in which the run ends. What is to
/// be silent is not sent, and neither is what may not leave: then the run has why, for a bridge that would tell
/// it, too.
pub(crate) fn answer(
    connection: &Connection,
    answer: Answer<'_>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Answer { run: row, status, text, rules } = answer;
    let sql = "SELECT r.reply_to, r.run_id, s.key, r.on_behalf_of, r.grant_epoch, r.grant_scopes
               FROM runs r JOIN sessions s ON s.id = r.session WHERE r.id = ?1 AND r.reply_to <> ''";
    type Found = (String, String, String, String, u64, String);
    let found: Option<Found> = connection
        .prepare_cached(sql)?
        .query_row([row], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let Some((reply_to, run, session, holder, epoch, scopes)) = found else { return Ok(()) };
    let Some(to) = ReplyTo::read(&reply_to) else { return Ok(()) };
    let text = match status {
        RunStatus::Ok if is_heartbeat(&run) => heartbeat_alert(text).to_owned(),
        RunStatus::Ok => text.to_owned(),
        // Whoever wrote is told that there is no answer (`runtime.md` §7.4 of the reference); what exactly went
        // wrong stands in the conversation, and is nobody else's to read.
        RunStatus::Error | RunStatus::Timeout
            if !to.answers.is_empty() || to.by == Carrier::Caller =>
        {
            "Something went wrong, and there is no answer. The gateway's owner sees why in `openclaw runs list`."
                .to_owned()
        }
        RunStatus::Aborted
        | RunStatus::Error
        | RunStatus::Interrupted
        | RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Timeout => return Ok(()),
    };
    if is_silent(&text) || (is_heartbeat(&run) && was_said(connection, &to, &text, now)?) {
        return Ok(());
    }
    let key: SessionKey = session.parse().map_err(|error| damaged(2, error))?;
    if denied(connection, Some(&key), &to, rules)?.is_some() {
        let sql = "UPDATE runs SET withheld = ?2 WHERE id = ?1";
        return connection.prepare_cached(sql)?.execute(params![row, WITHHELD]).map(|_| ());
    }
    if to.by == Carrier::Caller {
        return Ok(());
    }
    let new = NewDelivery {
        source: format!("run:{run}"),
        digest: [0; 32],
        to,
        text,
        media: String::new(),
        session,
        buttons: Vec::new(),
        poll: None,
    };
    put(connection, &new, (&holder, epoch, &scopes), now)
}

fn is_heartbeat(run: &str) -> bool {
    run.strip_prefix(HEARTBEAT).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether the same was said at the same place by heartbeats lately: who looks every half hour at the same finds
/// the same.
fn was_said(
    connection: &Connection,
    to: &ReplyTo,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE channel = ?1 AND account = ?2 AND peer = ?3
                   AND text = ?4 AND created_at > ?5 AND created_at <= ?6
                   AND source GLOB 'run:heartbeat-*')";
    // What lies ahead was written under a clock that was wrong, and silences nothing.
    let since = now.saturating_sub(SAID_LATELY).as_millis();
    let values = params![to.channel, to.account, to.peer, text, since, now.as_millis()];
    connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

/// Sends a message, on behalf of the caller. A retry is the same message.
#[derive(Clone, Debug)]
pub struct SendMessage {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// What is to leave; its source is made of the request's name.
    pub new: NewDelivery,
    /// What is looked at before it leaves; absent for what the gateway itself answers in a chat.
    pub guard: Option<SendGuard>,
}

/// What decides whether somebody's message may leave.
#[derive(Clone, Debug)]
pub struct SendGuard {
    /// What the configuration says about it.
    pub rules: SendRules,
    /// The conversation in which what comes from there is answered; absent when there is none.
    pub session: Option<SessionKey>,
}

impl Ask for SendMessage {
    type Method = SendMethod;
    type Output = Delivery;
    type Error = DeliveryError;

    fn target(&self, _: &Transaction<'_>) -> Result<DestinationTarget, Fault<DeliveryError>> {
        let ReplyTo { channel, peer, .. } = &self.new.to;
        let reach = if channel == WEBHOOK { Reach::Programs } else { Reach::Agents };
        let (channel, peer) = (channel.as_str().into(), peer.as_str().into());
        Ok(DestinationTarget { channel, peer, reach })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<SendMethod>,
        now: Timestamp,
    ) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
        let (caller, _) = authorized.into_parts();
        accept(tx, &caller, &self.idempotency_key, self.new.clone(), self.guard.as_ref(), now)
    }
}

/// Writes what a caller wants sent under a name; what has that name already is returned as it stands.
pub(super) fn accept(
    tx: &Transaction<'_>,
    caller: &Caller,
    idempotency_key: &IdempotencyKey,
    new: NewDelivery,
    guard: Option<&SendGuard>,
    now: Timestamp,
) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
    let source = format!("send:{}:{}", caller.on_behalf_of(), idempotency_key);
    let sql = "SELECT delivery, digest FROM outbox WHERE source = ?1";
    let same: Option<(String, [u8; 32])> = tx
        .prepare_cached(sql)?
        .query_row([&source], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((id, digest)) = same {
        if digest != new.digest {
            return Err(Fault::Domain(DeliveryError::IdempotencyConflict));
        }
        let found = find(tx, &id)?.ok_or(Fault::Domain(DeliveryError::Unknown(id)))?;
        return Ok(Applied::Unchanged(found));
    }
    let channel = new.to.channel.as_str();
    if let Some(SendGuard { rules, session }) = guard
        && let Some(by) = denied_at(tx, session.as_ref(), &new.to, rules)?
    {
        let channel = channel.to_owned();
        return Err(Fault::Domain(DeliveryError::SendPolicy { by, channel }));
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM outbox
                   WHERE channel = ?1 AND account = ?2 AND state = 'waiting' LIMIT ?3)";
    let waiting: u32 = tx
        .prepare_cached(sql)?
        .query_row(params![channel, new.to.account, MAX_WAITING], |row| row.get(0))?;
    if waiting >= MAX_WAITING {
        let channel = channel.to_owned();
        return Err(Fault::Domain(DeliveryError::TooMany { channel, max: MAX_WAITING }));
    }
    let grant: &Grant = caller.grant();
    let (holder, scopes) = (grant.holder().to_string(), stored(grant.scopes()));
    let new = NewDelivery { source: source.clone(), ..new };
    put(tx, &new, (&holder, grant.epoch().0, &scopes), now)?;
    let sql = "SELECT delivery FROM outbox WHERE source = ?1";
    let id: String = tx.prepare_cached(sql)?.query_row([&source], |row| row.get(0))?;
    let found = find(tx, &id)?.ok_or(Fault::Domain(DeliveryError::Unknown(id)))?;
    Ok(Applied::Changed(found))
}

/// Sends again what did not arrive, or of which that cannot be told; parts that arrived are not sent again.
#[derive(Clone, Debug)]
pub struct RetryDelivery {
    /// Its id.
    pub id: String,
    /// What the configuration says about what leaves.
    pub rules: SendRules,
}

/// Gives up what did not arrive, or has not left yet.
#[derive(Clone, Debug)]
pub struct DiscardDelivery(pub String);

fn target(connection: &Connection, id: &str) -> rusqlite::Result<DeliveryTarget> {
    let found = find(connection, id)?;
    let id: String = id.chars().take(64).collect();
    Ok(DeliveryTarget { id: id.into(), owner: found.map(|found| found.on_behalf_of) })
}

/// Has a delivery in one of these states wait or go.
fn decide(
    tx: &Transaction<'_>,
    id: &str,
    sql: &str,
    now: Timestamp,
) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
    let unknown = || Fault::Domain(DeliveryError::Unknown(id.chars().take(64).collect()));
    let before: DeliveryState = find(tx, id)?.ok_or_else(unknown)?.state;
    if tx.prepare_cached(sql)?.execute(params![id, now.as_millis()])? == 0 {
        let id = id.to_owned();
        return Err(Fault::Domain(DeliveryError::Settled { id, state: before }));
    }
    find(tx, id)?.map(Applied::Changed).ok_or_else(unknown)
}

impl Ask for RetryDelivery {
    type Method = RetryMethod;
    type Output = Delivery;
    type Error = DeliveryError;

    fn target(&self, tx: &Transaction<'_>) -> Result<DeliveryTarget, Fault<DeliveryError>> {
        Ok(target(tx, &self.id)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RetryMethod>,
        now: Timestamp,
    ) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
        drop(authorized.into_parts());
        // What a conversation said before it was silenced stays there.
        if let Some(Delivery { session: session @ Some(_), to, .. }) = find(tx, &self.id)?
            && let Some(by) = denied(tx, session.as_ref(), &to, &self.rules)?
        {
            let channel = to.channel;
            return Err(Fault::Domain(DeliveryError::SendPolicy { by, channel }));
        }
        let sql =
            "UPDATE outbox SET state = 'waiting', attempts = 0, next_at = ?2, settled_at = NULL
                   WHERE delivery = ?1 AND state IN ('dead', 'partial', 'unknown')";
        decide(tx, &self.id, sql, now)
    }
}

impl Ask for DiscardDelivery {
    type Method = DiscardMethod;
    type Output = Delivery;
    type Error = DeliveryError;

    fn target(&self, tx: &Transaction<'_>) -> Result<DeliveryTarget, Fault<DeliveryError>> {
        Ok(target(tx, &self.0)?)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<DiscardMethod>,
        now: Timestamp,
    ) -> Result<Applied<Delivery>, Fault<DeliveryError>> {
        drop(authorized.into_parts());
        let sql = "UPDATE outbox SET state = 'discarded', settled_at = ?2
                   WHERE delivery = ?1 AND state IN ('dead', 'partial', 'unknown', 'waiting')";
        decide(tx, &self.0, sql, now)
    }
}

impl Store {
    /// Says something on the gateway's own behalf, once: to somebody who has no grant.
    ///
    /// # Errors
    /// When the storage fails; then nothing is said.
    pub async fn say_as_gateway(
        &self,
        source: String,
        to: ReplyTo,
        text: String,
        now: Timestamp,
    ) -> Result<(), ActError<DeliveryError>> {
        self.step(move |connection| {
            Ok(put_as_gateway(connection, source.clone(), to.clone(), text.clone(), now)?)
        })
        .await
    }

    /// Asks something on the gateway's own behalf, once: with what can be answered by one touch, labels and what
    /// they say.
    ///
    /// # Errors
    /// When the storage fails; then nothing is asked.
    pub async fn ask_as_gateway(
        &self,
        source: String,
        to: ReplyTo,
        text: String,
        buttons: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<(), ActError<DeliveryError>> {
        self.step(move |connection| {
            let (source, to, text) = (source.clone(), to.clone(), text.clone());
            Ok(put_asking(connection, source, to, text, buttons.clone(), now)?)
        })
        .await
    }
}
