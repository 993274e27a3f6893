//! What the gateway has said about a device or a token, and what was asked of it since.

use openclaw_client::v1::{Device, device};
use openclaw_scopes::ScopeSet;

/// What the gateway says about a device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Row {
    pub(super) approved: ScopeSet,
    pub(super) granted: ScopeSet,
    pub(super) is_live: bool,
    pub(super) epoch: u64,
}

impl Row {
    pub(super) fn of(device: &Device) -> Self {
        let scopes = |names: &[String]| ScopeSet::parse(&names.join(" ")).unwrap().closed();
        let row = Self {
            approved: scopes(&device.approved_scopes),
            granted: scopes(&device.granted_scopes),
            is_live: device.status() == device::Status::Active,
            epoch: device.epoch,
        };
        assert!(row.granted.is_subset(row.approved), "{device:?}");
        assert_eq!(row.is_live, !row.approved.is_empty(), "{device:?}");
        row
    }
}

/// What was told of something, and what was under way when nobody answered any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Promise<T> {
    pub(super) told: Option<T>,
    pub(super) tried: Option<T>,
}

impl<T: Clone + std::fmt::Debug + PartialEq> Promise<T> {
    /// It is there as it was told, or as it was to be; from now on that is what was told.
    pub(super) fn keep(&mut self, what: &str, found: Option<T>) {
        let is_kept = found == self.told || (self.tried.is_some() && found == self.tried);
        assert!(is_kept, "{what} is {found:?}: {self:?}");
        *self = Self { told: found, tried: None };
    }
}
