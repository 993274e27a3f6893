//! Telling a row that was edited from one that stands in the place of another.

use super::verify::FindingKind;
use super::{AuditKey, AuditRecord, Digest};

/// A row whose digest does not follow from the row before.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// What the digest before it may be.
    pub(super) before: Vec<Digest>,
    pub(super) record: AuditRecord,
}

/// Rows whose true place is looked for: the work grows with the cube of their number.
const SOUGHT: usize = 32;

/// Says what became of each row: in its own place but after a stranger it is no finding.
pub(super) fn sort_out(key: &AuditKey, mismatches: &[Mismatch]) -> Vec<(u64, FindingKind, String)> {
    let edited = |seq: u64| {
        let detail = format!("row {seq} or its place is not what was written");
        (seq, FindingKind::Edited, detail)
    };
    let (sought, rest) = mismatches.split_at(mismatches.len().min(SOUGHT));
    let mut findings = Vec::new();
    for Mismatch { record, .. } in sought {
        match written_as(key, record, sought) {
            Some(place) if place == record.seq => {}
            Some(place) => {
                let detail = format!("row {} was written as row {place}", record.seq);
                findings.push((record.seq, FindingKind::Reordered, detail));
            }
            None => findings.push(edited(record.seq)),
        }
    }
    if findings.is_empty() {
        // Rows of two histories, each true in itself: the seam is the finding.
        findings.extend(sought.iter().map(|mismatch| edited(mismatch.record.seq)));
    }
    findings.extend(rest.iter().map(|mismatch| edited(mismatch.record.seq)));
    findings
}

/// Finds the place for which a row's digest was made. What stood before that place stands there
/// still, or has changed places itself.
fn written_as(key: &AuditKey, record: &AuditRecord, sought: &[Mismatch]) -> Option<u64> {
    let moved: Vec<Digest> = sought.iter().map(|mismatch| mismatch.record.digest).collect();
    sought.iter().find_map(|place| {
        let seq = place.record.seq;
        let fits = |previous: &Digest| {
            key.link(*previous, seq, record.at, &record.into()) == record.digest
        };
        place.before.iter().chain(&moved).any(fits).then_some(seq)
    })
}
