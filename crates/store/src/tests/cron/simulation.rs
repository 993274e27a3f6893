//! A year and more of jobs, whatever the clock, people and the machine do.

use std::collections::BTreeMap;

use super::walk::{Ledger, Walk};
use crate::tests::authority::variable;

/// How long each walk is.
const DAYS: i64 = 400;
/// Steps after which the laws are looked at, and after which each ledger is.
const LOOK: u32 = 10;
const LOOK_CLOSELY: u32 = 150;
/// What has to happen, or the laws were not tried.
const HAPPENS: [&str; 15] = [
    "a crash",
    "aborted",
    "asked for",
    "cancelled",
    "changed",
    "error",
    "ok",
    "removed",
    "rotated",
    "switched",
    "taken back",
    "the clock was set",
    "the clock was set by a year",
    "timeout",
    "told",
];

#[tokio::test]
//= docs/threat-model.md#T17
async fn each_instant_is_in_the_ledger_once_whatever_happens() {
    let walks = [(1, 1_000, Ledger::Kept), (2, 120, Ledger::Kept), (3, 120, Ledger::Swept)];
    let steps = variable("OPENCLAW_SIM_STEPS");
    let walks = match variable("OPENCLAW_SIM_SEED") {
        Some(seed) if steps.is_some() => vec![(seed, 1_000, Ledger::Kept)],
        Some(seed) => vec![(seed, 200, Ledger::Kept), (seed, 200, Ledger::Swept)],
        None => walks.to_vec(),
    };
    let mut tally = BTreeMap::<_, u32>::new();
    for (seed, jobs, ledger) in walks {
        println!("OPENCLAW_SIM_SEED={seed}: {jobs} jobs, {ledger:?}");
        // A year is some two hundred steps.
        let acts = steps.map_or(1 + jobs / 150, |steps| usize::try_from(steps).unwrap() / 200);
        let mut walk = Walk::new(seed, jobs, acts, ledger).await;
        let mut step = 0;
        while walk.days() < DAYS {
            walk.step().await;
            step += 1;
            if step % LOOK == 0 {
                walk.clockwork.check_ledger();
            }
            if step % LOOK_CLOSELY == 0 {
                walk.check_dense().await;
            }
        }
        walk.come_to_rest().await;
        walk.clockwork.check().await;
        let checked = walk.check_dense().await;
        // In a long walk nothing is left alone for long.
        let is_left_alone = ledger == Ledger::Kept && steps.is_none();
        assert!(!is_left_alone || checked > 10, "{checked} were never changed");
        let rows = walk.clockwork.count("SELECT count(*) FROM cron_occurrences");
        let all = walk.clockwork.count("SELECT count(*) FROM runs");
        println!("{step} steps, {rows} rows, {all} runs, {checked} ledgers looked through");
        for (what, count) in std::mem::take(&mut walk.tally) {
            *tally.entry(what).or_default() += count;
        }
    }
    for (what, count) in &tally {
        println!("{count:9} {what}");
    }
    let missing = |what: &&&str| !tally.contains_key(**what);
    let is_given = variable("OPENCLAW_SIM_SEED").is_some();
    assert_eq!(HAPPENS.iter().filter(|_| !is_given).find(missing), None, "what was never tried");
}
