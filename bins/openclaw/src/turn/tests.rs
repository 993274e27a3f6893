//! What a terminal and a program see of a turn.

use openclaw_client::v1::{ModelRetry, RunAccepted, TextDelta, ToolFinished, ToolStarted};

use super::*;
use crate::output::Format;
use crate::output::tests::captured;

fn text(text: &str) -> Event {
    Event::Text(TextDelta { text: text.into() })
}

fn final_run(text: &str) -> Event {
    let status = RunStatus::Ok.into();
    Event::Final(Run { run_id: "r".into(), status, text: text.into(), ..Run::default() })
}

fn show(sink: Sink, events: Vec<Event>) -> (String, String) {
    let (mut output, out, err) = captured(Format::Human, sink);
    let mut shown = Shown::default();
    for event in events {
        shown.on_event(&RunEvent { event: Some(event) }, &mut output).unwrap();
    }
    (out.text(), err.text())
}

fn events() -> Vec<Event> {
    let (call_id, name) = ("c".to_owned(), "exec".to_owned());
    vec![
        Event::Accepted(RunAccepted::default()),
        text("Let me"),
        Event::Retry(ModelRetry { reason: "overloaded".into(), delay: None, model: "a/b".into() }),
        text("I look. "),
        Event::ToolStarted(ToolStarted { call_id: call_id.clone(), name: name.clone() }),
        Event::ToolFinished(ToolFinished { call_id, name, outcome: "ok".into() }),
        text("Done \u{1b}[2J"),
        text("now."),
        final_run("Done \u{1b}[2Jnow."),
    ]
}

#[test]
fn a_terminal_sees_it_happen() {
    let (out, err) = show(Sink::Terminal, events());
    assert_eq!(out, "Let me\nI look. \nDone [2Jnow.\n");
    let steps =
        "  overloaded, asking a/b again; what it said so far is void\n  exec …\n  exec: ok\n";
    assert_eq!(err, steps);
}

#[test]
fn a_program_gets_the_answer_and_nothing_void() {
    let (out, err) = show(Sink::Other, events());
    assert_eq!((out.as_str(), err.as_str()), ("Done \u{1b}[2Jnow.\n", ""));
}

#[test]
fn an_old_run_answers_without_pieces() {
    for sink in [Sink::Terminal, Sink::Other] {
        assert_eq!(show(sink, vec![final_run("Again.")]).0, "Again.\n");
        assert_eq!(show(sink, vec![final_run("")]).0, "");
    }
}

#[test]
#[rustfmt::skip]
fn verdicts() {
    for (status, error, expected) in [
        (RunStatus::Ok,          "",     Ok(Exit::Ok)),
        (RunStatus::Error,       "boom", Err("run `r` failed: boom")),
        (RunStatus::Timeout,     "",     Err("run `r` took too long")),
        (RunStatus::Aborted,     "",     Err("run `r` was aborted")),
        (RunStatus::Interrupted, "",     Err("run `r` was interrupted when the gateway stopped")),
        (RunStatus::Running,     "",     Err("run `r` has not ended")),
    ] {
        let run = Run {
            run_id: "r".into(), status: status.into(), error: error.into(), ..Run::default()
        };
        let told = verdict(&run).map_err(|failure| failure.to_string());
        assert_eq!(told, expected.map_err(str::to_owned), "{status:?}");
    }
}

#[test]
fn the_document_has_exactly_these_fields() {
    let (mut output, out, _) = captured(Format::Json, Sink::Other);
    let Event::Final(run) = final_run("Hi") else { panic!("not the end") };
    assert_eq!(end(&run, View::Document, &mut output).unwrap(), Exit::Ok);
    let expected = r#"{"runId":"r","sessionKey":"","status":"ok","text":"Hi","usage":{"inputTokens":0,"outputTokens":0,"cachedTokens":0}}"#;
    assert_eq!(out.text().trim_end(), expected);
}
