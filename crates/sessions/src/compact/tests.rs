//! When there is a plan, and where it cuts.

mod laws;
mod transcript;

use super::{CompactError, CompactLimits, CompactPlan, CompactTrigger, plan_compaction};
use crate::project::tests::summary::summary;
use crate::project::tests::{ask, call, end, result, say};
use crate::{Record, RunStatus};

use CompactError::{NotDue, NothingToFold, Uncompactable};
use CompactTrigger::{Asked, Overflow, Threshold};

/// Numbers the records from 1.
fn numbered(records: &[Record]) -> Vec<(u64, &Record)> {
    (1..).zip(records).collect()
}

/// Makes a journal of runs of three entries, with so many tokens each: the first is entry 1, the second 4.
fn runs(tokens: &[usize]) -> Vec<Record> {
    let run = |tokens: &usize| {
        let bytes = tokens * 4;
        let asked = ask(&"q".repeat(bytes / 2));
        [asked, say(&"a".repeat(bytes - bytes / 2), &[]), end(RunStatus::Ok)]
    };
    tokens.iter().flat_map(run).collect()
}

/// Limits for a window with a quarter in reserve.
fn limits(window: u64, keep_turns: usize, keep_recent: u64) -> CompactLimits {
    CompactLimits { keep_recent, keep_turns, ..CompactLimits::new(window) }
}

#[test]
#[rustfmt::skip]
fn reserve_and_budget() {
    //    window     overhead  reserve  budget
    for (window,     overhead, reserve, budget) in [
        (0,          0,        0,       0),
        (3,          0,        0,       3),
        (32_768,     0,        8_192,   24_576),      // the example of the reference
        (32_768,     4_576,    8_192,   20_000),
        (32_768,     99_999,   8_192,   0),
        (80_000,     0,        20_000,  60_000),
        (200_000,    10_000,   20_000,  170_000),
        (u64::MAX,   0,        20_000,  u64::MAX - 20_000),
    ] {
        let limits = CompactLimits::new(window);
        assert_eq!((limits.reserve(), limits.budget(overhead)), (reserve, budget), "{window}");
        assert_eq!((limits.keep_recent, limits.keep_turns), (20_000, 3));
    }
    let most = CompactLimits::new(32_768).max_transcript;
    assert_eq!(most, 4 * 24_576 - super::SUMMARY_PROMPT.len());
}

#[test]
#[rustfmt::skip]
fn where_it_is_cut() {
    #[track_caller]
    fn check(
        tokens: &[usize],
        (window, keep_turns, keep_recent): (u64, usize, u64),
        overhead: u64,
        trigger: CompactTrigger,
        expected: Result<usize, CompactError>,
    ) {
        let journal = runs(tokens);
        let limits = limits(window, keep_turns, keep_recent);
        let plan = plan_compaction(&numbered(&journal), &limits, overhead, trigger);
        let kept = plan.map(|plan| tokens.len() - usize::try_from(plan.first_kept / 3).unwrap());
        assert_eq!(kept, expected);
    }
    let (c, k) = (1_000, 10_000);

    //     tokens of the runs              window  turns recent   overhead  why        turns kept
    // A budget of 12 000: it is due above that.
    check(&[],                             (16_000, 3,      0),         0, Threshold, Err(NotDue));
    check(&[6*c, 6*c],                     (16_000, 3,      0),         0, Threshold, Err(NotDue));
    check(&[6*c, 6*c],                     (16_000, 1,      0),         1, Threshold, Ok(1));
    check(&[6*c, 6*c + 1],                 (16_000, 1,      0),         0, Threshold, Ok(1));
    // Turns are kept while they have no more than half of the budget.
    check(&[9*c, c, c, c, c],              (16_000, 3,      0),         0, Threshold, Ok(3));
    check(&[9*c, c, c, c, c],              (16_000, 4,      0),         0, Threshold, Ok(4));
    check(&[9*c, c, c, c, c],              (16_000, 9,      0),         0, Threshold, Ok(4));
    check(&[9*c, 2*c, 2*c, 2*c],           (16_000, 3,      0),         0, Threshold, Ok(3));
    check(&[9*c, 2*c, 2*c, 2*c + 1],       (16_000, 3,      0),         0, Threshold, Ok(2));
    check(&[9*c, 2*c, 2*c, 2*c],           (16_000, 3,      0),     1_000, Threshold, Ok(2));
    // The newest always is, as it is all that there is to go on with.
    check(&[9*c, 2*c, 2*c, 2*c],           (16_000, 0,      0),         0, Threshold, Ok(1));
    check(&[2*c, 2*c, 2*c, 9*c],           (16_000, 3, 20_000),         0, Threshold, Ok(1));
    // As are as many tokens, though not more than half.
    check(&[9*c, c, c, c, c],              (16_000, 0,  2_500),         0, Threshold, Ok(3));
    check(&[9*c, c, c, c, c],              (16_000, 0,  3_000),         0, Threshold, Ok(3));
    check(&[9*c, c, c, c, c],              (16_000, 0, 20_000),         0, Threshold, Ok(4));
    check(&[2*c, 5*c, 5*c, c],             (16_000, 0, 20_000),         0, Threshold, Ok(2));
    // The newest run is too large, or leaves no room for a summary.
    check(&[20*c],                         (16_000, 3,      0),         0, Threshold, Err(Uncompactable));
    check(&[c, 12*c],                      (16_000, 3,      0),         0, Threshold, Err(Uncompactable));
    check(&[c, 12*c - 100],                (16_000, 3,      0),         0, Threshold, Err(Uncompactable));
    check(&[c, 12*c - 300],                (16_000, 3,      0),         0, Threshold, Ok(1));
    check(&[c, c, c],                      (16_000, 3,      0),    20_000, Threshold, Err(Uncompactable));
    check(&[],                             (16_000, 3,      0),    20_000, Threshold, Err(Uncompactable));
    // A run that is too large and over can be folded.
    check(&[c, 50*c, c],                   (16_000, 1,      0),         0, Threshold, Ok(1));

    // Who asks need not wait, but what is to be kept is.
    check(&[k, k, k, k, k],                (200_000, 3,      0),        0, Threshold, Err(NotDue));
    check(&[k, k, k, k, k],                (200_000, 3,      0),        0, Asked,     Ok(3));
    check(&[k, k, k, k, k],                (200_000, 1, 20_000),        0, Asked,     Ok(2));
    check(&[k, k],                         (200_000, 1, 20_000),        0, Asked,     Err(NothingToFold));
    check(&[k],                            (200_000, 1,      0),        0, Asked,     Err(NothingToFold));
    check(&[],                             (200_000, 1,      0),        0, Asked,     Err(NothingToFold));
    check(&[255, k],                       (200_000, 1,      0),        0, Asked,     Err(NothingToFold));
    check(&[256, k],                       (200_000, 1,      0),        0, Asked,     Ok(1));
    check(&[200*c],                        (200_000, 1,      0),        0, Asked,     Err(Uncompactable));

    // What the provider refused is too large, whatever the estimate says.
    check(&[c, c, c, c],                   (200_000, 3, 20_000),        0, Overflow,  Ok(2));
    check(&[c, c],                         (200_000, 3, 20_000),        0, Overflow,  Ok(1));
    check(&[c],                            (200_000, 3, 20_000),        0, Overflow,  Err(Uncompactable));
    check(&[9*c, c, c, c, c],              (16_000,  3,      0),        0, Overflow,  Ok(3));
}

#[track_caller]
fn planned(entries: &[(u64, &Record)], limits: &CompactLimits, why: CompactTrigger) -> CompactPlan {
    plan_compaction(entries, limits, 0, why).unwrap()
}

#[test]
fn what_a_plan_says() {
    let journal = runs(&[9_000, 1_000, 1_000, 2_000]);
    let plan = planned(&numbered(&journal), &limits(16_000, 2, 0), Threshold);
    let CompactPlan { first_kept, max_summary, tokens_before, tokens_folded, transcript } = plan;
    assert_eq!((first_kept, tokens_before, tokens_folded), (7, 13_000, 10_000));
    assert_eq!(max_summary, 2_500);
    assert!(transcript.starts_with("user:\n  qqq") && transcript.ends_with("aaa\n"));
    assert_eq!(transcript.matches("user:").count(), 2);
}

#[test]
fn an_earlier_summary_is_folded_into_the_new_one() {
    // The first run is not shown any more, and the summary of it stands in the third.
    let mut journal = runs(&[50_000, 9_000, 1_000, 1_000]);
    journal.insert(7, summary("Wanted: tea.", 4));
    let entries = numbered(&journal);
    let plan = planned(&entries, &limits(16_000, 1, 0), Asked);
    assert_eq!(plan.first_kept, 11);
    assert_eq!((plan.tokens_before, plan.tokens_folded), (11_040, 10_040));
    assert!(plan.transcript.starts_with("summary of what was before:\n  Wanted: tea.\nuser:\n  q"));
    assert_eq!(plan.transcript.matches("user:").count(), 2);

    // The same of what a caller reads who knows the summary, and of one with an older summary.
    let mut short = vec![entries[7]];
    short.extend_from_slice(&entries[3..7]);
    short.extend_from_slice(&entries[8..]);
    assert_eq!(planned(&short, &limits(16_000, 1, 0), Asked), plan);
    let older = summary("Wanted: coffee.", 9);
    short.push((2, &older));
    assert_eq!(planned(&short, &limits(16_000, 1, 0), Asked), plan);
}

#[test]
fn a_summary_never_stands_for_a_summary_alone() {
    // The model has a smaller window than the one for which the summary was made.
    let text = "s".repeat(80_000);
    let mut journal = vec![ask("gone"), summary(&text, 3)];
    journal.extend(runs(&[1_000]));
    let limits = limits(16_000, 3, 0);
    for (why, error) in [(Asked, Uncompactable), (Overflow, Uncompactable)] {
        assert_eq!(plan_compaction(&numbered(&journal), &limits, 0, why), Err(error));
    }
    // With a run to fold it is, although few turns are kept then.
    journal.extend(runs(&[1_000]));
    let plan = planned(&numbered(&journal), &limits, Threshold);
    assert_eq!((plan.first_kept, plan.tokens_folded), (6, 21_037));

    // A summary that stands for all there is leaves nothing to plan with.
    let journal = [ask("gone"), summary("Wanted: tea.", 3)];
    for (why, error) in [(Threshold, NotDue), (Asked, NothingToFold), (Overflow, Uncompactable)] {
        assert_eq!(plan_compaction(&numbered(&journal), &limits, 0, why), Err(error));
    }
}

#[test]
fn a_run_that_goes_on_is_kept_whole() {
    let mut journal = runs(&[9_000, 1_000]);
    let calls = [call("a", "ls", "{}"), call("b", "ls", "{}")];
    journal.extend([ask("?"), say("", &calls), result("a", &"x".repeat(12_000))]);
    let plan = planned(&numbered(&journal), &limits(16_000, 1, 0), Threshold);
    assert_eq!(plan.first_kept, 7);
    assert!(!plan.transcript.contains("ls"));
}

#[test]
fn each_reason_is_told() {
    let told = [NotDue, NothingToFold, Uncompactable].map(|error| error.to_string());
    assert_eq!(
        told,
        [
            "compaction is not due",
            "nothing to compact",
            "the newest run alone is too large for the model's context window",
        ]
    );
}
