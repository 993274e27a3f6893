//! One call of every method that changes conversations, or delegates.

use openclaw_proto::v1;
use openclaw_tests::{Client, soon};
use tonic::Status;

use super::About;

pub(super) async fn call(
    client: &Client,
    name: &str,
    when: &str,
    tag: &str,
    about: &About,
) -> Result<(), Status> {
    let (mut sessions, mut subagents) = (client.sessions(), client.subagents());
    let key = match when {
        "session of others" => about.others_session.clone(),
        _ => about.session.clone(),
    };
    let run_id = match when {
        "run of others" => about.others_child.clone(),
        _ => about.child.clone(),
    };
    match (name, when) {
        ("sessions.patch", "organization and model" | "runtime policy") => {
            let label = Some(format!("label {tag}"));
            let send_policy = (when == "runtime policy").then(|| "allow".to_owned());
            let request = v1::PatchSessionRequest { key, label, send_policy, ..Default::default() };
            sessions.patch(request).await.map(drop)
        }
        ("sessions.reset", "own session" | "session of others") => {
            let request = v1::ResetSessionRequest { key, ..Default::default() };
            sessions.reset(request).await.map(drop)
        }
        ("sessions.compact", "own session" | "session of others") => {
            let request = v1::CompactSessionRequest { key, dry_run: true, ..Default::default() };
            sessions.compact(request).await.map(drop)
        }
        ("sessions.cleanup", "") => {
            sessions.cleanup(v1::CleanupRequest { dry_run: true }).await.map(drop)
        }
        ("sessions.undoReset", "own session" | "session of others") => {
            let request = v1::UndoResetRequest { key, ..Default::default() };
            sessions.undo_reset(request).await.map(drop)
        }
        ("sessions.delete", "own session" | "session of others" | "sub-agent of own session") => {
            let request = v1::DeleteSessionRequest { key, ..Default::default() };
            sessions.delete(request).await.map(drop)
        }
        ("sessions.spawn", "") => {
            let request = v1::SpawnRequest {
                idempotency_key: format!("spawn-{tag}"),
                session_key: "main".into(),
                task: "Hello.".into(),
                ..Default::default()
            };
            let run_id = subagents.spawn(request).await?.into_inner().run_id;
            let wait = v1::WaitRunRequest { run_id, timeout: None };
            soon(client.runs().wait(wait)).await.map(drop)
        }
        ("subagents.list", "") => {
            subagents.list(v1::ListSubagentsRequest::default()).await.map(drop)
        }
        ("subagents.get", "") => subagents.get(v1::GetSubagentRequest { run_id }).await.map(drop),
        ("subagents.cancel", "own run" | "run of others") => {
            subagents.cancel(v1::CancelSubagentRequest { run_id }).await.map(drop)
        }
        ("subagents.retry", "own run" | "run of others") => {
            subagents.retry(v1::RetrySubagentRequest { run_id }).await.map(drop)
        }
        ("subagents.discard", "own run" | "run of others") => {
            subagents.discard(v1::DiscardSubagentRequest { run_id }).await.map(drop)
        }
        (name, when) => panic!("`{name}` on `{when}` is new: say here how it is called"),
    }
}
