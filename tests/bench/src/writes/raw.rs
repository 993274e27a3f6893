//! The statements of `sessions.create`, as the store runs them, and nothing around them.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::now;
use crate::load::Sample;
use crate::skeleton::{in_commit, in_savepoint};

const SESSION: &str = "SELECT s.id, s.key, s.agent, s.owner, s.label, s.created_at, s.updated_at,
    (SELECT run_id FROM runs WHERE id = s.active_run),
    (SELECT count(*) FROM runs r WHERE r.status = 'queued' AND r.session = s.id),
    s.total_runs, s.input_tokens, s.output_tokens, s.cached_tokens FROM sessions s
    WHERE s.key = ?1";

/// A database with the store's schema and nobody else.
#[derive(Debug)]
pub(super) struct Raw {
    connection: Connection,
    next: u64,
}

impl Raw {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "cache_size", -2048)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection, next: 1 })
    }

    /// Commits groups of `group` operations for as long as `slice`.
    pub(super) fn run(&mut self, group: u64, slice: Duration) -> anyhow::Result<Sample> {
        let connection = &self.connection;
        let (begun, mut answers) = (Instant::now(), Vec::new());
        while begun.elapsed() < slice {
            let from = Instant::now();
            let seqs = self.next..self.next + group;
            let last = seqs.end - 1;
            self.next = seqs.end;
            in_commit(connection, || {
                for seq in seqs {
                    in_savepoint(connection, || create(connection, seq, group))?;
                }
                let sql = "UPDATE audit_chain SET seq = ?1, digest = ?2 WHERE id = 1";
                connection.prepare_cached(sql)?.execute(params![last, [3_u8; 32]]).map(|_| ())
            })?;
            let took = from.elapsed();
            answers.extend((0..group).map(|_| took));
        }
        Ok(Sample::of(answers, begun.elapsed()))
    }
}

/// Does what the store does for one operation. The keys are those of so many writers, as in the
/// store: where they fall in the indexes decides how many pages a commit writes.
fn create(connection: &Connection, seq: u64, writers: u64) -> rusqlite::Result<()> {
    let key = format!("w{}-{}", seq % writers, seq / writers);
    let session = format!("agent:main:{key}");
    let at = now().as_millis();
    let sql = "SELECT epoch FROM grants WHERE holder = ?1 AND ended_at IS NULL";
    connection.prepare_cached(sql)?.query_row(["owner"], |row| row.get::<_, u64>(0))?;
    let sql = "SELECT owner FROM sessions WHERE key = ?1";
    let owner = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    connection.prepare_cached(sql)?.query_row([&session], owner).optional()?;
    let sql = "SELECT request_digest, result FROM idempotency
               WHERE holder = ?1 AND method = ?2 AND key = ?3";
    let known = |row: &rusqlite::Row<'_>| row.get::<_, [u8; 32]>(0);
    let request = params!["owner", "sessions.create", key];
    connection.prepare_cached(sql)?.query_row(request, known).optional()?;
    let sql = "SELECT 1 FROM idempotency WHERE created_at < ?1 LIMIT 1";
    connection.prepare_cached(sql)?.exists([at - 86_400_000])?;
    let sql = "INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params!["owner", "sessions.create", key, [7_u8; 32], session, at];
    connection.prepare_cached(sql)?.execute(values)?;
    let sql = "INSERT INTO sessions (key, agent, owner, label, created_at, updated_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
    connection.prepare_cached(sql)?.execute(params![session, "main", "owner", "", at])?;
    connection.prepare_cached(SESSION)?.query_row([&session], owner_and_usage)?;
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let target = format!("session {session}");
    connection.prepare_cached(sql)?.execute(params![
        seq,
        at,
        "owner:1000",
        "owner",
        "sessions.create",
        target,
        "allowed",
        "",
        "process:4242",
        1,
        [3_u8; 32],
    ])?;
    Ok(())
}

/// Reads every column, as the store does.
fn owner_and_usage(row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    for text in [1, 2, 3, 4] {
        row.get::<_, String>(text)?;
    }
    row.get::<_, Option<String>>(7)?;
    for number in [0, 5, 6, 8, 9, 10, 11, 12] {
        row.get::<_, i64>(number)?;
    }
    Ok(())
}
