//! Requests as they are stored.

use openclaw_pairing::{Asked, Kind, Pending, PublicKey, State, Wish};
use openclaw_scopes::{DeviceId, DeviceRole, PairingId, ScopeSet, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Unreadable;
use crate::error::damaged;
use crate::grants::{scopes, stored};

/// A request as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PairingView {
    /// What is asked for, by whom.
    pub pending: Pending,
    /// The device's key.
    pub public_key: PublicKey,
    /// What had been approved when it was filed.
    pub held: ScopeSet,
    /// What the device calls itself.
    pub name: String,
    /// From where it was last asked.
    pub address: String,
    /// Where it is in its life. One that has lapsed and was not looked at since is told as expired.
    pub state: State,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// By whom.
    pub decided_by: String,
    /// What was granted.
    pub granted: ScopeSet,
}

const SELECT: &str =
    "SELECT id, device, public_key, kind, role, revision, wish, wished_at, held, name,
    address, created_at, state, decided_at, decided_by, granted FROM pairing_requests";

impl PairingView {
    fn from_row(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let unreadable = |column: usize| damaged(column, Unreadable("pairing request".into()));
        let pending = Pending {
            id: text(0)?.parse().map_err(|error| damaged(0, error))?,
            device: text(1)?.parse().map_err(|error| damaged(1, error))?,
            kind: Kind::parse(&text(3)?).ok_or_else(|| unreadable(3))?,
            role: DeviceRole::parse(&text(4)?).ok_or_else(|| unreadable(4))?,
            wish: Wish {
                revision: row.get(5)?,
                scopes: scopes(6, &text(6)?)?,
                at: Timestamp::from_millis(row.get(7)?),
            },
            history: Vec::new(),
            created_at: Timestamp::from_millis(row.get(11)?),
        };
        let state = State::parse(&text(12)?).ok_or_else(|| unreadable(12))?;
        let has_lapsed = state == State::Pending && pending.has_lapsed(now);
        Ok(Self {
            public_key: PublicKey(row.get(2)?),
            held: scopes(8, &text(8)?)?,
            name: text(9)?,
            address: text(10)?,
            state: if has_lapsed { State::Expired } else { state },
            decided_at: row.get::<_, Option<i64>>(13)?.map(Timestamp::from_millis),
            decided_by: text(14)?,
            granted: scopes(15, &text(15)?)?,
            pending,
        })
    }

    fn with_history(mut self, connection: &Connection) -> rusqlite::Result<Self> {
        let sql =
            "SELECT revision, wish, at FROM pairing_history WHERE request = ?1 ORDER BY revision";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([self.pending.id.as_str()], |row| {
            Ok(Wish {
                revision: row.get(0)?,
                scopes: scopes(1, &row.get::<_, String>(1)?)?,
                at: Timestamp::from_millis(row.get(2)?),
            })
        })?;
        self.pending.history = rows.collect::<Result<_, _>>()?;
        Ok(self)
    }
}

pub(super) fn find(
    connection: &Connection,
    id: &PairingId,
    now: Timestamp,
) -> rusqlite::Result<Option<PairingView>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([id.as_str()], |row| PairingView::from_row(row, now))
        .optional()?;
    found.map(|found| found.with_history(connection)).transpose()
}

/// Finds the request of a device of a kind that waits, or else the newest: a clock that was set back
/// must not hide the one that waits.
pub(super) fn newest(
    connection: &Connection,
    device: &DeviceId,
    kind: Kind,
    now: Timestamp,
) -> rusqlite::Result<Option<PairingView>> {
    let sql = format!(
        "{SELECT} WHERE device = ?1 AND kind = ?2
         ORDER BY state <> 'pending', created_at DESC, id LIMIT 1"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_row([device.as_str(), kind.name()], |row| PairingView::from_row(row, now))
        .optional()?;
    found.map(|found| found.with_history(connection)).transpose()
}

/// Returns the requests that wait, the oldest first; of one device if it is named.
pub(crate) fn waiting(
    connection: &Connection,
    device: Option<&DeviceId>,
    now: Timestamp,
) -> rusqlite::Result<Vec<PairingView>> {
    let sql = format!(
        "{SELECT} WHERE state = 'pending' AND (?1 IS NULL OR device = ?1) ORDER BY created_at, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let device = device.map(DeviceId::as_str);
    let rows = statement.query_map([device], |row| PairingView::from_row(row, now))?;
    let all = rows.collect::<Result<Vec<_>, _>>()?;
    all.into_iter()
        .filter(|view| view.state == State::Pending)
        .map(|view| view.with_history(connection))
        .collect()
}

pub(super) fn insert(connection: &Connection, view: &PairingView) -> rusqlite::Result<()> {
    let Pending { id, device, kind, role, wish, created_at, history: _ } = &view.pending;
    let sql = "INSERT INTO pairing_requests (id, device, public_key, kind, role, revision, wish,
                   wished_at, held, name, address, created_at, state)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'pending')";
    connection.prepare_cached(sql)?.execute(params![
        id.as_str(),
        device.as_str(),
        view.public_key.0,
        kind.name(),
        role.name(),
        wish.revision,
        stored(wish.scopes),
        wish.at.as_millis(),
        stored(view.held),
        view.name,
        view.address,
        created_at.as_millis(),
    ])?;
    Ok(())
}

/// Writes the next revision of a request, and keeps the former wish.
pub(super) fn change(connection: &Connection, view: &PairingView) -> rusqlite::Result<()> {
    let Pending { id, wish, history, .. } = &view.pending;
    let sql = "UPDATE pairing_requests SET revision = ?2, wish = ?3, wished_at = ?4, held = ?5,
                   name = ?6, address = ?7 WHERE id = ?1 AND state = 'pending'";
    connection.prepare_cached(sql)?.execute(params![
        id.as_str(),
        wish.revision,
        stored(wish.scopes),
        wish.at.as_millis(),
        stored(view.held),
        view.name,
        view.address,
    ])?;
    if let Some(former) = history.last() {
        let sql = "INSERT INTO pairing_history VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(sql)?.execute(params![
            id.as_str(),
            former.revision,
            stored(former.scopes),
            former.at.as_millis(),
        ])?;
    }
    let oldest = history.first().map_or(0, |first| first.revision);
    let sql = "DELETE FROM pairing_history WHERE request = ?1 AND revision < ?2";
    connection.prepare_cached(sql)?.execute(params![id.as_str(), oldest])?;
    Ok(())
}

/// Takes out of a device's request what a rotation took, so that granting it does not give that back.
/// What the request is for stays: it goes beyond what was approved, and rotations do not.
pub(super) fn narrow(
    connection: &Connection,
    device: &DeviceId,
    lost: ScopeSet,
    now: Timestamp,
) -> rusqlite::Result<()> {
    for view in waiting(connection, Some(device), now)? {
        let left = view.pending.wish.scopes.closed().without(lost).closed();
        if view.pending.kind == Kind::ScopeUpgrade
            && let Asked::Changed(pending) = view.pending.clone().ask(left, now)
        {
            change(connection, &PairingView { pending, ..view })?;
        }
    }
    Ok(())
}

/// Ends a request that waits.
pub(super) fn decide(
    connection: &Connection,
    id: &PairingId,
    state: State,
    by: &str,
    granted: ScopeSet,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let sql =
        "UPDATE pairing_requests SET state = ?2, decided_at = ?3, decided_by = ?4, granted = ?5
               WHERE id = ?1 AND state = 'pending'";
    let values = params![id.as_str(), state.name(), now.as_millis(), by, stored(granted)];
    connection.prepare_cached(sql)?.execute(values)
}

/// Turns down what waits for a device, or for all. What has lapsed waits no longer, and stays as it is.
pub(super) fn reject_all(
    connection: &Connection,
    device: Option<&DeviceId>,
    by: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE pairing_requests SET state = 'rejected', decided_at = ?2, decided_by = ?3
               WHERE state = 'pending' AND created_at > ?4 AND (?1 IS NULL OR device = ?1)";
    let device = device.map(DeviceId::as_str);
    let lapsed = now.saturating_sub(Pending::LIFETIME).as_millis();
    connection.prepare_cached(sql)?.execute(params![device, now.as_millis(), by, lapsed])?;
    Ok(())
}
