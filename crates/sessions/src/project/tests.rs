//! Whatever the journal holds, the history is one that every provider accepts.

mod dialect;
pub(crate) mod laws;
pub(crate) mod summary;

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::project;
use crate::{
    AssistantMessage, Message, Notice, Record, RunStatus, ToolCall, ToolOutcome, ToolResult,
};
use dialect::{check_anthropic, check_openai};

pub(crate) fn ask(text: &str) -> Record {
    Record::UserMessage { text: text.into() }
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

pub(crate) fn say(text: &str, tool_calls: &[ToolCall]) -> Record {
    Record::AssistantMessage(AssistantMessage {
        text: text.into(),
        tool_calls: tool_calls.to_vec(),
        ..Default::default()
    })
}

pub(crate) fn result(id: &str, content: &str) -> Record {
    Record::ToolResult(ToolResult {
        call_id: id.into(),
        name: "ls".into(),
        outcome: ToolOutcome::Ok,
        content: content.into(),
    })
}

pub(crate) fn notices(text: &str) -> Record {
    Record::Notices {
        notices: vec![Notice {
            run: "r".into(),
            kind: crate::NoticeKind::End,
            child: "agent:main:subagent:a".into(),
            label: String::new(),
            status: RunStatus::Ok,
            text: text.into(),
        }],
    }
}

pub(crate) fn steered(text: &str) -> Record {
    Record::Steered { run: "s".into(), text: text.into() }
}

pub(crate) fn end(status: RunStatus) -> Record {
    Record::Final { status, error: None }
}

pub(crate) fn check_both(messages: &[Arc<Message>]) -> Result<(), String> {
    check_openai(messages).map_err(|error| format!("openai: {error}"))?;
    check_anthropic(messages).map_err(|error| format!("anthropic: {error}"))
}

#[track_caller]
fn check(records: &[Record], expected: &Expect) {
    let messages = project(records);
    check_both(&messages).unwrap();
    let mut text = String::new();
    for message in messages {
        match &*message {
            Message::Assistant { text: said, tool_calls } => {
                write!(text, "assistant {said:?}").unwrap();
                for call in tool_calls {
                    write!(text, " {}:{}({})", call.id, call.name, call.arguments).unwrap();
                }
            }
            Message::Tool { results } => {
                write!(text, "tool").unwrap();
                for result in results {
                    let outcome = result.outcome;
                    write!(
                        text,
                        " {}:{} {outcome:?} {:?}",
                        result.call_id, result.name, result.content
                    )
                    .unwrap();
                }
            }
            Message::User { text: asked } => write!(text, "user {asked:?}").unwrap(),
        }
        text.push('\n');
    }
    expected.assert_eq(&text);
}

#[test]
fn a_whole_run_is_shown_as_it_was() {
    let calls = [call("a", "ls", r#"{"path":"."}"#), call("b", "ls", "{}")];
    check(
        &[
            ask("what is here?"),
            say("Let me see.", &calls),
            result("b", "two"),
            result("a", "one"),
            say("One and two.", &[]),
            end(RunStatus::Ok),
            ask("thanks"),
        ],
        &expect![[r#"
            user "what is here?"
            assistant "Let me see." a:ls({"path":"."}) b:ls({})
            tool a:ls Ok "one" b:ls Ok "two"
            assistant "One and two."
            user "thanks"
        "#]],
    );
}

#[test]
fn a_run_without_an_answer_gets_one() {
    for (status, expected) in [
        (
            RunStatus::Aborted,
            expect![[r#"
            user "?"
            assistant "[This run was stopped before it answered.]"
        "#]],
        ),
        (
            RunStatus::Error,
            expect![[r#"
            user "?"
            assistant "[This run failed before it answered.]"
        "#]],
        ),
        (
            RunStatus::Interrupted,
            expect![[r#"
            user "?"
            assistant "[This run was interrupted before it answered.]"
        "#]],
        ),
        (
            RunStatus::Ok,
            expect![[r#"
            user "?"
            assistant "[This run ended without an answer.]"
        "#]],
        ),
        (
            RunStatus::Timeout,
            expect![[r#"
            user "?"
            assistant "[This run ran out of time before it answered.]"
        "#]],
        ),
    ] {
        check(&[ask("?"), say(" \n", &[]), end(status)], &expected);
    }
    // A crash: the next run begins without an end of this one.
    check(
        &[ask("one"), ask("two"), say("2", &[]), ask("three")],
        &expect![[r#"
        user "one"
        assistant "[This run was interrupted before it answered.]"
        user "two"
        assistant "2"
        user "three"
    "#]],
    );
    // The assistant called a tool, and spoke no more.
    check(
        &[ask("?"), say("", &[call("a", "ls", "{}")]), result("a", ""), end(RunStatus::Timeout)],
        &expect![[r#"
            user "?"
            assistant "" a:ls({})
            tool a:ls Ok "[no output]"
            assistant "[This run ran out of time before it answered.]"
        "#]],
    );
}

#[test]
fn calls_without_a_result_are_marked_as_interrupted() {
    let calls = [call("a", "ls", "{}"), call("b", "rm", "{}")];
    check(
        &[ask("?"), say("", &calls), result("b", "done")],
        &expect![[r#"
        user "?"
        assistant "" a:ls({}) b:rm({})
        tool a:ls Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]" b:rm Ok "done"
    "#]],
    );
    check(
        &[ask("?"), say("", &calls), ask("still there?")],
        &expect![[r#"
        user "?"
        assistant "" a:ls({}) b:rm({})
        tool a:ls Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]" b:rm Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]"
        assistant "[This run was interrupted before it answered.]"
        user "still there?"
    "#]],
    );
    check(
        &[ask("?"), say("", &calls), say("I give up.", &[]), result("a", "late")],
        &expect![[r#"
            user "?"
            assistant "" a:ls({}) b:rm({})
            tool a:ls Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]" b:rm Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]"
            assistant "I give up."
        "#]],
    );
}

#[test]
fn results_without_a_call_are_dropped() {
    check(
        &[
            result("a", "too early"),
            ask("?"),
            result("a", "nobody asked"),
            say("", &[call("a", "ls", "{}")]),
            result("x", "of another"),
            result("a", "first"),
            result("a", "second"),
            say("Done.", &[]),
            result("a", "too late"),
            end(RunStatus::Ok),
            result("a", "after the end"),
            say("after the end", &[]),
            end(RunStatus::Error),
        ],
        &expect![[r#"
            user "?"
            assistant "" a:ls({})
            tool a:ls Ok "first"
            assistant "Done."
        "#]],
    );
}

#[test]
fn a_journal_that_was_cut_begins_with_the_next_question() {
    check(
        &[say("...", &[call("a", "ls", "{}")]), result("a", "x"), end(RunStatus::Ok), ask("?")],
        &expect![[r#"
            user "?"
        "#]],
    );
    check(&[], &expect![""]);
}

#[test]
fn calls_are_repaired() {
    let long = "x".repeat(70);
    check(
        &[
            ask(" "),
            say(
                "",
                &[
                    call("a", "ls", "{"),
                    call("a", "functions.ls", "[]"),
                    call("", "", ""),
                    call("functions.ls:0", "größe", r#"{"n":1e999}"#),
                    call(
                        &"x".repeat(41),
                        &long,
                        &format!("{{\"d\":{}{}}}", "[".repeat(200), "]".repeat(200)),
                    ),
                ],
            ),
            result("a", "of the first"),
            result("functions.ls:0", "of the fourth"),
            result("a", "of the second"),
            say("", &[call("call_1", "ls", " {} ")]),
        ],
        &expect![[r#"
            user "[empty message]"
            assistant "" a:ls({}) call_1:functions_ls({}) call_2:unnamed({}) call_3:gr__e({}) call_4:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx({})
            tool a:ls Ok "of the first" call_1:functions_ls Ok "of the second" call_2:unnamed Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]" call_3:gr__e Ok "of the fourth" call_4:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]"
            assistant "" call_5:ls( {} )
            tool call_5:ls Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]"
        "#]],
    );
}

#[test]
fn what_the_assistant_says_in_a_row_is_one_message() {
    check(
        &[ask("?"), say("One.", &[]), say("Two.", &[]), say("", &[call("a", "ls", "{}")])],
        &expect![[r#"
            user "?"
            assistant "One.\n\nTwo." a:ls({})
            tool a:ls Interrupted "[No result: the run ended before the outcome was known. The call may have taken effect.]"
        "#]],
    );
}
