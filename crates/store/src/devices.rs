//! Devices: letting in, asking, approving, rotating, revoking.

mod admit;
mod decide;
mod file;
mod list;
mod manage;
mod request;

use openclaw_pairing::{ApproveError, Baseline, PublicKey, RotateError};
use openclaw_scopes::target::Authority;
use openclaw_scopes::{DeviceId, DeviceRole, Epoch, GrantHolder, ScopeSet, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{Failure, Transaction};
use crate::error::{Fault, damaged};
use crate::grants;

pub use admit::{AdmitDevice, Admitted, RenewDevice};
pub(crate) use decide::admit;
pub use decide::{ApproveRequest, RejectRequest};
pub(crate) use file::expire;
pub use file::{FileRequest, Filed, Novelty, RequestUpgrade};
pub(crate) use list::all;
pub use list::{DeviceList, GetRequest, ListDevices};
pub use manage::{RemoveDevice, RenameDevice, RevokeAll, RevokeDevice, Revoked, RotateDevice};
pub use request::PairingView;
pub(crate) use request::waiting;

/// A device that was paired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its key.
    pub public_key: PublicKey,
    /// What people call it; empty when it has no label.
    pub label: String,
    /// What it calls itself.
    pub name: String,
    /// The role that it was approved for.
    pub role: DeviceRole,
    /// What was approved, and how much of it its tokens carry.
    pub baseline: Baseline,
    /// When its authority was withdrawn.
    pub revoked_at: Option<Timestamp>,
    /// How its approval came about.
    pub provenance: Provenance,
    /// When it was first approved.
    pub created_at: Timestamp,
    /// When it last proved its key.
    pub last_used_at: Option<Timestamp>,
    /// From where.
    pub last_address: String,
    /// How often its grant was replaced or withdrawn.
    pub epoch: Epoch,
}

/// Who approved, when, and through what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provenance {
    /// Who.
    pub approved_by: String,
    /// When.
    pub approved_at: Timestamp,
    /// Through what.
    pub via: Via,
    /// The id of that.
    pub via_id: String,
}

/// Through what a device was approved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Via {
    /// An invitation that it redeemed.
    Invitation,
    /// A request that somebody granted.
    Request,
}

impl Via {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Request => "request",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Invitation, Self::Request].into_iter().find(|via| via.name() == text)
    }
}

const SELECT: &str = "SELECT d.id, d.public_key, d.label, d.name, r.role, r.approved, r.granted,
    r.revoked_at, r.approved_by, r.approved_at, r.via, r.via_id, d.created_at, d.last_used_at,
    d.last_address, g.epoch
    FROM devices d JOIN device_roles r ON r.device = d.id JOIN grants g ON g.holder = d.holder";

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not what was stored")]
struct Unreadable(String);

impl Device {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let unreadable = |column, text: String| damaged(column, Unreadable(text));
        let scopes = |column| grants::scopes(column, &text(column)?);
        let time = |column: usize| {
            row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis))
        };
        Ok(Self {
            id: text(0)?.parse().map_err(|error| damaged(0, error))?,
            public_key: PublicKey(row.get(1)?),
            label: text(2)?,
            name: text(3)?,
            role: DeviceRole::parse(&text(4)?).ok_or_else(|| unreadable(4, "role".into()))?,
            baseline: Baseline::recorded(scopes(5)?, scopes(6)?),
            revoked_at: time(7)?,
            provenance: Provenance {
                approved_by: text(8)?,
                approved_at: Timestamp::from_millis(row.get(9)?),
                via: Via::parse(&text(10)?).ok_or_else(|| unreadable(10, "via".into()))?,
                via_id: text(11)?,
            },
            created_at: Timestamp::from_millis(row.get(12)?),
            last_used_at: time(13)?,
            last_address: text(14)?,
            epoch: Epoch(row.get(15)?),
        })
    }

    /// Returns whose grant is its.
    pub fn holder(&self) -> GrantHolder {
        GrantHolder::Device(self.id.clone())
    }

    fn authority(&self) -> Authority {
        Authority::of(self.holder()).holding(self.baseline.approved())
    }
}

/// Finds a device in a role.
pub(crate) fn find(
    connection: &Connection,
    id: &DeviceId,
    role: DeviceRole,
) -> rusqlite::Result<Option<Device>> {
    let sql = format!("{SELECT} WHERE d.id = ?1 AND r.role = ?2");
    connection
        .prepare_cached(&sql)?
        .query_row([id.as_str(), role.name()], Device::from_row)
        .optional()
}

/// Finds a device that may connect as an operator.
pub(crate) fn find_live(
    connection: &Connection,
    id: &DeviceId,
) -> rusqlite::Result<Option<Device>> {
    let found = find(connection, id, DeviceRole::Operator)?;
    Ok(found.filter(|device| device.revoked_at.is_none()))
}

/// Returns what was approved for a device since it was last paired, the oldest first.
pub(crate) fn approvals(
    connection: &Connection,
    device: &Device,
) -> rusqlite::Result<Vec<(ScopeSet, Provenance)>> {
    let sql = "SELECT scopes, approved_by, approved_at, via, via_id FROM approvals
               WHERE device = ?1 AND role = ?2 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([device.id.as_str(), device.role.name()], |row| {
        let (scopes, via): (String, String) = (row.get(0)?, row.get(3)?);
        let provenance = Provenance {
            approved_by: row.get(1)?,
            approved_at: Timestamp::from_millis(row.get(2)?),
            via: Via::parse(&via).ok_or_else(|| damaged(3, Unreadable(via)))?,
            via_id: row.get(4)?,
        };
        Ok((grants::scopes(0, &scopes)?, provenance))
    })?;
    rows.collect()
}

/// A device as people name it: its id, or a beginning that no other has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceRef(String);

/// Characters of the beginning of an id at least: fewer are too easily somebody else's.
const MIN_PREFIX: usize = 6;

impl DeviceRef {
    /// Parses what a person wrote.
    ///
    /// # Errors
    /// When it is no beginning of an id, or too short a one.
    pub fn parse(text: &str) -> Result<Self, DeviceError> {
        let text = text.strip_prefix("device:").unwrap_or(text).to_ascii_lowercase();
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && (MIN_PREFIX..=64).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(DeviceError::Malformed)
        }
    }

    /// Finds the one device that is meant.
    pub(crate) fn find(
        &self,
        connection: &Connection,
        role: DeviceRole,
    ) -> Result<Device, Fault<DeviceError>> {
        let sql = format!(
            "{SELECT} WHERE d.id >= ?1 AND d.id < ?1 || 'g' AND r.role = ?2 ORDER BY d.id LIMIT 2"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![self.0, role.name()], Device::from_row)?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        match (found.pop(), found.is_empty()) {
            (Some(device), true) => Ok(device),
            (None, _) => {
                let sql = "SELECT EXISTS (SELECT 1 FROM devices WHERE id >= ?1 AND id < ?1 || 'g')";
                let is_known =
                    connection.prepare_cached(sql)?.query_row([&self.0], |row| row.get(0))?;
                let unknown = || DeviceError::Unknown(self.0.clone());
                let error = if is_known { DeviceError::OtherRole(role) } else { unknown() };
                Err(Fault::Domain(error))
            }
            (Some(_), false) => Err(Fault::Domain(DeviceError::Ambiguous(self.0.clone()))),
        }
    }

    /// Loads what the rules look at. Whether there is such a device is told to nobody who may not ask.
    fn authority(
        &self,
        tx: &Transaction<'_>,
        role: DeviceRole,
    ) -> Result<Authority, Fault<DeviceError>> {
        match self.find(tx, role) {
            Ok(device) => Ok(device.authority()),
            Err(Fault::Domain(_)) => Ok(Authority::named(format!("device:{}", self.0))),
            Err(error) => Err(error),
        }
    }
}

/// Why an operation on a device or a request was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeviceError {
    /// What is asked for was approved already.
    #[error("it is approved already: {0}")]
    AlreadyApproved(ScopeSet),
    /// More than one device's id begins so.
    #[error("more than one device's id begins with `{0}`")]
    Ambiguous(String),
    /// The request cannot be granted so.
    #[error(transparent)]
    Approve(#[from] ApproveError),
    /// The request was decided otherwise.
    #[error("the request is {0} already")]
    Decided(&'static str),
    /// The invitation is unknown, used, withdrawn or expired: which one is told to nobody.
    #[error("the invitation is not good")]
    Invitation,
    /// The text names no device.
    #[error("a device is named by its id, or by at least {MIN_PREFIX} hex digits of its beginning")]
    Malformed,
    /// The role is not to be had yet.
    #[error("role `node` is not available: this gateway has no methods for nodes yet")]
    Node,
    /// Only a device asks so.
    #[error("only a device can ask for more: whoever asks here is none")]
    NotADevice,
    /// The device was never approved, or was removed.
    #[error("device is not approved yet")]
    NotPaired,
    /// The device was approved, and not in this role.
    #[error("the device has no role `{0}`")]
    OtherRole(DeviceRole),
    /// Its request was turned down.
    #[error("the device's request was rejected")]
    Rejected,
    /// Its authority was withdrawn.
    #[error("the device was revoked")]
    Revoked,
    /// What is asked for was approved, and a rotation took it since: no request can give it back.
    #[error("it was approved, and a rotation took it: {taken}")]
    RotatedAway {
        /// Whose tokens lack it.
        device: DeviceId,
        /// What they lack of the wish.
        taken: ScopeSet,
        /// What they would carry with it.
        whole: ScopeSet,
    },
    /// The grant cannot be set so.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// Too many requests wait.
    #[error("too many pairing requests wait")]
    TooMany,
    /// There is no such device.
    #[error("no device `{0}`")]
    Unknown(String),
    /// There is no such invitation, or it is good no more.
    #[error("no invitation `{0}` is open")]
    UnknownInvitation(String),
    /// There is no such token.
    #[error("no token `{0}`")]
    UnknownToken(String),
    /// There is no such request.
    #[error("no pairing request `{0}`")]
    UnknownRequest(String),
}

impl Failure for DeviceError {
    fn reason(&self) -> &'static str {
        match self {
            Self::AlreadyApproved(_) => "already-approved",
            Self::Ambiguous(_) => "ambiguous-device",
            Self::Approve(error) => match error {
                ApproveError::Beyond(_) => "not-asked-for",
                ApproveError::Expired => "expired",
                ApproveError::Nothing | ApproveError::NothingNew(_) => "nothing-granted",
                ApproveError::OtherDevice => "other-device",
                ApproveError::Stale { .. } => "stale",
            },
            Self::Decided(_) => "decided",
            Self::Invitation => "invitation-not-good",
            Self::Malformed => "malformed-device",
            Self::Node => "node-not-available",
            Self::NotADevice => "not-a-device",
            Self::NotPaired => "not-paired",
            Self::OtherRole(_) => "other-role",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
            Self::RotatedAway { .. } => "rotated-away",
            Self::Rotate(RotateError::OutsideBaseline(_)) => "outside-baseline",
            Self::Rotate(RotateError::TooNarrow(_)) => "too-narrow",
            Self::TooMany => "too-many-requests",
            Self::Unknown(_) => "unknown-device",
            Self::UnknownInvitation(_) => "unknown-invitation",
            Self::UnknownToken(_) => "unknown-token",
            Self::UnknownRequest(_) => "unknown-request",
        }
    }
}
