//! What holders may do, as it stands now.

use openclaw_scopes::{Epoch, Grant, GrantHolder, RunId};

use crate::act::live_epoch;
use crate::error::StoreError;
use crate::handle::Store;
use crate::runs::grant_of_run;

impl Store {
    /// Returns the current epoch of a holder's grant; `None` when it has none any more.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn epoch(&self, holder: &GrantHolder) -> Result<Option<Epoch>, StoreError> {
        self.snapshot(|connection| Ok(live_epoch(connection, holder)?))
    }

    /// Returns the grant that a run rests on, as it is now; `None` when there is no such run, or its
    /// holder's grant has ended since.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn grant_of_run(&self, run: &RunId) -> Result<Option<Grant>, StoreError> {
        self.snapshot(|connection| Ok(grant_of_run(connection, run)?))
    }
}
