//! What can go wrong with the storage itself, sorted by what helps.

use rusqlite::ErrorCode;

/// A failure of the storage, as opposed to a refusal or a wrong request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The store has been closed: the gateway is stopping.
    #[error("the store is closed")]
    Closed,
    /// A page or a row is not what was written.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// There is no room: the disk, the quota, or the configured bound.
    #[error("no space is left for the database")]
    Full,
    /// Anything else the engine or the disk reported.
    #[error("the database failed: {0}")]
    Io(String),
    /// The file or its directory may not be written.
    #[error("the database is read-only")]
    ReadOnly,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            //= docs/threat-model.md#T23
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(_) => Self::Io(error.to_string()),
            None => match error {
                // A row that does not have the shape the schema promises, or is not there.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::StatementChangedRows(_) => Self::Corrupt(error.to_string()),
                other => Self::Io(other.to_string()),
            },
        }
    }
}

/// Why an operation did not happen: the storage failed, or the operation itself says no.
#[derive(Debug)]
pub enum Fault<E> {
    /// The operation says no; nothing of it stays.
    Domain(E),
    /// The storage failed.
    Store(rusqlite::Error),
}

impl<E> From<rusqlite::Error> for Fault<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

/// Makes the error of a stored text that does not parse.
pub(crate) fn damaged(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}
