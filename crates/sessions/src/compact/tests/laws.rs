//! The laws of compaction, over random journals with random losses, compacted again and again.

use std::sync::Arc;

use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, prop, prop_assert, prop_assert_eq, proptest,
};

use super::super::{CompactError, CompactLimits, CompactPlan, CompactTrigger};
use super::{Asked, Overflow, Threshold, numbered};
use crate::project::summarized;
use crate::project::tests::check_both;
use crate::project::tests::laws::{journal, whole_run};
use crate::project::tests::summary::summary;
use crate::{Message, Record, Usage, accept_summary, estimate_tokens, plan_compaction, project};

/// A journal in which a text may be large, and which may hold summaries of its own.
fn large_journal() -> impl Strategy<Value = Vec<Record>> {
    let whole = prop::collection::vec(whole_run(), 2..8).prop_map(|runs| runs.concat());
    let sizes = prop::collection::vec(proptest::prop_oneof![0..40_usize, 0..4_000_usize], 1..20);
    (proptest::prop_oneof![whole, journal()], sizes).prop_map(|(mut records, sizes)| {
        for (record, size) in records.iter_mut().zip(sizes.into_iter().cycle()) {
            let text = match record {
                Record::AssistantMessage(message) => &mut message.text,
                Record::ToolResult(result) => &mut result.content,
                Record::Steered { text, .. }
                | Record::Summary { text, .. }
                | Record::UserMessage { text } => text,
                Record::Final { .. } | Record::Notices { .. } => continue,
            };
            text.push_str(&"é".repeat(size));
        }
        records
    })
}

fn limits() -> impl Strategy<Value = CompactLimits> {
    let window = proptest::prop_oneof![0..600_u64, 600..20_000_u64];
    (window, 0..5_usize, 0..3_000_u64, 0..20_000_usize).prop_map(
        |(window, keep_turns, keep_recent, max_transcript)| CompactLimits {
            keep_recent,
            keep_turns,
            max_transcript,
            window,
        },
    )
}

fn tokens(messages: &[Arc<Message>]) -> u64 {
    estimate_tokens(messages.iter().map(|message| message.bytes()).sum())
}

/// Returns the messages without the ids of calls, which depend on those before.
fn without_ids(messages: &[Arc<Message>]) -> Vec<Message> {
    let blank = |message: &Arc<Message>| {
        let mut message = Message::clone(message);
        match &mut message {
            Message::Assistant { tool_calls, .. } => {
                tool_calls.iter_mut().for_each(|call| call.id.clear());
            }
            Message::Tool { results } => results.iter_mut().for_each(|it| it.call_id.clear()),
            Message::User { .. } => {}
        }
        message
    };
    messages.iter().map(blank).collect()
}

/// Returns what a caller reads who knows the newest summary: that, and the records from its cut on.
fn known(journal: &[Record]) -> Vec<(u64, &Record)> {
    let entries = numbered(journal);
    let newest = entries.iter().rev().find_map(|(entry, record)| match record {
        Record::Summary { first_kept, .. } => Some((*entry, *record, *first_kept)),
        _ => None,
    });
    let Some((entry, record, first_kept)) = newest else { return entries };
    let mut known = vec![(entry, record)];
    let kept = |(number, record): &(u64, &Record)| {
        *number >= first_kept && !matches!(record, Record::Summary { .. })
    };
    known.extend(entries.into_iter().filter(kept));
    known
}

fn shown(entries: &[(u64, &Record)]) -> Vec<Arc<Message>> {
    let records: Vec<Record> = entries.iter().map(|(_, record)| (*record).clone()).collect();
    project(&records)
}

/// Checks one plan of a journal, and the journal after it was carried out.
fn check_plan(
    journal: &mut Vec<Record>,
    plan: &CompactPlan,
    limits: &CompactLimits,
    overhead: u64,
) -> Result<(), TestCaseError> {
    let before = shown(&known(journal));
    prop_assert_eq!(plan.tokens_before, tokens(&before));
    prop_assert!(plan.transcript.len() <= limits.max_transcript);
    let cut = usize::try_from(plan.first_kept).unwrap() - 1;
    prop_assert!(matches!(journal[cut], Record::UserMessage { .. }), "cut at {:?}", journal[cut]);
    let folds_a_question = known(journal).iter().any(|(entry, record)| {
        *entry < plan.first_kept && matches!(record, Record::UserMessage { .. })
    });
    prop_assert!(folds_a_question);

    let longest = "s".repeat(usize::try_from(plan.max_summary).unwrap() * 4);
    let text = accept_summary(&longest, plan).unwrap();
    let longer = accept_summary(&format!("{text}s"), plan);
    prop_assert!(longer.is_err());
    let told = summarized(&text);
    journal.push(summary(&text, plan.first_kept));

    let after = shown(&known(journal));
    prop_assert_eq!(check_both(&after), Ok(()));
    prop_assert!(tokens(&after) < plan.tokens_before);
    prop_assert!(tokens(&after) <= limits.budget(overhead));

    // What is kept is what was shown before, and what it would be by itself.
    let kept: Vec<Record> = journal[cut..]
        .iter()
        .filter(|record| !matches!(record, Record::Summary { .. }))
        .cloned()
        .collect();
    let (kept, before) = (without_ids(&project(&kept)), without_ids(&before));
    prop_assert_eq!(&before[before.len() - kept.len()..], &kept[..]);
    let mut after = without_ids(&after);
    if let Some(Message::User { text }) = after.first_mut() {
        *text = text.strip_prefix(&format!("{told}\n\n")).unwrap_or("not told").to_owned();
    }
    prop_assert_eq!(after, kept);
    Ok(())
}

/// Plans, and checks that it does not matter whether the whole journal is read.
fn planned(
    journal: &[Record],
    limits: &CompactLimits,
    overhead: u64,
    why: CompactTrigger,
) -> Result<Result<CompactPlan, CompactError>, TestCaseError> {
    let plan = plan_compaction(&known(journal), limits, overhead, why);
    prop_assert_eq!(&plan, &plan_compaction(&numbered(journal), limits, overhead, why));
    Ok(plan)
}

/// Nothing is counted that stands between a summary and what follows it where nothing does.
#[test]
fn a_summary_alone_is_as_long_as_it_is() {
    for length in 60..70 {
        let text = "a".repeat(length);
        let question = Record::UserMessage { text: String::new() };
        let summary = Record::Summary {
            text,
            first_kept: 2,
            tokens_before: 0,
            usage: Usage::default(),
            model: String::new(),
        };
        let journal = [question, summary];
        let limits =
            CompactLimits { keep_recent: 0, keep_turns: 0, max_transcript: 0, window: 273 };
        for overhead in 130..160 {
            let is_due = tokens(&shown(&known(&journal))) + overhead > 273 - limits.reserve();
            let planned = planned(&journal, &limits, overhead, Threshold).unwrap();
            assert_eq!(planned == Err(CompactError::NotDue), !is_due, "{length} {overhead}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_plan_is_sound(
        journals in prop::collection::vec(large_journal(), 1..4),
        limits in limits(),
        overhead in 0..200_u64,
        why in prop::sample::select(vec![Asked, Overflow, Threshold]),
    ) {
        let mut journal = Vec::new();
        for more in journals {
            journal.extend(more);
            let is_due = tokens(&shown(&known(&journal))) + overhead
                > limits.window - limits.reserve();
            match planned(&journal, &limits, overhead, why)? {
                Ok(plan) => {
                    prop_assert!(is_due || why != Threshold);
                    check_plan(&mut journal, &plan, &limits, overhead)?;
                    let again = planned(&journal, &limits, overhead, Threshold)?;
                    prop_assert_eq!(again, Err(CompactError::NotDue));
                }
                Err(CompactError::NotDue) => prop_assert!(!is_due && why == Threshold),
                Err(CompactError::NothingToFold) => prop_assert!(!is_due && why == Asked),
                Err(CompactError::Uncompactable) => prop_assert!(is_due || why == Overflow),
            }
        }
    }

    #[test]
    fn who_asks_again_and_again_comes_to_an_end(mut journal in large_journal(), limits in limits()) {
        let mut rounds = 0;
        while let Ok(plan) = planned(&journal, &limits, 0, Asked)? {
            check_plan(&mut journal, &plan, &limits, 0)?;
            rounds += 1;
            prop_assert!(rounds <= journal.len());
        }
    }
}
