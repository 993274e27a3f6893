//! Looking at devices and requests.

use openclaw_scopes::method::{ListDevices as ListMethod, WaitUpgrade};
use openclaw_scopes::target::{Authority, Listed};
use openclaw_scopes::{Authorized, DeviceRole, GrantHolder, PairingId, Principal, Timestamp};
use rusqlite::Connection;

use super::request::{self, PairingView};
use super::{Device, DeviceError, SELECT, find};
use crate::act::Query;
use crate::error::Fault;

/// Asks for devices and the requests that wait.
#[derive(Clone, Debug)]
pub struct ListDevices {
    /// Whose.
    pub listed: Listed,
    /// The present instant: what has lapsed waits no longer.
    pub now: Timestamp,
}

/// Devices, in the order in which they were approved, and requests that wait, the oldest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceList {
    /// The devices.
    pub devices: Vec<Device>,
    /// The requests.
    pub pending: Vec<PairingView>,
}

impl Query for ListDevices {
    type Method = ListMethod;
    type Output = DeviceList;
    type Error = DeviceError;

    fn target(&self, _: &Connection) -> Result<Listed, Fault<DeviceError>> {
        Ok(self.listed.clone())
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<DeviceList, Fault<DeviceError>> {
        let (caller, listed) = authorized.into_parts();
        let own = match (listed, caller.actor()) {
            (Listed::All, _) => None,
            (Listed::Own, Principal::Device { id, .. }) => Some(id),
            (Listed::Own, _) => return Err(Fault::Domain(DeviceError::NotADevice)),
        };
        let devices = match own {
            None => all(connection)?,
            Some(own) => find(connection, own, DeviceRole::Operator)?.into_iter().collect(),
        };
        Ok(DeviceList { devices, pending: request::waiting(connection, own, self.now)? })
    }
}

/// Returns every device.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Device>> {
    let sql = format!("{SELECT} ORDER BY d.created_at, d.id");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([], Device::from_row)?.collect()
}

/// Asks what became of a device's own request.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// The request.
    pub id: PairingId,
    /// The present instant.
    pub now: Timestamp,
}

impl Query for GetRequest {
    type Method = WaitUpgrade;
    type Output = PairingView;
    type Error = DeviceError;

    fn target(&self, _: &Connection) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::named(format!("request {}", self.id)))
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<WaitUpgrade>,
    ) -> Result<PairingView, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let unknown = || Fault::Domain(DeviceError::UnknownRequest(self.id.to_string()));
        let view = request::find(connection, &self.id, self.now)?.ok_or_else(unknown)?;
        // Somebody else's request is as unknown as one that is not there.
        let holder = GrantHolder::Device(view.pending.device.clone());
        if *caller.on_behalf_of() == holder { Ok(view) } else { Err(unknown()) }
    }
}
