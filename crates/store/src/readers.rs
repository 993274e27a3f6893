//! A small pool of connections that only read.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::error::StoreError;

/// Connections that are kept for the next read; more are opened when needed and closed after.
const KEPT: usize = 4;

/// Lends connections to reads.
#[derive(Debug)]
pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    path: PathBuf,
}

impl Readers {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { idle: Mutex::new(Vec::new()), path }
    }

    /// Runs `read` in one snapshot.
    pub(crate) fn snapshot<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        // A poisoned pool is still a list of connections: nothing is half-done in it.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => crate::open::connect_read_only(&self.path)?,
        };
        let run =
            |sql| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        run("BEGIN").map_err(StoreError::from)?;
        let result = read(&connection);
        // A read leaves nothing to commit; a connection that cannot end its snapshot is dropped.
        if run("COMMIT").is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(connection);
            }
        }
        result
    }
}
