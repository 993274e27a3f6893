//! Files that are missing, damaged, or somebody else's.

use std::io::{Seek as _, SeekFrom, Write as _};

use openclaw_scopes::target::SessionTarget;
use rusqlite::ffi;

use super::{Bed, accept, key, owner};
use crate::{
    Accepted, ActError, History, MigrateError, OpenError, Precedence, SessionFilter, Store,
    StoreError,
};

#[tokio::test]
//= docs/threat-model.md#T23
async fn a_damaged_page_is_an_error_and_no_more() {
    let bed = Bed::new();
    let store = bed.open();
    for index in 0..60 {
        let mut ask = accept(&format!("run{index}"), &format!("s{index}"), Precedence::Start);
        // Enough that the schema is in the first half.
        ask.message = "long ".repeat(2000);
        let accepted = store.act(&owner(), ask, bed.now()).await.unwrap();
        assert!(matches!(accepted, Accepted::Started(_)));
    }
    store.close();
    let pages: u64 = bed.raw().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let mut file = std::fs::File::options().write(true).open(bed.path("gateway.db")).unwrap();
    for page in pages / 2..pages - 1 {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xa5; 4096]).unwrap();
    }
    drop(file);
    let store = bed.open();
    let mut damaged = 0;
    for index in 0..60 {
        let history = History { session: key(&format!("s{index}")), before: None, limit: 10 };
        match store.view(&owner(), &history, bed.now()).await {
            Ok(page) => assert_eq!(page.entries.len(), 1),
            Err(ActError::Store(StoreError::Corrupt(_))) => damaged += 1,
            Err(error) => panic!("{error:?}"),
        }
        let next = accept(&format!("next{index}"), &format!("t{index}"), Precedence::Wait);
        match store.act(&owner(), next, bed.now()).await {
            Ok(_) | Err(ActError::Store(StoreError::Corrupt(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(damaged > 5, "{damaged}");
    // The pool lends no connection that still stands in a snapshot.
    assert!(store.audit_head().is_ok());
}

#[test]
fn what_is_no_database_is_refused() {
    let bed = Bed::new();
    std::fs::write(bed.path("gateway.db"), "not a database, but long enough ".repeat(200)).unwrap();
    let error = bed.try_open(None).unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::Corrupt(_))), "{error:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let bed = Bed::new();
    drop(bed.open());
    bed.raw().pragma_update(None, "user_version", 99).unwrap();
    let error = bed.try_open(None).unwrap_err();
    let newer = |error: &OpenError| match error {
        OpenError::Migrate(MigrateError::Newer { found, .. }) => *found,
        error => panic!("{error:?}"),
    };
    assert_eq!(newer(&error), 99);
}

#[tokio::test]
async fn the_key_of_the_log_is_not_replaced() {
    let bed = Bed::new();
    drop(bed.open());
    let path = bed.path("audit.key");
    // Before the first row a lost key is no loss.
    std::fs::remove_file(&path).unwrap();
    let store = bed.open();
    bed.create(&store, "a").await;
    store.close();
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(bed.try_open(None), Err(OpenError::AuditKeyMissing)));
    assert!(!path.exists());
    for length in [0, 31, 33] {
        std::fs::write(&path, vec![1; length]).unwrap();
        assert!(matches!(bed.try_open(None), Err(OpenError::AuditKey(_))), "{length}");
    }
    std::fs::write(&path, kept).unwrap();
    bed.verify(&bed.open());
}

#[test]
fn private_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::new();
    bed.open().close();
    for name in ["audit.key", "audit.head"] {
        let mode = std::fs::metadata(bed.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn failures_of_the_engine_are_sorted_by_what_helps() {
    let cases = [
        (ffi::SQLITE_FULL, StoreError::Full),
        (ffi::SQLITE_READONLY, StoreError::ReadOnly),
        (ffi::SQLITE_READONLY_DBMOVED, StoreError::ReadOnly),
        (ffi::SQLITE_PERM, StoreError::ReadOnly),
        (ffi::SQLITE_CORRUPT, StoreError::Corrupt(String::new())),
        (ffi::SQLITE_CORRUPT_INDEX, StoreError::Corrupt(String::new())),
        (ffi::SQLITE_NOTADB, StoreError::Corrupt(String::new())),
        (ffi::SQLITE_IOERR_FSYNC, StoreError::Io(String::new())),
        (ffi::SQLITE_BUSY, StoreError::Io(String::new())),
    ];
    for (code, expected) in cases {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let error = StoreError::from(error);
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{code}");
    }
    let error = StoreError::from(rusqlite::Error::QueryReturnedNoRows);
    assert!(matches!(error, StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_read_only_directory_is_called_by_its_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let bed = Bed::new();
    let set = |mode| {
        std::fs::set_permissions(bed.dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o500);
    let opened = bed.try_open(None);
    set(0o700);
    match opened {
        Err(OpenError::Store(StoreError::ReadOnly)) => {}
        // The superuser may write everywhere.
        Ok(store) => store.close(),
        Err(error) => panic!("{error:?}"),
    }
}

/// A row that does not parse is an error where it is read, and nowhere else.
#[tokio::test]
//= docs/threat-model.md#T23
async fn a_row_that_does_not_parse_is_damage() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    bed.create(&store, "b").await;
    let sql = "UPDATE sessions SET agent = 'Not A Slug' WHERE key = 'agent:main:a'";
    bed.raw().execute(sql, []).unwrap();
    let now = bed.now();
    let list = SessionFilter { limit: 10, ..SessionFilter::default() };
    let error = store.view(&owner(), &list, now).await.unwrap_err();
    assert!(matches!(error, ActError::Store(StoreError::Corrupt(_))));
    let target = SessionTarget::unowned(key("b"));
    store.view(&owner(), &crate::GetSession(target.key), now).await.unwrap();
    let _: &Store = &store;
}
