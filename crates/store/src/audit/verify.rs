//! Recomputing the chain, and saying where it does not hold.

use std::path::Path;

use openclaw_scopes::Timestamp;
use rusqlite::Connection;

use super::{AuditHead, AuditKey, AuditRecord, COLUMNS, Digest, HeadFile};

/// What recomputing the chain found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Rows that were recomputed.
    pub checked: u64,
    /// Rows that stand in sealed segments.
    pub sealed: u64,
    /// The head, as the rows tell it.
    pub head: AuditHead,
    /// What does not hold, in the order of the chain.
    pub findings: Vec<Finding>,
}

/// Something wrong with the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The sequence number of the first row concerned.
    pub seq: u64,
    /// What is wrong.
    pub kind: FindingKind,
    /// The finding in words.
    pub detail: String,
}

/// What can be wrong with the chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FindingKind {
    /// A row, or its place or time, is not what was written.
    Edited,
    /// The head file is missing or cannot be read.
    HeadMissing,
    /// Rows are missing between others.
    Removed,
    /// The chain was recomputed with the key: a head that was kept elsewhere is not in it.
    Rewritten,
    /// A sealed segment does not fit.
    Segment,
    /// Rows are missing at the end.
    Truncated,
}

impl FindingKind {
    /// Returns the stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::HeadMissing => "head-missing",
            Self::Removed => "removed",
            Self::Rewritten => "rewritten",
            Self::Segment => "segment",
            Self::Truncated => "truncated",
        }
    }
}

/// Findings that are told apart; a chain with more is beyond doubt.
const MAX_FINDINGS: usize = 100;

pub(crate) fn verify(
    connection: &Connection,
    key: &AuditKey,
    head_file: &Path,
    known: Option<AuditHead>,
) -> rusqlite::Result<Verification> {
    let mut walk = Walk {
        key,
        result: Verification {
            checked: 0,
            sealed: 0,
            head: AuditHead::START,
            findings: Vec::new(),
        },
        witnesses: Vec::new(),
    };
    match HeadFile::read(head_file) {
        Ok(Some(head)) => walk.witnesses.push((head, "audit.head")),
        Ok(None) => {}
        Err(error) => {
            walk.find(0, FindingKind::HeadMissing, format!("audit.head cannot be read: {error}"));
        }
    }
    let has_head_file = !walk.witnesses.is_empty();
    walk.witnesses.extend(known.map(|head| (head, "the given head")));
    let stored = AuditHead::stored(connection)?;
    walk.witnesses.push((stored, "the head in the database"));
    walk.segments(connection)?;
    walk.rows(connection)?;
    walk.end();
    if !has_head_file && walk.result.head.seq > 0 && walk.result.findings.is_empty() {
        walk.find(0, FindingKind::HeadMissing, "audit.head is missing".into());
    }
    Ok(walk.result)
}

struct Walk<'a> {
    key: &'a AuditKey,
    result: Verification,
    /// Heads that the chain must pass through, and where each was kept.
    witnesses: Vec<(AuditHead, &'static str)>,
}

impl Walk<'_> {
    fn find(&mut self, seq: u64, kind: FindingKind, detail: String) {
        if self.result.findings.len() < MAX_FINDINGS {
            self.result.findings.push(Finding { seq, kind, detail });
        }
    }

    fn segments(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "SELECT first_seq, last_seq, digest, sealed_at, seal FROM audit_segments
                   ORDER BY first_seq";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (first, last): (u64, u64) = (row.get(0)?, row.get(1)?);
            let digest = Digest(row.get(2)?);
            let seal = Digest(row.get(4)?);
            if first != self.result.head.seq.saturating_add(1) {
                let detail = format!("segment {first}–{last} does not follow the one before");
                self.find(first, FindingKind::Segment, detail);
            }
            if self.key.seal(first, last, Timestamp::from_millis(row.get(3)?), digest) != seal {
                let detail = format!("the seal of segment {first}–{last} does not fit");
                self.find(first, FindingKind::Segment, detail);
            }
            self.result.sealed =
                self.result.sealed.saturating_add(last.saturating_sub(first).saturating_add(1));
            self.pass(AuditHead { seq: last, digest });
        }
        Ok(())
    }

    fn rows(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let record = AuditRecord::from_row(row)?;
            let expected = self.result.head.seq.saturating_add(1);
            if record.seq > expected {
                let last = record.seq.saturating_sub(1);
                self.find(
                    expected,
                    FindingKind::Removed,
                    format!("rows {expected}–{last} are missing"),
                );
            }
            let digest =
                self.key.link(self.result.head.digest, record.seq, record.at, &(&record).into());
            // After a gap the digest cannot fit: the gap is the finding, not the row behind it.
            if digest != record.digest && record.seq == expected {
                let detail = format!("row {} or its place is not what was written", record.seq);
                self.find(record.seq, FindingKind::Edited, detail);
            }
            self.result.checked = self.result.checked.saturating_add(1);
            self.pass(AuditHead { seq: record.seq, digest: record.digest });
        }
        Ok(())
    }

    /// Goes on to `head`, and compares it with the witnesses that stand there.
    fn pass(&mut self, head: AuditHead) {
        let contradicted: Vec<_> = self
            .witnesses
            .iter()
            .filter(|(witness, _)| witness.seq == head.seq && witness.digest != head.digest)
            .map(|(_, place)| *place)
            .collect();
        for place in contradicted {
            let detail = format!("row {} is another than {place} says", head.seq);
            self.find(head.seq, FindingKind::Rewritten, detail);
        }
        self.result.head = head;
    }

    fn end(&mut self) {
        let end = self.result.head.seq;
        let beyond: Vec<_> =
            self.witnesses.iter().filter(|(witness, _)| witness.seq > end).copied().collect();
        for (witness, place) in beyond {
            let detail = format!("{place} knows row {}, the log ends at {end}", witness.seq);
            self.find(end.saturating_add(1), FindingKind::Truncated, detail);
        }
        let database =
            self.witnesses.iter().find(|(_, place)| *place == "the head in the database");
        if database.is_some_and(|(head, _)| head.seq < end) {
            let detail = "rows stand behind the head in the database".into();
            self.find(end, FindingKind::Edited, detail);
        }
    }
}
