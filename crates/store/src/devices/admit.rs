//! Letting a device in that proved its key, within what was approved for it.

use openclaw_pairing::Proven;
use openclaw_scopes::method::{ConnectDevice, RenewDevice as RenewMethod};
use openclaw_scopes::target::Authority;
use openclaw_scopes::{
    Authorized, DeviceId, DeviceRole, Grant, GrantHolder, Principal, ScopeSet, Timestamp,
};
use rusqlite::{Connection, params};

use super::{Device, DeviceError, find};
use crate::act::{Applied, Ask, Failures, Query, Transaction};
use crate::error::Fault;
use crate::grants;

/// Lets a device in. The gateway's doorkeeper asks, on nothing but the proof.
#[derive(Clone, Debug)]
pub struct AdmitDevice {
    /// The proof.
    pub proven: Proven,
    /// What the device calls itself.
    pub name: String,
    /// From where it connects.
    pub address: String,
}

/// What a device may do on the connection that it proved its key on.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The device as it stands.
    pub device: Device,
    /// What it may do: its wish, within what its tokens may carry.
    pub grant: Grant,
}

impl Ask for AdmitDevice {
    type Method = ConnectDevice;
    type Output = Admitted;
    type Error = DeviceError;

    // Anybody can make a key and try: that must not write a row each time.
    const FAILURES: Failures = Failures::Counted;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::of(GrantHolder::Device(self.proven.claim().device.clone())))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ConnectDevice>,
        now: Timestamp,
    ) -> Result<Applied<Admitted>, Fault<DeviceError>> {
        let (_, _) = authorized.into_parts();
        let claim = self.proven.claim();
        if claim.role == DeviceRole::Node {
            return Err(Fault::Domain(DeviceError::Node));
        }
        let device =
            find(tx, &claim.device, claim.role)?.ok_or(Fault::Domain(DeviceError::NotPaired))?;
        if device.revoked_at.is_some() {
            return Err(Fault::Domain(DeviceError::Revoked));
        }
        let grant = grant(tx, &claim.device, claim.wish)?;
        let sql =
            "UPDATE devices SET last_used_at = ?2, last_address = ?3, name = ?4 WHERE id = ?1";
        tx.prepare_cached(sql)?.execute(params![
            device.id.as_str(),
            now.as_millis(),
            self.address,
            self.name
        ])?;
        Ok(Applied::Changed(Admitted { device, grant }))
    }
}

/// Returns the grant that tokens of a device carry now, within a wish.
fn grant(
    connection: &Connection,
    id: &DeviceId,
    wish: ScopeSet,
) -> Result<Grant, Fault<DeviceError>> {
    let holder = GrantHolder::Device(id.clone());
    let (epoch, scopes) =
        grants::live(connection, &holder)?.ok_or(Fault::Domain(DeviceError::Revoked))?;
    Ok(Grant::recorded(holder, epoch, scopes, wish))
}

/// Asks for what a device's next token on the same connection carries.
#[derive(Clone, Copy, Debug)]
pub struct RenewDevice;

impl Query for RenewDevice {
    type Method = RenewMethod;
    type Output = Admitted;
    type Error = DeviceError;

    fn target(&self, _: &Connection) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::named("own access token"))
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<RenewMethod>,
    ) -> Result<Admitted, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let Principal::Device { id, role } = caller.actor() else {
            return Err(Fault::Domain(DeviceError::NotADevice));
        };
        let device = find(connection, id, *role)?.ok_or(Fault::Domain(DeviceError::NotPaired))?;
        // What the connection wished for is not known any more but as what it got; a wider grant takes
        // another proof.
        let grant = grant(connection, id, caller.grant().scopes())?;
        Ok(Admitted { device, grant })
    }
}
