//! Where the chain stands, in the database and in a file beside it.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use openclaw_scopes::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::Digest;

/// The end of the chain: with one that was kept elsewhere, a chain that was cut or recomputed is
/// found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditHead {
    /// The newest record's sequence number; zero before the first.
    pub seq: u64,
    /// The chain's digest up to there.
    pub digest: Digest,
}

impl AuditHead {
    /// The head of an empty chain.
    pub const START: Self = Self { seq: 0, digest: Digest::START };

    pub(crate) fn stored(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT seq, digest FROM audit_chain WHERE id = 1";
        let stored = connection
            .query_row(sql, [], |row| Ok(Self { seq: row.get(0)?, digest: Digest(row.get(1)?) }))
            .optional()?;
        // A head that was removed: what the rows and `audit.head` say finds that out, and nothing
        // can be written, as there is no row to move.
        Ok(stored.unwrap_or(Self::START))
    }
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.digest)
    }
}

/// The text is not `SEQUENCE:DIGEST`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an audit head is written `SEQUENCE:DIGEST`, the digest as 64 hex digits")]
pub struct ParseHeadError;

impl FromStr for AuditHead {
    type Err = ParseHeadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, hex) = text.split_once(':').ok_or(ParseHeadError)?;
        let seq = seq.parse().map_err(|_not_digits| ParseHeadError)?;
        // One head has one spelling: no signs, no leading zeros.
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
            || (text.starts_with('0') && !text.starts_with("0:"))
        {
            return Err(ParseHeadError);
        }
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(ParseHeadError);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_not_digits| ParseHeadError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_not_digits| ParseHeadError)?;
        }
        Ok(Self { seq, digest: Digest(digest) })
    }
}

/// Tells whether the log passes through `head`, as far as that can be told: what stands inside a
/// sealed segment cannot be compared.
fn is_in(head: AuditHead, connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT digest FROM audit WHERE seq = ?1
               UNION ALL SELECT digest FROM audit_segments WHERE last_seq = ?1";
    let digest: Option<[u8; 32]> =
        connection.query_row(sql, [head.seq], |row| row.get(0)).optional()?;
    if let Some(digest) = digest {
        return Ok(head.digest == Digest(digest));
    }
    let sql = "SELECT ?1 = 0 OR EXISTS (SELECT 1 FROM audit_segments
                   WHERE ?1 BETWEEN first_seq AND last_seq)";
    connection.query_row(sql, [head.seq], |row| row.get(0))
}

/// Keeps evidence, unless there is older one.
fn keep(aside: &Path, save: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    if aside.exists() { Ok(()) } else { save() }
}

/// How often the head file is written at most: it is a witness, not a log.
const HEAD_FILE_INTERVAL: Duration = Duration::from_secs(1);

/// `audit.head`: the head outside the database, so that a cut tail is found.
#[derive(Debug)]
pub(crate) struct HeadFile {
    path: PathBuf,
    written: Option<(AuditHead, Timestamp)>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    sequence: u64,
    digest: String,
    time: i64,
}

impl HeadFile {
    /// The file of a log that is being opened. One that the log contradicts is evidence, and so is
    /// a missing one: it is kept aside, where it is not written over and [`super::verify`] finds it.
    pub(crate) fn open(path: PathBuf, connection: &Connection) -> Self {
        let has_rows = AuditHead::stored(connection).is_ok_and(|head| head.seq > 0);
        let aside = Self::disputed(&path);
        let set_aside = match Self::read(&path) {
            // A log that cannot be read does not confirm it either.
            Ok(Some(head)) if !is_in(head, connection).unwrap_or(false) => {
                tracing::error!(audit.head = %head, "the audit log is not what audit.head says");
                keep(&aside, || std::fs::rename(&path, &aside))
            }
            Ok(None) if has_rows => {
                tracing::error!("audit.head is missing, and the audit log has rows");
                keep(&aside, || {
                    let mut options = std::fs::OpenOptions::new();
                    options.write(true).create_new(true).mode(0o600).open(&aside).map(drop)
                })
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "audit.head cannot be read");
                keep(&aside, || std::fs::rename(&path, &aside))
            }
        };
        if let Err(error) = set_aside {
            tracing::error!(%error, "the state of audit.head could not be kept");
        }
        Self { path, written: None }
    }

    /// Returns where a head that the log contradicted is kept.
    pub(crate) fn disputed(path: &Path) -> PathBuf {
        path.with_extension("head.disputed")
    }

    /// Tells how long from `now` on the file should wait before it is written: not at all when it
    /// is due, and `None` when it says `head` already.
    pub(crate) fn due(&self, head: AuditHead, now: Timestamp) -> Option<Duration> {
        match self.written {
            Some((written, _)) if written == head => None,
            // A clock that was set back must not make the wait longer.
            Some((_, at)) if now < at => Some(Duration::ZERO),
            Some((_, at)) => Some(HEAD_FILE_INTERVAL.saturating_sub(now.since(at))),
            None => Some(Duration::ZERO),
        }
    }

    /// Writes the file in one step, without an fsync of its own.
    pub(crate) fn write(&mut self, head: AuditHead, now: Timestamp) -> std::io::Result<()> {
        // Recorded first: a directory that cannot be written is reported once a second, not always.
        self.written = Some((head, now));
        let content =
            Content { sequence: head.seq, digest: head.digest.to_string(), time: now.as_millis() };
        let temporary = self.path.with_extension("head.new");
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(serde_json::to_string(&content)?.as_bytes())?;
        std::fs::rename(&temporary, &self.path)
    }

    /// Reads the head that the file tells of; `None` when there is no file.
    pub(crate) fn read(path: &Path) -> std::io::Result<Option<AuditHead>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let content: Content = serde_json::from_str(&text)?;
        let head = format!("{}:{}", content.sequence, content.digest);
        head.parse().map(Some).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_their_text() {
        let head = AuditHead { seq: 42, digest: Digest([0xab; 32]) };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", "1", "x:00", "1:zz", &format!("1:{}", "é".repeat(32))] {
            assert_eq!(text.parse::<AuditHead>(), Err(ParseHeadError), "{text}");
        }
    }

    #[test]
    fn the_file_is_written_once_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        let mut file = HeadFile { path: path.clone(), written: None };
        let (at, head) = (Timestamp::from_millis, |seq| AuditHead { seq, digest: Digest::START });
        assert_eq!(file.due(head(1), at(0)), Some(Duration::ZERO));
        file.write(head(1), at(0)).unwrap();
        assert_eq!(file.due(head(1), at(0)), None);
        assert_eq!(file.due(head(2), at(400)), Some(Duration::from_millis(600)));
        assert_eq!(file.due(head(2), at(1500)), Some(Duration::ZERO));
        assert_eq!(file.due(head(2), at(-1)), Some(Duration::ZERO), "the clock was set back");
        assert_eq!(HeadFile::read(&path).unwrap(), Some(head(1)));
        std::fs::write(&path, "{}").unwrap();
        assert!(HeadFile::read(&path).is_err());
    }
}
