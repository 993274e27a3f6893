//! A gateway that nothing weakens, and devices, tokens and requests as they mostly are.

use std::fs::{self, Permissions};

use openclaw_pairing::{Baseline, Kind, Pending, PublicKey, State};
use openclaw_scopes::{DeviceId, DeviceRole, Epoch, GrantHolder, PairingId, ScopeSet};
use openclaw_store::{AuditHead, Invitation, PairingView, Provenance, Via};

use super::super::*;

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
pub(super) const NOW: i64 = 1000 * DAY;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A gateway that nothing weakens.
pub(super) struct Looked {
    pub(super) facts: AccessFacts,
    pub(super) around: Around,
    pub(super) chain: Result<Verification, StoreError>,
    _dir: tempfile::TempDir,
}

impl Looked {
    pub(super) fn new() -> Self {
        let (devices, pending) = (Vec::new(), Vec::new());
        let (tokens, invitations) = (Vec::new(), Vec::new());
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        fs::create_dir_all(state_dir.join("tls")).unwrap();
        set_mode(&state_dir, 0o700);
        let (listen, certificate_expires_at) = (None, None);
        let head = AuditHead::START;
        let (checked, sealed, unchecked, findings) = (0, 0, Vec::new(), Vec::new());
        Self {
            facts: AccessFacts { devices, pending, tokens, invitations },
            around: Around {
                listen,
                certificate_expires_at,
                exec: openclaw_config::Config::default().exec().clone(),
                hooks: Hooks::default(),
                in_main: BTreeSet::new(),
                state_dir,
                tls_key: None,
            },
            chain: Ok(Verification { checked, sealed, head, unchecked, findings }),
            _dir: dir,
        }
    }

    pub(super) fn look(&self) -> (Vec<Finding>, u32) {
        look(&self.facts, &self.around, self.chain.as_ref(), at(NOW))
    }

    pub(super) fn file(&self, name: &str, mode: u32) {
        let path = self.around.state_dir.join(name);
        fs::write(&path, "secret").unwrap();
        set_mode(&path, mode);
    }
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn device_id() -> DeviceId {
    DeviceId::parse(&"ab".repeat(32)).unwrap()
}

/// A device that was approved for everything just now, and may read.
pub(super) fn device() -> Device {
    let baseline = Baseline::recorded(ScopeSet::ALL, Scope::Read.into());
    let provenance = Provenance {
        approved_by: "owner:1000".into(),
        approved_at: at(NOW),
        via: Via::Request,
        via_id: "pr_1".into(),
    };
    Device {
        id: device_id(),
        public_key: PublicKey([1; 32]),
        label: String::new(),
        name: String::new(),
        role: DeviceRole::Operator,
        baseline,
        revoked_at: None,
        provenance,
        created_at: at(NOW),
        last_used_at: Some(at(NOW)),
        last_address: String::new(),
        epoch: Epoch(1),
    }
}

/// A device that was approved at one time, and last proved its key at another.
pub(super) fn approved(approved_at: i64, last_used_at: Option<i64>) -> Device {
    let known = device();
    let provenance = Provenance { approved_at: at(approved_at), ..known.provenance };
    Device { provenance, created_at: at(0), last_used_at: last_used_at.map(at), ..known }
}

pub(super) fn granted(scopes: &[Scope]) -> Device {
    Device { baseline: Baseline::recorded(ScopeSet::ALL, ScopeSet::of(scopes)), ..device() }
}

pub(super) fn token() -> ApiToken {
    ApiToken {
        id: "tok_1".parse().unwrap(),
        name: "ci".into(),
        scopes: Scope::Write.into(),
        issuer: GrantHolder::Owner,
        created_at: at(NOW),
        expires_at: at(NOW + DAY),
        last_used_at: Some(at(NOW)),
        revoked_at: None,
    }
}

pub(super) fn asked_at(millis: i64) -> PairingView {
    let (id, scopes) = (PairingId::parse("pr_1").unwrap(), Scope::Read.into());
    let role = DeviceRole::Operator;
    PairingView {
        pending: Pending::new(id, device_id(), Kind::NotPaired, role, scopes, at(millis)),
        public_key: PublicKey([1; 32]),
        held: ScopeSet::EMPTY,
        name: String::new(),
        address: String::new(),
        state: State::Pending,
        decided_at: None,
        decided_by: String::new(),
        granted: ScopeSet::EMPTY,
    }
}

pub(super) fn invitation() -> Invitation {
    Invitation {
        id: "inv_1".parse().unwrap(),
        scopes: Scope::Read.into(),
        issuer: GrantHolder::Owner,
        created_at: at(NOW),
        expires_at: at(NOW + HOUR),
        redeemed_by: None,
        revoked_at: None,
    }
}
