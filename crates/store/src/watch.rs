//! What has happened, for whoever watches: triggers write it in the step of each change, and it is read page by
//! page from wherever somebody is.

mod kind;
mod sweep;

use openclaw_scopes::method::{
    SeeApprovals, SeeCron, SeeDeliveries, SeePairing, SeePresence, SeeRuns, SeeSessions,
    WatchEvents as WatchMethod,
};
use openclaw_scopes::target::{EventTarget, Whole};
use openclaw_scopes::{
    AgentId, Authorized, Caller, DeviceId, DeviceRole, Epoch, GrantHolder, Principal, SessionKey,
    Timestamp, authorize,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::watch;

use crate::act::{ActError, Query, live_epoch};
use crate::error::Fault;
use crate::handle::Store;

pub use kind::{EventKind, Family, UnknownKind};

/// Rows that are looked at in one snapshot at most.
const PAGE: u32 = 256;

/// Something that has happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoggedEvent {
    /// Its place among all events, from 1.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What has happened.
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject: String,
    /// The key of the conversation that it belongs to; empty for none.
    pub session: String,
    /// The agent that it belongs to; empty for none.
    pub agent: String,
    /// What it is now, in a word; empty when the kind says all.
    pub state: String,
    /// The holder of the grant that it rests on; absent for none.
    pub owner: Option<GrantHolder>,
}

/// From where events are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// From those on that come after this one.
    After(u64),
    /// From now on.
    Now,
    /// From the oldest on that is kept.
    Oldest,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those of these kinds; empty for all.
    pub kinds: Vec<EventKind>,
    /// Only those of this conversation.
    pub session: Option<SessionKey>,
    /// Only those of this agent.
    pub agent: Option<AgentId>,
}

impl EventFilter {
    fn passes(&self, event: &LoggedEvent) -> bool {
        let is_wanted = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let is_there = self.session.as_ref().is_none_or(|key| key.as_str() == event.session);
        is_wanted && is_there && self.agent.as_ref().is_none_or(|id| id.as_str() == event.agent)
    }
}

/// Reads the next events that the caller may see.
#[derive(Clone, Debug)]
pub struct WatchEvents {
    /// From where.
    pub since: Since,
    /// Which.
    pub filter: EventFilter,
}

/// Events that follow each other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventPage {
    /// Those that the caller may see, and wants, the oldest first.
    pub events: Vec<LoggedEvent>,
    /// After which one was looked.
    pub from: u64,
    /// How far was looked: what comes next comes after it.
    pub reached: u64,
    /// The newest there is.
    pub latest: u64,
}

/// Why events cannot be read from somewhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WatchError {
    /// What came after it is not kept any more.
    #[error("events before {oldest} are gone; list anew and watch from {latest}")]
    Expired {
        /// The oldest that is kept.
        oldest: u64,
        /// The newest there is.
        latest: u64,
    },
    /// It is not written yet.
    #[error("there is no event {since} yet; the newest is {latest}")]
    Future {
        /// What was asked for.
        since: u64,
        /// The newest there is.
        latest: u64,
    },
}

impl Query for WatchEvents {
    type Method = WatchMethod;
    type Output = EventPage;
    type Error = WatchError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<WatchError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<WatchMethod>,
    ) -> Result<EventPage, Fault<WatchError>> {
        let (caller, Whole) = authorized.into_parts();
        let (oldest, latest) = kept(connection)?;
        let after = match self.since {
            Since::Now => latest,
            Since::Oldest => oldest.saturating_sub(1),
            Since::After(since) if since > latest => {
                return Err(Fault::Domain(WatchError::Future { since, latest }));
            }
            Since::After(since) if since.saturating_add(1) < oldest => {
                return Err(Fault::Domain(WatchError::Expired { oldest, latest }));
            }
            Since::After(since) => since,
        };
        // Asked in the snapshot of each page: what somebody lost since the last one is not seen any more.
        let live = live_epoch(connection, caller.on_behalf_of())?;
        let sql = "SELECT seq, at, kind, subject, session, agent, state, owner FROM event_log
                   WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![after, PAGE], |row| Ok((row.get::<_, u64>(0)?, event(row)?)))?;
        let (mut events, mut reached) = (Vec::new(), after);
        for row in rows {
            let (seq, event) = row?;
            reached = seq;
            let event = event.filter(|event| self.filter.passes(event));
            events.extend(event.filter(|event| may_see(&caller, event, live)));
        }
        Ok(EventPage { events, from: after, reached, latest })
    }
}

/// Reads an event. A kind or a holder that this version does not know is nobody's to see.
//= docs/threat-model.md#T38
fn event(row: &Row<'_>) -> rusqlite::Result<Option<LoggedEvent>> {
    let (kind, owner): (String, String) = (row.get(2)?, row.get(7)?);
    let Some(kind) = EventKind::parse(&kind) else { return Ok(None) };
    let owner = match owner.as_str() {
        "" => None,
        owner => match owner.parse() {
            Ok(owner) => Some(owner),
            Err(_) => return Ok(None),
        },
    };
    Ok(Some(LoggedEvent {
        seq: row.get(0)?,
        at: Timestamp::from_millis(row.get(1)?),
        kind,
        subject: row.get(3)?,
        session: row.get(4)?,
        agent: row.get(5)?,
        state: row.get(6)?,
        owner,
    }))
}

/// Tells whether a caller is told of an event, by the row of the policy for its kind.
//= docs/threat-model.md#T38
fn may_see(caller: &Caller, event: &LoggedEvent, live: Option<Epoch>) -> bool {
    let role = match caller.actor() {
        Principal::Device { role, .. } => *role,
        Principal::Hook { .. }
        | Principal::Owner { .. }
        | Principal::Plugin { .. }
        | Principal::Run { .. }
        | Principal::Sender { .. }
        | Principal::System { .. }
        | Principal::Token { .. } => DeviceRole::Operator,
    };
    let target = EventTarget { owner: event.owner.clone(), role };
    match event.kind.family() {
        Family::Approvals => authorize::<SeeApprovals>(caller, target, live).is_ok(),
        Family::Cron => authorize::<SeeCron>(caller, target, live).is_ok(),
        Family::Delivery => authorize::<SeeDeliveries>(caller, target, live).is_ok(),
        Family::Pairing => authorize::<SeePairing>(caller, target, live).is_ok(),
        Family::Presence => authorize::<SeePresence>(caller, target, live).is_ok(),
        Family::Runs => authorize::<SeeRuns>(caller, target, live).is_ok(),
        Family::Sessions => authorize::<SeeSessions>(caller, target, live).is_ok(),
    }
}

/// Returns the newest event that was ever written; zero for none.
pub(crate) fn latest(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'event_log'";
    let found = connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}

/// Returns the oldest event that is kept, or would be the next one, and the newest.
fn kept(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let latest = latest(connection)?;
    let sql = "SELECT min(seq) FROM event_log";
    let oldest: Option<u64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok((oldest.unwrap_or_else(|| latest.saturating_add(1)), latest))
}

/// Whether a device is connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// Not any more.
    Offline,
    /// Now.
    Online,
}

impl Presence {
    const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }

    const fn kind(self) -> EventKind {
        match self {
            Self::Offline => EventKind::PresenceOffline,
            Self::Online => EventKind::PresenceOnline,
        }
    }
}

impl Store {
    /// Returns what moves to the newest event whenever some were written; before whoever wrote them is
    /// answered.
    pub fn events(&self) -> watch::Receiver<u64> {
        self.newest_event()
    }

    /// Writes that a device has come or gone.
    ///
    /// # Errors
    /// When the storage fails; then nothing is written.
    pub async fn note_presence(
        &self,
        device: DeviceId,
        presence: Presence,
        now: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| Ok(note(connection, device.as_str(), presence, now)?)).await
    }

    /// Writes that every device has gone that was there when the gateway stopped.
    ///
    /// # Errors
    /// When the storage fails; then nothing is written.
    pub async fn end_presence(
        &self,
        now: Timestamp,
    ) -> Result<(), ActError<std::convert::Infallible>> {
        self.step(move |connection| {
            let sql = "SELECT device FROM present ORDER BY device";
            let mut statement = connection.prepare_cached(sql)?;
            let present = statement.query_map([], |row| row.get::<_, String>(0))?;
            let present = present.collect::<rusqlite::Result<Vec<_>>>()?;
            for device in present {
                note(connection, &device, Presence::Offline, now)?;
            }
            Ok(())
        })
        .await
    }
}

fn note(
    connection: &Connection,
    device: &str,
    presence: Presence,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = match presence {
        Presence::Offline => "DELETE FROM present WHERE device = ?1",
        Presence::Online => "INSERT INTO present VALUES (?1) ON CONFLICT (device) DO NOTHING",
    };
    connection.prepare_cached(sql)?.execute([device])?;
    let sql = "INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
               VALUES (?1, ?2, ?3, '', '', ?4, 'device:' || ?3)";
    let values = params![now.as_millis(), presence.kind().name(), device, presence.name()];
    connection.prepare_cached(sql)?.execute(values).map(|_| ())
}
