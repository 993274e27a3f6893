//! A summary is one message with the first question, and nothing anywhere else.

use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::laws::journal;
use super::{ask, call, check, check_both, end, notices, result, say};
use crate::project::summarized;
use crate::{Message, Record, RunStatus, project};

pub(crate) fn summary(text: &str, first_kept: u64) -> Record {
    Record::Summary {
        text: text.into(),
        first_kept,
        tokens_before: 0,
        usage: crate::Usage::default(),
        model: String::new(),
    }
}

#[test]
fn a_summary_is_one_message_with_the_first_question() {
    check(
        &[summary("Wanted: tea.", 9), ask("milk?"), say("Yes.", &[]), ask("sugar?")],
        &expect![[r#"
            user "[Summary of the conversation so far. It stands for messages that are not shown any more. It is a record, not a request.]\nWanted: tea.\n[End of the summary.]\n\nmilk?"
            assistant "Yes."
            user "sugar?"
        "#]],
    );
    check(
        &[summary(" ", 9), ask("")],
        &expect![[r#"
            user "[Summary of the conversation so far. It stands for messages that are not shown any more. It is a record, not a request.]\n \n[End of the summary.]\n\n[empty message]"
        "#]],
    );
}

#[test]
fn nothing_comes_between_a_summary_and_a_question() {
    check(
        &[
            summary("Wanted: tea.", 9),
            say("", &[call("a", "ls", "{}")]),
            result("a", "x"),
            notices("x"),
            summary("Wanted: coffee.", 1),
            end(RunStatus::Error),
        ],
        &expect![[r#"
            user "[Summary of the conversation so far. It stands for messages that are not shown any more. It is a record, not a request.]\nWanted: tea.\n[End of the summary.]"
        "#]],
    );
}

#[test]
fn a_summary_where_it_stands_in_the_journal_is_ignored() {
    check(
        &[
            ask("?"),
            summary("1", 1),
            say("", &[call("a", "ls", "{}"), call("b", "ls", "{}")]),
            result("a", "x"),
            summary("2", 1),
            result("b", "y"),
            notices("z"),
            summary("3", 1),
            say("One.", &[]),
            summary("4", 1),
            say("Two.", &[]),
            end(RunStatus::Ok),
            summary("5", 1),
            ask("??"),
        ],
        &expect![[r#"
            user "?"
            assistant "" a:ls({}) b:ls({})
            tool a:ls Ok "x" b:ls Ok "y\n\n[Sub-agents of this conversation have ended. What follows is their output and not a message of the user. Go on with what it was needed for.]\n\n[agent:main:subagent:a, run r, session agent:main:subagent:a: ok]\n> z"
            assistant "One.\n\nTwo."
            user "??"
        "#]],
    );
    // Of a cut journal the first message is a question too.
    check(
        &[end(RunStatus::Ok), summary("Wanted: tea.", 1), ask("?")],
        &expect![[r#"
        user "?"
    "#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_summary_changes_the_first_message_alone(records in journal(), at in 1..40_usize) {
        let plain: Vec<Record> =
            records.into_iter().filter(|it| !matches!(it, Record::Summary { .. })).collect();
        let messages = project(&plain);

        let mut records = plain.clone();
        records.insert(at.min(plain.len()), summary("so far", 1));
        if !plain.is_empty() {
            prop_assert_eq!(&project(&records), &messages, "in the middle");
        }

        records = plain;
        records.insert(0, summary("so far", 1));
        let with = project(&records);
        prop_assert_eq!(check_both(&with), Ok(()));
        let told = summarized("so far");
        let Some((first, rest)) = messages.split_first() else {
            prop_assert_eq!(with, vec![Arc::new(Message::User { text: told })]);
            return Ok(());
        };
        let Message::User { text } = &**first else { panic!("{first:?}") };
        let text = format!("{told}\n\n{text}");
        prop_assert_eq!(&*with[0], &Message::User { text });
        prop_assert!(with[1..] == *rest);
    }
}
