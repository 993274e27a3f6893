//! The chain of the decision log: an HMAC over each record and all before it.

use std::fmt;

use openclaw_scopes::Timestamp;
use ring::hmac;
use rusqlite::{Connection, params};

use super::{AuditHead, AuditRecord, Entry};

/// An HMAC-SHA-256 over a chain of records.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of the chain before its first record.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key of the chain: 32 random bytes that live in `audit.key`, outside the database.
pub(crate) struct AuditKey(hmac::Key);

impl AuditKey {
    /// The key made of these bytes.
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the digest of the chain that ends in `previous` and goes on with this record.
    //= docs/threat-model.md#T20
    pub(super) fn link(
        &self,
        previous: Digest,
        seq: u64,
        at: Timestamp,
        entry: &Fields<'_>,
    ) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&previous.0);
        context.update(&seq.to_be_bytes());
        context.update(&at.as_millis().to_be_bytes());
        context.update(&entry.count.to_be_bytes());
        // Every text is preceded by its length, so that no two records have the same bytes.
        for text in entry.texts {
            context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(text.as_bytes());
        }
        digest(&context.sign())
    }

    pub(super) fn seal(&self, first: u64, last: u64, at: Timestamp, last_digest: Digest) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"openclaw audit segment");
        context.update(&first.to_be_bytes());
        context.update(&last.to_be_bytes());
        context.update(&at.as_millis().to_be_bytes());
        context.update(&last_digest.0);
        digest(&context.sign())
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(redacted)")
    }
}

fn digest(tag: &hmac::Tag) -> Digest {
    // INVARIANT: a SHA-256 tag has 32 bytes; were it shorter, the rest would be zero.
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    Digest(bytes)
}

/// The parts of a record that the chain covers, besides its place and time.
pub(super) struct Fields<'a> {
    texts: [&'a str; 7],
    count: u64,
}

impl<'a> From<&'a Entry> for Fields<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            texts: [
                &entry.principal,
                &entry.on_behalf_of,
                entry.method,
                &entry.target,
                entry.decision.name(),
                &entry.reason,
                &entry.cause,
            ],
            count: entry.count,
        }
    }
}

impl<'a> From<&'a AuditRecord> for Fields<'a> {
    fn from(record: &'a AuditRecord) -> Self {
        Self {
            texts: [
                &record.principal,
                &record.on_behalf_of,
                &record.method,
                &record.target,
                record.decision.name(),
                &record.reason,
                &record.cause,
            ],
            count: record.count,
        }
    }
}

/// The end of the chain, as the writer carries it from record to record.
#[derive(Debug)]
pub(crate) struct Chain {
    key: AuditKey,
    head: AuditHead,
}

impl Chain {
    pub(crate) const fn new(key: AuditKey, head: AuditHead) -> Self {
        Self { key, head }
    }

    pub(crate) const fn head(&self) -> AuditHead {
        self.head
    }

    pub(crate) const fn key(&self) -> &AuditKey {
        &self.key
    }

    /// Goes back to a head from before a rollback.
    pub(crate) const fn restore(&mut self, head: AuditHead) {
        self.head = head;
    }

    /// Writes one record at the end of the chain.
    pub(crate) fn append(
        &mut self,
        connection: &Connection,
        entry: &Entry,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let seq = self.head.seq.saturating_add(1);
        let digest = self.key.link(self.head.digest, seq, at, &entry.into());
        let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        connection.prepare_cached(sql)?.execute(params![
            seq,
            at.as_millis(),
            entry.principal,
            entry.on_behalf_of,
            entry.method,
            entry.target,
            entry.decision.name(),
            entry.reason,
            entry.cause,
            entry.count,
            digest.0,
        ])?;
        self.head = AuditHead { seq, digest };
        Ok(())
    }

    /// Writes the head into the database; the writer calls it once a commit.
    pub(crate) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE audit_chain SET seq = ?1, digest = ?2 WHERE id = 1";
        let changed =
            connection.prepare_cached(sql)?.execute(params![self.head.seq, self.head.digest.0])?;
        if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
    }
}
