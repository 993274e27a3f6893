//! Opening a state directory's database: connections, limits and the key of the audit chain.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom as _;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use crate::act::OnEnded;
use crate::audit::AuditHead;
use crate::checkpoint::WORTH_MOVING;
use crate::error::StoreError;
use crate::migrate::MigrateError;
use crate::writer::Clock;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key of the audit chain could not be read or made.
    #[error("audit.key cannot be used: {0}")]
    AuditKey(#[source] std::io::Error),
    /// The log has rows and its key is gone: what follows could never be verified.
    #[error(
        "audit.key is missing but the audit log has rows: put the key back, or move gateway.db away"
    )]
    AuditKeyMissing,
    /// The schema could not be brought up to date.
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] MigrateError),
    /// The engine could not open it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key under which secrets are hashed could not be read or made.
    #[error("token.key cannot be used: {0}")]
    TokenKey(#[source] std::io::Error),
}

impl Options {
    /// Without bounds, and nobody is told of anything.
    pub fn new(clock: Clock) -> Self {
        Self { clock, max_pages: None, on_ended: None }
    }
}

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Tells the time.
    pub clock: Clock,
    /// Is told of grants that have ended.
    pub on_ended: Option<OnEnded>,
    /// Pages that the database may have at most; `None` for as many as the disk holds.
    pub max_pages: Option<u32>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("max_pages", &self.max_pages).finish_non_exhaustive()
    }
}

/// Pages of 1 KiB that the writer's cache may hold.
const WRITER_CACHE_KIB: i32 = 2048;
/// Pages of 1 KiB that a reader's cache may hold: there are a few of them, and the kernel's own
/// cache stands behind.
const READER_CACHE_KIB: i32 = 256;
/// How long one connection waits for another: only checkpoints ever hold one up.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// Opens the database for writing.
pub(crate) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // The directory is private already; the log and its index take their mode from this file. One
    // that exists is not opened here: closing it again would let go of SQLite's own locks on it.
    let create = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::open(path, create, Mode::RUSR | Mode::WUSR) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(Errno::ACCESS | Errno::ROFS) => return Err(StoreError::ReadOnly),
        Err(error) => return Err(StoreError::Io(error.to_string())),
    }
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Io(format!("the journal mode is `{mode}` and cannot be `wal`")));
    }
    //= docs/threat-model.md#T24
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WORTH_MOVING)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    plan_once(&connection)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Opens the database for reading only.
pub(crate) fn connect_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    plan_once(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Has the plan of a statement depend on the statement alone. Otherwise SQLite, built with the option
/// `ENABLE_STAT4`, prepares some of them again for each value that they are given.
fn plan_once(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Bounds the size of the database.
pub(crate) fn limit(connection: &Connection, max_pages: Option<u32>) -> Result<(), StoreError> {
    if let Some(pages) = max_pages {
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// Returns the path of a database's write-ahead log.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push("-wal");
    name.into()
}

/// Moves the write-ahead log into the database, as far as `mode` lets it.
pub(crate) fn checkpoint(connection: &Connection, mode: &str) -> Result<(), StoreError> {
    Ok(connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?)
}

/// Moves the log into the database and begins it anew, if nobody is in the way.
pub(crate) fn restart_log(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    let moved = checkpoint(connection, "RESTART");
    connection.busy_timeout(BUSY)?;
    moved
}

/// Tells whether an error comes from a directory that cannot be written: the engine only says that
/// it cannot open a file.
pub(crate) fn explain(error: StoreError, directory: &Path) -> StoreError {
    match (&error, rustix::fs::access(directory, Access::WRITE_OK)) {
        (StoreError::Io(_), Err(Errno::ACCESS | Errno::ROFS | Errno::PERM)) => StoreError::ReadOnly,
        _ => error,
    }
}

/// Reads the key of the audit chain, or makes one for a chain that has not begun.
pub(crate) fn audit_key(path: &Path, head: AuditHead) -> Result<[u8; 32], OpenError> {
    match read_key(path).map_err(OpenError::AuditKey)? {
        Some(key) => Ok(key),
        None if head != AuditHead::START => Err(OpenError::AuditKeyMissing),
        None => make_key(path).map_err(OpenError::AuditKey),
    }
}

/// Reads the key under which secrets are hashed, or makes one: without the former one, tokens and
/// invitations that were handed out are good no more.
//= docs/threat-model.md#T30
pub(crate) fn token_key(path: &Path) -> Result<[u8; 32], OpenError> {
    let known = read_key(path).map_err(OpenError::TokenKey)?;
    known.map_or_else(|| make_key(path).map_err(OpenError::TokenKey), Ok)
}

/// Reads a key of 32 bytes; `None` when there is no file.
fn read_key(path: &Path) -> std::io::Result<Option<[u8; 32]>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    make_private(&file, path)?;
    let mut bytes = Vec::new();
    file.take(33).read_to_end(&mut bytes)?;
    let key = <[u8; 32]>::try_from(bytes);
    key.map(Some).map_err(|_bytes| std::io::Error::other("the file does not hold 32 bytes"))
}

fn make_key(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut key = [0; 32];
    let random = ring::rand::SystemRandom::new().fill(&mut key);
    random.map_err(|_unspecified| std::io::Error::other("the system has no randomness"))?;
    create_private(path, &key)?;
    Ok(key)
}

/// Takes a key that others could read away from them, and says so: it may be known by now.
fn make_private(file: &File, path: &Path) -> std::io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let (mode, path) = (format!("{mode:o}"), path.display());
    tracing::warn!(mode, %path, "a key was open to others; it is closed now");
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// Creates a file that only its owner can read, whole or not at all, and durable.
fn create_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = File::from(rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    File::open(parent)?.sync_all()
}
