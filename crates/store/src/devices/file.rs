//! Filing requests: one of a kind for each device, with an id that stays.

use std::time::Duration;

use openclaw_pairing::{Asked, Baseline, Kind, Pending, PublicKey, State};
use openclaw_scopes::method::{FileRequest as FileMethod, RequestUpgrade as UpgradeMethod};
use openclaw_scopes::target::Authority;
use openclaw_scopes::{
    Authorized, DeviceId, DeviceRole, GrantHolder, PairingId, Principal, ScopeSet, Timestamp,
};
use rusqlite::{Connection, params};

use super::request::{self, PairingView};
use super::{Device, DeviceError, find};
use crate::act::{Applied, Ask, Failures, Transaction};
use crate::error::Fault;

/// Requests of devices that were never approved that wait at most, in all and from one address: what a
/// person can look through, and so that one stranger leaves room for others.
//= docs/threat-model.md#T29
const MAX_STRANGERS: u32 = 64;
const MAX_FROM_ONE_ADDRESS: u32 = 8;
/// How often a device that was never approved may change what it asks for while its request waits: a
/// person corrects a wish now and then, and does not look through more.
const MAX_REVISIONS: u32 = 64;
/// How long a decided request is kept, for whoever wants to know what was asked.
const KEPT: Duration = Duration::from_hours(24 * 30);

/// Files what a device asks for beyond what was approved, or finds it again. The gateway's doorkeeper
/// asks, for a device that proved its key.
#[derive(Clone, Debug)]
pub struct FileRequest {
    /// The id of the request if it is a new one.
    pub fresh: PairingId,
    /// Who asks.
    pub device: DeviceId,
    /// Its key.
    pub public_key: PublicKey,
    /// In which role.
    pub role: DeviceRole,
    /// What for.
    pub wish: ScopeSet,
    /// What the device calls itself.
    pub name: String,
    /// From where it asks, without a port.
    pub address: String,
}

/// What came of filing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filed {
    /// The request as it stands.
    pub view: PairingView,
    /// Whether this is a request that nobody has seen yet, in this revision.
    pub novelty: Novelty,
}

/// Whether a request was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Novelty {
    /// It waited already, with another wish.
    Changed,
    /// It waited already.
    Found,
    /// It is new.
    New,
}

impl Ask for FileRequest {
    type Method = FileMethod;
    type Output = Filed;
    type Error = DeviceError;

    const FAILURES: Failures = Failures::Counted;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::of(GrantHolder::Device(self.device.clone())))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<FileMethod>,
        now: Timestamp,
    ) -> Result<Applied<Filed>, Fault<DeviceError>> {
        let (_, _) = authorized.into_parts();
        file(tx, self, now)
    }
}

/// Asks for more, as a device that is connected.
#[derive(Clone, Debug)]
pub struct RequestUpgrade {
    /// The id of the request if it is a new one.
    pub fresh: PairingId,
    /// What is wanted beside what is approved.
    pub scopes: ScopeSet,
    /// From where it asks, without a port.
    pub address: String,
}

impl Ask for RequestUpgrade {
    type Method = UpgradeMethod;
    type Output = Filed;
    type Error = DeviceError;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::named("own access"))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<UpgradeMethod>,
        now: Timestamp,
    ) -> Result<Applied<Filed>, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let Principal::Device { id, role } = caller.actor() else {
            return Err(Fault::Domain(DeviceError::NotADevice));
        };
        let device = find(tx, id, *role)?.ok_or(Fault::Domain(DeviceError::NotPaired))?;
        let ask = FileRequest {
            fresh: self.fresh.clone(),
            device: device.id.clone(),
            public_key: device.public_key,
            role: *role,
            wish: self.scopes,
            name: device.name,
            address: self.address.clone(),
        };
        file(tx, &ask, now)
    }
}

fn file(
    connection: &Connection,
    ask: &FileRequest,
    now: Timestamp,
) -> Result<Applied<Filed>, Fault<DeviceError>> {
    if ask.role == DeviceRole::Node {
        return Err(Fault::Domain(DeviceError::Node));
    }
    expire(connection, now)?;
    let device = find(connection, &ask.device, ask.role)?;
    let live = device.filter(|device: &Device| device.revoked_at.is_none());
    let kind = if live.is_some() { Kind::ScopeUpgrade } else { Kind::NotPaired };
    let baseline = live.map_or(Baseline::NONE, |device| device.baseline);
    let held = baseline.approved();
    // What a rotation took is not asked for again, alone or among others: it is no matter of approving.
    let taken = held.without(baseline.granted());
    let is_taken = ask.wish.iter().any(|scope| taken.contains(scope));
    if is_taken || ask.wish.closed().is_subset(held) {
        return Err(Fault::Domain(already(&ask.device, baseline, ask.wish)));
    }
    // The whole that the device would have afterwards: what people are shown is what they get. What a
    // rotation took is not in it, unless it is asked for.
    let wish = baseline.granted().union(ask.wish).closed();
    match request::newest(connection, &ask.device, kind, now)? {
        Some(view) if view.state == State::Pending => again(connection, view, ask, wish, now),
        // Asking again does not wear out a decision while the request would have been good; whoever was
        // never approved does not get another one by asking for something else.
        Some(view)
            if view.state == State::Rejected
                && (kind == Kind::NotPaired || view.pending.wish.scopes.closed() == wish)
                && !view.pending.has_lapsed(now) =>
        {
            Err(Fault::Domain(DeviceError::Rejected))
        }
        Some(_) | None => {
            if kind == Kind::NotPaired {
                bounded(connection, &ask.address)?;
            }
            let pending =
                Pending::new(ask.fresh.clone(), ask.device.clone(), kind, ask.role, wish, now);
            let view = PairingView {
                pending,
                public_key: ask.public_key,
                held,
                name: ask.name.clone(),
                address: ask.address.clone(),
                state: State::Pending,
                decided_at: None,
                decided_by: String::new(),
                granted: ScopeSet::EMPTY,
            };
            request::insert(connection, &view)?;
            Ok(Applied::Changed(Filed { view, novelty: Novelty::New }))
        }
    }
}

/// There is nothing to approve: the device may it already, or a rotation took it and another gives it back.
fn already(device: &DeviceId, baseline: Baseline, wish: ScopeSet) -> DeviceError {
    if wish.closed().is_subset(baseline.granted()) {
        return DeviceError::AlreadyApproved(wish.reduced());
    }
    DeviceError::RotatedAway {
        device: device.clone(),
        taken: baseline.approved().attenuate(wish).without(baseline.granted()).reduced(),
        whole: baseline.granted().union(baseline.approved().attenuate(wish)).reduced(),
    }
}

/// Asks for the same again, or replaces what was asked for.
fn again(
    connection: &Connection,
    view: PairingView,
    ask: &FileRequest,
    wish: ScopeSet,
    now: Timestamp,
) -> Result<Applied<Filed>, Fault<DeviceError>> {
    match view.pending.clone().ask(wish, now) {
        Asked::Same(_) => Ok(Applied::Unchanged(Filed { view, novelty: Novelty::Found })),
        // Each change is a row of the log, and whoever was never approved costs nothing to make.
        Asked::Changed(pending)
            if pending.kind == Kind::NotPaired && pending.wish.revision > MAX_REVISIONS =>
        {
            Err(Fault::Domain(DeviceError::TooMany))
        }
        Asked::Changed(pending) => {
            let (name, address) = (ask.name.clone(), ask.address.clone());
            let view = PairingView { pending, name, address, ..view };
            request::change(connection, &view)?;
            Ok(Applied::Changed(Filed { view, novelty: Novelty::Changed }))
        }
    }
}

/// Ends requests that nobody decided in time, and forgets those that were decided long ago.
pub(crate) fn expire(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let lapsed = now.saturating_sub(Pending::LIFETIME).as_millis();
    let sql = "UPDATE pairing_requests SET state = 'expired', decided_at = ?2
               WHERE state = 'pending' AND created_at <= ?1";
    connection.prepare_cached(sql)?.execute(params![lapsed, now.as_millis()])?;
    let forgotten = now.saturating_sub(KEPT).as_millis();
    let sql = "DELETE FROM pairing_requests WHERE state <> 'pending' AND created_at <= ?1";
    connection.prepare_cached(sql)?.execute([forgotten])?;
    Ok(())
}

fn bounded(connection: &Connection, address: &str) -> Result<(), Fault<DeviceError>> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE address = ?1) FROM pairing_requests
               WHERE state = 'pending' AND kind = 'not-paired'";
    let (all, from_here): (u32, u32) = connection
        .prepare_cached(sql)?
        .query_row([address], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if all >= MAX_STRANGERS || from_here >= MAX_FROM_ONE_ADDRESS {
        return Err(Fault::Domain(DeviceError::TooMany));
    }
    Ok(())
}
