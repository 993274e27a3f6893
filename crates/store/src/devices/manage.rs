//! Changing and withdrawing what devices may do.

use openclaw_scopes::method;
use openclaw_scopes::target::{Authority, Whole};
use openclaw_scopes::{Authorized, DeviceRole, GrantHolder, ScopeSet, Timestamp};
use rusqlite::{Connection, params};

use super::request;
use super::{Device, DeviceError, DeviceRef, find};
use crate::act::{Applied, Ask, Transaction};
use crate::error::{Fault, damaged};
use crate::grants::{self, End, stored};
use crate::{invitations, tokens};

/// Changes what people call a device.
#[derive(Clone, Debug)]
pub struct RenameDevice {
    /// The device.
    pub device: DeviceRef,
    /// The label.
    pub label: String,
}

impl Ask for RenameDevice {
    type Method = method::RenameDevice;
    type Output = Device;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        self.device.authority(tx, DeviceRole::Operator)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        _: Timestamp,
    ) -> Result<Applied<Device>, Fault<DeviceError>> {
        let (_, _) = authorized.into_parts();
        let device = self.device.find(tx, DeviceRole::Operator)?;
        let sql = "UPDATE devices SET label = ?2 WHERE id = ?1";
        tx.prepare_cached(sql)?.execute([device.id.as_str(), &self.label])?;
        Ok(Applied::Changed(Device { label: self.label.clone(), ..device }))
    }
}

/// Ends all tokens of a device, and sets what its next ones carry. The device proves its key again and
/// goes on: nothing locks it out.
#[derive(Clone, Debug)]
pub struct RotateDevice {
    /// The device.
    pub device: DeviceRef,
    /// The role whose tokens end.
    pub role: DeviceRole,
    /// What the next tokens carry; `None` for what the present ones do.
    pub scopes: Option<ScopeSet>,
}

impl Ask for RotateDevice {
    type Method = method::RotateDevice;
    type Output = Device;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        let authority = self.device.authority(tx, self.role)?;
        // Carrying on hands out what is carried: that counts only for others, who must hold it.
        Ok(authority.granting(self.scopes.unwrap_or(ScopeSet::EMPTY)))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<Device>, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let device = self.device.find(tx, self.role)?;
        if device.revoked_at.is_some() {
            return Err(Fault::Domain(DeviceError::Revoked));
        }
        let baseline = match self.scopes {
            None => device.baseline,
            Some(wish) => device
                .baseline
                .rotate(wish, caller.grant())
                .map_err(|error| Fault::Domain(error.into()))?,
        };
        let sql = "UPDATE device_roles SET granted = ?3 WHERE device = ?1 AND role = ?2";
        let granted = stored(baseline.granted());
        tx.prepare_cached(sql)?.execute([device.id.as_str(), self.role.name(), &granted])?;
        grants::end(tx, &device.holder(), End::Replaced, now)?;
        let lost = device.baseline.granted().without(baseline.granted());
        if !lost.is_empty() {
            tokens::replace(tx, &device.holder(), now)?;
            request::narrow(tx, &device.id, lost, now)?;
        }
        reread(tx, &device)
    }
}

fn reread(tx: &Transaction<'_>, device: &Device) -> Result<Applied<Device>, Fault<DeviceError>> {
    let found = find(tx, &device.id, device.role)?;
    found.map(Applied::Changed).ok_or(Fault::Store(rusqlite::Error::QueryReturnedNoRows))
}

/// Withdraws a device's authority: its tokens, what waits for it, and what it handed out.
#[derive(Clone, Debug)]
pub struct RevokeDevice {
    /// The device.
    pub device: DeviceRef,
    /// The role that is withdrawn.
    pub role: DeviceRole,
}

impl Ask for RevokeDevice {
    type Method = method::RevokeDevice;
    type Output = Device;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        self.device.authority(tx, self.role)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<Device>, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let device = self.device.find(tx, self.role)?;
        if device.revoked_at.is_some() {
            return Ok(Applied::Unchanged(device));
        }
        withdraw(tx, &device, &caller.actor().to_string(), now)?;
        reread(tx, &device)
    }
}

/// Withdraws what a device holds, asked for and handed out.
fn withdraw(
    tx: &Transaction<'_>,
    device: &Device,
    by: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE device_roles SET approved = '', granted = '', revoked_at = ?2
               WHERE device = ?1 AND revoked_at IS NULL";
    tx.prepare_cached(sql)?.execute(params![device.id.as_str(), now.as_millis()])?;
    let holder = device.holder();
    request::reject_all(tx, Some(&device.id), by, now)?;
    invitations::withdraw(tx, Some(&holder), now)?;
    tokens::withdraw(tx, Some(&holder), now)?;
    grants::end(tx, &holder, End::Withdrawn, now)
}

/// Forgets a device. It has to pair again; what it owns stays, and stays its.
#[derive(Clone, Debug)]
pub struct RemoveDevice {
    /// The device.
    pub device: DeviceRef,
}

impl Ask for RemoveDevice {
    type Method = method::RemoveDevice;
    type Output = Device;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        self.device.authority(tx, DeviceRole::Operator)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<Device>, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let device = self.device.find(tx, DeviceRole::Operator)?;
        withdraw(tx, &device, &caller.actor().to_string(), now)?;
        tx.prepare_cached("DELETE FROM devices WHERE id = ?1")?.execute([device.id.as_str()])?;
        Ok(Applied::Changed(device))
    }
}

/// Withdraws everything that was handed out to anybody, in one step.
#[derive(Clone, Copy, Debug)]
pub struct RevokeAll;

/// How much was withdrawn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Revoked {
    /// Devices.
    pub devices: usize,
    /// API tokens.
    pub tokens: usize,
    /// Invitations.
    pub invitations: usize,
    /// Requests that were turned down.
    pub requests: usize,
}

impl Ask for RevokeAll {
    type Method = method::RevokeAll;
    type Output = Revoked;
    type Error = DeviceError;

    fn target(&self, _: &Transaction<'_>) -> Result<Whole, Fault<DeviceError>> {
        Ok(Whole)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<Revoked>, Fault<DeviceError>> {
        let (caller, Whole) = authorized.into_parts();
        let by = caller.actor().to_string();
        let revoked = revocable(tx, now)?;
        request::reject_all(tx, None, &by, now)?;
        tokens::withdraw(tx, None, now)?;
        invitations::withdraw(tx, None, now)?;
        let sql = "SELECT holder FROM grants WHERE ended_at IS NULL AND holder LIKE 'device:%'";
        let holders = tx
            .prepare_cached(sql)?
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        let sql = "UPDATE device_roles SET approved = '', granted = '', revoked_at = ?1
                   WHERE revoked_at IS NULL";
        tx.prepare_cached(sql)?.execute([now.as_millis()])?;
        for holder in &holders {
            let holder: GrantHolder = holder.parse().map_err(|error| damaged(0, error))?;
            grants::end(tx, &holder, End::Withdrawn, now)?;
        }
        Ok(Applied::Changed(revoked))
    }
}

/// Counts what is good at an instant: what has lapsed by then is not among it.
fn revocable(connection: &Connection, now: Timestamp) -> rusqlite::Result<Revoked> {
    let is_good = |token: &tokens::ApiToken| token.revoked_at.is_none() && now < token.expires_at;
    let devices = super::all(connection)?;
    Ok(Revoked {
        devices: devices.iter().filter(|device| device.revoked_at.is_none()).count(),
        tokens: tokens::all(connection)?.iter().filter(|token| is_good(token)).count(),
        invitations: invitations::open(connection, now)?.len(),
        requests: super::waiting(connection, None, now)?.len(),
    })
}
