//! What holders may do, as it stands now.

use openclaw_scopes::{Epoch, Grant, GrantHolder};

use crate::act::live_epoch;
use crate::error::StoreError;
use crate::handle::Store;
use crate::runs::grant_of;

impl Store {
    /// Returns the current epoch of a holder's grant; `None` when it has none any more.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn epoch(&self, holder: &GrantHolder) -> Result<Option<Epoch>, StoreError> {
        self.snapshot(|connection| Ok(live_epoch(connection, holder)?))
    }

    /// Returns a holder's grant as it is now; `None` when it has none any more.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn grant(&self, holder: &GrantHolder) -> Result<Option<Grant>, StoreError> {
        self.snapshot(|connection| match live_epoch(connection, holder)? {
            Some(epoch) => Ok(grant_of(connection, holder, epoch)?),
            None => Ok(None),
        })
    }
}
