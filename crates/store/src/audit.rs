//! The decision log: what a record is, and the chain that makes changes to it visible.

mod head;
mod list;
mod refusals;
mod seal;
mod verify;

use std::fmt;

use openclaw_scopes::{Caller, Timestamp};
use ring::hmac;
use rusqlite::{Connection, Row, params};

pub use head::{AuditHead, ParseHeadError};
pub use list::{AuditFilter, AuditPage};
pub use seal::SealAudit;
pub use verify::{Finding, FindingKind, Verification};

pub(crate) use head::HeadFile;
pub(crate) use refusals::{Refusals, Throttled};
pub(crate) use verify::verify;

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Allowed, and done.
    Allowed,
    /// Refused.
    Denied,
    /// Allowed, but it could not be done; nothing changed.
    Failed,
}

impl Decision {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Denied, Self::Failed]
            .into_iter()
            .find(|decision| decision.name() == name)
    }
}

/// One decision as it enters the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Who acted.
    pub principal: String,
    /// The holder of the grant it rested on; empty before authentication.
    pub on_behalf_of: String,
    /// The method's public name.
    pub method: &'static str,
    /// On what.
    pub target: String,
    /// What was decided.
    pub decision: Decision,
    /// Why it was refused or failed; empty otherwise.
    pub reason: String,
    /// Why it happened.
    pub cause: String,
    /// How many equal refusals it stands for.
    pub count: u64,
}

impl Entry {
    /// The entry for what `caller` did, or was refused, on `target`.
    pub fn of(
        caller: &Caller,
        method: &'static str,
        target: &impl fmt::Display,
        decision: Decision,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            principal: caller.actor().to_string(),
            on_behalf_of: caller.on_behalf_of().to_string(),
            method,
            target: target.to_string(),
            decision,
            reason: reason.into(),
            cause: caller.cause().to_string(),
            count: 1,
        }
    }
}

/// One decision as it stands in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRecord {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who acted.
    pub principal: String,
    /// The holder of the grant it rested on.
    pub on_behalf_of: String,
    /// The method's public name.
    pub method: String,
    /// On what.
    pub target: String,
    /// What was decided.
    pub decision: Decision,
    /// Why it was refused or failed.
    pub reason: String,
    /// Why it happened.
    pub cause: String,
    /// How many equal refusals it stands for.
    pub count: u64,
    /// The chain's digest up to and with this row.
    pub digest: Digest,
}

const COLUMNS: &str =
    "seq, at, principal, on_behalf_of, method, target, decision, reason, cause, count, digest";

impl AuditRecord {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let decision: String = row.get(6)?;
        let decision = Decision::parse(&decision)
            .ok_or_else(|| crate::error::damaged(6, UnknownDecision(decision)))?;
        Ok(Self {
            seq: row.get(0)?,
            at: Timestamp::from_millis(row.get(1)?),
            principal: row.get(2)?,
            on_behalf_of: row.get(3)?,
            method: row.get(4)?,
            target: row.get(5)?,
            decision,
            reason: row.get(7)?,
            cause: row.get(8)?,
            count: row.get(9)?,
            digest: Digest(row.get(10)?),
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown decision `{0}`")]
struct UnknownDecision(String);

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
pub struct AuditKey(hmac::Key);

impl AuditKey {
    /// The key made of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the digest of the chain that ends in `previous` and goes on with this record.
    fn link(&self, previous: Digest, seq: u64, at: Timestamp, entry: &Fields<'_>) -> Digest {
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

    fn seal(&self, first: u64, last: u64, at: Timestamp, last_digest: Digest) -> Digest {
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
struct Fields<'a> {
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
