//! Delegating to another agent: only to those that the configuration names, and never more than the one that
//! delegates may do itself.

use openclaw_proto::v1;
use openclaw_tests::{Refusal, Setup, ask, request};
use tonic::Code;

use super::{run, sessions_of, spawn, spawned};

const CONFIG: &str = "agents.entries.main = { subagents.allowAgents = ['research'], tools.deny = ['write_file'] }\n\
                      agents.entries.research = {}\nagents.entries.other = {}";

fn script(agent: &str) -> String {
    format!(
        "[[reply]]\nmatch = \"delegate\"\ntoolCalls = [{{ name = \"sessions_spawn\", \
         arguments = {{ task = \"Work.\", agentId = \"{agent}\" }} }}]\n\
         [[reply]]\nmatch = \"Work\"\ntoolCalls = [{{ name = \"write_file\", \
         arguments = {{ path = \"x\", content = \"y\" }} }}]\n\
         [[reply]]\nafterTool = \"*\"\ntext = \"{{result}}\"\n"
    )
}

#[tokio::test]
async fn another_agent_works_with_what_the_delegating_one_has() {
    let gateway = Setup::new().script(&script("research")).config(CONFIG).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("r", "main", "Please delegate.")).await.unwrap();
    let answer = spawned(&owner, "main", "r").await;
    assert_eq!(answer["status"], "accepted", "{answer}");
    let key = answer["childSessionKey"].as_str().unwrap();
    assert!(key.starts_with("agent:research:subagent:"), "{key}");
    let child = run(&owner, answer["runId"].as_str().unwrap()).await;
    assert_eq!((child.agent_id.as_str(), child.on_behalf_of.as_str()), ("research", "owner"));
    // That agent may write files, and this one may not.
    assert!(child.text.contains("there is no tool `write_file`"), "{}", child.text);
    assert!(!gateway.workspace("research").join("x").exists());
    let own = ask(&owner, request("own", "agent:research:explicit:x", "Work.")).await.unwrap();
    assert!(gateway.workspace("research").join("x").exists(), "{own:?}");
}

#[tokio::test]
async fn only_to_agents_that_are_named() {
    for (from, to) in
        [("main", "other"), ("agent:research:main", "main"), ("agent:research:main", "other")]
    {
        let gateway = Setup::new().script(&script(to)).config(CONFIG).start().await;
        let owner = gateway.owner().await;
        ask(&owner, request("r", from, "Please delegate.")).await.unwrap();
        let answer = spawned(&owner, from, "r").await;
        assert_eq!(answer["status"], "forbidden", "{from} {to}: {answer}");
        assert!(answer.get("childSessionKey").is_none() && answer.get("runId").is_none());
        let order = v1::SpawnRequest { target_agent_id: to.into(), ..spawn("s", from, "Work.") };
        let refused = Refusal::from(owner.subagents().spawn(order).await.unwrap_err());
        assert_eq!(refused.kind(), (Code::PermissionDenied, "NOT_OWNER"), "{from} {to}");
        assert_eq!(sessions_of(&owner).await, 1, "nothing was opened");
    }
}
