//! Who may do what now, and where each part of it comes from.

use openclaw_scopes::method;
use openclaw_scopes::target::{Subject, Whole};
use openclaw_scopes::{
    Authorized, Caller, DeviceRole, Epoch, GrantHolder, Principal, ScopeSet, Timestamp,
};
use rusqlite::Connection;

use crate::act::{ActError, Query};
use crate::devices::{self, Device, DeviceError, DeviceRef, PairingView, Provenance};
use crate::error::Fault;
use crate::grants;
use crate::handle::Store;
use crate::invitations::{self, Invitation};
use crate::tokens::{self, ApiToken};

/// About whose authority somebody asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whose {
    /// A device's.
    Device(DeviceRef),
    /// The owner's.
    Owner,
    /// One's own.
    Own,
    /// An API token's, by id or name.
    Token(String),
}

/// Asks what a principal may do now.
#[derive(Clone, Debug)]
pub struct ShowAccess(pub Whose);

/// What a principal may do now.
#[derive(Clone, Debug)]
pub struct Held {
    /// The holder of the grant.
    pub holder: GrantHolder,
    /// What it may do: nothing when it has no grant.
    pub effective: ScopeSet,
    /// Since which epoch; `None` when it has no grant.
    pub epoch: Option<Epoch>,
    /// The device, if it is one.
    pub device: Option<Device>,
    /// What was approved for the device since it was last paired, the oldest first.
    pub approvals: Vec<(ScopeSet, Provenance)>,
    /// The token, if it is one.
    pub token: Option<ApiToken>,
}

impl Query for ShowAccess {
    type Method = method::ShowAccess;
    type Output = Held;
    type Error = DeviceError;

    fn target(&self, _: &Connection) -> Result<Subject, Fault<DeviceError>> {
        Ok(match &self.0 {
            Whose::Own => Subject::Itself,
            Whose::Device(_) => Subject::Other("a device".into()),
            Whose::Owner => Subject::Other("owner".into()),
            Whose::Token(name) => Subject::Other(format!("token {name}").into()),
        })
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<Self::Method>,
    ) -> Result<Held, Fault<DeviceError>> {
        let (caller, _) = authorized.into_parts();
        held(connection, &caller, &self.0)
    }
}

fn held(
    connection: &Connection,
    caller: &Caller,
    whose: &Whose,
) -> Result<Held, Fault<DeviceError>> {
    let holder = match whose {
        Whose::Own => caller.on_behalf_of().clone(),
        Whose::Owner => GrantHolder::Owner,
        Whose::Device(name) => name.find(connection, DeviceRole::Operator)?.holder(),
        Whose::Token(name) => tokens::find(connection, name)?
            .ok_or_else(|| Fault::Domain(DeviceError::UnknownToken(name.clone())))?
            .holder(),
    };
    let device = match &holder {
        GrantHolder::Device(id) => devices::find(connection, id, DeviceRole::Operator)?,
        GrantHolder::Gateway
        | GrantHolder::Hook(_)
        | GrantHolder::Owner
        | GrantHolder::Plugin(_)
        | GrantHolder::Sender(_)
        | GrantHolder::Token(_) => None,
    };
    let approvals = match &device {
        Some(device) => devices::approvals(connection, device)?,
        None => Vec::new(),
    };
    let token = match &holder {
        GrantHolder::Token(id) => tokens::find(connection, id.as_str())?,
        GrantHolder::Device(_)
        | GrantHolder::Gateway
        | GrantHolder::Hook(_)
        | GrantHolder::Owner
        | GrantHolder::Plugin(_)
        | GrantHolder::Sender(_) => None,
    };
    let live = grants::live(connection, &holder)?;
    let (epoch, effective) =
        live.map_or((None, ScopeSet::EMPTY), |(epoch, scopes)| (Some(epoch), scopes));
    // About oneself: this connection, which may be narrower than the grant.
    let is_own = *whose == Whose::Own && !matches!(caller.actor(), Principal::Run { .. });
    let effective = if is_own { caller.grant().scopes() } else { effective };
    Ok(Held { holder, effective, epoch, device, approvals, token })
}

impl Store {
    /// Returns what a principal may do now, for work that is authorized already.
    ///
    /// # Errors
    /// When there is no such principal, or the storage fails.
    pub fn held(&self, caller: &Caller, whose: &Whose) -> Result<Held, ActError<DeviceError>> {
        let read = self.snapshot(|connection| match held(connection, caller, whose) {
            Ok(held) => Ok(Ok(held)),
            Err(Fault::Domain(error)) => Ok(Err(error)),
            Err(Fault::Store(error)) => Err(error.into()),
        });
        read?.map_err(ActError::Failed)
    }
}

/// Everything that was handed out, for whoever looks for what weakens the gateway.
#[derive(Clone, Debug)]
pub struct AccessFacts {
    /// The devices.
    pub devices: Vec<Device>,
    /// The requests that wait.
    pub pending: Vec<PairingView>,
    /// The tokens.
    pub tokens: Vec<ApiToken>,
    /// The invitations that are good.
    pub invitations: Vec<Invitation>,
}

/// Asks for [`AccessFacts`] as of an instant.
#[derive(Clone, Copy, Debug)]
pub struct ReadFacts(pub Timestamp);

impl Query for ReadFacts {
    type Method = method::AuditSecurity;
    type Output = AccessFacts;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<Self::Method>,
    ) -> Result<AccessFacts, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        Ok(AccessFacts {
            devices: devices::all(connection)?,
            pending: devices::waiting(connection, None, self.0)?,
            tokens: tokens::all(connection)?,
            invitations: invitations::open(connection, self.0)?,
        })
    }
}
