//! Tests of the offline model: the echo, every key of a script, and that requests decide alone.

use openclaw_sessions::ToolOutcome;

use super::*;

fn user(text: &str) -> Arc<Message> {
    Arc::new(Message::User { text: text.into() })
}

fn said(text: &str) -> Arc<Message> {
    Arc::new(Message::Assistant { text: text.into(), tool_calls: Vec::new() })
}

fn tool(name: &str, content: &str) -> Arc<Message> {
    let result = ToolResult {
        call_id: "c".into(),
        content: content.into(),
        name: name.into(),
        outcome: ToolOutcome::Ok,
    };
    Arc::new(Message::Tool { results: vec![result] })
}

async fn ask(
    script: &str,
    messages: Vec<Arc<Message>>,
    attempt: u32,
) -> Vec<Result<ModelEvent, ModelError>> {
    let model = OfflineModel::new(OFFLINE_MODEL, OfflineScript::parse(script).unwrap().into());
    let request = ModelRequest {
        pictures: crate::Pictures::default(),
        attempt,
        max_output_tokens: None,
        messages,
        system: "s".into(),
        tools: [].into(),
    };
    model.respond(request).collect().await
}

async fn text(script: &str, messages: Vec<Arc<Message>>) -> String {
    match ask(script, messages, 0).await.pop() {
        Some(Ok(ModelEvent::Finished(message))) => message.text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_a_script_it_says_what_it_is_and_echoes() {
    let events = ask("", vec![user("a"), said("b"), user("hällo")], 0).await;
    let expected = "This is the built-in offline model; no provider is configured. You said: hällo";
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], Ok(ModelEvent::Text(expected.into())));
    let Ok(ModelEvent::Finished(message)) = &events[1] else { panic!() };
    assert_eq!((message.text.as_str(), message.model.as_str()), (expected, "offline/offline"));
    assert_eq!(message.usage.input_tokens, 3);
    assert!(text("", vec![user("a"), tool("ls", "x.txt")]).await.ends_with("answered: x.txt"));
}

#[tokio::test]
async fn the_first_reply_that_fits_is_given() {
    let script = r#"
        [[reply]]
        match = "look"
        text = "I look."
        toolCalls = [{ name = "read_file", arguments = { path = "a b" } }, { name = "ls" }]
        [[reply]]
        afterTool = "ls"
        text = "{result} for {message} {x}"
        [[reply]]
        afterTool = "*"
        text = "other"
        [[reply]]
        match = "once"
        times = 1
        text = "first"
        [[reply]]
        match = "once"
        text = "later"
    "#;
    let events = ask(script, vec![user("look")], 0).await;
    let Some(Ok(ModelEvent::Finished(message))) = events.last() else { panic!() };
    assert_eq!(message.tool_calls[0].arguments, r#"{"path":"a b"}"#);
    assert_eq!(message.tool_calls[1].arguments, "{}");
    assert_ne!(message.tool_calls[0].id, message.tool_calls[1].id);
    #[rustfmt::skip]
    let table = [
        (vec![user("look"), tool("ls", "{message}")],                   "{message} for look {x}"),
        (vec![user("look"), tool("cat", "out")],                        "other"),
        (vec![user("once")],                                            "first"),
        (vec![user("once"), said("first"), user("once")],               "later"),
        (vec![user("x"), said("…"), user("once")],                      "first"),
    ];
    for (messages, expected) in table {
        assert_eq!(text(script, messages).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_delays_and_failures_are_played() {
    let script = "[[reply]]\ntext = \"äöü 12345\"\nchunks = 3\ndelayMs = 100";
    let start = tokio::time::Instant::now();
    let events = ask(script, vec![user("a")], 0).await;
    let texts = events.iter().filter(|event| matches!(event, Ok(ModelEvent::Text(_)))).count();
    assert_eq!((texts, events.len()), (3, 4));
    assert_eq!(start.elapsed(), Duration::from_millis(300));

    let script = "[[reply]]\nfailure = \"rate-limited\"\nretryAfterMs = 50\ntimes = 2\n\
                  [[reply]]\ntext = \"now\"\n";
    for attempt in 0..4 {
        let last = ask(script, vec![user("a")], attempt).await.pop().unwrap();
        if attempt < 2 {
            let error = last.unwrap_err();
            assert_eq!(error.name(), "rate-limited");
            assert_eq!(error.retry_after(), Some(Duration::from_millis(50)));
        } else {
            assert!(last.is_ok());
        }
    }
}

#[test]
fn wrong_scripts_are_refused_with_their_place() {
    #[rustfmt::skip]
    let table = [
        ("[[reply]]\ntext = \"a\"\nwhen = 1\n",                     3, "unknown field `when`"),
        ("\n[[replies]]\ntext = \"a\"\n",                           2, "unknown field"),
        ("[[reply]]\nfailure = \"nonsense\"\n",                     2, "unknown variant"),
        ("[[reply]]\n",                                             1, "needs `text`"),
        ("[[reply]]\ntext = \"a\"\n[[reply]]\nretryAfterMs = 1\n",  3, "needs a `failure`"),
        ("[[reply]]\ntext = \n",                                    2, ""),
        ("[[reply]]\ntext = \"a\"\ntoolCalls = [{ nam = \"x\" }]\n", 3, "unknown field"),
    ];
    for (script, line, problem) in table {
        let error = OfflineScript::parse(script).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
}
