//! The laws of projections, over random journals with random losses.

use std::sync::Arc;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest,
};

use super::summary::summary;
use super::{ask, call, check_both, end, notices, result, say, steered};
use crate::{
    Message, Notice, Projection, Record, RunStatus, STEERED, ToolOutcome, WindowLimits, project,
    window,
};

#[test]
fn messages_are_shared() {
    let mut projection = Projection::default();
    projection.push(&ask("?"));
    let before = projection.messages();
    projection.push(&say("!", &[]));
    let after = projection.messages();
    assert!(Arc::ptr_eq(&before[0], &after[0]));
    // A reader keeps what it read, also when the newest message grows.
    projection.push(&say("!!", &[]));
    assert_eq!(*after[1], Message::Assistant { text: "!".into(), tool_calls: vec![] });
}

#[test]
fn what_was_trimmed_is_forgotten() {
    let mut projection = Projection::default();
    for _ in 0..1_000 {
        for record in [ask("?"), say("", &[call("a", "ls", "{}")]), result("a", "x")] {
            projection.push(&record);
        }
        projection.push(&say("!", &[]));
        projection.push(&end(RunStatus::Ok));
        projection.trim(&WindowLimits { max_bytes: usize::MAX, max_messages: 4 });
    }
    assert_eq!(projection.messages().len(), 4);
    assert_eq!(projection.names.len(), 1);
}

/// Any records in any order, drawn from few ids so that they meet.
fn chaos() -> impl Strategy<Value = Record> {
    let id = || prop::sample::select(vec!["a", "b", "c", "call_1", "", "x.y"]);
    let text = || prop::sample::select(vec!["", " \n", "hello", "[]", "née"]);
    let arguments = prop::sample::select(vec!["{}", "", "{", "[1]", r#"{"a":"\ud800"}"#, "null"]);
    let calls = prop::collection::vec(
        (id(), prop::sample::select(vec!["ls", "a.b", ""]), arguments)
            .prop_map(|(id, name, arguments)| call(id, name, arguments)),
        0..4,
    );
    proptest::prop_oneof![
        3 => text().prop_map(ask),
        4 => (text(), calls).prop_map(|(text, calls)| say(text, &calls)),
        6 => (id(), text()).prop_map(|(id, text)| result(id, text)),
        1 => text().prop_map(notices),
        1 => text().prop_map(steered),
        1 => (text(), 0..40_u64).prop_map(|(text, first_kept)| summary(text, first_kept)),
        2 => prop::sample::select(RunStatus::ALL.to_vec()).prop_map(end),
    ]
}

/// A run as a gateway without faults writes it.
pub(crate) fn whole_run() -> impl Strategy<Value = Vec<Record>> {
    let steps = prop::collection::vec((0..4_usize, "[a-z]{0,9}"), 0..5);
    (steps, "[a-z]{1,9}").prop_map(|(steps, text)| {
        let mut records = vec![ask(&text)];
        for (count, said) in steps {
            let ids: Vec<_> = (0..count.max(1)).map(|at| format!("c{at}")).collect();
            let calls: Vec<_> = ids.iter().map(|id| call(id, "ls", r#"{"path":"x"}"#)).collect();
            records.push(say(&said, &calls));
            records.extend(ids.iter().rev().map(|id| result(id, &text)));
            if count == 3 {
                records.push(notices(&text));
            }
            if count == 2 {
                records.push(steered(&text));
            }
        }
        records.push(say(&text, &[]));
        records.push(end(RunStatus::Ok));
        records
    })
}

pub(crate) fn journal() -> impl Strategy<Value = Vec<Record>> {
    let whole = || prop::collection::vec(whole_run(), 0..5).prop_map(|runs| runs.concat());
    let cut =
        (whole(), prop::collection::vec(0..80_usize, 0..4)).prop_map(|(mut records, cuts)| {
            // Every cut loses a record, as a crash or a defect would.
            for cut in cuts {
                if cut < records.len() {
                    records.remove(cut);
                }
            }
            records
        });
    proptest::prop_oneof![whole(), cut, prop::collection::vec(chaos(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_part_of_every_journal_is_accepted(
        records in journal(),
        skip in 0..10_usize,
        (max_messages, max_bytes) in (0..30_usize, proptest::prop_oneof![0..60_usize, Just(400_000)]),
        trims in prop::collection::vec(proptest::bool::weighted(0.2), 100),
    ) {
        let records = records.get(skip..).unwrap_or_default();
        let limits = WindowLimits { max_bytes, max_messages };
        let mut grown = Projection::default();
        let mut trimmed = Projection::default();
        for (at, record) in records.iter().enumerate() {
            grown.push(record);
            trimmed.push(record);
            let messages = grown.messages();
            prop_assert_eq!(check_both(&messages), Ok(()));
            prop_assert_eq!(&messages, &project(&records[..=at]), "as a whole, and record by record");

            let shown = window(&messages, &limits);
            prop_assert_eq!(&grown.shown(&limits), &shown);
            let open = messages.len() - grown.len();
            let whole: usize = messages.iter().rev().skip(open).map(|message| message.bytes()).sum();
            prop_assert_eq!(grown.bytes(), whole);
            prop_assert_eq!(check_both(&shown), Ok(()));
            prop_assert_eq!(shown.is_empty(), messages.is_empty());
            prop_assert_eq!(shown.last(), messages.last(), "the newest message is shown");

            if trims[at % trims.len()] {
                let before = window(&trimmed.messages(), &limits);
                trimmed.trim(&limits);
                prop_assert_eq!(before, window(&trimmed.messages(), &limits));
            }
            prop_assert_eq!(check_both(&trimmed.messages()), Ok(()));
            let all = trimmed.messages();
            let open = all.len() - trimmed.len();
            let whole: usize = all.iter().rev().skip(open).map(|message| message.bytes()).sum();
            prop_assert_eq!(trimmed.bytes(), whole);
            prop_assert_eq!(trimmed.messages().len() <= messages.len(), true);
        }
    }

    #[test]
    fn nothing_that_was_said_is_lost(runs in prop::collection::vec(whole_run(), 0..5)) {
        let records = runs.concat();
        let (mut messages, mut told) = (project(&records).into_iter(), String::new());
        for record in &records {
            match record {
                Record::AssistantMessage(said) => {
                    let message = messages.next().unwrap();
                    let Message::Assistant { text, tool_calls } = &*message else { panic!("{message:?}") };
                    prop_assert_eq!(text, &said.text);
                    prop_assert_eq!(tool_calls.len(), said.tool_calls.len());
                    if !tool_calls.is_empty() {
                        let message = messages.next().unwrap();
                        let Message::Tool { results } = &*message else { panic!("{message:?}") };
                        prop_assert!(results.iter().all(|result| result.outcome == ToolOutcome::Ok));
                        told.push_str(&results.last().unwrap().content);
                    }
                }
                Record::UserMessage { text } => {
                    let message = messages.next().unwrap();
                    prop_assert_eq!(&*message, &Message::User { text: text.clone() });
                }
                Record::Notices { notices } => {
                    prop_assert!(told.ends_with(&Notice::told(notices)), "{}", told);
                }
                Record::Steered { text, .. } => {
                    let before = messages.next().unwrap();
                    prop_assert_eq!(&*before, &Message::Assistant { text: STEERED.into(), tool_calls: vec![] });
                    let message = messages.next().unwrap();
                    prop_assert_eq!(&*message, &Message::User { text: text.clone() });
                }
                Record::Final { .. } | Record::Summary { .. } | Record::ToolResult(_) => {}
            }
        }
        prop_assert_eq!(messages.next(), None);
    }
}
