//! Recomputing the chain, and saying where it does not hold.

use std::path::Path;

use openclaw_scopes::Timestamp;
use rusqlite::Connection;

use super::mismatch::{Mismatch, sort_out};
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
    /// Heads kept elsewhere that stand inside a sealed segment: nothing can be said about them.
    pub unchecked: Vec<AuditHead>,
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
    /// A row stands in the place of another.
    Reordered,
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
            Self::Reordered => "reordered",
            Self::Rewritten => "rewritten",
            Self::Segment => "segment",
            Self::Truncated => "truncated",
        }
    }
}

/// Findings that are told apart; a chain with more is beyond doubt.
const MAX_FINDINGS: usize = 100;

/// Guesses at what stood in the place of a row that does not fit.
const MAX_GUESSES: usize = 3;

/// Recomputes the chain. The caller's snapshot must not have begun: the head file is read before it,
/// so that the log is at least as new.
//= docs/threat-model.md#T20
pub(crate) fn verify(
    connection: &Connection,
    key: &AuditKey,
    head_file: &Path,
    known: Option<AuditHead>,
) -> rusqlite::Result<Verification> {
    let mut walk = Walk {
        key,
        mismatches: Vec::new(),
        previous: vec![Digest::START],
        result: Verification {
            checked: 0,
            sealed: 0,
            head: AuditHead::START,
            unchecked: Vec::new(),
            findings: Vec::new(),
        },
        witnesses: Vec::new(),
    };
    let files = [
        walk.witness_file(&HeadFile::disputed(head_file), "audit.head.disputed"),
        walk.witness_file(head_file, "audit.head"),
    ];
    if let Some(known) = known {
        walk.witness(known, "the given head");
    }
    let stored = AuditHead::stored(connection)?;
    walk.witness(stored, "the head in the database");
    walk.segments(connection)?;
    walk.rows(connection)?;
    walk.end(stored);
    if files == [Witnessed::Nothing; 2] && walk.result.head.seq > 0 {
        walk.find(0, FindingKind::HeadMissing, "audit.head is missing".into());
    }
    walk.result.findings.sort_by_key(|finding| finding.seq);
    Ok(walk.result)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Witnessed {
    Head,
    Nothing,
    Unreadable,
}

struct Walk<'a> {
    key: &'a AuditKey,
    mismatches: Vec<Mismatch>,
    /// What the digest before the next row may be; empty when it cannot be known.
    previous: Vec<Digest>,
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

    /// Takes a head that was kept at `place`; one that two places agree on is one witness.
    fn witness(&mut self, head: AuditHead, place: &'static str) {
        if !self.witnesses.iter().any(|(known, _)| *known == head) {
            self.witnesses.push((head, place));
        }
    }

    fn witness_file(&mut self, path: &Path, name: &'static str) -> Witnessed {
        match HeadFile::read(path) {
            Ok(Some(head)) => {
                self.witness(head, name);
                Witnessed::Head
            }
            Ok(None) => Witnessed::Nothing,
            Err(error) => {
                let is_empty = std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
                let detail = if is_empty {
                    format!("{name} is empty: audit.head was missing when the log was opened")
                } else {
                    format!("{name} cannot be read: {error}")
                };
                self.find(0, FindingKind::HeadMissing, detail);
                Witnessed::Unreadable
            }
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
            let inside = |(head, _): &&(AuditHead, &str)| head.seq >= first && head.seq < last;
            let hidden: Vec<_> =
                self.witnesses.iter().filter(inside).map(|(head, _)| *head).collect();
            self.result.unchecked.extend(hidden);
            self.pass(AuditHead { seq: last, digest });
            self.previous = vec![digest];
        }
        Ok(())
    }

    fn rows(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq: u64 = row.get(0)?;
            let expected = self.result.head.seq.saturating_add(1);
            if seq > expected {
                let last = seq.saturating_sub(1);
                let detail = format!("rows {expected}–{last} are missing");
                self.find(expected, FindingKind::Removed, detail);
                self.previous.clear();
            }
            self.result.checked = self.result.checked.saturating_add(1);
            match AuditRecord::from_row(row) {
                Ok(record) => self.row(record),
                Err(error) => {
                    let detail = format!("row {seq} cannot be read: {error}");
                    self.find(seq, FindingKind::Edited, detail);
                    self.previous.clear();
                    self.result.head = AuditHead { seq, digest: Digest::START };
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, record: AuditRecord) {
        let head = AuditHead { seq: record.seq, digest: record.digest };
        let link =
            |previous: &Digest| self.key.link(*previous, record.seq, record.at, &(&record).into());
        let links: Vec<_> = self.previous.iter().map(link).collect();
        // With nothing known of what stood before, the row is taken at its word.
        if links.is_empty() || links.contains(&record.digest) {
            self.previous.clear();
        } else {
            let before = std::mem::take(&mut self.previous);
            if self.mismatches.len() < MAX_FINDINGS {
                self.mismatches.push(Mismatch { before, record });
            }
            // The next row may hang on what stands here, or, when only the digest was changed, on
            // what stood here.
            self.previous.extend(links.into_iter().take(MAX_GUESSES));
        }
        self.previous.push(head.digest);
        self.pass(head);
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

    fn end(&mut self, stored: AuditHead) {
        for (seq, kind, detail) in sort_out(self.key, &self.mismatches) {
            self.find(seq, kind, detail);
        }
        let end = self.result.head.seq;
        let beyond: Vec<_> =
            self.witnesses.iter().filter(|(witness, _)| witness.seq > end).copied().collect();
        for (witness, place) in beyond {
            let detail = format!("{place} knows row {}, the log ends at {end}", witness.seq);
            self.find(end.saturating_add(1), FindingKind::Truncated, detail);
        }
        if stored.seq < end {
            let detail = "rows stand behind the head in the database".into();
            self.find(end, FindingKind::Edited, detail);
        }
    }
}
