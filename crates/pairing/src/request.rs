//! The life of a request: asked for, changed, decided once, or lapsed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use openclaw_scopes::method::{ApproveDevice, RejectDevice};
use openclaw_scopes::{
    Authorized, DeviceId, DeviceRole, Epoch, Grant, GrantHolder, PairingId, Principal, ScopeSet,
    Timestamp,
};

/// Former wishes that are kept at most; the oldest go first.
const MAX_HISTORY: usize = 16;

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// The device was never approved, or not any more.
    NotPaired,
    /// It was approved, but not in this role.
    RoleUpgrade,
    /// It wants more scopes than were approved.
    ScopeUpgrade,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::NotPaired, Self::RoleUpgrade, Self::ScopeUpgrade];

    /// Returns the name that errors, logs and the database use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::RoleUpgrade => "role-upgrade",
            Self::ScopeUpgrade => "scope-upgrade",
        }
    }

    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

/// Where a request is in its life, without its data.
///
/// ```text
///             ask (same wish: unchanged; other wish: next revision)
///            ┌──┐
///            ▼  │
/// ───ask──▶ Pending ── approve ──▶ Approved
///              ├────── reject ───▶ Rejected
///              └────── lapse ────▶ Expired
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Granted, as a whole or in part. Terminal.
    Approved,
    /// Nobody decided in time. Terminal.
    Expired,
    /// Waits for a decision.
    Pending,
    /// Turned down. Terminal.
    Rejected,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Approved, Self::Expired, Self::Pending, Self::Rejected];

    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
        }
    }

    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == text)
    }
}

/// What was asked for at some revision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The revision, from 1.
    pub revision: u32,
    /// The scopes.
    pub scopes: ScopeSet,
    /// When.
    pub at: Timestamp,
}

/// A request that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pending {
    /// Its id, the same on every retry.
    pub id: PairingId,
    /// Who asks.
    pub device: DeviceId,
    /// What it is about.
    pub kind: Kind,
    /// In which role.
    pub role: DeviceRole,
    /// What is asked for now.
    pub wish: Wish,
    /// What was asked for before, the oldest first.
    pub history: Vec<Wish>,
    /// When it was filed.
    pub created_at: Timestamp,
}

/// What came of asking again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// The wish is another one: it replaces the former, and approvals of that are stale.
    Changed(Pending),
    /// It is the same request as before.
    Same(Pending),
}

impl Pending {
    /// How long a request waits, counted from its first filing: a retry does not make it younger.
    pub const LIFETIME: Duration = Duration::from_secs(3600);

    /// Files a request.
    pub const fn new(
        id: PairingId,
        device: DeviceId,
        kind: Kind,
        role: DeviceRole,
        scopes: ScopeSet,
        now: Timestamp,
    ) -> Self {
        let wish = Wish { revision: 1, scopes, at: now };
        Self { id, device, kind, role, wish, history: Vec::new(), created_at: now }
    }

    /// Returns when it lapses.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.saturating_add(Self::LIFETIME)
    }

    /// Tells whether nobody has decided in time.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        now >= self.expires_at()
    }

    /// Asks again. Another wish *replaces* the former one: never a silent union.
    #[must_use]
    pub fn ask(mut self, scopes: ScopeSet, now: Timestamp) -> Asked {
        if self.wish.scopes.closed() == scopes.closed() {
            return Asked::Same(self);
        }
        let next = Wish { revision: self.wish.revision.saturating_add(1), scopes, at: now };
        self.history.push(std::mem::replace(&mut self.wish, next));
        let surplus = self.history.len().saturating_sub(MAX_HISTORY);
        self.history.drain(..surplus);
        Asked::Changed(self)
    }

    /// Grants what is asked for, or the part of it that the witness names, to a device whose tokens carry
    /// `held` already.
    ///
    /// Consumes both request and witness: neither can be used twice.
    ///
    /// # Errors
    /// When the request has changed since it was looked at or has lapsed, or the part is none of it or
    /// adds nothing: whoever waits would be told that it was granted.
    //= docs/threat-model.md#T31
    pub fn approve(
        self,
        authorized: Authorized<ApproveDevice>,
        revision: u32,
        held: ScopeSet,
        now: Timestamp,
    ) -> Result<Approved, ApproveError> {
        let (approver, target) = authorized.into_parts();
        let holder = GrantHolder::Device(self.device.clone());
        if target.holder.as_ref() != Some(&holder) {
            return Err(ApproveError::OtherDevice);
        }
        if self.has_lapsed(now) {
            return Err(ApproveError::Expired);
        }
        if revision != self.wish.revision {
            return Err(ApproveError::Stale { current: self.wish.revision });
        }
        // Absence is denial: an approval of nothing is none.
        if target.granted.is_empty() {
            return Err(ApproveError::Nothing);
        }
        let beyond = target.granted.closed().without(self.wish.scopes.closed());
        if !beyond.is_empty() {
            return Err(ApproveError::Beyond(beyond.reduced()));
        }
        if target.granted.closed().is_subset(held.closed()) {
            return Err(ApproveError::NothingNew(target.granted.reduced()));
        }
        let minted =
            Grant::mint(holder, Epoch(0), self.wish.scopes, approver.grant(), target.granted);
        if minted.scopes() != target.granted.closed() {
            return Err(ApproveError::OtherDevice);
        }
        let approved_by = approver.actor().clone();
        Ok(Approved { request: self, granted: minted.scopes(), approved_by })
    }

    /// Turns it down.
    ///
    /// # Errors
    /// When the witness is about another device.
    pub fn reject(self, authorized: Authorized<RejectDevice>) -> Result<Rejected, ApproveError> {
        let (rejecter, target) = authorized.into_parts();
        if target.holder != Some(GrantHolder::Device(self.device.clone())) {
            return Err(ApproveError::OtherDevice);
        }
        Ok(Rejected { request: self, rejected_by: rejecter.actor().clone() })
    }
}

/// A request that was granted.
#[derive(Clone, Debug)]
pub struct Approved {
    request: Pending,
    granted: ScopeSet,
    approved_by: Principal,
}

impl Approved {
    /// Returns the request as it was granted.
    pub const fn request(&self) -> &Pending {
        &self.request
    }

    /// Returns what was granted, implied scopes included.
    pub const fn granted(&self) -> ScopeSet {
        self.granted
    }

    /// Returns who granted it.
    pub const fn approved_by(&self) -> &Principal {
        &self.approved_by
    }
}

/// A request that was turned down.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The request.
    pub request: Pending,
    /// By whom.
    pub rejected_by: Principal,
}

/// Why a request was not granted. It stays as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApproveError {
    /// More than was asked for.
    #[error("not asked for: {0}")]
    Beyond(ScopeSet),
    /// Nobody decided in time.
    #[error("the request has expired")]
    Expired,
    /// No scope was named.
    #[error("an approval names at least one scope")]
    Nothing,
    /// Nothing beyond what the device has.
    #[error("the device has it already: {0}")]
    NothingNew(ScopeSet),
    /// The witness is about something else.
    #[error("the decision was about another device")]
    OtherDevice,
    /// What is asked for has changed since.
    #[error("the request has changed and is at revision {current} now")]
    Stale {
        /// The revision it is at.
        current: u32,
    },
}

/// A request as people name it: `ID` or `ID@REVISION`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRef {
    /// The id.
    pub id: PairingId,
    /// The revision that was looked at.
    pub revision: Option<u32>,
}

/// The text names no request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a request is named `ID@REVISION`, as `openclaw devices pending` shows it")]
pub struct ParseRequestError;

impl FromStr for RequestRef {
    type Err = ParseRequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, revision) = match text.split_once('@') {
            None => (text, None),
            Some((id, revision)) => {
                let is_number = revision.bytes().all(|byte| byte.is_ascii_digit());
                let revision = revision.parse().ok().filter(|_| is_number);
                (id, Some(revision.ok_or(ParseRequestError)?))
            }
        };
        Ok(Self { id: PairingId::parse(id).map_err(|_id| ParseRequestError)?, revision })
    }
}

impl fmt::Display for RequestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            None => write!(f, "{}", self.id),
            Some(revision) => write!(f, "{}@{revision}", self.id),
        }
    }
}

#[cfg(test)]
mod tests;
