//! What a tampered log looks like to whoever verifies it.

use openclaw_scopes::Timestamp;
use rusqlite::{Connection, params};

use super::{
    AuditHead, AuditKey, AuditRecord, COLUMNS, Digest, FindingKind, SealAudit, Verification,
};
use crate::Store;
use crate::tests::{Bed, create, owner, retention};

const ROWS: u64 = 12;

/// A log of twelve rows, closed.
async fn written() -> Bed {
    let bed = Bed::new();
    let store = bed.open();
    for index in 0..ROWS {
        bed.create(&store, &format!("s{index}")).await;
    }
    store.close();
    // Whoever can write the file can drop what guards it.
    bed.raw().execute_batch("DROP TRIGGER audit_is_append_only").unwrap();
    bed
}

fn found(verification: &Verification) -> Vec<(u64, FindingKind)> {
    verification.findings.iter().map(|finding| (finding.seq, finding.kind)).collect()
}

fn verified(bed: &Bed, known: Option<AuditHead>) -> Verification {
    let store = bed.open();
    store.verify_audit(known).unwrap()
}

async fn check(tampering: &str, expected: &[(u64, FindingKind)]) {
    let bed = written().await;
    let connection = bed.raw();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    connection.execute_batch(tampering).unwrap();
    drop(connection);
    assert_eq!(found(&verified(&bed, None)), expected, "{tampering}");
    // A restart does not write over the evidence.
    assert_eq!(found(&verified(&bed, None)), expected, "again: {tampering}");
}

const SWAP_TWO: &str = "UPDATE audit SET seq = 100 WHERE seq = 4;
    UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 100;";
const SWAP_FAR: &str = "UPDATE audit SET seq = 100 WHERE seq = 3;
    UPDATE audit SET seq = 3 WHERE seq = 9; UPDATE audit SET seq = 9 WHERE seq = 100;";
const SHIFT: &str = "DELETE FROM audit WHERE seq = 10;
    UPDATE audit SET seq = 10 WHERE seq = 11; UPDATE audit SET seq = 11 WHERE seq = 12;";

#[tokio::test]
//= docs/threat-model.md#T20
async fn every_tampering_is_found_where_it_was_done() {
    use FindingKind::{Edited, Removed, Reordered, Truncated};
    check("", &[]).await;
    for column in ["principal", "on_behalf_of", "method", "target", "decision", "reason", "cause"] {
        check(&format!("UPDATE audit SET {column} = 'failed' WHERE seq = 5"), &[(5, Edited)]).await;
        let not_text = format!("UPDATE audit SET {column} = CAST(x'ff' AS TEXT) WHERE seq = 5");
        check(&not_text, &[(5, Edited)]).await;
    }
    for change in ["at = at + 1", "count = 2", "digest = zeroblob(32)", "count = -1"] {
        check(&format!("UPDATE audit SET {change} WHERE seq = 5"), &[(5, Edited)]).await;
    }
    check("UPDATE audit SET digest = zeroblob(3) WHERE seq = 5", &[(5, Edited)]).await;
    let two = "UPDATE audit SET target = 'x' WHERE seq IN (5, 6)";
    check(two, &[(5, Edited), (6, Edited)]).await;
    check("DELETE FROM audit WHERE seq = 1", &[(1, Removed)]).await;
    check("DELETE FROM audit WHERE seq BETWEEN 5 AND 7", &[(5, Removed)]).await;
    check(SWAP_TWO, &[(4, Reordered), (5, Reordered)]).await;
    check(SWAP_FAR, &[(3, Reordered), (9, Reordered)]).await;
    // What stood before its place is gone: it cannot be told from an edited row.
    check(SHIFT, &[(10, Edited), (11, Edited), (12, Truncated)]).await;
    // The tail alone, and the tail with the head in the database.
    check("DELETE FROM audit WHERE seq > 9", &[(10, Truncated)]).await;
    let tail = "DELETE FROM audit WHERE seq > 9;
        UPDATE audit_chain SET seq = 9, digest = (SELECT digest FROM audit WHERE seq = 9)";
    check(tail, &[(10, Truncated)]).await;
    check("UPDATE audit_chain SET seq = 9", &[(9, FindingKind::Rewritten), (12, Edited)]).await;
}

fn key(bed: &Bed) -> AuditKey {
    AuditKey::new(&std::fs::read(bed.path("audit.key")).unwrap().try_into().unwrap())
}

/// Edits a row and computes the chain anew from there, as a thief of the key can.
fn rewrite(bed: &Bed, connection: &Connection, from: u64) {
    let key = key(bed);
    connection.execute("UPDATE audit SET target = 'x' WHERE seq = ?1", [from]).unwrap();
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq")).unwrap();
    let rows = statement.query_map([], AuditRecord::from_row).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    let mut head = AuditHead::START;
    for row in rows {
        let digest = key.link(head.digest, row.seq, row.at, &(&row).into());
        head = AuditHead { seq: row.seq, digest };
        let sql = "UPDATE audit SET digest = ?2 WHERE seq = ?1";
        connection.execute(sql, params![row.seq, digest.0]).unwrap();
    }
    let sql = "UPDATE audit_chain SET seq = ?1, digest = ?2";
    connection.execute(sql, params![head.seq, head.digest.0]).unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T20
async fn a_recomputed_chain_contradicts_heads_kept_elsewhere() {
    let bed = written().await;
    let store = bed.open();
    let logged = store.audit_head().unwrap();
    store.close();
    rewrite(&bed, &bed.raw(), 5);
    let rewritten = [(12, FindingKind::Rewritten)];
    assert_eq!(found(&verified(&bed, None)), rewritten, "by audit.head");
    // Work goes on; the head that was contradicted stays a witness.
    let store = bed.open();
    bed.create(&store, "later").await;
    store.close();
    assert_eq!(found(&verified(&bed, None)), rewritten);
    assert!(bed.path("audit.head.disputed").exists());
    // A thief of everything on this machine is found by a head that was logged elsewhere.
    std::fs::remove_file(bed.path("audit.head.disputed")).unwrap();
    assert_eq!(found(&verified(&bed, None)), []);
    assert_eq!(found(&verified(&bed, Some(logged))), rewritten, "by a head given");
}

#[tokio::test]
//= docs/threat-model.md#T20
async fn a_tail_cut_with_everything_is_found_by_a_given_head() {
    let bed = written().await;
    let store = bed.open();
    let logged = store.audit_head().unwrap();
    store.close();
    let tail = "DELETE FROM audit WHERE seq > 9;
        UPDATE audit_chain SET seq = 9, digest = (SELECT digest FROM audit WHERE seq = 9)";
    bed.raw().execute_batch(tail).unwrap();
    std::fs::remove_file(bed.path("audit.head")).unwrap();
    // The gateway writes a head file again when it serves; before, its absence is a finding.
    let offline = |known| {
        let path = bed.path("audit.head");
        super::verify(&bed.raw(), &key(&bed), &path, known).unwrap()
    };
    assert_eq!(found(&offline(None)), [(0, FindingKind::HeadMissing)]);
    let expected = [(0, FindingKind::HeadMissing), (10, FindingKind::Truncated)];
    assert_eq!(found(&offline(Some(logged))), expected);
    std::fs::write(bed.path("audit.head"), "{ garbled").unwrap();
    assert_eq!(found(&offline(Some(logged))), expected);
    let other = AuditHead { seq: 3, digest: Digest::START };
    let expected = [(0, FindingKind::HeadMissing), (3, FindingKind::Rewritten)];
    assert_eq!(found(&offline(Some(other))), expected);
}

async fn seal(bed: &Bed, store: &Store, before: Timestamp) -> u64 {
    store.act(&retention(), SealAudit { before }, bed.now()).await.unwrap()
}

#[tokio::test]
async fn sealed_rows_leave_a_chain_that_holds() {
    let bed = written().await;
    let store = bed.open();
    let rows = bed.audit(&store).await;
    let inside = AuditHead { seq: 3, digest: rows[2].digest };
    assert_eq!(seal(&bed, &store, rows[0].at).await, 0, "nothing is old enough");
    assert_eq!(seal(&bed, &store, rows[5].at).await, 5);
    assert_eq!(seal(&bed, &store, rows[5].at).await, 0);
    assert_eq!(seal(&bed, &store, rows[8].at).await, 3);
    let verification = store.verify_audit(Some(inside)).unwrap();
    assert_eq!(found(&verification), []);
    assert_eq!(verification.unchecked, [inside], "nothing can be said about it");
    assert_eq!((verification.sealed, verification.checked), (8, 6));
    let seam = AuditHead { seq: 5, digest: rows[4].digest };
    let verification = store.verify_audit(Some(seam)).unwrap();
    assert_eq!((found(&verification).len(), verification.unchecked.len()), (0, 0));
    store.close();
    // All of it: the log goes on behind the last segment.
    let store = bed.open();
    assert_eq!(seal(&bed, &store, bed.now()).await, 6);
    store.act(&owner(), create("after"), bed.now()).await.unwrap();
    bed.verify(&store);
    let wrong = AuditHead { seq: 14, digest: Digest::START };
    let verification = store.verify_audit(Some(wrong)).unwrap();
    assert_eq!(found(&verification), [(14, FindingKind::Rewritten)]);
}

#[tokio::test]
async fn a_tampered_segment_is_found() {
    use FindingKind::{Edited, Removed, Segment};
    let cases: &[(&str, &[(u64, FindingKind)])] = &[
        ("UPDATE audit_segments SET sealed_at = 1 WHERE first_seq = 6", &[(6, Segment)]),
        ("UPDATE audit_segments SET digest = zeroblob(32) WHERE first_seq = 1", &[(1, Segment)]),
        ("DELETE FROM audit_segments WHERE first_seq = 1", &[(6, Segment)]),
        ("DELETE FROM audit_segments", &[(1, Removed)]),
        (
            "UPDATE audit_segments SET digest = zeroblob(32) WHERE first_seq = 6",
            &[(6, Segment), (9, Edited)],
        ),
    ];
    for (tampering, expected) in cases {
        let bed = written().await;
        let store = bed.open();
        let rows = bed.audit(&store).await;
        assert_eq!(seal(&bed, &store, rows[5].at).await, 5);
        assert_eq!(seal(&bed, &store, rows[8].at).await, 3);
        store.close();
        bed.raw().execute_batch(tampering).unwrap();
        assert_eq!(found(&verified(&bed, None)), *expected, "{tampering}");
    }
}

/// A log that was recomputed without the key is beyond doubt: a bounded number of findings says so.
#[tokio::test]
async fn findings_are_bounded() {
    let bed = Bed::new();
    let store = bed.open();
    for index in 0..150 {
        bed.create(&store, &format!("s{index}")).await;
    }
    store.close();
    std::fs::write(bed.path("audit.key"), [1; 32]).unwrap();
    let verification = verified(&bed, None);
    assert_eq!(verification.findings.len(), 100);
    assert_eq!(verification.checked, 150);
}
