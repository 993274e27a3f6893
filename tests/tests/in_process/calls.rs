//! One call of every method that clients can reach, by its public name and line of the policy.

mod authority;
mod cron;
mod delegation;
mod messages;

use openclaw_client::health::HealthCheckRequest;
use openclaw_proto::v1;
use openclaw_tests::{Client, request, soon};
use tonic::{Status, Streaming};
use tonic_reflection::pb::v1 as reflection;

pub(super) use self::authority::{About, HELD, touched};

async fn first<T>(stream: Result<tonic::Response<Streaming<T>>, Status>) -> Result<(), Status> {
    let mut stream = stream?.into_inner();
    soon(stream.message()).await.map(drop)
}

/// Calls a method on a target that the line `when` of its row judges. `tag` makes it a request of
/// its own; there are the session `main` and the run `kept`, and an agent `spare-TAG` to be deleted;
/// and what is handed out or taken away is `about`.
pub(super) async fn call(
    client: &Client,
    name: &str,
    when: &str,
    tag: &str,
    about: &About,
) -> Result<(), Status> {
    let idempotency_key = format!("call-{tag}");
    match (name, when) {
        ("health", "") => client.health().check(HealthCheckRequest::default()).await.map(drop),
        ("health.watch", "") => {
            first(client.health().watch(HealthCheckRequest::default()).await).await
        }
        ("reflection", "") => {
            let list =
                reflection::server_reflection_request::MessageRequest::ListServices(String::new());
            let request = reflection::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(list),
            };
            let requests = tokio_stream::iter([request]);
            first(client.reflection().server_reflection_info(requests).await).await
        }
        ("status", "") => client.gateway().status(v1::StatusRequest {}).await.map(drop),
        ("usage", "") => client.gateway().usage(v1::UsageRequest::default()).await.map(drop),
        ("config.get", "") => client.gateway().get_config(v1::GetConfigRequest {}).await.map(drop),
        ("access.explain", "own access" | "access of others") => {
            let principal = if when == "own access" { "" } else { "system:recovery" };
            let request = v1::ExplainRequest {
                method: "status".into(),
                principal: principal.into(),
                target: String::new(),
            };
            client.access().explain(request).await.map(drop)
        }
        ("events.watch", "") => {
            first(client.events().watch(v1::WatchEventsRequest::default()).await).await
        }
        ("approvals.list", "") => {
            client.approvals().list(v1::ListApprovalsRequest { all: true }).await.map(drop)
        }
        ("approvals.approve", "") => {
            let request = v1::ApproveCallRequest { id: "ap-none".into(), always: false };
            client.approvals().approve(request).await.map(drop)
        }
        ("approvals.deny", "") => {
            let request = v1::DenyCallRequest { id: "ap-none".into(), reason: String::new() };
            client.approvals().deny(request).await.map(drop)
        }
        ("approvals.standing", "") => {
            client.approvals().list_standing(v1::ListStandingRequest {}).await.map(drop)
        }
        ("approvals.revoke", "") => {
            let request = v1::RevokeStandingRequest { id: "sa-none".into() };
            client.approvals().revoke_standing(request).await.map(drop)
        }
        ("agents.list", "") => client.agents().list(v1::ListAgentsRequest {}).await.map(drop),
        ("agents.get", "") => {
            let request = v1::GetAgentRequest { id: "main".into(), include_prompt: true };
            client.agents().get(request).await.map(drop)
        }
        ("agents.create", "") => {
            let id = format!("made-{tag}");
            let request =
                v1::CreateAgentRequest { idempotency_key, id, ..v1::CreateAgentRequest::default() };
            client.agents().create(request).await.map(drop)
        }
        ("agents.delete", "") => {
            let request = v1::DeleteAgentRequest { idempotency_key, id: format!("spare-{tag}") };
            client.agents().delete(request).await.map(drop)
        }
        ("models.list", "") => client.models().list(v1::ListModelsRequest {}).await.map(drop),
        ("models.probe", "") => {
            client.models().probe(v1::ProbeModelRequest::default()).await.map(drop)
        }
        ("sessions.create", "") => {
            let key = format!("explicit:{tag}");
            let request = v1::CreateSessionRequest {
                idempotency_key,
                key,
                ..v1::CreateSessionRequest::default()
            };
            client.sessions().create(request).await.map(drop)
        }
        ("sessions.list", "") => {
            client.sessions().list(v1::ListSessionsRequest::default()).await.map(drop)
        }
        ("sessions.get", "") => {
            let request =
                v1::GetSessionRequest { key: "main".into(), ..v1::GetSessionRequest::default() };
            client.sessions().get(request).await.map(drop)
        }
        ("sessions.history", "") => {
            let request = v1::SessionHistoryRequest {
                key: "main".into(),
                ..v1::SessionHistoryRequest::default()
            };
            client.sessions().history(request).await.map(drop)
        }
        ("agent", "") => {
            let request = request(&idempotency_key, "main", "Hello.");
            let mut events = client.runs().start(request).await?.into_inner();
            while soon(events.message()).await?.is_some() {}
            Ok(())
        }
        ("agent.wait", "") => {
            let request = v1::WaitRunRequest { run_id: "kept".into(), timeout: None };
            client.runs().wait(request).await.map(drop)
        }
        ("runs.list", "") => client.runs().list(v1::ListRunsRequest::default()).await.map(drop),
        ("sessions.abort", "") => {
            client.runs().abort(v1::AbortRunRequest { run_id: "kept".into() }).await.map(drop)
        }
        ("audit.list", "own rows" | "all rows") => {
            let all = when == "all rows";
            let request = v1::ListAuditRequest { all, ..v1::ListAuditRequest::default() };
            client.audit().list(request).await.map(drop)
        }
        ("audit.verify", "") => {
            client.audit().verify(v1::VerifyAuditRequest::default()).await.map(drop)
        }
        ("audit.export", "") => {
            first(client.audit().export(v1::ExportAuditRequest::default()).await).await
        }
        (name, when) if name.starts_with("subagents.") || name.starts_with("sessions.") => {
            delegation::call(client, name, when, tag, about).await
        }
        (name, when) if name.starts_with("cron.") => {
            cron::call(client, name, when, tag, about).await
        }
        (name, when)
            if ["poll", "send", "wake"].contains(&name)
                || ["channels.", "delivery.", "system."].iter().any(|of| name.starts_with(of)) =>
        {
            messages::call(client, name, when, tag, about).await
        }
        (name, when) => authority::call(client, name, when, tag, about).await,
    }
}
