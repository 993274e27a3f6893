//! Granting requests and turning them down: once, and what was looked at.

use openclaw_pairing::{ApproveError, Baseline, Kind, State};
use openclaw_scopes::method::{ApproveDevice, RejectDevice};
use openclaw_scopes::target::Authority;
use openclaw_scopes::{Authorized, GrantHolder, PairingId, ScopeSet, Timestamp};
use rusqlite::{Connection, params};

use super::request::{self, PairingView};
use super::{Device, DeviceError, Via, find};
use crate::act::{Applied, Ask, Transaction};
use crate::error::Fault;
use crate::grants::{self, stored};

/// Loads what the rules look at; whether there is such a request is told to nobody who may not ask.
fn authority(tx: &Transaction<'_>, id: &PairingId) -> Result<Authority, Fault<DeviceError>> {
    Ok(match request::find(tx, id, Timestamp::default())? {
        Some(view) => {
            let holder = GrantHolder::Device(view.pending.device);
            let name = format!("request {id} of {holder}").into();
            Authority { name, ..Authority::of(holder) }
        }
        None => Authority::named(format!("request {id}")),
    })
}

/// Grants a request, or a part of it.
#[derive(Clone, Debug)]
pub struct ApproveRequest {
    /// The request.
    pub id: PairingId,
    /// The revision that was looked at.
    pub revision: u32,
    /// What is granted.
    pub scopes: ScopeSet,
}

impl Ask for ApproveRequest {
    type Method = ApproveDevice;
    type Output = Device;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        Ok(authority(tx, &self.id)?.granting(self.scopes))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ApproveDevice>,
        now: Timestamp,
    ) -> Result<Applied<Device>, Fault<DeviceError>> {
        let view = request::find(tx, &self.id, now)?
            .ok_or_else(|| Fault::Domain(DeviceError::UnknownRequest(self.id.to_string())))?;
        let (device, role) = (view.pending.device.clone(), view.pending.role);
        match view.state {
            State::Pending => {}
            State::Expired => return Err(Fault::Domain(ApproveError::Expired.into())),
            State::Rejected => return Err(Fault::Domain(DeviceError::Decided("rejected"))),
            State::Approved => {
                let is_same = view.pending.wish.revision == self.revision
                    && view.granted.closed() == self.scopes.closed();
                let known = find(tx, &device, role)?.filter(|_| is_same);
                let known = known.ok_or(Fault::Domain(DeviceError::Decided("approved")))?;
                return Ok(Applied::Unchanged(known));
            }
        }
        let known = find(tx, &device, role)?.filter(|known| known.revoked_at.is_none());
        let baseline = match (view.pending.kind, &known) {
            (Kind::ScopeUpgrade | Kind::RoleUpgrade, Some(known)) => known.baseline,
            // Paired anew: nothing of an earlier approval comes back.
            (Kind::NotPaired, None) => Baseline::NONE,
            // It was withdrawn, or paired otherwise, since the request was filed.
            (Kind::NotPaired, Some(_)) | (Kind::ScopeUpgrade | Kind::RoleUpgrade, None) => {
                return Err(Fault::Domain(DeviceError::Decided("void")));
            }
        };
        let approved = view
            .pending
            .clone()
            .approve(authorized, self.revision, baseline.granted(), now)
            .map_err(|error| Fault::Domain(error.into()))?;
        let by = approved.approved_by().to_string();
        let after = baseline.admit(approved.granted());
        admit(tx, &view, after, (approved.granted(), &by, Via::Request), now)?;
        request::decide(tx, &self.id, State::Approved, &by, approved.granted(), now)?;
        let admitted = find(tx, &device, role)?;
        admitted.map(Applied::Changed).ok_or(Fault::Store(rusqlite::Error::QueryReturnedNoRows))
    }
}

/// Writes a device that was approved, with its grant: for what, by whom, and through what the view names.
/// What adds nothing to what was approved before changes nothing of who approved that.
pub(crate) fn admit(
    connection: &Connection,
    view: &PairingView,
    baseline: Baseline,
    (scopes, by, via): (ScopeSet, &str, Via),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let id = &view.pending.device;
    let role = view.pending.role.name();
    let before = find(connection, id, view.pending.role)?;
    let before = before.filter(|device| device.revoked_at.is_none()).map(|device| device.baseline);
    if before == Some(baseline) {
        let sql = "UPDATE devices SET name = ?2 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![id.as_str(), view.name])?;
        return Ok(());
    }
    let holder = GrantHolder::Device(id.clone());
    grants::begin(connection, &holder)?;
    let sql = "INSERT INTO devices (id, holder, public_key, name, created_at, last_address)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET name = ?4";
    connection.prepare_cached(sql)?.execute(params![
        id.as_str(),
        holder.to_string(),
        view.public_key.0,
        view.name,
        now.as_millis(),
        view.address,
    ])?;
    let sql = "INSERT INTO device_roles VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)
               ON CONFLICT (device, role) DO UPDATE SET approved = ?3, granted = ?4,
                   approved_by = ?5, approved_at = ?6, via = ?7, via_id = ?8, revoked_at = NULL";
    connection.prepare_cached(sql)?.execute(params![
        id.as_str(),
        role,
        stored(baseline.approved()),
        stored(baseline.granted()),
        by,
        now.as_millis(),
        via.name(),
        view.pending.id.as_str(),
    ])?;
    if before.is_none() {
        // Paired anew: nothing of an earlier approval counts any more.
        let sql = "DELETE FROM approvals WHERE device = ?1 AND role = ?2";
        connection.prepare_cached(sql)?.execute([id.as_str(), role])?;
    }
    let sql = "INSERT INTO approvals (device, role, number, scopes, approved_by, approved_at, via,
                   via_id)
               SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5, ?6, ?7 FROM approvals
               WHERE device = ?1 AND role = ?2";
    connection.prepare_cached(sql)?.execute(params![
        id.as_str(),
        role,
        stored(scopes),
        by,
        now.as_millis(),
        via.name(),
        view.pending.id.as_str(),
    ])?;
    Ok(())
}

/// Turns a request down.
#[derive(Clone, Debug)]
pub struct RejectRequest {
    /// The request.
    pub id: PairingId,
    /// The revision that was looked at, if it matters.
    pub revision: Option<u32>,
}

impl Ask for RejectRequest {
    type Method = RejectDevice;
    type Output = PairingView;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        authority(tx, &self.id)
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RejectDevice>,
        now: Timestamp,
    ) -> Result<Applied<PairingView>, Fault<DeviceError>> {
        let unknown = || Fault::Domain(DeviceError::UnknownRequest(self.id.to_string()));
        let view = request::find(tx, &self.id, now)?.ok_or_else(unknown)?;
        match view.state {
            State::Pending => {}
            State::Rejected => return Ok(Applied::Unchanged(view)),
            State::Expired => return Err(Fault::Domain(ApproveError::Expired.into())),
            State::Approved => return Err(Fault::Domain(DeviceError::Decided("approved"))),
        }
        let current = view.pending.wish.revision;
        if self.revision.is_some_and(|looked_at| looked_at != current) {
            return Err(Fault::Domain(ApproveError::Stale { current }.into()));
        }
        let rejected =
            view.pending.reject(authorized).map_err(|error| Fault::Domain(error.into()))?;
        let by = rejected.rejected_by.to_string();
        request::decide(tx, &self.id, State::Rejected, &by, ScopeSet::EMPTY, now)?;
        request::find(tx, &self.id, now)?.map(Applied::Changed).ok_or_else(unknown)
    }
}
