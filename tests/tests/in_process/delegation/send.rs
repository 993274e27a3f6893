//! Saying something more to a sub-agent: it remembers, has what it was given, and nobody else is reached.

use openclaw_tests::{Setup, ask, request};
use serde_json::Value;

use super::{history, run, sessions_of, settled, spawned};

/// What `sessions_send` answered in a run.
async fn sent(client: &openclaw_tests::Client, run: &str) -> Value {
    let results = history(client, "main").await;
    let found = results.into_iter().find(|it| it.run_id == run && it.tool == "sessions_send");
    let text = found.unwrap().text;
    serde_json::from_str(text.split("\n\n").next().unwrap()).unwrap()
}

#[tokio::test]
async fn a_sub_agent_is_asked_once_more() {
    let gateway = Setup::new()
        .script(
            r#"
[[reply]]
match = "delegate"
toolCalls = [{ name = "sessions_spawn", arguments = { task = "Look.", toolsAllow = ["read_file"] } }]
[[reply]]
afterTool = "sessions_spawn"
text = "I wait."
[[reply]]
match = "Sub-agents of this conversation have ended"
text = "I see."
[[reply]]
match = "Look"
text = "It is blue."
"#,
        )
        .start()
        .await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Please delegate.")).await.unwrap();
    let answer = spawned(&owner, "main", "r").await;
    let child = answer["childSessionKey"].as_str().unwrap().to_owned();
    settled(&owner, answer["runId"].as_str().unwrap()).await;
    let before = sessions_of(&owner).await;

    // What the model asks for is decided by the script; the key is known only now.
    let script = format!(
        "[[reply]]\nmatch = \"Ask\"\ntoolCalls = [{{ name = \"sessions_send\", \
         arguments = {{ sessionKey = \"{child}\", message = \"Really?\" }} }}]\n\
         [[reply]]\nmatch = \"Wrong\"\ntoolCalls = [{{ name = \"sessions_send\", \
         arguments = {{ sessionKey = \"agent:main:main\", message = \"Really?\" }} }}]\n\
         [[reply]]\nmatch = \"Really\"\ntoolCalls = [{{ name = \"list_dir\", arguments = {{ path = \".\" }} }}]\n\
         [[reply]]\nafterTool = \"list_dir\"\ntext = \"Still blue, and {{result}}.\"\n\
         [[reply]]\nafterTool = \"sessions_send\"\ntext = \"Thanks.\"\n"
    );
    std::fs::write(gateway.dir().join("script.toml"), script).unwrap();
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    ask(&owner, request("s", "main", "Ask it.")).await.unwrap();
    let answer = sent(&owner, "s").await;
    assert_eq!(answer["status"], "ok", "{answer}");
    let reply = answer["reply"].as_str().unwrap();
    assert!(reply.starts_with("Still blue, and there is no tool `list_dir`"), "{reply}");
    let asked = run(&owner, answer["runId"].as_str().unwrap()).await;
    assert_eq!(
        (asked.session_key.as_str(), asked.on_behalf_of.as_str()),
        (child.as_str(), "owner")
    );
    assert_eq!(sessions_of(&owner).await, before, "nothing was opened");
    let said = history(&owner, &child).await;
    assert!(said.iter().any(|entry| entry.text == "It is blue."), "it is the same conversation");

    // No other conversation is reached, not even the own one.
    ask(&owner, request("w", "main", "Wrong one.")).await.unwrap();
    let refused = sent(&owner, "w").await;
    assert_eq!(refused["status"], "error", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("no sub-agent in session"), "{refused}");
}
