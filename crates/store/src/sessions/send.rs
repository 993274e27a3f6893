//! Whether what is said in a conversation may leave: its own policy, that of what it was begun in, and the rules.

use openclaw_scopes::SessionKey;
use openclaw_sessions::{ChatType, ParsedKey, SendPlace, SendPolicy, SendRules};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{StoreError, damaged};
use crate::handle::Store;
use crate::outbox::ReplyTo;

/// How far up it is looked for what a conversation was begun in: deeper than delegations go.
const MAX_DEPTH: usize = 64;

/// What says that something does not leave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendDenied {
    /// The configuration.
    Rules,
    /// A policy of this conversation.
    Session(SessionKey),
}

/// Why the answer of a run did not leave, in a word.
pub(crate) const WITHHELD: &str = "send-policy-deny";

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no send policy")]
struct UnknownPolicy(String);

/// Reads a policy as it is stored.
pub(super) fn parse(column: usize, text: &str) -> rusqlite::Result<Option<SendPolicy>> {
    match text {
        "" => Ok(None),
        name => SendPolicy::parse(name)
            .map(Some)
            .ok_or_else(|| damaged(column, UnknownPolicy(name.to_owned()))),
    }
}

/// Returns the policy that a conversation has of its own.
fn own(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Option<SendPolicy>> {
    let sql = "SELECT send_policy FROM sessions WHERE key = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found: Option<String> = statement.query_row([key.as_str()], |row| row.get(0)).optional()?;
    parse(0, &found.unwrap_or_default())
}

/// Returns in which conversation another was begun: that of a sub-agent, a job that a turn has added, an isolated
/// heartbeat.
fn begun_in(connection: &Connection, key: &SessionKey) -> rusqlite::Result<Option<SessionKey>> {
    let Ok(parsed) = ParsedKey::of(key) else { return Ok(None) };
    let above: Option<String> = if let Some(base) = parsed.heartbeat_base() {
        Some(format!("agent:{}:{base}", parsed.agent()))
    } else if parsed.is_subagent() {
        let sql = "SELECT p.key FROM children c JOIN sessions p ON p.id = c.parent
                       JOIN sessions s ON s.id = c.session
                   WHERE s.key = ?1 AND p.deleted_at IS NULL";
        connection.prepare_cached(sql)?.query_row([key.as_str()], |row| row.get(0)).optional()?
    } else if parsed.is_cron_run() {
        let job = parsed.rest().split(':').nth(1).unwrap_or_default();
        let sql = "SELECT created_in FROM cron_jobs WHERE job = ?1 AND created_in <> ''";
        connection.prepare_cached(sql)?.query_row([job], |row| row.get(0)).optional()?
    } else {
        None
    };
    above.map(|key| key.parse().map_err(|error| damaged(0, error))).transpose()
}

/// Decides whether something that is said in a conversation may go to a place; returns what denies it.
///
/// What a conversation began does not get past it: a policy of `deny` holds for its sub-agents, its jobs and its
/// heartbeat, unless those have one of their own. One of `allow` is for the conversation alone.
pub(crate) fn denied(
    connection: &Connection,
    session: Option<&SessionKey>,
    to: &ReplyTo,
    rules: &SendRules,
) -> rusqlite::Result<Option<SendDenied>> {
    let mut above = session.cloned();
    for depth in 0..MAX_DEPTH {
        let Some(key) = above else { break };
        match own(connection, &key)? {
            Some(SendPolicy::Allow) if depth == 0 => return Ok(None),
            Some(SendPolicy::Allow) => break,
            Some(SendPolicy::Deny) => return Ok(Some(SendDenied::Session(key))),
            None => {}
        }
        above = begun_in(connection, &key)?;
    }
    let place = SendPlace { channel: &to.channel, chat_type: to.chat_type(), session };
    Ok(match rules.decide(&place) {
        SendPolicy::Allow => None,
        SendPolicy::Deny => Some(SendDenied::Rules),
    })
}

/// Decides whether somebody's own message may go to a place: not while a conversation there is silent. `session` is
/// the one in which what comes from there is answered.
pub(crate) fn denied_at(
    connection: &Connection,
    session: Option<&SessionKey>,
    to: &ReplyTo,
    rules: &SendRules,
) -> rusqlite::Result<Option<SendDenied>> {
    if let Some(denied) = denied(connection, session, to, rules)? {
        return Ok(Some(denied));
    }
    // Bindings look at more than the place, such as the roles of whoever writes; a key tells the place by itself.
    let sql = "SELECT key FROM sessions WHERE send_policy = 'deny' AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let silent = statement.query_map(params![], |row| row.get::<_, String>(0))?;
    for key in silent {
        let key: SessionKey = key?.parse().map_err(|error| damaged(0, error))?;
        if leads_to(&key, to) {
            return Ok(Some(SendDenied::Session(key)));
        }
    }
    Ok(None)
}

/// Whether the key of a conversation is of this place.
fn leads_to(key: &SessionKey, to: &ReplyTo) -> bool {
    let Ok(parsed) = ParsedKey::of(key) else { return false };
    let Some(route) = parsed.route() else { return false };
    // A topic of Telegram stands in the id of its group.
    let (peer, topic) = route.peer.split_once(":topic:").unwrap_or((route.peer, ""));
    let is_direct = |kind: ChatType| kind == ChatType::Direct;
    route.channel == to.channel
        && Some(is_direct(route.kind)) == to.chat_type().map(is_direct)
        && peer.eq_ignore_ascii_case(&to.peer)
        && route.thread.unwrap_or(topic).eq_ignore_ascii_case(&to.thread)
}

impl Store {
    /// Whether what is said in a conversation does not leave to a place now.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn is_silent(
        &self,
        session: &SessionKey,
        to: &ReplyTo,
        rules: &SendRules,
    ) -> Result<bool, StoreError> {
        self.snapshot(|connection| Ok(denied(connection, Some(session), to, rules)?.is_some()))
    }
}
