//! Invitations: made once, redeemed once, never more than whoever made them.

use openclaw_pairing::{Baseline, Hashed, Kind, Pending, Proven, State};
use openclaw_scopes::method::{
    InviteDevice, ListInvitations as ListMethod, RedeemInvitation as RedeemMethod,
    RevokeInvitation as RevokeMethod,
};
use openclaw_scopes::target::{Authority, Whole};
use openclaw_scopes::{
    Authorized, DeviceId, DeviceRole, GrantHolder, InvitationId, PairingId, Scope, ScopeSet,
    Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{Applied, Ask, Failures, Query, Transaction};
use crate::devices::{self, DeviceError, PairingView, Via};
use crate::error::{Fault, damaged};
use crate::grants::{self, scopes, stored};

/// An invitation as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// What is in it.
    pub scopes: ScopeSet,
    /// The holder of the grant that it was made from.
    pub issuer: GrantHolder,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// Who redeemed it.
    pub redeemed_by: Option<DeviceId>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

const SELECT: &str =
    "SELECT id, scopes, issuer, created_at, expires_at, redeemed_by, revoked_at FROM invitations";

impl Invitation {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let redeemed: Option<String> = row.get(5)?;
        Ok(Self {
            id: text(0)?.parse().map_err(|error| damaged(0, error))?,
            scopes: scopes(1, &text(1)?)?,
            issuer: text(2)?.parse().map_err(|error| damaged(2, error))?,
            created_at: Timestamp::from_millis(row.get(3)?),
            expires_at: Timestamp::from_millis(row.get(4)?),
            redeemed_by: redeemed
                .map(|id| id.parse())
                .transpose()
                .map_err(|error| damaged(5, error))?,
            revoked_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        })
    }
}

/// Makes an invitation.
#[derive(Clone, Debug)]
pub struct CreateInvitation {
    /// Its id.
    pub id: InvitationId,
    /// The keyed hash of its secret.
    pub hash: Hashed,
    /// What is in it.
    pub scopes: ScopeSet,
    /// When it lapses.
    pub expires_at: Timestamp,
}

impl Ask for CreateInvitation {
    type Method = InviteDevice;
    type Output = Invitation;
    type Error = DeviceError;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        Ok(Authority::named(format!("invitation {}", self.id)).granting(self.scopes))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<InviteDevice>,
        now: Timestamp,
    ) -> Result<Applied<Invitation>, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        let issuer = caller.on_behalf_of().clone();
        let sql =
            "INSERT INTO invitations (id, hash, scopes, issuer, issued_by, created_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        tx.prepare_cached(sql)?.execute(params![
            self.id.as_str(),
            self.hash.0,
            stored(self.scopes),
            issuer.to_string(),
            caller.actor().to_string(),
            now.as_millis(),
            self.expires_at.as_millis(),
        ])?;
        Ok(Applied::Changed(Invitation {
            id: self.id.clone(),
            scopes: self.scopes,
            issuer,
            created_at: now,
            expires_at: self.expires_at,
            redeemed_by: None,
            revoked_at: None,
        }))
    }
}

/// Redeems an invitation: the first key that shows its secret is paired. The gateway's doorkeeper asks,
/// on nothing but the proof and the secret.
#[derive(Clone, Debug)]
pub struct RedeemInvitation {
    /// The keyed hash of the secret that was shown.
    pub hash: Hashed,
    /// The proof of the device's key.
    pub proven: Proven,
    /// What the device calls itself.
    pub name: String,
    /// From where it connects.
    pub address: String,
}

impl Ask for RedeemInvitation {
    type Method = RedeemMethod;
    type Output = ();
    type Error = DeviceError;

    const FAILURES: Failures = Failures::Counted;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        let authority = Authority::of(GrantHolder::Device(self.proven.claim().device.clone()));
        let id: Option<String> = tx
            .prepare_cached("SELECT id FROM invitations WHERE hash = ?1")?
            .query_row([self.hash.0], |row| row.get(0))
            .optional()?;
        let Some(id) = id else { return Ok(authority) };
        // Through which one a device came in is what is asked of the log afterwards.
        let name = format!("{} through invitation {id}", authority.name).into();
        Ok(Authority { name, ..authority })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RedeemMethod>,
        now: Timestamp,
    ) -> Result<Applied<()>, Fault<DeviceError>> {
        let (_, _) = authorized.into_parts();
        let claim = self.proven.claim();
        if claim.role == DeviceRole::Node {
            return Err(Fault::Domain(DeviceError::Node));
        }
        // Unknown, used, withdrawn and expired have one answer.
        let refused = || Fault::Domain(DeviceError::Invitation);
        let sql = format!("{SELECT} WHERE hash = ?1");
        let found = tx
            .prepare_cached(&sql)?
            .query_row([self.hash.0], Invitation::from_row)
            .optional()?
            .ok_or_else(refused)?;
        if found.redeemed_by.as_ref() == Some(&claim.device) && found.revoked_at.is_none() {
            // The same key again: its answer may have been lost. Nothing is approved twice.
            return Ok(Applied::Unchanged(()));
        }
        if found.redeemed_by.is_some() || found.revoked_at.is_some() || now >= found.expires_at {
            return Err(refused());
        }
        // Whoever made it must hold what is in it still, and what it takes to hand that out.
        //= docs/threat-model.md#T31
        let (_, bound) = grants::live(tx, &found.issuer)?.ok_or_else(refused)?;
        if !found.scopes.with(Scope::Pairing).closed().is_subset(bound) {
            return Err(refused());
        }
        let known = devices::find_live(tx, &claim.device)?;
        let baseline = known.map_or(Baseline::NONE, |known| known.baseline);
        let id = PairingId::parse(found.id.as_str()).map_err(|error| damaged(0, error))?;
        let (kind, role) = (Kind::NotPaired, claim.role);
        let view = PairingView {
            pending: Pending::new(id, claim.device.clone(), kind, role, found.scopes, now),
            public_key: self.proven.public_key(),
            held: baseline.approved(),
            name: self.name.clone(),
            address: self.address.clone(),
            state: State::Approved,
            decided_at: Some(now),
            decided_by: found.issuer.to_string(),
            granted: found.scopes,
        };
        let by = found.issuer.to_string();
        let after = baseline.admit(found.scopes);
        devices::admit(tx, &view, after, (found.scopes, &by, Via::Invitation), now)?;
        let sql = "UPDATE invitations SET redeemed_at = ?2, redeemed_by = ?3 WHERE id = ?1";
        let values = params![found.id.as_str(), now.as_millis(), claim.device.as_str()];
        tx.prepare_cached(sql)?.execute(values)?;
        Ok(Applied::Changed(()))
    }
}

/// Asks for the invitations that are open at an instant, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListInvitations(pub Timestamp);

impl Query for ListInvitations {
    type Method = ListMethod;
    type Output = Vec<Invitation>;
    type Error = DeviceError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<DeviceError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<Vec<Invitation>, Fault<DeviceError>> {
        let (_, Whole) = authorized.into_parts();
        Ok(open(connection, self.0)?)
    }
}

/// Withdraws an invitation that nobody has used.
#[derive(Clone, Debug)]
pub struct RevokeInvitation(pub InvitationId);

impl Ask for RevokeInvitation {
    type Method = RevokeMethod;
    type Output = Invitation;
    type Error = DeviceError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<DeviceError>> {
        let scopes = find(tx, &self.0)?.map_or(ScopeSet::EMPTY, |found| found.scopes);
        Ok(Authority::named(format!("invitation {}", self.0)).holding(scopes))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RevokeMethod>,
        now: Timestamp,
    ) -> Result<Applied<Invitation>, Fault<DeviceError>> {
        let (_, _) = authorized.into_parts();
        let unknown = || Fault::Domain(DeviceError::UnknownInvitation(self.0.to_string()));
        let found = find(tx, &self.0)?.ok_or_else(unknown)?;
        if found.revoked_at.is_some() {
            return Ok(Applied::Unchanged(found));
        }
        if found.redeemed_by.is_some() || now >= found.expires_at {
            return Err(unknown());
        }
        let sql = "UPDATE invitations SET revoked_at = ?2 WHERE id = ?1";
        tx.prepare_cached(sql)?.execute(params![self.0.as_str(), now.as_millis()])?;
        Ok(Applied::Changed(Invitation { revoked_at: Some(now), ..found }))
    }
}

fn find(connection: &Connection, id: &InvitationId) -> rusqlite::Result<Option<Invitation>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([id.as_str()], Invitation::from_row).optional()
}

/// Withdraws the invitations of an issuer that are still good, or of all.
pub(crate) fn withdraw(
    connection: &Connection,
    issuer: Option<&GrantHolder>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE invitations SET revoked_at = ?2 WHERE revoked_at IS NULL
               AND redeemed_at IS NULL AND expires_at > ?2 AND (?1 IS NULL OR issuer = ?1)";
    let issuer = issuer.map(ToString::to_string);
    connection.prepare_cached(sql)?.execute(params![issuer, now.as_millis()])?;
    Ok(())
}

/// Returns the invitations that are still good.
pub(crate) fn open(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Invitation>> {
    let sql = format!(
        "{SELECT} WHERE revoked_at IS NULL AND redeemed_at IS NULL AND expires_at > ?1
         ORDER BY created_at, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([now.as_millis()], Invitation::from_row)?.collect()
}
