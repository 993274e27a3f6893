//! Numbered, append-only changes of the schema.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;

/// Every change, in order; the database's `user_version` says how many it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_delegation.sql"),
    include_str!("migrations/0004_time.sql"),
    include_str!("migrations/0005_events.sql"),
    include_str!("migrations/0006_send_policy.sql"),
    include_str!("migrations/0007_polls.sql"),
    include_str!("migrations/0008_worked.sql"),
];

/// Why the schema could not be brought up to date. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A row refers to one that is not there; the change was undone.
    #[error("migration {to} would leave {violations} broken references")]
    BrokenReferences {
        /// How many.
        violations: usize,
        /// The version that was not reached.
        to: usize,
    },
    /// A newer gateway wrote this database.
    #[error("the database has schema {found}, this gateway knows {known}: use a newer gateway")]
    Newer {
        /// The database's version.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// The copy that is kept from before could not be made.
    #[error("the database could not be copied before its migration")]
    Snapshot(#[source] rusqlite::Error),
    /// The engine refused.
    #[error("the database could not be migrated")]
    Sql(#[from] rusqlite::Error),
}

/// Brings the schema up to date; a database that has rows is copied beside itself before.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), MigrateError> {
    migrate_with(connection, path, MIGRATIONS)
}

fn migrate_with(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), MigrateError> {
    let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = migrations.len();
    if found > known {
        return Err(MigrateError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        let copy = path.with_extension(format!("before-{known}.db"));
        snapshot(connection, &copy).map_err(MigrateError::Snapshot)?;
    }
    // Foreign keys can only be switched outside a transaction; the check before the commit is
    // stricter than the switch.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    for migration in migrations.iter().skip(found) {
        transaction.execute_batch(migration)?;
    }
    let violations = {
        let mut check = transaction.prepare("PRAGMA foreign_key_check")?;
        check.query_map([], |_| Ok(()))?.count()
    };
    if violations > 0 {
        return Err(MigrateError::BrokenReferences { violations, to: known });
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

fn snapshot(connection: &Connection, copy: &Path) -> rusqlite::Result<()> {
    // A copy of an attempt that failed half-way is replaced: it was taken from the same version.
    if copy.exists() {
        std::fs::remove_file(copy)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    }
    // A path is bytes, and need not be text.
    let path = copy.as_os_str().as_bytes();
    connection.execute("VACUUM INTO CAST(?1 AS TEXT)", [path]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    fn schema(connection: &Connection) -> String {
        let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|sql| sql.unwrap() + ";\n\n").collect()
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.db");
        let mut connection = crate::open::connect(&path).unwrap();
        migrate(&mut connection, &path).unwrap();
        let once = schema(&connection);
        migrate(&mut connection, &path).unwrap();
        assert_eq!(schema(&connection), once);
        expect_file!["../golden/schema.sql"].assert_eq(&once);
    }

    /// Every schema that was released is upgraded from a database of that version.
    #[test]
    fn released_schemas_upgrade() {
        for (index, _) in MIGRATIONS.iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("gateway.db");
            let fixture = format!("{}/fixtures/{:04}.sql", env!("CARGO_MANIFEST_DIR"), index + 1);
            let mut connection = crate::open::connect(&path).unwrap();
            connection.execute_batch(&std::fs::read_to_string(fixture).unwrap()).unwrap();
            connection.pragma_update(None, "user_version", index + 1).unwrap();
            migrate(&mut connection, &path).unwrap();
            let runs: i64 =
                connection.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
            assert!(runs > 0, "the fixture holds rows");
        }
    }

    #[test]
    fn a_newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.db");
        let mut connection = crate::open::connect(&path).unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        let error = migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, MigrateError::Newer { found: 999, .. }));
    }

    #[test]
    fn a_migration_that_breaks_references_is_undone_and_the_old_database_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.db");
        let mut connection = crate::open::connect(&path).unwrap();
        migrate(&mut connection, &path).unwrap();
        let bad = "INSERT INTO idempotency VALUES ('nobody', 'm', 'k', zeroblob(32), '', 0);";
        let all: Vec<_> = MIGRATIONS.iter().copied().chain([bad]).collect();
        let error = migrate_with(&mut connection, &path, &all).unwrap_err();
        let expected = all.len();
        let broken =
            matches!(error, MigrateError::BrokenReferences { violations: 1, to } if to == expected);
        assert!(broken, "{error:?}");
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM idempotency", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
        assert!(dir.path().join(format!("gateway.before-{expected}.db")).exists());
    }
}
